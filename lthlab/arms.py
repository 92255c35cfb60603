"""Every arm in one place: a function of the past, what it needs, and how it is drawn.

To add one, write a function `f(past) -> Start` and declare it with `@arm("its name", ...)`.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from lthlab._common import unknown_name
from lthlab.dynamic import early_bird, erk_masks, move_masks
from lthlab.levels import Arm, Function, Past, Start, dense, imp, prune_once_more
from lthlab.masks import full_masks, layer_densities, shuffle_masks
from lthlab.pruning import (
    Score,
    gradient,
    grasp,
    inverted,
    magnitude,
    prune,
    prune_at_init,
    random,
    snip,
    synflow,
)
from lthlab.recipes import level_sizes

ARMS: dict[str, Arm] = {}
# seaborn's palette "colorblind", by name.
_BLUE, _ORANGE, _GREEN, _RED = "#0173b2", "#de8f05", "#029e73", "#d55e00"
_PINK, _BROWN, _GREY, _CYAN = "#cc78bc", "#ca9161", "#949494", "#56b4e9"


def arm(
    name: str,
    *,
    needs: tuple[str, ...] = (),
    chain: bool = False,
    color: str = _GREY,
    dashes: tuple[float, ...] = (),
) -> Callable[[Function], Function]:
    """Declare an arm: `@arm("my arm", needs=("ticket",))` above a function past -> Start.

    `needs` names the arms whose levels it reads, up to its own level; they must be declared before,
    so no two arms need each other. `chain` lets it read `past.previous`, its own level before
    (level 0 is the dense network). A level is known by the arm's name: declare a changed arm under
    another name, or give the run another version. Raises ValueError for an unknown need.
    """
    for other in needs:
        if other not in ARMS:
            raise unknown_name("arm", other, ARMS, "Declare it first.")

    def declare(function: Function) -> Function:
        reads = ("dense", *needs) if chain or needs else ()  # level 0 of every arm
        ARMS[name] = Arm(function, reads, chain, color, dashes)
        return function

    return declare


arm("dense", color="#404040", dashes=(4, 1.5))(dense)
arm("ticket", chain=True, color=_BLUE)(imp(magnitude))


@arm("reinitialised", needs=("ticket",), color=_RED, dashes=(1, 1))
def reinitialised(past: Past) -> Start:
    """The ticket's masks on newly drawn values, from step 0 (Frankle & Carbin 2019, section 2)."""
    return Start(past.of("ticket")[past.level].masks, past.redrawn)


@arm("shuffled", needs=("ticket",), color=_ORANGE, dashes=(3, 1, 1, 1))
def shuffled(past: Past) -> Start:
    """The ticket's masks shuffled within layers, values kept (Frankle et al. 2021, section 5)."""
    return Start(shuffle_masks(past.of("ticket")[past.level].masks, past.seed), past.rewound)


@arm("random", needs=("ticket",), dashes=(1, 2))
def randomly_pruned(past: Past) -> Start:
    """Weights removed by chance, nested over levels, as many per layer as in the ticket."""
    densities = layer_densities(past.of("ticket")[past.level].masks)
    fractions = {name: 1 - kept for name, kept in densities.items()}
    model = past.build(past.seed)
    masks = prune(random(model, seed=past.seed), full_masks(model), fractions)
    return Start(masks, past.rewound)


@arm("signs", needs=("ticket",), color=_PINK)
def signs(past: Past) -> Start:
    """The ticket; each value becomes its sign times its layer's std (Zhou et al. 2019)."""
    masks, start = past.of("ticket")[past.level].masks, past.rewound
    constant = {name: start.model[name].sign() * start.model[name].std() for name in masks}
    return Start(masks, replace(start, model=start.model | constant))


@arm("learning-rate rewinding", chain=True, color=_BROWN, dashes=(5, 1, 1, 1))
def learning_rate_rewinding(past: Past) -> Start:
    """Weights go on from where the last level ended, the schedule rewinds (Renda et al. 2020)."""
    state = replace(past.rewound, model=past.previous.trained)
    return Start(prune_once_more(past), state)


