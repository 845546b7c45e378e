"""Irrelevant bursts: rare and bright, but never a glyph in a dark box."""

from collections.abc import Callable

import numpy as np

from ntlbg_model.data.needles.plan import Glitch
from ntlbg_model.data.needles.scenes import BRIGHTEST, DARKEST, Picture, pixels
from ntlbg_model.data.needles.shapes import EMBLEMS, glyph

_BARS = ((1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1))
_PAPER = 205


def paste(picture: Picture, glitch: Glitch, frame: int) -> None:
    """Draw what `glitch` shows at frame `frame` of the video over `picture`."""
    age = frame - glitch.start
    _PAINTERS[glitch.kind](picture, np.random.default_rng(glitch.seed), age)


def _noise(picture: Picture, rng: np.random.Generator, age: int) -> None:
    """Coloured snow in blocks of an eighth of a grid cell, new in every frame."""
    side = picture.shape[0]
    grain = max(2, side // 28)
    cells = -(-side // grain)
    snow = rng.integers(DARKEST, BRIGHTEST + 1, (age + 1, cells, cells, 3), np.uint8)[age]
    picture[:] = snow.repeat(grain, 0).repeat(grain, 1)[:side, :side]


def _bars(picture: Picture, rng: np.random.Generator, age: int) -> None:
    """Seven colour bars, upright or lying, that step on by one each frame."""
    side = picture.shape[0]
    colours = np.roll(np.array(_BARS), int(rng.integers(7)) + age, axis=0)
    strip = pixels(colours[np.arange(side) * 7 // side] * 200.0 + 30.0)
    picture[:] = strip[None] if rng.random() < 0.5 else strip[:, None]


def _logo(picture: Picture, rng: np.random.Generator, age: int) -> None:
    """A two-coloured emblem that fills the frame."""
    del age
    side = picture.shape[0]
    back = rng.uniform(30, 225, 3)
    front = (back - 30 + rng.uniform(70, 125, 3)) % 195 + 30
    cover = glyph(str(rng.choice(EMBLEMS)), side, float(rng.uniform(-0.5, 0.5)))[:, :, None]
    picture[:] = pixels(back + cover * (front - back))


def _symbol(picture: Picture, rng: np.random.Generator, age: int) -> None:
    """A coloured emblem on light paper, as large as a needle."""
    del age
    side = round(picture.shape[0] * float(rng.uniform(0.42, 0.54)))
    top, left = rng.integers(0, picture.shape[0] - side + 1, 2)
    cover = glyph(str(rng.choice(EMBLEMS)), side, float(rng.uniform(-0.5, 0.5)))[:, :, None]
    ink = rng.uniform(20, 230, 3)
    picture[top : top + side, left : left + side] = pixels(_PAPER + cover * (ink - _PAPER))


_PAINTERS: dict[str, Callable[[Picture, np.random.Generator, int], None]] = {
    "noise": _noise,
    "bars": _bars,
    "logo": _logo,
    "symbol": _symbol,
}
