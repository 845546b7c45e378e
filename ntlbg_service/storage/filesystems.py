"""Detection of network file systems."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smbfs", "smb2", "smb3", "afs", "afpfs", "davfs"),
        *("lustre", "gpfs", "beegfs", "ceph", "glusterfs", "panfs", "wekafs", "orangefs"),
        *("gfs2", "ocfs2", "fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.beegfs"),
        *("fuse.davfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.goofys"),
        *("fuse.juicefs", "fuse.mountpoint-s3"),
    }
)
"""File system types as the kernel names them.

Cluster file systems count: SQLite's WAL needs memory shared on one machine, and nodes read them
over the network.
"""


class Mount(Protocol):
    """A mounted file system."""

    @property
    def mountpoint(self) -> str:
        """Path of the mount point."""

    @property
    def fstype(self) -> str:
        """Type as the kernel names it."""


def network_filesystem(path: Path, mounts: Iterable[Mount] | None = None) -> str | None:
    """Return the type of the network file system that holds `path`; None on a local disk."""
    if mounts is None:
        import psutil

        mounts = psutil.disk_partitions(all=True)
    whole = path.resolve()
    over = [mount for mount in mounts if whole.is_relative_to(mount.mountpoint)]
    # Among equal mount points, the last one mounted hides the others.
    kind = (
        sorted(over, key=lambda mount: len(Path(mount.mountpoint).parts))[-1].fstype if over else ""
    )
    return kind if kind in NETWORK else None
