"""Masks: which weights a network keeps. A plain dict from parameter name to bool tensor."""

from collections.abc import Callable
from typing import Annotated, Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lthlab._common import make_generator
from lthlab.checks import RULES, InputError, checked, show

Mask = Annotated[
    Tensor, "a bool tensor, not empty", lambda m: m.dtype == torch.bool and m.dim() > 0 < m.numel()
]
Masks = Annotated[dict[str, Mask], "a dict from parameter name to bool tensor, not empty", bool]

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Integers as wide as a float, for switching all its bits off at once.
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@checked
def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that may be pruned, by name: those of Linear, Conv and attention layers.

    In nn.MultiheadAttention these are the projections of query, key and value, kept there as one
    matrix, and of the output. Biases, embeddings, norm parameters and recurrent layers never are,
    nor layers that the model names in an attribute `keep_dense` ("head", "blocks.0" or any part of
    a dotted name): our ResNets keep ("out", "shortcut") dense, as Frankle & Carbin 2019 do (Figure
    2, appendix I). A shared tensor comes once. Raises TypeError when nothing is left to prune.
    """
    of_layers = {id(m.weight) for m in model.modules() if isinstance(m, PRUNABLE)}
    attention = [m for m in model.modules() if isinstance(m, nn.MultiheadAttention)]
    of_layers |= {id(weight) for module in attention for weight in projections(module)}
    weights = {
        name: parameter
        for name, parameter in model.named_parameters()
        if id(parameter) in of_layers and not _is_kept_dense(model, name)
    }
    if not weights:
        raise TypeError(
            f"{type(model).__name__} has no Linear, Conv or attention layer to prune; "
            f"list_parameters(model) tells why."
        )
    return weights


@checked
def list_parameters(model: nn.Module) -> pd.DataFrame:
    """Every parameter of `model`: name, layer, shape, count, whether it is prunable or why not."""
    try:
        prunable = prunable_weights(model)
    except TypeError:
        prunable = {}
    rows = []
    for name, parameter in model.named_parameters():
        path, _, own = name.rpartition(".")
        layer, matrix = model.get_submodule(path), parameter.dim() > 1
        kind = type(layer).__name__
        if name in prunable:
            why = ""
        elif own.endswith("_orig") and hasattr(layer, own.removesuffix("_orig") + "_mask"):
            why = "already pruned by torch.nn.utils.prune: take its masks with from_torch_prune_"
        elif not matrix:
            why = "biases and norms: too few to matter"
        elif _is_kept_dense(model, name):
            why = "the model's keep_dense names it"
        elif isinstance(layer, (*PRUNABLE, nn.MultiheadAttention)):
            why = "not the weight: the layer computes its weight from this, or adds it to its input"
        else:
            why = f"{kind} is not a Linear, Conv or attention layer"
        size = tuple(parameter.shape), parameter.numel()
        rows.append((name, kind, *size, name in prunable, why))
    return pd.DataFrame(rows, columns=["name", "layer", "shape", "numbers", "prunable", "why not"])


@checked
def projections(attention: nn.MultiheadAttention) -> list[nn.Parameter]:
    """The matrices for query, key and value: one for all three, or three of different sizes."""
    names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
    return [weight for name in names if (weight := getattr(attention, name)) is not None]


@checked
def full_masks(model: nn.Module) -> Masks:
    """Masks that keep every prunable weight of `model`."""
    weights = prunable_weights(model)
    return {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}


@checked
def keep_all(model: nn.Module) -> Masks:
    """`full_masks`; none for a network that has nothing to prune."""
    try:
        return full_masks(model)
    except TypeError:
        return {}


@checked
def count_kept(masks: Masks) -> int:
    """The number of weights kept."""
    return sum(int(mask.sum()) for mask in masks.values())


@checked
def density(masks: Masks) -> float:
    """The fraction of the prunable weights that is kept, 0..1 (sparsity is 1 - density)."""
    return count_kept(masks) / sum(mask.numel() for mask in masks.values())


@checked
def layer_densities(masks: Masks) -> dict[str, float]:
    """The fraction kept in each layer, 0..1, by parameter name."""
    return {name: density({name: mask}) for name, mask in masks.items()}


@checked
def overlap(masks: Masks, others: Masks) -> float:
    """The share of the kept weights that both keep, 0..1, of the larger number.

    So two masks drawn by chance overlap by their density.
    """
    both = sum(int((mask & others[name]).sum()) for name, mask in masks.items())
    return both / max(count_kept(masks), count_kept(others), 1)


@RULES.append
def _has_weights(values: dict[str, Any]) -> None:
    """A lazy layer would get its weights, whatever the seed, when its network is first tried."""
    model = values.get("model")
    if isinstance(model, nn.Module) and any(map(is_lazy, model.parameters())):
        raise InputError("model has lazy layers without weights: call it once, on one batch.")


@checked
def check_masks(model: nn.Module, masks: Masks) -> None:
    """Raise ValueError, naming the first difference, unless `masks` fit the weights of `model`."""


@RULES.append
def _layers_fit(values: dict[str, Any]) -> None:
    """Masks and scores are of the same layers as the model, or as each other."""
    names = ("masks", "others", "scores", "magnitudes", "growth")
    given = {name: values[name] for name in names if isinstance(values.get(name), dict)}
    other, expected = next(iter(given.items()), ("", {}))
    if given and isinstance(values.get("model"), nn.Module):
        other, expected = "the model", prunable_weights(values["model"])
    for what, layers in given.items():
        advice = f"Were these {what} made for another model?"
        if layers.keys() != expected.keys():
            came = f"{what} are for {', '.join(map(str, layers))}"
            raise InputError(f"{came}; {other} has {', '.join(map(str, expected))}. {advice}")
        for name, tensor in layers.items() if other != what else ():
            if tensor.shape != expected[name].shape:
                shape = f"the shape in {other}, {tuple(expected[name].shape)}"
                raise InputError(
                    f"{what}[{name!r}] must have {shape}; got {show(tensor)}. {advice}"
                )
            if tensor.dtype == torch.bool:
                continue
            ignored = given["masks"][name] ^ (what != "growth")
            if not (tensor.isfinite() | ignored.to(tensor.device)).all():
                problem = "not finite (NaN or infinite). Did the training diverge?"
                raise InputError(f"Some {what}[{name!r}] are {problem}")


@checked
def mask_applier(model: nn.Module, masks: Masks) -> Callable[[], None]:
    """A function without arguments that sets the pruned weights of `model` to exactly 0.0.

    Made once per training and called after every optimiser step; valid while the model stays on its
    device. It switches bits off (x & 0 = +0.0, x & ~0 = x): several times faster than masked_fill_
    on a CPU, and unlike a product it turns neither -3 into -0.0 nor a NaN into a NaN.
    """
    pairs = []
    for name, weight in prunable_weights(model).items():
        if masks[name].all():  # a dense layer costs nothing
            continue
        integer = _INTEGERS[weight.element_size()]
        pairs.append((weight.detach().view(integer), -masks[name].to(weight.device, integer)))

    def apply() -> None:
        for bits, keep in pairs:
            bits.bitwise_and_(keep)

    return apply


@checked
def apply_masks_(model: nn.Module, masks: Masks) -> nn.Module:
    """Set the pruned weights of `model` to exactly 0.0, in place, and return it."""
    mask_applier(model, masks)()
    return model


@checked
def shuffle_masks(masks: Masks, seed: int = 0) -> Masks:
    """As many kept weights in every layer, at random positions (Frankle et al. 2021, section 5)."""
    generator = make_generator(seed, "mask shuffle")
    shuffled = {}
    for name, mask in masks.items():
        order = torch.randperm(mask.numel(), generator=generator).to(mask.device)
        shuffled[name] = mask.flatten()[order].view_as(mask)
    return shuffled


def _is_kept_dense(model: nn.Module, name: str) -> bool:
    return any(f".{layer}." in f".{name}" for layer in getattr(model, "keep_dense", ()))
