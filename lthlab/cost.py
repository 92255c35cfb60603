"""What a network and its training cost: weights, FLOPs, bytes, and energy and CO2e under stated assumptions."""

import contextlib
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from lthlab.data import Dataset
from lthlab.masks import PRUNABLE, Masks, check_masks, count_kept, density, projections, prunable_weights
from lthlab.recipes import Recipe


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
        check_masks(model, masks)
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
    with _left_as_it_was(model), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
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
    pruned, skipped = {}, 0.0  # the fraction pruned, by layer; nothing in layers that are kept dense
    if masks is not None:
        check_masks(model, masks)
        pruned = {id(w): 1 - density({name: masks[name]}) for name, w in prunable_weights(model).items()}

    def skip(layer: nn.Module, inputs: tuple, named: dict, output) -> None:
        # One product forward; backward one for the weights and one for the input, unless nobody asks for them.
        nonlocal skipped
        uses, given = [], [*inputs, *named.values()]
        if isinstance(layer, nn.MultiheadAttention):
            three = [named.get(name, given[min(n, len(given) - 1)]) for n, name in enumerate(("query", "key", "value"))]
            matrices = projections(layer) * (3 if layer.in_proj_weight is not None else 1)
            for matrix, x in zip(matrices, three, strict=True):  # one matrix for all three: a third of it each
                size = layer.embed_dim * x.shape[-1] * (x.numel() // x.shape[-1])
                uses.append((matrix, size, x.requires_grad))
            tokens = three[0].numel() // layer.embed_dim
            uses.append((layer.out_proj.weight, tokens * layer.out_proj.weight.numel(), True))
        else:
            uses.append((layer.weight, output.numel() * layer.weight[0].numel(), given[0].requires_grad))
        for weight, size, asked in uses:
            skipped += pruned.get(id(weight), 0) * 2 * size * (1 + backward * (weight.requires_grad + asked))

    layers = [m for m in model.modules() if isinstance(m, (*PRUNABLE, nn.MultiheadAttention))]
    hooks = [layer.register_forward_hook(skip, with_kwargs=True) for layer in layers]
    try:
        with _left_as_it_was(model), FlopCounterMode(display=False) as counter:
            model.train(backward)
            loss = F.cross_entropy(model(x), y)
            if backward:
                trained = [p for p in model.parameters() if p.requires_grad]
                torch.autograd.grad(loss, trained, allow_unused=True)  # leaves every p.grad alone
    finally:
        for hook in hooks:
            hook.remove()
    total = counter.get_total_flops()
    return Flops(total, round(total - skipped))


@contextlib.contextmanager
def _left_as_it_was(model: nn.Module):
    """Put buffers, modes and the random state back after a pass that was only counted."""
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.random.fork_rng(devices=[*{p.device for p in model.parameters() if p.device.type == "cuda"}]):
            yield
    finally:
        for name, b in model.named_buffers():
            b.copy_(buffers[name])
        for module, training in modes.items():
            module.training = training
