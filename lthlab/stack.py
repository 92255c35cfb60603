"""Several networks of one shape as one: for networks so small that calling a kernel costs more than its work.

torch.func's model ensembling: the parameters get a first axis for the network, and every operation runs
once for all. On a GPU it saves launches; on a CPU it pays for small convolutional networks.
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from lthlab.masks import Masks

PREFIX = "networks."


class Stack(nn.Module):
    """Networks of one architecture as one module: inputs (networks, batch, ...), logits (networks, batch, classes).

    Its parameters are copies; `write` puts them back. Raises ValueError for networks that differ or share weights.
    """

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        looks = [(repr(m), {name: tuple(t.shape) for name, t in m.state_dict().items()}) for m in models]
        if not models or any(look != looks[0] for look in looks):
            raise ValueError("A stack takes one or more networks of the same architecture; these differ.")
        if len([*models[0].named_parameters(remove_duplicate=False)]) != len([*models[0].parameters()]):
            raise ValueError("Networks whose layers share a weight cannot be stacked: train them one by one.")
        models = [copy.deepcopy(model).train() for model in models]
        self.keep_dense = getattr(models[0], "keep_dense", ())
        self.plan = [copy.deepcopy(models[0]).to("meta")]  # in a list: its parameters are not trained
        self.networks, stacked = models[0], {}
        parameters, buffers = stack_module_state(list(models))
        for name, tensor in (parameters | buffers).items():
            stacked[name] = tensor.detach().clone()
            if name in parameters:
                stacked[name] = nn.Parameter(stacked[name], requires_grad=tensor.requires_grad)
        for name in stacked:
            path, _, own = name.rpartition(".")
            module = self.networks.get_submodule(path)
            (module._parameters if name in parameters else module._buffers)[own] = stacked[name]
        self.size = len(models)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = dict(self.networks.named_parameters()), dict(self.networks.named_buffers())
        return vmap(self._one, in_dims=(0, 0, 0), randomness="different")(*state, x)

    def _one(self, parameters: dict, buffers: dict, x: torch.Tensor) -> torch.Tensor:
        plan = self.plan[0]
        if plan.training != self.training:
            plan.train(self.training)
        return functional_call(plan, (parameters, buffers), (x,))

    @torch.no_grad()
    def write(self, models: Sequence[nn.Module]) -> None:
        """Copy the values of each network into its model."""
        for number, model in enumerate(models):
            model.load_state_dict({name: t[number] for name, t in self.networks.state_dict().items()})


def stack_masks(masks: Sequence[Masks]) -> Masks:
    """The masks of a `Stack` from those of its networks."""
    return {PREFIX + name: torch.stack([own[name] for own in masks]) for name in masks[0]}
