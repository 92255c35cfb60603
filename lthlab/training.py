"""The one training loop of the project, and the history it returns."""

import math
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from lthlab._common import evaluation_mode, make_generator
from lthlab.batches import Batches
from lthlab.data import Dataset, Split
from lthlab.masks import Masks, check_masks
from lthlab.optimizers import make_optimizer, prepared_step
from lthlab.recipes import Recipe, count_steps
from lthlab.sparse import PLAIN, Speed, choose_step
from lthlab.stack import PREFIX, Stack


def _same(state: dict) -> dict:
    return state


@dataclass(frozen=True)
class Snapshot:
    """A copy of all that a training needs to go on from `step`: weights, buffers and optimiser state."""

    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict
    kind: str = ""  # of the optimiser

    @classmethod
    def take(cls, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, widen=_same) -> "Snapshot":
        states = _copy(model.state_dict()), _copy(widen(optimizer.state_dict()))
        return cls(step, *states, kind=type(optimizer).__name__)

    @classmethod
    def join(cls, snapshots: Sequence["Snapshot"]) -> "Snapshot":
        """One snapshot of a `Stack` from those of its networks; ValueError if they are of different steps."""
        if len({snapshot.step for snapshot in snapshots}) != 1:
            raise ValueError(f"Networks train in one step only from the same step; got "
                             f"{', '.join(str(snapshot.step) for snapshot in snapshots)}.")  # fmt: skip
        first, states = snapshots[0], [snapshot.optimizer["state"] for snapshot in snapshots]
        state = {
            number: {
                key: torch.stack([own[number][key] for own in states]) if _has_axis(key, value) else value
                for key, value in entries.items()
            }
            for number, entries in states[0].items()
        }
        model = {PREFIX + name: torch.stack([s.model[name] for s in snapshots]) for name in first.model}
        return cls(first.step, model, {"state": state, "param_groups": first.optimizer["param_groups"]}, first.kind)

    def of(self, number: int) -> "Snapshot":
        """What a snapshot of a `Stack` holds of one of its networks."""
        state = {
            parameter: {key: value[number] if _has_axis(key, value) else value for key, value in entries.items()}
            for parameter, entries in self.optimizer["state"].items()
        }
        model = {name.removeprefix(PREFIX): tensor[number] for name, tensor in self.model.items()}
        return Snapshot(self.step, _copy(model), _copy(self.optimizer | {"state": state}), self.kind)

    def restore_(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None, narrow=_same) -> None:
        """Copy the values back; the snapshot itself is never handed out, so training cannot change it."""
        if optimizer is not None and self.kind not in ("", type(optimizer).__name__) and self.optimizer["state"]:
            raise ValueError(f"The snapshot was taken with {self.kind}, the recipe trains with "
                             f"{type(optimizer).__name__}: their states do not fit each other.")  # fmt: skip
        model.load_state_dict(self.model)  # copies
        if optimizer is not None:  # the state of the snapshot, the settings of this recipe
            pairs = zip(optimizer.state_dict()["param_groups"], self.optimizer["param_groups"], strict=True)
            groups = [own | {"lr": saved["lr"]} for own, saved in pairs]
            optimizer.load_state_dict(narrow({"state": _copy(self.optimizer["state"]), "param_groups": groups}))
            for parameter, state in optimizer.state.items():  # fused kernels walk memory: same shape, same layout
                for key, value in state.items():
                    if _has_axis(key, value):
                        if value.shape != parameter.shape:
                            raise ValueError(
                                f"The snapshot's {key} has shape {tuple(value.shape)}, the parameter "
                                f"{tuple(parameter.shape)}: the model's parameters come in another order."
                            )
                        state[key] = torch.empty_like(parameter).detach().copy_(value)


