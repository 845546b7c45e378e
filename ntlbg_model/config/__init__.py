"""Every option of a run, as frozen dataclasses. Standard library only.

Each class is one section of a configuration file, each field one key, and the string below a
field is its documentation (`ntlbg config schema` prints it). Range and cross-field checks are
in `__post_init__` and raise `ValueError` with a message that begins with the field's name.
"""

from ntlbg_model.config.checks import STRICT
from ntlbg_model.config.data import DataConfig, DatasetConfig, EvaluationConfig, Metric
from ntlbg_model.config.model import (
    Architecture,
    ModelConfig,
    Reducer,
    RichPointsConfig,
    TemporalConfig,
    ValleyPooling,
)
from ntlbg_model.config.selection import SelectionConfig, SelectionMethod
from ntlbg_model.config.training import LossConfig, TrainingConfig
from ntlbg_model.config.variant import Config, HardwareConfig
from ntlbg_model.config.video import PAIR, VideoConfig

__all__ = [
    "PAIR",
    "STRICT",
    "Architecture",
    "Config",
    "DataConfig",
    "DatasetConfig",
    "EvaluationConfig",
    "HardwareConfig",
    "LossConfig",
    "Metric",
    "ModelConfig",
    "Reducer",
    "RichPointsConfig",
    "SelectionConfig",
    "SelectionMethod",
    "TemporalConfig",
    "TrainingConfig",
    "ValleyPooling",
    "VideoConfig",
]
