"""Parts of a fit in a few words, as tables and explanations show them."""

from ntlbg_service.domain.fitting.candidates import CHUNK
from ntlbg_service.domain.fitting.fit import Fit


def where(fit: Fit) -> str:
    """The devices of a fit."""
    gang = fit.profile if fit.workers == 1 else f"{fit.workers} x {fit.profile}"
    if fit.share < 1:
        gang = f"1/{round(1 / fit.share)} of {fit.profile}"
    return gang if fit.nodes == 1 else f"{gang} on {fit.nodes} nodes"


def batch(fit: Fit, *, short: bool = False) -> str:
    """How the global batch is split."""
    return (" x ", "x")[short].join(map(str, (fit.micro_batch, fit.accumulation, fit.workers)))


def settings(fit: Fit, *, short: bool = False) -> str:
    """What a fit does to save memory."""
    words = {
        "ckpt" if short else "checkpointing": fit.gradient_checkpointing,
        f"Z{fit.zero_stage}" if short else f"ZeRO-{fit.zero_stage}": fit.zero_stage > 0,
        f"off. {fit.offload[:3]}" if short else f"offload {fit.offload}": fit.offload != "none",
        f"v{fit.vision_chunk}" if short else f"vision in chunks of {fit.vision_chunk}": (
            fit.vision_chunk < CHUNK
        ),
    }
    return (" " if short else ", ").join(word for word, used in words.items() if used) or "plain"


def duration(hours: float) -> str:
    """Hours, minutes or seconds, whichever reads best."""
    if hours >= 1:
        return f"{number(hours)} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"


def number(value: float) -> str:
    """One decimal, thousands apart."""
    return f"{value:,.1f}".replace(",", " ")