@dataclass(frozen=True)
class History:
    """What a training left behind.

    `table` is tidy: one row per measurement with columns step, epoch, split, metric (loss or
    accuracy) and value. `snapshots` are the asked-for copies by step, `seconds` the wall time.
    """

    table: pd.DataFrame
    snapshots: dict[int, Snapshot]
    seconds: float

    def value(self, metric: str = "accuracy", split: str = "validation", step: int | None = None) -> float:
        """One measured value: the last, or that at `step`."""
        rows = self.table.query("metric == @metric and split == @split")
        rows = rows if step is None else rows[rows["step"] == step]
        if rows.empty:
            raise ValueError(f"Nothing measured for {metric}, {split}, step {step}. Measured steps: "
                             f"{sorted(self.table['step'].unique().tolist())}.")  # fmt: skip
        return float(rows["value"].iloc[-1])


def train(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    masks: Masks | None = None,
    *,
    seed: int | tuple[int, ...] = 0,
    start: Snapshot | None = None,
    until: str | int | None = None,
    snapshots: Iterable[str | int] = (),
    evaluate_every: str | int = "1ep",
    evaluate_at: Iterable[str | int] = (),
    progress: bool | str = False,
    speed: Speed = PLAIN,
) -> History:
    """Train `model` in place by `recipe`; weights outside `masks` stay exactly 0.0 throughout.

    The order of the examples depends on `seed` and the epoch alone. From a `start` snapshot the model,
    its buffers, the optimiser, the schedule and the data order go on where it was taken. `until` stops
    at a step before the recipe's end, on the recipe's schedule. Validation loss and accuracy are measured
    at the start, the end, every `evaluate_every` and at the steps `evaluate_at`; nothing else makes the
    device wait. `snapshots` are durations after which to keep a `Snapshot`. `progress` shows a bar (a
    string is its label). `speed` is for GPUs (see `Speed`). The test split is never looked at. Several
    networks at once: `train_stacked`.

    Raises ValueError for masks of another model or durations outside the training.
    """
    _check_devices(model, dataset)
    if masks is not None:
        check_masks(model, masks)  # before anything is changed
    per_epoch, total = recipe.steps_per_epoch(dataset), recipe.steps(dataset)
    first, last = start.step if start else 0, total if until is None else count_steps(until, per_epoch)
    period = count_steps(evaluate_every, per_epoch) or total + 1  # 0: only at the start and the end
    stops = {first, last} | {count_steps(d, per_epoch) for d in evaluate_at}
    keep_at = {count_steps(d, per_epoch) for d in snapshots}
    if last > total or (outside := sorted(s for s in stops | keep_at if s > last or (s < first and s in keep_at))):
        raise ValueError(f"This training runs from step {first} to {min(last, total)}; "
                         f"step {last if last > total else outside[0]} is not part of it.")  # fmt: skip

    gradients = choose_step(model, masks, recipe.batch_size, speed)
    optimizer = make_optimizer(gradients, recipe)
    if start:
        start.restore_(model, optimizer, gradients.narrow)
    gradients.read()

    began, kept, measured = time.perf_counter(), {}, []
    losses, update = [], optimizer.step  # losses are read once, at the end
    batches, first_seed = Batches(dataset, recipe, seed), seed[0] if isinstance(seed, tuple) else seed
    label = progress if isinstance(progress, str) else "training"
    noise, base = noise_generator(dataset.device), make_generator(first_seed, "noise").initial_seed()
    with (
        torch.random.fork_rng(devices=[dataset.device] if dataset.device.type == "cuda" else []),
        tqdm(total=last - first, desc=label, unit="it", disable=not progress, leave=False, mininterval=0.5) as bar,
    ):
        for step in range(first, last + 1):
            if step % period == 0 or step in stops or step in keep_at:
                gradients.write()
            if step % period == 0 or step in stops:
                measured.append((step, measure(model, dataset.validation)))
            if step in keep_at:
                kept[step] = Snapshot.take(step, model, optimizer, gradients.widen)
            if step == last:
                break
            if step % per_epoch == 0 or step == first:
                model.train()
            x, y = batches(step)
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr_at(step, total)
            noise.manual_seed(base ^ step)  # dropout's: of seed and step alone, so a snapshot need not hold it
            losses.append(gradients(x, y))
            update()
            if step == first and gradients.reuses_slopes:
                update = prepared_step(optimizer)
            gradients.keep_pruned_at_zero()
            bar.update()
    losses = torch.stack([torch.as_tensor(loss) for loss in losses]).tolist() if losses else []
    seconds = time.perf_counter() - began
    if not isinstance(model, Stack):
        return History(_table(measured, losses, first, per_epoch), kept, seconds)
    tables = [
        _table([(step, both[n]) for step, both in measured], [loss[n] for loss in losses], first, per_epoch)
        for n in range(model.size)
    ]
    return History(pd.concat([table.assign(network=n) for n, table in enumerate(tables)]), kept, seconds)


