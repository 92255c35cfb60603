"""Experiments: arms x levels x seeds as one resumable, parallel run, and evidence from its table."""

import contextlib
import json
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from safetensors import SafetensorError
from scipy import stats
from torch import nn
from tqdm.auto import tqdm

from lthlab._common import load_tensors, remembered, save_tensors, unknown_name
from lthlab.arms import ARMS, CHAINS, Start
from lthlab.data import Dataset
from lthlab.ensemble import stacking_gain, train_stacked
from lthlab.masks import density as density_of
from lthlab.masks import full_masks
from lthlab.recipes import Recipe, recipe_for
from lthlab.run import Run, describe
from lthlab.sparse import PLAIN, Speed, chain_of, sparse_below, sparse_below_is
from lthlab.tickets import count_levels
from lthlab.training import History, evaluate, train

# A worker with several threads would train several networks on one random state of PyTorch.
_ONE_AT_A_TIME = threading.Lock()
COLUMNS = ["dataset", "model", "arm", "rewind_step", "seed", "level", "density", "step", "split", "metric", "value"]


def run_experiment(
    model: str | Callable[[Dataset, int], nn.Module],
    dataset: str | Dataset,
    recipe: Recipe | None = None,
    *,
    arms: Iterable[str] = ("dense", "ticket", "reinitialised"),
    seeds: Iterable[int] = range(5),
    levels: int | None = None,
    density: float | None = None,
    control_levels: Iterable[int] | None = None,
    rewind_to: str | int = 0,
    evaluate_every: str | int = "1ep",
    evaluate_at: Iterable[str | int] = (),
    stack: int | str = 1,
    speed: Speed = PLAIN,
    folder: str | Path | None = None,
    n_jobs: int = -1,
    progress: bool = True,
) -> pd.DataFrame:
    """Run arms x levels x seeds in parallel and return one tidy table with the columns COLUMNS.

    `model` is a name, or a function (dataset, seed) -> nn.Module. IMP runs for every seed, `levels`
    times or down to `density`; arms that need no earlier level of their own run at `control_levels`
    (default: all). Validation values are by step; test accuracy is measured once, at the end.

    `stack` seeds, in the order given, train in one step each (`train_stacked`); "auto": 8 of them where that was
    measured to be at least a tenth faster, once per network and machine, on one core: with few seeds and many
    cores leave it at 1. `speed` is for GPUs (`Speed`). Both change results by rounding and are part of the run.

    Every finished level is a file in `folder`: the same call goes on where an interrupted one stopped,
    more seeds, levels or arms reuse what is there. Arms are known by their names: give one that you
    changed a new name or a new folder. Damaged files are named and computed again. One
    thread per worker, and results do not depend on n_jobs. `joblib.parallel_config(backend="dask")`
    around the call takes it to a cluster whose workers share `folder`.

    Raises ValueError for unknown arms or impossible densities, OSError when a file cannot be written.
    """
    if recipe is None:
        if not isinstance(model, str):
            raise ValueError("A network of your own needs a recipe: run_experiment(..., recipe=Recipe(...)).")
        recipe = recipe_for(model, dataset)
    arms = list(arms)
    for arm in arms:
        if arm not in ARMS:
            raise unknown_name("arm", arm, [*ARMS], "To add one, put a function into lthlab.arms.ARMS.")
    with contextlib.ExitStack() as temporary:
        folder = Path(folder or temporary.enter_context(tempfile.TemporaryDirectory()))
        with _one_thread():
            below = sparse_below()  # measured here, for all workers
        run = Run(model, dataset, recipe, rewind_to, evaluate_every, tuple(evaluate_at), folder, below, speed)
        run = replace(run, stack=_stack_size(run, stack))
        last = count_levels(full_masks(run.build(0)), recipe, levels, density)
        controlled = range(1, last + 1) if control_levels is None else sorted(control_levels)
        if any(not 1 <= level <= last for level in controlled):
            raise ValueError(f"Controls run at levels 1 to {last}; got {list(controlled)}.")
        seeds = list(seeds)
        groups = [seeds[n : n + run.stack] for n in range(0, len(seeds), run.stack)]
        first = [[("dense", group, 0), *(("ticket", group, n) for n in range(1, last + 1))] for group in groups]
        chains = [
            [(arm, group, n) for n in range(1, last + 1)] for arm in arms if arm in CHAINS[1:] for group in groups
        ]
        controls = [
            [(arm, group, n)] for arm in arms if arm not in ("dense", *CHAINS) for n in controlled for group in groups
        ]
        needed = {getattr(ARMS[arm], "needs", "ticket") for arm in arms}
        if "ticket" not in needed:
            first = [[("dense", group, 0)] for group in groups] if "dense" in needed else []
        total = sum(len(group) for task in [*first, *chains, *controls] for _, group, _ in task)
        with tqdm(total=total, desc="trainings", disable=not progress, leave=False) as bar:
            for tasks in (first, chains + controls):  # the second need the first
                work = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
                for done in work(delayed(_run_levels)(run, task, ARMS) for task in tasks):
                    bar.update(done)
        tasks = [*first, *chains, *controls]
        wanted = [(arm, seed, n) for task in tasks for seed in task[0][1] for arm, _, n in task if arm in arms]
        return pd.concat([_rows(run, *level) for level in wanted], ignore_index=True)


