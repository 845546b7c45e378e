"""Which part of a step is running: marks and kinds for a recorder, set by hooks of the modules."""

from functools import partial
from typing import Any

from torch import Tensor, nn

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.tracing.storages import Recorder


class Phases:
    """Marks where the first and the last block's forward and backward pass begin.

    Between two blocks of a kind nothing but another such block happens, so memory there lies on
    the line between the marks: that is what allows a shallow model to stand for a deep one.
    """

    def __init__(self, backbone: Backbone, recorder: Recorder) -> None:
        self._recorder = recorder
        self._backwards = False
        language = backbone.base.model.language_model
        backbone.base.model.register_forward_pre_hook(partial(self._kind, "other"))
        backbone.base.lm_head.register_forward_pre_hook(partial(self._kind, "logits"))
        self._blocks("", language.layers)
        self._blocks("vision ", backbone.visual.blocks)
        language.layers[-1].register_forward_hook(partial(self._mark, "head"))
        for weight in backbone.model.parameters():
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                    self._accumulated
                )

    def begin(self) -> None:
        """The step begins with its frames."""
        self._recorder.mark("vision")
        self._recorder.kind = "vision"

    def backward(self) -> None:
        """The forward pass is over, and with it what autocast kept."""
        self._backwards = True
        self._recorder.mark("loss")

    def _blocks(self, name: str, blocks: Any) -> None:
        for number, place in ((0, "first"), (len(blocks) - 1, "last")):
            block = blocks[number]
            block.register_forward_pre_hook(partial(self._mark, f"{name}forward {place}"))
            block.register_forward_hook(partial(self._await, f"{name}backward {place}"))

    def _mark(self, phase: str, *_: object) -> None:
        # Recomputed blocks call their hooks again in the backward pass.
        if not self._backwards:
            self._recorder.mark(phase)

    def _kind(self, kind: str, *_: object) -> None:
        if not self._backwards:
            self._recorder.kind = kind

    def _await(self, phase: str, module: nn.Module, args: object, output: Any) -> None:
        tensor = output[0] if isinstance(output, tuple) else output
        if not self._backwards and tensor.requires_grad:
            tensor.register_hook(partial(self._reached, phase))

    def _reached(self, phase: str, _: Tensor) -> None:
        self._recorder.mark(phase)
        self._recorder.kind = "vision" if phase.startswith("vision") else "other"

    def _accumulated(self, weight: Tensor) -> None:
        if weight.grad is not None:
            self._recorder.tell(weight.grad, "gradients")
