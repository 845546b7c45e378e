"""Which database a ledger may be, and what is said of one that it may not."""

from collections import namedtuple
from pathlib import Path

import pytest

from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.ledger.database import open_database, parse_url
from ntlbg_service.storage.filesystems import network_filesystem

Mount = namedtuple("Mount", "mountpoint fstype")


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is not a database, it is a shopping list " * 50)
    with pytest.raises(InfrastructureError, match="not a database"):
        open_database(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "no database URL; write sqlite:///FILE or postgresql"),
        ("mysql://u@h/d", "no ledger lives in mysql"),
        ("sqlite://", "would forget everything"),
        ("sqlite:///:memory:", "would forget everything"),
    ],
)
def test_a_wrong_url_is_one_line(url: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse_url(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_by_psycopg(scheme: str) -> None:
    assert parse_url(f"{scheme}://u@h/d").drivername == "postgresql+psycopg"


def test_a_server_that_is_not_there_is_one_line_without_its_password() -> None:
    with pytest.raises(InfrastructureError, match="ledger") as caught:
        open_database("postgresql://u:secret@127.0.0.1:1/d")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_deepest_mount_decides(tmp_path: Path) -> None:
    mounts = [
        Mount("/", "ext4"),
        Mount("/mnt/lab", "nfs4"),
        Mount("/mnt/lab/scratch", "xfs"),
        Mount("/mnt/over", "ext4"),
        Mount("/mnt/over", "fuse.sshfs"),
    ]
    assert network_filesystem(Path("/mnt/lab/ada/ledger.db"), mounts) == "nfs4"
    assert network_filesystem(Path("/mnt/lab/scratch/ledger.db"), mounts) is None
    assert network_filesystem(Path("/mnt/over/ledger.db"), mounts) == "fuse.sshfs"
    assert network_filesystem(Path("/mnt/laboratory/ledger.db"), mounts) is None
    assert network_filesystem(Path("/home/ledger.db"), mounts) is None


def test_a_local_disk_is_no_network(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path / "ledger.db") is None


def test_sqlite_on_a_network_file_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [Mount("/", "lustre")])
    with pytest.raises(UserError, match=r"network file system \(lustre\).*--ledger postgresql"):
        parse_url("sqlite:////scratch/ledger.db")
