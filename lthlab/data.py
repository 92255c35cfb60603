"""Whole data sets as normalised tensors on one device."""

import functools
import io
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import platformdirs
import torch
from torch import Tensor

from lthlab._common import check_labels, make_generator
from lthlab.checks import Device, InputError, Location, Name, check, checked, show
from lthlab.downloads import load_full
from lthlab.words import LETTERS, encode, known_words

FASHION = "T-shirt trouser pullover dress coat sandal shirt sneaker bag boot"
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
DIGITS = "0 1 2 3 4 5 6 7 8 9"

# The classes of each data set, and how many training examples become the validation split.
DATASETS = {
    "fashion-mini": (FASHION, 2_000),
    "mnist1d": (DIGITS, 2_000),
    "words": (" ".join(LETTERS), 5_751),
    "mnist": (DIGITS, 5_000),
    "fashion-mnist": (FASHION, 5_000),
    "cifar10": (CIFAR10, 5_000),
}
_UNCHANGED = torch.tensor([0]), torch.tensor([1])  # mean and std of tokens
_GENERATING = threading.Lock()


def _as_tensor(array: Any) -> Tensor:
    """An array as a tensor, also one that is mirrored, foreign in its bytes, or unsigned."""
    if isinstance(array, Tensor):
        return array.detach()
    array = np.asarray(array)
    kind = array.dtype if array.dtype == np.uint8 else np.promote_types(array.dtype, np.int16)
    return torch.from_numpy(np.ascontiguousarray(array, kind))


def _is_finite(array: Any) -> bool:
    """Whether this is an array of numbers, or can be made one, without NaN and infinity."""
    try:
        array = _as_tensor(array)
        # The ends carry NaN, and take no memory; a meta tensor has no values.
        ends = array.aminmax() if array.numel() and not array.is_meta else ()
        return all(end.isfinite() for end in ends)
    except (TypeError, ValueError, RuntimeError):  # text, a function, rows of different lengths
        return False


Finite = Annotated[Tensor, "a tensor of finite numbers", _is_finite]
Array = Annotated[Any, "an array of finite numbers", _is_finite]


@checked
@dataclass(frozen=True, eq=False)
class Split:
    """Inputs `x` (examples first, float32; int64 for tokens) and class numbers `y` (int64).

    One class number an example; for a language model one a place, -100 where it does not count.
    """

    x: Finite
    y: Tensor

    def __post_init__(self):
        check_pairs("x and y", self.x, self.y)
        if self.x.requires_grad:
            raise InputError("x are data, so no gradient is computed for them: take x.detach().")

    def __len__(self) -> int:
        return len(self.y)


