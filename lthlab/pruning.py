"""Pruning in two steps: a score for every weight, then a mask that drops the lowest scores.

Every score has one signature, `score(model, batch, *, seed)`, and leaves the model as it was; what
it does not need (data, chance) it does not look at. Any function of that kind is a score.
"""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from lthlab._common import IGNORED, evaluation_mode, make_generator, mean_loss, own_noise
from lthlab.batches import Batch
from lthlab.checks import InputError, checked
from lthlab.data import Split
from lthlab.masks import (
    Mask,
    Masks,
    apply_masks_,
    count_kept,
    full_masks,
    prunable_weights,
)

Scores = dict[str, Tensor]
Score = Callable[..., Scores]
Scope = Literal["global", "layer", "row", "2:4"]


@checked
def magnitude(model: nn.Module, batch: Batch | None = None, *, seed: int = 0) -> Scores:
    """Score each weight by its absolute value (Han et al. 2015; Frankle & Carbin 2019)."""
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}


@checked
def random(model: nn.Module, batch: Batch | None = None, *, seed: int = 0) -> Scores:
    """Score each weight by chance; the same seed gives the same scores, hence nested masks."""
    generator = make_generator(seed, "random scores")
    return {
        name: torch.rand(weight.shape, generator=generator).to(weight.device)
        for name, weight in prunable_weights(model).items()
    }


@checked
@torch.no_grad()
def obd(model: nn.Module, batch: Batch, *, seed: int = 0) -> Scores:
    """Score each weight by the loss that Optimal Brain Damage predicts without it.

    That is `h_ii w_i^2 / 2`, where `h_ii` is the diagonal of the Hessian of the mean
    cross-entropy in its Gauss-Newton form, which leaves out second derivatives of the network
    (LeCun, Denker & Solla 1989, equations 5 and 9): the mean over the batch of
    `sum_c p_c (d log p_c / d w_i)^2`, exact over the classes c. Of labels only those of padding are
    looked at. The model is scored in evaluation mode.
    """
    x, y = batch
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}

    def log_probability(weights: Scores, x: Tensor, answer: int) -> Tensor:
        return functional_call(model, weights, (x[None],)).log_softmax(-1).flatten()[answer]

    gradients = vmap(grad(log_probability), in_dims=(None, 0, None))
    curvature = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    counts = y != IGNORED
    with evaluation_mode(model), sdpa_kernel(SDPBackend.MATH):
        # One gradient per example: 32 networks' worth of memory at a time.
        for part, counted in zip(x.split(32), counts.split(32), strict=True):
            p = model(part).softmax(-1) * counted[..., None]
            for answer, p_answer in enumerate(p.flatten(1).T):
                if p_answer.any():  # not all is padding
                    for name, gradient in gradients(weights, part, answer).items():
                        squares = torch.einsum("n,n...->...", p_answer, gradient.square_())
                        curvature[name] += squares / counts.sum()
    return {name: h * weights[name].square() / 2 for name, h in curvature.items()}


@checked
@torch.enable_grad()
def gradient(model: nn.Module, batch: Batch, *, seed: int = 0) -> Scores:
    """Score each weight, kept or pruned, by |dL/dw|: where RigL grows (Evci et al. 2020)."""
    weights, loss = _loss_of_copy(model, batch, seed)
    gradients = torch.autograd.grad(loss, [*weights.values()])
    return {name: g.abs() for name, g in zip(weights, gradients, strict=True)}


@checked
def snip(model: nn.Module, batch: Batch, *, seed: int = 0) -> Scores:
    """Score each weight by |w dL/dw|, its effect on the loss (Lee et al. 2019, section 4.1)."""
    scores = gradient(model, batch, seed=seed)
    return {name: size * scores[name] for name, size in magnitude(model).items()}


