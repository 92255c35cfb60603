"""A level is a pure function: an arm says where a training begins, `run_level` trains it.

An arm takes a `Past`, which holds the finished levels that it needs, and gives a `Start`; the
result is a `Level`. Finished levels are kept in a dict or in a folder of files (`Folder`); an arm
cannot tell which. Iterative magnitude pruning is an arm like others:

    level 0    train the dense network                       run_level(past, dense)
    level n    score what level n - 1 was trained to, and
               drop the lowest scores                        prune_once_more
               put the survivors back to their first values  past.rewound
               train again                                   run_level(past, imp(score))
    repeat     for every level, seed and arm                 run_levels
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from lthlab.batches import Batch
from lthlab.checks import InputError, Name, check, checked
from lthlab.data import Dataset
from lthlab.masks import Masks, density, full_masks, prunable_weights
from lthlab.pruning import Score, draw_batch, magnitude, prune
from lthlab.recipes import Duration, Recipe, count_steps, level_sizes
from lthlab.steps import Kind, Loss, State, cross_entropy
from lthlab.training import During, History, evaluate, predict, right_answers, train

Key = tuple[str, int, int]  # arm, seed, level
REDRAWN = 1_000_000  # added to a seed: that of the network built again


@checked
@dataclass(frozen=True, eq=False)
class Start:
    """Where the training of a level begins, and what is special about it.

    `recipe` and `loss`, if not the run's; `during` says what happens at which steps, with the
    training paused, for arms that act while they train.
    """

    masks: Masks
    state: State
    recipe: Recipe | None = None
    during: During | None = None
    loss: Loss = cross_entropy


@dataclass(frozen=True, eq=False)
class Level:
    """A finished training: the masks it ended with, where it began, and what it became.

    `start` is the state it began from, `trained` the network's parameters and buffers at the end,
    `correct` one bool per test example, where the test split was looked at.
    """

    density: float
    start: State = field(repr=False)
    trained: dict[str, Tensor] = field(repr=False)
    history: History = field(repr=False)
    correct: Tensor | None = field(default=None, repr=False)

    @property
    def masks(self) -> Masks:
        return self.history.masks


@checked
@dataclass
class Setting:
    """What all arms of a run share: network, data, recipe, and how the trainings are watched.

    `build` makes the network of a seed; durations become steps. `test` says whether the test split
    is looked at, once, at the end of every training. Raises ValueError for a duration that lies
    outside the training, or a rewind step that leaves nothing to train.
    """

    build: Callable[[int], nn.Module]
    data: Dataset
    recipe: Recipe
    rewind_to: Duration = 0
    evaluate_every: Duration = "1ep"
    evaluate_at: Iterable[Duration] = ()
    states: Iterable[Duration] = ()
    step: Kind = "fast"
    test: bool = False

    def __post_init__(self):
        per_epoch, total = self.recipe.steps_per_epoch(self.data), self.recipe.steps(self.data)
        self.rewind_to = count_steps(self.rewind_to, per_epoch)
        self.evaluate_every = count_steps(self.evaluate_every, per_epoch)
        self.evaluate_at = self.recipe.within("evaluate_at", self.evaluate_at, self.data)
        self.states = self.recipe.within("states", self.states, self.data)
        if self.rewind_to >= total:
            problem = f"rewinding to step {self.rewind_to} leaves nothing to train"
            raise InputError(f"rewind_to: {problem}: training ends at {total}.")


@dataclass(frozen=True)
class Past:
    """What an arm may look at: the setting, its own level, and finished levels that it needs."""

    setting: Setting
    finished: Mapping[Key, Level]
    arm: str
    readable: frozenset[str]
    seed: int
    level: int

    @property
    def data(self) -> Dataset:
        return self.setting.data

    @property
    def recipe(self) -> Recipe:
        return self.setting.recipe

    @property
    def rewind_step(self) -> int:
        return self.setting.rewind_to

    def build(self, seed: int) -> nn.Module:
        """The network with the initial values of a seed; a copy, if it is one that is kept."""
        return copy.deepcopy(self.setting.build(seed))

    @property
    def network(self) -> nn.Module:
        """The network with its initial values, built anew each time."""
        return self.build(self.seed)

    def of(self, arm: str) -> "Past":
        """The levels of an arm that this one needs: past.of("ticket")[3]. Level 0 is the dense one.

        Raises ValueError for an arm that was not declared as needed, as every look at a level does.
        """
        if arm not in self.readable:
            raise InputError(
                f"This arm reads {arm!r}, which it did not declare. Add it to its needs=(...), or "
                f"chain=True if it reads its own level before."
            )
        return replace(self, arm=arm)

    def __getitem__(self, level: int) -> Level:
        if not 0 <= level <= self.level:
            raise InputError(f"Of the past there are levels 0 to {self.level}; got {level}.")
        past = self.of(self.arm if level else "dense")
        return self.finished[past.arm, self.seed, level]

    @property
    def previous(self) -> Level:
        """The level before, of the same arm."""
        return self[self.level - 1]

    @property
    def initial(self) -> State:
        """The network at step 0."""
        return State.of(self.network)

    @property
    def rewound(self) -> State:
        """The dense network at the step that tickets rewind to, with the optimiser's memory."""
        return self[0].history.states[self.rewind_step]

    @property
    def redrawn(self) -> State:
        """The network built again with another seed, at step 0.

        Raises ValueError if that changes no weight: such a network cannot be redrawn.
        """
        again = self.build(REDRAWN + self.seed)
        new, old = prunable_weights(again), prunable_weights(self.network)
        if all(torch.equal(new[name], weight) for name, weight in old.items()):
            raise InputError(
                "Built with another seed, the network has the same weights, so there is nothing to "
                "redraw. Let the function that builds it draw its values from the seed it is given."
            )
        return State.of(again)

    @property
    def density(self) -> float:
        """The density that IMP leaves at this level, by the recipe's rates alone."""
        sizes = level_sizes(full_masks(self.network), self.recipe)
        sizes = [*islice(sizes, self.level + 1)]
        return sum(sizes[-1].values()) / sum(sizes[0].values())

    @property
    def batch(self) -> Batch:
        """Training examples to score with: ten times the number of classes, drawn by the seed."""
        train = self.data.train
        return draw_batch(train, min(10 * len(self.data.classes), len(train)), self.seed)


