"""Staging of one attempt: each node's first rank copies what the run reads, the others wait."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.domain.launch import LaunchSpec, Stage, StagedNode, to_json
from ntlbg_service.runner.checkpoints import WorkerRank
from ntlbg_service.runner.staging.fetch import GIB, Tally, Tell
from ntlbg_service.runner.staging.file_digests import FileDigests
from ntlbg_service.runner.staging.sources import Fetch, Source, data_of, from_hub, weights_of
from ntlbg_service.runner.staging.staging_cache import NoRoomError, StagingCache
from ntlbg_service.storage.filesystems import network_filesystem
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

TICK_SECONDS = 0.2


@dataclass(frozen=True)
class Staged:
    """Copies on this node. Sources that are not listed are read in place."""

    weights: str | None = None
    """Folder of the base model's copy."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """Folders of data sets' copies, by their source folders."""

    def of(self, folder: Path) -> Path:
        """Return the folder to read a data set from."""
        found = self.folders.get(str(folder.resolve()))
        return Path(found) if found else folder


@contextmanager
def staged(
    spec: LaunchSpec, storage: Storage, place: WorkerRank, tell: Tell, fetch: Fetch = from_hub
) -> Iterator[Staged]:
    """Stage everything on all nodes of the attempt; copies are kept until the block is left.

    Raises UserError for a missing source, CopyError where this node failed a verification,
    InfrastructureError and OSError.
    """
    if spec.stage is None:
        yield Staged()
        return
    keys = AttemptKeys(spec.run_id, spec.attempt)
    with ExitStack() as held:
        if place.local_rank == 0:
            _bring(spec, spec.stage, storage, place, tell, fetch, held)
        _await_nodes(storage, keys, place.nodes, tell)
        mine = storage.get(keys.staged(place.node_rank)) or {}
        tell("")
        yield Staged(mine.get("weights"), mine.get("folders", {}))


def _bring(
    spec: LaunchSpec,
    stage: Stage,
    storage: Storage,
    place: WorkerRank,
    tell: Tell,
    fetch: Fetch,
    held: ExitStack,
) -> None:
    began = time.monotonic()
    tell("looks at what there is")
    shelf = StagingCache(
        root_of(stage), None if stage.most_gib is None else int(stage.most_gib * GIB)
    )
    tally = Tally()

    def bring(source: Source | None) -> str | None:
        if source is None or not (stage.everything or network_filesystem(source.folder)):
            return None
        try:
            copy = shelf.shelved(source, FileDigests(storage, source.folder), tell, tally)
            return str(held.enter_context(copy))
        except NoRoomError:
            print(f"{source.name}: no room in {stage.folder}; read from {source.folder}")
            return None

    weights = bring(weights_of(spec.config, fetch))
    folders = {}
    for dataset in (*spec.config.data.train, *spec.config.data.evaluation):
        source = data_of(dataset, Path(spec.data_root))
        if copy := bring(source):
            folders[str(source.folder)] = copy
    keys = AttemptKeys(spec.run_id, spec.attempt)
    done = StagedNode(
        host=socket.gethostname(),
        weights=weights,
        folders=folders,
        seconds=time.monotonic() - began,
        copied_bytes=tally.copied_bytes,
        copied_files=tally.copied_files,
    )
    storage.put(keys.staged(place.node_rank), to_json(done))


def root_of(stage: Stage) -> Path:
    """Return the cache's folder, with variables of this node expanded. Raises UserError."""
    named = Path(os.path.expandvars(stage.folder)).expanduser()
    if not named.is_absolute() or "$" in str(named):
        raise UserError(f"--stage-to {stage.folder}: no such variable on {socket.gethostname()}")
    kind = network_filesystem(named)
    if kind is not None:
        where = f"{named} of {socket.gethostname()}"
        raise UserError(f"--stage-to {stage.folder}: {where} is on the network ({kind})")
    return named


def _await_nodes(storage: Storage, keys: AttemptKeys, nodes: int, tell: Tell) -> None:
    """Return when every node is staged. Raises InfrastructureError where one failed."""
    while (ready := len(storage.keys(keys.all_staged))) < nodes:
        if storage.get(keys.exit) is not None:
            raise InfrastructureError("another node of the run could not be staged")
        tell(f"waits for other nodes, {ready} of {nodes} are ready")
        time.sleep(TICK_SECONDS)
