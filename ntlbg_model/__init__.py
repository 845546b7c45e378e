"""NTLBG-LLM: representative points pick the few frames of a long video that answer a question.

The package root imports nothing heavy: each public name is imported when it is asked for, so that
`import ntlbg_model.config` costs milliseconds. What is not in `__all__` is private and may move.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntlbg_model.config import Config
    from ntlbg_model.footprint import training_footprint
    from ntlbg_model.modeling.checkpoint import load_for_answers
    from ntlbg_model.modeling.load import load_variant
    from ntlbg_model.modeling.model import NTLBGModel
    from ntlbg_model.records import Prediction
    from ntlbg_model.streaming_qa.videoqa import NTLBGVideoQA
    from ntlbg_model.tracing.trace import trace_step

__version__ = "0.1.0"
__all__ = [
    "Config",
    "NTLBGModel",
    "NTLBGVideoQA",
    "Prediction",
    "load_for_answers",
    "load_variant",
    "trace_step",
    "training_footprint",
]

_PLACES = {
    "Config": "config",
    "NTLBGModel": "modeling.model",
    "NTLBGVideoQA": "streaming_qa.videoqa",
    "Prediction": "records",
    "load_for_answers": "modeling.checkpoint",
    "load_variant": "modeling.load",
    "trace_step": "tracing.trace",
    "training_footprint": "footprint",
}
"""Module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name. Raises AttributeError for any other."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
