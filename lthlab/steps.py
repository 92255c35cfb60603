"""Loss and gradients of one batch: by autograd, for several networks at once, or by hand for fully connected ones."""

import contextlib
import functools
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from lthlab.masks import Masks, mask_applier

aten = torch.ops.aten


@dataclass(frozen=True)
class Speed:
    """What a GPU can do faster, for networks that train by autograd; all off by default.

    Results differ by rounding (and by dropout's noise where compiled).

    `channels_last`: pixels before channels in memory, which convolutions on tensor cores want.
    `bfloat16`: products in 16 bits (torch.autocast); weights, optimiser and pruned zeros stay as they are.
    `compile`: a mode of torch.compile, or "" for none: "default" fuses operations, "reduce-overhead" also
    replays them as CUDA graphs, which spares tiny networks the launches.
    """

    channels_last: bool = False
    bfloat16: bool = False
    compile: str = ""


PLAIN = Speed()


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
            if isinstance(self, Stacked):
                raise ValueError("Stacked networks have no channels_last: leave that out, or train them one by one.")
            for convolution in (m for m in model.modules() if isinstance(m, nn.Conv2d)):
                convolution.to(memory_format=torch.channels_last)
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

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        values = [x.flatten(1)]
        for weight, bias, output in zip(self.weights, self.biases, self.outputs, strict=True):
            values.append(torch.addmm(bias, values[-1], weight.t(), out=output))
            if output is not self.outputs[-1]:
                output.relu_()
        loss, slope = cross_entropy_and_slope(values.pop(), y)
        for number in reversed(range(len(values))):
            weight_slope, bias_slope = self.slopes[number]
            torch.mm(slope.t(), values[number], out=weight_slope)
            torch.sum(slope, 0, out=bias_slope)
            if number:
                slope = torch.mm(slope, self.weights[number], out=self.inward[number - 1])
                slope = aten.threshold_backward(slope, values[number], 0)
        return loss


def cross_entropy_and_slope(logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean cross-entropy and its derivative by the logits, (softmax - one-hot) / batch."""
    log_p, one = torch.log_softmax(logits, 1), _constant(1.0, logits.device)
    slope = aten.nll_loss_backward(one, log_p, y, None, 1, -100, _constant(float(len(y)), logits.device))
    return F.nll_loss(log_p, y), aten._log_softmax_backward_data(slope, log_p, 1, logits.dtype)


@functools.lru_cache(maxsize=64)
def _constant(value: float, device: torch.device) -> torch.Tensor:
    return torch.tensor(value, device=device)