@arm("fine-tuning", chain=True, color=_GREEN, dashes=(2, 1))
def fine_tuning(past: Past) -> Start:
    """Weights go on at the last learning rate, for as many steps (Han et al. 2015; Renda et al.
    2020).

    A cosine schedule ends at 0, where nothing moves; there 1 % of the first rate is taken.
    """
    recipe, total = past.recipe, past.recipe.steps(past.data)
    last = 0.01 * recipe.lr if recipe.schedule == "cosine" else recipe.lr_at(total, total)
    recipe = replace(
        recipe,
        lr=last,
        schedule="constant",
        milestones=(),
        warmup=0,
        duration=f"{total - past.rewind_step}it",
    )
    state = replace(past.initial, model=past.previous.trained)
    return Start(prune_once_more(past), state, recipe)


@arm("magnitude after training", needs=("dense",), color=_GREEN)
def magnitude_after_training(past: Past) -> Start:
    """The trained network pruned in one go, at the ticket's rates, and trained again from there.

    The usual way, with the learning rate rewound (Han et al. 2015; Renda et al. 2020); it trains
    twice.
    """
    before, recipe = past.of("dense")[0], past.recipe
    sizes, *_, kept = islice(level_sizes(before.masks, recipe), past.level + 1)
    fractions = {name: 1 - kept[name] / sizes[name] for name in kept}
    scores = {name: before.trained[name].abs() for name in before.masks}
    masks = prune(scores, before.masks, fractions.get("all", fractions), recipe.scope)
    return Start(masks, replace(past.initial, model=before.trained))


def before_training(score: Score, steps: int = 1) -> Function:
    """An arm for any score: pruned at initialisation to the ticket's density (`prune_at_init`)."""

    def pruned_at_init(past: Past) -> Start:
        model = past.build(past.seed)
        masks = prune_at_init(model, score, past.batch, past.density, steps, seed=past.seed)
        return Start(masks, past.initial)

    return pruned_at_init


# The sanity checks of Frankle et al. 2021, section 5, for any arm that begins at initialisation.


def then_shuffled(function: Function) -> Function:
    """The same arm with its masks shuffled within layers: do the weights' positions matter?"""

    def shuffled_arm(past: Past) -> Start:
        start = function(past)
        return replace(start, masks=shuffle_masks(start.masks, past.seed))

    return shuffled_arm


def then_reinitialised(function: Function) -> Function:
    """The same arm with newly drawn values: does the mask belong to those it was found with?"""
    return lambda past: replace(function(past), state=past.redrawn)


for _name, _score, _steps, _color, _dashes in (
    ("magnitude at init", magnitude, 1, _GREEN, (1, 1)),
    ("SNIP", snip, 1, _PINK, ()),
    ("GraSP", grasp, 1, _BROWN, (3, 1)),
    ("SynFlow", synflow, 100, _CYAN, (5, 1, 1, 1)),
):
    _found = before_training(_score, _steps)
    _variants = {
        _name: (_found, _color),
        f"{_name}, shuffled": (then_shuffled(_found), _ORANGE),  # in the colours of the controls
        f"{_name}, reinitialised": (then_reinitialised(_found), _RED),
        f"{_name}, inverted": (before_training(inverted(_score), _steps), _color),
    }
    for _variant, (_function, _own) in _variants.items():
        arm(_variant, color=_own, dashes=_dashes)(_function)


@arm("ERK", dashes=(4, 2))
def erk(past: Past) -> Start:
    """Random masks with the layer densities of Erdos-Renyi-Kernel (Evci et al. 2020, section 3)."""
    return Start(erk_masks(past.build(past.seed), past.density, past.seed), past.initial)


def dynamic(grow: Score) -> Function:
    """An arm that starts from "ERK" and moves its masks while it trains."""

    def moving(past: Past) -> Start:
        during = move_masks(past.data, past.recipe, grow=grow, seed=past.seed)
        return replace(erk(past), during=during)

    return moving


arm("RigL", color="#004d4d")(dynamic(gradient))
arm("SET", color="#599999", dashes=(2, 1))(dynamic(random))


@arm("Early-Bird", color=_ORANGE, dashes=(3, 1, 1, 1))
def early_bird_ticket(past: Past) -> Start:
    """The mask that settles first as the dense network trains, then its weights (You et al.
    2020)."""
    found = early_bird(
        past.build(past.seed),
        past.data,
        past.recipe,
        past.density,
        seed=past.seed,
        every=max(1, past.recipe.steps(past.data) // 40),
        step=past.setting.step,
    )
    return Start(found.masks, found.start)
