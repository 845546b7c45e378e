"""Malformed configs, names and paths from a seed: the same seed makes the same ones."""

import json
import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SECRETS = (
    "hf_" + "Qz7" * 10,
    "sk-proj-" + "Wx8" * 10,
    "AKIA" + "J4K7" * 4,
    "ghp_" + "Pm3" * 12,
    "zR4tYu8IoPq2",
    "correct5horse!battery",
)
"""The last two look like nothing; they are values of the environment."""
PLANTED = (
    *SECRETS,
    f"Bearer {SECRETS[4]}",
    f"postgresql://ada:{SECRETS[5]}@db/ledger",
    f"https://hooks.slack.com/services/T0/{SECRETS[4]}",
    f"password={SECRETS[5]}",
)
NAMES = (
    *(
        "",
        " ",
        ".",
        "..",
        "-",
        "--help",
        "a/b",
        "../../outside",
        "../" * 12 + "evil",
        "/etc/passwd",
    ),
    *("/nowhere/at/all", "outside", "link", "loop", "CON", "~root", "\\\\server\\share", "a\\b"),
    *(
        "a\0b",
        "a\nb",
        "a\rb",
        "\x1b[31mred\x1b[0m",
        "\x7f",
        "\u202eevil",
        "\x9b2J\x9d0;title\x9c",
        "\x1b]8;;file:///etc\x1b\\link\x1b]8;;\x1b\\",
        "\u2066a\u200b\ufeff",
        "$\\frac{",
        "é" * 70,
        "名前",
        "\ud800",
    ),
    *(
        "x" * 300,
        "x" * 100_000,
        "$(touch evil)",
        "`touch evil`",
        "; touch evil",
        "'; DROP TABLE x;--",
    ),
    *("%s%n%d", "{0.__class__}", "[red]", "[/]", "[link=file:///etc]x[/link]", "None", "NaN", "0"),
    *("uniform", "g/uniform:1", "s", "quickstart", "model.base_model", "__class__", "__init__"),
    *SECRETS,
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**40, 10**400, -(10**18), 0.5, 1e308, 1e-320),
    *(float("nan"), float("inf"), -0.0, -1.5, 2**31 - 1, 99, "1e999", [True], {"1": 1}),
    *("", [], {}, [[]], {"": ""}, [None] * 50, {"a": {"b": {"c": 1}}}, "auto", "1", "true"),
    *NAMES,
    *PLANTED,
)
KEYS = (
    *("name", "config", "overrides", "scales", "groups", "variants", "seeds", "baseline", "space"),
    *("trust_remote_code", "token", "password", "api_key", "path", "profile", "kinds", "data"),
    *("model.base_model", "training.max_steps", "video.max_frames", "selection", "__proto__"),
    *NAMES,
)


Act = Callable[[Path], None]
IN_PLACE: tuple[Act, ...] = (
    Path.mkdir,
    os.mkfifo,
    lambda path: path.symlink_to(path),
    lambda path: path.symlink_to("/etc/passwd"),
    lambda path: path.symlink_to(path.parent.parent),
    lambda path: path.symlink_to(path.parent / "gone"),
    lambda path: path.touch(0o000),
    lambda path: path.mkdir(0o000),
    lambda path: (path.mkdir(), (path / "within").touch(), None)[2],
    lambda path: (path.touch(), os.truncate(path, 1 << 40))[1],
    lambda path: (path.write_bytes(b"[" * 10_000_000), None)[1],
    lambda path: (path.write_bytes(b'{"a":' * 1_000_000), None)[1],
    lambda path: (path.write_bytes(b'{"a": ' + b"9" * 100_000 + b"}"), None)[1],
    lambda path: (path.write_bytes(b"\n" * 100_000), None)[1],
)
"""What may lie in the place of a file."""


class Hostile:
    """A source of malformed things."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def name(self) -> str:
        """A name that nobody should have to bear."""
        name = self.random.choice(NAMES)
        return f"{name}{self.random.choice(NAMES)}" if self.random.random() < 0.1 else name

    def value(self) -> Any:
        """A value of any type."""
        if self.random.random() < 0.03:
            return json.loads("[" * 300 + "]" * 300)
        return self.random.choice(VALUES)

    def lie_in_place_of(self, path: Path) -> None:
        """Put something there that is no such file."""
        act = self.random.choice(IN_PLACE)
        with suppress(OSError):  # Something lies in place of its folder already.
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
                act(path)

    def document(self, value: dict[str, Any]) -> bytes:
        """A JSON file as it should not be: its values changed, or its text, or both."""
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 3, 8))):
            value = self._changed(value)
        text = self.random.choice(TEXTS)(self, json.dumps(value, indent=1))
        return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")

    def _changed(self, value: Any) -> Any:
        """The value with one place in it changed."""
        if isinstance(value, dict) and value and self.random.random() < 0.85:
            key = self.random.choice(list(value))
            changed = dict(value)
            match self.random.randrange(12):
                case 0:
                    del changed[key]
                case 1:
                    changed[self.random.choice(KEYS)] = self.value()
                case 2:
                    changed[self.random.choice(KEYS)] = changed.pop(key)
                case _:
                    changed[key] = self._changed(value[key])
            return changed
        if isinstance(value, list) and value and self.random.random() < 0.85:
            place = self.random.randrange(len(value))
            more = [value[place]] if self.random.random() < 0.1 else []
            return [*value[:place], self._changed(value[place]), *more, *value[place + 1 :]]
        return self.value()

    def spliced(self, text: str, piece: str | bytes) -> bytes:
        """A piece put somewhere into a text."""
        place = self.random.randrange(len(text) + 1)
        middle = piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass")
        return text[:place].encode() + middle + text[place:].encode()


Text = Callable[[Hostile, str], "str | bytes"]
TEXTS: tuple[Text, ...] = (
    *([lambda _, text: text] * 24),
    lambda source, text: text[: source.random.randrange(len(text))],
    lambda source, text: source.spliced(text, source.random.randbytes(4)),
    lambda source, text: source.spliced(text, b"\xff\xfe"),
    lambda source, text: source.spliced(text, "\0"),
    lambda source, text: source.spliced(
        text, source.random.choice((",", "{", "]", '"', "//", "\\ud800"))
    ),
    lambda source, text: source.spliced(text, source.random.choice(PLANTED)),
    lambda _, text: b"\xef\xbb\xbf" + text.encode(),
    lambda _, text: text.encode("utf-16"),
    lambda source, text: text.replace(
        ": 1", f": {source.random.choice(('NaN', 'Infinity', '1e999', '01', '9' * 5000))}"
    ),
    lambda _, text: text.replace("{", '{"name": "a", "name": "b", ', 1),
    lambda _, text: "[" * 100_000 + text,
    lambda _, text: f"[{text}]",
    lambda source, _: source.random.choice(("", " ", "null", "7", '"x"', "{}", "[]", "{")),
    lambda source, _: source.random.randbytes(200),
)
"""What is done to a file's text; mostly nothing, so that what is in it is looked at."""