@checked
@torch.enable_grad()
def grasp(model: nn.Module, batch: Batch, *, seed: int = 0, temperature: float = 200.0) -> Scores:
    """Score each weight by how much of the gradient's norm goes with it: w (Hg).

    g is the gradient and H the Hessian of the loss of logits / `temperature` (200 in the authors'
    code). Low scores are weights whose removal makes the gradient larger, so scores may be
    negative (Wang et al. 2020, equation 8).
    """
    with sdpa_kernel(SDPBackend.MATH):  # attention's fast kernels have no second derivatives
        weights, loss = _loss_of_copy(model, batch, seed, temperature)
    gradients = torch.autograd.grad(loss, [*weights.values()], create_graph=True)
    half_norm = sum(g.square().sum() for g in gradients) / 2  # its derivative by w is Hg
    return _times_derivative(weights, half_norm)


@checked
@torch.enable_grad()
def synflow(model: nn.Module, batch: Batch, *, seed: int = 0) -> Scores:
    """Score each weight by the synaptic flow through it (Tanaka et al. 2020, section 6).

    w dR/dw, where R sums the outputs for an input of ones after all parameters became their
    absolute values. No data are looked at: of `batch` only the shape counts. On the CPU and in
    double precision, because in deep networks the products of many weights overflow; the scores
    come back in the model's own precision, all divided by one number where they would not fit.
    Raises ValueError for tokens.
    """
    x = batch[0][:1].cpu()
    if not x.is_floating_point():
        raise ValueError(
            "SynFlow sends ones through the network in place of data; tokens cannot be ones. "
            "Score the layers behind the embedding, or take snip, grasp or magnitude."
        )
    network = copy.deepcopy(model).eval().cpu().double().requires_grad_(True)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    flow = network(torch.ones_like(x, dtype=torch.float64)).sum()
    scores = _times_derivative(prunable_weights(network), flow)
    like = next(model.parameters())
    largest = max(float(score.max()) for score in scores.values())
    divisor = max(1.0, 2 * largest / torch.finfo(like.dtype).max)
    return {n: (s / divisor).to(like.dtype).to(like.device) for n, s in scores.items()}


@checked
def inverted(score: Score) -> Score:
    """The negated score: prunes first what `score` would keep longest."""
    return partial(_negated, score)


def _negated(score: Score, model: nn.Module, batch: Batch, *, seed: int = 0) -> Scores:
    return {name: -values for name, values in score(model, batch, seed=seed).items()}


@checked
def draw_batch(split: Split, samples: int = 100, seed: int = 0) -> Batch:
    """`samples` different examples of a split, chosen by the seed, as (x, y).

    Raises ValueError unless there are so many.
    """
    if samples > len(split):
        raise InputError(f"samples is 1 to {len(split)}, as the split holds; got {samples}.")
    chosen = torch.randperm(len(split), generator=make_generator(seed, "scoring examples"))
    chosen = chosen[:samples].to(split.x.device)
    return split.x[chosen], split.y[chosen]


@checked
def prune(
    scores: Scores, masks: Masks, fraction: float | dict[str, float] = 0.5, scope: Scope = "layer"
) -> Masks:
    """Drop the given fraction of the weights that `masks` still keep: those with the lowest scores.

    The scope says which weights compete: "global" (the whole network), "layer", "row" (the weights
    into one neuron or output channel; Sun et al. 2024) or "2:4" (of four neighbours in a row the
    best two of those still kept stay, as sparse tensor cores want it; `fraction` must be 0.5).
    `fraction` is 0..1, or a dict by parameter name unless the scope is "global". In the other
    scopes exactly round(fraction * kept) weights of each group go; among equal scores those that
    come first. The result is nested: it keeps a subset of `masks`, which stay as they are.

    Raises ValueError for a fraction outside 0..1, scores that do not fit the masks or are not
    finite, an unknown scope, or rows that four does not divide; warns when a layer loses its last
    weight (layer collapse: no signal passes it).
    """
    rates = _rates(masks, fraction, scope)
    if scope == "global":
        flat = [torch.cat([part[name].flatten() for name in masks]) for part in (scores, masks)]
        parts = drop_lowest(*flat, fraction, scope).split([m.numel() for m in masks.values()])
        pairs = zip(masks.items(), parts, strict=True)
        pruned = {name: part.view_as(mask).clone() for (name, mask), part in pairs}
    else:
        pruned = {
            name: drop_lowest(scores[name], mask, rates[name], scope)
            for name, mask in masks.items()
        }
    for name, mask in pruned.items():
        if masks[name].any() and not mask.any():
            warnings.warn(
                f"Layer collapse: no weight of {name} is left, so no signal passes it.",
                stacklevel=3,
            )
    return pruned


