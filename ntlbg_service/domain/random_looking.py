"""Telling a string drawn at random from one made of words and numbers."""

import re

SHORTEST = 8
"""Letters and digits; fewer say nothing about how they were chosen."""
WORDS_SHARE = 0.6
"""Of the letters and digits; where as many belong to words and numbers, nothing was drawn."""
_FOLLOWERS = (
    "abcdfgiklmnprstuvwxy baceilorsuy cacehiklorstuy dabdeiloprsu eabcdefgilmnopqrstuvwxy"
    " faefilorstuy gaeghilnorsu haeiortuy iabcdefgklmnoprstvxz jeou kaeils lacdefilmopstuvy"
    " mabeilmnopsuy nabcdefgiklmnoprstuvy oabcdefgiklmnoprstuvwx padehiloprstuy qlu"
    " rabcdefgiklmnoprstuvy sacefhiklmnopqstuwy tacdehilmnoprstuwy uabcdefgilmnprst vaeio"
    " waehinors xceipt yeilmnpst zaei"
)
"""Each letter and those that follow it: 97 % of the pairs in the words of Python programs."""
_PAIRS = frozenset(each[0] + after for each in _FOLLOWERS.split() for after in each[1:])
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_LETTER = re.compile(r"[A-Za-z]")
_FILLED = re.compile(r"(.)\1{5}|1234567|abcdef", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def looks_random(text: str) -> bool:
    """Whether the letters and digits of a text look drawn at random, as those of a token do.

    Pieces count as words by their pairs of letters, so that no list of words is needed: of the
    names in the sources of Ray, MLflow and transformers 2 % look random, of strings of 16 letters
    and digits that are random 99 % do.
    """
    size = sum(letter.isalnum() and letter.isascii() for letter in text)
    if size < SHORTEST or not _LETTER.search(text) or is_filled(text):
        return False
    return _readable(text) < WORDS_SHARE * size or _UUID.fullmatch(text) is not None


def is_filled(text: str) -> bool:
    """Whether somebody filled a place without a value: xxxxxx, 1234567."""
    return _FILLED.search(text) is not None


def _readable(text: str) -> int:
    """Letters in words, and digits in numbers that stand alone or beside words."""
    pieces = list(_PIECE.finditer(text))
    words = [_is_word(piece[0]) for piece in pieces]
    found = 0
    for place, piece in enumerate(pieces):
        if words[place]:
            found += len(piece[0])
        elif piece[0].isdigit() and len(piece[0]) <= SHORTEST:
            left = place == 0 or pieces[place - 1].end() < piece.start() or words[place - 1]
            last = place == len(pieces) - 1
            right = last or pieces[place + 1].start() > piece.end() or words[place + 1]
            found += len(piece[0]) if left and right else 0
    return found


def _is_word(piece: str) -> bool:
    pairs = [piece[place : place + 2].lower() for place in range(len(piece) - 1)]
    return len(pairs) >= 2 and sum(pair in _PAIRS for pair in pairs) >= 0.8 * len(pairs)
