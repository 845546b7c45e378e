"""Every storage of a program on meta tensors: when it came, when it went, and for what.

Meta tensors have sizes and no data, so a 7B step is followed in seconds and without its memory.
The meta device stands for the accelerator; tensors on the CPU are the program's own bookkeeping.
"""

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Kind = str
"""'parameters', 'gradients', 'optimizer', 'vision', 'logits', or 'other'."""


@dataclass(slots=True)
class Block:
    """One storage."""

    size: int
    """Bytes."""
    born: int
    """Number of the event at which it came."""
    kind: Kind
    died: int = -1
    """Number of the event at which it went; -1 while it lives."""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows all storages on `device` that appear while it is active."""

    def __init__(self, device: str = "meta") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self._known: dict[int, Block] = {}
        self.blocks: list[Block] = []
        self.marks: list[tuple[int, str]] = []
        """Event number and name of each phase that began."""
        self.inputs: list[Block] = []
        """What the step is given."""
        self.events = 0
        self.kind: Kind = "other"

    def mark(self, phase: str) -> None:
        """A new phase of the program begins."""
        self.marks.append((self.events, phase))

    def watch(self, tensors: Iterable[Tensor], kind: Kind) -> None:
        """Count tensors that are there already."""
        for tensor in tensors:
            self._see(tensor, kind)

    def given(self, tensors: Iterable[Tensor]) -> None:
        """Count what the step is given: frames and tokens."""
        before = len(self.blocks)
        self.watch(tensors, "vision")
        self.inputs += self.blocks[before:]

    def tell(self, tensor: Tensor, kind: Kind) -> None:
        """Say what a tensor's storage is for."""
        block = self._known.get(tensor.untyped_storage()._cdata)
        if block is not None:
            block.kind = kind

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and notes what it made."""
        output = func(*args, **(kwargs or {}))
        self.events += 1
        for leaf in output if isinstance(output, list | tuple) else (output,):
            if isinstance(leaf, Tensor):
                self._see(leaf, self.kind)
            elif isinstance(leaf, list | tuple | dict):
                for inner in tree_leaves(leaf):
                    if isinstance(inner, Tensor):
                        self._see(inner, self.kind)
        return output

    def _see(self, tensor: Tensor, kind: Kind) -> None:
        if tensor.device.type != self._device:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        block = Block(size=storage.nbytes(), born=self.events, kind=kind)
        self._known[key] = block
        self.blocks.append(block)
        weakref.finalize(storage, self._gone, key, block).atexit = False

    def _gone(self, key: int, block: Block) -> None:
        self.events += 1
        block.died = self.events
        if self._known.get(key) is block:
            del self._known[key]
