"""The seeded draw of a video's plan."""

import numpy as np

from ntlbg_model.data.needles.plan import (
    Actor,
    Glitch,
    GlitchKind,
    Needle,
    NeedlesSpec,
    Scene,
    VideoPlan,
)
from ntlbg_model.data.needles.vocabulary import BACKGROUNDS, COLOURS, SHAPES, needle_colours

GAP = 4
"""Least number of ordinary frames between two flashes or bursts."""
SCENE_LEAST = 16
"""Fewest frames of a scene."""
LONGEST_MARGIN = 1.25
"""The background that lasts longest does so by at least this factor over the second."""
BURST = 3
"""Frames of a glitch."""
BURSTS_PER_512 = 24
"""Glitches in 512 frames: 72 frames, more than the 64 representatives of 12.5 % coverage."""

_SPLIT_SEED = {"train": 1, "clean": 2, "glitch": 3}
_KINDS: tuple[GlitchKind, ...] = ("noise", "bars", "logo", "symbol")


def sample_video(spec: NeedlesSpec, index: int) -> VideoPlan:
    """The plan of video `index` of a set: a pure function of its arguments.

    Raises IndexError where the set has no such video.
    """
    if not 0 <= index < spec.videos:
        raise IndexError(f"video {index} of a set of {spec.videos}")
    rng = np.random.default_rng([spec.seed, _SPLIT_SEED[spec.split], index])
    noise = int(rng.integers(2**32))
    scenes = () if spec.haystack else _scenes(rng, spec.frames)
    shapes, counted = _flashes(rng)
    bursts = BURSTS_PER_512 * spec.frames // 512 if spec.split == "glitch" else 0
    lengths = [*(int(n) for n in rng.integers(1, 5, len(shapes))), *[BURST] * bursts]
    starts = _starts(rng, lengths, spec.frames)
    order = np.argsort(starts[: len(shapes)])
    colours = {
        shape: str(rng.choice(needle_colours(shape, held_out=spec.split != "train")))
        for shape in SHAPES
    }
    needles = tuple(
        _needle(rng, starts[place], lengths[place], shape, colours[shape])
        for place, shape in zip(order, shapes, strict=True)
    )
    glitches = tuple(
        Glitch(start=start, length=BURST, kind=_KINDS[turn % 4], seed=int(rng.integers(2**32)))
        for turn, start in enumerate(starts[len(shapes) :])
    )
    return VideoPlan(
        spec=spec,
        index=index,
        scenes=scenes,
        needles=needles,
        glitches=tuple(sorted(glitches, key=lambda glitch: glitch.start)),
        counted=counted,
        noise=noise,
    )


