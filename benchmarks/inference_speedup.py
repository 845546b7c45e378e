"""One question, selected frames against all frames on the same backbone: time and peak memory.

    python benchmarks/inference_speedup.py [--frames 512 1024 2048 4096] [--rounds 3]

Without a GPU the tiny model answers on one CPU thread; with one, a Qwen2-VL of 7B shape with
random weights (what it says is of no interest here). The videos are rendered MP4 files. Every case
is a process of its own, whose peak memory is taken, and the two take turns for some rounds. A
stage's time is the minimum over all repeats and, on a CPU, processor time of the one thread, since
the machine may be shared; a peak is the median over rounds. 'all' decodes every frame and gives
every pair to the vision tower and the language model; 'selected' reads the video as `NTLBGVideoQA`
does and keeps 12.5 %.

The ceiling is the ratio of floating-point operations of the shape measured: vision tower, linear
layers and causal attention. A measured ratio above it means that the longer case also ran at a
lower rate.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.attention import available, register
from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.vision import use_batched_attention, vision_features
from ntlbg_model.config import PAIR, SelectionConfig, VideoConfig
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.render import render
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.write import encode
from ntlbg_model.data.video import read_frames
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.checkpoint import AnswerDevice, best_device, load_for_answers
from ntlbg_model.modeling.load import backbone_of
from ntlbg_model.records import Question
from ntlbg_model.selection.features import features_of
from ntlbg_model.selection.select import select_pairs
from ntlbg_model.streaming_qa.stages import STAGES, Stages
from ntlbg_model.streaming_qa.streamed_video import watch
from ntlbg_model.tiny_base import architecture

SEED = 7100
SIDE = {"tiny": 56, "7b": 224}
"""Pixels a side of a frame."""
TEXT_TOKENS = 16
"""Tokens beside the video's that the ceiling assumes."""
MODES = ("all", "selected")
REPEATS = 3
"""Answers a round."""


def plan_of(frames: int, side: int) -> Any:
    """The video of one length."""
    return sample_video(
        NeedlesSpec(split="glitch", videos=1, frames=frames, seed=SEED, resolution=2 * side), 0
    )


def build(shape: str) -> Backbone:
    """The tiny model on a CPU, or random weights of 7B shape on the GPU."""
    if shape == "tiny":
        cpu = AnswerDevice(name="cpu", dtype=torch.float32, attention="sdpa")
        return load_for_answers("tiny", cpu)
    device = best_device()
    words = architecture.tokenizer()
    config = seven_b(architecture.config(words))
    register()
    config._attn_implementation = available(device.attention)
    torch.manual_seed(SEED)
    torch.set_default_dtype(device.dtype)
    with torch.device(device.name):
        model = Qwen2VLForConditionalGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    use_batched_attention(model.model.visual)
    return backbone_of(model.requires_grad_(False), words)


def seven_b(ids: Qwen2VLConfig, layers: int = 28, depth: int = 32) -> Qwen2VLConfig:
    """Qwen2-VL-7B's sizes with the special tokens of `ids`."""
    return Qwen2VLConfig(
        text_config={
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": layers,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [16, 24, 24],
            },
            "bos_token_id": None,
            "eos_token_id": ids.text_config.eos_token_id,
            "pad_token_id": ids.text_config.pad_token_id,
        },
        vision_config={
            "depth": depth,
            "embed_dim": 1280,
            "hidden_size": 3584,
            "num_heads": 16,
            "mlp_ratio": 4,
        },
        vision_start_token_id=ids.vision_start_token_id,
        vision_end_token_id=ids.vision_end_token_id,
        video_token_id=ids.video_token_id,
        image_token_id=ids.image_token_id,
        tie_word_embeddings=False,
    )


