"""Recipes: how a network is trained and pruned, as the papers' tables say."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch

from lthlab.batches import AUGMENTATIONS
from lthlab.checks import InputError, Name, check, checked
from lthlab.data import DATASETS, Dataset
from lthlab.masks import Masks

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def _read(duration: str | int) -> re.Match | None:
    text = duration if isinstance(duration, str) else f"{duration}it"
    return re.fullmatch("(?=.)(?:([0-9]{1,9})ep)?(?:([0-9]{1,9})it)?", text)


Duration = Annotated[
    str | int, 'a duration such as "10ep", "500it" or "2ep50it", or a number of iterations', _read
]


@checked
def count_steps(duration: Duration, steps_per_epoch: int) -> int:
    """Iterations in a duration: 500, "500it", "2ep" or "2ep50it". ValueError for anything else."""
    epochs, steps = _read(duration).groups("0")
    return int(epochs) * steps_per_epoch + int(steps)


@checked
@dataclass(frozen=True)
class Recipe:
    """How a network is trained and how much of it is pruned per level.

    `duration` is in epochs ("10ep"), iterations ("500it") or both. `schedule` multiplies the
    learning rate `lr`: "constant"; "cosine" falls to 0; "drops" is x0.1 at each of the iterations
    `milestones`. `warmup` iterations rise linearly to `lr`. `augmentation` "shift and flip" moves
    each training image by up to 4 pixels and mirrors half of them (see `batches.shift_and_flip`).

    `fractions` of the remaining weights go at each level: {"all": f} for scope "global", else by
    kind of layer, "fc" (Linear), "conv" and "output", for the Linear layer named `output_layer`
    (the last part of its dotted name; None: no prunable layer is the output). The paper prunes
    connections to the output at half the rate (Frankle & Carbin 2019, section 2), the default.
    """

    optimizer: Literal[*OPTIMIZERS] = "adam"
    lr: float = 1.2e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 60
    duration: Duration = "10ep"
    schedule: Literal["constant", "cosine", "drops"] = "constant"
    milestones: tuple[int, ...] = ()
    warmup: int = 0
    fractions: dict[str, float] = field(
        default_factory=lambda: {"fc": 0.2, "conv": 0.2, "output": 0.1}
    )
    scope: Literal["global", "layer"] = "layer"
    augmentation: Literal[AUGMENTATIONS] = "none"
    output_layer: Name | None = "out"

    def __post_init__(self):
        if self.milestones and self.schedule != "drops":
            raise InputError(f"milestones belong to schedule 'drops'; got {self.schedule!r}.")
        expected = {"all"} if self.scope == "global" else {"fc", "conv", "output"}
        if not self.fractions or not self.fractions.keys() <= expected:
            raise InputError(
                f"fractions for scope {self.scope!r} are given for "
                f"{', '.join(sorted(expected))}; got {', '.join(self.fractions) or 'none'}."
            )
        object.__setattr__(self, "fractions", dict(self.fractions))  # no two recipes share one

    def steps(self, dataset: Dataset) -> int:
        """The length of training in iterations on this data set."""
        return count_steps(self.duration, self.steps_per_epoch(dataset))

    def steps_per_epoch(self, dataset: Dataset) -> int:
        """Iterations per epoch: full batches only, so a few examples wait, others in each epoch."""
        if self.batch_size > len(dataset.train):
            examples = f"the {len(dataset.train)} training examples of dataset"
            raise InputError(f"recipe: batches of {self.batch_size} need more than {examples}.")
        if self.augmentation != "none" and len(dataset.input_shape) != 3:
            images = f"images (channels, height, width); got {dataset.input_shape}"
            raise InputError(f"recipe: augmentation is for {images} in dataset.")
        return len(dataset.train) // self.batch_size

    def within(
        self, name: str, durations: Iterable[Duration], dataset: Dataset, first: int = 0
    ) -> list[int]:
        """Durations as steps; InputError, naming the argument, for one outside the training."""
        last, per_epoch = self.steps(dataset), self.steps_per_epoch(dataset)
        steps = [count_steps(duration, per_epoch) for duration in durations]
        for step in (first, *steps):
            if not first <= step <= last:
                problem = f"runs from step {first} to {last}; step {step} is not part of it"
                raise InputError(f"{name}: this training {problem}.")
        return steps

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate of iteration `step` (0 is the first) out of `total`."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * step / total)) / 2
        if self.schedule == "drops":
            return self.lr * 0.1 ** sum(step >= milestone for milestone in self.milestones)
        return self.lr

    def rates(self, masks: Masks) -> float | dict[str, float]:
        """The pruning rates as `prune` takes them: one for scope "global", else one per layer.

        Raises ValueError when no layer, or more than one, bears the name of the output layer.
        """
        if self.scope == "global":
            return self.fractions["all"]
        fc = self.fractions.get("fc", 0.2)
        conv, output = self.fractions.get("conv", 0.2), self.fractions.get("output", fc / 2)
        rates = {name: fc if mask.dim() == 2 else conv for name, mask in masks.items()}
        if self.output_layer is not None:
            weight = f".{self.output_layer}.weight"
            named = [name for name in masks if f".{name}".endswith(weight)]
            if len(named) != 1:
                found = f"{len(named)} layers are" if named else "No layer is"
                raise InputError(
                    f"{found} called {self.output_layer!r}, so the rate of "
                    f"the output belongs nowhere. Layers of masks: {', '.join(masks)}. Name yours "
                    f"in Recipe(output_layer=...), or None if the output is not pruned."
                )
            rates[named[0]] = output
        return rates


@checked
def count_levels(
    masks: Masks, recipe: Recipe, levels: int | None = None, density: float | None = None
) -> int:
    """How many prunings it takes: `levels` itself, or as many as leave at most `density`."""
    if (levels is None) == (density is None):
        raise InputError("Say how far to prune: either levels=15 or density=0.036.")
    if levels is not None:
        return int(levels)
    total, previous = sum(mask.numel() for mask in masks.values()), math.inf
    for number, sizes in enumerate(level_sizes(masks, recipe)):
        left = sum(sizes.values()) / total
        if left <= density:
            return number
        if left == previous:
            raise InputError(f"At these rates pruning stops at density {left:.4f}; got {density}.")
        previous = left


@checked
def level_sizes(masks: Masks, recipe: Recipe) -> Iterator[dict[str, int]]:
    """How many weights are left after 0, 1, 2, ... prunings: by layer, or of "all" together."""
    sizes, rates = {name: mask.numel() for name, mask in masks.items()}, recipe.rates(masks)
    if recipe.scope == "global":
        sizes, rates = {"all": sum(sizes.values())}, {"all": rates}
    while True:
        yield sizes
        sizes = {name: size - round(rates[name] * size) for name, size in sizes.items()}


# Frankle & Carbin 2019, Figure 2, where resnet-20 goes by the name Resnet-18 (drops at 20K and 25K,
# shifts and flips: appendix I). "low" and "warmup" are the learning rates of its section 4 at which
# tickets are found at all.
_CONV = {"fc": 0.2, "conv": 0.1, "output": 0.1}
_RESNET = Recipe(
    "sgd",
    0.1,
    0.9,
    1e-4,
    batch_size=128,
    duration="30000it",
    schedule="drops",
    milestones=(20_000, 25_000),
    fractions={"all": 0.2},
    scope="global",
    augmentation="shift and flip",
)
_MLP = Recipe("sgd", 0.1, 0.9, batch_size=100, duration="20ep", schedule="cosine")
_RESNET1D = replace(
    _MLP, lr=0.4, weight_decay=1e-4, duration="6ep", fractions={"all": 0.2}, scope="global"
)
_GPT = Recipe(
    "adamw",
    3e-3,
    weight_decay=0.01,
    batch_size=128,
    duration="1000it",
    schedule="cosine",
    warmup=100,
    fractions={"fc": 1 / 3},
    output_layer=None,
)
PAPER_RECIPES = {
    "lenet-300-100": Recipe("adam", 1.2e-3, duration="50000it"),
    "conv-2": Recipe("adam", 2e-4, duration="20000it", fractions=_CONV),
    "conv-4": Recipe("adam", 3e-4, duration="25000it", fractions=_CONV),
    "conv-6": Recipe("adam", 3e-4, duration="30000it", fractions=_CONV | {"conv": 0.15}),
    "resnet-20": _RESNET,
    "resnet-20 low": replace(_RESNET, lr=0.01),
    "resnet-20 warmup": replace(_RESNET, lr=0.03, warmup=20_000),
}
_OURS = {"mlp-...": _MLP, "resnet1d-...": _RESNET1D, "gpt-...": _GPT}
_RECIPES = PAPER_RECIPES | _OURS


@checked
def recipe_for(model_name: Name, dataset: Dataset | Literal[*DATASETS]) -> Recipe:
    """The paper's recipe for a network, shortened to 10 epochs on the embedded sets.

    Networks that no paper of this course trains (`mlp-...`, `resnet1d-...`, `gpt-...`) get the
    recipe of our own experiments on mnist1d and words. "resnet-20 low" and "resnet-20 warmup" are
    resnet-20 at the paper's other learning rates. Raises ValueError for a network without a recipe.
    """
    name = re.sub(r"^(conv-[246])-\d+$", r"\1", model_name)  # narrower, trained alike
    name = re.sub("^(mlp|resnet1d|gpt)-.*", r"\1-...", name)
    recipe = _RECIPES[check("model_name", name, Literal[*_RECIPES])]
    embedded = getattr(dataset, "name", dataset) in ("fashion-mini", "mnist1d")
    if embedded and name in PAPER_RECIPES:
        short = {"duration": "10ep", "schedule": "constant", "milestones": (), "warmup": 0}
        return replace(recipe, **short, augmentation="none")
    return recipe
