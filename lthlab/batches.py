"""What a network sees at each step: the order of the examples, and how they are augmented."""

from functools import lru_cache, partial
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lthlab._common import make_generator
from lthlab.border import InputError, checked, inside, show
from lthlab.data import Dataset

AUGMENTATIONS = ("none", "shift and flip")
_LARGEST = 4  # pixels of shift
Moves = Annotated[
    Tensor,
    f"whole numbers (n, 3): -{_LARGEST} to {_LARGEST} down, as many right, 0 or 1",
    lambda m: m.shape[1:] == (3,) and not (m.abs() > m.new_tensor([_LARGEST, _LARGEST, 1])).any(),
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
            x = inside(shift_and_flip)(x, self.moves(epoch)[part])
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
