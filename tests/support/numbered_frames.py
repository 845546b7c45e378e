"""Videos whose frames show their own number."""

from pathlib import Path

import av
import numpy as np

BITS = 8
BARS_FRAMES = 200
BARS_SIZE = (32, 64)


def bars(number: int) -> np.ndarray:
    """A frame that shows its number in binary, as bars."""
    frame = np.zeros((*BARS_SIZE, 3), np.uint8)
    for bit in range(BITS):
        frame[:, 8 * bit : 8 * bit + 8] = 255 * (number >> bit & 1)
    return frame


def read_bars(frame: np.ndarray) -> int:
    """The number that a decoded frame shows."""
    lit = frame[8:24].reshape(16, BITS, 8, 3)[:, :, 2:6].mean(axis=(0, 2, 3)) > 128
    return int(sum(1 << bit for bit in range(BITS) if lit[bit]))


def write_bars(path: Path, *, uneven: bool = False, first: int = 0) -> None:
    """200 numbered frames at 10 a second, with B-frames and a keyframe every 25.

    `uneven`: every third frame is shown twice as long. `first`: timestamp of the first frame.
    """
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = BARS_SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"bf": "2", "sc_threshold": "0"}
        stream.codec_context.gop_size = 25
        stream.codec_context.thread_count = 1
        pts = first
        for number in range(BARS_FRAMES):
            frame = av.VideoFrame.from_ndarray(bars(number), format="rgb24")
            frame.pts = pts
            pts += 2 if uneven and number % 3 == 0 else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
