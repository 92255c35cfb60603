"""Whole data sets as normalised tensors on one device, split into train, validation and test."""

import os
import random
import tempfile
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from lthlab._common import make_generator, unknown_name

FASHION_CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple("0123456789")

EMBEDDED = ("fashion-mini", "mnist1d")
DATASETS = (*EMBEDDED, "mnist", "fashion-mnist", "cifar10")


@dataclass(frozen=True)
class Split:
    """Inputs `x` (examples first, float32; int64 for tokens) and class numbers `y` (int64) on one device."""

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Dataset:
    """A data set in three splits; `mean` and `std` (of the training split) undo the normalisation."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    mean: torch.Tensor
    std: torch.Tensor

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example: (1, 28, 28) for the small images, (1, 40) for mnist1d."""
        return tuple(self.train.x.shape[1:])

    @property
    def device(self) -> torch.device:
        return self.train.x.device

    def to(self, device: str | torch.device) -> "Dataset":
        """The same data on another device."""
        moved = {part: Split(s.x.to(device), s.y.to(device)) for part, s in self._splits().items()}
        return replace(self, **moved, mean=self.mean.to(device), std=self.std.to(device))

    def pictures(self, x: torch.Tensor) -> torch.Tensor:
        """Undo the normalisation: `x` as pixel values 0..1 (or raw signals), on the CPU."""
        return (x * self.std + self.mean).cpu()

    def _splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split):,} {part}" for part, split in self._splits().items())
        shape = "x".join(map(str, self.input_shape))
        return f"Dataset({self.name}: {sizes}; {len(self.classes)} classes, {shape} inputs on {self.device})"


