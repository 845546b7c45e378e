"""Which home a storage is, told from every other one wherever it lies."""

import contextlib
import re
import secrets
from pathlib import Path

from ntlbg_service.storage.layout import HOME
from ntlbg_service.storage.local import (
    AlreadyWrittenError,
    CorruptRecordError,
    LocalStorage,
    Storage,
)


def home_id(storage: Storage) -> str:
    """Return the id of a storage, which is given one where it has none yet. A copy has the same."""
    found = storage.get(HOME)
    if found is None:
        with contextlib.suppress(AlreadyWrittenError):
            storage.put(HOME, {"id": secrets.token_hex(4)})
        found = storage.get(HOME) or {}
    said = found.get("id")
    if not isinstance(said, str) or not re.fullmatch(r"[0-9A-Za-z_]{1,40}", said):
        raise CorruptRecordError(f"storage: {HOME}: has no id that this storage could be known by")
    return said


def bound(root: Path, home: str | None = None) -> LocalStorage:
    """Return the storage of a runner, which writes nothing where another home has taken its
    place."""
    return LocalStorage(root, home or home_id(LocalStorage(root)))


def is_elsewhere(place: str, storage: Storage) -> bool:
    """Whether a path leads to another storage, which is there: what was started with that path
    works for the other one. Where nothing is there, this storage was moved."""
    try:
        return not Path(place).samefile(storage.path(HOME).parent)
    except (OSError, ValueError):
        return False
