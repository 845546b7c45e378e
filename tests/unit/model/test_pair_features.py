"""Pixel statistics: exact in bytes, and the same block by block."""

import pytest
import torch

from ntlbg_model.selection import features
from ntlbg_model.selection.features import features_of, pair_features, pair_statistics


def frames(count: int, height: int = 56, width: int = 84) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("size", [(28, 28), (56, 84), (224, 224)])
def test_whole_cells_equal_any_cells(size: tuple[int, int]) -> None:
    pixels = frames(6, *size)
    for fast, plain in zip(features._whole_cells(pixels), features._any_cells(pixels), strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_sides_that_no_cell_divides_are_taken_too() -> None:
    assert pair_features(frames(8, 50, 61)).shape == (4, 4 * 49)


def test_a_hand_case() -> None:
    pixels = torch.zeros(2, 28, 28, 3, dtype=torch.uint8)
    pixels[0, :4, :4] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    pixels[1, :4, :2] = 255
    statistics = pair_statistics(pixels)[0]
    assert statistics[[0, 49, 98]].tolist() == pytest.approx([0.75, 0.25, 0.25])
    assert statistics[features.COLOURS] == pytest.approx(0.5)
    assert statistics.sum() == pytest.approx(0.75 + 0.25 + 0.25 + 0.5)


def test_block_by_block_is_the_whole() -> None:
    pixels = frames(75)
    blocks = torch.cat([pair_statistics(part) for part in torch.split(pixels, 10)])
    assert torch.equal(blocks, pair_statistics(pixels))
    assert torch.equal(features_of(blocks), pair_features(pixels))
    assert len(blocks) == 37


def test_no_frames_have_no_statistics() -> None:
    assert pair_statistics(frames(1)).shape == (0, 4 * 49)
