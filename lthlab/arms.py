"""Every arm in one place: a function of the past, what it needs, and how it is drawn.

To add one, write a function `f(past) -> Start` and declare it with `@arm("its name", ...)`.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Annotated

from lthlab import controls
from lthlab.checks import InputError, Name, checked
from lthlab.dynamic import early_bird, move_masks, prune_gradually
from lthlab.layerwise import Densities, erk_densities, random_masks, smart_ratio_densities
from lthlab.levels import Arm, Function, Past, Start, dense, imp, prune_once_more
from lthlab.masks import Masks, full_masks
from lthlab.pruning import (
    Score,
    gradient,
    grasp,
    inverted,
    magnitude,
    prune_at_init,
    random,
    snip,
    synflow,
)
from lthlab.steps import State
from lthlab.supermasks import edge_popup

ARMS: dict[str, Arm] = {}
Declared = Annotated[str, ARMS.keys]
# seaborn's palette "colorblind", by name.
_BLUE, _ORANGE, _GREEN, _RED = "#0173b2", "#de8f05", "#029e73", "#d55e00"
_PINK, _BROWN, _GREY, _CYAN = "#cc78bc", "#ca9161", "#949494", "#56b4e9"


@checked
def arm(
    name: Name,
    *,
    needs: tuple[Declared, ...] = (),
    chain: bool = False,
    color: Annotated[str, 'a colour such as "#0173b2"', re.compile("#[0-9a-f]{6}").fullmatch]
    | None = None,
    dashes: tuple[float, ...] = (),
) -> Callable[[Function], Function]:
    """Declare an arm: `@arm("my arm", needs=("ticket",))` above a function past -> Start.

    `needs` names the arms whose levels it reads, up to its own level; they must be declared before,
    and no two arms may need each other. Without a colour each picture gives it one. `chain` lets it
    read `past.previous`, its own level before (level 0 is the dense network). A level is known by
    the arm's name: declare a changed arm under another name, or give the run another version.
    Raises ValueError for an unknown need.
    """

    @checked
    def declare(function: Function) -> Function:
        reads = ("dense", *needs) if chain or needs else ()  # level 0 of every arm
        try:
            TopologicalSorter({n: a.needs for n, a in ARMS.items()} | {name: reads}).prepare()
        except CycleError as error:
            raise InputError(f"needs: {', '.join({*error.args[1]})} wait for each other.") from None
        ARMS[name] = Arm(function, reads, chain, color, dashes)
        return function

    return declare


arm("dense", color="#404040", dashes=(4, 1.5))(dense)
arm("ticket", chain=True, color=_BLUE)(imp(magnitude))

arm("reinitialised", needs=("ticket",), color=_RED, dashes=(1, 1))(controls.reinitialised)
arm("reinitialised to scale", needs=("ticket",), color=_RED, dashes=(4, 1))(controls.to_scale)
arm("permuted", needs=("ticket",), color=_BROWN, dashes=(4, 1))(controls.permuted)
arm("permuted sizes", needs=("ticket",), color=_PINK, dashes=(4, 1))(controls.permuted_sizes)
arm("signs", needs=("ticket",), color=_PINK, dashes=(2, 2))(controls.signs)
arm("shuffled", needs=("ticket",), color=_ORANGE, dashes=(3, 1, 1, 1))(controls.shuffled)
arm("random", needs=("ticket",), color=_GREY, dashes=(1, 2))(controls.randomly_pruned)


# Going on from trained values.


@arm("learning-rate rewinding", chain=True, color=_BROWN, dashes=(5, 1, 1, 1))
@checked
def learning_rate_rewinding(past: Past) -> Start:
    """Weights go on from where the last level ended, the schedule rewinds (Renda et al. 2020).

    The optimiser starts afresh: its memory at the rewind step is of other weights.
    """
    return Start(prune_once_more(past), State(past.rewind_step, past.previous.trained, {}))


@checked
def fine_tuning(rate: float = 0.1) -> Function:
    """Weights go on, for as many steps, at `rate` times the recipe's learning rate.

    Constant, as in Han et al. 2015; which rate is best is a matter of the setting (Le & Hua 2021).
    """

    def tuned(past: Past) -> Start:
        recipe, steps = past.recipe, past.recipe.steps(past.data) - past.rewind_step
        fixed = {"schedule": "constant", "milestones": (), "warmup": 0, "duration": f"{steps}it"}
        recipe = replace(recipe, lr=rate * recipe.lr, **fixed)
        return Start(prune_once_more(past), State(0, past.previous.trained, {}), recipe)

    return tuned


@checked
def unpruned(function: Function) -> Function:
    """The same chain of trainings without pruning: the dense network trained as long."""
    return lambda past: replace(function(past), masks=full_masks(past.network))


arm("fine-tuning", chain=True, color=_GREEN, dashes=(2, 1))(fine_tuning())


# Pruned once, by any score, in the whole network: before, while or after it trains.


@checked
def pruned_at(share: float, again: bool = False) -> Function:
    """The dense network, pruned by magnitude when a share of its training is over.

    It then trains to the end; or, with `again`, all over from there. 0 with either is "magnitude at
    init"; 1 is the pruned network as it stands, and with `again` "magnitude after training"
    (Frankle et al. 2021, section 6). Needs "dense", and its state: run_experiment(states=[...]).
    Raises ValueError where that was not kept, or for a share outside 0..1.
    """

    def pruned(past: Past) -> Start:
        dense, last = past.of("dense")[0], past.recipe.steps(past.data)
        known = dense.history.states | {0: past.initial, last: State(0, dense.trained, {})}
        step, model = round(share * last), past.network
        if step not in known:
            advice = f"run_experiment(..., states=[{step}])"
            raise InputError(f"Step {step} of the dense training was not kept: {advice}.")
        state = known[step]
        state.restore_(model)
        masks = prune_at_init(model, magnitude, past.batch, past.density, seed=past.seed)
        return Start(masks, State(0, state.model, {}) if again else replace(state, step=step))

    return pruned


arm("magnitude after training", needs=("dense",), color=_GREEN)(pruned_at(1, again=True))


@checked
def before_training(score: Score, steps: int = 1) -> Function:
    """An arm for any score: pruned at initialisation to the ticket's density (`prune_at_init`)."""

    def pruned_at_init(past: Past) -> Start:
        options = {"steps": steps, "seed": past.seed}
        masks = prune_at_init(past.network, score, past.batch, past.density, **options)
        return Start(masks, past.initial)

    return pruned_at_init