Function = Callable[[Past], Start]


@dataclass(frozen=True)
class Arm:
    """A declared arm: its function, the arms whose levels it reads, colour and dashes.

    Level 0 of every arm is that of "dense": who reads one needs that, too. A `chain` reads its own
    level before, so that its levels run one after the other.
    """

    function: Function
    needs: tuple[str, ...] = ()
    chain: bool = False
    color: str | None = None
    dashes: tuple[float, ...] = ()


@checked
def dense(past: Past) -> Start:
    """The whole network from its initial values: level 0 of every pruning."""
    return Start(full_masks(past.network), past.initial)


@checked
def prune_once_more(past: Past, score: Score = magnitude) -> Masks:
    """The masks of the level before, after one more pruning of what it was trained to."""
    model, before = past.network, past.previous
    model.load_state_dict(before.trained)
    scores = score(model, past.batch, seed=past.seed)
    return prune(scores, before.masks, past.recipe.rates(before.masks), past.recipe.scope)


@checked
def imp(score: Score = magnitude) -> Function:
    """The arm of iterative magnitude pruning with rewinding, for any score.

    Prune what the level before was trained to; put the survivors, the optimiser, the schedule and
    the data order back to the rewind step (Frankle & Carbin 2019, section 2 and appendix B,
    strategy 1; rewinding to k > 0: Frankle et al. 2020, section 3).
    """

    def ticket(past: Past) -> Start:
        return Start(prune_once_more(past, score), past.rewound)

    return ticket


@checked
def run_level(past: Past, function: Function, progress: bool | str = False) -> Level:
    """Train what an arm begins: the one place where a level is made."""
    setting, start = past.setting, check(f"what {past.arm!r} returns", function(past), Start)
    recipe = start.recipe or setting.recipe
    model = past.network
    first, last = start.state.step, recipe.steps(setting.data)
    rewound = [] if past.level else [setting.rewind_to]  # the dense network keeps that state
    history = train(
        model,
        setting.data,
        recipe,
        start.masks,
        seed=past.seed,
        start=start.state,
        evaluate_every=setting.evaluate_every,
        evaluate_at=[step for step in setting.evaluate_at if first <= step <= last],
        states=[step for step in (*setting.states, *rewound) if first <= step <= last],
        during=start.during,
        progress=progress,
        step=setting.step,
        loss=start.loss,
    )
    correct = _look_at_all(model, setting.data, history) if setting.test else None
    trained = State.of(model).model
    return Level(density(history.masks), start.state, trained, history, correct)


def _look_at_all(model: nn.Module, data: Dataset, history: History) -> Tensor:
    """Add accuracies of the training and test split to a history; which test answers are right."""
    correct = right_answers(predict(model, data.test), data.test).cpu()
    found = {"train": evaluate(model, data.train)["accuracy"], "test": correct.double().mean()}
    step, epoch = history.table.iloc[-1][["step", "epoch"]]
    for split, value in found.items():
        history.table.loc[len(history.table)] = [step, epoch, split, "accuracy", float(value)]
    return correct


@checked
def run_levels(
    setting: Setting,
    name: Name,
    arm: Arm,
    seed: int,
    levels: Iterable[int],
    finished: Any,  # a dict of levels, or a Folder
    progress: bool = False,
) -> Iterator[None]:
    """Run the levels of an arm and seed that are not finished yet; yields after each."""
    for number in levels:
        if (name, seed, number) not in finished:
            readable = {*arm.needs, name} if arm.chain else arm.needs
            past = Past(setting, finished, name, frozenset(readable), seed, number)
            label = progress and f"level {number}"
            finished[name, seed, number] = run_level(past, arm.function, label)
        yield
