"""Arms: what each experiment trains, as small functions of a run, a seed and a level."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import nn

from lthlab.dynamic import early_bird, train_dynamic
from lthlab.masks import Masks, apply_masks_, density, full_masks, shuffle_masks
from lthlab.pruning import (
    Batch,
    Scores,
    draw_batch,
    erk_densities,
    grasp,
    magnitude,
    prune,
    prune_at_init,
    random,
    snip,
    synflow,
)
from lthlab.recipes import Recipe
from lthlab.run import Run
from lthlab.tickets import level_sizes
from lthlab.training import History, Snapshot, make_optimizer, train


@dataclass(frozen=True)
class Start:
    """Where a training begins: its masks, the snapshot to go on from; the recipe and way to train, if not the run's."""

    masks: Masks
    snapshot: Snapshot
    recipe: Recipe | None = None
    train: Callable[..., History] = train


# An arm says where the training of one level begins. To add one, write a function and name it in ARMS.
# It may read the finished tickets of its seed, unless it says that it needs less.


def needs(what: str):
    """Mark an arm that reads only the trained "dense" network, or "nothing", so that no tickets are made for it."""

    def mark(arm):
        arm.needs = what
        return arm

    return mark


@needs("dense")
def dense(run: Run, seed: int, level: int) -> Start:
    """The whole network from its initial values: level 0 of every pruning."""
    model = run.build(seed)
    return Start(full_masks(model), Snapshot.take(0, model, make_optimizer(model, run.recipe)))


def ticket(run: Run, seed: int, level: int) -> Start:
    """IMP: weights, optimiser, schedule and data order rewound to the snapshot (Frankle et al. 2020)."""
    return Start(run.pruned("ticket", seed, level), run.start(seed))


def reinitialised(run: Run, seed: int, level: int) -> Start:
    """The ticket's masks on newly drawn values, trained from step 0 (Frankle & Carbin 2019, section 2)."""
    masks, first = run.masks("ticket", seed, level), dense(run, seed, 0).snapshot
    return Start(masks, replace(first, model=redrawn(run, seed, masks)))


def redrawn(run: Run, seed: int, masks: Masks) -> dict[str, torch.Tensor]:
    """The state of a network built as all networks of the run are, from another seed, under these masks."""
    return apply_masks_(run.build(1_000_000 + seed), masks).state_dict()


def shuffled(run: Run, seed: int, level: int) -> Start:
    """The ticket's masks shuffled within layers, values kept (Frankle et al. 2021, section 5)."""
    return Start(shuffle_masks(run.masks("ticket", seed, level), seed), run.start(seed))


def randomly_pruned(run: Run, seed: int, level: int) -> Start:
    """Weights removed by chance, nested over levels, as many per layer as in the ticket."""
    kept, model = run.masks("ticket", seed, level), run.build(seed)
    fractions = {name: 1 - density({name: mask}) for name, mask in kept.items()}
    return Start(prune(random(model, seed), full_masks(model), fractions), run.start(seed))


def signs(run: Run, seed: int, level: int) -> Start:
    """The ticket's masks; every value becomes its sign times its layer's standard deviation (Zhou et al. 2019)."""
    masks, start = run.masks("ticket", seed, level), run.start(seed)
    constant = {name: start.model[name].sign() * start.model[name].std() for name in masks}
    return Start(masks, replace(start, model=start.model | constant))


def learning_rate_rewinding(run: Run, seed: int, level: int) -> Start:
    """Weights go on from where the last level ended, the schedule is rewound (Renda et al. 2020)."""
    before = ("learning-rate rewinding", seed, level - 1) if level > 1 else ("dense", seed, 0)
    masks = run.pruned("learning-rate rewinding", seed, level)
    return Start(masks, replace(run.start(seed), model=run.trained(*before)))


def fine_tuning(run: Run, seed: int, level: int) -> Start:
    """Weights go on at the last learning rate for as many steps (Han et al. 2015; Renda et al. 2020).

    A cosine schedule ends at 0, where nothing moves; there 1 % of the first rate is taken.
    """
    before = ("fine-tuning", seed, level - 1) if level > 1 else ("dense", seed, 0)
    total = run.recipe.steps(run.data)
    last = 0.01 * run.recipe.lr if run.recipe.schedule == "cosine" else run.recipe.lr_at(total, total)
    recipe = replace(run.recipe, lr=last, schedule="constant", milestones=(), warmup=0,
                     duration=f"{total - run.rewind_step}it")  # fmt: skip
    first = dense(run, seed, 0).snapshot
    return Start(run.pruned("fine-tuning", seed, level), replace(first, model=run.trained(*before)), recipe)


