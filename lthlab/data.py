"""Whole data sets as normalised tensors on one device."""

import functools
import importlib
import io
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import platformdirs
import torch
from torch import Tensor

from lthlab._common import make_generator, unknown_name

FASHION = "T-shirt trouser pullover dress coat sandal shirt sneaker bag boot"
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
DIGITS = "0 1 2 3 4 5 6 7 8 9"

EMBEDDED = ("fashion-mini", "mnist1d")  # without download
# The classes of each data set, and how many training examples become the validation split.
DATASETS = {
    "fashion-mini": (FASHION, 2_000),
    "mnist1d": (DIGITS, 2_000),
    "mnist": (DIGITS, 5_000),
    "fashion-mnist": (FASHION, 5_000),
    "cifar10": (CIFAR10, 5_000),
}
_GENERATING = threading.Lock()


@dataclass(frozen=True)
class Split:
    """Inputs `x` (examples first, float32; int64 for tokens) and class numbers `y` (int64)."""

    x: Tensor
    y: Tensor

    def __post_init__(self):
        if len(self.x) != len(self.y):
            raise ValueError(
                f"Inputs and labels must pair up; got {len(self.x)} and {len(self.y)}."
            )

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
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
        for split in self._splits().values():
            if not split.y.is_meta:  # there labels have no values
                check_labels(split.y, len(self.classes))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example: (1, 28, 28) for the small images, (1, 40) for mnist1d."""
        return tuple(self.train.x.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.train.x.device

    def to(self, device: str | torch.device) -> "Dataset":
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
    return torch.device(os.environ.get("LTHLAB_DEVICE") or found)


def load_dataset(
    name: str,
    device: str | torch.device | None = None,
    root: str | os.PathLike | None = None,
) -> Dataset:
    """Load a whole data set onto one device, normalised by the training split's mean and deviation.

    `fashion-mini` (8,000 / 2,000 / 2,000 images of 1x28x28) comes with the package and `mnist1d`
    (8,000 / 2,000 / 2,000 signals of 1x40; Greydanus & Kobak 2024) is generated: neither needs a
    network. `mnist`, `fashion-mnist` and `cifar10` are downloaded once into `root` ($LTHLAB_DATA,
    else the user's cache folder, ~/.cache/lthlab on Linux); 5,000 of their training examples are
    the validation split (Frankle & Carbin 2019, appendix G). The validation split is the same in
    every run, balanced over classes, and does not depend on any seed.

    Raises ValueError for an unknown name and OSError when a full data set can be neither found nor
    downloaded, or its files are damaged.
    """
    if name not in DATASETS:
        embedded = f"Embedded, without download: {', '.join(EMBEDDED)}."
        raise unknown_name("data set", name, DATASETS, embedded)
    if name == "fashion-mini":
        packed = resources.files("lthlab").joinpath("assets/fashion_mini.npz").read_bytes()
        x, y, x_test, y_test = _unpack(packed, "x_train", "y_train", "x_test", "y_test")
    elif name == "mnist1d":
        with _GENERATING:  # two threads at once wait for one generation
            x, y, x_test, y_test = _unpack(_generate_mnist1d(), "x", "y", "x_test", "y_test")
    else:
        folder = root or os.environ.get("LTHLAB_DATA") or platformdirs.user_cache_dir("lthlab")
        x, y, x_test, y_test = _load_full(name, Path(folder).expanduser())
    if name != "cifar10":  # the others come without a channel axis
        x, x_test = x[:, None], x_test[:, None]
    classes, held_out = DATASETS[name]
    return make_dataset(name, x, y, x_test, y_test, classes.split(), held_out, device)


def make_dataset(
    name: str,
    x,
    y,
    x_test,
    y_test,
    classes: Sequence[str],
    held_out: int,
    device: str | torch.device | None = None,
    tokens: bool = False,
) -> Dataset:
    """A `Dataset` from arrays: `x` of shape (examples, channels, ...), `y` class numbers.

    uint8 inputs are taken as pixels 0..255. With `tokens` inputs are whole numbers for an
    nn.Embedding and stay as they are, not normalised. `held_out` training examples become the
    validation split: the same number of each class as far as that divides, but more than half of a
    class only when nothing else is left, and its last example last of all. Raises ValueError if
    inputs and labels do not fit.
    """
    x, x_test = (torch.as_tensor(np.asarray(part)) for part in (x, x_test))
    y, y_test = (torch.as_tensor(np.asarray(part)) for part in (y, y_test))
    fits = len(x) == len(y) and len(x_test) == len(y_test) > 0 and x.shape[1:] == x_test.shape[1:]
    if not fits or not 0 < held_out < len(x):
        raise ValueError(
            f"Inputs and labels must pair up and leave training data: got {len(x)} inputs with "
            f"{len(y)} labels, {len(x_test)} test inputs with {len(y_test)} labels, {held_out} "
            f"held out for validation; shapes {tuple(x.shape[1:])} and, for testing, "
            f"{tuple(x_test.shape[1:])}."
        )
    for labels in (y, y_test):
        check_labels(labels, len(classes))
    y, y_test = y.long(), y_test.long()
    validation = _choose_validation(y, held_out)
    train = torch.ones(len(y), dtype=torch.bool).index_fill(0, validation, False)
    if tokens:
        x, x_test = x.long(), x_test.long()
        mean, std = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.long)
    else:
        x, x_test = (p.float() / (255 if p.dtype == torch.uint8 else 1) for p in (x, x_test))
        mean, std = _mean_and_std(x[train])
        x, x_test = (x - mean) / std, (x_test - mean) / std
    splits = Split(x[train], y[train]), Split(x[validation], y[validation]), Split(x_test, y_test)
    dataset = Dataset(name, *splits, tuple(classes), mean, std)
    return dataset.to(default_device() if device is None else device)


def check_labels(labels: Tensor, classes: int) -> None:
    """Raise ValueError unless labels are whole numbers in 0..classes - 1."""
    if labels.is_complex() or labels.dim() != 1 or (labels.float() % 1).any():
        raise ValueError(
            f"Labels are one whole number per example (class 0, 1, 2, ...); got {labels.dtype} "
            f"of shape {tuple(labels.shape)}."
        )
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if low < 0 or high >= classes:
        raise ValueError(f"Labels must lie in 0..{classes - 1}; got {low}..{high}.")


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
    axes = tuple(axis for axis in range(x.dim()) if axis != 1)
    options = {"axis": axes, "keepdims": True, "dtype": np.float64}
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


def _load_full(name: str, root: Path) -> tuple[np.ndarray, ...]:
    # Loaded only when asked for: it takes about as long as all of lthlab does after torch.
    datasets = importlib.import_module("torchvision.datasets")
    loader, folder = {
        "mnist": (datasets.MNIST, root / "MNIST"),
        "fashion-mnist": (datasets.FashionMNIST, root / "FashionMNIST"),
        "cifar10": (_Cifar10, root / "cifar-10-batches-bin"),
    }[name]
    if not os.path.exists(folder):  # False, too, for a folder that may not be entered
        # Downloaded and unpacked aside, then moved: a broken download leaves nothing behind.
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=root) as aside:
                loader(aside, train=True, download=True)
                os.replace(Path(aside) / folder.name, folder)
        except Exception as error:  # whatever a broken connection, archive or disk can raise
            reason = " ".join(str(error).split())
            raise OSError(
                f"{name} is not in {root} and could not be downloaded ({reason}). Connect to the "
                f"network once, or name the folder that holds it with root=... or $LTHLAB_DATA, "
                f"or use a data set that needs no download: {' or '.join(EMBEDDED)}."
            ) from None
    arrays = []
    try:
        for part in (loader(root, train=True), loader(root, train=False)):
            x, y = np.asarray(part.data), np.asarray(part.targets)
            check_labels(torch.from_numpy(y), 10)
            if len(x) != len(y):
                raise ValueError(f"{len(x)} images with {len(y)} labels")
            arrays += [x, y]
    except Exception as error:  # torchvision's readers raise nearly anything on damaged files
        raise OSError(
            f"The files of {name} in {folder} are damaged or incomplete ({error}). "
            f"Delete that folder and load again to download it afresh."
        ) from None
    return tuple(arrays)


class _Cifar10:
    """CIFAR-10's binary version: records of one label byte and 3x32x32 bytes (Krizhevsky 2009).

    torchvision's own class reads the pickled version; a pickle can run code, plain bytes cannot.
    """

    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    md5 = "c32a1d4ab5d03f1284b67883e8d87530"

    def __init__(self, root: Path, train: bool, download: bool = False):
        if download:
            utils = importlib.import_module("torchvision.datasets.utils")
            utils.download_and_extract_archive(self.url, root, md5=self.md5)
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
        parts = [
            np.fromfile(Path(root) / "cifar-10-batches-bin" / name, np.uint8) for name in names
        ]
        for name, part in zip(names, parts, strict=True):
            if len(part) == 0 or len(part) % 3073:
                size = f"{len(part):,} bytes"
                raise ValueError(f"expected records of 3,073 bytes in {name}, found {size}")
        records = np.concatenate(parts).reshape(-1, 3073)
        self.data = records[:, 1:].reshape(-1, 3, 32, 32)
        self.targets = records[:, 0].astype(np.int64)
