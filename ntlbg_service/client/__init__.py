"""Preparing and submitting suites and sweeps, for the CLI and for programs."""

from ntlbg_service.client.prepared import Prepared
from ntlbg_service.client.submitting import submit
from ntlbg_service.client.suites import prepare_suite
from ntlbg_service.client.sweeps import prepare_sweep

__all__ = ["Prepared", "prepare_suite", "prepare_sweep", "submit"]
