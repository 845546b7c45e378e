"""The Prometheus of the machine, as it is shipped a configuration."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import until
from tests.support.prometheus_server import Prometheus, free_port


@pytest.fixture
def target() -> int:
    """The port that is scraped."""
    return free_port()


@pytest.fixture
def prometheus(tmp_path: Path, target: int) -> Iterator[Prometheus]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    started = Prometheus(folder, target)
    try:
        until(started.ready, "Prometheus")
        yield started
    finally:
        started.stop()
