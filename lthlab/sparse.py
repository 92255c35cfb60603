"""Loss and gradients over kept weights alone (CSR), and the choice of the fastest way on this machine.

`choose_step` gives one of four ways with the same results: autograd for any network, or for several at once;
backpropagation by hand for fully connected ones; and the same over the kept weights only, where few are left.
"""

import contextlib
import functools
import os
import time
import warnings

import numpy as np
import torch
from torch import nn

from lthlab import kernels
from lthlab._common import remembered
from lthlab.masks import Masks, density, prunable_weights
from lthlab.stack import Stack
from lthlab.steps import PLAIN, Autograd, ByHand, Speed, Stacked, chain_of, cross_entropy_and_slope

_below: float | None = None  # set by `sparse_below_is`


def sparse_below() -> float:
    """The density below which `Sparse` is faster than `ByHand` on this machine, 0 where it never is.

    Measured once in a fraction of a second and kept in the user's cache folder, so that the same seed
    gives the same bits tomorrow. $LTHLAB_SPARSE_BELOW (a fraction; 0 for never) overrules it.
    """
    if _below is not None:
        return _below
    if "LTHLAB_SPARSE_BELOW" in os.environ:
        return float(os.environ["LTHLAB_SPARSE_BELOW"])
    return _remembered(f"numba {kernels.numba.__version__}" if kernels.numba else "no numba")


@contextlib.contextmanager
def sparse_below_is(density: float):
    """Use this density instead of the measured one in the block: workers do as their parent measured."""
    global _below
    before, _below = _below, density
    try:
        yield
    finally:
        _below = before


@functools.cache
def _remembered(compiler: str) -> float:
    def measure() -> float:
        try:
            return _calibrate()
        except RuntimeError:  # torch's sparse products need MKL on a CPU, which not every build has
            return 0.0

    return remembered("sparse_below.json", compiler, measure)


