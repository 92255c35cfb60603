"""Arms: what each experiment trains, as small functions of a run, a seed and a level."""

import functools
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from lthlab._common import load_tensors
from lthlab.data import Dataset, load_dataset
from lthlab.masks import Masks, density, full_masks, shuffle_masks
from lthlab.models import build_model
from lthlab.pruning import prune, random
from lthlab.recipes import Recipe, count_steps
from lthlab.sparse import chain_of
from lthlab.tickets import pruning_rates, reinitialize
from lthlab.training import Snapshot, make_optimizer


@dataclass(frozen=True)
class Start:
    """Where a training begins: its masks, the snapshot to go on from, and the recipe where it is not the run's."""

    masks: Masks
    snapshot: Snapshot
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Run:
    """What defines a run, and the folder that holds its finished levels, one file each."""

    model: str | Callable[[Dataset, int], nn.Module]
    dataset: str | Dataset
    recipe: Recipe
    rewind_to: str | int
    evaluate_every: str | int
    evaluate_at: tuple[str | int, ...]
    folder: Path
    sparse_below: float = 0.0  # the density below which fully connected networks train on their kept weights alone

    @property
    def data(self) -> Dataset:
        return _load_once(self.dataset) if isinstance(self.dataset, str) else self.dataset

    @property
    def model_name(self) -> str:
        name = self.model if isinstance(self.model, str) else getattr(self.model, "__name__", "network")
        return re.sub(r"[^\w.-]+", "", name) or "network"

    @property
    def rewind_step(self) -> int:
        return count_steps(self.rewind_to, self.recipe.steps_per_epoch(self.data))

    def build(self, seed: int) -> nn.Module:
        """The network with the initial values of a seed."""
        return build_model(self.model, self.data, seed) if isinstance(self.model, str) else self.model(self.data, seed)

    def path(self, arm: str, seed: int, level: int) -> Path:
        """The file of a finished level. Its folder's name is a digest of all that defines the run."""
        model = self.build(0)
        settings = asdict(self.recipe) | ({"sparse_below": self.sparse_below} if chain_of(model) else {}) | {
            "version": 1, "model": self.model_name, "dataset": self.data.name, "data": _fingerprint(self.data),
            "network": _describe(model), "device": self.data.device.type, "torch": torch.__version__,
            "rewind": self.rewind_step, "every": self.evaluate_every, "at": list(self.evaluate_at),
        }  # fmt: skip
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
        name = f"{self.model_name}-{self.data.name}-{key}"
        return self.folder / name / arm.replace(" ", "-") / f"seed-{seed:03d}-level-{level:02d}.safetensors"

    def masks(self, arm: str, seed: int, level: int) -> Masks:
        """The masks that a finished level was trained with."""
        return self._tensors(arm, seed, level, "mask")

    def trained(self, arm: str, seed: int, level: int) -> dict[str, torch.Tensor]:
        """The state that a finished level was trained to."""
        return self._tensors(arm, seed, level, "trained")

    def start(self, seed: int) -> Snapshot:
        """The snapshot at the rewind step: weights, buffers and optimiser state."""
        state, groups = self._tensors("dense", seed, 0, "optimizer"), self.read("dense", seed, 0)[1]["optimizer"]
        optimizer = {"state": {}, "param_groups": json.loads(groups)}
        for name, tensor in state.items():
            number, key = name.split("/")
            optimizer["state"].setdefault(int(number), {})[key] = tensor
        return Snapshot(self.rewind_step, self._tensors("dense", seed, 0, "start"), optimizer)

    def pruned(self, arm: str, seed: int, level: int) -> Masks:
        """The masks after one more pruning by magnitude of what the level before was trained to."""
        before = (arm, seed, level - 1) if level > 1 else ("dense", seed, 0)
        masks, trained = self.masks(*before), self.trained(*before)
        scores = {name: trained[name].abs() for name in masks}
        return prune(scores, masks, pruning_rates(masks, self.recipe), self.recipe.scope)

    def _tensors(self, arm: str, seed: int, level: int, part: str) -> dict[str, torch.Tensor]:
        tensors = self.read(arm, seed, level)[0]
        chosen = {name.removeprefix(part + "/"): t for name, t in tensors.items() if name.startswith(part + "/")}
        return {name: t.to(self.data.device) for name, t in chosen.items()}

    def read(self, arm: str, seed: int, level: int) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """All tensors and metadata of a finished level; ValueError if its file is missing or damaged."""
        return load_tensors(self.path(arm, seed, level), "level")


