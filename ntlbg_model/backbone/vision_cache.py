"""Vision features of the pairs seen last: a frozen tower need not look at a pair twice."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.backbone.vision import CHUNK, is_trained, vision_features

MIB = 1024**2

Key = tuple[str, int, int, int]
"""Video, pair, height, width."""


class VisionCache:
    """Features of frame pairs by video and pair, bounded in bytes, the least recently used dropped.

    They lie in host memory, so a GPU's memory does not depend on them. A tower that is trained is
    never remembered. One cache serves one way of sampling candidates, since a pair is known by its
    index among them. `chunk` pairs go through a frozen tower together.
    """

    def __init__(self, most_bytes: int = 0, chunk: int = CHUNK) -> None:
        self._most = most_bytes
        self.chunk = chunk
        self._held = 0
        self._kept: OrderedDict[Key, Tensor] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._held

    def features(self, visual: nn.Module, prompt: VideoPrompt) -> Tensor:
        """Features [pairs of all rows, h w, hidden] of a prompt's pixels, bit for bit those of
        `vision_features`: only pairs that are not kept go through the tower, each once."""
        pixels = prompt.pixels
        if self._most == 0 or is_trained(visual) or len(prompt.sources) != len(pixels):
            return vision_features(visual, pixels, self.chunk)
        height, width = pixels.shape[2:4]
        keys = [(video, pair, height, width) for video, pair in prompt.sources]
        rows = self._known(keys, pixels.device)
        places = {key: place for place, key in enumerate(keys) if key not in rows}
        if places:
            found = vision_features(visual, pixels[list(places.values())], self.chunk)
            self._keep(list(places), found)
            rows |= zip(places, found, strict=True)
        return torch.stack([rows[key] for key in keys])

    def _known(self, keys: Sequence[Key], device: torch.device) -> dict[Key, Tensor]:
        """What is kept of `keys`, moved at once."""
        known = [key for key in dict.fromkeys(keys) if key in self._kept]
        if not known:
            return {}
        for key in known:
            self._kept.move_to_end(key)
        moved = torch.stack([self._kept[key] for key in known]).to(device)
        return dict(zip(known, moved, strict=True))

    def _keep(self, keys: Sequence[Key], features: Tensor) -> None:
        for key, row in zip(keys, features.cpu(), strict=True):
            # A view would hold the features of all its neighbours.
            self._kept[key] = row.clone()
            self._held += row.nbytes
        while self._held > self._most:
            self._held -= self._kept.popitem(last=False)[1].nbytes