def _stack_size(run: Run, stack: int | str) -> int:
    if stack == "auto":
        model = run.build(0)
        if chain_of(model) and run.data.device.type == "cpu":
            return 1  # by hand, and over kept weights alone, is faster than any stack
        with _one_thread():
            what = f"{describe(model)} in batches of {run.recipe.batch_size} on {run.data.device.type}, {run.speed}"
            gain = remembered(
                "stacking_gain.json", what, lambda: stacking_gain(model, run.data, run.recipe, 8, speed=run.speed)
            )
        return 8 if gain > 1.1 else 1
    if not isinstance(stack, int) or stack < 1:
        raise ValueError(f'stack is the number of seeds that train in one step, 1 or more, or "auto"; got {stack!r}.')
    return stack


def _run_levels(run: Run, levels: list[tuple[str, list[int], int]], arms: dict) -> int:
    with _ONE_AT_A_TIME, _one_thread(), sparse_below_is(run.sparse_below):
        for arm, group, level in levels:
            missing = [seed for seed in group if not _finished(run.path(arm, seed, level))]
            starts = {seed: arms[arm](run, seed, level) for seed in (group if missing else [])}
            if len(starts) > 1 and _stackable([*starts.values()]):
                _run_stack(run, starts, arm, level, missing)
            else:
                for seed in missing:
                    _run_level(run, starts[seed], arm, seed, level)
    return sum(len(group) for _, group, _ in levels)


def _stackable(starts: list[Start]) -> bool:
    """Whether they train by the same loop, with the same recipe, from the same step."""
    ways = {(start.train, start.snapshot.step, repr(start.recipe)) for start in starts}
    return len(ways) == 1 and starts[0].train is train


