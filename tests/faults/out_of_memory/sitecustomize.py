"""Put on PYTHONPATH, a device too small for what it is asked to do: a training step with more than
NTLBG_TEST_MOST samples at once ends as one on a full card does.

Python imports a module of this name when it starts, in every process of a run.
"""

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

TRAINING = "ntlbg_model.training.trainer"


class _Full(MetaPathFinder):
    """Changes the one module when it is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != TRAINING:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _fill(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _fill(training: ModuleType) -> None:
    import torch

    most = int(os.environ["NTLBG_TEST_MOST"])
    trainer: Any = training.NTLBGTrainer
    whole = trainer.training_step

    def training_step(self: Any, model: Any, inputs: dict[str, Any], *more: Any) -> Any:
        if len(inputs["targets"]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return whole(self, model, inputs, *more)

    trainer.training_step = training_step


if "NTLBG_TEST_MOST" in os.environ:
    sys.meta_path.insert(0, _Full())
