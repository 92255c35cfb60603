"""Tickets that leave: compressed rows in a plain file, and masks to and from torch.nn.utils.prune.

A masked network itself needs no export: its state_dict() holds zeros where weights were pruned.
"""

import torch
from torch import nn
from torch.nn.utils import prune as torch_prune

from lthlab.masks import Masks, check_masks, prunable_weights

PARTS = ("crow_indices", "col_indices", "values")


def csr_state(model: nn.Module, masks: Masks) -> dict[str, torch.Tensor]:
    """A state dict in which each prunable weight is its compressed sparse rows (CSR).

    "fc1.weight" becomes "fc1.weight.crow_indices", ".col_indices" (both int32), ".values" and ".shape";
    a convolution is a matrix with one row per output channel. All else stays as it is. Plain tensors:
    safetensors.torch.save_file writes them, and torch.sparse_csr_tensor takes the first three.
    """
    check_masks(model, masks)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for name in masks:
        weight = state.pop(name).flatten(1)
        keep = masks[name].flatten(1).to(weight.device)
        # Of the mask and not of the weight, so that a kept weight that happens to be 0 stays.
        row, column = keep.nonzero(as_tuple=True)
        counts = torch.bincount(row, minlength=len(weight)).cumsum(0)
        state[f"{name}.crow_indices"] = torch.cat([counts.new_zeros(1), counts]).int()
        state[f"{name}.col_indices"] = column.int()
        state[f"{name}.values"] = weight[keep]
        state[f"{name}.shape"] = torch.tensor(masks[name].shape)
    return state


def from_csr_state(state: dict[str, torch.Tensor], model: nn.Module) -> tuple[dict[str, torch.Tensor], Masks]:
    """The plain state dict with zeros, and the masks, of what `csr_state` made of a network like `model`.

    Raises ValueError if parts are missing, do not fit each other, or belong to another model.
    """
    names = [key.removesuffix(".crow_indices") for key in state if key.endswith(".crow_indices")]
    sparse = {f"{name}.{part}" for name in names for part in (*PARTS, "shape")}
    if missing := sparse - state.keys():
        raise ValueError(f"Not a whole CSR state: {', '.join(sorted(missing))} are missing.")
    dense, masks = {key: tensor for key, tensor in state.items() if key not in sparse}, {}
    for name in names:
        crow, column, values = (state[f"{name}.{part}"] for part in PARTS)
        shape = torch.Size(state[f"{name}.shape"].tolist())
        if len(crow) != shape[0] + 1 or int(crow[-1]) != len(column) or len(column) != len(values):
            raise ValueError(f"The CSR parts of {name!r} do not fit each other; was the file changed?")
        row = torch.repeat_interleave(torch.arange(shape[0], device=crow.device), crow.diff())
        weight, mask = values.new_zeros(shape), torch.zeros(shape, dtype=torch.bool, device=values.device)
        weight.flatten(1)[row, column] = values
        mask.flatten(1)[row, column] = True
        dense[name], masks[name] = weight, mask
    check_masks(model, masks)
    # In the model's order, which files do not keep: the last mask is that of the output.
    order = {name: masks[name] for name in prunable_weights(model)}
    return {name: dense[name] for name in model.state_dict() if name in dense}, order


def to_torch_prune_(model: nn.Module, masks: Masks) -> nn.Module:
    """Give `model` the masks the way torch.nn.utils.prune keeps them, in place: weight_orig, weight_mask and a hook."""
    check_masks(model, masks)
    for name in masks:
        path, _, parameter = name.rpartition(".")
        module = model.get_submodule(path)
        torch_prune.custom_from_mask(module, parameter, masks[name].to(getattr(module, parameter).device))
    return model


def from_torch_prune_(model: nn.Module) -> Masks:
    """The masks of a model pruned by torch.nn.utils.prune, which is made plain again, in place, with zeros.

    Layers that were not pruned get masks that keep everything. Raises ValueError if nothing was pruned,
    or a parameter that lthlab does not prune (a bias, say).
    """
    originals = {name.removesuffix("_orig") for name, _ in model.named_parameters() if name.endswith("_orig")}
    found = {key.removesuffix("_mask"): mask.bool() for key, mask in model.named_buffers()
             if key.endswith("_mask") and key.removesuffix("_mask") in originals}  # fmt: skip
    if not found:
        raise ValueError(f"{type(model).__name__} holds no masks of torch.nn.utils.prune.")
    found = {name: mask.clone() for name, mask in found.items()}
    for name in found:
        path, _, own = name.rpartition(".")
        module = model.get_submodule(path)
        torch_prune.remove(module, own)
        # It was put last; optimisers and snapshots know parameters by their order, and weights come first.
        rest = {key: module._parameters.pop(key) for key in [*module._parameters] if key != own}
        module._parameters.update(rest)
    weights = prunable_weights(model)
    if foreign := sorted(found.keys() - weights.keys()):
        raise ValueError(f"lthlab prunes weights of Linear, Conv and attention layers only; {', '.join(foreign)} "
                         f"was pruned, too. The model is plain now, its zeros are kept.")  # fmt: skip
    return {name: found.get(name, torch.ones_like(w, dtype=torch.bool)) for name, w in weights.items()}
