"""Glyphs drawn from formulas: the shapes of needles and actors, and emblems that are neither."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Alpha = npt.NDArray[np.float32]
_Plane = npt.NDArray[np.float64]
_Inside = npt.NDArray[np.bool_]

SUPERSAMPLING = 4
"""Points per pixel side at which a formula is evaluated; their mean is the coverage."""


def _circle(x: _Plane, y: _Plane) -> _Inside:
    return np.hypot(x, y) < 0.78


def _ring(x: _Plane, y: _Plane) -> _Inside:
    radius = np.hypot(x, y)
    return (radius > 0.52) & (radius < 0.95)


def _square(x: _Plane, y: _Plane) -> _Inside:
    return np.maximum(abs(x), abs(y)) < 0.8


def _triangle(x: _Plane, y: _Plane) -> _Inside:
    return (y > -0.72) & (abs(x) < 0.58 * (0.98 - y))


def _spikes(x: _Plane, y: _Plane, points: int, inner: float) -> _Inside:
    """A star whose edges run from radius 1 at a tip to `inner` between two tips."""
    half = np.pi / points
    angle = abs((np.arctan2(x, y) + half) % (2 * half) - half)
    radius = np.hypot(x, y)
    edge_x, edge_y = inner * np.cos(half) - 1.0, inner * np.sin(half)
    inside: _Inside = (radius * np.cos(angle) - 1.0) * edge_y < radius * np.sin(angle) * edge_x
    return inside


def _star(x: _Plane, y: _Plane) -> _Inside:
    return _spikes(x, y, 5, 0.42)


def _cross(x: _Plane, y: _Plane) -> _Inside:
    wide, tall = abs(x), abs(y)
    return (np.minimum(wide, tall) < 0.29) & (np.maximum(wide, tall) < 0.92)


def _heart(x: _Plane, y: _Plane) -> _Inside:
    u, v = 1.25 * x, 1.25 * y + 0.12
    return (u**2 + v**2 - 1) ** 3 - u**2 * v**3 < 0


def _moon(x: _Plane, y: _Plane) -> _Inside:
    return (np.hypot(x, y) < 0.93) & (np.hypot(x - 0.5, y - 0.12) > 0.72)


def _hexagon(x: _Plane, y: _Plane) -> _Inside:
    slope = 0.5 * abs(x) + np.sqrt(0.75) * abs(y)
    inside: _Inside = np.maximum(slope, abs(x)) < 0.85
    return inside


def _chevron(x: _Plane, y: _Plane) -> _Inside:
    return (abs(y + abs(x) - 0.35) < 0.38) & (abs(x) < 0.9)


def _burst(x: _Plane, y: _Plane) -> _Inside:
    return _spikes(x, y, 9, 0.62)


def _stripes(x: _Plane, y: _Plane) -> _Inside:
    return (np.sin(9.0 * y) > 0) & (np.maximum(abs(x), abs(y)) < 0.85)


FORMULAS: dict[str, Callable[[_Plane, _Plane], _Inside]] = {
    "circle": _circle,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
    "moon": _moon,
    "hexagon": _hexagon,
    "chevron": _chevron,
    "burst": _burst,
    "stripes": _stripes,
}
"""Inside tests on the plane with x to the right, y up, and the glyph within radius 1."""

EMBLEMS = ("hexagon", "chevron", "burst", "stripes")
"""Formulas that no question knows; glitches show them."""


@lru_cache(maxsize=4)
def _grid(side: int) -> tuple[_Plane, _Plane]:
    axis = (np.arange(side * SUPERSAMPLING) + 0.5) * (2.0 / (side * SUPERSAMPLING)) - 1.0
    return np.meshgrid(axis, -axis)


def glyph(shape: str, side: int, angle: float) -> Alpha:
    """Coverage [side, side] in 0..1 of a shape that fills a square of `side` pixels.

    `angle` turns it anticlockwise, in radians. Raises KeyError for an unknown shape.
    """
    x, y = _grid(side)
    cos, sin = np.cos(angle), np.sin(angle)
    inside = FORMULAS[shape](cos * x + sin * y, cos * y - sin * x)
    cells = inside.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING)
    coverage: Alpha = cells.mean(axis=(1, 3), dtype=np.float32)
    return coverage