@checked
def prune_at_init(
    model: nn.Module,
    score: Score,
    batch: Batch | None,
    density: float,
    steps: int = 1,
    *,
    seed: int = 0,
) -> Masks:
    """Masks that keep `density` (a fraction) of the weights, found before training by any score.

    Scores, drops the lowest over all layers together, and again, `steps` times, so that
    `density ** (k / steps)` is left after step k: 1 is one-shot as in SNIP and GraSP, 100 as in
    SynFlow (Tanaka et al. 2020, algorithm 1). The given model stays as it is. Raises ValueError for
    fewer than one step, a density that leaves no weight, and as `prune` does.
    """
    masks, pruned = full_masks(model), copy.deepcopy(model)
    total = count_kept(masks)
    if round(total * density) < 1:
        raise InputError(f"density leaves at least one of {total:,} weights; got {density}.")
    for step in range(1, steps + 1):
        scores = score(apply_masks_(pruned, masks), batch, seed=seed)
        left = round(total * density ** (step / steps))
        masks = prune(scores, masks, 1 - left / count_kept(masks), "global")
    return masks


def _loss_of_copy(
    model: nn.Module, batch: Batch, seed: int, temperature: float = 1.0
) -> tuple[dict[str, nn.Parameter], Tensor]:
    """The weights of a copy in training mode (no running statistics yet), and its loss."""
    network = copy.deepcopy(model).train().requires_grad_(True)
    x, y = batch
    with own_noise(x.device, make_generator(seed, "noise").initial_seed()):  # dropout draws
        return prunable_weights(network), mean_loss(network(x) / temperature, y)


def _times_derivative(weights: dict[str, nn.Parameter], value: Tensor) -> Scores:
    """Each weight times the derivative of a value by it."""
    derivatives = torch.autograd.grad(value, [*weights.values()])
    pairs = zip(weights.items(), derivatives, strict=True)
    return {name: (weight * factor).detach() for (name, weight), factor in pairs}


@checked
def drop_lowest(scores: Tensor, mask: Mask, fraction: float, scope: Scope) -> Tensor:
    """Drop round(fraction * kept) weights of each competition ("2:4": all but two)."""
    size = {"row": mask[0].numel(), "2:4": 4}.get(scope, mask.numel())
    kept = mask.to(scores.device).reshape(-1, size)  # one row for each competition
    counts = kept.sum(1, keepdim=True)
    if scope == "2:4":
        left = counts.clamp(max=2)
    else:  # not every device has double precision
        left = counts - torch.round(counts.cpu().double() * fraction).long().to(counts.device)
    # What was pruned before comes first in the order, then the lowest scores.
    order = torch.where(kept, scores.reshape(-1, size), -torch.inf).argsort(dim=1, stable=True)
    stays = torch.arange(size, device=kept.device) >= size - left
    return torch.empty_like(kept).scatter_(1, order, stays).view_as(mask)


def _rates(masks: Masks, fraction: float | dict[str, float], scope: str) -> dict[str, float]:
    """The fraction of each layer; InputError unless fractions and rows fit the scope."""
    rates = fraction if isinstance(fraction, dict) else dict.fromkeys(masks, fraction)
    if rates.keys() != masks.keys() or (rates is fraction and scope == "global"):
        raise InputError(
            f'A dict of fractions needs another scope than "global", and fraction has one entry '
            f"per layer ({', '.join(masks)}); got scope {scope!r} and {', '.join(rates)}."
        )
    for name, mask in masks.items() if scope == "2:4" else ():
        if rates[name] != 0.5 or mask[0].numel() % 4:
            raise InputError(
                f'Scope "2:4" keeps half of the weights, fraction 0.5, and takes rows that four '
                f"divides; got {rates[name]} for {name}, which has {mask[0].numel()} weights a "
                f"row. Name layers with other rows in the model's keep_dense."
            )
    return rates
