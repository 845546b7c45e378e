"""Names of the objects in storage. Every key of the project is made here."""

import re
from dataclasses import dataclass

HOME = "home.json"
"""What tells this storage from every other one."""
RUNS = "runs"
"""Folder of all runs."""
CHECKPOINT = re.compile(
    r"(?:.*/)?(?P<key>runs/(?P<run>[^/]+)/attempt-(?P<attempt>\d{1,12})"
    r"/train/(?:.*/)?step-(?P<step>\d{1,12}))/?"
)
"""A checkpoint's key, or a path that ends in one."""
OWN_GPUS = ".gpus"
"""Locks on this machine's GPUs. No objects: what they hold is the kernel's."""


@dataclass(frozen=True)
class AttemptKeys:
    """Objects of one attempt of a run."""

    run_id: str
    attempt: int

    @property
    def folder(self) -> str:
        """Everything of the attempt lies below."""
        return f"runs/{self.run_id}/attempt-{self.attempt:04d}"

    @property
    def spec(self) -> str:
        """The launch spec, written before the executor is told."""
        return f"{self.folder}/spec.json"

    @property
    def process(self) -> str:
        """Process id and start time of a local driver."""
        return f"{self.folder}/process.json"

    @property
    def exit(self) -> str:
        """The exit record."""
        return f"{self.folder}/exit.json"

    @property
    def heartbeat(self) -> str:
        """The newest sign of life, overwritten."""
        return f"{self.folder}/heartbeat.json"

    @property
    def metrics(self) -> str:
        """Metric lines, appended."""
        return f"{self.folder}/metrics.jsonl"

    @property
    def log(self) -> str:
        """Output of the driver and its workers from the first byte."""
        return f"{self.folder}/driver.log"

    def worker(self, rank: int) -> str:
        """Where a worker is."""
        return f"{self.folder}/workers/rank-{rank:03d}.json"

    @property
    def workers(self) -> str:
        """Folder of what the workers say of where they are."""
        return f"{self.folder}/workers"

    def staged(self, node: int) -> str:
        """Written when a node has what the attempt reads: where, and what it cost."""
        return f"{self.all_staged}/node-{node:03d}.json"

    @property
    def all_staged(self) -> str:
        """Folder of what the nodes say of their staging."""
        return f"{self.folder}/staged"

    def predictions(self, dataset: str) -> str:
        """One prediction a line, of one evaluation set."""
        return f"{self.folder}/predictions/{dataset}.jsonl"

    def marker(self, step: int) -> str:
        """Marker of a committed checkpoint."""
        return f"{self.folder}/checkpoints/step-{step:08d}.json"

    def checkpoint(self, step: int) -> str:
        """Folder of a checkpoint; it is one when its marker is there."""
        return f"{self.folder}/train/step-{step:08d}"

    def below(self, path: str) -> str | None:
        """Key of what a path names below this attempt, wherever the storage lay when the path was
        written; None for a path to another place."""
        _, found, rest = f"/{path}".rpartition(f"/{self.folder}/")
        return f"{self.folder}/{rest}" if found and rest else None

    def part(self, step: int, node: int) -> str:
        """Written when a node, not the first, has copied its part of a checkpoint."""
        return f"{self.folder}/parts/step-{step:08d}-node-{node:03d}.json"

    @property
    def markers(self) -> str:
        """Folder of the markers."""
        return f"{self.folder}/checkpoints"

    @property
    def work(self) -> str:
        """Ray Train's own folder: uploaded checkpoints."""
        return f"{self.folder}/train"

    def trial(self, name: str) -> "AttemptKeys":
        """The objects of one trial of a sweep."""
        return AttemptKeys(f"{self.run_id}/trials/{name}", self.attempt)


def step_of(checkpoint: str) -> int:
    """Step of a checkpoint, by the name of its folder; 0 for another name."""
    found = re.search(r"step-(\d{1,12})/?$", checkpoint)
    return int(found[1]) if found else 0


def place_of(checkpoint: str) -> tuple[str, int, int] | None:
    """Run, attempt and step of a checkpoint, by its key or path; None for another path."""
    found = CHECKPOINT.fullmatch(checkpoint)
    return (found["run"], int(found["attempt"]), int(found["step"])) if found else None


def key_of_checkpoint(path: str) -> str:
    """The key of a checkpoint, where a path to it was kept: the storage may lie elsewhere since.
    Another path stays as it is."""
    found = CHECKPOINT.fullmatch(path)
    return found["key"] if found else path


def ray_token(account: int) -> str:
    """Token of every local Ray of one account. No object: it is readable for its owner alone."""
    return f".ray-token-{account}"


def code(version: str) -> str:
    """Folder of one version of the code that runs were submitted with."""
    return f"code/{version}"


def trials(run_id: str) -> str:
    """Folder of a sweep's trials, each as if it were a run."""
    return f"runs/{run_id}/trials"


def report(suite_key: str) -> str:
    """The HTML report of a suite."""
    return f"reports/{suite_key}.html"
