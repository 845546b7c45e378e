"""Disk that checkpoints take: counted from what is trained and how often it is saved."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config
from ntlbg_service.domain.planning.disk import checkpoint_gib, checkpoints_of, disk_of
from tests.support.builders import tiny_config


@given(st.integers(1, 5000), st.integers(1, 1000), st.integers(1, 9))
def test_what_gc_leaves_is_never_more_than_what_is_written(
    steps: int, every: int, many: int
) -> None:
    config = tiny_config(max_steps=steps, save_steps=every)
    assert (checkpoints_of(config) - 1) * every < steps <= checkpoints_of(config) * every
    found = disk_of([(config, many)])
    assert 0 < found.kept <= found.written
    assert found.largest == checkpoint_gib(config)


def test_without_training_nothing_is_written() -> None:
    assert disk_of([(tiny_config(max_steps=0), 5)]).written == 0


def test_full_tuning_saves_the_whole_model() -> None:
    lora = Config()
    full = replace(lora, model=replace(lora.model, tuning="full"))
    assert checkpoint_gib(lora) < 2 < 80 < checkpoint_gib(full) < 100
    eight = replace(full, training=replace(full.training, optimizer="adamw_8bit"))
    assert checkpoint_gib(eight) < checkpoint_gib(full)
