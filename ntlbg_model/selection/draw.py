"""Random-start systematic sampling: fixed size, with exactly the given inclusion probabilities.

W. G. Madow, "On the Theory of Systematic Sampling, II", Annals of Mathematical Statistics 20(3),
1949. One uniform number u per row; the k-th pick is the first pair whose running sum exceeds k + u.
"""

import torch
from torch import Tensor

from ntlbg_model.selection.cells import UNIT, integers


def systematic(probabilities: Tensor, count: int | Tensor, start: Tensor) -> Tensor:
    """Pairs [..., K], distinct and ascending, with P(pair t is drawn) = p_t over `start`.

    `probabilities` [..., P] are at most one and sum to `count`, one number or one a row: K is the
    largest, and a row with fewer is filled up with P, one past the last pair. `start` [...] is
    uniform on [0, 1). Any sum over drawn frames of c_t / p_t then has expectation sum c_t
    (Horvitz-Thompson).
    """
    wanted = torch.as_tensor(count, device=probabilities.device).expand(probabilities.shape[:-1])
    sums = integers(probabilities, wanted.unsqueeze(-1)).cumsum(-1)
    offset = (start.double() * UNIT).floor().long().clamp(0, UNIT - 1).unsqueeze(-1)
    levels = torch.arange(int(wanted.max()), device=sums.device) * UNIT + offset
    # The sum exceeds a level at the first pair whose sum is at least level + 1.
    return torch.searchsorted(sums, levels + 1)
