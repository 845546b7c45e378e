"""`ntlbg config analyze`: what fits where, said plainly."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from matplotlib import rc_context

from ntlbg_service.cli.config import command
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.fitting.known_plans import PLANS
from ntlbg_service.domain.hardware.profiles import PROFILES

MAIN = Path(__file__).parents[3] / "configs" / "longvideo_config.json"
GPUS = sum(not profile.is_cpu for profile in PROFILES.values())


def analysed(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["analyze", "--config", str(MAIN), *map(str, arguments)])


def test_the_published_pairings_are_judged_in_words() -> None:
    found = CliRunner().invoke(command, ["analyze", "--config", str(MAIN)])
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    lora = [line for line in lines if " lora, checkpointing, one GPU" in line]
    full = [line for line in lines if " full, checkpointing, one GPU" in line]
    assert len(lora) == len(full) == 3
    assert all(line.endswith(", fits") for line in lora)
    assert all("does not fit; fits with batch" in line and "ZeRO" in line for line in full)
    for kind in ("V100-16GB", "A100-40GB", "L4-24GB", "H200-141GB"):
        assert kind in found.output


def test_a_missing_file_is_a_users_error() -> None:
    found = CliRunner().invoke(command, ["analyze", "--config", "nowhere.json"])
    assert isinstance(found.exception, UserError)
    assert "no such file" in str(found.exception)


def test_json_holds_every_cell_pairing_and_plan() -> None:
    record = json.loads(analysed("--json").output)
    assert len(record["cells"]) == 3 * 2 * GPUS
    for cell in record["cells"]:
        if cell["fits"]:
            assert cell["fit"]["predicted_gib"] <= cell["fit"]["limit_gib"]
        else:
            assert "the limit is" in cell["misfit"]["reason"]
    assert len(record["pairings"]) == 6
    assert record["traced"] == []
    plans = {(cell["plan"], cell["category"]): cell for cell in record["plans"]}
    assert len(plans) == 3 * len(PLANS)
    assert plans["LoRA", "long"]["fits"]
    assert not plans["full, fp32 masters", "very_long"]["fits"]
    assert plans["full, all of it bf16", "moderate_long"]["lacking"] == "no bf16"
    judged = {key: cell["fits"] for key, cell in plans.items()}
    assert judged == {
        (plan, category): fits
        for plan, row in STUDY.items()
        for category, fits in zip(("moderate_long", "long", "very_long"), row, strict=True)
    }
    bare = plans["full, all of it bf16", "very_long"]
    assert bare["accumulating_gib"] > bare["limit_gib"]


STUDY = {
    "full, fp32 masters": (False, False, False),
    "full, all of it bf16": (False, False, True),
    "full, ZeRO-2, optimizer offload": (True, True, True),
    "full, ZeRO-3, offload": (True, True, True),
    "full, 4 GPUs, ZeRO-2": (False, False, True),
    "full, 4 GPUs, ZeRO-2, optimizer offload": (True, True, True),
    "full, 4 GPUs, ZeRO-3": (False, False, True),
    "full, 4 GPUs, ZeRO-3, optimizer offload": (True, True, True),
    "LoRA without checkpointing": (False, False, False),
    "LoRA": (True, True, True),
    "LoRA, micro-batch 1": (True, True, True),
    "LoRA, 4 GPUs, ZeRO-3": (True, True, True),
    "LoRA, 8-bit base": (True, True, True),
    "LoRA, nf4 base": (True, True, True),
}
"""What a study of these pairings found to fit, before this code was written."""


def test_the_usual_plans_are_judged_for_each_pairing() -> None:
    lines = analysed().output.splitlines()
    (start,) = [at for at, line in enumerate(lines) if "by the usual plans" in line]
    rows = lines[start + 3 : start + 3 + len(PLANS)]
    assert [row.startswith(plan.name) for row, plan in zip(rows, PLANS, strict=True)] == [
        True
    ] * len(PLANS)
    for row in rows:
        assert len(re.findall(r"\d+\.\d (?:fits|no)", row)) == 3


@pytest.mark.parametrize(
    ("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_picture_is_drawn(ending: str, begins: bytes, tmp_path: Path) -> None:
    file = tmp_path / f"memory.{ending}"
    found = analysed("--plot", file)
    assert found.exit_code == 0, found.output
    assert found.output.endswith(f"drawn: {file}\n")
    assert file.read_bytes().startswith(begins)


def test_the_picture_names_kinds_categories_and_what_does_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "memory.svg"
    with rc_context({"svg.fonttype": "none"}):
        assert analysed("--plot", file).exit_code == 0
    text = file.read_text()
    for word in ("H200-141GB", "very_long", "does not fit", "optimizer", "limit", "LoRA"):
        assert f">{word}<" in text


def test_where_no_picture_can_be_is_said_first(tmp_path: Path) -> None:
    for file, said in (("memory.gif", "must end in .png"), ("no/memory.png", "there is no folder")):
        found = analysed("--plot", tmp_path / file)
        assert isinstance(found.exception, UserError)
        assert said in str(found.exception)
        assert found.output == ""


def test_traces_stand_beside_the_closed_form(tmp_path: Path) -> None:
    main = tmp_path / "tiny.json"
    sections = {
        "video": {"max_frames": 128, "num_representatives": 32, "frame_resolution": [56, 56]},
        "model": {"base_model": "tiny"},
        "training": {"global_batch": 2},
    }
    main.write_text(json.dumps(sections))
    arguments = ["analyze", "--config", str(main), "--home", str(tmp_path), "--trace"]
    far = CliRunner().invoke(command, [*arguments, "near", "--json"])
    assert json.loads(far.stdout)["traced"] == []
    found = CliRunner().invoke(command, [*arguments, "all", "--json"])
    traced = json.loads(found.stdout)["traced"]
    assert len(traced) == 2 * GPUS
    for row in traced:
        assert row["traced_gib"] > 0
        assert abs(row["difference"]) < 0.02
    printed = CliRunner().invoke(command, [*arguments, "all"])
    assert "beside a trace of the same step" in printed.output
    assert list((tmp_path / "traces").glob("*.json"))
