"""What the runner cannot run yet is planned, and refused by name before anything is written."""

import json
from pathlib import Path

import pytest

from ntlbg_service.config_files.loader import load_suite
from ntlbg_service.domain.errors import CapacityError, UserError
from ntlbg_service.domain.expansion import expand
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.submission import prepare_suite, prepare_sweep
from tests.support.small_suites import LAB, a_suite, a_sweep


def test_a_sweep_skips_what_cannot_run_and_says_why(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path, model__quantisation=["none", "nf4"], hardware__num_gpus=[1, 16, 32])
    two = Inventory(name="two", groups=(NodeGroup(profile="A100-80GB", gpus=8, nodes=2, cores=96),))
    prepared = prepare_sweep(sweep, Workspace(home=tmp_path / "h", data_root=tmp_path), two)
    (run,) = prepared.runs
    assert [trial["name"] for trial in run.details["trials"]] == ["trial-001", "trial-002"]
    too_wide, quantised = prepared.skipped[:2]
    assert too_wide.endswith("num_gpus = 32): A100-80GB: needs 32 devices, there are 16")
    assert quantised.startswith('trial-004 (model.quantisation = "nf4", hardware.num_gpus = 1): ')
    assert "not built yet: model.quantisation = 'nf4'" in quantised
    assert list(prepared.skipped) == run.details["skipped"]


def test_a_sweep_starts_from_the_variant_as_its_scale_makes_it(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path, training__learning_rate=[1e-4])
    suite = json.loads((tmp_path / "suite.json").read_text())
    (variant,) = suite["groups"]["g"]["variants"]
    variant["scales"] = {"small": {"video.max_frames": 64}}
    suite["scales"] = {"small": "small.json"}
    (tmp_path / "small.json").write_text(json.dumps({"description": "d"}))
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    values = json.loads(sweep.read_text())
    sweep.write_text(json.dumps(values | {"scale": "small"}))
    prepared = prepare_sweep(sweep, Workspace(home=tmp_path / "h", data_root=tmp_path), LAB)
    (run,) = prepared.runs
    (trial,) = run.details["trials"]
    assert trial["config"]["video"]["max_frames"] == run.config["video"]["max_frames"] == 64


def test_a_sweep_of_which_nothing_can_run_is_refused(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path, hardware__num_gpus=[16, 32])
    with pytest.raises(
        CapacityError, match=r"sweep.json: no point can run here: trial-001 .*and 1 more"
    ):
        prepare_sweep(sweep, Workspace(home=tmp_path / "h", data_root=tmp_path), LAB)
    assert not (tmp_path / "h").exists()


def test_weights_that_cannot_be_spread_are_refused_by_name(tmp_path: Path) -> None:
    asked = {
        "model.tuning": "full",
        "model.vision": "trained",
        "video.max_frames": 512,
        "video.num_representatives": 16,
    }
    files = load_suite(a_suite(tmp_path, "all_weights", asked))
    workspace = Workspace(home=tmp_path / "home", data_root=tmp_path)
    small = Inventory(
        name="small",
        groups=(NodeGroup(profile="V100-16GB", gpus=8, nodes=4, host_memory_gib=16, cores=64),),
    )
    with pytest.raises(UserError, match=r"g/all_weights: not built yet: ZeRO-3.* 'trained'"):
        prepare_suite(files, expand(files), workspace, small)
    assert not (tmp_path / "home").exists()
