"""Publishing of runs to MLflow. Importing this does not import MLflow."""

from ntlbg_service.tracking.connection import RefusedError, TrackingError
from ntlbg_service.tracking.tracker import LoggedMetrics, Status, Tracker

__all__ = ["LoggedMetrics", "RefusedError", "Status", "Tracker", "TrackingError"]
