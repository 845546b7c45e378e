"""What the name of a value says of it, and whether the value is a secret then."""

import re
from enum import Enum

from ntlbg_service.domain.random_looking import is_filled, looks_random
from ntlbg_service.domain.secret_shapes import is_filler

KEYS = frozenset(
    {"access", "account", "api", "auth", "deploy", "encryption"}
    | {"license", "private", "secret", "service", "signing"}
)
"""An `api_key` is a secret, a `suite_key` is none."""
_PATH = re.compile(r"~?/|\.{1,2}/|[A-Za-z]:\\|[a-z]+://")
_BASE64 = re.compile(r"[\w+/\-]{24,}={0,2}(?=[;,]|\Z)")
_SIGN = re.compile(r"[\d!$%^*#@+=~?]")


class Named(Enum):
    """What a name says of its value."""

    PASSWORD = "password"
    """People choose it: it may be any word."""
    KEY = "key"
    """Programs make it: it has letters and digits."""
    TOKEN = "token"
    """Tokens and secrets are other things as well: only what looks drawn at random is hidden."""


def named(name: str) -> Named | None:
    """What a variable or key of this name holds, by how the name ends; None where no secret."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name[-200:])
    words = re.split(r"[^a-z0-9]+", spaced.lower().strip("_- "))
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last.endswith(("password", "passwd", "passphrase")):
        return Named.PASSWORD
    if last in ("pass", "pwd"):
        return Named.KEY if before else None
    if last.endswith("apikey") or (last == "key" and before in KEYS):
        return Named.KEY
    if last == "id" and words[-3:-1] == ["access", "key"]:
        return Named.KEY
    if last.endswith(("secret", "token")) or last in ("credential", "credentials", "authorization"):
        return Named.TOKEN
    return None


def is_secret_value(kind: Named, value: str) -> bool:
    """Whether a value is a secret where a name of this kind has it to itself, as in JSON."""
    if kind is Named.PASSWORD:
        return not is_filler(value)
    return is_made(value) if kind is Named.KEY else is_drawn(value)


def is_chosen(value: str) -> bool:
    """Whether a value may be a password that a person chose, and no word of a sentence."""
    if " " in value or is_filler(value):
        return False
    mixed = len(value) >= 6 and re.search(r"[A-Za-z]", value) and _SIGN.search(value)
    return bool(mixed) or is_drawn(value)


def is_made(value: str) -> bool:
    """Whether a value has letters and digits as a key has, and is no path."""
    mixed = len(value) >= 8 and re.search(r"[A-Za-z]", value) and re.search(r"\d", value)
    if _names_something(value) or is_filled(value) or " " in value:
        return False
    return bool(mixed) or is_drawn(value)


def is_drawn(value: str) -> bool:
    """Whether a value looks drawn at random."""
    return looks_random(value) and not _names_something(value)


def _names_something(value: str) -> bool:
    """A path, or a place to be filled."""
    return is_filler(value) or (_PATH.match(value) is not None and not _is_base64(value))


def _is_base64(value: str) -> bool:
    """One key in 64 begins with a slash, as a path does."""
    found = _BASE64.match(value)
    return found is not None and looks_random(found[0])
