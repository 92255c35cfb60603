"""The one training loop: a generator that can be paused, looked at, changed and stopped."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lthlab._common import IGNORED, evaluation_mode, make_generator, mean_loss, own_noise
from lthlab.batches import Batch, Batches
from lthlab.checks import InputError, checked, show, unchecked
from lthlab.data import Dataset, Split
from lthlab.masks import Masks, check_masks, keep_all
from lthlab.recipes import Duration, Recipe, count_steps
from lthlab.steps import MEMORY, Kind, Loss, State, Step, cross_entropy, find_step, make_optimizer

COLUMNS = ["step", "epoch", "split", "metric", "value"]  # of a history's table


@checked
def training(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    masks: Masks | None = None,
    *,
    seed: int = 0,
    start: State | None = None,
    stops: Iterable[Duration] = (),
    step: Kind = None,
    loss: Loss = cross_entropy,
    batches: Callable[[int], Batch] | None = None,
) -> Iterator["Paused"]:
    """Train `model` in place by `recipe`, and pause at each of `stops`, to be looked at or changed.

    `for now in training(...)`: `now` is the training between two steps (see `Paused`); leaving the
    loop ends the training there. Weights outside `masks` are exactly 0.0 at all times. The order of
    the examples depends on `seed` and the epoch alone. With a `start`, weights, buffers, optimiser,
    schedule and data order resume from that state. `step` is a kind of step: None for autograd, a
    name in STEPS, or a factory (model, masks, recipe, loss) -> Step. `loss` is a function (model,
    x, y); `batches(step)` takes the place of the data set's own order. The test split is never
    looked at.

    Raises ValueError before anything is trained, for masks, data or a device that do not fit the
    model, or, when the loop begins, stops that are not part of this training.
    """
    if torch.is_autocast_enabled(dataset.device.type):
        advice = "leave its block, and put it into your own loss= (or lthlab.fast.TorchOptions)"
        raise InputError(f"torch.autocast keeps old weights from step to step: {advice}.")
    last, first = recipe.steps(dataset), start.step if start else 0
    stops = recipe.within("stops", stops, dataset, first)
    batches = batches or Batches(dataset, recipe.batch_size, seed, recipe.augmentation)
    noise = make_generator(seed, "noise").initial_seed()
    now = Paused(model, recipe, masks or keep_all(model), find_step(step), loss, first)
    now.begin(start)
    for stop in sorted({*stops, last}):
        now.resume()
        try:
            while now.step < stop:
                x, y = batches(now.step)
                for group in now.optimizer.param_groups:
                    group["lr"] = recipe.lr_at(now.step, last)
                # Dropout's noise is of seed and step alone; the caller's random state stays.
                with own_noise(x.device, noise ^ now.step) if now.engine.draws else nullcontext():
                    now.losses.append(now.engine(x, y))  # forward and backward
                now.update()
                now.engine.keep_pruned_at_zero()
                now.step += 1
        finally:  # the network as trained, also after an interrupt in the middle of a step
            now.engine.keep_pruned_at_zero()
            now.engine.store()
        if stop in stops:
            yield now
    now.resume()


@dataclass
class Paused:
    """A training between two steps: what `training` yields.

    `step` says how many steps are behind it, `model` is the network as it is now, `losses` the
    training losses so far. Change `masks` to go on with others: the optimiser's state of dropped
    and of newly grown weights is reset, and new weights begin at 0.0.
    """

    model: nn.Module
    recipe: Recipe
    masks: Masks
    make_step: Callable[..., Step]
    loss: Loss
    step: int
    losses: list = field(default_factory=list)

    def state(self) -> State:
        """A copy of the network and of the optimiser's memory at this step."""
        memory = {
            f"{name}/{kind}": self.engine.to_parameter(name, value).detach().clone()
            for name, parameter in self.engine.trained.items()
            for kind, value in self.optimizer.state[parameter].items()
            if value is not None
        }
        return replace(State.of(self.model, self.step), optimizer=memory)

    def begin(self, start: State | None) -> None:
        """Make step and optimiser for the masks as they are now, with the memory of `start`."""
        memory = start.optimizer if start else {}
        for kind in {key.rpartition("/")[2] for key in memory} - MEMORY[self.recipe.optimizer]:
            raise InputError(
                f"The state (start) remembers {kind!r}, which {self.recipe.optimizer} does not "
                f"use: it was taken while another optimiser trained."
            )
        if start is not None:
            start.restricted(self.masks).restore_(self.model)
        self.own_masks = {name: mask.clone() for name, mask in self.masks.items()}
        self.engine = self.make_step(self.model, self.masks, self.recipe, self.loss)
        if not self.engine.trained:
            raise InputError("model has no parameter that trains: none has requires_grad.")
        self.optimizer = make_optimizer(self.engine.trained.values(), self.recipe)
        self.update, self.own_parts = self.first_update, self._parts()
        for key, value in memory.items():
            name, _, kind = key.rpartition("/")
            if name not in self.engine.trained:  # frozen since
                continue
            parameter = self.engine.trained[name]
            if value.ndim:  # fused kernels walk memory: same shape, same layout
                trained = self.engine.to_trained(name, value)
                value = torch.empty_like(parameter).detach().copy_(trained)
            self.optimizer.state[parameter][kind] = value.to(parameter.device, copy=True)

    def resume(self) -> None:
        """Take over weights and masks as they are now; the pruned weights become 0.0."""
        self.masks, before = self.masks or keep_all(self.model), self.own_masks
        if self.masks:
            check_masks(self.model, self.masks)
        same = all(torch.equal(mask, before[name]) for name, mask in self.masks.items())
        if not same or self._parts() != self.own_parts:
            both = {name: mask & before[name] for name, mask in self.masks.items()}
            self.begin(self.state().restricted(both))
        self.engine.load()
        self.model.train()

    def _parts(self) -> list[tuple]:
        """Which tensors the model trains now: layers may be replaced or frozen in a pause."""
        named = self.model.named_parameters()
        return [(name, id(p), p.data_ptr(), p.requires_grad) for name, p in named]

    def first_update(self) -> None:
        """The optimiser's step; when it has its state, the engine may know a faster one."""
        self.optimizer.step()
        self.update = self.engine.updater(self.optimizer)


