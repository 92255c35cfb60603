"""Loss and gradients of one batch, by the way that is fastest for this network, these masks and this machine.

`choose_step` gives one of four with the same results: autograd for any network, or for several at once;
backpropagation by hand for fully connected ones; and the same over the kept weights only (CSR), where few are left.
"""

import contextlib
import functools
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
import torch
from torch import nn
from torch.nn import functional as F

from lthlab import kernels
from lthlab._common import written_whole
from lthlab.masks import Masks, density, mask_applier, prunable_weights
from lthlab.stack import Stack

aten = torch.ops.aten
_below: float | None = None  # set by `sparse_below_is`


def sparse_below() -> float:
    """The density below which `Sparse` is faster than `ByHand` on this machine, 0 where it never is.

    Measured once in a fraction of a second and kept in the user's cache folder, so that the same seed
    gives the same bits tomorrow. $LTHLAB_SPARSE_BELOW (a fraction; 0 for never) overrules it.
    """
    if _below is not None:
        return _below
    if kernels.numba is None or "LTHLAB_SPARSE_BELOW" in os.environ:
        return float(os.environ.get("LTHLAB_SPARSE_BELOW", 0)) if kernels.numba else 0.0
    return _remembered(f"{platform.node()}, {os.cpu_count()} cores, {torch.get_num_threads()} used, "
                       f"torch {torch.__version__}, numba {kernels.numba.__version__}")  # fmt: skip


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
def _remembered(machine: str) -> float:
    path = Path(platformdirs.user_cache_dir("lthlab")) / "sparse_below.json"
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    if machine not in known:
        known[machine] = _calibrate()
        with contextlib.suppress(OSError), written_whole(path) as temporary:  # a read-only home is no reason to fail
            Path(temporary).write_text(json.dumps(known, indent=1))
    return known[machine]


def _calibrate() -> float:
    """Where the time of a whole sparse step, as a straight line of the density, crosses that of a masked dense one."""
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 10))
        x, y = torch.randn(60, 784), torch.randint(10, (60,))
        scores = {name: torch.rand(weight.shape) for name, weight in prunable_weights(model).items()}
    layers, (few, more) = chain_of(model), ({name: s < d for name, s in scores.items()} for d in (0.1, 0.4))
    steps = [Sparse(model, layers, few, 60), Sparse(model, layers, more, 60), ByHand(model, layers, more, 60)]
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


@dataclass(frozen=True)
class Speed:
    """What a GPU can do faster, for networks that train by autograd; all off by default, results differ by rounding.

    `channels_last`: pixels before channels in memory, which convolutions on tensor cores want.
    `bfloat16`: products in 16 bits (torch.autocast); weights, optimiser and pruned zeros stay as they are.
    `compile`: a mode of torch.compile, or "" for none: "default" fuses operations, "reduce-overhead" also
    replays them as CUDA graphs, which spares tiny networks the launches.
    """

    channels_last: bool = False
    bfloat16: bool = False
    compile: str = ""


PLAIN = Speed()


def choose_step(model: nn.Module, masks: Masks | None, batch_size: int, speed: Speed = PLAIN) -> "Autograd":
    """The fastest way to the gradients of `model` on batches of this size: Autograd, Stacked, ByHand or Sparse."""
    if isinstance(model, Stack):
        return Stacked(model, masks, speed)
    layers = chain_of(model)
    if not layers or speed != PLAIN:
        return Autograd(model, masks, speed)
    few = masks is not None and len(masks) == len(layers) and layers[0].weight.device.type == "cpu"
    if few and density(masks) < sparse_below():
        return Sparse(model, layers, masks, batch_size)
    return ByHand(model, layers, masks, batch_size)


def chain_of(model: nn.Module) -> list[nn.Linear]:
    """The Linear layers of a plain chain Flatten, Linear, ReLU, Linear, ..., Linear; empty for any other network."""
    modules = [*model.modules()]
    hooked = any(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks or "forward" in vars(m)
        for m in modules
    )
    parts = list(model) if isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward else []
    kinds = [type(part) for part in parts]
    linear = [part for part in parts if type(part) is nn.Linear]
    plain = kinds == [nn.Flatten, *[nn.Linear, nn.ReLU] * (len(linear) - 1), nn.Linear] and not hooked
    parameters = [p for layer in linear for p in (layer.weight, layer.bias)]
    usual = all(p is not None and p.requires_grad and p.dtype == torch.float32 for p in parameters)
    return linear if plain and usual and len(set(map(id, parameters))) == len(parameters) else []


