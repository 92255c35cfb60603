"""Pruning in two steps: a score for every weight, then a mask that drops the lowest scores."""

import contextlib
import copy
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lthlab._common import evaluation_mode, make_generator
from lthlab.data import Split
from lthlab.masks import Masks, apply_masks_, count_kept, full_masks, prunable_weights

Scores = dict[str, torch.Tensor]
Batch = tuple[torch.Tensor, torch.Tensor]


def magnitude(model: nn.Module, batch: Batch | None = None) -> Scores:
    """Score each weight by its absolute value (Han et al. 2015; Frankle & Carbin 2019); looks at no data."""
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}


def random(model: nn.Module, seed: int = 0) -> Scores:
    """Score each weight by chance; the same seed gives the same scores, hence nested masks over levels."""
    generator = make_generator(seed, "random scores")
    weights = prunable_weights(model).items()
    return {name: torch.rand(weight.shape, generator=generator).to(weight.device) for name, weight in weights}


def obd(model: nn.Module, split: Split, samples: int = 128, seed: int = 0) -> Scores:
    """Score each weight by the loss that Optimal Brain Damage predicts from deleting it: h_ii w_i^2 / 2.

    h_ii is the diagonal of the Hessian of the mean cross-entropy in its Gauss-Newton form, which
    leaves out second derivatives of the network (LeCun, Denker & Solla 1989, equations 5 and 9):
    the mean over `samples` examples of sum_c p_c (d log p_c / d w_i)^2, exact over the classes c.
    The model is scored in evaluation mode and left as it was.
    """
    x, _ = draw_batch(split, samples, seed)
    weights = {name: weight.detach() for name, weight in prunable_weights(model).items()}

    def log_probability(weights, x, label):
        logits = torch.func.functional_call(model, weights, (x[None],))
        return logits.log_softmax(1)[0, label]

    gradients = torch.func.vmap(torch.func.grad(log_probability), in_dims=(None, 0, None))
    curvature = {name: torch.zeros_like(w) for name, w in weights.items()}
    with torch.no_grad(), evaluation_mode(model):
        for part in x.split(32):  # one gradient per example: 32 networks' worth of memory at a time
            probabilities = model(part).softmax(1)
            for label in range(probabilities.shape[1]):
                for name, gradient in gradients(weights, part, label).items():
                    weighted = torch.einsum("n,n...->...", probabilities[:, label], gradient.square_())
                    curvature[name] += weighted / len(x)
    return {name: h * weights[name].square() / 2 for name, h in curvature.items()}


def snip(model: nn.Module, batch: Batch) -> Scores:
    """Score each weight by how fast the loss changes with its connection: |w dL/dw| (Lee et al. 2019, section 4.1)."""
    network, weights = _copy_to_score(model)
    gradients = _gradients(network, weights, batch)
    return {name: (w * g).detach().abs() for (name, w), g in zip(weights.items(), gradients, strict=True)}


def grasp(model: nn.Module, batch: Batch, temperature: float = 200.0) -> Scores:
    """Score each weight by how much of the gradient's norm goes with it: w (Hg) (Wang et al. 2020, equation 8).

    g is the gradient and H the Hessian of the loss of logits / `temperature` (200 in the authors' code).
    Low scores are weights whose removal makes the gradient larger, so scores may be negative.
    """
    network, weights = _copy_to_score(model)
    gradients = _gradients(network, weights, batch, temperature, create_graph=True)
    half_norm = sum(g.square().sum() for g in gradients) / 2  # its derivative by w is Hg
    products = torch.autograd.grad(half_norm, [*weights.values()])
    return {name: (w * h).detach() for (name, w), h in zip(weights.items(), products, strict=True)}


