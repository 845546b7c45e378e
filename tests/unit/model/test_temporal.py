"""Attention over points: bounded memory, and the same result while the memory suffices."""

from collections.abc import Iterator

import pytest
import torch

from ntlbg_model.config import TemporalConfig
from ntlbg_model.geometry.connector_size import TIME_WIDTH
from ntlbg_model.tokens.memory_bank import MemoryBank
from ntlbg_model.tokens.temporal import SEGMENT, TemporalEncoder
from ntlbg_model.tokens.time_encoding import time_encoding

WIDTH = 16


def encoder(**options: object) -> TemporalEncoder:
    torch.manual_seed(0)
    module = TemporalEncoder(WIDTH, TemporalConfig(**{"layers": 4} | options))
    torch.nn.init.normal_(module.leave.weight)
    return module


def points(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, WIDTH, generator=generator), torch.arange(count) / 2


@pytest.mark.parametrize("hierarchical", [False, True])
@pytest.mark.parametrize("count", [1, SEGMENT, 3 * SEGMENT + 5])
def test_a_bank_that_holds_every_point_changes_nothing(count: int, hierarchical: bool):
    whole = encoder(hierarchical=hierarchical)
    streamed = encoder(hierarchical=hierarchical, memory_bank_size=64)
    streamed.load_state_dict(whole.state_dict())
    with torch.no_grad():
        assert torch.allclose(whole(*points(count)), streamed(*points(count)), atol=1e-5)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_small_bank_is_another_result(hierarchical: bool):
    whole = encoder(hierarchical=hierarchical)
    small = encoder(hierarchical=hierarchical, memory_bank_size=2)
    with torch.no_grad():
        assert not torch.allclose(whole(*points(64)), small(*points(64)), atol=1e-3)


@pytest.mark.parametrize("count", [5, 100, 2000])
def test_the_bank_never_outgrows_its_bound(count: int):
    bank = MemoryBank(24)
    stream = points(count)[0]
    for chunk in stream.split(SEGMENT):
        bank.add(chunk)
    assert len(bank.states) == min(count, 24)
    assert bank.peak <= 24 + SEGMENT
    assert bank.weights.sum() == count
    mean = (bank.weights[:, None] * bank.states).sum(0) / count
    assert torch.allclose(mean, stream.mean(0), atol=1e-4)


def test_the_most_similar_neighbours_are_merged():
    bank = MemoryBank(3)
    bank.add(torch.tensor([[1.0, 0], [0, 1.0], [0, 3.0], [-1.0, 0]]))
    assert bank.states.tolist() == [[1, 0], [0, 2], [-1, 0]]
    assert bank.weights.tolist() == [1, 2, 1]
    bank.add(torch.tensor([[0.0, 5.0]]))
    assert torch.allclose(bank.states, torch.tensor([[1 / 3, 4 / 3], [-1, 0], [0, 5]]))


def test_an_empty_bank_says_so():
    for name in ("states", "weights"):
        with pytest.raises(ValueError, match="nothing was added"):
            getattr(MemoryBank(2), name)
    with pytest.raises(ValueError, match="room for one state"):
        MemoryBank(0)


def test_hours_of_video_stream_through_constant_memory():
    """A day in 1, 10 or 60 segments, one at a time: what is kept has the bank's size."""
    module = encoder(layers=2, memory_bank_size=8)
    generator = torch.Generator().manual_seed(2)
    read = 0

    def segments(count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        nonlocal read
        for number in range(count):
            read += SEGMENT
            start = number * 86400 / count
            yield torch.randn(SEGMENT, WIDTH, generator=generator), start + torch.arange(SEGMENT)

    with torch.no_grad():
        sizes = [[len(s) for s in module.remember(segments(count))] for count in (1, 10, 60)]
        gained = module.enrich(*points(SEGMENT), module.remember(segments(3)))
    assert sizes == [[8, 8]] * 3 and read == (1 + 10 + 60 + 3) * SEGMENT
    assert gained.shape == (SEGMENT, WIDTH) and torch.isfinite(gained).all()


def test_the_first_step_adds_nothing():
    module = TemporalEncoder(WIDTH, TemporalConfig(layers=2))
    assert torch.equal(module(*points(20)), torch.zeros(20, WIDTH))


def test_points_see_each_other_across_segments_and_times_matter():
    for hierarchical in (False, True):
        module = encoder(hierarchical=hierarchical)
        x, times = points(40)
        other = x.clone()
        other[-1] += 1
        with torch.no_grad():
            base = module(x, times)
            assert not torch.allclose(base[0], module(other, times)[0], atol=1e-6)
            assert not torch.allclose(base, module(x, 7 * times), atol=1e-3)


def test_time_encodings_have_no_end():
    times = torch.tensor([0.0, 0.5, 1.0, 3600.0, 3601.0, 10 * 3600.0, 100 * 3600.0])
    found = time_encoding(times)
    assert found.shape == (7, TIME_WIDTH) and torch.isfinite(found).all()
    apart = torch.cdist(found, found) + 10 * torch.eye(7)
    assert apart.min() > 0.05


@pytest.mark.parametrize("options", [{"hierarchical": True}, {"memory_bank_size": 4}])
def test_options_without_layers_are_refused(options: dict[str, int]):
    with pytest.raises(ValueError, match="needs temporal layers above 0"):
        TemporalConfig(**options)