def _flashes(rng: np.random.Generator) -> tuple[list[str], str | None]:
    """The shapes that flash, in order of time, and the shape to be counted (None: count all).

    The answers to both kinds of count are uniform: 4 to 10 flashes in all, or 0 to 4 of one
    shape. At least two shapes flash once, so that 'right after the X' has one meaning.
    """
    names = [str(shape) for shape in rng.permutation(SHAPES)]
    counted, repeats, others = None, 0, int(rng.integers(4, 11))
    if rng.random() < 0.5:
        counted, repeats = names.pop(), int(rng.integers(5))
        others = int(rng.integers(6, 11)) - repeats
    fewest = min(others, max(3, 2 + -(-(others - 2) // 4)))
    distinct = int(rng.integers(fewest, min(others, len(names)) + 1))
    flashes = names[:distinct]
    room = names[2:distinct] * 3
    rng.shuffle(room)
    flashes += room[: others - distinct]
    if counted is not None:
        flashes += [counted] * repeats
    rng.shuffle(flashes)
    return flashes, counted


def _starts(rng: np.random.Generator, lengths: list[int], frames: int) -> list[int]:
    """First frames of events that are spread evenly at random, `GAP` apart, clear of the ends."""
    order = rng.permutation(len(lengths))
    slack = frames - sum(lengths) - GAP * (len(lengths) + 1)
    offsets = np.sort(rng.integers(0, slack + 1, len(lengths)))
    starts, used = [0] * len(lengths), GAP
    for offset, event in zip(offsets, order, strict=True):
        starts[event] = int(offset) + used
        used += lengths[event] + GAP
    return starts


def _needle(rng: np.random.Generator, start: int, length: int, shape: str, colour: str) -> Needle:
    """A flash near one of nine places: a tower of patches that is trained from scratch in minutes
    learns shapes that keep to its patch grid, and hardly any that appear everywhere."""
    side = float(rng.uniform(0.46, 0.54))
    places = 0.25 * rng.integers(1, 4, 2) + rng.uniform(-0.02, 0.02, 2)
    x, y = np.clip(places, side / 2, 1 - side / 2)
    tint = rng.integers(-8, 9, 3)
    return Needle(
        start=start,
        length=length,
        shape=shape,
        colour=colour,
        tint=(int(tint[0]), int(tint[1]), int(tint[2])),
        x=float(x),
        y=float(y),
        side=side,
        fill=float(rng.uniform(0.74, 0.88)),
        angle=float(rng.uniform(-0.12, 0.12)),
    )


def _scenes(rng: np.random.Generator, frames: int) -> tuple[Scene, ...]:
    """7 to 12 scenes for every 512 frames, with one background that clearly lasts longest."""
    while True:
        count = int(rng.integers(7, 13)) * frames // 512
        shares = rng.dirichlet(np.full(count, 2.0))
        edges = np.round(np.cumsum(shares) * (frames - SCENE_LEAST * count)).astype(int)
        stops = edges + SCENE_LEAST * np.arange(1, count + 1)
        starts = np.concatenate(([0], stops[:-1]))
        hues = _hues(rng, count)
        totals = np.bincount(hues, weights=stops - starts, minlength=len(BACKGROUNDS))
        second, longest = np.sort(totals)[-2:]
        if longest >= LONGEST_MARGIN * second:
            return tuple(
                _scene(rng, int(start), int(stop), tuple(BACKGROUNDS)[hue])
                for start, stop, hue in zip(starts, stops, hues, strict=True)
            )


def _hues(rng: np.random.Generator, count: int) -> list[int]:
    """Background indices, no two neighbours alike, some hues more frequent than others."""
    weights = rng.dirichlet(np.full(len(BACKGROUNDS), 2.0)) + 0.02
    hues: list[int] = []
    for _ in range(count):
        allowed = weights.copy()
        if hues:
            allowed[hues[-1]] = 0.0
        hues.append(int(rng.choice(len(BACKGROUNDS), p=allowed / allowed.sum())))
    return hues


def _scene(rng: np.random.Generator, start: int, stop: int, background: str) -> Scene:
    vx, vy = rng.uniform(-0.004, 0.004, 2)
    return Scene(
        start=start,
        stop=stop,
        background=background,
        tilt=float(rng.uniform(0, 2 * np.pi)),
        contrast=float(rng.uniform(0.1, 0.3)),
        vx=float(vx),
        vy=float(vy),
        texture=int(rng.integers(2**32)),
        actors=tuple(_actor(rng) for _ in range(int(rng.integers(1, 4)))),
    )


def _actor(rng: np.random.Generator) -> Actor:
    size = float(rng.uniform(0.2, 0.32))
    x, y = rng.uniform(size / 2, 1 - size / 2, 2)
    vx, vy = rng.uniform(0.004, 0.02, 2) * rng.choice((-1, 1), 2)
    return Actor(
        shape=str(rng.choice(SHAPES)),
        colour=str(rng.choice(tuple(COLOURS))),
        size=size,
        angle=float(rng.uniform(-0.25, 0.25)),
        x=float(x),
        y=float(y),
        vx=float(vx),
        vy=float(vy),
    )
