"""Tickets on disk and in other formats: checksummed safetensors, CSR, torch.nn.utils.prune.

A masked network itself needs no export: its state_dict() holds zeros where weights were pruned.
"""

import copy
import hashlib
import json
import uuid
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from lthlab.checks import InputError, Location, checked
from lthlab.masks import Masks, apply_masks_, check_masks, full_masks, prunable_weights

Tensors = dict[str, Tensor]
VERSION = 2  # of the format
CSR_PARTS = ("crow_indices", "col_indices", "values", "shape")
_BLANK = "0" * 64  # stands for the checksum while the checksum is computed


@checked
def save_masks(masks: Masks, path: Location, /, **metadata: object) -> None:
    """Write masks to a safetensors file, whole or not at all; `metadata` stay with them as strings.

    Raises OSError when the file cannot be written.
    """
    save_tensors(masks, path, "masks", {key: str(value) for key, value in metadata.items()})


@checked
def load_masks(path: Location, model: nn.Module | None = None) -> Masks:
    """Read masks written by `save_masks`; with `model`, check that they fit it, on its device.

    Raises ValueError for a damaged or foreign file, or masks of another model.
    """
    masks, _ = load_tensors(path, "masks")
    if model is not None:
        check_masks(model, masks)
        weights = prunable_weights(model)
        masks = {name: masks[name].to(weight.device) for name, weight in weights.items()}
    return masks


@checked
def read_metadata(path: Location) -> dict[str, str]:
    """The metadata given to `save_masks`; ValueError for a damaged file."""
    return load_tensors(path, "masks")[1]


@checked
def save_tensors(tensors: Tensors, path: Location, kind: str, metadata: dict) -> None:
    """Write a safetensors file of one kind, whole or not at all, with a checksum over every byte.

    `metadata` is anything that JSON holds. Raises OSError when the file cannot be written.
    """
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    header = {
        "format": f"lthlab-{kind}",
        "version": str(VERSION),
        "names": json.dumps(list(tensors)),  # in order, which the format does not keep
        "metadata": json.dumps(metadata),
        "sha256": _BLANK,
    }
    blank = save(tensors, header)
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid.uuid4()}")  # no longer than any name may be
    try:
        aside.write_bytes(_sign(blank, hashlib.sha256(blank).hexdigest()))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@checked
def load_tensors(path: Location, kind: str) -> tuple[Tensors, dict]:
    """What `save_tensors` wrote, copied into memory: the file may change or go afterwards.

    Raises ValueError for a missing, damaged or foreign file, or another kind.
    """
    try:
        path = Path(path).expanduser()
        if path.exists() and not path.is_file():
            raise OSError("no plain file")  # a pipe, say, would never end
        content = path.read_bytes()
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} is not a safetensors file, or is cut short ({error}). Save it again."
        ) from None
    expected, found = f"lthlab-{kind}", header.get("format", "unknown")
    if found != expected:
        raise ValueError(f"{path} holds tensors of format {found!r}; expected {expected!r}.")
    if header.get("version") != str(VERSION):
        came = header.get("version", "1")
        raise ValueError(f"{path} was written in version {came} of the format, not {VERSION}.")
    digest = header.get("sha256", "")
    if hashlib.sha256(_sign(content, _BLANK, digest)).hexdigest() != digest:
        raise ValueError(
            f"{path} is damaged: its contents do not match its checksum. Save it again."
        )
    names = json.loads(header["names"])
    return {name: tensors[name] for name in names}, json.loads(header["metadata"])


@checked
def csr_state(model: nn.Module, masks: Masks) -> Tensors:
    """A state dict in which each prunable weight is its compressed sparse rows (CSR).

    "fc1.weight" becomes "fc1.weight.crow_indices", ".col_indices" (both int32), ".values" and
    ".shape"; a convolution is a matrix with one row per output channel. A kept weight that happens
    to be 0 stays. All else is as it was. Plain tensors: safetensors.torch.save_file writes them,
    and torch.sparse_csr_tensor takes the first three.
    """
    # A weight that two layers share has two names, and one mask.
    model = apply_masks_(copy.deepcopy(model), masks)
    state = model.state_dict()
    for name, mask in masks.items():
        weight = state.pop(name)
        mask = mask.to(weight.device)
        matrix = mask.flatten(1)
        crow = nn.functional.pad(matrix.sum(1).cumsum(0), (1, 0))
        column = matrix.nonzero()[:, 1]
        parts = crow.int(), column.int(), weight[mask], torch.tensor(mask.shape)
        state |= {f"{name}.{part}": t for part, t in zip(CSR_PARTS, parts, strict=True)}
    return state


