"""Pruning a trained network once, without training it again: Wanda and SparseGPT.

Both look at what each layer reads on a few examples, the calibration batch. Where that batch has
several targets an example, places of padding are left out.
"""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthlab._common import IGNORED
from lthlab.batches import Batch
from lthlab.checks import InputError, check, checked
from lthlab.data import Finite
from lthlab.masks import Masks, apply_masks_, full_masks, prunable_weights
from lthlab.pruning import Scope, Scores, drop_lowest, magnitude, prune

METHODS = ("magnitude", "wanda", "sparsegpt")
DAMPING = 0.01  # of the mean of the Hessian's diagonal (Frantar & Alistarh 2023, section 4)
BLOCK = 128  # columns whose masks are chosen together (section 3.3)


@checked
@torch.no_grad()
def wanda(model: nn.Module, batch: Batch, *, seed: int = 0) -> Scores:
    """Score each weight by its size times the norm of its input (Sun et al. 2024, equation 1).

    For scope "row": the weights of one output compete. This is the variant with one pass: all
    inputs are those of the network as it is. The paper's code prunes block after block,
    `prune_once_` layer after layer.
    Raises ValueError for an empty batch, TypeError for layers whose inputs cannot be seen.
    """
    return _weighted(model, batch, prunable_weights(model))


@checked
@torch.no_grad()
def prune_once_(
    model: nn.Module,
    batch: Batch | None,
    method: Literal[METHODS] = "magnitude",
    density: float = 0.5,
    scope: Scope = "layer",
) -> Masks:
    """Prune a trained `model` in place to `density` (a fraction), without training; returns masks.

    Methods: "magnitude", "wanda", "sparsegpt" (which also changes the weights that stay). Layers
    are pruned in the order in which the network calls them, each by what it reads from those
    already pruned. Scopes are those of `prune`; "2:4" keeps half, and "global" is for magnitude
    alone, since the other two weigh errors within a layer. Pruned weights are exactly 0.0.

    Raises ValueError for an unknown method, a scope or density that does not fit, or an empty
    batch, TypeError for layers whose inputs cannot be seen (attention written as one module).
    """
    if scope == "global" and method != "magnitude":
        raise InputError(
            f'{method} compares weights within a layer: scope "layer", "row" or "2:4".'
        )
    weights, masks = prunable_weights(model), full_masks(model)
    by_size = prune(magnitude(model), masks, 1 - density, scope)  # it refuses what does not fit
    if method == "magnitude":
        apply_masks_(model, by_size)
        return by_size
    for name in _reduced_inputs(model, batch, weights, len):
        weight = weights[name]
        if method == "wanda":
            scores = _weighted(model, batch, {name: weight})
            masks |= prune(scores, {name: masks[name]}, 1 - density, scope)
        else:
            products = _reduced_inputs(model, batch, [name], lambda x: x.double().T @ x.double())
            repaired, mask = repair(weight.flatten(1), products[name], density, scope)
            weight.copy_(repaired.view_as(weight))
            masks[name] = mask.view_as(weight)
        apply_masks_(model, masks)
    return masks


