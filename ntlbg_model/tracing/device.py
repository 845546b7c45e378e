"""The accelerator that the meta device stands for: its attention kernels and its autocast."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Self

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from ntlbg_model.tracing.attention import Kernel, attend

_LOWER = {
    functional.linear,
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
    torch.matmul,
    torch.mm,
    torch.bmm,
    torch.addmm,
    torch.baddbmm,
    torch.einsum,
    Tensor.matmul,
    Tensor.__matmul__,
    Tensor.mm,
    Tensor.bmm,
}
"""Functions that autocast runs in 16 bit on every device."""
_UPPER = {
    functional.layer_norm,
    functional.group_norm,
    functional.softmax,
    functional.log_softmax,
    functional.mse_loss,
    functional.nll_loss,
    functional.cross_entropy,
    functional.cosine_similarity,
    functional.softplus,
    torch.softmax,
    torch.log_softmax,
    torch.exp,
    torch.log,
    torch.pow,
    torch.rsqrt,
    torch.reciprocal,
    torch.cumsum,
    torch.cumprod,
    torch.sum,
    torch.prod,
    torch.norm,
    Tensor.softmax,
    Tensor.log_softmax,
    Tensor.exp,
    Tensor.log,
    Tensor.pow,
    Tensor.rsqrt,
    Tensor.reciprocal,
    Tensor.cumsum,
    Tensor.sum,
    Tensor.prod,
    Tensor.norm,
}
"""Functions that CUDA's autocast runs in fp32 (docs of torch.amp). The CPU's list has none that a
training step of these models calls on 16-bit tensors."""


class TracedDevice(TorchFunctionMode):
    """Sends attention to `kernel`, and casts to `half` within `autocast`."""

    def __init__(
        self,
        kernel: Kernel,
        half: torch.dtype | None = None,
        *,
        widens: bool = True,
        workspaces: bool = True,
    ) -> None:
        super().__init__()
        self._kernel = kernel
        self._half = half
        self._widens = widens
        self._workspaces = workspaces
        self._casting = False
        self._copies: dict[int, Tensor] | None = None
        self._real = torch.autocast

    def __enter__(self) -> Self:
        """Also takes the place of `torch.autocast`, which knows no meta device."""
        torch.autocast = self._switch  # type: ignore[misc, assignment]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        torch.autocast = self._real  # type: ignore[misc]

    def again(self) -> AbstractContextManager[None]:
        """For functions that run inside another one, where the mode is suspended: blocks that are
        recomputed in `backward`, which cast as they do now."""
        return self._again(self._casting)

    @contextmanager
    def _again(self, casting: bool) -> Iterator[None]:
        before, copies = self._casting, self._copies
        self._casting, self._copies = casting, None
        super().__enter__()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            super().__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._casting, self._copies = before, copies

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Casts inside. Copies of trained weights are kept until the end, as autocast does."""
        self._casting, self._copies = self._half is not None, {}
        try:
            yield
        finally:
            self._casting, self._copies = False, None

    def _switch(
        self,
        device_type: str,
        dtype: torch.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> AbstractContextManager[Any]:
        if device_type != "meta":
            return self._real(device_type, dtype, enabled, cache_enabled)
        return nullcontext() if enabled else self._paused()

    @contextmanager
    def _paused(self) -> Iterator[None]:
        before, self._casting = self._casting, False
        try:
            yield
        finally:
            self._casting = before

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """One function of torch, as the accelerator would run it."""
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention and args[0].is_meta:
            if self._casting:
                args, kwargs = self._lowered((args, kwargs))
            with torch._C.DisableTorchFunctionSubclass():
                return attend(self._kernel, *args, workspaces=self._workspaces, **kwargs)
        if self._casting:
            if func in _LOWER:
                args, kwargs = self._lowered((args, kwargs))
            elif self._widens and func in _UPPER:
                args, kwargs = tree_map(_widened, (args, kwargs))
        return func(*args, **kwargs)

    def _lowered(self, values: Any) -> Any:
        return tree_map(self._lower, values)

    def _lower(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32 or not value.is_meta:
            return value
        assert self._half is not None
        if self._copies is None or not (value.is_leaf and value.requires_grad):
            return value.to(self._half)
        if id(value) not in self._copies:
            self._copies[id(value)] = value.to(self._half)
        return self._copies[id(value)]


def _widened(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value