During = Mapping[Duration, Callable[[Paused], None]]  # what to do after which durations


@dataclass(frozen=True, eq=False)
class History:
    """What a training left behind.

    `table` is tidy: one row per measurement with columns step, epoch, split, metric (loss or
    accuracy) and value. `states` are the asked-for copies by step, `seconds` the wall time, `masks`
    those that it ended with.
    """

    table: pd.DataFrame
    states: dict[int, State]
    seconds: float
    masks: Masks = field(repr=False)

    @checked
    def value(
        self, metric: str = "accuracy", split: str = "validation", step: int | None = None
    ) -> float:
        """One measured value: the last, or that at `step`; ValueError if it was not measured."""
        rows = self.table.query("metric == @metric and split == @split")
        rows = rows if step is None else rows[rows["step"] == step]
        if rows.empty:
            measured = sorted(self.table["step"].unique().tolist())
            raise InputError(
                f"Nothing measured for {metric}, {split}, step {step}. Measured steps: {measured}."
            )
        return float(rows["value"].iloc[-1])


@checked
def train(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    masks: Masks | None = None,
    *,
    start: State | None = None,
    evaluate_every: Duration = "1ep",
    evaluate_at: Iterable[Duration] = (),
    states: Iterable[Duration] = (),
    during: During | None = None,
    progress: bool | str = False,
    **options: Any,
) -> History:
    """Train `model` in place to the end of `recipe`; weights outside `masks` stay exactly 0.0.

    Validation loss and accuracy are measured at the start, the end, every `evaluate_every` and at
    the steps `evaluate_at`; nothing else makes the device wait. `states` are durations after which
    to keep a `State`. `during` says what to do at which steps, with the training paused: change its
    masks, say. `progress` shows a bar (a string is its label). `options` (seed, step, loss,
    batches) are those of `training`, and so is what is raised.
    """
    per_epoch, last = recipe.steps_per_epoch(dataset), recipe.steps(dataset)
    first = start.step if start else 0
    acts = {count_steps(at, per_epoch): act for at, act in (during or {}).items()}
    during = {at: act for at, act in acts.items() if at >= first}  # the rest was done
    period = count_steps(evaluate_every, per_epoch) or last + 1  # 0: only at the start and the end
    look = {first, last, *range(first + -first % period, last, period)}
    look |= {*recipe.within("evaluate_at", evaluate_at, dataset, first)}
    keep = {*recipe.within("states", states, dataset, first)}
    recipe.within("during", during, dataset, first)
    stops = {*look, *keep, *during, *(range(first, last, 50) if progress else ())}
    began, measured, kept = time.perf_counter(), [], {}
    label = progress if isinstance(progress, str) else "training"
    with tqdm(total=last - first, desc=label, disable=not progress, leave=False) as bar:
        for now in training(model, dataset, recipe, masks, start=start, stops=stops, **options):
            if now.step in look:
                measured.append((now.step, unchecked(measure)(model, dataset.validation)))
            if now.step in keep:
                kept[now.step] = now.state()
            if now.step in during:
                during[now.step](now)
            bar.update(now.step - first - bar.n)
    table = _measurements(measured, now.losses, first, per_epoch)
    return History(table, kept, time.perf_counter() - began, now.masks)


