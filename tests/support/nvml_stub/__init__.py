"""A compiled stand-in for NVIDIA's library, so that the real nvidia-ml-py is what reads it.

`nvml.c` says what can be described.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

V100_32 = (
    "name=Tesla V100-SXM2-32GB,total=32510,used=3,cc=70,temp=38,watts=42,links=6,gen=3,width=16,"
    "ecc=0,pending=0"
)
A100_40 = (
    "name=NVIDIA A100-SXM4-40GB,total=40536,used=5,cc=80,temp=41,watts=55,links=12,gen=4,width=16,"
    "ecc=0,remap=0"
)
A100_80 = (
    "name=NVIDIA A100-SXM4-80GB,total=81251,used=7,cc=80,temp=44,watts=61,links=12,gen=4,width=16,"
    "ecc=0,remap=0"
)
SLICED = f"{A100_80},slices=3g.40gb:40192/3g.40gb:40192"
"""Two MIG slices."""
LOST, UNKNOWN = 15, 999
"""NVML's codes."""
SOURCE = Path(__file__).with_name("nvml.c")
LIBRARY = "libnvidia-ml.so.1"


def compiled(folder: Path, without: Sequence[str] = ()) -> Path:
    """The library in a folder, for LD_LIBRARY_PATH; `without` are functions that it lacks."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed for the stand-in of NVML: apt-get install gcc"
    hidden = folder / "hidden.map"
    hidden.write_text(f"{{ global: *; local: {' '.join(f'{name};' for name in without)} }};")
    subprocess.run(
        [
            *(compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-O1"),
            *([f"-Wl,--version-script={hidden}"] if without else []),
            *("-o", str(folder / LIBRARY), str(SOURCE)),
        ],
        check=True,
    )
    return folder


def described(library: Path, *gpus: str) -> dict[str, str]:
    """The environment of a process that finds these GPUs."""
    return {"LD_LIBRARY_PATH": str(library), "NVML_STUB": ";".join(gpus)}
