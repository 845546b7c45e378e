"""Frames as the patches that a vision tower without a fixed shape is given."""

from torch import Tensor

from ntlbg_model.geometry.pixel_limits import CELL


def cells(values: Tensor, patch: int, together: int = 1) -> Tensor:
    """Frames [n, 3, h, w] as the patches of each token: [n / together, tokens, CELL**2, numbers].

    A patch is `patch` x `patch` pixels of `together` frames.
    """
    frames, channels, height, width = values.shape
    side = patch * CELL
    parts = values.reshape(
        frames // together,
        together,
        channels,
        height // side,
        CELL,
        patch,
        width // side,
        CELL,
        patch,
    )
    parts = parts.permute(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return parts.reshape(frames // together, -1, CELL**2, channels * together * patch**2)
