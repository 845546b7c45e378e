"""What two configs do differently: nothing missed, nothing made up."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.difference import difference
from ntlbg_service.domain.resolve import Layer, leaves, resolve

OVERRIDES: dict[str, st.SearchStrategy[Any]] = {
    "video.max_frames": st.sampled_from([2048, 4096]),
    "video.frame_resolution": st.sampled_from([[56, 56], [224, 224]]),
    "selection.method": st.sampled_from(["ntlbg", "uniform"]),
    "training.precision": st.sampled_from(["auto", "bf16"]),
    "hardware.num_gpus": st.sampled_from([None, 2]),
    "data.train": st.lists(
        st.sampled_from(["one", "two", "three"]).map(lambda name: {"name": name, "path": name}),
        unique_by=lambda dataset: dataset["name"],
        max_size=3,
    ),
}
layers = st.fixed_dictionaries({}, optional=OVERRIDES)


@given(layers, layers)
def test_exactly_the_options_that_differ_are_named(a: dict[str, Any], b: dict[str, Any]) -> None:
    left, right = resolve([Layer("a", a)]), resolve([Layer("b", b)])
    changes = difference(left, right)
    ours, theirs = leaves(left.config), leaves(right.config)
    differing = {path for path in ours if ours[path] != theirs[path]}
    assert {_leaf(change.option, ours) for change in changes} == differing
    for change in changes:
        if change.option in ours:
            assert change.a is not None and change.a.value == ours[change.option]
            assert change.b is not None and change.b.value == theirs[change.option]


@given(layers)
def test_a_config_does_not_differ_from_itself(values: dict[str, Any]) -> None:
    config = resolve([Layer("a", values)])
    assert difference(config, config) == ()


def test_each_side_says_where_its_value_was_set() -> None:
    sets = [{"name": "x", "path": "x"}, {"name": "y", "path": "y"}]
    a = resolve([Layer("base.json", {"data.train": sets[:1]})])
    b = resolve([Layer("base.json", {}), Layer("other.json", {"data": {"train": sets}})])
    changes = {change.option: change for change in difference(a, b)}
    added = changes["data.train.1.name"]
    assert "data.train.0.name" not in changes
    assert added.a is None
    assert added.b is not None and (added.b.value, added.b.source) == ("y", "other.json")


def _leaf(option: str, known: dict[str, Any]) -> str:
    parts = option.split(".")
    return next(
        path for end in range(len(parts), 0, -1) if (path := ".".join(parts[:end])) in known
    )
