"""CLIP and SigLIP on frames and questions, through transformers.

Images are prepared here: the processors of transformers need torchvision. A frame is resized whole
to the encoder's square, where CLIP's processor crops its middle: what happens at the edge of a
frame counts in a video.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, CLIPModel, PreTrainedTokenizerBase, SiglipModel

from ntlbg_model.backbone import vision
from ntlbg_model.config import PAIR
from ntlbg_model.safe_loading import (
    DATA_ALONE,
    UNREADABLE,
    WITHOUT_CODE,
    check_checkpoint,
    refuse_quantised,
)

EncoderKind = Literal["clip", "siglip"]

CHECKPOINTS: dict[EncoderKind, str] = {
    "clip": "openai/clip-vit-large-patch14",
    "siglip": "google/siglip2-so400m-patch14-384",
}
"""What is loaded unless the config names another: the CLIP of BOLT, the SigLIP of MDP3 anew."""
_CLASSES = {"clip": CLIPModel, "siglip": SiglipModel}
_STATISTICS = {"clip": (vision.MEAN, vision.DEVIATION), "siglip": ((0.5,) * 3, (0.5,) * 3)}
"""Mean and deviation of the channels, as in training."""


class EncoderError(Exception):
    """An image and text encoder that cannot be loaded; one line that says why."""


@dataclass(frozen=True, kw_only=True)
class ImageTextEncoder:
    """Images and texts as vectors of one space."""

    kind: EncoderKind
    model: CLIPModel | SiglipModel
    tokenizer: PreTrainedTokenizerBase

    @torch.no_grad()
    def pairs(self, pixels: Tensor, chunk: int = 64) -> Tensor:
        """Means [P, d] of the unit vectors of a pair's two frames, of `pixels` [n, h, w, 3].

        Their product with a text is the mean of the two cosines. An odd last frame is left out.
        """
        even = pixels[: pixels.shape[0] // PAIR * PAIR]
        parts = [self._images(part) for part in torch.split(even, chunk)]
        return torch.cat(parts).view(-1, PAIR, parts[0].shape[1]).mean(dim=1)

    @torch.no_grad()
    def text(self, question: str) -> Tensor:
        """Unit vector [d] of a question, cut at the encoder's longest text."""
        tokens = self.tokenizer(
            question,
            padding="max_length" if self.kind == "siglip" else False,
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        ids = tokens["input_ids"].to(self.model.device)
        # SigLIP is trained on padded texts without a mask.
        mask = tokens["attention_mask"].to(ids.device) if self.kind == "clip" else None
        output = self.model.get_text_features(input_ids=ids, attention_mask=mask)
        return functional.normalize(output.pooler_output[0].float(), dim=0)

    def _images(self, frames: Tensor) -> Tensor:
        side = self.model.config.vision_config.image_size
        mean, deviation = (
            torch.tensor(values, device=self.model.device)[:, None, None]
            for values in _STATISTICS[self.kind]
        )
        x = frames.to(self.model.device).permute(0, 3, 1, 2).float()
        x = functional.interpolate(x, (side, side), mode="bicubic", antialias=True)
        x = (x.round().clamp(0, 255) / 255 - mean) / deviation
        output = self.model.get_image_features(pixel_values=x.to(self.model.dtype))
        return functional.normalize(output.pooler_output.float(), dim=1)


def load_encoder(
    kind: EncoderKind, source: str | None, device: torch.device | str
) -> ImageTextEncoder:
    """The encoder of a hub name or local folder (None: `CHECKPOINTS`), frozen.

    Half precision on a GPU. Raises EncoderError where it cannot be loaded or is of another kind.
    """
    name = source or CHECKPOINTS[kind]
    dtype = torch.float32 if torch.device(device).type == "cpu" else torch.float16
    try:
        check_checkpoint(name)
        config = AutoConfig.from_pretrained(name, **WITHOUT_CODE)
        refuse_quantised(getattr(config, "quantization_config", None))
        found = config.model_type
        if found != kind:
            raise EncoderError(f"selection.encoder {name!r} is a {found!r}, not a {kind!r}")
        tokenizer = AutoTokenizer.from_pretrained(name, **WITHOUT_CODE)
        model = _CLASSES[kind].from_pretrained(name, dtype=dtype, **DATA_ALONE)
    except UNREADABLE as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise EncoderError(f"selection.encoder {name!r} cannot be loaded: {reason}") from error
    model.requires_grad_(False)
    return ImageTextEncoder(kind=kind, model=model.eval().to(device), tokenizer=tokenizer)
