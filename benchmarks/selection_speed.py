"""What choosing frames costs, all selections on the same features in one run.

    python benchmarks/selection_speed.py [--frames 8192] [--width 4096] [--kept 1024] [--repeats 7]

Every row starts from the same float32 features [T, d] in memory; a method that compares frames with
the question pays for its scores. Ratios are to one bare pass over the features (their sum), and to
AKS. Then the cost of NTLBG over T and over d, with the exponent of a power law fitted to each. On a
machine with a GPU everything is measured there; otherwise the GPU's rows read 'not measured'.
Times are the minimum of interleaved repeats: whatever else runs on the machine hits all rows alike.
"""

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.aks import aks
from ntlbg_model.selection.bolt import bolt
from ntlbg_model.selection.clip_topk import clip_topk
from ntlbg_model.selection.dpp import dpp
from ntlbg_model.selection.farthest_point import farthest_point
from ntlbg_model.selection.kmeans import kmeans
from ntlbg_model.selection.select import select_pairs
from ntlbg_model.selection.selector import NTLBGSelector

QUESTION_TOKENS = 16
QUESTION_WIDTH = 1024
SLOW = ("kmeans", "farthest_point", "dpp")
LIMITS = {"to_aks": 1.5, "to_bare_pass": 7.0, "cached_to_bare_pass": 1.0, "slow_over_ntlbg": 100.0}
"""What `main` holds the CPU's ratios against."""


class Case:
    """One video's features and one question."""

    def __init__(self, frames: int, width: int, kept: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(frames + width)
        self.kept = kept
        self.features = torch.randn(frames, width, generator=generator).to(device)
        self.query = torch.randn(width, generator=generator).to(device)
        words = torch.randn(1, QUESTION_TOKENS, QUESTION_WIDTH, generator=generator)
        self.words = words.to(device)
        self.present = torch.ones(1, QUESTION_TOKENS, dtype=torch.bool, device=device)
        config = SelectionConfig(
            query="learned", constraint_type="soft_equicontour", contour="learned"
        )
        torch.manual_seed(0)
        self.selector = NTLBGSelector(config, width, QUESTION_WIDTH, QUESTION_WIDTH).to(device)
        self.index = self.selector.prepare(self.features.unsqueeze(0))

    def similarity(self) -> Tensor:
        """Cosine of every frame with the question [T]."""
        lengths = torch.linalg.vector_norm(self.features, dim=1)
        return (self.features @ self.query) / (lengths * self.query.norm()).clamp(min=1e-6)

    def ask(self) -> Tensor:
        """A question on the cached index."""
        scored = self.selector.score(self.index, self.words, self.present, self.kept)
        return self.selector.select(scored, self.kept).pairs

    def ntlbg(self) -> Tensor:
        """The first question about a video."""
        self.index = self.selector.prepare(self.features.unsqueeze(0))
        return self.ask()

    def rows(self) -> dict[str, Callable[[], object]]:
        """What is timed, by name."""
        free = SelectionConfig(method="ntlbg")
        return {
            "bare pass": lambda: self.features.sum(),
            "top-k": lambda: clip_topk(self.similarity(), self.kept),
            "BOLT": lambda: bolt(self.similarity(), self.kept),
            "AKS": lambda: aks(self.similarity(), self.kept),
            "NTLBG": self.ntlbg,
            "NTLBG, new question": self.ask,
            "NTLBG, training-free": lambda: select_pairs(self.features, self.kept, free, 0),
            "kmeans": lambda: kmeans(self.features, self.kept, 0),
            "farthest_point": lambda: farthest_point(self.features, self.kept),
            "dpp": lambda: dpp(self.features, self.kept, self.similarity()),
        }


def minimum_seconds(
    rows: dict[str, Callable[[], object]], repeats: int, device: torch.device
) -> dict[str, dict[str, float]]:
    """Minimum and median of interleaved repeats; slow rows run once."""
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(repeats + 1):
        for name, run in rows.items():
            if name in SLOW and turn:
                continue
            started = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn or name in SLOW:
                taken[name].append(time.perf_counter() - started)
    return {
        name: {"min_ms": 1e3 * min(times), "median_ms": 1e3 * sorted(times)[len(times) // 2]}
        for name, times in taken.items()
    }


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Slope of log seconds over log size by least squares."""
    x = [math.log(size) for size in sizes]
    y = [math.log(value) for value in seconds]
    middle, level = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - middle) * (b - level) for a, b in zip(x, y, strict=True))
    return rise / sum((a - middle) ** 2 for a in x)


def scaling(frames: int, width: int, repeats: int, device: torch.device) -> dict[str, Any]:
    """NTLBG's cost from an eighth of the frames, and of the width, to all of them."""
    result: dict[str, Any] = {}
    for axis, sizes in (
        ("frames", [frames >> s for s in (3, 2, 1, 0)]),
        ("width", [width >> s for s in (3, 2, 1, 0)]),
    ):
        seconds = []
        for size in sizes:
            shape = (size, width) if axis == "frames" else (frames, size)
            case = Case(*shape, max(16, shape[0] // 8), device)
            found = minimum_seconds({"NTLBG": case.ntlbg}, repeats, device)
            seconds.append(found["NTLBG"]["min_ms"])
        result[axis] = {"sizes": sizes, "ms": seconds, "exponent": exponent(sizes, seconds)}
    return result


def ratios(times: dict[str, dict[str, float]]) -> dict[str, float]:
    """The claims, as ratios of minima."""
    ms = {name: row["min_ms"] for name, row in times.items()}
    return {
        "to_aks": ms["NTLBG"] / ms["AKS"],
        "to_bare_pass": ms["NTLBG"] / ms["bare pass"],
        "cached_to_bare_pass": ms["NTLBG, new question"] / ms["bare pass"],
        "slow_over_ntlbg": min(ms[name] for name in SLOW) / ms["NTLBG"],
    }


@torch.no_grad()
def measure(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Everything on one device, printed."""
    case = Case(arguments.frames, arguments.width, arguments.kept, device)
    times = minimum_seconds(case.rows(), arguments.repeats, device)
    found = ratios(times)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU, one thread"
    print(f"{name}: T={arguments.frames}, d={arguments.width}, K={arguments.kept}, float32")
    for row, time_ in times.items():
        bare = time_["min_ms"] / times["bare pass"]["min_ms"]
        print(f"  {row:22} {time_['min_ms']:10.2f} ms  {bare:9.2f} x bare pass")
    for claim, value in found.items():
        bound = LIMITS[claim]
        side = "at least" if claim == "slow_over_ntlbg" else "at most"
        print(f"  {claim:22} {value:8.2f}  ({side} {bound:g} is claimed on a CPU)")
    grown = scaling(arguments.frames, arguments.width, arguments.repeats, device)
    for axis, row in grown.items():
        print(f"  cost over {axis}: exponent {row['exponent']:.2f} ({row['sizes']})")
    return {"times": times, "ratios": found, "scaling": grown}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--kept", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread, shared",
        "versions": {"torch": version("torch")},
        "frames": arguments.frames,
        "width": arguments.width,
        "kept": arguments.kept,
        "repeats": arguments.repeats,
        "cpu": measure(arguments, torch.device("cpu")),
        "gpu": "not measured",
    }
    if torch.cuda.is_available():
        result["gpu_name"] = torch.cuda.get_device_name()
        result["gpu"] = measure(arguments, torch.device("cuda"))
    else:
        print("GPU: not measured")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "selection_speed.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
