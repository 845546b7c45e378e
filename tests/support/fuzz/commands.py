"""Command lines with something malformed in them."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.fuzz.hostile import Hostile

Words = list[str]
INVENTORY = ("--inventory", "configs/inventories/lab.json")


@dataclass(frozen=True)
class Case:
    """One call."""

    words: Sequence[str]
    files: dict[str, bytes]
    """What is written before it, by path in the working folder."""


def case(seed: str, work: Path) -> Case:
    """The call of a seed."""
    source = Hostile(seed)
    make = source.random.choice(MADE)
    files: dict[str, bytes] = {}
    words = make(source, work, files)
    return Case([_as_argument(word) for word in words], files)


def _as_argument(word: str) -> str:
    """What a program is given of a word: no NUL, and any bytes, as Python shows them."""
    return os.fsdecode(word.replace("\0", "").encode("utf-8", "surrogatepass"))


def _file(source: Hostile, work: Path, files: dict[str, bytes], folder: str) -> str:
    """A malformed copy of a file below `folder`, where what it refers to is beside it."""
    found = sorted(work.glob(f"{folder}/**/*.json"))
    original = source.random.choice([path for path in found if "fuzzed" not in path.name])
    path = original.with_name(f"fuzzed-{original.name}").relative_to(work)
    files[str(path)] = source.document(json.loads(original.read_text()))
    return str(path)


def _config(source: Hostile, work: Path, files: dict[str, bytes]) -> str:
    return _file(source, work, files, "configs")


def _target(source: Hostile) -> str:
    known = ("s", "g/ntlbg:1", "g/uniform:1", "ntlbg:1", "g/ntlbg seed 1")
    return source.name() if source.random.random() < 0.6 else source.random.choice(known)


def _output(source: Hostile) -> Words:
    """Where a person may well write: the person says so."""
    if source.random.random() < 0.6:
        return []
    place = source.random.choice(("out", "out/new.json", "out/a/b.json", "out/x.png", "inputs"))
    return ["--output", place, *(["--force"] if source.random.random() < 0.5 else [])]


Make = Callable[[Hostile, Path, dict[str, bytes]], Words]


def _validate(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    strict = ["--strict"] if source.random.random() < 0.2 else []
    return ["config", "validate", _config(source, work, files), *strict]


def _show(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    part = f":{source.name()}" if source.random.random() < 0.3 else ""
    return ["config", "show", _config(source, work, files) + part]


def _diff(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    ours = _config(source, work, files)
    known = ("configs/longvideo_config.json", "configs/quickstart.json")
    other = source.random.choice((*known, source.name()))
    return ["config", "diff", ours, other]


def _optimize(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    gpu = source.random.choice(("A100-40GB", "V100-32GB", source.name()))
    return ["config", "optimize", _config(source, work, files), "--gpu", gpu, *_output(source)]


def _import(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["config", "import", _file(source, work, files, "published"), *_output(source)]


def _generate(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    what = source.random.choice(("--category", "--experiment"))
    words = ["config", "generate", what, source.name()]
    if source.random.random() < 0.5:
        words += ["--config", _config(source, work, files)]
    return [*words, *_output(source)]


def _plan(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    if source.random.random() < 0.5:
        suite, inventory = _config(source, work, files), "configs/inventories/lab.json"
    else:
        suite = "configs/quickstart.json"
        inventory = _file(source, work, files, "configs/inventories")
    words = ["plan", suite, "--no-trace", "--inventory", inventory]
    if source.random.random() < 0.3:
        words += [
            source.random.choice(("--explain", "--scale", "--variant", "--group")),
            source.name(),
        ]
    return words


def _submit(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    words = ["submit", _config(source, work, files), "--parallel", "1"]
    if source.random.random() < 0.3:
        words += [source.random.choice(("--scale", "--variant", "--experiment")), source.name()]
    return words


def _compare(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["compare", _config(source, work, files), "--html", "out/report.html"]


def _run(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    """A suite whose data are not there, so that nothing of it ever begins."""
    words = ["run", _config(source, work, files), "--parallel", "1"]
    if source.random.random() < 0.3:
        words += [source.random.choice(("--scale", "--variant", "--again")), source.name()]
    return words


def _sweep(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["sweep", _file(source, work, files, "configs/sweeps")]


def _controller(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    """Of a ledger where nothing waits."""
    words = ["controller", "--until-idle", "--home", "out/idle", "--inventory"]
    words += [_file(source, work, files, "configs/inventories")]
    if source.random.random() < 0.5:
        files["inputs/caps.json"] = source.document({"users": {"ada": 2}, "suites": {"s": 1}})
        words += ["--caps", "inputs/caps.json"]
    if source.random.random() < 0.3:
        option = source.random.choice(("--notify", "--notify-on", "--host", "--stage-to"))
        words += [option, source.name(), *(["--port", "0"] if option == "--host" else [])]
    return words


def _debug(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    keep = source.random.choice(("out/kept", "loop", "link"))
    return ["debug", "--keep", keep, *_guarded(source.name())]


def _ask(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    """No video: bytes, or a name."""
    files["inputs/fuzzed.mp4"] = source.document({"ftyp": "isom"})
    video = source.random.choice(("inputs/fuzzed.mp4", "configs", source.name()))
    words = ["ask", "--model", source.random.choice(("tiny", "configs", source.name()))]
    if source.random.random() < 0.3:
        words += ["--frames", str(source.value())[:1000]]
    return [*words, "--", video, source.name()]


def _autoscaler(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    """An autoscaler's nodes: JSON is YAML."""
    resources = {"CPU": 8, "GPU": 1}
    kind = {"resources": resources, "labels": {"ntlbg.io/profile": "V100-32GB"}, "max_workers": 3}
    files["inputs/nodes.yaml"] = source.document({"available_node_types": {"gpu": kind}})
    return ["cluster", "gpus", "--autoscaler", "inputs/nodes.yaml"]


