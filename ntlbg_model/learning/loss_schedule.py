"""Weights of the loss terms over the steps of a training. Standard library only."""

from ntlbg_model.config import LossConfig

AUXILIARY = (
    "ntlbg_constraint",
    "feature_alignment",
    "temporal_coherence",
    "information_preservation",
    "diversity_regularization",
)
"""Terms beside the task, in the order in which 'progressive' brings them in."""
WARM_UP = 0.1
"""Share of the steps over which a term comes in."""
LEAST_TASK = 0.1
"""Share of the task's weight with which 'curriculum' starts."""


def loss_weights(loss: LossConfig, step: int, max_steps: int) -> dict[str, float]:
    """Weight of every term at `step`, 0 to max_steps - 1.

    static: the auxiliary terms grow linearly over the first tenth of the steps. progressive: one
    starts to grow after another, evenly over the first half. curriculum: they start in full and
    fall linearly to zero at the last step, while the task grows from a tenth of its weight over
    the first half. Distillation starts in full under every schedule, since without it there is
    nothing to select by yet, and falls linearly to zero at the last step.
    """
    done = step / max(1, max_steps - 1)
    weights = {
        "task": loss.task * _task(loss, done),
        "distillation": loss.distillation * (1 - done),
    }
    wanted = [name for name in AUXILIARY if getattr(loss, name) > 0]
    for name in AUXILIARY:
        place = wanted.index(name) if name in wanted else 0
        factor = _auxiliary(loss, (step + 1) / max(1, max_steps), done, place, len(wanted))
        weights[name] = getattr(loss, name) * factor
    return weights


def _task(loss: LossConfig, done: float) -> float:
    if loss.schedule != "curriculum":
        return 1.0
    return min(1.0, LEAST_TASK + (1 - LEAST_TASK) * 2 * done)


def _auxiliary(loss: LossConfig, begun: float, done: float, place: int, count: int) -> float:
    if loss.schedule == "curriculum":
        return 1 - done
    start = 0.5 * place / max(1, count) if loss.schedule == "progressive" else 0.0
    return min(1.0, max(0.0, (begun - start) / WARM_UP))