def default_device() -> torch.device:
    """The device used when none is named: $LTHLAB_DEVICE, else CUDA if there is one, else the CPU."""
    return torch.device(os.environ.get("LTHLAB_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))


def load_dataset(name: str, device: str | torch.device | None = None, root: str | os.PathLike | None = None) -> Dataset:
    """Load a whole data set onto one device, normalised by the mean and deviation of its training split.

    `fashion-mini` (8,000 / 2,000 / 2,000 images of 1x28x28) comes with the package and `mnist1d`
    (8,000 / 2,000 / 2,000 signals of 1x40; Greydanus & Kobak 2024) is generated: neither needs a
    network. `mnist`, `fashion-mnist` and `cifar10` are downloaded once into `root` ($LTHLAB_DATA, else
    ~/.cache/lthlab); 5,000 of their training examples are the validation split (Frankle & Carbin 2019,
    appendix G). The validation split is the same in every run, balanced over classes, and does not
    depend on any seed.

    Raises ValueError for an unknown name and OSError when a full data set can be neither found nor
    downloaded, or its files are damaged.
    """
    root = Path(root or os.environ.get("LTHLAB_DATA") or Path.home() / ".cache" / "lthlab").expanduser()
    if name not in DATASETS:
        raise unknown_name("data set", name, list(DATASETS), f"Embedded, without download: {', '.join(EMBEDDED)}.")
    if name == "fashion-mini":
        with resources.files("lthlab").joinpath("assets/fashion_mini.npz").open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            x, y, x_test, y_test = (arrays[key] for key in ("x_train", "y_train", "x_test", "y_test"))
        x, x_test, classes, held_out = x[:, None], x_test[:, None], FASHION_CLASSES, 2_000
    elif name == "mnist1d":
        x, y, x_test, y_test = _generate_mnist1d()
        classes, held_out = DIGITS, 2_000
    else:
        x, y, x_test, y_test = _full_dataset(name, root)
        classes, held_out = {"mnist": DIGITS, "fashion-mnist": FASHION_CLASSES, "cifar10": CIFAR10_CLASSES}[name], 5_000
    return make_dataset(name, x, y, x_test, y_test, classes, held_out, device)


def make_dataset(name, x, y, x_test, y_test, classes, held_out, device=None, tokens: bool = False) -> Dataset:
    """A `Dataset` from arrays: `x` of shape (examples, channels, ...), `y` class numbers.

    uint8 inputs are taken as pixels 0..255. With `tokens` inputs are whole numbers for an nn.Embedding and stay
    as they are, not normalised. `held_out` training examples, the same number of each
    class as far as that divides, become the validation split. Raises ValueError if they do not fit.
    """
    x, x_test = (torch.as_tensor(np.asarray(part)) for part in (x, x_test))
    y, y_test = (torch.as_tensor(np.asarray(part)).long() for part in (y, y_test))
    fits = len(x) == len(y) and len(x_test) == len(y_test) > 0 and x.shape[1:] == x_test.shape[1:]
    if not fits or not 0 < held_out < len(x):
        raise ValueError(
            f"Inputs and labels must pair up and leave training data: got {len(x)} inputs with {len(y)} labels, "
            f"{len(x_test)} test inputs with {len(y_test)} labels, {held_out} held out for validation; "
            f"shapes {tuple(x.shape[1:])} and, for testing, {tuple(x_test.shape[1:])}."
        )
    for labels in (y, y_test):
        _check_labels(labels, len(classes))
    if tokens:
        x, x_test = x.long(), x_test.long()
    else:
        x, x_test = (part.float().div(255) if part.dtype == torch.uint8 else part.float() for part in (x, x_test))
    shuffled = torch.randperm(len(y), generator=make_generator(0, "validation split"))
    turn = torch.empty_like(y)  # how many of its class come before an example: 0, 1, 2, ...
    for label in y.unique():
        members = shuffled[y[shuffled] == label]
        turn[members] = torch.arange(len(members))
    by_turn = turn.argsort(stable=True)
    validation, train = by_turn[:held_out], by_turn[held_out:].sort().values
    # Statistics by NumPy in double precision: torch's sums depend on the number of threads in the last bits.
    other_axes = tuple(axis for axis in range(x.dim()) if axis != 1)
    mean, std = (
        torch.from_numpy(statistic(x[train].numpy(), axis=other_axes, keepdims=True, dtype=np.float64)).float()
        for statistic in (np.mean, np.std)
    )
    std = std.clamp_min(1e-8)
    if tokens:
        mean, std = torch.zeros_like(mean).long(), torch.ones_like(std).long()
    else:
        x, x_test = (x - mean) / std, (x_test - mean) / std
    parts = Split(x[train], y[train]), Split(x[validation], y[validation]), Split(x_test, y_test)
    return Dataset(name, *parts, tuple(classes), mean, std).to(default_device() if device is None else device)


def _check_labels(labels: torch.Tensor, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(f"Labels must lie in 0..{classes - 1}; got {low}..{high}.")


def _generate_mnist1d():
    import mnist1d.data

    args = mnist1d.data.get_dataset_args()
    args.num_samples, args.train_split = 12_000, 10 / 12
    # The generator seeds Python's, NumPy's and torch's global state; a loader must leave them alone.
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            arrays = mnist1d.data.make_dataset(args)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
    return arrays["x"][:, None].astype("f4"), arrays["y"], arrays["x_test"][:, None].astype("f4"), arrays["y_test"]


def _full_dataset(name: str, root: Path):
    import torchvision.datasets as tv

    loader, folder = {
        "mnist": (tv.MNIST, "MNIST"),
        "fashion-mnist": (tv.FashionMNIST, "FashionMNIST"),
        "cifar10": (_Cifar10, "cifar-10-batches-bin"),
    }[name]
    if not (root / folder).exists():
        # Downloaded and unpacked aside, then moved: a broken download leaves nothing behind.
        root.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=root) as aside:
                loader(aside, train=True, download=True)
                os.replace(Path(aside) / folder, root / folder)
        except Exception as error:  # whatever a broken connection or a broken archive can raise
            reason = " ".join(str(error).split())
            raise OSError(
                f"{name} is not in {root} and could not be downloaded ({reason}). Connect to the network once, or "
                f"name the folder that holds it with root=... or $LTHLAB_DATA, or use a data set that needs "
                f"no download: {' or '.join(EMBEDDED)}."
            ) from None
    try:
        train, test = loader(root, train=True), loader(root, train=False)
        for part in (train, test):
            if len(part.data) != len(part.targets):
                raise ValueError(f"{len(part.data)} images with {len(part.targets)} labels")
            _check_labels(torch.as_tensor(part.targets), 10)
    except Exception as error:  # torchvision's readers raise nearly anything on damaged files
        raise OSError(
            f"The files of {name} in {root / folder} are damaged or incomplete ({error}). "
            f"Delete that folder and load again to download it afresh."
        ) from None
    x, x_test = np.asarray(train.data), np.asarray(test.data)
    if name != "cifar10":  # grey images come without a channel axis
        x, x_test = x[:, None], x_test[:, None]
    return x, train.targets, x_test, test.targets


class _Cifar10:
    """CIFAR-10's binary version: records of one label byte and 3x32x32 pixel bytes (Krizhevsky 2009).

    torchvision's own class reads the pickled version; a pickle can run any code, plain bytes cannot.
    """

    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    md5 = "c32a1d4ab5d03f1284b67883e8d87530"

    def __init__(self, root, train: bool, download: bool = False):
        if download:
            from torchvision.datasets.utils import download_and_extract_archive

            download_and_extract_archive(self.url, root, md5=self.md5)
        names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin"]
        parts = [np.fromfile(Path(root) / "cifar-10-batches-bin" / name, np.uint8) for name in names]
        for name, part in zip(names, parts, strict=True):
            if len(part) == 0 or len(part) % 3073:
                raise ValueError(f"expected records of 3,073 bytes in {name}, found {len(part):,} bytes")
        records = np.concatenate(parts).reshape(-1, 3073)
        self.data, self.targets = records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)
