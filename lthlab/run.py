"""A run: what defines an experiment, and the files of its finished levels."""

import functools
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from lthlab._common import load_tensors, make_generator
from lthlab.data import Dataset, load_dataset
from lthlab.masks import Masks, full_masks
from lthlab.models import build_model
from lthlab.pruning import prune
from lthlab.recipes import Recipe, count_steps
from lthlab.sparse import PLAIN, Speed, chain_of
from lthlab.tickets import level_sizes, pruning_rates
from lthlab.training import Snapshot, noise_generator


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
    speed: Speed = PLAIN
    stack: int = 1  # how many seeds train in one step

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
        """The network with the initial values of a seed.

        A function of one's own may leave the seed alone: what it draws from torch's generator depends on it too.
        """
        if isinstance(self.model, str):
            return build_model(self.model, self.data, seed)
        device, generator = self.data.device, make_generator(seed, "initialisation")
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            noise_generator(device).manual_seed(generator.initial_seed())
            torch.set_rng_state(generator.get_state())
            return self.model(self.data, seed).to(device)

    def path(self, arm: str, seed: int, level: int) -> Path:
        """The file of a finished level. Its folder's name is a digest of all that defines the run."""
        model = self.build(0)
        # Settings that came later count where they are used, so that older runs keep their names.
        recipe = {key: value for key, value in asdict(self.recipe).items() if (key, value) != ("augmentation", "none")}
        recipe |= {"speed": asdict(self.speed)} if self.speed != PLAIN else {}
        recipe |= {"stack": self.stack} if self.stack > 1 else {}
        settings = recipe | ({"sparse_below": self.sparse_below} if chain_of(model) else {}) | {
            "version": 1, "model": self.model_name, "dataset": self.data.name, "data": _fingerprint(self.data),
            "network": describe(model), "device": self.data.device.type, "torch": torch.__version__,
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

    def density(self, level: int) -> float:
        """The density that IMP leaves at a level, by the recipe's rates alone."""
        masks = full_masks(self.build(0))
        kept = next(islice(level_sizes(masks, self.recipe), level, None))
        return sum(kept.values()) / sum(mask.numel() for mask in masks.values())

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


@functools.lru_cache(maxsize=2)
def _load_once(name: str) -> Dataset:
    return load_dataset(name)


def describe(model: nn.Module) -> str:
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
