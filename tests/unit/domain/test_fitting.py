"""Each shape is fitted once; what is left out of a shape changes no fit."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ntlbg_model.config import Config, DataConfig, DatasetConfig, VideoConfig
from ntlbg_service.domain.fitting.fit import Fit, Misfit, fit
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.hardware.profiles import PROFILES, NodeShape
from ntlbg_service.domain.planning.fitter import Fitter, shape_of

LAB = Inventory(
    name="lab",
    groups=(
        NodeGroup(profile="V100-32GB", gpus=8),
        NodeGroup(profile="A100-40GB", gpus=8, host_memory_gib=1000),
        NodeGroup(profile="A100_40GB", gpus=8, host_memory_gib=1000, nodes=2),
    ),
)
CONFIG = Config(video=VideoConfig(max_frames=1024))


@pytest.mark.parametrize(
    ("section", "changed"),
    [
        ("training", {"learning_rate": 1e-3, "weight_decay": 0.5, "warmup_steps": 7}),
        ("training", {"lr_scheduler": "linear", "max_grad_norm": 9.0, "save_steps": 1}),
        ("selection", {"temperature": 0.1, "uniform_floor": 0.0, "contour_quantile": 0.5}),
        ("model", {"lora_alpha": 64}),
    ],
)
def test_what_a_shape_leaves_out_changes_no_fit(section: str, changed: dict[str, Any]) -> None:
    other = replace(CONFIG, **{section: replace(getattr(CONFIG, section), **changed)})
    data = DataConfig(evaluation=(DatasetConfig(name="x", path="y"),))
    other = replace(other, data=data)
    assert shape_of(other) == shape_of(CONFIG)
    node = NodeShape(cores=8, host_memory_gib=512, gpus=8)
    for profile in PROFILES.values():
        assert fit(other, profile, node) == fit(CONFIG, profile, node)


def test_what_memory_depends_on_makes_another_shape() -> None:
    for section, changed in (
        ("video", {"num_representatives": 64}),
        ("training", {"max_steps": 2000}),
        ("hardware", {"num_gpus": 2}),
    ):
        other = replace(CONFIG, **{section: replace(getattr(CONFIG, section), **changed)})
        assert shape_of(other) != shape_of(CONFIG)


def test_each_shape_is_fitted_once_for_each_kind_of_node(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def counting(config: Config, profile: Any, node: NodeShape, **more: Any) -> Fit | Misfit:
        asked.append((profile.name, more["nodes"]))
        return fit(config, profile, node, **more)

    monkeypatch.setattr("ntlbg_service.domain.planning.fitter.fit", counting)
    fitter = Fitter(LAB)
    rates = [replace(CONFIG.training, learning_rate=rate) for rate in (1e-5, 2e-5, 3e-5)]
    found = [fitter(replace(CONFIG, training=training)) for training in rates]
    assert asked == [("V100-32GB", 1), ("A100-40GB", 2)]
    assert found[0] is found[1] is found[2]


def test_wider_fits_double_the_gpus_as_long_as_that_is_faster() -> None:
    fitter = Fitter(LAB)
    least = {found.profile: found for found in fitter(CONFIG)[0]}
    wider = fitter.wider(CONFIG)
    assert wider is fitter.wider(CONFIG)
    for profile, one in least.items():
        gangs = [found for found in wider if found.profile == profile]
        doubled = [one.workers * 2**n for n in range(1, len(gangs) + 1)]
        assert [found.workers for found in gangs] == doubled
        assert len(gangs) >= 3
        for narrow, wide in pairwise([one, *gangs]):
            assert wide.hours < narrow.hours
            assert wide.numerics == narrow.numerics
            assert wide.micro_batch * wide.accumulation * wide.workers == 32


def test_a_config_that_says_how_many_gpus_is_not_widened() -> None:
    fixed = replace(CONFIG, hardware=replace(CONFIG.hardware, num_gpus=2))
    assert Fitter(LAB).wider(fixed) == ()


def test_a_run_is_widened_onto_several_nodes_where_that_is_faster() -> None:
    assert max(found.nodes for found in Fitter(LAB).wider(CONFIG)) == 2