def noise_generator(device: torch.device) -> torch.Generator:
    """The generator that layers like Dropout draw from on a device."""
    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


@torch.no_grad()
def measure(model: nn.Module, split: Split, batch_size: int = 500) -> torch.Tensor:
    """Mean loss and accuracy over a whole split as a tensor of two, still on the device (no waiting)."""
    sums = torch.zeros(2, device=split.x.device)
    with evaluation_mode(model):
        if isinstance(model, Stack):
            return _measure_stack(model, split, batch_size)
        for x, y in zip(split.x.split(batch_size), split.y.split(batch_size), strict=True):
            logits = model(x)
            sums += torch.stack([F.cross_entropy(logits, y, reduction="sum"), (logits.argmax(1) == y).sum()])
    return sums / len(split)


def _measure_stack(stack: Stack, split: Split, batch_size: int) -> torch.Tensor:
    sums = torch.zeros(stack.size, 2, device=split.x.device)
    for x, y in zip(split.x.split(batch_size), split.y.split(batch_size), strict=True):
        logits, y = stack(x.expand(stack.size, *x.shape)), y.expand(stack.size, -1)
        losses = F.cross_entropy(logits.transpose(1, 2), y, reduction="none")
        sums += torch.stack([losses.sum(1), (logits.argmax(2) == y).sum(1)], 1)
    return sums / len(split)


def evaluate(model: nn.Module, split: Split) -> dict[str, float]:
    """Mean loss and accuracy (a fraction) of `model` over every example of a split."""
    loss, accuracy = measure(model, split).tolist()
    return {"loss": loss, "accuracy": accuracy}


def _check_devices(model: nn.Module, dataset: Dataset) -> None:
    devices = {p.device for p in model.parameters()}
    if devices != {dataset.device}:
        raise ValueError(f"The model is on {', '.join(sorted(map(str, devices)))}, the data on {dataset.device}. "
                         f'Bring them together: model.to("{dataset.device}").')  # fmt: skip


def _table(measured: list, losses: list[float], first: int, per_epoch: int) -> pd.DataFrame:
    rows = []
    values = torch.stack([both for _, both in measured]).tolist()
    previous = first
    for (step, _), (loss, accuracy) in zip(measured, values, strict=True):
        if step > previous:  # the mean over the batches since the last measurement
            since = losses[previous - first : step - first]
            rows.append((step, "train", "loss", sum(since) / len(since)))
        rows += [(step, "validation", "loss", loss), (step, "validation", "accuracy", accuracy)]
        previous = step
    if not all(math.isfinite(loss) for loss in losses):
        warnings.warn("The training loss became infinite or NaN: the training diverged. Lower lr.", stacklevel=3)
    table = pd.DataFrame(rows, columns=["step", "split", "metric", "value"])
    table.insert(1, "epoch", table["step"] / per_epoch)
    return table


def _has_axis(key: str, value: object) -> bool:
    """Whether an entry of an optimiser's state is one per network: all but Adam's count of steps."""
    return torch.is_tensor(value) and key != "step"


def _copy(state):
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _copy(value) for key, value in state.items()}
    return [_copy(value) for value in state] if isinstance(state, list) else state
