"""Authentication token of the Ray that runs use."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError

MODE = "RAY_AUTH_MODE"
"""Variable that turns authentication off if set to `disabled`, also for the local Ray."""
VALUE = "RAY_AUTH_TOKEN"
FILE = "RAY_AUTH_TOKEN_PATH"
RAYS_OWN = Path(".ray", "auth_token")
"""Path below the user's home where `ray get-auth-token --generate` writes the token."""


def token_file(file: Path) -> Path:
    """Ensure that a token file exists that only its owner can read, and return it.

    The token itself is in no command line and no environment. Raises InfrastructureError.
    """
    try:
        if not file.is_file():
            _make(file)
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
    except OSError as error:
        raise InfrastructureError(f"{file}: no token for Ray: {error.strerror}") from None
    return file


def _make(file: Path) -> None:
    """Create the token file atomically; of two created at once the first stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".token-")
    try:
        with os.fdopen(handle, "w") as written:
            written.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):
            os.link(name, file)
    finally:
        Path(name).unlink()


def use_token(environment: MutableMapping[str, str], home: Path) -> None:
    """Send a token to the cluster where there is one and the environment does not forbid it.

    Ray reads this setting when it is imported, and sends no token by default.
    """
    there = environment.get(VALUE) or environment.get(FILE) or (home / RAYS_OWN).is_file()
    if MODE not in environment and there:
        environment[MODE] = "token"
