"""The full data sets: torchvision's files, found on this machine or downloaded once."""

import importlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from lthlab._common import check_labels


def load_full(name: str, root: Path) -> tuple[np.ndarray, ...]:
    """Training and test inputs and labels of mnist, fashion-mnist or cifar10, as they are stored.

    Raises OSError when they can be neither found nor downloaded, or are damaged.
    """
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
                f"or use a data set that needs no download: fashion-mini, mnist1d or words."
            ) from None
    arrays = []
    try:
        for part in (loader(root, train=True), loader(root, train=False)):
            x, y = np.asarray(part.data), np.asarray(part.targets)
            check_labels("labels", torch.from_numpy(y), 10)
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
