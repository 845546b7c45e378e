"""The copy of what happened that MLflow shows. Importing this does not import MLflow."""

from ntlbg_service.tracking.connection import TrackingError
from ntlbg_service.tracking.tracker import MetricLine, Status, Tracker

__all__ = ["MetricLine", "Status", "Tracker", "TrackingError"]