@checked
def from_csr_state(state: Tensors, model: nn.Module) -> tuple[Tensors, Masks]:
    """The plain state dict with zeros, and the masks, of what `csr_state` made of such a network.

    Raises ValueError if parts are missing, do not fit each other, or belong to another model.
    """
    names = [key.removesuffix(".crow_indices") for key in state if key.endswith(".crow_indices")]
    sparse = {f"{name}.{part}" for name in names for part in CSR_PARTS}
    if missing := sparse - state.keys():
        raise ValueError(f"Not a whole CSR state: {', '.join(sorted(missing))} are missing.")
    dense, masks = {key: tensor for key, tensor in state.items() if key not in sparse}, {}
    for name in names:
        crow, column, values, shape = (state[f"{name}.{part}"] for part in CSR_PARTS)
        size = len(crow) - 1, shape[1:].prod().item()
        try:
            # torch trusts the rows' ends, and crashes on wrong ones, when no column is kept.
            if (crow[:1] != 0).any() or (crow.diff() < 0).any():
                raise RuntimeError("the rows' ends do not rise from 0")
            with warnings.catch_warnings(action="ignore"):  # torch calls its CSR tensors beta
                kept, weight = (
                    torch.sparse_csr_tensor(crow, column, v, size, check_invariants=True).to_dense()
                    for v in (torch.ones_like(values), values)
                )
            dense[name], masks[name] = weight.view(*shape), kept.view(*shape) == 1
        except RuntimeError as error:
            raise ValueError(
                f"state: the CSR parts of {name!r} do not fit each other; was the file "
                f"changed? ({error})"
            ) from None
    check_masks(model, masks)
    state = {name: dense[name] for name in model.state_dict() if name in dense}
    return state, {name: masks[name] for name in prunable_weights(model)}


@checked
def to_torch_prune_(model: nn.Module, masks: Masks) -> nn.Module:
    """Give `model` masks as torch.nn.utils.prune keeps them: weight_orig, weight_mask, a hook.

    Raises ValueError for layers that share weights, which it does not know.
    """
    if len([*model.parameters()]) < len([*model.named_parameters(remove_duplicate=False)]):
        raise InputError("model has layers that share weights: torch.nn.utils.prune knows none.")
    for name, mask in masks.items():
        path, _, parameter = name.rpartition(".")
        module = model.get_submodule(path)
        device = getattr(module, parameter).device
        torch_prune.custom_from_mask(module, parameter, mask.to(device))
    return model


@checked
def from_torch_prune_(model: nn.Module) -> Masks:
    """The masks of a model pruned by torch.nn.utils.prune, made plain again, in place, with zeros.

    Layers that were not pruned get masks that keep everything. Raises ValueError if nothing was
    pruned, or a parameter that lthlab does not prune (a bias, say).
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    names = [name.removesuffix("_orig") for name in parameters if name.endswith("_orig")]
    found = {name: buffers[f"{name}_mask"].bool() for name in names if f"{name}_mask" in buffers}
    if not found:
        raise InputError(
            f"model must hold masks of torch.nn.utils.prune; {type(model).__name__} has none."
        )
    for name in found:
        path, _, parameter = name.rpartition(".")
        torch_prune.remove(model.get_submodule(path), parameter)
    masks = full_masks(model)
    if foreign := sorted(found.keys() - masks.keys()):
        raise ValueError(
            f"lthlab prunes weights of Linear, Conv and attention layers only; "
            f"{', '.join(foreign)} was pruned, too. The model is plain now, its zeros are kept."
        )
    return masks | found


def _sign(content: bytes, digest: str, instead: str = _BLANK) -> bytes:
    """The file with another checksum in its header."""
    return content.replace(f'"sha256":"{instead}"'.encode(), f'"sha256":"{digest}"'.encode(), 1)
