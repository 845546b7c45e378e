"""`ntlbg plan`: a table that a person reads, JSON for programs, and why for one run."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.support.ntlbg_call import Ntlbg

CONFIGS = Path(__file__).parents[3] / "configs"
ABLATIONS = CONFIGS / "experiments" / "ablation_studies.json"
LAB = CONFIGS / "inventories" / "lab.json"
CLOUD = CONFIGS / "inventories" / "cloud.json"


@pytest.fixture
def plan(ntlbg: Ntlbg) -> Ntlbg:
    """What `ntlbg plan --no-trace` prints; its error where it ends with 2."""
    return partial(ntlbg, "plan", "--no-trace")


def test_the_table_has_every_variant_under_its_group(plan: Ntlbg) -> None:
    lines = plan(ABLATIONS, "--inventory", LAB).splitlines()
    assert lines[0] == f"Plan on {LAB}"
    at = lines.index("representative_count")
    names = [line.split()[0] for line in lines[at + 1 : at + 6]]
    assert set(names) <= {"rep_64", "rep_128", "rep_256", "rep_512", "rep_1024"}
    assert any(line.startswith("60 runs (seeds 1, 2, 3) take ") for line in lines)
    assert all(line == line.rstrip() or len(line) < 200 for line in lines)


def test_it_fits_a_terminal_of_eighty_columns(plan: Ntlbg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ntlbg_service.cli.console.UNFOLDED", 80)
    lines = plan(ABLATIONS, "--inventory", LAB).splitlines()
    assert max(map(len, lines[:25])) <= 80
    assert any("rep_1024 " in line for line in lines)


def test_json_has_what_the_table_has_and_more(plan: Ntlbg) -> None:
    found = json.loads(plan(ABLATIONS, "--inventory", CLOUD, "--json"))
    assert len(found["runs"]) == 60
    assert found["makespan_hours"] >= found["least_makespan_hours"] > 0
    assert found["cost"] > 0
    added = {node["node"] for node in found["added_nodes"]}
    for run in found["runs"]:
        assert set(run["nodes"]) <= added
        assert run["fit"]["predicted_gib"] <= run["fit"]["limit_gib"]
    assert {run["seed"] for run in found["runs"]} == {1, 2, 3}


def test_one_run_is_explained(plan: Ntlbg) -> None:
    said = plan(ABLATIONS, "--inventory", LAB, "--explain", "representative_count/rep_512/2")
    assert said.startswith("representative_count/rep_512\n")
    for words in ("seed 2 starts ", "why there: ", "why then: ", "memory: ", "parameters", "GiB"):
        assert words in said
    assert "seed 1" not in said.split("settings on")[0]


def test_what_is_refused_says_why(plan: Ntlbg, tmp_path: Path) -> None:
    small = tmp_path / "small.json"
    small.write_text(
        '{"name": "small", "groups": [{"profile": "V100-32GB", "gpus": 1, "host_memory_gib": 8}]}'
    )
    said = plan(ABLATIONS, "--inventory", small, "--group", "representative_count")
    assert "refused representative_count/rep_1024: V100-32GB: needs " in said
    why = plan(
        ABLATIONS, "--inventory", small, "--group", "representative_count", "--explain", "rep_1024"
    )
    assert "not on V100-32GB: needs " in why


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("rep_51", "unknown run 'rep_51'; did you mean 'rep_512'?"),
        ("rep_512/9", "representative_count/rep_512 has no seed 9; valid: 1, 2, 3"),
    ],
)
def test_a_run_that_is_not_there_is_one_line(plan: Ntlbg, run: str, said: str) -> None:
    line = plan(ABLATIONS, "--inventory", LAB, "--explain", run)
    assert line == f"ntlbg: --explain: {said}\n"


def test_a_wrong_inventory_is_one_line(plan: Ntlbg, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"name": "w", "groups": [{"profile": "A100-40GB", "gpus": 8, "node": 2}]}')
    line = plan(ABLATIONS, "--inventory", wrong)
    assert line == f"ntlbg: {wrong}: groups.0.node: unknown key; did you mean 'nodes'?\n"
