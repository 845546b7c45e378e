"""Published architectures with random weights and narrow layers, on their published frames."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    InstructBlipVideoConfig,
    InstructBlipVideoQFormerConfig,
    InstructBlipVideoVisionConfig,
    LlamaConfig,
    LlavaNextVideoConfig,
    LlavaOnevisionConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3VLConfig,
    SiglipVisionConfig,
    VideoLlama3Config,
    VideoLlama3VisionConfig,
    VideoLlavaConfig,
)

from ntlbg_model.config import Architecture
from ntlbg_model.geometry.published_size import PIXELS
from ntlbg_model.published_models.instructblip_video import QUESTIONS
from ntlbg_model.published_models.load import CLASSES

SIDES: dict[Architecture, int] = {
    "llava_onevision": 384,
    "llava_next_video": 336,
    "video_llava": 224,
    "instructblipvideo": 224,
}
"""Of the frames that have one shape."""
BILLIONS = 0.001
MEAN, DEVIATION = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]
NARROW = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def save_native(architecture: Architecture, folder: Path, **preprocessing: object) -> Path:
    """A whole checkpoint folder: weights, tokenizer, preprocessing numbers."""
    tokenizer = _tokenizer(begins=architecture not in (*PIXELS, "llava_onevision"))
    torch.manual_seed(0)
    model = CLASSES[architecture][1](_config(architecture, tokenizer)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=2 * weight[0].numel() ** -0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if architecture == "instructblipvideo":
        _tokenizer(begins=True).save_pretrained(folder / QUESTIONS)
    numbers = {
        "size": _size(architecture),
        "resample": 3,
        "image_mean": MEAN,
        "image_std": DEVIATION,
        "rescale_factor": 1 / 255,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(numbers | preprocessing))
    return folder


def _size(architecture: Architecture) -> dict[str, int]:
    if architecture in PIXELS:
        return {
            "shortest_edge": PIXELS[architecture].least,
            "longest_edge": PIXELS[architecture].most,
        }
    return {"height": SIDES[architecture], "width": SIDES[architecture]}


def _tokenizer(*, begins: bool) -> PreTrainedTokenizerFast:
    """Byte pairs of a few words; some families put a token before every text."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<s>", "<image>", "<video>", "<|im_start|>", "<|im_end|>"]
    special += ["<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(_corpus(), trainer)
    if begins:
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>" if begins else None,
        extra_special_tokens=special[1:],
    )


def _corpus() -> Iterator[str]:
    for _ in range(20):
        yield "USER: what colour is the star that flashed? ASSISTANT: A B C D E"
        yield " red blue green white cyan Answer with the option's letter"


def _config(architecture: Architecture, words: PreTrainedTokenizerFast) -> PreTrainedConfig:
    text = {**NARROW, "intermediate_size": 64, "num_key_value_heads": 1, "vocab_size": len(words)}
    vision = {**NARROW, "intermediate_size": 64, "patch_size": 14}
    if architecture == "video_llama_3":
        return VideoLlama3Config(
            vision_config=VideoLlama3VisionConfig(**vision).to_dict(),
            text_config=Qwen2Config(**text).to_dict(),
            image_token_id=words.convert_tokens_to_ids("<image>"),
            video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        )
    if architecture == "qwen3_vl":
        return _qwen3_vl(text, words)
    vision["image_size"] = SIDES[architecture]
    if architecture == "instructblipvideo":
        return InstructBlipVideoConfig(
            vision_config=InstructBlipVideoVisionConfig(**vision).to_dict(),
            qformer_config=InstructBlipVideoQFormerConfig(
                **NARROW, intermediate_size=64, vocab_size=len(words)
            ).to_dict(),
            text_config=LlamaConfig(**text).to_dict(),
            video_token_index=words.convert_tokens_to_ids("<video>"),
        )
    tokens = {
        "image_token_index": words.convert_tokens_to_ids("<image>"),
        "video_token_index": words.convert_tokens_to_ids("<video>"),
    }
    if architecture == "llava_onevision":
        tower = SiglipVisionConfig(**vision, vision_use_head=False)
        return LlavaOnevisionConfig(vision_config=tower, text_config=Qwen2Config(**text), **tokens)
    build = LlavaNextVideoConfig if architecture == "llava_next_video" else VideoLlavaConfig
    tower = CLIPVisionConfig(**vision)
    return build(vision_config=tower, text_config=LlamaConfig(**text), **tokens)


def _qwen3_vl(text: dict[str, int], words: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    """Four blocks of vision, two of which the language model also sees."""
    return Qwen3VLConfig(
        text_config=text
        | {
            "num_hidden_layers": 3,
            "head_dim": 16,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 2, 2],
            },
        },
        vision_config={
            "depth": 4,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 2],
        },
        image_token_id=words.convert_tokens_to_ids("<image>"),
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=words.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"),
    )
