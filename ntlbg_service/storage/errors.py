"""Errors of storage: it is unavailable, or an object is not what was written."""

from ntlbg_service.domain.errors import InfrastructureError, UserError


class AlreadyWrittenError(InfrastructureError):
    """A write-once object exists with other content."""


class CorruptRecordError(InfrastructureError):
    """An object that is not what was written there; a permanent error."""


class LeavesStorageError(CorruptRecordError):
    """A key that points outside the storage; nothing is read or written there."""


class StorageUnavailableError(InfrastructureError, OSError):
    """A storage that cannot be read or written: full, not mounted, forbidden.

    Its content is unknown and may be intact; a later retry may succeed.
    """


class ForbiddenError(StorageUnavailableError):
    """An object that this account may not read or write; the message names the remedy."""

    exit_code = UserError.exit_code
