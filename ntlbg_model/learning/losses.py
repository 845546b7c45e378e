"""What a selection is trained for beside the answer: each term a pure function of plain tensors.

A selection can fulfil terms about its own Gaussian by moving that Gaussian, without choosing any
better. So distances, levels and points are constants here: every term but the distillation has
gradient to the inclusion probabilities p alone, which sum to K in each row. Scales are ratios to
the video's own. p [B, P] is zero where `mask` [B, P] is false. Terms are means over the batch.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

SEGMENTS = 8
"""Equal spans of time whose similarities `structural_similarity` compares."""


def ntlbg_constraint(
    probabilities: Tensor, distances: Tensor, level: Tensor, mask: Tensor
) -> Tensor:
    """Spread of the selected distances about their mean, and of that mean about the contour.

    (sum_t p_t (D_t - m)^2 / K + (m - c)^2) / Var(D), m = sum_t p_t D_t / K. `distances` D [B, P]
    and `level` c [B, 1] in one unit. Zero where all that is kept lies on the contour.
    """
    d, c = distances.detach().float(), level.detach().float()
    share = _share(probabilities)
    mean = (share * d).sum(-1, keepdim=True)
    spread = (share * (d - mean).square()).sum(-1, keepdim=True) + (mean - c).square()
    return (spread / _positive(_variance(d, mask))).mean()


def feature_alignment(
    selected: Tensor, question: Tensor, others: Tensor, there: Tensor, temperature: float = 0.1
) -> Tensor:
    """InfoNCE of the pooled selection against its question among other questions.

    -log softmax over {question, others} of cos(selected, .) / temperature (van den Oord et al.,
    arXiv:1807.03748). `selected` and `question` [B, e], `others` [B, N, e] with `there` [B, N].
    The others are drawn from the data and not from the batch, so that how a batch is split does
    not change what is learned. Zero without others.
    """
    among = torch.cat((question.unsqueeze(1), others), dim=1)
    cosines = functional.cosine_similarity(selected.unsqueeze(1), among, dim=-1)
    first = torch.ones_like(there[:, :1])
    logits = (cosines / temperature).masked_fill(~torch.cat((first, there), 1), -torch.inf)
    return -logits.log_softmax(-1)[:, 0].mean()


def statistical_distribution(probabilities: Tensor, points: Tensor, mask: Tensor) -> Tensor:
    """How far the first two moments of the selection are from the video's.

    |m_p - m|^2 / tr S + |S_p - S|_F^2 / |S|_F^2 with moments of `points` [B, P, R] under p / K and
    over all pairs.
    """
    x = _constant(points, mask)
    mean, covariance = _moments(x, _share(mask.float()))
    mean_p, covariance_p = _moments(x, _share(probabilities))
    shift = (mean_p - mean).square().sum(-1) / _positive(_trace(covariance))
    turn = (covariance_p - covariance).square().sum((1, 2))
    return (shift + turn / _positive(covariance.square().sum((1, 2)))).mean()


def structural_similarity(probabilities: Tensor, points: Tensor, mask: Tensor) -> Tensor:
    """Disagreement of two similarity matrices over time: the selection's and the video's.

    The video is cut into `SEGMENTS` equal spans. Mean squared difference of the cosines between
    the spans' means under p and between their plain means, of `points` [B, P, R] about the
    video's mean.
    """
    x = _constant(points, mask)
    x = (x - (x * _share(mask.float()).unsqueeze(-1)).sum(1, keepdim=True)) * mask.unsqueeze(-1)
    plain = _cosines(_segment_means(x, mask.float()))
    return (_cosines(_segment_means(x, probabilities.float())) - plain).square().mean()


def temporal_coherence(probabilities: Tensor, points: Tensor, mask: Tensor) -> Tensor:
    """How badly what is kept predicts the pairs between, by interpolation in time.

    sum_t (1 - p_t) |z_t - y_t|^2 / ((P - K) tr S), y_t the mean of the other `points` z [B, P, R]
    weighted by p_s and a triangle over one mean gap P / K on either side of t. A pair that cannot
    be predicted is better kept. Zero where all pairs are kept.
    """
    z, p = _constant(points, mask), probabilities.float()
    kept = p.sum(-1)
    reach = max(1, int((mask.sum(-1) / kept).ceil().max()))
    predicted = _interpolated(z, p, reach)
    left_out = (1 - p).clamp(min=0) * mask
    errors = (z - predicted).square().sum(-1)
    trace = _trace(_moments(z, _share(mask.float()))[1])
    return ((left_out * errors).sum(-1) / (_positive(left_out.sum(-1)) * _positive(trace))).mean()


def information_preservation(
    probabilities: Tensor, points: Tensor, cells: Tensor, mask: Tensor
) -> Tensor:
    """Distortion of the video by its representatives: 0 nothing lost, 1 as bad as the mean.

    sum_t |z_t - y_cell(t)|^2 / (n tr S), y_k the mean of the `points` z [B, P, R] of time cell k
    weighted by p; `cells` [B, P].
    """
    z, p = _constant(points, mask), probabilities.float() * mask
    count = int(cells.max()) + 1
    total = _by_cell(p.unsqueeze(-1) * z, cells, count)
    weight = _by_cell(p.unsqueeze(-1), cells, count)
    centroids = total / _positive(weight)
    expanded = cells.unsqueeze(-1).expand(-1, -1, z.shape[-1])
    errors = (z - centroids.gather(1, expanded)).square().sum(-1) * mask
    trace = _trace(_moments(z, _share(mask.float()))[1])
    return (errors.sum(-1) / (_positive(mask.sum(-1).float()) * _positive(trace))).mean()


def diversity_regularization(probabilities: Tensor, whitened: Tensor, mask: Tensor) -> Tensor:
    """-log det(I + sum_t p_t u_t u_t' / R) / K: the volume that the selection spans, negated.

    `whitened` u [B, P, R] has the video's own covariance as its identity: no scale of its own.
    """
    u = _constant(whitened, mask)
    gram = u.transpose(1, 2) @ (probabilities.float().unsqueeze(-1) * u) / u.shape[-1]
    identity = torch.eye(u.shape[-1], device=u.device)
    volume: Tensor = torch.linalg.slogdet(identity + gram).logabsdet
    return -(volume / _positive(probabilities.float().sum(-1))).mean()


def distillation(scores: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy -sum_t w_t log softmax(g)_t of `scores` g [B, P] against attention mass.

    `teacher` w [B, P] sums to one in each row.
    """
    logs = scores.float().masked_fill(~mask, -torch.inf).log_softmax(-1).masked_fill(~mask, 0)
    return -(teacher.detach() * logs).sum(-1).mean()


def _constant(points: Tensor, mask: Tensor) -> Tensor:
    return points.detach().float() * mask.unsqueeze(-1)


def _positive(values: Tensor) -> Tensor:
    """A denominator: rounding errors of constant features do not blow up."""
    return values.clamp(min=1e-6)


def _share(weights: Tensor) -> Tensor:
    return weights.float() / _positive(weights.float().sum(-1, keepdim=True))


def _variance(values: Tensor, mask: Tensor) -> Tensor:
    share = _share(mask.float())
    mean = (share * values).sum(-1, keepdim=True)
    return (share * (values - mean).square()).sum(-1, keepdim=True)


def _moments(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B, R] and covariance [B, R, R] of rows `x` [B, P, R] under `share` [B, P]."""
    mean = (share.unsqueeze(-1) * x).sum(1)
    centred = x - mean.unsqueeze(1)
    return mean, centred.transpose(1, 2) @ (share.unsqueeze(-1) * centred)


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2).sum(-1)


def _by_cell(values: Tensor, cells: Tensor, count: int) -> Tensor:
    """Sums [B, count, R] of `values` [B, P, R] over the pairs of each cell."""
    total = values.new_zeros(values.shape[0], count, values.shape[-1])
    return total.scatter_add(1, cells.unsqueeze(-1).expand_as(values), values)


def _segment_means(x: Tensor, weights: Tensor) -> Tensor:
    pairs = x.shape[1]
    segments = torch.arange(pairs, device=x.device) * SEGMENTS // pairs
    segments = segments.expand(x.shape[0], -1)
    total = _by_cell(weights.unsqueeze(-1) * x, segments, SEGMENTS)
    return total / _positive(_by_cell(weights.unsqueeze(-1), segments, SEGMENTS))


def _cosines(x: Tensor) -> Tensor:
    unit = x / (x.square().sum(-1, keepdim=True) + 1e-12).sqrt()
    return unit @ unit.transpose(1, 2)


def _interpolated(z: Tensor, weights: Tensor, reach: int) -> Tensor:
    """Means [B, P, R] over the neighbours within `reach` of each pair, itself left out."""
    offsets = torch.arange(-reach, reach + 1, device=z.device).abs()
    triangle = (1 - offsets / (reach + 1)) * (offsets > 0)
    rows, pairs, rank = z.shape
    weighted = torch.cat((weights.unsqueeze(-1) * z, weights.unsqueeze(-1)), dim=-1)
    columns = weighted.transpose(1, 2).reshape(rows * (rank + 1), 1, pairs)
    sums = functional.conv1d(columns, triangle.view(1, 1, -1), padding=reach)
    sums = sums.view(rows, rank + 1, pairs).transpose(1, 2)
    return sums[..., :rank] / _positive(sums[..., rank:])
