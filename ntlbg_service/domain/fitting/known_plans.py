"""The usual ways to train the three categories, each on the kind it was meant for.

Rows of the memory study of the published pairings: what a person would try first, at the
pairings' micro-batches, whether or not the fit would ever choose it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ntlbg_model.config import Config
from ntlbg_model.footprint import CONTEXT_GIB, Offload, Step
from ntlbg_service.domain.fitting.analysis import PAIRINGS, Tuning
from ntlbg_service.domain.fitting.candidates import choose_attention, choose_precision
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import SAFETY
from ntlbg_service.domain.hardware.profiles import PROFILES, Profile


@dataclass(frozen=True, kw_only=True)
class KnownPlan:
    """One way to train, whatever the category."""

    name: str
    tuning: Tuning
    quantisation: Literal["none", "int8", "nf4"] = "none"
    workers: int = 1
    zero_stage: Literal[0, 1, 2, 3] = 0
    offload: Offload = "none"
    checkpointing: bool = True
    master_weights: bool = True
    micro_batch: int | None = None
    """None: the pairing's own."""


PLANS = (
    KnownPlan(name="full, fp32 masters", tuning="full"),
    KnownPlan(name="full, all of it bf16", tuning="full", master_weights=False),
    KnownPlan(
        name="full, ZeRO-2, optimizer offload", tuning="full", zero_stage=2, offload="optimizer"
    ),
    KnownPlan(name="full, ZeRO-3, offload", tuning="full", zero_stage=3, offload="all"),
    KnownPlan(name="full, 4 GPUs, ZeRO-2", tuning="full", workers=4, zero_stage=2),
    KnownPlan(
        name="full, 4 GPUs, ZeRO-2, optimizer offload",
        tuning="full",
        workers=4,
        zero_stage=2,
        offload="optimizer",
    ),
    KnownPlan(name="full, 4 GPUs, ZeRO-3", tuning="full", workers=4, zero_stage=3),
    KnownPlan(
        name="full, 4 GPUs, ZeRO-3, optimizer offload",
        tuning="full",
        workers=4,
        zero_stage=3,
        offload="optimizer",
    ),
    KnownPlan(name="LoRA without checkpointing", tuning="lora", checkpointing=False),
    KnownPlan(name="LoRA", tuning="lora"),
    KnownPlan(name="LoRA, micro-batch 1", tuning="lora", micro_batch=1),
    KnownPlan(name="LoRA, 4 GPUs, ZeRO-3", tuning="lora", workers=4, zero_stage=3),
    KnownPlan(name="LoRA, 8-bit base", tuning="lora", quantisation="int8"),
    KnownPlan(name="LoRA, nf4 base", tuning="lora", quantisation="nf4"),
)


@dataclass(frozen=True, kw_only=True)
class KnownCell:
    """One plan for one pairing."""

    plan: str
    category: str
    profile: str
    micro_batch: int
    needed_gib: float
    """With one micro-batch an optimizer step, as the study has it."""
    accumulating_gib: float
    """With as many as make up the category's global batch: gradients stand through all but the
    first."""
    limit_gib: float
    lacking: str = ""
    """What the kind has not, whatever its memory."""

    @property
    def fits(self) -> bool:
        """Whether it could run there."""
        return not self.lacking and self.needed_gib <= self.limit_gib

    @property
    def fits_accumulating(self) -> bool:
        """Whether the category's own global batch could run there."""
        return not self.lacking and self.accumulating_gib <= self.limit_gib


def known_cells(
    categories: Mapping[str, Config], estimates: Estimates = CLOSED_FORM
) -> list[KnownCell]:
    """Every plan for every published pairing whose category is there."""
    return [
        _cell(plan, name, categories[name], PROFILES[kind], batch, estimates)
        for plan in PLANS
        for name, kind, batch in PAIRINGS
        if name in categories
    ]


def _cell(
    plan: KnownPlan,
    name: str,
    config: Config,
    profile: Profile,
    batch: int,
    estimates: Estimates,
) -> KnownCell:
    model = replace(config.model, tuning=plan.tuning, quantisation=plan.quantisation)
    asked = replace(config, model=model)
    size = plan.micro_batch or batch
    more = max(1, asked.training.global_batch // (size * plan.workers))
    step = Step(
        precision=choose_precision(asked, profile),
        attention=choose_attention(asked, profile),
        micro_batch=size,
        workers=plan.workers,
        checkpointing=plan.checkpointing,
        zero_stage=plan.zero_stage,
        offload=plan.offload,
        master_weights=plan.master_weights,
    )
    return KnownCell(
        plan=plan.name,
        category=name,
        profile=profile.name,
        micro_batch=size,
        needed_gib=estimates.footprint(asked, step, CONTEXT_GIB).total,
        accumulating_gib=estimates.footprint(
            asked, replace(step, accumulation=more), CONTEXT_GIB
        ).total,
        limit_gib=SAFETY * profile.usable_gib,
        lacking="" if plan.master_weights or profile.bf16 else "no bf16",
    )