@checked
@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in three splits; `mean` and `std` (of the training split) undo the normalisation.

    Raises ValueError for labels that are not whole numbers or lie outside the classes.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor

    def __post_init__(self):
        for name, split in self._splits().items():
            check_labels(f"{name}.y", split.y, len(self.classes))
            for own, other in ((split.x, self.train.x), (split.y, self.train.y)):
                if own.shape[1:] != other.shape[1:] or own.dtype != other.dtype:
                    came = f"{show(own)} in {name}, {show(other)} in train"
                    raise InputError(f"All splits hold examples of one shape and type; got {came}.")

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example: (1, 28, 28) for small images, (1, 40) for mnist1d, (15,) words."""
        return tuple(self.train.x.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.train.x.device

    @checked
    def to(self, device: Device) -> "Dataset":
        """The same data on another device."""
        moved = {name: Split(s.x.to(device), s.y.to(device)) for name, s in self._splits().items()}
        return replace(self, **moved, mean=self.mean.to(device), std=self.std.to(device))

    def pictures(self, x: Tensor) -> Tensor:
        """Undo the normalisation: `x` as pixel values 0..1 (or raw signals), on the CPU."""
        return (x * self.std + self.mean).cpu()

    def _splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split):,} {name}" for name, split in self._splits().items())
        inputs = f"{'x'.join(map(str, self.input_shape))} inputs on {self.device}"
        return f"Dataset({self.name}: {sizes}; {len(self.classes)} classes, {inputs})"


def default_device() -> torch.device:
    """The device used when none is named: $LTHLAB_DEVICE, else CUDA if there, else the CPU."""
    found = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(check("LTHLAB_DEVICE", os.environ.get("LTHLAB_DEVICE") or found, Device))


@checked
def load_dataset(
    name: Literal[*DATASETS],
    device: Device | None = None,
    root: Location | None = None,
) -> Dataset:
    """Load a whole data set onto one device, normalised by the training split's mean and deviation.

    Three need no network: `fashion-mini` (8,000 / 2,000 / 2,000 images of 1x28x28) and `words`
    (46,010 / 5,751 / 5,751 English words as 15 tokens and 15 targets, see `words.encode`) come with
    the package, and `mnist1d` (8,000 / 2,000 / 2,000 signals of 1x40; Greydanus & Kobak 2024)
    is generated. `mnist`, `fashion-mnist` and `cifar10` are downloaded once into `root`
    ($LTHLAB_DATA, else the user's cache folder, ~/.cache/lthlab on Linux); 5,000 of their training
    examples are the validation split (Frankle & Carbin 2019, appendix G). The validation split is
    the same in every run, balanced over classes (of images and signals), and does not depend on any
    seed.

    Raises ValueError for an unknown name and OSError when a full data set can be neither found nor
    downloaded, or its files are damaged.
    """
    if name == "words":
        return _words().to(device or default_device())
    if name == "fashion-mini":
        packed = resources.files("lthlab").joinpath("assets/fashion_mini.npz").read_bytes()
        arrays = _unpack(packed, "x_train", "y_train", "x_test", "y_test")
    elif name == "mnist1d":
        with _GENERATING:  # two threads at once wait for one generation
            arrays = _unpack(_generate_mnist1d(), "x", "y", "x_test", "y_test")
    else:
        folder = root or os.environ.get("LTHLAB_DATA") or platformdirs.user_cache_dir("lthlab")
        arrays = load_full(name, Path(folder).expanduser())
    x, y, x_test, y_test = arrays
    if name != "cifar10":  # the others come without a channel axis
        x, x_test = x[:, None], x_test[:, None]
    classes, held_out = DATASETS[name]
    return make_dataset(name, x, y, x_test, y_test, classes.split(), held_out, device)


@checked
def make_dataset(
    name: Name,
    x: Array,
    y: Array,
    x_test: Array,
    y_test: Array,
    classes: str | Sequence[str],
    held_out: int,
    device: Device | None = None,
    tokens: bool = False,
) -> Dataset:
    """A `Dataset` from arrays: `x` of shape (examples, channels, ...), `y` class numbers.

    uint8 inputs are taken as pixels 0..255. With `tokens` inputs are whole numbers for an
    nn.Embedding and stay as they are, not normalised. `held_out` training examples become the
    validation split: the same number of each class as far as that divides, but more than half of a
    class only when nothing else is left, and its last example last of all. Raises ValueError if
    inputs and labels do not fit.
    """
    x, y, x_test, y_test = (_as_tensor(array).cpu() for array in (x, y, x_test, y_test))
    if (x.dtype == torch.uint8) != (x_test.dtype == torch.uint8):
        kinds = f"got {x.dtype} and {x_test.dtype}"
        raise InputError(f"x and x_test are both pixels 0..255 (uint8), or neither; {kinds}.")
    for kind, inputs, labels in (("", x, y), ("_test", x_test, y_test)):
        check_pairs(f"x{kind} and y{kind}", inputs, labels, axes=1)
        check_labels(f"y{kind}", labels, len(classes))
    if held_out >= len(x):
        raise InputError(f"held_out leaves some of {len(x)} examples to train on; got {held_out}.")
    y, y_test = y.long(), y_test.long()
    validation = _choose_validation(y, held_out)
    train = torch.ones(len(y), dtype=torch.bool).index_fill(0, validation, False)
    if tokens:
        x, x_test = x.long(), x_test.long()
        mean, std = _UNCHANGED
    else:
        x, x_test = (p.float() / (255 if p.dtype == torch.uint8 else 1) for p in (x, x_test))
        mean, std = _mean_and_std(x[train])
        x, x_test = (x - mean) / std, (x_test - mean) / std
    splits = Split(x[train], y[train]), Split(x[validation], y[validation]), Split(x_test, y_test)
    dataset = Dataset(name, *splits, tuple(classes), mean, std)
    return dataset.to(device or default_device())


def check_pairs(names: str, x: Tensor, y: Tensor, axes: int = 0) -> None:
    """Raise InputError unless there are inputs, with labels of so many axes (0: any) for each."""
    if x.dim() < 2 or not 0 < len(x) == (len(y) if y.dim() else 0) or y.dim() != (axes or y.dim()):
        expected = "must pair up: one or more inputs, and a class number (0, 1, 2, ...) for each"
        raise InputError(f"{names} {expected}; got {show(x)} and {show(y)}.")


def _words() -> Dataset:
    """The words in a fixed order: 80 % to train on, 10 % each for validation and testing."""
    x, y = encode(known_words())
    order = torch.randperm(len(x), generator=make_generator(0, "words"))
    classes, held_out = DATASETS["words"]
    sizes = [len(x) - 2 * held_out, held_out, held_out]
    splits = [Split(x[part], y[part]) for part in order.split(sizes)]
    return Dataset("words", *splits, tuple(classes.split()), *_UNCHANGED)


def _choose_validation(y: Tensor, held_out: int) -> Tensor:
    """The first examples of every class in a fixed random order: halves first, their last last."""
    shuffled = torch.randperm(len(y), generator=make_generator(0, "validation split"))
    turn = torch.empty_like(y)  # how many of its class come before an example: 0, 1, 2, ...
    for label in y.unique():
        members = shuffled[y[shuffled] == label]
        turn[members] = torch.arange(len(members))
        turn[members[len(members) // 2 :]] += len(y)
        turn[members[-1:]] += len(y)
    return turn.argsort(stable=True)[:held_out]


def _mean_and_std(x: Tensor) -> tuple[Tensor, Tensor]:
    """Over all axes but the channels'; in double precision, for the same bits with any threads."""
    options = {"axis": (0, *range(2, x.dim())), "keepdims": True, "dtype": np.float64}
    mean, std = np.mean(x.numpy(), **options), np.std(x.numpy(), **options)
    std[std <= 1e-6 * np.abs(mean)] = 1  # constant in training: moved to 0, and left at its scale
    return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def _unpack(packed: bytes, *names: str) -> list[np.ndarray]:
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return [arrays[name] for name in names]


@functools.cache
def _generate_mnist1d() -> bytes:
    script = resources.files("lthlab").joinpath("assets/make_mnist1d.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise OSError(f"mnist1d could not be generated ({' '.join(reason)}): pip install mnist1d.")
    return done.stdout
