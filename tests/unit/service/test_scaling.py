"""A fit goes to nodes of its kind, all of it together or spread as it says."""

from dataclasses import replace

import pytest

from ntlbg_service.domain.hardware.labels import NODE, PROFILE
from ntlbg_service.runner.scaling import scaling_of
from tests.support.builders import cpu_fit, tiny_config

FIT = cpu_fit(tiny_config())


@pytest.mark.parametrize(
    ("workers", "nodes", "expected"),
    [(1, 1, "PACK"), (2, 1, "STRICT_PACK"), (2, 2, "STRICT_SPREAD"), (16, 2, "PACK")],
)
def test_a_gang_is_placed_as_its_fit_says(workers: int, nodes: int, expected: str) -> None:
    found = scaling_of(replace(FIT, workers=workers, nodes=nodes), [{}])
    assert (found.num_workers, found.placement_strategy) == (workers, expected)


def test_labels_are_heeded_where_there_are_any() -> None:
    fit = replace(FIT, profile="A100-80GB")
    assert scaling_of(fit, [{}, {"ray.io/accelerator-type": "A100"}]).label_selector is None
    found = scaling_of(fit, [{}, {PROFILE: "V100-32GB"}])
    assert found.label_selector == {PROFILE: "in(A100-80GB,A100_80GB,A100-80G)"}
    assert found.use_gpu


def test_workers_go_to_the_nodes_that_they_were_placed_on() -> None:
    fit = replace(FIT, profile="A100-80GB", workers=4, nodes=2)
    found = scaling_of(fit, [{PROFILE: "A100-80GB"}], ["b", "a"])
    assert found.label_selector == [{NODE: "b"}, {NODE: "b"}, {NODE: "a"}, {NODE: "a"}]
