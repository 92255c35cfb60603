"""Masks: which weights a network keeps. A plain dict from parameter name to bool tensor."""

import os
from collections.abc import Callable

import pandas as pd
import torch
from torch import nn

from lthlab._common import load_tensors, make_generator, save_tensors

Masks = dict[str, torch.Tensor]

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# Integers as wide as a float, for switching all its bits off at once.
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def prunable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that may be pruned, by name: those of Linear, Conv and attention layers, each tensor once.

    In nn.MultiheadAttention these are the projections of query, key and value, kept there as one matrix,
    and of the output. Biases, embeddings, norm parameters and recurrent layers never are, nor layers that
    the model names in an attribute `keep_dense` ("head", "blocks.0" or any part of a dotted name): our
    ResNets keep ("out", "shortcut") dense, as Frankle & Carbin 2019 do (Figure 2, appendix I). Raises
    TypeError when nothing is left to prune.
    """
    of_layers = {id(m.weight) for m in model.modules() if isinstance(m, PRUNABLE)}
    of_layers |= {id(w) for m in model.modules() if isinstance(m, nn.MultiheadAttention) for w in projections(m)}
    dense = [f".{layer}." for layer in getattr(model, "keep_dense", ())]
    weights = {
        name: p
        for name, p in model.named_parameters()
        if id(p) in of_layers and not any(layer in f".{name}" for layer in dense)
    }
    if not weights:
        raise TypeError(
            f"{type(model).__name__} has no Linear, Conv or attention layer to prune; list_parameters(model) tells why."
        )
    return weights


def list_parameters(model: nn.Module) -> pd.DataFrame:
    """Every parameter of `model`: name, layer, shape, count of numbers, whether it may be pruned and, if not, why."""
    try:
        prunable = prunable_weights(model)
    except TypeError:
        prunable = {}
    owners = {f"{prefix}.{name}".lstrip("."): module for prefix, module in model.named_modules()
              for name, _ in module.named_parameters(recurse=False)}  # fmt: skip
    rows = []
    for name, p in model.named_parameters():
        kind, matrix = type(owners[name]).__name__, p.dim() > 1
        if name in prunable:
            why = ""
        elif name.endswith("_orig") and hasattr(owners[name], name.rpartition(".")[2].removesuffix("_orig") + "_mask"):
            why = "already pruned by torch.nn.utils.prune: take its masks with from_torch_prune_"
        elif matrix and any(f".{layer}." in f".{name}" for layer in getattr(model, "keep_dense", ())):
            why = "the model's keep_dense names it"
        elif matrix and isinstance(owners[name], (*PRUNABLE, nn.MultiheadAttention)):
            why = "not the weight itself: the layer computes its weight from this, or adds it to its input"
        elif matrix:
            why = f"{kind} is not a Linear, Conv or attention layer"
        else:
            why = "biases and norms: too few to matter"
        rows.append((name, kind, tuple(p.shape), p.numel(), name in prunable, why))
    return pd.DataFrame(rows, columns=["name", "layer", "shape", "numbers", "prunable", "why not"])


def projections(attention: nn.MultiheadAttention) -> list[nn.Parameter]:
    """The matrices for query, key and value: one for all three, or three where their inputs differ in size."""
    names = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
    return [w for name in names if (w := getattr(attention, name)) is not None]


def full_masks(model: nn.Module) -> Masks:
    """Masks that keep every prunable weight of `model`."""
    return {name: torch.ones_like(w, dtype=torch.bool) for name, w in prunable_weights(model).items()}


def count_kept(masks: Masks) -> int:
    """The number of weights kept."""
    return sum(int(mask.sum()) for mask in masks.values())


def density(masks: Masks) -> float:
    """The fraction of the prunable weights that is kept, 0..1 (sparsity is 1 - density)."""
    return count_kept(masks) / sum(mask.numel() for mask in masks.values())


def layer_densities(masks: Masks) -> dict[str, float]:
    """The fraction kept in each layer, 0..1, by parameter name."""
    return {name: density({name: mask}) for name, mask in masks.items()}


def overlap(masks: Masks, others: Masks) -> float:
    """The share of the kept weights that both keep, 0..1: of the larger number, so chance gives the density."""
    both = sum(int((mask & others[name]).sum()) for name, mask in masks.items())
    return both / max(count_kept(masks), count_kept(others), 1)


def check_masks(model: nn.Module, masks: Masks) -> None:
    """Raise ValueError, naming the first difference, unless `masks` are of a model built like this one."""
    weights, advice = prunable_weights(model), "Were these masks made for another model?"
    if masks.keys() != weights.keys():
        raise ValueError(f"The masks are for {', '.join(masks)}; the model has {', '.join(weights)}. {advice}")
    for name, mask in masks.items():
        if mask.shape != weights[name].shape or mask.dtype != torch.bool:
            raise ValueError(
                f"{name!r} needs a bool mask of shape {tuple(weights[name].shape)}; "
                f"got {mask.dtype} of shape {tuple(mask.shape)}. {advice}"
            )


def mask_applier(model: nn.Module, masks: Masks) -> Callable[[], None]:
    """A function without arguments that sets the pruned weights of `model` to exactly 0.0.

    Made once per training and called after every optimiser step; valid while the model stays on its
    device. It switches bits off (x & 0 = +0.0, x & ~0 = x): several times faster than masked_fill_
    on a CPU, and unlike a product it turns neither -3 into -0.0 nor a NaN into a NaN.
    """
    check_masks(model, masks)
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


def apply_masks_(model: nn.Module, masks: Masks) -> nn.Module:
    """Set the pruned weights of `model` to exactly 0.0, in place, and return it."""
    mask_applier(model, masks)()
    return model


def shuffle_masks(masks: Masks, seed: int = 0) -> Masks:
    """The same number of kept weights in every layer, at random places (Frankle et al. 2021, section 5)."""
    generator = make_generator(seed, "mask shuffle")
    shuffled = {}
    for name, mask in masks.items():
        order = torch.randperm(mask.numel(), generator=generator).to(mask.device)
        shuffled[name] = mask.flatten()[order].view_as(mask)
    return shuffled


def save_masks(masks: Masks, path: str | os.PathLike, **metadata: object) -> None:
    """Write masks to a safetensors file, whole or not at all; `metadata` are kept with them as strings."""
    save_tensors(masks, path, "masks", {key: str(value) for key, value in metadata.items()})


def load_masks(path: str | os.PathLike, model: nn.Module | None = None) -> Masks:
    """Read masks written by `save_masks`; with `model`, check that they fit it and use its device.

    Raises ValueError for a damaged or foreign file, or masks of another model.
    """
    masks, _ = load_tensors(path, "masks")
    if model is not None:
        check_masks(model, masks)
        masks = {name: masks[name].to(weight.device) for name, weight in prunable_weights(model).items()}
    return masks


def save_weights(model: nn.Module, path: str | os.PathLike, **metadata: object) -> None:
    """Write the parameters and buffers of `model` to a safetensors file, whole or not at all."""
    save_tensors(model.state_dict(), path, "weights", {key: str(value) for key, value in metadata.items()})


def load_weights_(model: nn.Module, path: str | os.PathLike) -> nn.Module:
    """Read weights written by `save_weights` into `model`; ValueError if damaged, foreign or of another model."""
    state, _ = load_tensors(path, "weights")
    expected = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in state.items()}
    if expected != found:
        name = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))[0]
        raise ValueError(
            f"{path} holds the weights of another model: {name!r} has shape {found.get(name, 'none')} "
            f"in the file and {expected.get(name, 'none')} in the model."
        )
    model.load_state_dict(state)
    return model


def read_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The metadata strings given to `save_masks` or `save_weights`; ValueError for a damaged or foreign file."""
    metadata = load_tensors(path, None)[1]
    del metadata["format"]
    return metadata