@checked
@torch.no_grad()
def predict(model: nn.Module, split: Split) -> Tensor:
    """The logits of a split in evaluation mode: (examples, classes), or (words, 15, tokens)."""
    with evaluation_mode(model):
        return torch.cat([model(x) for x in split.x.split(500)])


@checked
def measure(model: nn.Module, split: Split) -> Tensor:
    """Mean loss and accuracy over a whole split as a tensor of two, on the device (no waiting)."""
    logits = unchecked(predict)(model, split)
    right = unchecked(right_answers)(logits, split)
    return torch.stack([mean_loss(logits, split.y), right.float().mean()])


@checked
def right_answers(logits: Tensor, split: Split) -> Tensor:
    """Which answers are right: one bool for each target that counts."""
    if logits.shape[:-1] != split.y.shape:
        raise InputError(f"logits has a row for each label of split; got {show(logits)}.")
    return (logits.argmax(-1) == split.y)[split.y != IGNORED]


@checked
def evaluate(model: nn.Module, split: Split) -> dict[str, float]:
    """Mean loss and accuracy (a fraction) of `model` over every example of a split."""
    loss, accuracy = measure(model, split).tolist()
    return {"loss": loss, "accuracy": accuracy}


def _measurements(
    measured: list[tuple[int, Tensor]], losses: list, first: int, per_epoch: int
) -> pd.DataFrame:
    """The table of a history, from (step, loss and accuracy) pairs and the loss of every step."""
    losses = torch.stack([torch.as_tensor(loss) for loss in losses]).tolist() if losses else []
    if not all(math.isfinite(loss) for loss in losses):
        warnings.warn(
            "The training loss became infinite or NaN: it diverged. Lower lr.", stacklevel=4
        )
    rows, previous = [], first
    for step, both in measured:
        at = step, step / per_epoch
        if step > previous:  # the mean over the batches since the last measurement
            since = losses[previous - first : step - first]
            rows.append((*at, "train", "loss", sum(since) / len(since)))
        for metric, value in zip(("loss", "accuracy"), both.tolist(), strict=True):
            rows.append((*at, "validation", metric, value))
        previous = step
    return pd.DataFrame(rows, columns=COLUMNS)
