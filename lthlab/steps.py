"""The loss and gradients of one batch, the optimisers, and the state that both can go on from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from lthlab._common import mean_loss
from lthlab.checks import RULES, InputError, checked, show, unchecked
from lthlab.masks import Masks, mask_applier
from lthlab.recipes import OPTIMIZERS, Recipe

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
# What each optimiser remembers of a parameter.
MEMORY = {"sgd": {"momentum_buffer"}, "adam": {"step", "exp_avg", "exp_avg_sq"}}
MEMORY["adamw"] = MEMORY["adam"]


@checked
def cross_entropy(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The mean cross-entropy of a batch: the loss of every training that names no other."""
    return mean_loss(model(x), y)


class Step:
    """The loss and gradients of one batch, by torch's autograd; other kinds of step derive from it.

    `trained` are the tensors that the optimiser trains, by the names of the model's parameters. A
    step that trains other tensors than the model's own takes the weights over in `load`, puts them
    back in `store`, and says by `to_trained` and `to_parameter` how the optimiser's memory changes
    its shape.
    """

    def __init__(self, model: nn.Module, masks: Masks | None, recipe: Recipe, loss: Loss):
        self.model, self.loss = model, unchecked(loss)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.keep_pruned_at_zero = mask_applier(model, masks) if masks else (lambda: None)
        self.draws = loss is not cross_entropy or _may_draw(model)

    @torch.enable_grad()
    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Set the gradients of all that is trained and return the loss."""
        for parameter in self.trained.values():
            parameter.grad = None
        loss = self.loss(self.model, x, y)
        if not isinstance(loss, Tensor) or loss.dim() or not loss.requires_grad:
            expected = "loss gives one number, a tensor with a gradient"
            raise InputError(f"{expected}; got {show(loss)}.")
        loss.backward()
        return loss.detach()

    def load(self) -> None:
        """Take over the weights of the model, the pruned ones as 0.0."""
        self.keep_pruned_at_zero()

    def store(self) -> None:
        """Put the trained weights into the model."""

    def to_trained(self, name: str, tensor: Tensor) -> Tensor:
        """The optimiser's memory of a parameter in the shape that is trained here."""
        return tensor

    def to_parameter(self, name: str, tensor: Tensor) -> Tensor:
        """The same in the shape of the model's parameter."""
        return tensor

    def updater(self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        """What runs the optimiser's step from the second one on, when its state exists."""
        return optimizer.step


# `lthlab.fast`, where it is there, puts a faster kind in the place of "fast".
STEPS: dict[str, Callable[..., Step]] = {"autograd": Step, "fast": Step}
Kind = Annotated[str, STEPS.keys] | Callable[..., Step] | None


@checked
@dataclass(frozen=True, eq=False)
class State:
    """A copy of all that a training needs to go on from `step`, by the names of the model.

    `model` holds parameters and buffers, `optimizer` its memory: "fc1.weight/exp_avg", say.
    """

    step: int
    model: dict[str, Tensor] = field(repr=False)
    optimizer: dict[str, Tensor] = field(repr=False)

    @classmethod
    def of(cls, model: nn.Module, step: int = 0) -> "State":
        """The state of a network with an optimiser that remembers nothing yet."""
        return cls(step, {name: t.detach().clone() for name, t in model.state_dict().items()}, {})

    def restore_(self, model: nn.Module) -> None:
        """Copy weights and buffers into a model; the state itself stays as it is."""
        model.load_state_dict(self.model)

    def restricted(self, masks: Masks) -> "State":
        """The state with 0.0 for the weights that `masks` drop, and for all memory of them."""
        weights, memory = {}, dict(self.optimizer)
        for name, mask in masks.items():
            weights[name] = self.model[name].where(mask.to(self.model[name].device), 0)
        for key, value in memory.items():
            name = key.rpartition("/")[0]
            if name in masks and value.ndim:
                memory[key] = value.where(masks[name].to(value.device), 0)
        return State(self.step, self.model | weights, memory)


@checked
def make_optimizer(parameters: Iterable[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser in PyTorch's fused form (one kernel per step)."""
    options = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        options["momentum"] = recipe.momentum
    return OPTIMIZERS[recipe.optimizer](list(parameters), **options)


@checked
def find_step(step: Kind) -> Callable[..., Step]:
    """The factory of a kind of step, by name or as it is; None is autograd."""
    return STEPS.get(step or "autograd", step)


@RULES.append
def _state_fits(values: dict[str, Any]) -> None:
    """A state to start from was taken from such a model."""
    model, start = values.get("model"), values.get("start")
    if model is not None and start is not None:
        own, given = model.state_dict(), start.model
        names = own.keys() ^ given.keys() or [n for n in own if own[n].shape != given[n].shape]
        if names:
            differ = ", ".join(sorted(names))
            raise InputError(f"start was taken from another network than model: {differ} differ.")


def _may_draw(model: nn.Module) -> bool:
    """Whether a forward pass may draw random numbers: dropout, and all modules not known here."""
    for module in model.modules():
        kind = type(module)
        if not kind.__module__.startswith(("torch.nn", "lthlab.models")):
            return True
        if "Dropout" in kind.__name__ or kind is nn.RReLU or getattr(module, "dropout", 0):
            return True
    return False
