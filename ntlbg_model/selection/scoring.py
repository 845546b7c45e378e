"""What a selection looks at: features of a video's pairs, and their similarity to a question.

Looking at all candidates of a video is what selection costs; what was seen of the last videos is
kept, so that another question about the same video costs a product.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.features import pair_features
from ntlbg_model.selection.image_text import CHECKPOINTS, EncoderKind, load_encoder
from ntlbg_model.selection.vision_blocks import block_features, merged_tokens
from ntlbg_model.selection.word_match import best_word, word_vectors

CACHE_BYTES = 512 * 1024**2
"""Most that is kept of earlier videos."""


class FrameScorer:
    """Looks at videos in the ways that a selection asks for, and no others."""

    def __init__(
        self, config: SelectionConfig, backbone: Backbone | None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        """Loads the encoder that is asked for: raises EncoderError where it cannot be. Raises
        ValueError where the backbone is asked for and there is none."""
        self._config = config
        self._backbone = backbone
        self._seen = VideoCache(cache_bytes)
        asked = {config.features} if config.compares_frames else set()
        asked |= {config.similarity} if config.compares_with_question else set()
        if "backbone" in asked and backbone is None:
            raise ValueError("the selection looks through the backbone, and there is none")
        device = "cpu" if backbone is None else backbone.device
        self._encoders = {
            kind: load_encoder(kind, config.encoder, device)
            for kind in CHECKPOINTS
            if kind in asked
        }

    def features(self, video_id: str, pixels: Tensor) -> Tensor:
        """Features [P, d] of the pairs of `pixels` uint8 [n, h, w, 3], by `config.features`."""
        kind = self._config.features
        if kind == "clip" or kind == "siglip":
            return self._encoded(kind, video_id, pixels)
        if kind == "backbone":
            visual = self._backed().visual
            return self._seen.get((video_id, "blocks"), lambda: block_features(visual, pixels))
        return self._seen.get((video_id, kind), lambda: pair_features(pixels))

    def similarity(self, video_id: str, pixels: Tensor, question: str) -> Tensor:
        """Similarity [P] of the pairs to a question, by `config.similarity`."""
        kind = self._config.similarity
        if kind == "clip" or kind == "siglip":
            return self._encoded(kind, video_id, pixels) @ self._encoders[kind].text(question)
        backbone = self._backed()
        tokens = self._seen.get(
            (video_id, "tokens"), lambda: merged_tokens(backbone.visual, pixels)
        )
        return best_word(tokens, word_vectors(backbone, question))

    def _encoded(self, kind: EncoderKind, video_id: str, pixels: Tensor) -> Tensor:
        return self._seen.get((video_id, kind), lambda: self._encoders[kind].pairs(pixels))

    def _backed(self) -> Backbone:
        if self._backbone is None:
            raise ValueError("there is no backbone to look through")
        return self._backbone


class VideoCache:
    """What was computed of the videos asked for last, bounded in bytes; the newest always stays."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[tuple[str, str], Tensor] = OrderedDict()

    def get(self, key: tuple[str, str], compute: Callable[[], Tensor]) -> Tensor:
        """The tensor of (video, kind), computed where it is not kept."""
        if key not in self._kept:
            self._kept[key] = compute()
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(x.nbytes for x in self._kept.values()) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]
