"""Memory, FLOPs and time of a run, predicted in closed form. No torch."""

from ntlbg_model.footprint.closed_form import (
    CONTEXT_GIB,
    answering_footprint,
    run_footprint,
    training_footprint,
    weights_of,
)
from ntlbg_model.footprint.items import GIB, MIB, Footprint
from ntlbg_model.footprint.load import Load, load_of
from ntlbg_model.footprint.states import States, Weights, states_of
from ntlbg_model.footprint.work import (
    Rates,
    sample_flops,
    step_seconds,
    training_flops,
    training_hours,
)
from ntlbg_model.geometry.step_shape import Attention, Offload, Precision, Step

__all__ = [
    "CONTEXT_GIB",
    "GIB",
    "MIB",
    "Attention",
    "Footprint",
    "Load",
    "Offload",
    "Precision",
    "Rates",
    "States",
    "Step",
    "Weights",
    "answering_footprint",
    "load_of",
    "run_footprint",
    "sample_flops",
    "states_of",
    "step_seconds",
    "training_flops",
    "training_footprint",
    "training_hours",
    "weights_of",
]
