"""A home and rendered videos for the end-to-end tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Cli, render, write_suite


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small benchmark."""
    root = tmp_path_factory.mktemp("data")
    render(root)
    return root


@pytest.fixture
def cli(tmp_path: Path, data_root: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path / "home", data_root)
    yield cli
    cli.stop()


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two variants, one seed, a few steps."""
    return write_suite(tmp_path)