def synflow(model: nn.Module, batch: Batch) -> Scores:
    """Score each weight by the synaptic flow through it (Tanaka et al. 2020, section 6).

    w dR/dw, where R sums the outputs for an input of ones after all parameters became their absolute
    values. No data are looked at: of `batch` only the shape counts. In double precision, because in
    deep networks the products of many weights overflow.
    """
    if not batch[0].is_floating_point():
        raise ValueError("SynFlow sends ones through the network in place of data; tokens cannot be ones. "
                         "Score the layers behind the embedding, or take SNIP, GraSP or magnitude.")  # fmt: skip
    network, weights = _copy_to_score(model)
    network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    flow = network(torch.ones_like(batch[0][:1], dtype=torch.float64)).sum()
    gradients = torch.autograd.grad(flow, [*weights.values()])
    return {name: (w * g).detach() for (name, w), g in zip(weights.items(), gradients, strict=True)}


def draw_batch(split: Split, samples: int = 100, seed: int = 0) -> Batch:
    """`samples` different examples of a split, chosen by the seed, as (x, y)."""
    chosen = torch.randperm(len(split), generator=make_generator(seed, "scoring examples"))[:samples]
    chosen = chosen.to(split.x.device)
    return split.x[chosen], split.y[chosen]


def prune_at_init(
    model: nn.Module, score: Callable[[nn.Module, Batch], Scores], batch: Batch, density: float, steps: int = 1
) -> Masks:
    """Masks that keep `density` (a fraction) of the weights, found before training by any score (model, batch).

    Scores, drops the lowest over all layers together, and again, `steps` times, so that density ** (k / steps)
    is left after step k: 1 is one-shot as in SNIP and GraSP, 100 as in SynFlow (Tanaka et al. 2020,
    algorithm 1). The given model stays as it is. Raises ValueError as `prune` does.
    """
    if not 0 < density <= 1:
        raise ValueError(f"A density is a fraction above 0 and at most 1 (0.036 is 3.6 %); got {density}.")
    masks, pruned = full_masks(model), copy.deepcopy(model)
    total = count_kept(masks)
    for step in range(1, steps + 1):
        scores = score(apply_masks_(pruned, masks), batch)
        masks = prune(scores, masks, 1 - round(total * density ** (step / steps)) / count_kept(masks), "global")
    return masks


def erk_densities(masks: Masks, density: float) -> dict[str, float]:
    """The density of each layer by the rule Erdos-Renyi-Kernel, for `density` over all (Evci et al. 2020, section 3).

    Proportional to (the sum of the weight's dimensions) / (their product): small layers stay denser.
    Layers that would be more than full are full, and the others share the rest.
    """
    ratio = {name: sum(mask.shape) / mask.numel() for name, mask in masks.items()}
    full: set[str] = set()
    while True:
        left = density * sum(mask.numel() for mask in masks.values()) - sum(masks[name].numel() for name in full)
        scale = left / max(sum(ratio[name] * masks[name].numel() for name in masks if name not in full), 1e-12)
        over = {name for name in masks if name not in full and scale * ratio[name] > 1}
        if not over:
            return {name: 1.0 if name in full else scale * ratio[name] for name in masks}
        full |= over


def _copy_to_score(model: nn.Module) -> tuple[nn.Module, dict[str, nn.Parameter]]:
    """A copy, so that scoring changes nothing, in training mode: no running statistics exist before training."""
    network = copy.deepcopy(model).train().requires_grad_(True)
    return network, prunable_weights(network)


def _gradients(network, weights, batch: Batch, temperature: float = 1.0, create_graph: bool = False):
    x, y = batch
    # Attention's fast kernels have no second derivatives; dropout draws.
    plain = sdpa_kernel(SDPBackend.MATH) if create_graph else contextlib.nullcontext()
    with plain, torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
        loss = F.cross_entropy(network(x) / temperature, y)
        return torch.autograd.grad(loss, [*weights.values()], create_graph=create_graph)


def layer_fractions(masks: Masks, fc: float = 0.2, conv: float = 0.2, output: float | None = None) -> dict[str, float]:
    """Pruning rates by kind of layer: `fc` for Linear, `conv` for Conv, `output` (half of fc) for a Linear at the end.

    The paper prunes connections to the output at half the rate (Frankle & Carbin 2019, section 2).
    """
    rates = {name: fc if mask.dim() == 2 else conv for name, mask in masks.items()}
    if masks[last := [*masks][-1]].dim() == 2:  # a ResNet's output layer is not pruned at all
        rates[last] = fc / 2 if output is None else output
    return rates


