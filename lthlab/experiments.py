"""Experiments: arms x levels x seeds as one resumable, parallel run."""

import contextlib
import functools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import torch
from joblib import Parallel, delayed
from torch import nn
from tqdm.auto import tqdm

from lthlab.arms import ARMS, Declared
from lthlab.checks import InputError, Location, Name, checked
from lthlab.data import DATASETS, Dataset, load_dataset
from lthlab.folder import Folder, identity
from lthlab.levels import Setting, run_levels
from lthlab.masks import full_masks
from lthlab.models import build_model
from lthlab.recipes import Recipe, count_levels, recipe_for

_COLUMNS = "dataset model arm rewind_step seed level density step epoch split metric value"
COLUMNS = _COLUMNS.split()
WATCH = ("rewind_to", "evaluate_every", "evaluate_at", "states", "step")
Seeds = Annotated[
    Iterable[int], "a list of different seeds, one or more", lambda s: 0 < len(s) == len({*s})
]
_load = functools.lru_cache(maxsize=2)(load_dataset)
# A worker with several threads would train several networks with one setting of PyTorch.
_ONE_AT_A_TIME = threading.Lock()


@checked
def run_experiment(
    model: Name | Callable[[Dataset, int], nn.Module],
    dataset: Literal[*DATASETS] | Dataset,
    recipe: Recipe | None = None,
    *,
    arms: Annotated[Iterable[Declared], "a list of arms, one or more", bool] = (
        "dense",
        "ticket",
        "reinitialised",
    ),
    seeds: Seeds = range(5),
    levels: int | None = None,
    density: float | None = None,
    control_levels: Annotated[Iterable[int], "a list of levels, one or more", bool] | None = None,
    folder: Location | None = None,
    version: str = "",
    n_jobs: Annotated[int, "a number of workers, or -1: one per core", bool] = -1,
    progress: bool = True,
    **watch: Any,
) -> pd.DataFrame:
    """Run arms x levels x seeds in parallel and return one tidy table with the columns COLUMNS.

    `model` is a name, or a function (dataset, seed) -> nn.Module. Arms that need their own level
    before run at all levels, `levels` of them or down to `density`; the others at `control_levels`
    (default: all). What an arm needs runs, too. Validation values are by step; test and training
    accuracy are measured once, at the end. `watch`: `rewind_to`, `evaluate_every`, `evaluate_at`,
    `states` (the durations whose weights an arm reads) and `step`, as in `find_ticket`.

    Every finished level is a file in `folder`: the same call goes on where an interrupted one
    stopped; more seeds, levels or arms reuse what is there. Give another `version` when code
    changed that the run cannot see (an arm's, say). Damaged files are named and computed again. One
    thread per worker, and results do not depend on n_jobs. `joblib.parallel_config(backend="dask")`
    around the call takes it to a cluster whose workers share `folder`.

    Raises ValueError for unknown arms, levels, seeds or densities, OSError when a file cannot be
    written.
    """
    if recipe is None:
        if not isinstance(model, str):
            advice = "run_experiment(..., recipe=Recipe(...))"
            raise InputError(f"A network of your own (model) needs a recipe: {advice}.")
        recipe = recipe_for(model, dataset)
    arms = list(dict.fromkeys(arms))
    seeds = [int(seed) for seed in seeds]  # NumPy's whole numbers, too
    setting = _setting(model, dataset, recipe, watch)
    last = count_levels(full_masks(setting.build(0)), recipe, levels, density)
    controls = range(1, last + 1) if control_levels is None else sorted(set(control_levels))
    if any(level > last for level in controls):
        raise InputError(f"control_levels are 1 to {last}; got {list(controls)}.")
    numbers = {name: range(1, last + 1) if arm.chain else controls for name, arm in ARMS.items()}
    numbers["dense"] = [0]
    keys = [(arm, seed, number) for arm in arms for seed in seeds for number in numbers[arm]]
    if not keys:
        raise InputError("Nothing to run: these arms have levels above 0; say levels=5, or so.")
    waves = _plan(arms, seeds, numbers)
    trainings = sum(len(task[-1]) for tasks in waves for task in tasks)
    with contextlib.ExitStack() as stack:
        root = folder or stack.enter_context(tempfile.TemporaryDirectory())
        known = version if folder else "only now"
        finished = Folder(Path(root) / f"experiment-{identity(setting, known)}")
        watch = {name: getattr(setting, name) for name in WATCH}
        source = model, dataset, recipe, watch  # not the data: each worker loads them once
        work = delayed(partial(_work, source, finished, (os.getpid(), *_numbers())))
        bar = tqdm(total=trainings, desc="trainings", disable=not progress, leave=False)
        for tasks in waves:
            parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
            for done in parallel(work(*task) for task in tasks):
                bar.update(done)
        bar.close()
        name = model if isinstance(model, str) else getattr(model, "__name__", "network")
        known = {"dataset": setting.data.name, "model": name, "rewind_step": setting.rewind_to}
        tables = []
        for key in keys:
            level, own = finished[key], dict(zip(("arm", "seed", "level"), key, strict=True))
            tables.append(level.history.table.assign(**known, **own, density=level.density))
        return pd.concat(tables, ignore_index=True)[COLUMNS]


@contextlib.contextmanager
def _like_parent(process: int, dtype: torch.dtype, precision: str) -> Iterator[None]:
    """One thread, for the same bits with every n_jobs; the parent's numbers and precision."""
    _end_with(process)
    before = torch.get_num_threads(), *_numbers()
    try:
        _set(1, dtype, precision)
        yield
    finally:
        _set(*before)


def _numbers() -> tuple[torch.dtype, str]:
    return torch.get_default_dtype(), torch.get_float32_matmul_precision()


def _set(threads: int, dtype: torch.dtype, precision: str) -> None:
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_float32_matmul_precision(precision)


@functools.cache
def _end_with(parent: int) -> None:
    """End this worker when its parent is gone, also in the middle of a training."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


def _plan(
    arms: list[str], seeds: list[int], numbers: dict[str, Iterable[int]]
) -> list[list[tuple]]:
    """Tasks for the arms and all that they need, in waves that need only those before.

    A task is what one worker does at a time: a level, or all levels of an arm that needs its own.
    """
    graph, todo = {}, list(arms)
    while todo:
        name = todo.pop()
        graph[name] = ARMS[name].needs
        todo += [need for need in graph[name] if need not in graph]
    waves, sorter = [], TopologicalSorter(graph)
    sorter.prepare()
    while sorter.is_active():
        ready, tasks = sorter.get_ready(), []
        for name in sorted(ready, key=list(ARMS).index):
            arm, own = ARMS[name], list(numbers[name])
            groups = [own] if arm.chain else [[level] for level in own]
            tasks += [(name, arm, seed, group) for seed in seeds for group in groups]
        waves.append(tasks)
        sorter.done(*ready)
    return waves


def _work(
    source: tuple,
    finished: Folder,
    parent: tuple[int, torch.dtype, str],
    *task: Any,
) -> int:
    with _ONE_AT_A_TIME, _like_parent(*parent):
        return sum(1 for _ in run_levels(_setting(*source), *task, finished))


def _setting(
    model: str | Callable[[Dataset, int], nn.Module],
    dataset: str | Dataset,
    recipe: Recipe,
    watch: dict[str, Any],
) -> Setting:
    data = _load(dataset) if isinstance(dataset, str) else dataset
    return Setting(partial(build_model, model, data), data, recipe, test=True, **watch)
