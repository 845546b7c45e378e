"""`ntlbg config analyze`: what fits where, said plainly."""

from pathlib import Path

from click.testing import CliRunner

from ntlbg_service.cli.config import command
from ntlbg_service.domain.errors import UserError

MAIN = Path(__file__).parents[3] / "configs" / "longvideo_config.json"


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
