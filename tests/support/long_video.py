"""An MP4 of 31 minutes and 9300 frames in which one shape flashes for a moment."""

from itertools import cycle
from pathlib import Path

import av

from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.render import render
from ntlbg_model.data.needles.sampling import sample_video

SIDE = 56
FPS = 5
FRAMES = 31 * 60 * FPS
FLASH_AT = 7000
"""First frame of the flash."""


def write_long_video(path: Path) -> tuple[str, str]:
    """Write the video; the shape that flashes, and its colour."""
    plan = sample_video(NeedlesSpec(split="clean", videos=1, seed=6, resolution=SIDE), 0)
    rendered = render(plan)
    needle = plan.needles[0]
    flashes = {frame for one in plan.needles for frame in one.frames}
    scenery = cycle([rendered[i] for i in range(64) if i not in flashes])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast"}
        stream.codec_context.gop_size = 100
        stream.codec_context.thread_count = 1
        for number in range(FRAMES):
            shows = FLASH_AT <= number < FLASH_AT + 2
            pixels = rendered[needle.start] if shows else next(scenery)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return needle.shape, needle.colour
