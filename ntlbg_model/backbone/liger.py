"""Liger's fused kernels (arXiv:2410.10989) in the language model, where they can run."""

import logging

import torch
from torch import nn
from transformers.integrations.liger import apply_liger_kernel
from transformers.utils import is_liger_kernel_available

logger = logging.getLogger(__name__)

KERNELS = {
    "rms_norm": True,
    "swiglu": True,
    "rope": False,
    "layer_norm": False,
    "cross_entropy": False,
    "fused_linear_cross_entropy": False,
}
"""What is replaced: the norms and gated layers of the language model, which keep fewer activations
that way. The rotary kernel would be set for every model of the process; the vision tower stays as
it is; only answers go through the vocabulary, so there is no large loss to fuse."""


def use_liger(model: nn.Module, device: torch.device | str) -> bool:
    """Put the kernels into a base model, before adapters go around its layers.

    Where they cannot run the model stays as it is, and one line of the log says why.
    """
    lacking = what_liger_lacks(torch.device(device))
    if lacking is not None:
        logger.warning("model.liger: %s; the model's own layers instead", lacking)
        return False
    apply_liger_kernel(model, dict(KERNELS))
    return True


def what_liger_lacks(device: torch.device) -> str | None:
    """Why the kernels cannot run on a device, or None."""
    if device.type != "cuda":
        return f"Liger's kernels need a GPU, and the model is on {device.type!r}"
    if not is_liger_kernel_available():
        return "the liger-kernel package (0.3 or newer) is not installed"
    return None
