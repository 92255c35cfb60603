"""lthlab: find winning lottery tickets, and see for yourself what they can do.

The modules, in the order that data walks through them: checks, words, data, batches, models, masks,
files, pruning, post_training, recipes, steps, training, levels, folder, tickets, dynamic, arms,
experiments, statistics, cost, stability, plots, board, drawings, fast, widgets. What is used most
can be imported from here; all else by its module, `lthlab.pruning.random`, say. `plots`, `board`,
`drawings` and `widgets` are loaded when they are first asked for.
"""

import importlib

from lthlab import cost, fast, post_training  # nothing else loads these
from lthlab.arms import ARMS, arm
from lthlab.data import Dataset, Split, load_dataset, make_dataset
from lthlab.experiments import run_experiment
from lthlab.files import load_masks, save_masks
from lthlab.levels import Start
from lthlab.masks import (
    apply_masks_,
    count_kept,
    density,
    full_masks,
    layer_densities,
    list_parameters,
    overlap,
    prunable_weights,
    shuffle_masks,
)
from lthlab.models import build_model
from lthlab.pruning import draw_batch, grasp, magnitude, obd, prune, prune_at_init, snip, synflow
from lthlab.recipes import Recipe, recipe_for
from lthlab.stability import error_barrier, interpolate, train_copies
from lthlab.statistics import interval, paired
from lthlab.steps import State
from lthlab.tickets import find_ticket, rewind
from lthlab.training import evaluate, train

__version__ = "0.2.0"
# No modules, so that `from lthlab import *` does not hide Python's `statistics`.
__all__ = sorted(
    name
    for name, value in globals().items()
    if not name.startswith("_") and not isinstance(value, type(importlib))
)


def __getattr__(name: str):
    if name in (
        "board",
        "cli",
        "drawings",
        "plots",
        "widgets",
    ):  # matplotlib and ipywidgets take their time
        return importlib.import_module(f"lthlab.{name}")
    raise AttributeError(f"module 'lthlab' has no attribute {name!r}")
