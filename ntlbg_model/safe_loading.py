"""How checkpoints that others made are opened: as data, never as code that they bring along.

A pickle runs whatever it says when it is read, and a model repository may hold modules of its own.
So weights are read from safetensors alone, and classes come from transformers alone.
"""

from pathlib import Path
from typing import Final, TypedDict

from safetensors import SafetensorError

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
"""Names of files that torch or Python would unpickle."""


class _WithoutCode(TypedDict):
    trust_remote_code: bool


class _DataAlone(_WithoutCode):
    use_safetensors: bool


WITHOUT_CODE: Final[_WithoutCode] = {"trust_remote_code": False}
"""For configurations and tokenizers. Left open, transformers asks on the terminal."""
DATA_ALONE: Final[_DataAlone] = {"trust_remote_code": False, "use_safetensors": True}
"""For weights."""
UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError)
"""What a checkpoint that is not there, or not what it says, raises while it is opened."""


class UnsafeCheckpointError(ValueError):
    """A checkpoint whose weights can only be had by running what is in it."""


def refuse_pickles(source: str | Path, weights: str = "*") -> None:
    """Raise UnsafeCheckpointError for a folder with weights in pickles and none in safetensors.

    `weights` is what the safetensors are called. A hub name is left to `DATA_ALONE`. Beside
    safetensors nobody reads the pickles: they are what a training goes on with.
    """
    folder = Path(source)
    if not folder.is_dir() or any(folder.glob(f"{weights}.safetensors")):
        return
    found = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if found:
        raise UnsafeCheckpointError(
            f"its weights are in a pickle ({found[0]}), which runs code when it is read; only "
            "safetensors are read"
        )
