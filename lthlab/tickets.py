"""Find a winning ticket: the ticket arm of one network, in memory or in a folder."""

import copy
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from tqdm.auto import tqdm

from lthlab.checks import Location, checked
from lthlab.data import Dataset
from lthlab.folder import Folder, identity
from lthlab.levels import Arm, Key, Level, Setting, dense, imp, run_levels
from lthlab.masks import Masks, apply_masks_, full_masks
from lthlab.pruning import Score, magnitude
from lthlab.recipes import Recipe, count_levels
from lthlab.steps import State


@dataclass(frozen=True, eq=False)
class Ticket:
    """All levels of one IMP run (0 is dense), the state they rewind to, and the trained network."""

    start: State
    levels: list[Level]
    model: nn.Module = field(repr=False)

    @property
    def masks(self) -> Masks:
        """The masks of the sparsest level."""
        return self.levels[-1].masks

    @checked
    def at(self, wanted: float) -> Level:
        """The level whose density is nearest to `wanted` (a fraction, on a logarithmic scale)."""
        levels = [level for level in self.levels if level.density > 0]
        return min(levels, key=lambda level: abs(math.log(level.density / wanted)))


@checked
def find_ticket(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    levels: int | None = None,
    density: float | None = None,
    score: Score = magnitude,
    seed: int = 0,
    folder: Location | None = None,
    version: str = "",
    progress: bool = False,
    **watch: Any,
) -> Ticket:
    """Find a winning ticket by iterative magnitude pruning with rewinding (see `levels.imp`).

    Train; drop the weights with the lowest score, at the recipe's rates; put the survivors back to
    their values at step `rewind_to` (0, the default, is the initialisation); repeat, `levels` times
    or until at most `density` (a fraction) is left. Every level trains with the same `seed`, hence
    the same order of examples. The given model stays as it is; the network as trained at the last
    level is the ticket's `model`.

    `watch`: `rewind_to`, and `evaluate_every`, `evaluate_at`, `states` and `step` as in `train`,
    for every level (`step` is "fast" where `lthlab.fast` is there). With a `folder` every finished
    level is a file there, and the same call goes on where an interrupted one stopped; give another
    `version` when something changed that the run cannot see.

    Raises ValueError unless exactly one of levels and density is given and possible, or for a
    rewind step that leaves nothing to train.
    """
    setting = Setting(lambda seed: model, dataset, recipe, **watch)
    last = count_levels(full_masks(model), recipe, levels, density)
    finished: dict[Key, Level] | Folder = {}
    if folder is not None:
        finished = Folder(Path(folder) / f"ticket-{identity(setting, version, score)}")
    ticket = Arm(imp(score), needs=("dense",), chain=True)
    arms = ("dense", Arm(dense), [0]), ("ticket", ticket, range(1, last + 1))
    with tqdm(total=last + 1, desc="levels", disable=not progress, leave=False) as bar:
        for name, arm, numbers in arms:
            for _ in run_levels(setting, name, arm, seed, numbers, finished, progress):
                bar.update()
    found = [finished["dense" if n == 0 else "ticket", seed, n] for n in range(last + 1)]
    trained = copy.deepcopy(model)
    trained.load_state_dict(found[-1].trained)
    return Ticket(found[0].history.states[setting.rewind_to], found, trained)


@checked
def rewind(model: nn.Module, start: State, masks: Masks) -> nn.Module:
    """A copy of `model` with the weights that `masks` keep at their values of `start`, else 0.0."""
    rewound = copy.deepcopy(model)
    start.restore_(rewound)
    return apply_masks_(rewound, masks)
