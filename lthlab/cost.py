"""What a network and its training cost: weights, FLOPs, bytes, energy and CO2e."""

import copy
import inspect
from dataclasses import astuple, dataclass

import pandas as pd
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lthlab._common import mean_loss, own_noise
from lthlab.checks import checked
from lthlab.data import Dataset
from lthlab.masks import (
    PRUNABLE,
    Masks,
    count_kept,
    layer_densities,
    projections,
)
from lthlab.recipes import Recipe


@dataclass(frozen=True)
class Flops:
    """Floating-point operations (a multiplication and an addition count as two).

    `total` is what dense kernels do; `nonzero` leaves out every product with a pruned weight. The
    second is theoretical: only a kernel that skips zeros gets it.
    """

    total: int
    nonzero: int


@dataclass(frozen=True)
class Memory:
    """Bytes that training one batch holds at once."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        return sum(astuple(self))


@checked
@dataclass(frozen=True)
class Assumptions:
    """What it takes to get from seconds to grams.

    - `watts` drawn while computing: 30 W is a laptop's processor package at work; the board of a
      server's GPU draws at most 300 (V100), 400 (A100) or 700 (H100; NVIDIA's data sheets, SXM).
      Neither holds the rest of the computer: a V100 with its share of it drew 330 W, measured
      (Patterson et al. 2021, table 4).
    - `overhead` (PUE) multiplies it for cooling and supply: 1 at home, 1.1 to 1.6 in data centres.
    - `grams_per_kwh` CO2e of the grid: 480 is about the world's average (Ember, Global Electricity
      Review 2024); national grids run from under 60 (Norway, France) to over 700 (India).

    The making of the machine is left out.
    """

    watts: float = 30.0
    overhead: float = 1.0
    grams_per_kwh: float = 480.0

    @checked
    def kwh(self, seconds: float | pd.Series) -> float | pd.Series:
        """Energy in kilowatt-hours."""
        return seconds * self.watts * self.overhead / 3.6e6

    @checked
    def co2e_grams(self, seconds: float | pd.Series) -> float | pd.Series:
        """Emissions in grams of CO2 equivalent."""
        return self.kwh(seconds) * self.grams_per_kwh


@checked
def inference_flops(model: nn.Module, dataset: Dataset, masks: Masks | None = None) -> Flops:
    """FLOPs of classifying one example, by torch's counter (matrix products and convolutions)."""
    return _count(model, dataset, masks)


@checked
def training_flops(
    model: nn.Module, dataset: Dataset, recipe: Recipe, masks: Masks | None = None
) -> Flops:
    """FLOPs of a whole training: forward and backward of every batch, without the optimiser's."""
    return _count(model, dataset, masks, recipe)


@checked
def training_memory(model: nn.Module, dataset: Dataset, recipe: Recipe) -> Memory:
    """Bytes of weights, gradients, optimiser state and activations kept for the backward pass."""
    model = copy.deepcopy(model).train()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    copies = {"sgd": bool(recipe.momentum), "adam": 2, "adamw": 2}[recipe.optimizer]
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    x, y = (part[: recipe.batch_size].clone() for part in (dataset.train.x, dataset.train.y))
    with saved_tensors_hooks(keep, lambda tensor: tensor), own_noise(dataset.device, 0):
        mean_loss(model(x), y)
    for parameter in model.parameters():  # counted as weights
        saved.pop(parameter.untyped_storage().data_ptr(), None)
    return Memory(weights, weights, copies * weights, sum(saved.values()))


@checked
def storage_bytes(masks: Masks) -> dict[str, int]:
    """Bytes to store the prunable weights: dense; kept values with a bitmap; CSR (all 32-bit)."""
    size, kept = sum(mask.numel() for mask in masks.values()), count_kept(masks)
    rows = sum(len(mask) + 1 for mask in masks.values())
    return {"dense": 4 * size, "bitmap": 4 * kept + -(-size // 8), "CSR": 8 * kept + 4 * rows}


def _count(
    model: nn.Module, dataset: Dataset, masks: Masks | None, recipe: Recipe | None = None
) -> Flops:
    """FLOPs of one example forward, or of all that a recipe does."""
    backward = recipe is not None
    batch, steps = (recipe.batch_size, recipe.steps(dataset)) if backward else (1, 1)
    model = copy.deepcopy(model).train(backward)
    x, y = dataset.train.x[:batch], dataset.train.y[:batch]
    kept = layer_densities(masks) if masks else {}
    # The fraction pruned, by weight; layers kept dense have none.
    pruned, skipped = {id(model.get_parameter(name)): 1 - kept[name] for name in kept}, 0.0

    def skip(layer: nn.Module, inputs: tuple, named: dict, output: Tensor | tuple) -> None:
        nonlocal skipped
        given = inspect.signature(layer.forward).bind(*inputs, **named).args
        for weight, size, asked in _products(layer, given, output):
            # One product forward; backward one for the weight and one for the input, if asked for.
            products = 1 + backward * (weight.requires_grad + asked)
            skipped += pruned.get(id(weight), 0) * 2 * size * products

    for layer in model.modules():
        if isinstance(layer, (*PRUNABLE, nn.MultiheadAttention)):
            layer.register_forward_hook(skip, with_kwargs=True)
    plain = sdpa_kernel(SDPBackend.MATH)  # the counter does not know attention's kernel on CPUs
    with plain, own_noise(dataset.device, 0), FlopCounterMode(display=False) as counter:
        loss = mean_loss(model(x), y)
        if backward:
            loss.backward()
    total = counter.get_total_flops()
    return Flops(steps * total, steps * round(total - skipped))


def _products(
    layer: nn.Module, given: tuple, output: Tensor | tuple
) -> list[tuple[nn.Parameter, int, bool]]:
    """Of each product of a layer: weight, multiplications, whether the input wants a gradient."""
    if not isinstance(layer, nn.MultiheadAttention):
        size = output.numel() * layer.weight[0].numel()
        return [(layer.weight, size, given[0].requires_grad)]
    matrices = (projections(layer) * 3)[:3]  # one matrix for all three: a third of it each
    products = [
        (matrix, layer.embed_dim * x.numel(), x.requires_grad)
        for matrix, x in zip(matrices, given[:3], strict=True)  # query, key, value
    ]
    return [*products, (layer.out_proj.weight, layer.embed_dim * given[0].numel(), True)]
