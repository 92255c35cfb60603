"""Several networks of one shape trained in one step: for networks so small that launches cost most.

torch.func's model ensembling: the parameters get a first axis for the network, and every operation
runs once for all. On a GPU it saves launches; on a CPU it pays for small convolutional networks.
"""

import copy
import time
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from lthlab.batches import Batches, check_reads
from lthlab.checks import InputError, checked, unchecked
from lthlab.data import Dataset
from lthlab.masks import Masks, check_masks
from lthlab.recipes import Recipe, count_steps
from lthlab.steps import Step
from lthlab.training import Duration, History, _measurements, measure, training


class Stack(nn.Module):
    """Networks of one architecture as one: inputs (networks, batch, ...), logits likewise.

    Its parameters are copies; `store` puts them back. Raises ValueError for networks that differ or
    share weights.
    """

    def __init__(self, models: Sequence[nn.Module]):
        super().__init__()
        looks = [
            (
                repr(model),
                getattr(model, "keep_dense", ()),
                [(name, tensor.shape) for name, tensor in model.state_dict().items()],
                [parameter.requires_grad for parameter in model.parameters()],
            )
            for model in models
        ]
        if not models or any(look != looks[0] for look in looks) or len({*models}) < len(models):
            raise ValueError("A stack takes networks of the same architecture, each of them once.")
        named = [*models[0].named_parameters(remove_duplicate=False)]
        if len(named) != len([*models[0].parameters()]):
            raise ValueError(
                "Networks that share weights cannot be stacked: train them one by one."
            )
        models = [copy.deepcopy(model).train() for model in models]
        self.keep_dense = getattr(models[0], "keep_dense", ())
        self.plan = [copy.deepcopy(models[0]).to("meta")]  # in a list: its parameters do not train
        self.networks = models[0]
        parameters, buffers = stack_module_state(models)
        for name, tensor in (*self.networks.named_parameters(), *self.networks.named_buffers()):
            tensor.data = (parameters | buffers)[name].detach()

    def forward(self, x: Tensor) -> Tensor:
        one = partial(functional_call, self.plan[0].train(self.training))
        state = dict(self.networks.named_parameters()) | dict(self.networks.named_buffers())
        return vmap(one, randomness="different")(state, x)

    @torch.no_grad()
    def store(self, models: Sequence[nn.Module]) -> None:
        """Copy the values of each network into its model."""
        state = self.networks.state_dict()
        for number, model in enumerate(models):
            model.load_state_dict({name: tensor[number] for name, tensor in state.items()})


class StackedStep(Step):
    """By autograd, all networks at once: a loss for each; their sum has the gradients of all."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        for parameter in self.trained.values():
            parameter.grad = None
        logits = self.model(x).transpose(1, 2)
        losses = F.cross_entropy(logits, y, reduction="none").mean(1)
        losses.sum().backward()
        return losses.detach()


@checked
def train_stacked(
    models: Sequence[nn.Module],
    dataset: Dataset,
    recipe: Recipe,
    masks: Sequence[Masks] | None = None,
    *,
    seeds: Sequence[int],
    evaluate_every: Duration = "1ep",
) -> list[History]:
    """Train networks of one architecture in place, all in each step; a history for each.

    Every network has masks and a seed of its own. The results are those of `train` up to rounding
    (dropout draws other noise), in less time where networks are tiny. `seconds` of each history is
    the time of all divided by their number. Raises ValueError for networks that differ or share
    weights, or masks of other models.
    """
    if not len(models) == len(seeds) == len(masks or seeds):
        came = f"{len(models)} networks, {len(seeds)} seeds, {len(masks or seeds)} masks"
        raise InputError(f"Every network needs a seed, and masks if one has them; got {came}.")
    if dataset.train.y.dim() > 1:
        raise InputError("dataset has one label an example here: train language models one by one.")
    for model in models:
        check_reads(model, "dataset", dataset)
    for model, own in zip(models, masks or (), strict=False):
        check_masks(model, own)
    began, stack = time.perf_counter(), Stack(models)
    per_epoch, last = recipe.steps_per_epoch(dataset), recipe.steps(dataset)
    period = count_steps(evaluate_every, per_epoch) or last
    each = [Batches(dataset, recipe.batch_size, seed, recipe.augmentation) for seed in seeds]

    def batches(step: int) -> tuple[Tensor, Tensor]:
        x, y = zip(*(own(step) for own in each), strict=True)
        return torch.stack(x), torch.stack(y)

    names = masks[0] if masks else ()
    together = {f"networks.{name}": torch.stack([own[name] for own in masks]) for name in names}
    options = {"stops": {*range(0, last, period), last}, "batches": batches, "step": StackedStep}
    measured = []
    for now in unchecked(training)(stack, dataset, recipe, together, seed=seeds[0], **options):
        stack.store(models)
        measured.append((now.step, [measure(model, dataset.validation) for model in models]))
    seconds = (time.perf_counter() - began) / len(models)
    histories = []
    for number in range(len(models)):
        own = [(step, both[number]) for step, both in measured]
        table = _measurements(own, [losses[number] for losses in now.losses], 0, per_epoch)
        histories.append(History(table, {}, seconds, masks and masks[number]))
    return histories
