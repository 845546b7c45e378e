"""Characters that steer a terminal or turn a line of text around, made visible.

Names, messages and answers come from runs, data sets and people. Printed raw, an escape sequence
in one can clear a screen, retitle a window or write over what was printed before; a bidirectional
override shows words in another order than they have.
"""

import re

_STEERING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f"  # C0 but tab and newline; a carriage return writes over its line.
    "\x7f-\x9f"  # Delete, and C1: 0x9b begins a sequence as ESC [ does.
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Marks, overrides and isolates of direction.
    "\u2028\u2029"  # Separators that some take for the end of a line.
    "\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # Nothing that anybody sees.
    "\U000e0000-\U000e007f"  # Invisible letters.
    "\ud800-\udfff"  # Halves of a character, and bytes that are none.
    "]"
)
"""The joiners U+200C and U+200D are not among them: Persian, Hindi and emoji need them."""
COLOUR = re.compile(rb"\x1b\[[0-9;:]{0,64}m")
"""Colours and weights of text: they change nothing but its look."""


def neutral(text: str) -> str:
    """The text with each such character as JSON escapes it, so that JSON stays what it was; a
    carriage return, of a progress bar as a rule, begins a line."""
    if text.isascii() and text.isprintable():
        return text
    return _STEERING.sub(_escape, text.replace("\r\n", "\n").replace("\r", "\n"))


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
