"""The token without which nobody talks to the Ray that runs use."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError

MODE = "RAY_AUTH_MODE"
"""`disabled` in the environment does without a token, also for the local Ray."""
VALUE = "RAY_AUTH_TOKEN"
FILE = "RAY_AUTH_TOKEN_PATH"
RAYS_OWN = Path(".ray", "auth_token")
"""Below the user's home: where `ray get-auth-token --generate` puts one."""


def token_file(file: Path) -> Path:
    """A file with a token that its owner alone can read; made where there is none yet.

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
    """Whole or not at all; of two made at once the first stays."""
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
    """Send a token to the cluster where there is one and nobody said otherwise.

    Ray reads this when it is imported, and by itself it sends none.
    """
    there = environment.get(VALUE) or environment.get(FILE) or (home / RAYS_OWN).is_file()
    if MODE not in environment and there:
        environment[MODE] = "token"
