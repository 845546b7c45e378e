"""What goes wrong with storage: it does not answer, or holds something else than was written."""

from ntlbg_service.domain.errors import InfrastructureError, UserError


class AlreadyWrittenError(InfrastructureError):
    """A write-once object exists with other content."""


class CorruptRecordError(InfrastructureError):
    """An object in storage that is not what was written there. It stays so."""


class LeavesStorageError(CorruptRecordError):
    """A key that is no place in the storage: nothing is read or written there."""


class StorageUnavailableError(InfrastructureError, OSError):
    """The storage did not answer, or took nothing: full, away, forbidden. What lies in it is
    unknown, and whoever waits may find it as it was."""


class ForbiddenError(StorageUnavailableError):
    """This account may not read or write an object; the words say what mends it."""

    exit_code = UserError.exit_code