def _people(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    if source.random.random() < 0.5:
        return ["usage", "--since", source.name(), "--by", "user"]
    act = source.random.choice(("add-operator", "remove-operator"))
    return ["users", act, *_guarded(source.name())]


def _looks(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    """Of a place that may be none."""
    command = source.random.choice(("gc", "db check", "db upgrade", "doctor", "usage"))
    return [*command.split(), "--home", source.random.choice(("loop", "link/a", "configs", "out"))]


def _kinds(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["config", "schema", "--kind", source.name()]


def _targets(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    command = source.random.choice(
        (
            "status",
            "explain",
            "logs",
            "cancel",
            "pause",
            "resume",
            "retry",
            "mlflow check",
            "watch",
        )
    )
    target = _target(source)
    if command == "watch" and target == "s":
        target = "nothing"  # It would watch.
    return [*command.split(), *_guarded(target)]


def _guarded(word: str) -> Words:
    """A name that begins with a dash is an option to any program."""
    return ["--", word]


def _priority(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["priority", "--", _target(source), str(source.value())[:1000]]


def _export(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["export", "--", _target(source), source.random.choice(("out/model", "configs", "out"))]


def _nodes(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    if source.random.random() < 0.5:
        return ["cluster", "undrain", *_guarded(source.name())]
    words = ["cluster", "drain", *INVENTORY, "--reason", source.name(), "--"]
    return [*words, source.random.choice(("lab-1", source.name()))]


def _restore(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    lines = (work / "inputs" / "ledger.jsonl").read_text().splitlines()
    for number in source.random.sample(range(len(lines)), source.random.randrange(1, 4)):
        lines[number] = source.document(json.loads(lines[number])).decode("utf-8", "replace")
    text = "\n".join(" ".join(line.split("\n")) for line in lines) + "\n"
    files["inputs/fuzzed.jsonl"] = text.encode() if source.random.random() < 0.3 else signed(text)
    return ["db", "restore", "inputs/fuzzed.jsonl", "--home", "out/restored", "--force"]


def signed(text: str) -> bytes:
    """A backup whose sum is right whatever is in it."""
    import hashlib

    body = "".join(f"{line}\n" for line in text.splitlines()[:-1]).encode()
    return body + json.dumps({"sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n"


def _backup(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["db", "backup", "--", source.random.choice(("loop", "out", "configs", "link/kept.txt"))]


def _needles(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    return ["data", "needles", "--videos", "0", "--", source.name()]


def _places(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    """Where everything lies: a home or a ledger that is none."""
    ledger: Any = source.random.choice(
        ("sqlite:///loop", "sqlite:///configs", "nosuch://x", "", source.name(), "postgresql://")
    )
    return ["status", "--ledger", str(ledger)]


def _caps(source: Hostile, work: Path, files: dict[str, bytes]) -> Words:
    files["inputs/caps.json"] = source.document({"users": {"ada": 2}, "suites": {"s": 1}})
    return ["explain", "g/ntlbg:1", "--caps", "inputs/caps.json", *INVENTORY]


MADE: tuple[Make, ...] = (
    *([_validate] * 8),
    *([_show] * 8),
    *([_diff] * 4),
    *([_optimize] * 2),
    *([_import] * 6),
    *([_generate] * 2),
    *([_plan] * 3),
    *([_submit] * 3),
    *([_compare] * 3),
    *([_targets] * 8),
    *([_restore] * 4),
    *([_run] * 3),
    *([_sweep, _controller, _ask, _autoscaler, _people] * 2),
    *(_debug, _looks),
    *([_nodes, _caps, _priority, _export, _kinds] * 2),
    *(_backup, _needles, _places),
)
