"""The errors a person may see: one base, four families, an exit code each."""


class NtlbgError(Exception):
    """Base of every error that is shown as one line instead of a traceback."""

    exit_code = 1


class UserError(NtlbgError):
    """The input is wrong; nothing was started. The message names file, path and a valid choice."""

    exit_code = 2


class CapacityError(NtlbgError):
    """What was asked for can never fit on the inventory."""

    exit_code = 3


class InfrastructureError(NtlbgError):
    """Something below the service (Ray, the database, MLflow, the disk) did not answer."""

    exit_code = 4


class RunsFailedError(NtlbgError):
    """The command did its work, and some runs did not finish."""

    exit_code = 5
