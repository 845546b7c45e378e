"""Node types that an autoscaler could add, read from its configuration file.

Ray has no call that lists them. `NodeTypes` is the interface of a reader for one format; each
returns groups without any present node.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.inventory import NodeGroup
from ntlbg_service.domain.hardware.profiles import Profile
from ntlbg_service.nodes.node_types.documents import documents_of
from ntlbg_service.nodes.node_types.kuberay import KubeRay
from ntlbg_service.nodes.node_types.ray_file import RayFile

__all__ = ["NodeTypes", "load_node_types"]


class NodeTypes(Protocol):
    """Reader of a file that defines node types."""

    def groups(self) -> tuple[NodeGroup, ...]:
        """Return one group per type that has GPUs, with `nodes` 0.

        Raises UserError with the place in the file.
        """


def load_node_types(path: Path, kinds: Sequence[Profile] = ()) -> tuple[NodeGroup, ...]:
    """Load the types of an autoscaler's file: Ray's cluster YAML, or a KubeRay resource.

    `kinds` are GPU kinds in addition to those built in. Raises UserError in one line.
    """
    groups = reader_of(path, documents_of(path), tuple(kinds)).groups()
    if not groups:
        raise UserError(f"{path}: no worker type that has GPUs may be added")
    return groups


def reader_of(
    path: Path, documents: Sequence[dict[str, Any]], kinds: tuple[Profile, ...]
) -> NodeTypes:
    """Return the reader for a file's format. Raises UserError where it is neither."""
    for document in documents:
        if "available_node_types" in document:
            return RayFile(path, document, kinds)
        if str(document.get("apiVersion", "")).startswith("ray.io/"):
            return KubeRay(path, document, kinds)
    raise UserError(
        f"{path}: holds neither 'available_node_types' (Ray's cluster YAML) nor a resource of "
        "'apiVersion: ray.io/...' (KubeRay)"
    )
