"""Snapshots of the code in storage: a run keeps the version that it was submitted with.

Every node mounts the storage and runs the snapshot, so nodes need the installed dependencies but
no checkout.
"""

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import ntlbg_model
from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.storage.layout import code
from ntlbg_service.storage.local import Storage

PARTS = (
    "ntlbg_model",
    "ntlbg_service/__init__.py",
    "ntlbg_service/domain",
    "ntlbg_service/process",
    "ntlbg_service/runner",
    "ntlbg_service/storage",
)
"""Paths of all code that a runner imports, relative to the checkout."""
CHECKOUT = Path(ntlbg_model.__file__).parents[1]


@lru_cache(maxsize=1)
def shipped_version() -> str:
    """Return the digest (12 digits) of the code that would be shipped now."""
    return version_of(CHECKOUT)


def version_of(root: Path) -> str:
    """Return the digest (12 digits) of the code below a folder."""
    sha = hashlib.sha256()
    for path in sorted(_files(root)):
        sha.update(path.relative_to(root).as_posix().encode())
        sha.update(path.read_bytes())
    return sha.hexdigest()[:12]


def ship(storage: Storage, version: str, root: Path = CHECKOUT) -> Path:
    """Copy the code into storage, once per version, and return its folder there.

    Raises UserError if the code has changed since `version` was computed, InfrastructureError if
    storage cannot be written.
    """
    target = storage.path(code(version))
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        copied = target.parent / f".shipping-{secrets.token_hex(8)}"
        copied.mkdir()
        try:
            _copy(root, copied)
            if version_of(copied) != version:
                raise UserError("the code changed while it was submitted; submit it again")
            if not target.is_dir():
                copied.rename(target)
        finally:
            shutil.rmtree(copied, ignore_errors=True)
    except OSError as error:
        raise InfrastructureError(f"{target}: the code cannot be copied: {error}") from None
    return target


def _copy(root: Path, target: Path) -> None:
    for path in _files(root):
        into = target / path.relative_to(root)
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, into)


def _files(root: Path) -> Iterator[Path]:
    for part in PARTS:
        whole = root / part
        for path in (whole,) if whole.is_file() else whole.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
