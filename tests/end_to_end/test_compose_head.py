"""What `deploy/compose.yaml` starts the Ray head with, in a shell of this machine."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import REPOSITORY, until
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.long


def ray(environment: Mapping[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    script = Path(sys.executable).with_name("ray")
    return subprocess.run(
        [script, *words], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )


def test_the_head_makes_its_token_once_and_wants_it(tmp_path: Path) -> None:
    compose = yaml.safe_load((REPOSITORY / "deploy/compose.yaml").read_text(encoding="utf-8"))
    head = compose["services"]["ray-head"]
    (script,) = head["command"]
    here = script.replace("$$", "$").replace("/var/lib/ntlbg", str(tmp_path))
    here, ports = re.subn("--port=6379", "--port=46379 --dashboard-port=48265", here)
    assert ports == 1
    token = tmp_path / ".ray" / "auth_token"
    stated = {name: str(value) for name, value in head["environment"].items()}
    assert stated["RAY_AUTH_TOKEN_PATH"] == f"/var/lib/ntlbg/{token.relative_to(tmp_path)}"
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    bare |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_TMPDIR": "/tmp/ntlbg-head",
    }
    inside = bare | {"RAY_AUTH_MODE": stated["RAY_AUTH_MODE"], "RAY_AUTH_TOKEN_PATH": str(token)}
    check = ("health-check", "--address=127.0.0.1:46379")
    with (tmp_path / "log").open("wb") as log:
        started = subprocess.Popen(
            [*head["entrypoint"], here], env=inside, stdout=log, stderr=log, start_new_session=True
        )
    try:
        until(lambda: token.is_file() and ray(inside, *check).returncode == 0, "the head")
        assert token.stat().st_mode & 0o077 == 0
        refused = ray(bare | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another" * 6}, *check)
        assert refused.returncode != 0
        assert token.read_text() not in (tmp_path / "log").read_text()
        before = token.read_bytes()
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(60)
    assert token.read_bytes() == before