def prune(scores: Scores, masks: Masks, fraction: float | dict[str, float], scope: str = "layer") -> Masks:
    """Drop the given fraction of the weights that `masks` still keep: those with the lowest scores.

    `fraction` is 0..1, or a dict by parameter name for scope "layer". Scope "layer" drops it in every
    layer, "global" over all layers together. Exactly round(fraction * kept) weights go; among equal
    scores those that come first. The result is nested: it keeps a subset of `masks`, which stay unchanged.

    Raises ValueError for a fraction outside 0..1, scores that do not fit the masks or are not finite,
    or an unknown scope; warns when a layer loses its last weight (layer collapse: nothing passes it).
    """
    _check(scores, masks, fraction, scope)
    if scope == "layer":
        rates = fraction if isinstance(fraction, dict) else dict.fromkeys(masks, fraction)
        pruned = {name: _drop_lowest(scores[name].flatten(), mask.flatten(), rates[name]).view_as(mask)
                  for name, mask in masks.items()}  # fmt: skip
    else:
        together = _drop_lowest(
            torch.cat([scores[name].flatten() for name in masks]),
            torch.cat([mask.flatten() for mask in masks.values()]),
            fraction,
        )
        parts = together.split([mask.numel() for mask in masks.values()])
        pruned = {name: part.view_as(mask).clone() for (name, mask), part in zip(masks.items(), parts, strict=True)}
    for name, mask in pruned.items():
        if masks[name].any() and not mask.any():
            warnings.warn(f"Layer collapse: no weight of {name} is left, so no signal passes it.", stacklevel=2)
    return pruned


def _drop_lowest(scores: torch.Tensor, mask: torch.Tensor, fraction: float) -> torch.Tensor:
    mask = mask.to(scores.device)
    kept = mask.nonzero().squeeze(1)
    order = scores[kept].argsort(stable=True)
    dropped = kept[order[: round(fraction * len(kept))]]
    return mask.index_fill(0, dropped, False)


def _check(scores: Scores, masks: Masks, fraction: float | dict[str, float], scope: str) -> None:
    if scope not in ("layer", "global"):
        raise ValueError(f'Scope is "layer" or "global"; got {scope!r}.')
    if isinstance(fraction, dict) and (scope == "global" or fraction.keys() != masks.keys()):
        raise ValueError(
            f'A dict of fractions needs scope "layer" and one entry per layer ({", ".join(masks)}); '
            f"got scope {scope!r} and {', '.join(fraction)}."
        )
    for rate in fraction.values() if isinstance(fraction, dict) else [fraction]:
        if not 0 <= rate <= 1:
            raise ValueError(f"A fraction to prune lies between 0 and 1 (0.2 is 20 %); got {rate}.")
    if not isinstance(scores, dict) or not all(isinstance(score, torch.Tensor) for score in scores.values()):
        came = "nothing (is a `return` missing?)" if scores is None else f"a {type(scores).__name__}"
        came = f"{came} that holds other things than tensors" if isinstance(scores, dict) else came
        raise ValueError(f"Scores are a dict from parameter name to tensor, as `magnitude` returns it; got {came}.")
    if scores.keys() != masks.keys():
        raise ValueError(f"Scores are for {', '.join(scores)}; masks for {', '.join(masks)}. They must match.")
    for name, score in scores.items():
        if score.shape != masks[name].shape:
            raise ValueError(
                f"The scores of {name} have shape {tuple(score.shape)}, its mask {tuple(masks[name].shape)}. "
                f"There must be one score per weight."
            )
        if not score[masks[name].to(score.device)].isfinite().all():
            raise ValueError(f"Some scores of {name} are not finite (NaN or infinite). Did the training diverge?")