@checked
def repair(
    weight: Finite, hessian: Finite, density: float, scope: Scope = "layer"
) -> tuple[Tensor, Tensor]:
    """Prune one matrix (outputs, inputs), and let the weights that stay make up for it.

    `hessian` is `X'X` of the inputs X (samples, inputs), so that an error E of the weights costs
    `trace(E X'X E')`. Column after column, left to right: what is lost with a weight w in column j
    is spread over the columns after it as Optimal Brain Surgeon would (Hassibi & Stork 1993), w
    goes where `w^2 / [H^-1]_jj` is lowest, H being what is left of the Hessian from column j on
    (Frantar & Alistarh 2023, algorithm 1). Computed in double precision. Returns the weights and
    the mask.
    """
    w, h = weight.double().clone(), hessian.double().clone()
    unseen = h.diagonal() == 0  # inputs that are always 0: their weights cost nothing
    h.diagonal()[unseen] = 1
    w[:, unseen] = 0
    h.diagonal().add_(DAMPING * h.diagonal().mean())
    # Row j of this factor is, up to its scale, row 0 of the inverse of h[j:, j:].
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    outputs, inputs = w.shape
    mask = torch.ones_like(w, dtype=torch.bool)
    width = 4 if scope == "2:4" else BLOCK
    for begin in range(0, inputs, width):
        block = slice(begin, min(begin + width, inputs))
        scores = (w[:, block] / factor.diagonal()[block]).square()
        share = _share(1 - density, block, outputs if scope == "layer" else 1)
        mask[:, block] = drop_lowest(scores, mask[:, block], share, scope)
        for column in range(block.start, block.stop):
            lost = w[:, column].masked_fill(mask[:, column], 0) / factor[column, column]
            w[:, column:] -= lost[:, None] * factor[column, column:]
    return w.masked_fill(~mask, 0).to(weight.dtype), mask


def _share(fraction: float, block: slice, rows: int) -> float:
    """What to prune of a block, so that all blocks together lose exactly `fraction`, rounded."""
    lost = round(fraction * rows * block.stop) - round(fraction * rows * block.start)
    return lost / (rows * (block.stop - block.start))


def _weighted(model: nn.Module, batch: Batch, weights: Scores) -> Scores:
    """The size of each weight times the norm of its input."""
    squares = _reduced_inputs(model, batch, weights, lambda x: x.square().sum(0))
    return {
        name: (w.abs().flatten(1) * squares[name].sqrt()).view_as(w) for name, w in weights.items()
    }


def _reduced_inputs(
    model: nn.Module, batch: Batch, names: Iterable[str], reduce: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    """What layers read on a batch, (samples, weights of a row), reduced; in the order of calls."""
    x, y = check("batch", batch, Batch)
    if not (y != IGNORED).any():
        raise InputError("batch: calibration needs at least one target that counts.")
    found: dict[str, Tensor] = {}

    def look(name: str, layer: nn.Module, given: tuple, named: dict) -> None:
        rows = _rows(layer, (*given, *named.values())[0], y)
        if not rows.isfinite().all():
            raise InputError(f"What {name} reads is not finite (NaN or infinite) on this batch.")
        found[name] = found.get(name, 0) + reduce(rows)

    model = copy.deepcopy(model).eval()  # its hooks go with it
    for name, layer in product(names, model.modules()):
        if getattr(layer, "weight", None) is model.get_parameter(name):
            layer.register_forward_pre_hook(partial(look, name), with_kwargs=True)
    model(x)
    if unseen := [name for name in names if name not in found]:
        raise TypeError(
            f"The inputs of {', '.join(unseen)} cannot be seen: the network does not call that "
            f"layer by itself. Write it as nn.Linear, or name it in keep_dense."
        )
    return found


def _rows(layer: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The inputs of a layer, one row for each product with its weights."""
    if isinstance(layer, nn.Linear):
        return x[y != IGNORED] if x.shape[:-1] == y.shape else x.flatten(0, -2)
    plain = isinstance(layer, nn.Conv2d | nn.Conv1d) and layer.groups == 1
    if plain and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        return _patches(x, layer).transpose(1, 2).flatten(0, 1)
    raise TypeError(
        f"Calibration knows Linear layers and plain convolutions; this is {layer}. Name it in "
        f"keep_dense, or prune by magnitude."
    )


def _patches(x: Tensor, layer: nn.Conv1d | nn.Conv2d) -> Tensor:
    """The patches under a convolution: (examples, weights of a row, places)."""
    options = [layer.kernel_size, layer.dilation, layer.padding, layer.stride]
    if isinstance(layer, nn.Conv1d):  # a picture of height 1
        x, heights = x[:, :, None], (1, 1, 0, 1)
        options = [(height, *o) for o, height in zip(options, heights, strict=True)]
    return F.unfold(x, *options)
