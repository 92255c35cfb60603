"""Smaller dense networks: without the inputs and neurons that masks have cut off."""

import itertools

import torch
from torch import nn

from lthlab.masks import Masks, check_masks, prunable_weights
from lthlab.sparse import chain_of


class Select(nn.Module):
    """Keep some of the input features: what is left to look at when all weights of the others are pruned."""

    def __init__(self, features: torch.Tensor):
        super().__init__()
        self.register_buffer("features", features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(1, self.features)


@torch.no_grad()
def compact(model: nn.Module, masks: Masks) -> nn.Sequential:
    """A smaller dense network with the same outputs: without inputs and neurons that masks have cut off.

    For chains of Linear and ReLU. What goes: inputs whose weights are all pruned, neurons that feed
    nothing, and neurons that are fed nothing (their constant value moves into the next layer's bias).
    What is left of the masks is zeros in smaller matrices. Raises TypeError for other networks.
    """
    layers = chain_of(model)
    if not layers:
        raise TypeError(f"{type(model).__name__} is not a plain chain of Linear and ReLU, so its neurons stay.")
    check_masks(model, masks)
    weights = [weight * masks[name] for name, weight in prunable_weights(model).items()]
    biases = [layer.bias.clone() for layer in layers]
    for before, after in itertools.pairwise(range(len(layers))):  # forward: who is fed?
        silent = ~weights[before].any(1)
        biases[after] += weights[after][:, silent] @ biases[before][silent].relu()
        weights[after][:, silent] = 0
    used = [torch.ones_like(biases[-1], dtype=torch.bool)]
    for weight in reversed(weights):  # backward: who is looked at?
        used.insert(0, weight[used[0]].any(0))
    parts = [nn.Flatten(), Select(used[0].nonzero().squeeze(1))]
    for weight, bias, above, below in zip(weights, biases, used[1:], used, strict=False):
        linear = nn.utils.skip_init(nn.Linear, int(below.sum()), int(above.sum()))  # draws nothing
        linear.weight.copy_(weight[above][:, below])
        linear.bias.copy_(bias[above])
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1]).to(weights[0].device)
