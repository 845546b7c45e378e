"""A kind of GPU that a person describes, and files for it."""

import json
from pathlib import Path
from typing import Any


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


ADA: dict[str, Any] = {
    "name": "RTX6000-48GB",
    "memory_gib": 48,
    "usable_gib": 47.99,
    "capability": [8, 9],
    "tensor_cores": ["fp16", "bf16"],
    "products": ["RTX 6000 Ada"],
    "rates": {
        "half_tflops": 364,
        "full_tflops": 91,
        "bandwidth_gbs": 960,
        "link_gbs": 25,
        "host_gbs": 25,
        "efficiency": 0.35,
        "source": "data sheet",
    },
}


GROUP = {"profile": "RTX6000-48GB", "gpus": 2}
