"""Texts with and without a secret, drawn by rule from a seed: no token in a file, none ever issued.

The files of `secret_strings` hold the texts with rules in «» in the place of whatever differs from
one to the next; a secret stands between ⟦ and ⟧. Those called `later` were written when the
detector was done, to see what it makes of texts that it was not made with.
"""

import base64
import json
import random
import re
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "secret_strings"
RULE = re.compile(r"«([^»]+)»")
SECRET = re.compile(r"⟦(.*?)⟧", re.S)
BASE64URL = string.ascii_letters + string.digits + "-_"
ALPHABETS = {
    "hex": "0123456789abcdef",
    "digits": string.digits,
    "upper": string.ascii_uppercase + string.digits,
    "base32": string.ascii_uppercase + "234567",
    "letters": string.ascii_letters,
    "alnum": string.ascii_letters + string.digits,
    "base64": string.ascii_letters + string.digits + "+/",
    "base64url": BASE64URL,
}
SIGNS = "!$%^*-_+="
WEAK = ("Summer", "lab", "Dragon", "monkey", "Winter", "admin", "Qwerty", "needle")


@dataclass(frozen=True)
class Text:
    """One text that a detector is given."""

    kind: str
    text: str
    secret: str | None = None
    """What of it must not be shown; None where all of it may be."""


def harmless(seed: int, draws: int = 2) -> list[Text]:
    """Return texts in which nothing is a secret; those with a rule in them `draws` times."""
    source = random.Random(f"harmless {seed}")
    return [
        Text(kind, _drawn(line, source))
        for file in ("harmless.txt", "harmless_later.txt")
        for kind, line in _lines(FOLDER / file)
        for _ in range(draws if RULE.search(line) else 1)
    ]


def secrets(seed: int, draws: int = 3) -> list[Text]:
    """Return texts with one secret each, every line `draws` times with another secret.

    A kind of token that is known by its shape is put into `draws` of the places.
    """
    source = random.Random(f"secrets {seed}")
    return [
        text
        for file in ("secrets.txt", "secrets_later.txt")
        for text in _placed(list(_lines(FOLDER / file)), draws, source)
    ]


def shows(text: str, secret: str) -> bool:
    """Whether a text shows ten characters of a secret, or all of a short one."""
    size = 10 if len(secret) >= 20 else len(secret)
    return any(secret[place : place + size] in text for place in range(len(secret) - size + 1))


def _placed(lines: list[tuple[str, str]], draws: int, source: random.Random) -> list[Text]:
    places = [line for kind, line in lines if kind == "places"]
    found = []
    for kind, line in lines:
        if kind == "places":
            continue
        shaped = kind.startswith("shape ")
        for place in source.sample(places, draws) if shaped else ["⟦⟧"] * draws:
            marked = line if "⟦" in line else f"⟦{line}⟧"
            whole = place.replace("⟦⟧", marked)
            drawn = _drawn(whole, source)
            secret = SECRET.findall(drawn)[0]
            text = drawn.replace("⟦", "").replace("⟧", "")
            found.append(Text(kind.removeprefix("shape "), text, secret))
    return found


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each line of a file."""
    kind = ""
    for line in file.read_text().splitlines():
        head = re.fullmatch(r"\[([\w&.' ]+)\]", line)
        if head:
            kind = head[1]
        elif line and not line.startswith("# "):
            yield kind, line


def _drawn(line: str, source: random.Random) -> str:
    """The line with every rule in it carried out."""
    drawn = RULE.sub(lambda rule: _value(rule[1], source), line)
    return re.sub(r"\\(\\|n)", lambda found: {"n": "\n", "\\": "\\"}[found[1]], drawn)


def _value(rule: str, source: random.Random) -> str:
    """A value for `hex 40`, `int 1 90`, `uuid`, `password`, ..."""
    name, *numbers = rule.split()
    if name in MADE:
        return MADE[name](source)
    if name == "int":
        return str(source.randint(int(numbers[0]), int(numbers[1])))
    return _of(ALPHABETS[name], int(numbers[0]), source)


def _of(alphabet: str, length: int, source: random.Random) -> str:
    return "".join(source.choices(alphabet, k=length))


def _password(source: random.Random) -> str:
    """As a password manager makes one: every kind of character."""
    letters = _of(ALPHABETS["alnum"] + SIGNS, source.randint(10, 20), source)
    return f"{letters}{source.choice(string.ascii_lowercase)}{source.choice(string.digits)}"


def _weak(source: random.Random) -> str:
    """As a person makes one who has to: a word, digits and a sign."""
    sign = source.choice("!$*-_")
    return f"{source.choice(WEAK)}{source.randint(10, 99999)}{sign}"


def _jwt(source: random.Random) -> str:
    parts: list[dict[str, str | int]] = [
        {"alg": "HS256", "typ": "JWT"},
        {"sub": str(source.randint(1, 99999)), "name": "ada", "iat": source.randint(10**9, 2**31)},
    ]
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    head = ".".join(part.decode().rstrip("=") for part in encoded)
    return f"{head}.{_of(BASE64URL, 43, source)}"


MADE: dict[str, Callable[[random.Random], str]] = {
    "password": _password,
    "weak": _weak,
    "jwt": _jwt,
    "uuid": lambda source: str(uuid.UUID(int=source.getrandbits(128), version=4)),
}
