"""Preparation and submission of suites and sweeps, for the CLI and for programs."""

from ntlbg_service.submission.prepared import Prepared
from ntlbg_service.submission.submit import submit
from ntlbg_service.submission.suites import prepare_suite
from ntlbg_service.submission.sweeps import prepare_sweep

__all__ = ["Prepared", "prepare_suite", "prepare_sweep", "submit"]