@needs("dense")
def magnitude_after_training(run: Run, seed: int, level: int) -> Start:
    """The trained network pruned in one go, at the ticket's rates, and trained again from its trained values.

    The usual way, with the learning rate rewound (Han et al. 2015; Renda et al. 2020); it trains twice.
    """
    full, trained = run.masks("dense", seed, 0), run.trained("dense", seed, 0)
    sizes, *_, kept = islice(level_sizes(full, run.recipe), level + 1)
    fractions = {name: 1 - kept[name] / sizes[name] for name in kept}
    fraction = fractions["all"] if run.recipe.scope == "global" else fractions
    masks = prune({name: trained[name].abs() for name in full}, full, fraction, run.recipe.scope)
    return Start(masks, replace(dense(run, seed, 0).snapshot, model=trained))


def before_training(score: Callable[[nn.Module, Batch], Scores], steps: int = 1) -> Callable[[Run, int, int], Start]:
    """An arm for any score (model, batch): pruned at initialisation to the ticket's density, then trained.

    The batch holds ten examples times the number of classes, drawn by the seed. See `prune_at_init` for `steps`.
    """

    @needs("nothing")
    def arm(run: Run, seed: int, level: int) -> Start:
        batch = draw_batch(run.data.train, 10 * len(run.data.classes), seed)
        masks = prune_at_init(run.build(seed), score, batch, run.density(level), steps)
        return Start(masks, dense(run, seed, 0).snapshot)

    return arm


@needs("nothing")
def erk(run: Run, seed: int, level: int) -> Start:
    """Random masks with the layer densities of Erdos-Renyi-Kernel (Evci et al. 2020, section 3)."""
    model = run.build(seed)
    fractions = {name: 1 - kept for name, kept in erk_densities(full_masks(model), run.density(level)).items()}
    return Start(prune(random(model, seed), full_masks(model), fractions), dense(run, seed, 0).snapshot)


def dynamic(grow: str) -> Callable[[Run, int, int], Start]:
    """An arm that starts from `erk` and moves its masks while it trains: RigL or SET."""

    @needs("nothing")
    def arm(run: Run, seed: int, level: int) -> Start:
        return replace(erk(run, seed, level), train=lambda *a, **b: train_dynamic(*a, grow=grow, **b)[0])

    return arm


@needs("nothing")
def early_bird_ticket(run: Run, seed: int, level: int) -> Start:
    """The mask that settles first while the dense network trains; from there on only its weights (You et al. 2020)."""
    every = max(1, run.recipe.steps(run.data) // 40)
    found = early_bird(run.build(seed), run.data, run.recipe, run.density(level), seed=seed, every=every,
                       speed=run.speed)  # fmt: skip
    return Start(found.masks, found.start)


# The sanity checks of Frankle et al. 2021, section 5, for any arm that begins at initialisation.


def then_shuffled(arm: Callable[[Run, int, int], Start]) -> Callable[[Run, int, int], Start]:
    """The same arm with its masks shuffled within layers: are the places of the weights worth anything?"""

    @needs(getattr(arm, "needs", "ticket"))
    def shuffled_arm(run: Run, seed: int, level: int) -> Start:
        start = arm(run, seed, level)
        return replace(start, masks=shuffle_masks(start.masks, seed))

    return shuffled_arm


def then_reinitialised(arm: Callable[[Run, int, int], Start]) -> Callable[[Run, int, int], Start]:
    """The same arm with newly drawn values: does the mask belong to the values that it was found with?"""

    @needs(getattr(arm, "needs", "ticket"))
    def reinitialised_arm(run: Run, seed: int, level: int) -> Start:
        start = arm(run, seed, level)
        return replace(start, snapshot=replace(start.snapshot, model=redrawn(run, seed, start.masks)))

    return reinitialised_arm


def inverted(score: Callable[[nn.Module, Batch], Scores]) -> Callable[[nn.Module, Batch], Scores]:
    """The negated score: prunes first what the score would keep longest."""
    return lambda model, batch: {name: -values for name, values in score(model, batch).items()}


BEFORE_TRAINING = {
    "magnitude at init": (magnitude, 1),
    "SNIP": (snip, 1),
    "GraSP": (grasp, 1),
    "SynFlow": (synflow, 100),
}
ARMS: dict[str, Callable[[Run, int, int], Start]] = {
    "dense": dense,
    "ticket": ticket,
    "reinitialised": reinitialised,
    "shuffled": shuffled,
    "random": randomly_pruned,
    "signs": signs,
    "learning-rate rewinding": learning_rate_rewinding,
    "fine-tuning": fine_tuning,
    "magnitude after training": magnitude_after_training,
    "ERK": erk,
    "RigL": dynamic("gradient"),
    "SET": dynamic("random"),
    "Early-Bird": early_bird_ticket,
}
for _name, (_score, _steps) in BEFORE_TRAINING.items():
    ARMS[_name] = before_training(_score, _steps)
    ARMS[f"{_name}, shuffled"] = then_shuffled(ARMS[_name])
    ARMS[f"{_name}, reinitialised"] = then_reinitialised(ARMS[_name])
    ARMS[f"{_name}, inverted"] = before_training(inverted(_score), _steps)
CHAINS = ("ticket", "learning-rate rewinding", "fine-tuning")  # each level needs the one before
