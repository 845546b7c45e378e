"""Which kinds hold which configs: the fit's own word, each config told once a kind."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ntlbg_model.config import Config, HardwareConfig, ModelConfig, VideoConfig
from ntlbg_service.domain.fitting.analysis import NODE
from ntlbg_service.domain.fitting.fit import Misfit, fit
from ntlbg_service.domain.hardware.profiles import PROFILES
from ntlbg_service.domain.planning.reach import nodes_of, reach, too_many_gpus

GPUS = [name for name, profile in PROFILES.items() if not profile.is_cpu]


@st.composite
def configs(draw: st.DrawFn) -> Config:
    return Config(
        video=VideoConfig(
            max_frames=8192, num_representatives=draw(st.sampled_from([64, 512, 1024]))
        ),
        model=ModelConfig(tuning=draw(st.sampled_from(["lora", "full"]))),
        hardware=HardwareConfig(profile=draw(st.sampled_from([None, "A100-40GB", "V100_16GB"]))),
    )


@settings(deadline=None, max_examples=30)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), configs(), min_size=1),
    st.lists(st.sampled_from(GPUS), min_size=1, max_size=3, unique=True),
)
def test_every_config_is_told_once_a_kind_as_the_fit_has_it(
    named: dict[str, Config], kinds: list[str]
) -> None:
    for kind in reach(named, nodes_of(kinds)):
        told = [*kind.fits, *kind.planned, *kind.misfits]
        assert sorted(told) == sorted(set(told))
        for name in told:
            found = fit(named[name], PROFILES[kind.profile], NODE)
            if isinstance(found, Misfit):
                assert kind.misfits[name] == found.reason
            else:
                assert name in (kind.fits if found.unsupported is None else kind.planned)


def test_a_kind_that_no_config_may_use_is_not_told() -> None:
    pinned = Config(hardware=HardwareConfig(profile="A100_40GB"))
    (kind,) = reach({"pinned": pinned}, nodes_of(["V100-32GB", "A100-40GB"]))
    assert (kind.profile, kind.fits) == ("A100-40GB", ("pinned",))


def test_more_gpus_than_a_node_has() -> None:
    asking = Config(hardware=HardwareConfig(num_gpus=NODE.gpus + 1))
    assert too_many_gpus(asking, nodes_of(["A100-40GB"])) is not None
    assert too_many_gpus(Config(), nodes_of(["A100-40GB"])) is None
