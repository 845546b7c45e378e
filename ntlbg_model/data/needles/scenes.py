"""Drawn backgrounds with moving actors.

All pixel values are kept within `DARKEST`..`BRIGHTEST`, so that sensor noise can be added in
unsigned bytes without overflow.
"""

import math

import numpy as np
import numpy.typing as npt

from ntlbg_model.data.needles.plan import Actor, Scene
from ntlbg_model.data.needles.shapes import glyph
from ntlbg_model.data.needles.vocabulary import BACKGROUNDS, COLOURS

Picture = npt.NDArray[np.uint8]
"""[height, width, 3] RGB."""

DARKEST, BRIGHTEST = 16, 239


def _bounce(position: float, low: float, high: float) -> float:
    """`position` folded back into low..high, as by mirrors at both ends."""
    span = high - low
    phase = (position - low) % (2 * span)
    return low + min(phase, 2 * span - phase)


def pixels(values: npt.NDArray[np.floating]) -> Picture:
    """Rounded to bytes within the allowed range."""
    rounded: Picture = np.clip(np.rint(values), DARKEST, BRIGHTEST).astype(np.uint8)
    return rounded


class _Sprite:
    """An actor ready to be pasted."""

    def __init__(self, actor: Actor, resolution: int) -> None:
        self._actor = actor
        self._side = max(8, round(actor.size * resolution))
        self._room = resolution - self._side
        cover = glyph(actor.shape, self._side, actor.angle)[:, :, None]
        self._keep = 1.0 - cover
        self._paint = cover * np.array(COLOURS[actor.colour], np.float32)

    def paste(self, picture: Picture, age: int) -> None:
        """Draw it into `picture` as it stands `age` frames into the scene."""
        half = self._actor.size / 2
        x = _bounce(self._actor.x + self._actor.vx * age, half, 1 - half) - half
        y = _bounce(self._actor.y + self._actor.vy * age, half, 1 - half) - half
        scale = self._room / (1 - self._actor.size)
        top, left = round(y * scale), round(x * scale)
        patch = picture[top : top + self._side, left : left + self._side]
        patch[:] = (patch * self._keep + self._paint + 0.5).astype(np.uint8)


class DrawnScene:
    """A scene ready to be drawn frame by frame."""

    def __init__(self, scene: Scene, resolution: int) -> None:
        self._scene = scene
        self._resolution = resolution
        self._margin = resolution // 4
        self._backdrop = _backdrop(scene, resolution + self._margin)
        self._sprites = [_Sprite(actor, resolution) for actor in scene.actors]

    def draw(self, picture: Picture, frame: int) -> None:
        """Fill `picture` with frame `frame` of the video, which must belong to the scene."""
        age = frame - self._scene.start
        room = self._margin / self._resolution
        top = round(_bounce(room / 2 + self._scene.vy * age, 0.0, room) * self._resolution)
        left = round(_bounce(room / 2 + self._scene.vx * age, 0.0, room) * self._resolution)
        picture[:] = self._backdrop[top : top + self._resolution, left : left + self._resolution]
        for sprite in self._sprites:
            sprite.paste(picture, age)


def _backdrop(scene: Scene, side: int) -> Picture:
    """[side, side, 3]: the hue under a brightness gradient and three soft waves."""
    rng = np.random.default_rng(scene.texture)
    axis = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    gradient = math.cos(scene.tilt) * axis[None, :] + math.sin(scene.tilt) * axis[:, None]
    light = 1.0 + scene.contrast * gradient
    for _ in range(3):
        kx, ky = rng.uniform(-6, 6, 2).astype(np.float32)
        phase = np.float32(rng.uniform(0, 2 * np.pi))
        light = light + 0.04 * np.cos(kx * axis[None, :] + ky * axis[:, None] + phase)
    hue = np.array(BACKGROUNDS[scene.background], np.float32)
    return pixels(light[:, :, None] * hue)
