"""The optimisers of the recipes, in the form that costs least per step."""

from collections.abc import Callable

import torch
from torch import nn

from lthlab.recipes import OPTIMIZERS, Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters, in PyTorch's fused form (one kernel per step)."""
    options = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        options["momentum"] = recipe.momentum
    return OPTIMIZERS[recipe.optimizer](model.parameters(), **options)


def prepared_step(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """`optimizer.step` for gradients that stay where they are: its own fused kernel, called directly.

    At every call PyTorch collects parameters, gradients and state anew; on small networks that takes as
    long as the kernel. To be made after the first step, which creates the state.
    """
    (group,) = optimizer.param_groups
    tensors = group["params"], [p.grad for p in group["params"]]
    states = [optimizer.state[p] for p in group["params"]]
    names = ["momentum_buffer"] if isinstance(optimizer, torch.optim.SGD) else ["exp_avg", "exp_avg_sq"]
    state = [[entry[name] for entry in states if entry.get(name) is not None] for name in names]
    fixed = {"weight_decay": group["weight_decay"], "maximize": False, "grad_scale": None, "found_inf": None}
    if isinstance(optimizer, torch.optim.SGD):
        fixed |= {"momentum": group["momentum"], "dampening": 0.0, "nesterov": False, "is_first_step": False}
        return lambda: torch._fused_sgd_(*tensors, *state, lr=group["lr"], **fixed)
    fixed |= {"beta1": group["betas"][0], "beta2": group["betas"][1], "eps": group["eps"], "amsgrad": False}
    kernel = torch._fused_adamw_ if isinstance(optimizer, torch.optim.AdamW) else torch._fused_adam_
    steps = [entry["step"] for entry in states]

    def step() -> None:
        torch._foreach_add_(steps, 1)
        kernel(*tensors, *state, [], steps, lr=group["lr"], **fixed)

    return step
