"""`ntlbg config optimize`: in words, as JSON, as a file, and where nothing fits."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from ntlbg_service.cli.config import command
from ntlbg_service.cli.config.named import open_named, parse_name
from ntlbg_service.domain.errors import CapacityError, UserError

CONFIGS = Path(__file__).parents[3] / "configs"
MAIN = str(CONFIGS / "longvideo_config.json")


def optimized(*arguments: object) -> Result:
    called = ["optimize", "--config", MAIN, *map(str, arguments)]
    return CliRunner().invoke(command, called)


def test_each_setting_has_its_before_its_after_and_a_reason() -> None:
    found = optimized("--gpu", "V100_32GB", "--category", "long")
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert lines[0].endswith("longvideo_config.json:long on V100-32GB")
    assert lines[1].split() == ["setting", "before", "after", "why"]
    (precision,) = [line for line in lines if line.startswith("precision")]
    assert "auto" in precision and "fp16" in precision and "no bf16" in precision
    (peak,) = [line for line in lines if line.startswith("predicted peak")]
    assert peak.split()[-8:-4] == ["GiB", "limit", "30.7", "GiB,"]
    assert "not applied, because it changes what is learned:" in lines


def test_the_written_file_resolves_and_says_what_was_chosen(tmp_path: Path) -> None:
    output = tmp_path / "new" / "mine.json"
    arguments = ("--gpu", "A100_40GB", "--category", "long", "--output", output)
    found = optimized(*arguments)
    assert found.exit_code == 0, found.output
    values = json.loads(output.read_text())
    assert values["name"] == "mine"
    assert "Fitted to A100-40GB: bf16 flash_attention_2, batch 1 x 32 x 1" in values["description"]
    config = open_named(parse_name(f"{output}:long")).config
    assert (config.hardware.profile, config.training.precision) == ("A100-40GB", "bf16")
    refused = optimized(*arguments)
    assert isinstance(refused.exception, UserError)
    assert "is there already; --force replaces it" in str(refused.exception)
    assert optimized(*arguments, "--force").exit_code == 0


def test_json_holds_the_fit_and_the_suggestions() -> None:
    record = json.loads(optimized("--gpu", "A100-80GB", "--category", "very_long", "--json").output)
    assert record["fits"] and record["gpu"] == "A100-80GB"
    assert record["fit"]["predicted_gib"] <= record["fit"]["limit_gib"]
    assert record["predicted_gib_before"] > record["fit"]["limit_gib"]
    assert all(row["options"] for row in record["suggestions"])


def test_what_fits_nowhere_is_refused_with_numbers() -> None:
    for more in ((), ("--json",)):
        found = optimized("--gpu", "V100_16GB", "--category", "very_long", *more)
        assert isinstance(found.exception, CapacityError)
        assert found.exception.exit_code == 3
        assert "the limit is 15.3 GiB" in str(found.exception)
        assert "it would fit with video.num_representatives 512" in str(found.exception)
    assert json.loads(found.output)["fits"] is False


def test_an_unknown_kind_is_a_users_error() -> None:
    found = optimized("--gpu", "A100_41GB")
    assert isinstance(found.exception, UserError)
    assert "did you mean 'A100-40GB'?" in str(found.exception)


def test_no_command_but_the_tracer_imports_torch(tmp_path: Path) -> None:
    commands = [
        ["diff", f"{MAIN}:long", ":very_long"],
        ["optimize", "--config", MAIN, "--gpu", "A100_40GB"],
        ["generate", "--category", "long", "--gpu", "A100_40GB"],
        ["validate", MAIN],
        ["analyze", "--config", MAIN, "--plot", str(tmp_path / "memory.png")],
    ]
    program = (
        "import sys\n"
        "from ntlbg_service.cli.config import command\n"
        f"for arguments in {commands!r}:\n"
        "    command(arguments, standalone_mode=False)\n"
        "    assert not {'torch', 'transformers', 'ray'} & set(sys.modules), arguments\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
