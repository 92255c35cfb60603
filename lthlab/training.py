"""The one training loop of the project, and the history it returns."""

import math
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from lthlab._common import evaluation_mode, make_generator
from lthlab.data import Dataset, Split
from lthlab.masks import Masks, check_masks
from lthlab.recipes import OPTIMIZERS, Recipe, count_steps
from lthlab.sparse import choose_step


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
    seed: int = 0,
    start: Snapshot | None = None,
    until: str | int | None = None,
    snapshots: Iterable[str | int] = (),
    evaluate_every: str | int = "1ep",
    evaluate_at: Iterable[str | int] = (),
    progress: bool | str = False,
) -> History:
    """Train `model` in place by `recipe`; weights outside `masks` stay exactly 0.0 throughout.

    The order of the examples depends on `seed` and the epoch alone. From a `start` snapshot the model,
    its buffers, the optimiser, the schedule and the data order go on where it was taken. `until` stops
    at a step before the recipe's end, on the recipe's schedule. Validation loss and accuracy are measured
    at the start, the end, every `evaluate_every` and at the steps `evaluate_at`; nothing else makes the
    device wait. `snapshots` are durations after which to keep a `Snapshot`. `progress` shows a bar (a
    string is its label). The test split is never looked at.

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

    gradients = choose_step(model, masks, recipe.batch_size)
    optimizer = make_optimizer(gradients, recipe)
    if start:
        start.restore_(model, optimizer, gradients.narrow)
    gradients.read()

    began, kept, measured = time.perf_counter(), {}, []
    losses, update = [], optimizer.step  # losses are read once, at the end
    label = progress if isinstance(progress, str) else "training"
    noise, base = noise_generator(dataset.device), make_generator(seed, "noise").initial_seed()
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
            epoch, batch = divmod(step, per_epoch)
            if batch == 0 or step == first:
                model.train()
                order = example_order(dataset, seed, epoch)
            chosen = order[batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
            x, y = dataset.train.x.index_select(0, chosen), dataset.train.y.index_select(0, chosen)
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
    return History(_table(measured, losses, first, per_epoch), kept, time.perf_counter() - began)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters, in PyTorch's fused form (one kernel per step)."""
    options = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        options["momentum"] = recipe.momentum
    return OPTIMIZERS[recipe.optimizer](model.parameters(), **options)


def prepared_step(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """`optimizer.step` for gradients that stay where they are: its own fused kernel, called directly.

    At every call PyTorch collects parameters, gradients and state anew; on small networks that takes as
    long as the kernel. To be made after the first step, which creates the state.
    """
    (group,) = optimizer.param_groups
    tensors = group["params"], [p.grad for p in group["params"]]
    states = [optimizer.state[p] for p in group["params"]]
    names = ["momentum_buffer"] if isinstance(optimizer, torch.optim.SGD) else ["exp_avg", "exp_avg_sq"]
    state = [[entry[name] for entry in states if entry.get(name) is not None] for name in names]
    fixed = {"weight_decay": group["weight_decay"], "maximize": False, "grad_scale": None, "found_inf": None}
    if isinstance(optimizer, torch.optim.SGD):
        fixed |= {"momentum": group["momentum"], "dampening": 0.0, "nesterov": False, "is_first_step": False}
        return lambda: torch._fused_sgd_(*tensors, *state, lr=group["lr"], **fixed)
    fixed |= {"beta1": group["betas"][0], "beta2": group["betas"][1], "eps": group["eps"], "amsgrad": False}
    kernel = torch._fused_adamw_ if isinstance(optimizer, torch.optim.AdamW) else torch._fused_adam_
    steps = [entry["step"] for entry in states]

    def step() -> None:
        torch._foreach_add_(steps, 1)
        kernel(*tensors, *state, [], steps, lr=group["lr"], **fixed)

    return step


def noise_generator(device: torch.device) -> torch.Generator:
    """The generator that layers like Dropout draw from on a device."""
    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]


def example_order(dataset: Dataset, seed: int, epoch: int) -> torch.Tensor:
    """The order of the training examples in one epoch; drawn on the CPU, so every device sees the same."""
    generator = make_generator(seed, "data order", epoch)
    return torch.randperm(len(dataset.train), generator=generator).to(dataset.device)


@torch.no_grad()
def measure(model: nn.Module, split: Split, batch_size: int = 500) -> torch.Tensor:
    """Mean loss and accuracy over a whole split as a tensor of two, still on the device (no waiting)."""
    sums = torch.zeros(2, device=split.x.device)
    with evaluation_mode(model):
        for x, y in zip(split.x.split(batch_size), split.y.split(batch_size), strict=True):
            logits = model(x)
            sums += torch.stack([F.cross_entropy(logits, y, reduction="sum"), (logits.argmax(1) == y).sum()])
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


def _copy(state):
    if isinstance(state, torch.Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _copy(value) for key, value in state.items()}
    return [_copy(value) for value in state] if isinstance(state, list) else state
