"""A kind of GPU of one's own: its schema, its check, a plan on it."""

import json
from pathlib import Path

import pytest

from tests.support.kinds import ADA, GROUP, write
from tests.support.ntlbg_call import Ntlbg

ABLATIONS = Path(__file__).parents[3] / "configs" / "experiments" / "ablation_studies.json"


def test_the_schema_documents_every_field(ntlbg: Ntlbg) -> None:
    schema = json.loads(ntlbg("config", "schema", "--kind", "profile"))
    assert set(ADA) <= set(schema["properties"])


def test_a_file_of_a_kind_is_validated(ntlbg: Ntlbg, tmp_path: Path) -> None:
    kind = write(tmp_path / "ada.json", ADA)
    assert ntlbg("config", "validate", kind) == f"{kind}: GPU kind RTX6000-48GB\n"
    write(kind, {**ADA, "name": "A100-40GB"})
    assert "name: 'A100-40GB' is a known GPU kind" in ntlbg("config", "validate", kind)


def test_a_plan_counts_on_a_kind_of_the_environment_or_of_the_inventory(
    ntlbg: Ntlbg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = write(tmp_path / "ada.json", ADA)
    words = ("plan", "--no-trace", ABLATIONS, "--group", "representative_count", "--inventory")
    inventory = write(tmp_path / "i.json", {"name": "i", "groups": [GROUP]})
    assert "unknown GPU kind 'RTX6000-48GB'" in ntlbg(*words, inventory)
    monkeypatch.setenv("NTLBG_PROFILES", str(kind))
    assert "RTX6000-48GB" in ntlbg(*words, inventory)
    monkeypatch.delenv("NTLBG_PROFILES")
    write(inventory, {"name": "i", "groups": [GROUP], "profiles": ["ada.json"]})
    found = json.loads(ntlbg(*words, inventory, "--json"))
    assert {run["fit"]["profile"] for run in found["runs"]} == {"RTX6000-48GB"}