@contextlib.contextmanager
def _one_thread():
    """The same bits for every n_jobs, and no two workers that fight for a core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _run_level(run: Run, start: Start, arm: str, seed: int, level: int) -> None:
    model = run.build(seed)
    history = start.train(model, run.data, start.recipe or run.recipe, start.masks, seed=seed, start=start.snapshot,
                          **_options(run, arm))  # fmt: skip
    _keep_level(run, start, arm, seed, level, model, history)


def _run_stack(run: Run, starts: dict[int, Start], arm: str, level: int, missing: list[int]) -> None:
    """Train the whole group, also where only some are missing: alone, these would be rounded in another way."""
    models, first = {seed: run.build(seed) for seed in starts}, next(iter(starts.values()))
    histories = train_stacked(
        [*models.values()], run.data, first.recipe or run.recipe, [start.masks for start in starts.values()],
        seeds=[*starts], starts=[start.snapshot for start in starts.values()], **_options(run, arm),
    )  # fmt: skip
    for seed, history in zip(starts, histories, strict=True):
        if seed in missing:
            _keep_level(run, starts[seed], arm, seed, level, models[seed], history)


def _options(run: Run, arm: str) -> dict[str, Any]:
    keep = [run.rewind_step] if arm == "dense" else []
    options = {"snapshots": keep, "evaluate_every": run.evaluate_every, "evaluate_at": run.evaluate_at}
    return options if run.speed == PLAIN else options | {"speed": run.speed}


def _keep_level(run: Run, start: Start, arm: str, seed: int, level: int, model: nn.Module, history: History) -> None:
    rows = history.table[["step", "split", "metric", "value"]].to_numpy().tolist()
    rows.append([rows[-1][0], "test", "accuracy", evaluate(model, run.data.test)["accuracy"]])
    metadata, tensors = {"rows": json.dumps(rows), "density": repr(density_of(start.masks))}, {}
    if arm in ("dense", *CHAINS):
        tensors |= {f"mask/{name}": mask for name, mask in start.masks.items()}
        tensors |= {f"trained/{name}": value for name, value in model.state_dict().items()}
    for snapshot in history.snapshots.values():
        tensors |= {f"start/{name}": value for name, value in snapshot.model.items()}
        for number, state in snapshot.optimizer["state"].items():
            tensors |= {f"optimizer/{number}/{key}": value for key, value in state.items() if value is not None}
        metadata["optimizer"] = json.dumps(snapshot.optimizer["param_groups"])
    path = run.path(arm, seed, level)
    try:
        save_tensors(tensors, path, "level", metadata)
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"Could not write {path}: {error}. Finished levels are kept: make room and run the same call again."
        ) from None


def _finished(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        load_tensors(path, "level")
        return True
    except ValueError as error:
        warnings.warn(f"{error} It is computed again.", stacklevel=2)
        return False


def _rows(run: Run, arm: str, seed: int, level: int) -> pd.DataFrame:
    metadata = run.read(arm, seed, level)[1]
    table = pd.DataFrame(json.loads(metadata["rows"]), columns=["step", "split", "metric", "value"])
    table = table.assign(dataset=run.data.name, model=run.model_name, arm=arm, rewind_step=run.rewind_step,
                         seed=seed, level=level, density=float(metadata["density"]))  # fmt: skip
    return table[COLUMNS]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % Student-t interval over `n` replicates."""

    mean: float
    low: float
    high: float
    n: int

    def points(self, digits: int = 1) -> str:
        """The interval of an accuracy, in percentage points: '+1.2 [+0.4, +2.0], n = 5'."""
        mean, low, high = (100 * value for value in (self.mean, self.low, self.high))
        return f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}], n = {self.n}"

    def percent(self, digits: int = 1) -> str:
        """The interval of an accuracy as percentages: '85.1 % [84.6, 85.6], n = 5'."""
        mean, low, high = (100 * value for value in (self.mean, self.low, self.high))
        return f"{mean:.{digits}f} % [{low:.{digits}f}, {high:.{digits}f}], n = {self.n}"


def interval(values) -> Interval:
    """Mean and 95 % t-interval of independent replicates; ValueError for fewer than three."""
    values = np.asarray(values, dtype=float)
    if len(values) < 3 or not np.isfinite(values).all():
        raise ValueError(f"An interval needs at least three finite replicates; got {values.tolist()}.")
    mean, half = values.mean(), stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return Interval(float(mean), float(mean - half), float(mean + half), len(values))


def paired(table: pd.DataFrame, arm: Any, against: Any, by: str = "arm") -> Interval:
    """The difference `arm` minus `against`, seed by seed, with its interval over seeds.

    `table` has one row per arm and seed with columns `by`, seed and value. Pairing takes out what two
    arms of one seed share. Raises ValueError when a seed is missing from one arm or occurs twice.
    """
    rows = table[table[by].isin([arm, against])]
    if rows.duplicated([by, "seed"]).any():
        raise ValueError(f"Several rows for one {by} and seed: choose one metric, split, step and level first.")
    wide = rows.pivot(index="seed", columns=by, values="value")
    if not {arm, against} <= set(wide.columns) or wide[[arm, against]].isna().any(axis=None):
        raise ValueError(f"{arm!r} and {against!r} need the same seeds; got {wide.notna().sum().to_dict()} replicates.")
    return interval(wide[arm] - wide[against])
