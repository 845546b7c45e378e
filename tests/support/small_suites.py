"""A suite of one variant, a sweep over it, and a node for them."""

import json
from pathlib import Path
from typing import Any

from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup

LAB = Inventory(
    name="lab", groups=(NodeGroup(profile="A100-80GB", gpus=8, cores=96, host_memory_gib=768),)
)


def a_suite(folder: Path, name: str, overrides: dict[str, Any]) -> Path:
    (folder / "main.json").write_text(json.dumps({"data": {"train": [], "evaluation": []}}))
    suite = folder / "suite.json"
    variant = {"name": name, "overrides": overrides}
    group = {"description": "d", "baseline": name, "variants": [variant]}
    suite.write_text(
        json.dumps({"name": "s", "config": "main.json", "seeds": [1], "groups": {"g": group}})
    )
    return suite


def a_sweep(folder: Path, **space: list[Any]) -> Path:
    suite = a_suite(folder, "start", {"video.max_frames": 512})
    sweep = folder / "sweep.json"
    axes = {path.replace("__", "."): {"values": values} for path, values in space.items()}
    values = {"name": "w", "suite": suite.name, "variant": "start", "space": axes}
    sweep.write_text(json.dumps(values))
    return sweep
