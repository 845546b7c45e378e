"""Every word that questions and answers use, and the looks that training never shows.

A word-level tokenizer over `VOCABULARY` covers the whole set: texts are lower case, words are
separated by single spaces, and the only punctuation is a question mark at the end.
"""

SHAPES = ("circle", "ring", "square", "triangle", "star", "cross", "heart", "moon")

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (226, 40, 40),
    "orange": (236, 132, 24),
    "yellow": (238, 226, 48),
    "green": (40, 190, 60),
    "cyan": (48, 212, 222),
    "blue": (48, 80, 236),
    "magenta": (228, 60, 204),
    "white": (236, 236, 236),
}
"""Colours of needles and actors, RGB."""

BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "brown": (116, 76, 42),
    "olive": (106, 112, 40),
    "teal": (30, 104, 104),
    "navy": (38, 52, 120),
    "plum": (108, 46, 100),
    "grey": (104, 104, 108),
}
"""Background hues, RGB; no word is shared with `COLOURS`."""

NUMBERS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
)

ATTRIBUTE = "what colour is the {shape} that flashed?"
COUNT_SHAPE = "how many times did the {shape} flash?"
COUNT_ALL = "how many symbols flashed in all?"
ORDER = "which shape flashed right after the {shape}?"
GLOBAL = "which background colour lasts longest?"

QUESTION_WORDS = tuple(
    sorted(
        {
            word
            for template in (ATTRIBUTE, COUNT_SHAPE, COUNT_ALL, ORDER, GLOBAL)
            for word in template.replace("?", "").split()
            if word != "{shape}"
        }
    )
)

VOCABULARY = (*SHAPES, *COLOURS, *BACKGROUNDS, *NUMBERS, *QUESTION_WORDS, "?")
"""The closed vocabulary: every token of every question and candidate, each once."""

HELD_OUT: frozenset[tuple[str, str]] = frozenset(
    (shape, tuple(COLOURS)[(place + offset) % len(COLOURS)])
    for place, shape in enumerate(SHAPES)
    for offset in (3, 6)
)
"""16 of the 64 (shape, colour) looks, each shape and each colour twice. They are never needles in
the training split and always needles in the others, so that a test asks for the combination of
what was learned apart."""


def needle_colours(shape: str, *, held_out: bool) -> tuple[str, ...]:
    """Colours in which `shape` may flash: the two held out ones, or the other six."""
    return tuple(c for c in COLOURS if ((shape, c) in HELD_OUT) is held_out)