def _calibrate() -> float:
    """Where the time of a whole sparse step, as a straight line of the density, crosses that of a masked dense one."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 10))
        x, y = torch.randn(60, 784), torch.randint(10, (60,))
        scores = {name: torch.rand(weight.shape) for name, weight in prunable_weights(model).items()}
    layers, (few, more) = chain_of(model), ({name: s < d for name, s in scores.items()} for d in (0.1, 0.4))
    steps = [*(sparse_step(model, layers, masks, 60) for masks in (few, more)), ByHand(model, layers, more, 60)]
    optimizers = [torch.optim.Adam(step.parameters(), fused=True) for step in steps]
    times = np.empty((30, 3))
    for turn in range(-5, 30):  # in turns, so that a busy moment hits all three
        for place, (step, optimizer) in enumerate(zip(steps, optimizers, strict=True)):
            began = time.perf_counter()
            step(x, y)
            optimizer.step()
            step.keep_pruned_at_zero()
            times[turn, place] = time.perf_counter() - began
    low, high, dense = np.median(times, axis=0)
    crossing = 0.1 + 0.3 * (dense - low) / max(high - low, 1e-9)
    return round(float(np.clip(crossing, 0, 0.9)), 1)  # to a tenth: the same on every day and on similar machines


def choose_step(model: nn.Module, masks: Masks | None, batch_size: int, speed: Speed = PLAIN) -> "Autograd":
    """The fastest way to the gradients of `model` on batches of this size: Autograd, Stacked, ByHand or Sparse."""
    if isinstance(model, Stack):
        return Stacked(model, masks, speed)
    layers = chain_of(model)
    if not layers or speed != PLAIN:
        return Autograd(model, masks, speed)
    few = masks is not None and len(masks) == len(layers) and layers[0].weight.device.type == "cpu"
    if few and density(masks) < sparse_below():
        return sparse_step(model, layers, masks, batch_size)
    return ByHand(model, layers, masks, batch_size)


def sparse_step(model: nn.Module, layers: list[nn.Linear], masks: Masks, batch_size: int) -> "Sparse":
    """Over kept weights alone: by numba's kernels or, where it is not installed, by torch's."""
    return (Sparse if kernels.numba else SparseByTorch)(model, layers, masks, batch_size)


class Sparse(Autograd):
    """Backpropagation over kept weights alone: they are the parameters, and nothing is computed for the others."""

    reuses_slopes = True

    def __init__(self, model: nn.Module, layers: list[nn.Linear], masks: Masks, batch_size: int):
        super().__init__(model, masks)
        self.prune_model, self.keep_pruned_at_zero = self.keep_pruned_at_zero, lambda: None
        self.layers = [CSR(weight, masks[name]) for name, weight in prunable_weights(model).items()]
        biases = [layer.bias for layer in layers]
        self.trained = [p for csr, bias in zip(self.layers, biases, strict=True) for p in (csr.values, bias)]
        for parameter in self.trained:
            parameter.grad = torch.empty_like(parameter)  # written anew at every step, never allocated again
        self.prepare(layers, batch_size)

    def prepare(self, layers: list[nn.Linear], batch_size: int) -> None:
        """Lay out all that the kernels read and write."""
        width = -(-batch_size // 16) * 16
        self.step, biases = kernels.compile_for(width)[2], [layer.bias for layer in layers]
        sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
        arrays = ([np.zeros((size, width), np.float32) for size in sizes] for _ in range(2))
        weights = [csr.values for csr in self.layers]
        self.arguments = (
            tuple(csr.rows for csr in self.layers), tuple(csr.columns for csr in self.layers), _arrays(weights),
            tuple(csr.order for csr in self.layers), _arrays(biases), *map(tuple, arrays),
            _arrays(p.grad for p in weights), _arrays(p.grad for p in biases),
        )  # fmt: skip

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> float:
        return self.step(x.flatten(1).numpy(), y.numpy(), *self.arguments)

    def read(self) -> None:
        self.prune_model()
        for csr in self.layers:
            csr.values.detach().copy_(csr.weight.detach().flatten()[csr.kept])

    def write(self) -> None:
        for csr in self.layers:
            csr.weight.detach().view(-1).index_copy_(0, csr.kept, csr.values.detach())

    def widen(self, state: dict) -> dict:
        def wide(csr, tensor):
            return torch.zeros(csr.weight.numel()).index_copy_(0, csr.kept, tensor).view_as(csr.weight)

        return self._reshape(state, wide, lambda csr: csr.values.shape)

    def narrow(self, state: dict) -> dict:
        return self._reshape(state, lambda csr, t: t.flatten()[csr.kept], lambda csr: csr.weight.shape)

    def _reshape(self, state: dict, change, shape) -> dict:
        """Change the tensors that go with weights: those of their shape, at even places (biases are at odd ones)."""
        changed = {}
        for number, entries in state["state"].items():
            csr = None if number % 2 else self.layers[number // 2]
            changed[number] = {
                key: change(csr, value) if csr and torch.is_tensor(value) and value.shape == shape(csr) else value
                for key, value in entries.items()
            }
        return {"state": changed, "param_groups": state["param_groups"]}


class SparseByTorch(Sparse):
    """The same with torch's sparse products, for where numba is not installed: pays at a few percent of the weights."""

    def prepare(self, layers: list[nn.Linear], batch_size: int) -> None:
        self.biases, self.matrices = [layer.bias for layer in layers], []
        for csr in self.layers:
            rows, columns = ([torch.from_numpy(part) for part in parts] for parts in (csr.rows, csr.columns))
            values, shape = csr.values.detach(), csr.weight.shape
            # Matrix and gradient share their values with the parameter; the transposed matrix has a copy, sorted anew.
            with warnings.catch_warnings(action="ignore"):  # "Sparse CSR tensor support is in beta state"
                one = torch.sparse_csr_tensor(*rows, values, shape)
                slope = torch.sparse_csr_tensor(*rows, torch.zeros_like(values), shape)
                turned = torch.sparse_csr_tensor(*columns, values.clone(), shape[::-1])
            self.matrices.append((one, turned, slope, torch.from_numpy(csr.order)))

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        values = [x.flatten(1).t()]  # examples side by side: (features, batch)
        for (matrix, *_), bias in zip(self.matrices, self.biases, strict=True):
            values.append(torch.addmm(bias[:, None], matrix, values[-1]))
            if bias is not self.biases[-1]:
                values[-1].relu_()
        loss, slope = cross_entropy_and_slope(values.pop().t(), y)
        slope = slope.t()
        for number in reversed(range(len(values))):
            csr, bias, (_, turned, sampled, order) = self.layers[number], self.biases[number], self.matrices[number]
            csr.values.grad.copy_(torch.sparse.sampled_addmm(sampled, slope, values[number].t(), beta=0).values())
            torch.sum(slope, 1, out=bias.grad)
            if number:
                turned.values().copy_(csr.values[order])
                slope = (turned @ slope) * (values[number] > 0)
        return loss


class CSR:
    """A masked weight matrix as its kept values, row by row, with the places of all of them by row and by column."""

    def __init__(self, weight: nn.Parameter, mask: torch.Tensor):
        self.weight, self.kept = weight, mask.flatten().nonzero().squeeze(1)
        self.values = nn.Parameter(weight.detach().flatten()[self.kept])
        row, column = (places.numpy() for places in mask.nonzero(as_tuple=True))
        self.order = np.lexsort((row, column))
        self.rows = _starts(row, mask.shape[0]), column.astype(np.int32)
        self.columns = _starts(column, mask.shape[1]), row[self.order].astype(np.int32)


def _arrays(tensors) -> tuple[np.ndarray, ...]:
    """Numpy's view of tensors: the same memory."""
    return tuple(tensor.detach().numpy() for tensor in tensors)


def _starts(places: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([[0], np.bincount(places, minlength=count).cumsum()]).astype(np.int32)
