"""V15: the straight-through gate has the gradient of the expected loss."""

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.ntlbg import floored
from ntlbg_model.selection.selector import Chosen, NTLBGSelector, Scored
from ntlbg_model.validation.check import Check, generator, normal

PAIRS, KEPT, STEP = 64, 8, 1e-3
FLOOR, TEMPERATURE = 0.3, 0.7


def straight_through(seed: int) -> Check:
    """V15: finite differences of E[loss] over all starts against the gate's gradient."""
    source = generator(seed, 70)
    scores, costs = normal(source, PAIRS).double(), normal(source, PAIRS).double()
    # One pair is certain and stays so: its gradient is zero. No other comes near the kink.
    scores = scores / 2
    scores[PAIRS // 2] = 4
    leaf = scores.clone().requires_grad_()
    chosen, lengths = _all_draws(leaf)
    # The value of the loss is the sum of the costs; what the gate adds is the gradient.
    loss = (costs[chosen.pairs] * (1 + chosen.gate.double())).sum(1) @ lengths
    (by_gate,) = torch.autograd.grad(loss, leaf)
    steps = STEP * torch.eye(PAIRS, dtype=torch.float64)
    differences = torch.tensor(
        [
            _expected_loss(scores + step, costs) - _expected_loss(scores - step, costs)
            for step in steps
        ]
    ) / (2 * STEP)
    cosine = torch.nn.functional.cosine_similarity(by_gate, differences, dim=0)
    return Check(
        claim="V15 gradient of the gate",
        quantity="cosine with finite differences",
        statistic=float(cosine),
        low=0.999,
        meaning=f"{KEPT} of {PAIRS}, additive loss, every draw enumerated: largest error "
        f"{float((by_gate - differences).abs().max()):.1e} of "
        f"{float(differences.abs().max()):.2f}",
    )


def _expected_loss(scores: Tensor, costs: Tensor) -> float:
    chosen, lengths = _all_draws(scores)
    return float(costs[chosen.pairs].sum(1) @ lengths)


def _all_draws(scores: Tensor) -> tuple[Chosen, Tensor]:
    """Every draw that `scores` [P] can give, one a row, and its probability.

    The draw changes where the start passes the fraction of a running sum of p.
    """
    probabilities = _select(scores.detach(), scores.new_zeros(1)).probabilities[0]
    edges = torch.cat((probabilities.cumsum(0).frac(), scores.new_tensor([0, 1]))).sort().values
    return _select(scores, (edges[1:] + edges[:-1]) / 2), edges.diff().detach()


def _select(scores: Tensor, starts: Tensor) -> Chosen:
    rows = len(starts)
    mass = floored(scores / TEMPERATURE, FLOOR).expand(rows, -1)
    none = scores.new_zeros(rows, 1)
    scored = Scored(
        scores=scores.expand(rows, -1),
        distances=mass,
        level=none,
        floor=none,
        mass=mass,
        information=torch.zeros_like(mass),
    )
    selector = NTLBGSelector(SelectionConfig(query="learned"), 4, 4, 4)
    return selector.select(scored, KEPT, starts.detach())
