"""Real videos, written once a session."""

from pathlib import Path

import pytest

from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.write import write_needles
from tests.support.numbered_frames import write_bars


@pytest.fixture(scope="session")
def bars_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "bars.mp4"
    write_bars(path)
    return path


@pytest.fixture(scope="session")
def glitch_spec() -> NeedlesSpec:
    return NeedlesSpec(split="glitch", videos=2, seed=7)


@pytest.fixture(scope="session")
def glitch_set(tmp_path_factory: pytest.TempPathFactory, glitch_spec: NeedlesSpec) -> Path:
    folder = tmp_path_factory.mktemp("needles") / "glitch"
    write_needles(glitch_spec, folder)
    return folder
