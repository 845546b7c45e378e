"""The published NTLBG-LLM layout as data: which of its keys is which of ours, which has no use.

Paths are dotted; a path ending in a dot stands for all that is below it.
"""

from typing import Any

MARKS = (
    "video_config",
    "training_config",
    "dataset_config",
    "hardware_config",
    "longvideo_variants",
    "ablation_experiments",
    "baseline_methods",
    "ntlbg_variants",
    "analysis_scenarios",
    "validation_experiments",
)
"""Top-level keys by which a file of that layout is known."""

_LOSS = "loss_config.loss_weights."
_TERMS = (
    "task",
    "ntlbg_constraint",
    "feature_alignment",
    "temporal_coherence",
    "information_preservation",
    "diversity_regularization",
)

SAME_NAME = {
    "video_config": (
        "max_frames",
        "num_representatives",
        "frame_resolution",
        "coverage_ratio",
        "min_representatives",
        "max_representatives_ratio",
        "representative_alignment",
    ),
    "training_config": (
        "learning_rate",
        "weight_decay",
        "max_steps",
        "warmup_steps",
        "save_steps",
        "logging_steps",
        "optimizer",
        "lr_scheduler",
        "max_grad_norm",
    ),
    "model_config": ("ntlbg_hidden_size",),
}
"""Keys that keep their name, by section; our section has no `_config`."""

KEYS: dict[str, str] = {
    **{
        f"{section}.{name}": f"{section.removesuffix('_config')}.{name}"
        for section, names in SAME_NAME.items()
        for name in names
    },
    **{_LOSS + term: f"training.loss.{term}" for term in _TERMS},
    "model_config.ntlbg_use_flash_attention": "model.flash_attention",
    "model_config.ntlbg_gradient_checkpointing": "model.gradient_checkpointing",
    "model_config.rich_point_config.enable": "model.rich_points.enabled",
    "model_config.rich_point_config.feature_dim": "model.rich_points.feature_dim",
    "model_config.num_representatives": "video.num_representatives",
    "model_config.feature_alignment_method": "model.feature_alignment",
    "model_config.rich_points_enabled": "model.rich_points.enabled",
    "model_config.context_window_size": "model.rich_points.context_window_size",
    "attention_config.temporal_attention_layers": "model.temporal.layers",
    "longvideo_config.hierarchical_attention": "model.temporal.hierarchical",
    "longvideo_config.memory_bank_size": "model.temporal.memory_bank_size",
    "ntlbg_config.constraint_type": "selection.constraint_type",
    "hardware_config.num_gpus": "hardware.num_gpus",
}
"""Published path to ours, where the value stays what it is."""

VALUES: dict[str, dict[str, str]] = {"training.optimizer": {"AdamW": "adamw", "Adam_W": "adamw"}}
"""Values that are spelt differently."""

STRATEGIES: dict[str, str] = {
    "uniform": "uniform",
    "random": "random",
    "clip": "clip_topk",
    "clip_similarity": "clip_topk",
    "ntlbg": "ntlbg",
}
"""Values of `frame_sampling_strategy` in an experiment, as `selection.method`."""

FORMATS: dict[str, str] = {
    "longvideobench": "longvideobench",
    "videomme": "video_mme",
    "mlvu": "mlvu",
}
"""Readers by the letters that a data set's name begins with."""

METHODS: dict[str, dict[str, Any]] = {
    "uniform_sampling": {"selection.method": "uniform"},
    "random_sampling": {"selection.method": "random"},
    "clip_sampling": {"selection.method": "clip_topk"},
    "qwen2_vl": {
        "selection.method": "all_frames",
        "video.max_frames": 768,
        "video.num_representatives": None,
        "model.rich_points.enabled": False,
    },
    "llava_video": {
        "selection.method": "uniform",
        "model.reducer": "llava_video",
        "video.num_representatives": 64,
        "model.rich_points.enabled": False,
    },
}
"""Keys of `baseline_methods` that exist here, and what makes them: the same as in the shipped
comparison. A selector keeps what the main config has beside the frames, a model does not."""

BASELINES = ("without_ntlbg", "rep_512", "task_only", "no_", "simple_", "uniform_sampling")
"""What the name of a group's baseline is or begins with, in the order of preference."""

LEARNED: dict[str, Any] = {
    "selection.method": "ntlbg",
    "selection.query": "learned",
    "selection.features": "backbone",
    "training.loss.distillation": 1.0,
}
"""What a loss term beside the task needs so that something trained depends on it."""

