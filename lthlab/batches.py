"""What a network sees at each step: which examples, in which order, how augmented.

And whether it can read them at all: a rule for every checked function that takes both.
"""

from functools import lru_cache, partial
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthlab._common import check_labels, evaluation_mode, make_generator, own_noise
from lthlab.checks import RULES, InputError, checked, show, unchecked
from lthlab.data import Dataset, Finite, Split

AUGMENTATIONS = ("none", "shift and flip")
_LARGEST = 4  # pixels of shift
Moves = Annotated[
    Tensor,
    f"whole numbers (n, 3): -{_LARGEST} to {_LARGEST} down, as many right, 0 or 1",
    lambda m: m.shape[1:] == (3,) and not (m.abs() > m.new_tensor([_LARGEST, _LARGEST, 1])).any(),
]
Batch = Annotated[
    tuple[Finite, Tensor],
    "a pair (x, y): one or more inputs, and a label for each",
    lambda batch: len(batch) == 2 and 0 < len(batch[0]) == len(batch[1]) and batch[0].dim() > 1,
]


class Batches:
    """The batch (x, y) of any step; it depends on seed and step alone, the same on every device."""

    def __init__(self, dataset: Dataset, size: int, seed: int, augmentation: str = "none"):
        self.train, self.size, self.augmented = dataset.train, size, augmentation != "none"
        # Drawn once an epoch.
        self.order = lru_cache(1)(partial(example_order, dataset, seed))
        self.moves = lru_cache(1)(partial(draw_moves, dataset, seed))

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, batch = divmod(step, len(self.train) // self.size)
        part = slice(batch * self.size, (batch + 1) * self.size)
        chosen = self.order(epoch)[part]
        x, y = self.train.x.index_select(0, chosen), self.train.y.index_select(0, chosen)
        if self.augmented:
            x = unchecked(shift_and_flip)(x, self.moves(epoch)[part])
        return x, y


@checked
def example_order(dataset: Dataset, seed: int, epoch: int) -> Tensor:
    """The order of the training examples in one epoch; drawn on the CPU, the same everywhere."""
    generator = make_generator(seed, "data order", epoch)
    return torch.randperm(len(dataset.train), generator=generator).to(dataset.device)


@checked
def draw_moves(dataset: Dataset, seed: int, epoch: int) -> Tensor:
    """How each example of one epoch moves: pixels down, pixels right, mirrored or not; (n, 3)."""
    generator, count = make_generator(seed, "augmentation", epoch), len(dataset.train)
    shifts = torch.randint(-_LARGEST, _LARGEST + 1, (count, 2), generator=generator)
    mirrored = torch.randint(2, (count, 1), generator=generator)
    return torch.cat([shifts, mirrored], 1).to(dataset.device)


@checked
def shift_and_flip(x: Tensor, moves: Moves) -> Tensor:
    """Images (n, channels, height, width), each moved by `moves` (n, 3): down, right, mirrored.

    The usual augmentation of CIFAR-10 (He et al. 2016, section 4.2), for a whole batch on its
    device. What comes in from outside is 0, the mean of the training images. Raises ValueError for
    anything but images.
    """
    if x.dim() != 4 or len(moves) != len(x):
        expected = "x holds images (n, channels, height, width), with n rows of moves"
        raise InputError(f"{expected}; got {show(x)} and {show(moves)}.")
    down, right, mirrored = (moves[:, column, None] for column in range(3))
    image, rows, columns = (torch.arange(size, device=x.device) for size in (len(x), *x.shape[2:]))
    columns = torch.where(mirrored == 1, columns.flip(0), columns)
    padded = F.pad(x, [_LARGEST] * 4).permute(0, 2, 3, 1)
    rows, columns = rows - down + _LARGEST, columns - right + _LARGEST
    moved = padded[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2).contiguous()


@RULES.append
def _data_fit(values: dict[str, Any]) -> None:
    """A network takes the inputs that it is given data of, and knows their classes."""
    for name in ("dataset", "split", "batch"):
        if isinstance(values.get("model"), nn.Module) and values.get(name) is not None:
            check_reads(values["model"], name, values[name])


def check_reads(model: nn.Module, name: str, data: Dataset | Split | Batch) -> None:
    """Try one example, in evaluation mode; the network and the caller's random state stay."""
    classes = len(data.classes) if isinstance(data, Dataset) else None
    split = data.train if classes else Split(*data) if isinstance(data, tuple | list) else data
    x, advice = split.x[:1], "Build the network for these data: build_model(name, dataset)."
    try:
        with torch.no_grad(), evaluation_mode(model), own_noise(x.device, 0):
            logits = model(x)
    except Exception as error:  # whatever a network of the reader's raises
        came = f"{x.dtype} of shape {tuple(x.shape[1:])} on {x.device}"
        reason = " ".join(str(error).split())
        raise InputError(f"model must read {name}, {came}; it says: {reason}. {advice}") from error
    shape = getattr(logits, "shape", ())
    if shape[:-1] == (1, *split.y.shape[1:]) and classes in (None, shape[-1]):
        check_labels(f"{name}.y", split.y, shape[-1])
    elif name != "batch":  # calibration looks at inputs alone
        expected = f"one logit for each of {classes or 'the'} classes of {name}"
        raise InputError(f"model must answer with {expected}; got {show(logits)}. {advice}")
