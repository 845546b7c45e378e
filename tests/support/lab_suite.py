"""A suite for the kinds of GPU of the simulated lab."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.command_line import REPOSITORY

SLICE = "SLICE-0.66GB"
"""A kind on which the sharded variant does not fit but with ZeRO-2."""


NODES = {"V100-32GB": (2, 1), "A100-40GB": (4, 2), "A100-80GB": (2, 1), SLICE: (4, 2)}
"""Cores and GPUs of one node of each kind."""


WHOLE = {"model.tuning": "full", "model.vision": "trained"}


VARIANTS = {
    "kinds": {
        "volta": {"hardware.profile": "V100-32GB"},
        "ampere": {"hardware.profile": "A100-40GB"},
        # No kind is asked for: only those that compute in it are.
        "brain_float": {"training.precision": "bf16"},
    },
    "workers": {
        "one": {"hardware.profile": "A100-80GB", "hardware.num_gpus": 1, **WHOLE},
        "two": {"hardware.profile": "A100-40GB", "hardware.num_gpus": 2, **WHOLE},
        "sharded": {"hardware.profile": SLICE, "hardware.num_gpus": 2, **WHOLE},
    },
}


def write_kind(path: Path) -> Path:
    """A slice of a V100."""
    kind = {
        "name": SLICE,
        "memory_gib": 0.66,
        "usable_gib": 0.659,
        "capability": [7, 0],
        "tensor_cores": ["fp16"],
        "rates": {
            "half_tflops": 12.5,
            "full_tflops": 1.5,
            "bandwidth_gbs": 90,
            "link_gbs": 15,
            "host_gbs": 12,
            "efficiency": 0.35,
            "source": "a tenth of a V100",
        },
    }
    path.write_text(json.dumps(kind))
    return path


def write_lab_suite(
    folder: Path, seeds: list[int], variants: Mapping[str, Mapping[str, Any]] = VARIANTS
) -> Path:
    """A few steps of the tiny base for every variant, by its group."""
    scale = json.loads((REPOSITORY / "configs/scales/laptop.json").read_text())
    scale["seeds"] = seeds
    scale["overrides"] |= {
        "video.max_frames": 64,
        "video.num_representatives": 16,
        "training.precision": "auto",
        "training.max_steps": 4,
        "training.warmup_steps": 1,
        "training.save_steps": 4,
        "training.logging_steps": 1,
        "training.global_batch": 4,
        "data.evaluation": [{"name": "glitch", "path": "needles/glitch", "max_questions": 2}],
    }
    (folder / "scale.json").write_text(json.dumps(scale))
    groups = {
        group: {
            "baseline": next(iter(members)),
            "variants": [
                {"name": name, "overrides": overrides} for name, overrides in members.items()
            ],
        }
        for group, members in variants.items()
    }
    suite = {
        "name": "lab",
        "config": str(REPOSITORY / "configs/longvideo_config.json"),
        "scale": "laptop",
        "scales": {"laptop": "scale.json"},
        "primary_metric": "accuracy",
        "groups": groups,
    }
    (folder / "suite.json").write_text(json.dumps(suite))
    return folder / "suite.json"
