"""What the fit makes of a config: its own choice, explained, and never a change of learning."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ntlbg_model.config import Config, HardwareConfig, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_service.domain.difference import difference
from ntlbg_service.domain.fitting.analysis import NODE
from ntlbg_service.domain.fitting.fit import Fit, Misfit, fit
from ntlbg_service.domain.fitting.optimisation import Optimisation, applied, as_it_stands, optimise
from ntlbg_service.domain.hardware.profiles import PROFILES, Profile, profile_named
from ntlbg_service.domain.resolve import Resolved, leaves

EXECUTION = {"training.precision", "hardware.profile", "hardware.num_gpus"}
"""What may be written into a config."""

kinds = st.sampled_from([profile for profile in PROFILES.values() if not profile.is_cpu])


@st.composite
def configs(draw: st.DrawFn) -> Config:
    return Config(
        video=VideoConfig(
            max_frames=8192, num_representatives=draw(st.sampled_from([64, 256, 512, 1024]))
        ),
        model=ModelConfig(
            tuning=draw(st.sampled_from(["lora", "full"])),
            gradient_checkpointing=draw(st.booleans()),
        ),
        training=TrainingConfig(global_batch=draw(st.sampled_from([8, 32, 64]))),
        hardware=HardwareConfig(num_gpus=draw(st.sampled_from([None, 1, 4]))),
    )


@settings(deadline=None)
@given(configs(), kinds)
def test_it_is_the_fits_own_choice_and_is_written_down_as_such(
    config: Config, profile: Profile
) -> None:
    found = optimise(config, profile, NODE).found
    assert found == fit(config, profile, NODE)
    if isinstance(found, Misfit):
        return
    written = applied(config, found)
    again = fit(written, profile, NODE)
    assert isinstance(again, Fit)
    assert again.step == found.step
    assert again.predicted_gib == found.predicted_gib <= found.limit_gib
    origins = dict.fromkeys(leaves(config), "")
    changed = difference(Resolved(config, origins), Resolved(written, origins))
    assert {change.option for change in changed} <= EXECUTION


@settings(deadline=None)
@given(configs(), kinds)
def test_every_setting_keeps_the_global_batch_and_says_why(
    config: Config, profile: Profile
) -> None:
    found = optimise(config, profile, NODE)
    rows = {row.name: row for row in found.settings}
    if isinstance(found.found, Misfit):
        assert not rows
        return
    before = as_it_stands(config, profile)
    parts = [rows[name].after for name in ("micro-batch", "accumulation", "GPUs")]
    assert parts == [found.found.micro_batch, found.found.accumulation, found.found.workers]
    assert before.micro_batch * before.workers == config.training.global_batch
    assert all(row.reason for row in rows.values())


def lora_on(kind: str, **video: int) -> Optimisation:
    config = Config(video=VideoConfig(**video))
    return optimise(config, profile_named(kind), NODE)


def test_where_nothing_fits_other_variants_are_suggested_with_their_numbers() -> None:
    found = lora_on("V100_16GB", max_frames=8192, num_representatives=1024)
    assert isinstance(found.found, Misfit)
    (fewer,) = [row for row in found.suggestions if "video.num_representatives" in row.options]
    assert fewer.options == {"video.num_representatives": 512}
    assert fewer.found.predicted_gib <= fewer.found.limit_gib


def test_full_tuning_is_told_of_lora() -> None:
    config = Config(model=ModelConfig(tuning="full"))
    found = optimise(config, profile_named("A100-40GB"), NODE)
    assert {"model.tuning": "lora"} in [row.options for row in found.suggestions]


def test_a_kind_named_in_the_config_does_not_forbid_another() -> None:
    config = Config(hardware=HardwareConfig(profile="A100-80GB"))
    found = optimise(config, profile_named("V100-32GB"), NODE)
    assert isinstance(found.found, Fit)
    (kind,) = [row for row in found.settings if row.name == "GPU kind"]
    assert (kind.before, kind.after) == ("A100-80GB", "V100-32GB")


def test_an_explicit_precision_is_kept_or_refused_with_what_would_do() -> None:
    config = Config(training=replace(TrainingConfig(), precision="bf16"))
    found = optimise(config, profile_named("V100-32GB"), NODE)
    assert isinstance(found.found, Misfit)
    assert {"training.precision": "auto"} in [row.options for row in found.suggestions]


def test_where_memory_costs_nothing_nothing_is_suggested() -> None:
    config = Config(
        video=VideoConfig(max_frames=512, num_representatives=64, frame_resolution=(56, 56)),
        model=ModelConfig(base_model="tiny"),
        training=TrainingConfig(global_batch=4),
    )
    assert optimise(config, profile_named("A100-80GB"), NODE).suggestions == ()
