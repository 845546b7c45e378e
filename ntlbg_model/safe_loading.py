"""How checkpoints that others made are opened: as data, never as code that they bring along.

A pickle runs whatever it says when it is read, and a model repository may hold modules of its own.
So weights are read from safetensors alone, and classes come from transformers alone.
"""

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

from huggingface_hub.errors import StrictDataclassError
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
UNREADABLE = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError),
    *(ImportError, ArithmeticError, AssertionError, SafetensorError, StrictDataclassError),
)
"""What a checkpoint that is not there, or not what it says, raises while it is opened. A file of
it may hold anything in place of a text, a number or an object, and transformers looks at few."""
CONFIG: Final = "config.json"
MOST_BYTES = 64 * 1024**2
"""Of a JSON file beside weights. An index of the largest models has some MiB."""
QUANTISERS: Final[Mapping[str, str]] = {
    "bitsandbytes": "bitsandbytes",
    "bitsandbytes_4bit": "bitsandbytes",
    "bitsandbytes_8bit": "bitsandbytes",
    "awq": "gptqmodel",
    "gptq": "gptqmodel",
    "aqlm": "aqlm",
    "compressed-tensors": "compressed_tensors",
    "eetq": "kernels",
    "fbgemm_fp8": "fbgemm_gpu",
    "hqq": "hqq",
    "mxfp4": "kernels",
    "quanto": "optimum.quanto",
    "quark": "quark",
    "torchao": "torchao",
    "vptq": "vptq",
    "auto-round": "auto_round",
}
"""What reads weights that are stored quantised, by the name that their config gives the method."""


class UnsafeCheckpointError(ValueError):
    """A checkpoint whose weights can only be had by running what is in it."""


class QuantisedError(ValueError):
    """A checkpoint whose weights are stored in a way that nothing here reads."""


def check_checkpoint(source: str | Path, weights: str = "*") -> None:
    """Raise UnsafeCheckpointError, QuantisedError or ValueError, in one line, for a folder whose
    weights are in pickles, whose index names anything but safetensors beside it, or whose weights
    are stored in a way that is not installed. A hub name is left to `DATA_ALONE`.
    """
    folder = Path(source)
    if not is_folder(folder):
        return
    refuse_pickles(folder, weights)
    for index in sorted(folder.glob("*.safetensors.index.json")):
        _check_index(index)
    config = folder / CONFIG
    if config.is_file():
        refuse_quantised(_read_object(config).get("quantization_config"))


def is_folder(path: Path) -> bool:
    """Whether there is a folder; no, for a name that no file system takes."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def refuse_quantised(said: object) -> None:
    """Raise QuantisedError for the `quantization_config` of a model where nothing reads it."""
    if said is None or said == {}:
        return
    if isinstance(said, dict):
        older = "bitsandbytes" if {"load_in_4bit", "load_in_8bit"} & set(said) else None
        method = said.get("quant_method", older)
    else:
        method = getattr(said, "quant_method", None)
    name = str(getattr(method, "value", method))[:80]
    package = QUANTISERS.get(name)
    if package is None:
        raise QuantisedError(f"its weights are quantised by {name!r}, which nothing here reads")
    if not _installed(package):
        raise QuantisedError(
            f"its weights are quantised by {name!r}, and {package!r}, which reads them, is not "
            "installed"
        )


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:  # Of a part of a package that is not there.
        return False


def _check_index(index: Path) -> None:
    """Raise for an index that names anything but safetensors of its own folder."""
    files = _read_object(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise ValueError(f"{index.name}: has no 'weight_map' of names to files")
    for name in sorted(set(files.values())):
        shown = ascii(name if len(name) <= 200 else f"{name[:200]}...")
        if "/" in name or "\\" in name or not name.isprintable():
            raise UnsafeCheckpointError(f"{index.name} names {shown}, which is outside its folder")
        if not name.endswith(".safetensors"):
            raise UnsafeCheckpointError(
                f"{index.name} names {shown}; only safetensors are read, since a pickle runs code"
            )
        if not (index.parent / name).is_file():
            raise ValueError(f"{index.name} names {shown}, which is not there")


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object beside weights. Raises ValueError, OSError."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name}: has more than {MOST_BYTES // 1024**2} MiB")
    try:
        found = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(f"{path.name}: is nested too deeply") from None
    except ValueError as error:
        words = str(error).partition(";")[0][:200]
        raise ValueError(f"{path.name}: not JSON: {words}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: must be a JSON object")
    return found


def refuse_pickles(source: str | Path, weights: str = "*") -> None:
    """Raise UnsafeCheckpointError for a folder with weights in pickles and none in safetensors.

    `weights` is what the safetensors are called. A hub name is left to `DATA_ALONE`. Beside
    safetensors nobody reads the pickles: they are what a training goes on with.
    """
    folder = Path(source)
    if not is_folder(folder) or any(folder.glob(f"{weights}.safetensors")):
        return
    found = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if found:
        raise UnsafeCheckpointError(
            f"its weights are in a pickle ({found[0]}), which runs code when it is read; only "
            "safetensors are read"
        )