for _name, _score, _steps, _color, _dashes in (
    ("magnitude at init", magnitude, 1, _GREEN, (1, 1)),
    ("SNIP", snip, 1, _PINK, ()),
    ("GraSP", grasp, 1, _BROWN, (3, 1)),
    ("SynFlow", synflow, 100, _CYAN, (5, 1, 1, 1)),
):
    _found = before_training(_score, _steps)
    _inverted = before_training(inverted(_score), _steps)
    arm(_name, color=_color, dashes=_dashes)(_found)
    # In the colours of the controls.
    arm(f"{_name}, shuffled", color=_ORANGE, dashes=_dashes)(controls.then_shuffled(_found))
    _redrawn = controls.then_reinitialised(_found)
    arm(f"{_name}, reinitialised", color=_RED, dashes=_dashes)(_redrawn)
    arm(f"{_name}, inverted", color=_color, dashes=_dashes)(_inverted)


@checked
def by_chance(spread: Callable[[Masks, float], Densities]) -> Function:
    """An arm: weights removed by chance, how many of each layer by a rule."""

    @checked
    def chosen(past: Past) -> Start:
        densities = spread(full_masks(past.network), past.density)
        return Start(random_masks(past.network, densities, past.seed), past.initial)

    return chosen


erk = by_chance(erk_densities)  # Evci et al. 2020, section 3
arm("ERK", color="#6e6e6e", dashes=(4, 2))(erk)
arm("smart ratio", color="#7f7f00", dashes=(4, 2))(by_chance(smart_ratio_densities))
arm("uniform random", color="#b3a369", dashes=(1, 1))(by_chance(dict.fromkeys))


@arm("gradual", color="#5c2985")
@checked
def gradual(past: Past) -> Start:
    """Pruned by magnitude while it trains (Zhu & Gupta 2017): see `dynamic.prune_gradually`."""
    during = prune_gradually(past.data, past.recipe, past.density)
    return replace(dense(past), during=during)


@arm("edge-popup", color="#b08d00", dashes=(2, 1))
@checked
def supermask(past: Past) -> Start:
    """A mask found by training scores; the initial values under it are never trained."""
    first, setting = past.initial.model, (past.data, past.recipe, past.density)
    found, history = edge_popup(past.network, *setting, seed=past.seed)
    (end,) = history.states.values()
    known = {name: tensor for name, tensor in end.model.items() if name in first}  # of norms
    return Start(found, State(0, first | known, {}), replace(past.recipe, duration="0it"))


@checked
def dynamic(grow: Score) -> Function:
    """An arm that starts from "ERK" and moves its masks while it trains."""

    def moving(past: Past) -> Start:
        every = min(100, max(1, past.recipe.steps(past.data) // 2))
        during = move_masks(past.data, past.recipe, grow=grow, seed=past.seed, every=every)
        return replace(erk(past), during=during)

    return moving


arm("RigL", color="#004d4d")(dynamic(gradient))
arm("SET", color="#599999", dashes=(2, 1))(dynamic(random))


@arm("Early-Bird", color=_ORANGE, dashes=(3, 1, 1, 1))
@checked
def early_bird_ticket(past: Past) -> Start:
    """The mask that settles first as the dense network trains, then its weights (You et al.
    2020)."""
    every = max(1, past.recipe.steps(past.data) // 40)
    options = {"seed": past.seed, "every": every, "step": past.setting.step}
    found = early_bird(past.network, past.data, past.recipe, past.density, **options)
    return Start(found.masks, found.start)
