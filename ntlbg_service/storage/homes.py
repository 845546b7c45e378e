"""Identity of a storage, by an id that is independent of its path."""

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
    """Return the id of a storage, creating it if there is none; a copy keeps the id."""
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
    """Return a runner's storage, which refuses writes if another home is at its path."""
    return LocalStorage(root, home or home_id(LocalStorage(root)))


def is_elsewhere(place: str, storage: Storage) -> bool:
    """Return True if another storage exists at a path; processes started with it use that one.

    If nothing exists at the path, this storage was moved, and the result is False.
    """
    try:
        return not Path(place).samefile(storage.path(HOME).parent)
    except (OSError, ValueError):
        return False