class Autograd:
    """By torch's autograd, for every network."""

    reuses_slopes = False  # whether every gradient stays the same tensor from step to step

    def __init__(self, model: nn.Module, masks: Masks | None, speed: Speed = PLAIN):
        if speed.channels_last:
            model.to(memory_format=torch.channels_last)
        self.speed, self.model, self.trained = speed, model, list(model.parameters())
        self.forward = torch.compile(model, mode=speed.compile) if speed.compile else model
        self.keep_pruned_at_zero = mask_applier(model, masks) if masks is not None else (lambda: None)

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser trains, in the order of the model's parameters."""
        return self.trained

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Set the gradients of all parameters and return the mean cross-entropy."""
        for parameter in self.trained:
            parameter.grad = None
        if self.speed.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16) if self.speed.bfloat16 else contextlib.nullcontext():
            loss = self.loss(self.forward(x), y)
        loss.sum().backward()
        return loss.detach()

    def loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, y)

    def read(self) -> None:
        """Take over the weights of the model, the pruned ones as 0.0."""
        self.keep_pruned_at_zero()

    def write(self) -> None:
        """Put the trained weights into the model."""

    def widen(self, state: dict) -> dict:
        """An optimiser's state in the shapes of the model's parameters."""
        return state

    def narrow(self, state: dict) -> dict:
        """The state that `widen` made, in the shapes that are trained here."""
        return state


class Stacked(Autograd):
    """By autograd, several networks at once: a loss for each, of which the sum has the gradients of all."""

    def loss(self, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits.transpose(1, 2), y, reduction="none").mean(1)


class ByHand(Autograd):
    """Backpropagation written out for a chain of Linear and ReLU: autograd's bits, without its bookkeeping."""

    reuses_slopes = True

    def __init__(self, model: nn.Module, layers: list[nn.Linear], masks: Masks | None, batch_size: int):
        super().__init__(model, masks)
        self.weights = [layer.weight.detach() for layer in layers]
        self.biases = [layer.bias.detach() for layer in layers]
        for parameter in self.trained:
            parameter.grad = torch.empty_like(parameter)  # written anew at every step, never allocated again
        self.slopes = [(layer.weight.grad, layer.bias.grad) for layer in layers]
        device = self.weights[0].device
        self.outputs = [torch.empty(batch_size, len(bias), device=device) for bias in self.biases]
        self.inward = [torch.empty_like(output) for output in self.outputs[:-1]]
        self.one, self.count = torch.ones((), device=device), torch.tensor(float(batch_size), device=device)

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        values = [x.flatten(1)]
        for weight, bias, output in zip(self.weights, self.biases, self.outputs, strict=True):
            values.append(torch.addmm(bias, values[-1], weight.t(), out=output))
            if output is not self.outputs[-1]:
                output.relu_()
        loss, slope = self._loss(values.pop(), y)
        for number in reversed(range(len(values))):
            weight_slope, bias_slope = self.slopes[number]
            torch.mm(slope.t(), values[number], out=weight_slope)
            torch.sum(slope, 0, out=bias_slope)
            if number:
                slope = torch.mm(slope, self.weights[number], out=self.inward[number - 1])
                slope = aten.threshold_backward(slope, values[number], 0)
        return loss

    def _loss(self, logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean cross-entropy and its derivative by the logits, (softmax - one-hot) / batch."""
        log_p = torch.log_softmax(logits, 1)
        slope = aten.nll_loss_backward(self.one, log_p, y, None, 1, -100, self.count)
        return F.nll_loss(log_p, y), aten._log_softmax_backward_data(slope, log_p, 1, logits.dtype)


class Sparse(Autograd):
    """Backpropagation over kept weights alone: they are the parameters, and nothing is computed for the others."""

    reuses_slopes = True

    def __init__(self, model: nn.Module, layers: list[nn.Linear], masks: Masks, batch_size: int):
        super().__init__(model, masks)
        self.prune_model, self.keep_pruned_at_zero = self.keep_pruned_at_zero, lambda: None
        width = -(-batch_size // 16) * 16
        self.step = kernels.compile_for(width)[2]
        self.layers = [CSR(weight, masks[name]) for name, weight in prunable_weights(model).items()]
        biases = [layer.bias for layer in layers]
        self.trained = [p for csr, bias in zip(self.layers, biases, strict=True) for p in (csr.values, bias)]
        for parameter in self.trained:
            parameter.grad = torch.empty_like(parameter)  # written anew at every step, never allocated again
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
