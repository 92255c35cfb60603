"""What a network and its training cost: weights, FLOPs, bytes, and energy and CO2e under stated assumptions."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lthlab.data import Dataset
from lthlab.masks import Masks, count_kept, density, prunable_weights
from lthlab.training import Recipe


@dataclass(frozen=True)
class Parameters:
    """Counts of numbers that training adjusts: all, those that are prunable, and those not equal to zero."""

    total: int
    prunable: int
    nonzero: int


@dataclass(frozen=True)
class Flops:
    """Floating-point operations (a multiplication and an addition count as two).

    `total` is what dense kernels do; `nonzero` leaves out every product with a pruned weight. The
    second is theoretical: only a kernel that skips zeros gets it.
    """

    total: int
    nonzero: int

    def __mul__(self, times: int) -> "Flops":
        return Flops(self.total * times, self.nonzero * times)


@dataclass(frozen=True)
class Memory:
    """Bytes that training one batch holds at once."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True)
class Assumptions:
    """What it takes to get from seconds to grams.

    `watts` drawn while computing: 30 W is a laptop's processor package at work; a server's GPU draws
    300 to 700. `overhead` (PUE) multiplies it for cooling and supply: 1 at home, 1.1 to 1.6 in data
    centres. `grams_per_kwh` CO2e of the grid: 480 is about the world's average (Ember, Global
    Electricity Review 2024); national grids run from under 50 (Norway, France) to over 700 (India).
    The making of the machine is left out.
    """

    watts: float = 30.0
    overhead: float = 1.0
    grams_per_kwh: float = 480.0

    def kwh(self, seconds: float) -> float:
        """Energy in kilowatt-hours."""
        return seconds * self.watts * self.overhead / 3.6e6

    def co2e_grams(self, seconds: float) -> float:
        """Emissions in grams of CO2 equivalent."""
        return self.kwh(seconds) * self.grams_per_kwh


def parameters(model: nn.Module, masks: Masks | None = None) -> Parameters:
    """Count the parameters of `model`; with `masks`, the pruned ones count as zero."""
    total = sum(p.numel() for p in model.parameters())
    prunable = sum(w.numel() for w in prunable_weights(model).values())
    if masks is not None:
        return Parameters(total, prunable, total - prunable + count_kept(masks))
    return Parameters(total, prunable, sum(int(p.count_nonzero()) for p in model.parameters()))


def inference_flops(model: nn.Module, dataset: Dataset, masks: Masks | None = None) -> Flops:
    """FLOPs of classifying one example, by torch's own counter (matrix products and convolutions)."""
    return _count(model, dataset, masks, batch=1, backward=False)


def training_flops(model: nn.Module, dataset: Dataset, recipe: Recipe, masks: Masks | None = None) -> Flops:
    """FLOPs of a whole training by `recipe`: forward and backward of every batch, without the optimiser's."""
    return _count(model, dataset, masks, recipe.batch_size, backward=True) * recipe.steps(dataset)


def training_memory(model: nn.Module, dataset: Dataset, recipe: Recipe) -> Memory:
    """Bytes of weights, gradients, optimiser state and the activations kept for the backward pass."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    copies = {"sgd": 1 if recipe.momentum else 0, "adam": 2, "adamw": 2}[recipe.optimizer]
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    x, y = dataset.train.x[: recipe.batch_size].clone(), dataset.train.y[: recipe.batch_size].clone()
    with _buffers_untouched(model), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        F.cross_entropy(model(x), y)
    return Memory(weights, weights, copies * weights, sum(saved.values()))


def storage_bytes(masks: Masks, element_size: int = 4) -> dict[str, int]:
    """Bytes to store the prunable weights: dense; kept values with a bitmap; CSR with 32-bit indices."""
    size, kept = sum(mask.numel() for mask in masks.values()), count_kept(masks)
    rows = sum(len(mask) + 1 for mask in masks.values())
    return {
        "dense": size * element_size,
        "bitmap": kept * element_size + -(-size // 8),
        "CSR": kept * (element_size + 4) + rows * 4,
    }


def _count(model: nn.Module, dataset: Dataset, masks: Masks | None, batch: int, backward: bool) -> Flops:
    x, y = dataset.train.x[:batch], dataset.train.y[:batch]
    layers = {name.removesuffix("weight").removesuffix("."): name for name in masks or {}}
    needs_input_gradient, hooks = {}, []
    for layer in layers:

        def note(module, inputs, layer=layer):
            needs_input_gradient[layer] = inputs[0].requires_grad

        hooks.append(model.get_submodule(layer).register_forward_pre_hook(note))
    gradients = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    with _buffers_untouched(model):
        model.train(backward)
        with FlopCounterMode(display=False) as forward:
            loss = F.cross_entropy(model(x), y)
        with FlopCounterMode(display=False) as back:
            if backward:
                loss.backward()
    for hook in hooks:
        hook.remove()
    for name, p in model.named_parameters():  # counting leaves no gradients behind
        p.grad = gradients[name]
    total, skipped = forward.get_total_flops() + back.get_total_flops(), 0.0
    for layer, name in layers.items():
        # One product forward; backward one for the weights, and one for the input unless it is data.
        products = 1 + (1 + needs_input_gradient[layer]) * backward
        path = f"{type(model).__name__}.{layer}" if layer else type(model).__name__
        count = sum(forward.get_flop_counts()[path].values())
        skipped += (1 - density({name: masks[name]})) * count * products
    return Flops(total, round(total - skipped))


class _buffers_untouched:
    """Put running statistics of norms and modes of modules back after a pass that was only counted."""

    def __init__(self, model: nn.Module):
        self.model = model

    def __enter__(self):
        self.before = {name: b.clone() for name, b in self.model.named_buffers()}
        self.modes = {module: module.training for module in self.model.modules()}

    def __exit__(self, *_):
        for name, b in self.model.named_buffers():
            b.copy_(self.before[name])
        for module, training in self.modes.items():
            module.training = training