def flops(config: Qwen2VLConfig, pairs: int, side: int) -> dict[str, float]:
    """Floating-point operations of one answer over `pairs`, a multiplication and an addition two.

    Vision tower (with its attention, quadratic in a pair's patches), the language model's linear
    layers, and its causal attention (half of the square).
    """
    vision, text = config.vision_config, config.text_config
    patches, width = (side // 14) ** 2, vision.embed_dim
    block = 2 * patches * (4 + 2 * vision.mlp_ratio) * width**2 + 4 * patches**2 * width
    merged = 4 * width
    merger = 2 * (patches / 4) * (merged**2 + merged * text.hidden_size)
    tower = vision.depth * block + 2 * patches * 1176 * width + merger
    hidden = text.hidden_size
    narrow = hidden * text.num_key_value_heads / text.num_attention_heads
    layer = 2 * hidden**2 + 2 * hidden * narrow + 3 * hidden * text.intermediate_size
    tokens = pairs * patches / 4 + TEXT_TOKENS
    layers = text.num_hidden_layers
    return {
        "vision_tower": pairs * tower,
        "linear": 2 * tokens * layers * layer + 2 * hidden * text.vocab_size,
        "attention": 2 * tokens**2 * hidden * layers,
    }


@torch.no_grad()
def answer(
    backbone: Backbone, video: Path, question: Question, mode: str, side: int, frames: int
) -> Stages:
    """One answer over the first or (selected) sampled `frames`, timed stage by stage."""
    stages = Stages(time.perf_counter if torch.cuda.is_available() else time.process_time)
    size = (side, side)
    if mode == "all":
        with stages.timed("decoding"):
            pixels = torch.from_numpy(read_frames(video, range(frames), size).pixels)
            pixels = pixels.view(-1, PAIR, *size, 3)
        pairs = torch.arange(len(pixels))
    else:
        watched = watch(video, frames, size, stages)
        with stages.timed("selection"):
            config = VideoConfig()
            kept = config.representatives(len(watched.candidates)) // PAIR
            features = features_of(watched.statistics)
            pairs = select_pairs(features, kept, SelectionConfig(), SEED).pairs
        with stages.timed("decoding"):
            pixels = watched.pixels(pairs)
    with stages.timed("vision_tower"):
        seen = vision_features(backbone.visual, pixels.to(backbone.device))
    with stages.timed("language_model"):
        prompt = build_prompt(question, backbone.tokenizer, "option_words")
        sample = Sample(prompt=prompt, pixels=pixels, pairs=pairs, answer=None)
        batch = collate([sample], backbone.video_token)
        answer_logits(backbone, batch.to(backbone.device), features=seen).argmax().item()
    return stages


def measure_case(shape: str, video: Path, frames: int, mode: str) -> dict[str, Any]:
    """Stages of every repeat, and the peak of memory of the first.

    Peak: allocated on the GPU, else resident; 'above_model' is without what was there when the
    model had been loaded and had answered over 64 frames, which is not counted.
    """
    torch.set_num_threads(1)
    backbone = build(shape)
    question = questions(plan_of(frames, SIDE[shape]))[0]
    gpu = torch.cuda.is_available()
    answer(backbone, video, question, mode, SIDE[shape], 64)
    loaded = torch.cuda.memory_allocated() if gpu else psutil.Process().memory_info().rss
    try:
        runs = [answer(backbone, video, question, mode, SIDE[shape], frames).seconds]
        peak = torch.cuda.max_memory_allocated() if gpu else peak_resident()
        runs += [
            answer(backbone, video, question, mode, SIDE[shape], frames).seconds
            for _ in range(REPEATS - 1)
        ]
    except torch.OutOfMemoryError:
        return {"out_of_memory": True}
    return {
        "runs": runs,
        "peak_mib": peak / 1024**2,
        "peak_above_model_mib": (peak - loaded) / 1024**2,
    }


def peak_resident() -> int:
    """Peak of this process, bytes. Not `getrusage`: a new program starts there with the peak of the
    process that started it, and that one renders videos."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def summarise(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Minimum over repeats of each stage and of their sums, median of the peaks, and spreads."""
    if any("out_of_memory" in one for one in rounds):
        return {"out_of_memory": True}
    runs = [run for one in rounds for run in one["runs"]]
    whole = [sum(run.values()) for run in runs]
    after = [total - run["decoding"] for total, run in zip(whole, runs, strict=True)]
    peaks = {
        name: statistics.median(one[name] for one in rounds)
        for name in ("peak_mib", "peak_above_model_mib")
    }
    above = [one["peak_above_model_mib"] for one in rounds]
    return peaks | {
        "peak_above_model_mib_spread": [min(above), max(above)],
        "stages": {stage: min(run[stage] for run in runs) for stage in STAGES},
        "from_decoded_frames": min(after),
        "from_decoded_frames_spread": [min(after), max(after)],
        "with_decoding": min(whole),
        "with_decoding_spread": [min(whole), max(whole)],
    }


def compare(shape: str, frames: int, cases: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Speed-ups, memory ratios and the ceiling of one length."""
    config = seven_b(architecture.config(architecture.tokenizer()))
    if shape == "tiny":
        config = architecture.config(architecture.tokenizer())
    kept = VideoConfig().representatives(frames)
    work = {
        mode: flops(config, count // PAIR, SIDE[shape])
        for mode, count in zip(MODES, (frames, kept), strict=True)
    }
    ceiling = sum(work["all"].values()) / sum(work["selected"].values())
    row: dict[str, Any] = {"frames": frames, "kept": kept, "flops": work, "ceiling": ceiling}
    row |= {mode: summarise(cases[mode]) for mode in MODES}
    if any("out_of_memory" in row[mode] for mode in MODES):
        return row
    whole, few = row["all"], row["selected"]
    row["speed_up"] = whole["from_decoded_frames"] / few["from_decoded_frames"]
    row["speed_up_with_decoding"] = whole["with_decoding"] / few["with_decoding"]
    row["share_of_ceiling"] = row["speed_up"] / ceiling
    row["share_of_ceiling_with_decoding"] = row["speed_up_with_decoding"] / ceiling
    row["peak_ratio"] = few["peak_mib"] / whole["peak_mib"]
    row["peak_above_model_ratio"] = few["peak_above_model_mib"] / whole["peak_above_model_mib"]
    return row


def print_row(row: dict[str, Any]) -> None:
    """One length for a person."""
    print(f"T = {row['frames']}, kept {row['kept']}: ceiling {row['ceiling']:.1f} x")
    for mode in MODES:
        case = row[mode]
        if "stages" not in case:
            print(f"  {mode:9} out of memory")
            continue
        stages = ", ".join(f"{k.replace('_', ' ')} {v:.3f}" for k, v in case["stages"].items())
        print(
            f"  {mode:9} {stages} s; peak {case['peak_mib']:.0f} MiB "
            f"({case['peak_above_model_mib']:.0f} above the loaded model)"
        )
    if "speed_up" in row:
        print(
            f"  from decoded frames on {row['speed_up']:.1f} x "
            f"({row['share_of_ceiling']:.0%} of the ceiling), with decoding "
            f"{row['speed_up_with_decoding']:.1f} x "
            f"({row['share_of_ceiling_with_decoding']:.0%})"
        )
        print(
            f"  peak memory {row['peak_ratio'] - 1:+.0%}, "
            f"above the loaded model {row['peak_above_model_ratio'] - 1:+.0%}"
        )


def run_case(shape: str, video: Path, frames: int, mode: str) -> dict[str, Any]:
    """`measure_case` in a process of its own."""
    case = json.dumps([shape, str(video), frames, mode])
    done = subprocess.run(
        [sys.executable, __file__, "--case", case], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(shape: str, lengths: list[int], rounds: int) -> dict[str, Any]:
    """All lengths on this machine."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for frames in lengths:
            video = Path(folder) / f"{frames}.mp4"
            encode(render(plan_of(frames, SIDE[shape])), video)
            cases: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
            for _ in range(rounds):
                for mode in MODES:
                    cases[mode].append(run_case(shape, video, frames, mode))
            rows.append(compare(shape, frames, cases))
            print_row(rows[-1])
    where = torch.cuda.get_device_name() if shape == "7b" else "one CPU thread, machine shared"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {where}",
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy", "av")},
        "model": "random weights of Qwen2-VL-7B's shape" if shape == "7b" else "tiny",
        "pixels": SIDE[shape],
        "seed": SEED,
        "rounds": rounds,
        "repeats": rounds * REPEATS,
        "clock": "wall time" if shape == "7b" else "processor time of the one thread",
        "statistic": "time: minimum over repeats; memory: median over rounds; spreads: min, max",
        "lengths": rows,
    }


def main() -> None:
    """Measure, print, record; what the other kind of machine recorded stays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        shape, video, frames, mode = json.loads(arguments.case)
        print(json.dumps(measure_case(shape, Path(video), frames, mode)))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "inference_speedup.json"
    result: dict[str, Any] = {"tiny_on_cpu": "not measured", "7b_on_gpu": "not measured"}
    if path.exists():
        result |= json.loads(path.read_text())
    shape = "7b" if torch.cuda.is_available() else "tiny"
    section = "7b_on_gpu" if shape == "7b" else "tiny_on_cpu"
    result[section] = measure(shape, arguments.frames, arguments.rounds)
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name, measured in result.items():
        if measured == "not measured":
            print(f"{name}: not measured")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