# An arm says where the training of one level begins. To add one, write a function and name it in ARMS.


def dense(run: Run, seed: int, level: int) -> Start:
    """The whole network from its initial values: level 0 of every pruning."""
    model = run.build(seed)
    return Start(full_masks(model), Snapshot.take(0, model, make_optimizer(model, run.recipe)))


def ticket(run: Run, seed: int, level: int) -> Start:
    """IMP: weights, optimiser, schedule and data order rewound to the snapshot (Frankle et al. 2020)."""
    return Start(run.pruned("ticket", seed, level), run.start(seed))


def reinitialised(run: Run, seed: int, level: int) -> Start:
    """The ticket's masks on newly drawn values, trained from step 0 (Frankle & Carbin 2019, section 2)."""
    masks, first = run.masks("ticket", seed, level), dense(run, seed, 0).snapshot
    fresh = reinitialize(run.build(seed), masks, seed=1_000_000 + seed)
    return Start(masks, replace(first, model=fresh.state_dict()))


def shuffled(run: Run, seed: int, level: int) -> Start:
    """The ticket's masks shuffled within layers, values kept (Frankle et al. 2021, section 5)."""
    return Start(shuffle_masks(run.masks("ticket", seed, level), seed), run.start(seed))


def randomly_pruned(run: Run, seed: int, level: int) -> Start:
    """Weights removed by chance, nested over levels, as many per layer as in the ticket."""
    kept, model = run.masks("ticket", seed, level), run.build(seed)
    fractions = {name: 1 - density({name: mask}) for name, mask in kept.items()}
    return Start(prune(random(model, seed), full_masks(model), fractions), run.start(seed))


def signs(run: Run, seed: int, level: int) -> Start:
    """The ticket's masks; every value becomes its sign times its layer's standard deviation (Zhou et al. 2019)."""
    masks, start = run.masks("ticket", seed, level), run.start(seed)
    constant = {name: start.model[name].sign() * start.model[name].std() for name in masks}
    return Start(masks, replace(start, model=start.model | constant))


def learning_rate_rewinding(run: Run, seed: int, level: int) -> Start:
    """Weights go on from where the last level ended, the schedule is rewound (Renda et al. 2020)."""
    before = ("learning-rate rewinding", seed, level - 1) if level > 1 else ("dense", seed, 0)
    masks = run.pruned("learning-rate rewinding", seed, level)
    return Start(masks, replace(run.start(seed), model=run.trained(*before)))


def fine_tuning(run: Run, seed: int, level: int) -> Start:
    """Weights go on at the last learning rate for as many steps (Han et al. 2015; Renda et al. 2020).

    A cosine schedule ends at 0, where nothing moves; there 1 % of the first rate is taken.
    """
    before = ("fine-tuning", seed, level - 1) if level > 1 else ("dense", seed, 0)
    total = run.recipe.steps(run.data)
    last = 0.01 * run.recipe.lr if run.recipe.schedule == "cosine" else run.recipe.lr_at(total, total)
    recipe = replace(run.recipe, lr=last, schedule="constant", milestones=(), warmup=0,
                     duration=f"{total - run.rewind_step}it")  # fmt: skip
    first = dense(run, seed, 0).snapshot
    return Start(run.pruned("fine-tuning", seed, level), replace(first, model=run.trained(*before)), recipe)


ARMS: dict[str, Callable[[Run, int, int], Start]] = {
    "dense": dense,
    "ticket": ticket,
    "reinitialised": reinitialised,
    "shuffled": shuffled,
    "random": randomly_pruned,
    "signs": signs,
    "learning-rate rewinding": learning_rate_rewinding,
    "fine-tuning": fine_tuning,
}
CHAINS = ("ticket", "learning-rate rewinding", "fine-tuning")  # each level needs the one before


@functools.lru_cache(maxsize=2)
def _load_once(name: str) -> Dataset:
    return load_dataset(name)


def _describe(model: nn.Module) -> str:
    """A digest of a network: its printed structure and its initial values."""
    digest = hashlib.sha256(repr(model).encode() + "".join(getattr(model, "keep_dense", ())).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=4)
def _digest_of(*tensors: torch.Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _fingerprint(dataset: Dataset) -> str:
    """A digest of all inputs and labels, so that other data under the same name are another run."""
    return _digest_of(*(t for part in (dataset.train, dataset.validation, dataset.test) for t in (part.x, part.y)))
