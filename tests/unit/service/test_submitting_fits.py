"""What the runner cannot run yet is planned, and refused by name before anything is written."""

import json
from pathlib import Path

import pytest

from ntlbg_service.client import prepare_suite
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.inventory import Inventory, NodeGroup
from ntlbg_service.domain.suite import expand
from ntlbg_service.loading import load_suite
from ntlbg_service.workspace import Workspace

LAB = Inventory(
    name="lab", groups=(NodeGroup(profile="A100-80GB", gpus=8, cores=96, host_memory_gib=768),)
)


def test_zero_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "main.json").write_text("{}")
    suite = tmp_path / "suite.json"
    variant = {"name": "all_weights", "overrides": {"model.tuning": "full"}}
    group = {"description": "d", "baseline": "all_weights", "variants": [variant]}
    suite.write_text(
        json.dumps({"name": "s", "config": "main.json", "seeds": [1], "groups": {"g": group}})
    )
    files = load_suite(suite)
    workspace = Workspace(home=tmp_path / "home", data_root=tmp_path)
    with pytest.raises(UserError, match=r"g/all_weights: not built yet: ZeRO-\d.* x A100-80GB"):
        prepare_suite(files, expand(files), workspace, LAB)
    assert not (tmp_path / "home").exists()
