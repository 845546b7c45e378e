"""How well a base model answers by the way its frames were chosen, on videos in memory."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.tiny_base.examples import SELECTIONS, selected, training_video
from ntlbg_model.tiny_base.footage import frame_pairs
from ntlbg_model.tiny_base.packing import PackedVideo, packed_logits

LedgerStats = dict[str, dict[str, float]]
"""By selection: accuracy of each category, 'all', and 'recall' of the flashes."""


@torch.no_grad()
def measure(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    spec: NeedlesSpec,
    kept: int,
    selections: Sequence[str] = SELECTIONS,
) -> LedgerStats:
    """Accuracy among the options on every question of a set, `kept` pairs a video."""
    model.eval()
    hits: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in selections}
    for index in range(spec.videos):
        plan = sample_video(spec, index)
        video = training_video(plan, frame_pairs(plan), model.model.visual, tokenizer, kept)
        asked = questions(plan)
        options = [build_prompt(q, tokenizer, "option_words").options for q in asked]
        for name in selections:
            pairs = selected(video, name, kept, seed=index)
            packed = PackedVideo(
                features=video.features[pairs].float(), pairs=pairs, asks=video.asks
            )
            logits, right = packed_logits(model, [packed])
            tally = hits[name]
            for row, words, answer, question in zip(logits, options, right, asked, strict=True):
                hit = float(words[int(row[list(words)].argmax())] == int(answer))
                tally[question.category].append(hit)
                tally["all"].append(hit)
            shown = set(pairs.tolist())
            tally["recall"] += [float(bool(shown & set(f.pairs))) for f in video.flashes]
    return {
        name: {kind: sum(row) / len(row) for kind, row in sorted(tally.items())}
        for name, tally in hits.items()
    }
