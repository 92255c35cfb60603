"""The one training loop of the project, the recipes it follows and the history it returns."""

import math
import numbers
import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pandas as pd
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from lthlab._common import evaluation_mode, make_generator, unknown_name
from lthlab.data import Dataset, Split
from lthlab.masks import Masks, check_masks, mask_applier

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES = ("constant", "cosine", "drops")


def count_steps(duration: str | int, steps_per_epoch: int) -> int:
    """Iterations in a duration: 500, "500it", "2ep" or "2ep50it". ValueError for anything else."""
    if isinstance(duration, numbers.Integral) and duration >= 0:
        return int(duration)
    match = re.fullmatch(r"(?:(\d+)ep)?(?:(\d+)it)?", str(duration))
    if not duration or not match:
        raise ValueError(f'A duration reads "10ep", "500it", "2ep50it" or is a number of iterations; got {duration!r}.')
    return int(match[1] or 0) * steps_per_epoch + int(match[2] or 0)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained and how much of it is pruned per level.

    `duration` is in epochs ("10ep"), iterations ("500it") or both. `schedule` multiplies the learning
    rate `lr`: "constant"; "cosine" falls to 0; "drops" is x0.1 at each of the iterations `milestones`.
    `warmup` iterations rise linearly to `lr`. `fractions` of the remaining weights go at each level,
    by kind of layer for scope "layer" (see `layer_fractions`) or {"all": f} for scope "global".
    """

    optimizer: str = "adam"
    lr: float = 1.2e-3
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 60
    duration: str = "10ep"
    schedule: str = "constant"
    milestones: tuple[int, ...] = ()
    warmup: int = 0
    fractions: dict[str, float] = field(default_factory=lambda: {"fc": 0.2, "conv": 0.2, "output": 0.1})
    scope: str = "layer"

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise unknown_name("optimizer", self.optimizer, list(OPTIMIZERS))
        if self.schedule not in SCHEDULES:
            raise unknown_name("schedule", self.schedule, list(SCHEDULES))
        if not (0 < self.lr < math.inf) or self.batch_size < 1:
            raise ValueError(f"lr and batch_size must be positive; got {self.lr} and {self.batch_size}.")
        if min(self.momentum, self.weight_decay, self.warmup) < 0 or (self.milestones and self.schedule != "drops"):
            raise ValueError("momentum, weight_decay and warmup are 0 or more; milestones belong to schedule 'drops'.")
        if self.scope not in ("layer", "global"):
            raise unknown_name("scope", self.scope, ["layer", "global"])
        expected = {"all"} if self.scope == "global" else {"fc", "conv", "output"}
        if not self.fractions.keys() <= expected or (self.scope == "global" and not self.fractions):
            raise ValueError(f"fractions for scope {self.scope!r} are given for {', '.join(sorted(expected))}; "
                             f"got {', '.join(self.fractions)}.")  # fmt: skip
        if not all(0 <= fraction <= 1 for fraction in self.fractions.values()):
            raise ValueError(f"A fraction to prune lies between 0 and 1 (0.2 is 20 %); got {self.fractions}.")
        count_steps(self.duration, 1)
        object.__setattr__(self, "fractions", dict(self.fractions))  # no two recipes share one dict

    def steps(self, dataset: Dataset) -> int:
        """The length of training in iterations on this data set."""
        return count_steps(self.duration, self.steps_per_epoch(dataset))

    def steps_per_epoch(self, dataset: Dataset) -> int:
        """Iterations per epoch: full batches only, a new order each epoch decides which examples wait."""
        if self.batch_size > len(dataset.train):
            raise ValueError(f"Batches of {self.batch_size} need more than the {len(dataset.train)} training examples.")
        return len(dataset.train) // self.batch_size

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate of iteration `step` (0 is the first) out of `total`."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * step / total)) / 2
        if self.schedule == "drops":
            return self.lr * 0.1 ** sum(step >= milestone for milestone in self.milestones)
        return self.lr


# Frankle & Carbin 2019, Figure 2, where resnet-20 goes by the name Resnet-18 (drops at 20K and 25K: appendix I).
_CONV = {"fc": 0.2, "conv": 0.1, "output": 0.1}
PAPER_RECIPES = {
    "lenet-300-100": Recipe("adam", 1.2e-3, batch_size=60, duration="50000it"),
    "conv-2": Recipe("adam", 2e-4, batch_size=60, duration="20000it", fractions=_CONV),
    "conv-4": Recipe("adam", 3e-4, batch_size=60, duration="25000it", fractions=_CONV),
    "conv-6": Recipe("adam", 3e-4, batch_size=60, duration="30000it", fractions=_CONV | {"conv": 0.15}),
    "resnet-20": Recipe(
        "sgd", 0.1, 0.9, 1e-4, 128, "30000it", "drops", (20_000, 25_000), fractions={"all": 0.2}, scope="global"
    ),
}
MLP_RECIPE = Recipe("sgd", 0.1, 0.9, batch_size=100, duration="20ep", schedule="cosine")
RESNET1D_RECIPE = Recipe(
    "sgd", 0.4, 0.9, 1e-4, 100, "12ep", "cosine", fractions={"all": 0.2}, scope="global"
)  # fmt: skip


def recipe_for(model_name: str, dataset: Dataset | str) -> Recipe:
    """The paper's recipe for a network, shortened to 10 epochs on the embedded sets.

    Networks that no paper of this course trains (`mlp-...`, `resnet1d-...`) get the recipe of our
    own experiments on mnist1d. Raises ValueError for a network without a recipe.
    """
    dataset_name = dataset if isinstance(dataset, str) else dataset.name
    if model_name.startswith("mlp-"):
        return MLP_RECIPE
    if model_name.startswith("resnet1d-"):
        return RESNET1D_RECIPE
    if model_name not in PAPER_RECIPES:
        raise unknown_name("recipe", model_name, [*PAPER_RECIPES, "mlp-...", "resnet1d-..."], "Or make a Recipe(...).")
    recipe = PAPER_RECIPES[model_name]
    if dataset_name in ("fashion-mini", "mnist1d"):
        return replace(recipe, duration="10ep", schedule="constant", milestones=())
    return recipe


@dataclass(frozen=True)
class Snapshot:
    """A copy of all that a training needs to go on from `step`: weights, buffers and optimiser state."""

    step: int
    model: dict[str, torch.Tensor]
    optimizer: dict
    kind: str = ""  # of the optimiser

    @classmethod
    def take(cls, step: int, model: nn.Module, optimizer: torch.optim.Optimizer) -> "Snapshot":
        states = (_copy(part.state_dict()) for part in (model, optimizer))
        return cls(step, *states, kind=type(optimizer).__name__)

    def restore_(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Copy the values back; the snapshot itself is never handed out, so training cannot change it."""
        if optimizer is not None and self.kind not in ("", type(optimizer).__name__) and self.optimizer["state"]:
            raise ValueError(f"The snapshot was taken with {self.kind}, the recipe trains with "
                             f"{type(optimizer).__name__}: their states do not fit each other.")  # fmt: skip
        model.load_state_dict(self.model)  # copies
        if optimizer is not None:  # the state of the snapshot, the settings of this recipe
            pairs = zip(optimizer.state_dict()["param_groups"], self.optimizer["param_groups"], strict=True)
            groups = [own | {"lr": saved["lr"]} for own, saved in pairs]
            optimizer.load_state_dict({"state": _copy(self.optimizer["state"]), "param_groups": groups})


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
    snapshots: Iterable[str | int] = (),
    evaluate_every: str | int = "1ep",
    evaluate_at: Iterable[str | int] = (),
    progress: bool | str = False,
) -> History:
    """Train `model` in place by `recipe`; weights outside `masks` stay exactly 0.0 throughout.

    The order of the examples depends on `seed` and the epoch alone. From a `start` snapshot the model,
    its buffers, the optimiser, the schedule and the data order go on where it was taken. Validation
    loss and accuracy are measured at the start, the end, every `evaluate_every` and at the steps
    `evaluate_at`; nothing else makes the device wait. `snapshots` are durations after which to keep a
    `Snapshot`. `progress` shows a bar (a string is its label). The test split is never looked at.

    Raises ValueError for masks of another model or durations outside the training.
    """
    _check_devices(model, dataset)
    if masks is not None:
        check_masks(model, masks)  # before anything is changed
    per_epoch, total = recipe.steps_per_epoch(dataset), recipe.steps(dataset)
    first = start.step if start else 0
    period = count_steps(evaluate_every, per_epoch) or total + 1  # 0: only at the start and the end
    stops = {first, total} | {count_steps(d, per_epoch) for d in evaluate_at}
    keep_at = {count_steps(d, per_epoch) for d in snapshots}
    if outside := sorted(step for step in stops | keep_at if step > total or (step < first and step in keep_at)):
        raise ValueError(f"This training runs from step {first} to {total}; step {outside[0]} is not part of it.")

    optimizer = make_optimizer(model, recipe)
    if start:
        start.restore_(model, optimizer)
    keep_pruned_at_zero = mask_applier(model, masks) if masks is not None else (lambda: None)
    keep_pruned_at_zero()

    began, kept, measured = time.perf_counter(), {}, []
    losses = torch.zeros(total - first, device=dataset.device)  # read once, at the end
    label = progress if isinstance(progress, str) else "training"
    noise, base = noise_generator(dataset.device), make_generator(seed, "noise").initial_seed()
    with (
        torch.random.fork_rng(devices=[dataset.device] if dataset.device.type == "cuda" else []),
        tqdm(total=total - first, desc=label, unit="it", disable=not progress, leave=False, mininterval=0.5) as bar,
    ):
        for step in range(first, total + 1):
            if step % period == 0 or step in stops:
                measured.append((step, measure(model, dataset.validation)))
            if step in keep_at:
                kept[step] = Snapshot.take(step, model, optimizer)
            if step == total:
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
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            keep_pruned_at_zero()
            losses[step - first] = loss.detach()
            bar.update()
    return History(_table(measured, losses, first, per_epoch), kept, time.perf_counter() - began)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters, in PyTorch's fused form (one kernel per step)."""
    options = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        options["momentum"] = recipe.momentum
    return OPTIMIZERS[recipe.optimizer](model.parameters(), **options)


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


def _table(measured: list, losses: torch.Tensor, first: int, per_epoch: int) -> pd.DataFrame:
    rows, losses = [], losses.tolist()
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
