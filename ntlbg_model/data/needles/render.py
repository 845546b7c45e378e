"""A plan to frames."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ntlbg_model.data.needles import glitches
from ntlbg_model.data.needles.footage import Footage
from ntlbg_model.data.needles.plan import Needle, VideoPlan
from ntlbg_model.data.needles.scenes import BRIGHTEST, DARKEST, DrawnScene, Picture, pixels
from ntlbg_model.data.needles.shapes import glyph
from ntlbg_model.data.needles.vocabulary import COLOURS

Frames = npt.NDArray[np.uint8]
"""[frames, height, width, 3] RGB."""

NOISE_SIGMA = 2.0
"""Standard deviation of the sensor noise, in grey levels; cut off at four of them."""
BOX = (18, 18, 20)
RIM = (176, 176, 180)


def render(plan: VideoPlan) -> Frames:
    """All frames of a video, [frames, resolution, resolution, 3] RGB."""
    return render_frames(plan, range(plan.frames))


def render_frames(plan: VideoPlan, indices: Sequence[int]) -> Frames:
    """Frames `indices` of a video, in that order, equal byte for byte to those of `render`.

    Raises IndexError for a frame that the video does not have.
    """
    for index in (min(indices, default=0), max(indices, default=0)):
        if not 0 <= index < plan.frames:
            raise IndexError(f"frame {index} of a video of {plan.frames}")
    side = plan.spec.resolution
    out = np.empty((len(indices), side, side, 3), np.uint8)
    draw = _background(plan)
    flashes = {frame: needle for needle in plan.needles for frame in needle.frames}
    bursts = {
        glitch.start + age: glitch for glitch in plan.glitches for age in range(glitch.length)
    }
    cards: dict[int, Picture] = {}
    for picture, index in zip(out, indices, strict=True):
        draw(picture, index)
        if index in flashes:
            needle = flashes[index]
            if needle.start not in cards:
                cards[needle.start] = _card(needle, side)
            _paste_card(picture, needle, cards[needle.start])
        elif index in bursts:
            glitches.paste(picture, bursts[index], index)
    return out


def _background(plan: VideoPlan) -> Callable[[Picture, int], None]:
    """What draws the frame behind needles and glitches."""
    return Footage(plan).draw if plan.spec.haystack else _scenery(plan)


def _scenery(plan: VideoPlan) -> Callable[[Picture, int], None]:
    """Drawn scenes under sensor noise."""
    side = plan.spec.resolution
    rng = np.random.default_rng(plan.noise)
    spread = rng.normal(0.0, NOISE_SIGMA, (2 * side, 2 * side, 3)).clip(
        -4 * NOISE_SIGMA, 4 * NOISE_SIGMA
    )
    # Two's complement: adding 256 - n in bytes subtracts n, and the range leaves room.
    noise = np.rint(spread).astype(np.int8).view(np.uint8)
    shifts = rng.integers(0, side + 1, (plan.frames, 2))
    owner = np.repeat(
        np.arange(len(plan.scenes)), [scene.stop - scene.start for scene in plan.scenes]
    )
    drawn: dict[int, DrawnScene] = {}

    def draw(picture: Picture, frame: int) -> None:
        scene = int(owner[frame])
        if scene not in drawn:
            drawn[scene] = DrawnScene(plan.scenes[scene], side)
        drawn[scene].draw(picture, frame)
        top, left = shifts[frame]
        picture += noise[top : top + side, left : left + side]

    return draw


def _card(needle: Needle, resolution: int) -> Picture:
    """[side, side, 3]: the glyph in its dark box with a light rim."""
    side = round(needle.side * resolution)
    size = round(needle.fill * side)
    rim = max(1, resolution // 56)
    card = np.empty((side, side, 3), np.float32)
    card[:] = RIM
    card[rim:-rim, rim:-rim] = BOX
    cover = glyph(needle.shape, size, needle.angle)[:, :, None]
    colour = np.array(COLOURS[needle.colour], np.float32) + needle.tint
    edge = (side - size) // 2
    field = card[edge : edge + size, edge : edge + size]
    field += cover * (colour.clip(DARKEST, BRIGHTEST) - field)
    return pixels(card)


def needle_window(needle: Needle, resolution: int) -> tuple[slice, slice]:
    """Rows and columns of a frame that the needle's box covers."""
    side = round(needle.side * resolution)
    room = resolution - side
    top = min(max(round(needle.y * resolution - side / 2), 0), room)
    left = min(max(round(needle.x * resolution - side / 2), 0), room)
    return slice(top, top + side), slice(left, left + side)


def _paste_card(picture: Picture, needle: Needle, card: Picture) -> None:
    rows, columns = needle_window(needle, picture.shape[0])
    picture[rows, columns] = card
