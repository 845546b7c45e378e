"""Which class an exception of a worker belongs to."""

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.recovery import FailureClass


def classify(error: BaseException) -> tuple[FailureClass, str]:
    """Failure class and one line."""
    import torch

    from ntlbg_model.backbone.model import BackboneError
    from ntlbg_model.data.longvideobench import DatasetError
    from ntlbg_model.learning.finite import NonFiniteLossError
    from ntlbg_model.selection.image_text import EncoderError

    line = next((part for part in str(error).splitlines() if part.strip()), "").strip()
    message = f"{type(error).__name__}: {line}"[:500]
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return FailureClass.OUT_OF_MEMORY, message
    if isinstance(error, NonFiniteLossError):
        return FailureClass.NON_FINITE, message
    if isinstance(error, BackboneError | DatasetError | EncoderError | UserError):
        return FailureClass.USER, line
    if isinstance(error, OSError | ConnectionError):
        return FailureClass.INFRASTRUCTURE, message
    return FailureClass.BUG, message
