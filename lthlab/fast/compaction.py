"""Smaller dense networks: without the inputs and neurons that masks have cut off."""

import itertools

import torch
from torch import Tensor, nn

from lthlab.checks import checked
from lthlab.fast.by_hand import chain_of
from lthlab.masks import Masks


class Select(nn.Module):
    """Keep some input features: what is left to look at when all weights of others are pruned."""

    def __init__(self, features: Tensor):
        super().__init__()
        self.register_buffer("features", features)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.features)


@checked
@torch.no_grad()
def compact(model: nn.Module, masks: Masks) -> nn.Sequential:
    """A smaller dense network with the same outputs, without what masks have cut off.

    For chains of Linear and ReLU. What goes: inputs whose weights are all pruned, neurons that feed
    nothing, and neurons that are fed nothing (their constant value moves into the next layer's
    bias). What is left of the masks is zeros in smaller matrices. Raises TypeError for other
    networks.
    """
    layers = chain_of(model)
    if not layers:
        kind = type(model).__name__
        raise TypeError(f"{kind} is not a plain chain of Linear and ReLU, so its neurons stay.")
    # What has no mask is kept dense.
    weights = [layer.weight * masks.get(f"{name}.weight", 1) for name, layer in layers.items()]
    biases = [layer.bias.clone() for layer in layers.values()]
    pairs = zip(weights, biases, strict=True)
    for (weight, bias), (above, shift) in itertools.pairwise(pairs):  # forward: who is fed?
        silent = ~weight.any(1)
        shift += above[:, silent] @ bias[silent].relu()
        above[:, silent] = 0
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