THEORY: dict[str, dict[str, dict[str, Any]]] = {
    "equicontour_property": {
        "no_contour": {"selection.constraint_type": "none"},
        **{
            f"contour_{level}": {
                "selection.constraint_type": "soft_equicontour",
                "selection.contour": level,
            }
            for level in ("zero", "rate", "median", "quantile")
        },
    },
    "information_optimality": {
        f"floor_{percent}": {"selection.uniform_floor": percent / 100}
        for percent in (50, 0, 25, 75, 100)
    },
    "convergence_analysis": {
        "steps_full": {},
        "steps_none": {"training.max_steps": 0, "training.warmup_steps": 0},
    },
    "robustness_analysis": {
        "plain_moments": {"selection.moments": "plain"},
        "robust_moments": {"selection.moments": "robust"},
    },
    "statistical_properties": {
        "ntlbg_frames": {"selection.method": "ntlbg"},
        "random_frames": {"selection.method": "random"},
    },
}
"""Groups of trainings that ask what a published validation asks of synthetic data; the first
variant is the baseline."""

_BASE = "the base model's own config says it"
_ALWAYS = "set by the trainer"
_FIT = "the fit chooses it for each card"
_COMPARE = "`ntlbg compare` has its own tests, intervals and corrections"

UNUSED: dict[str, str] = {
    "version": "configs carry no version",
    "video_config.temporal_stride": "every frame is a candidate, evenly thinned to max_frames",
    "model_config.ntlbg_intermediate_size": _BASE,
    "model_config.ntlbg_num_attention_heads": _BASE,
    "model_config.ntlbg_num_key_value_heads": _BASE,
    "model_config.ntlbg_max_position_embeddings": _BASE,
    "model_config.ntlbg_rope_theta": _BASE,
    "model_config.ntlbg_attention_dropout": _BASE,
    "model_config.rich_point_config.spatial_resolution": "the backbone's grid is kept",
    "model_config.rich_point_config.temporal_context_length": "a point pools its own time cell; "
    "model.rich_points.context_window_size sets a window",
    "model_config.rich_point_config.rich_point_layers": "context is added before the language "
    "model, not inside it",
    "training_config.eval_steps": "a run is evaluated once, when it is trained",
    "training_config.dataloader_num_workers": _ALWAYS,
    "training_config.dataloader_pin_memory": _ALWAYS,
    "training_config.remove_unused_columns": _ALWAYS,
    "training_config.ddp_find_unused_parameters": _ALWAYS,
    "dataset_config.test_datasets.": "a run is evaluated on val_datasets",
    "hardware_config.mixed_precision": "training.precision, from training_config, says it",
    "hardware_config.memory_optimization.": _FIT,
    "hardware_config.distributed_training.": _FIT,
    "evaluation_config.target_performance.": "a target is not measured",
    "evaluation_config.benchmark_datasets": "a run is evaluated on val_datasets",
    "evaluation_config.metrics": "evaluation.metrics shows all that is measured: accuracy, "
    "needle_recall, visual_tokens, seconds_per_question, peak_memory_mib",
    "output_dir": "results go to the workspace (--home)",
    "execution_settings.early_stopping.": "a run goes to training.max_steps",
    "execution_settings.": "queueing, resuming and checkpoints are the service's",
    "statistical_analysis.": _COMPARE,
    "evaluation_settings.": _COMPARE,
    "statistical_tests.": _COMPARE,
    "visualization_config.": "`ntlbg compare` draws its own report",
    "synthetic_data_generation.": "`python -m ntlbg_model.validation` makes its own data",
    "efficiency_metrics.": "a run reports seconds_per_question, peak_memory_mib, visual_tokens",
    "profiling_config.": "runs are not profiled",
    "optimization_analysis.": _FIT,
    "scaling_analysis.": "no group is made of it; hardware.num_gpus in a variant does it",
    "validation_experiments.": "a test on synthetic data: `python -m ntlbg_model.validation`",
}
"""Why a key is not used."""

UNUSED_LEAVES: dict[str, str] = {
    "implementation": "the code here is named by the method",
    "gpu_memory_requirement": "predicted for each card (`ntlbg config analyze`)",
    "max_length": "video.max_frames bounds every video",
    "video_types": "a data set is used whole",
    "num_repetitions": "repetitions on synthetic data: `python -m ntlbg_model.validation`",
    "compute_capability": "this project's own profiles say it",
    "significance_test": _COMPARE,
    "significance_level": _COMPARE,
    "confidence_level": _COMPARE,
    "bootstrap_samples": _COMPARE,
    "effect_size_measure": _COMPARE,
    "multiple_comparison_correction": _COMPARE,
}
"""Why a key of that last name is not used, wherever it stands."""


def why_unused(path: str) -> str:
    """The reason for a key that nothing takes."""
    last = path.rsplit(".", 1)[-1]
    if last in UNUSED_LEAVES:
        return UNUSED_LEAVES[last]
    for start, reason in UNUSED.items():
        if path == start.rstrip(".") or (start.endswith(".") and path.startswith(start)):
            return reason
    return "no option here corresponds to it"
