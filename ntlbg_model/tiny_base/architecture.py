"""Shape and vocabulary of the tiny base model."""

from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, Qwen2VLConfig

from ntlbg_model.backbone.prompt import VIDEO_PAD, VISION_END, VISION_START
from ntlbg_model.data.needles.vocabulary import VOCABULARY

PAD, UNKNOWN, END, IMAGE_PAD = "<|pad|>", "<|unknown|>", "<|endoftext|>", "<|image_pad|>"
SPECIAL = (PAD, UNKNOWN, END, VISION_START, VISION_END, VIDEO_PAD, IMAGE_PAD)

NOTHING = "nothing"
"""What the vision tower says of a pair without a flash; no question or answer uses it."""

RESOLUTION = 56
"""Pixels a side of a frame: a pair is 2 x 2 language-model tokens."""

WORDS = 64
"""Rows of the embedding: the vocabulary, padded."""


def tokenizer() -> PreTrainedTokenizerFast:
    """Word level over the closed vocabulary of the rendered videos; works without a network."""
    words = (*SPECIAL, "answer", NOTHING, *VOCABULARY)
    table = {word: number for number, word in enumerate(words)}
    model = Tokenizer(WordLevel(table, unk_token=UNKNOWN))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[VISION_START, VISION_END, VIDEO_PAD, IMAGE_PAD],
        padding_side="right",
    )


def config(words: PreTrainedTokenizerFast) -> Qwen2VLConfig:
    """2.1 M parameters, 0.9 M of them vision.

    Temporal ids take the eight fastest of the 16 rotary frequencies; with base 10,000 the slowest
    of them turns once in 350 pairs, so it tells the ends of a 256-pair video apart.
    """
    ids = dict(zip(SPECIAL, words.convert_tokens_to_ids(list(SPECIAL)), strict=True))
    return Qwen2VLConfig(
        text_config={
            "vocab_size": WORDS,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 3,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 8192,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [8, 4, 4],
            },
            "bos_token_id": None,
            "eos_token_id": ids[END],
            "pad_token_id": ids[PAD],
        },
        vision_config={
            "depth": 2,
            "embed_dim": 128,
            "hidden_size": 192,
            "num_heads": 4,
            "mlp_ratio": 4,
        },
        vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END],
        video_token_id=ids[VIDEO_PAD],
        image_token_id=ids[IMAGE_PAD],
        tie_word_embeddings=False,
    )
