"""What a network sees at each step of its training: the order of the examples, and how they are augmented."""

import torch

from lthlab._common import make_generator
from lthlab.data import Dataset
from lthlab.recipes import Recipe


class Batches:
    """The batch (x, y) of any step; it depends on the seed and the step alone, and is the same on every device.

    With a tuple of seeds, one batch for each, stacked: x of shape (seeds, batch, ...).
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, seed: int | tuple[int, ...]):
        self.split, self.size = dataset.train, recipe.batch_size
        self.per_epoch, self.epoch = recipe.steps_per_epoch(dataset), None
        self.seeds, self.stacked = (seed, True) if isinstance(seed, tuple) else ((seed,), False)
        self.dataset, self.augmented = dataset, recipe.augmentation != "none"

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, batch = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch = epoch
            self.orders = torch.stack([example_order(self.dataset, seed, epoch) for seed in self.seeds])
            if self.augmented:
                self.moves = torch.stack([draw_moves(self.dataset, seed, epoch) for seed in self.seeds])
        part = slice(batch * self.size, (batch + 1) * self.size)
        chosen = self.orders[:, part].flatten()
        x, y = self.split.x.index_select(0, chosen), self.split.y.index_select(0, chosen)
        if self.augmented:
            x = shift_and_flip(x, self.moves[:, part].flatten(0, 1))
        return (x.unflatten(0, (-1, self.size)), y.view(-1, self.size)) if self.stacked else (x, y)


def example_order(dataset: Dataset, seed: int, epoch: int) -> torch.Tensor:
    """The order of the training examples in one epoch; drawn on the CPU, so every device sees the same."""
    generator = make_generator(seed, "data order", epoch)
    return torch.randperm(len(dataset.train), generator=generator).to(dataset.device)


def draw_moves(dataset: Dataset, seed: int, epoch: int, largest: int = 4) -> torch.Tensor:
    """How each place in the order of one epoch is moved: pixels down, pixels right, mirrored or not; (examples, 3)."""
    generator, count = make_generator(seed, "augmentation", epoch), len(dataset.train)
    shifts = torch.randint(-largest, largest + 1, (count, 2), generator=generator)
    return torch.cat([shifts, torch.randint(2, (count, 1), generator=generator)], 1).to(dataset.device)


def shift_and_flip(x: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """Images (n, channels, height, width), each moved by `moves` (n, 3): pixels down, pixels right, then mirrored if 1.

    The usual augmentation of CIFAR-10 (He et al. 2016, section 4.2), for a whole batch on its device. What
    comes in from outside is 0, the mean of the training images. Raises ValueError for anything but images.
    """
    if x.dim() != 4:
        raise ValueError(
            f'Augmentation "shift and flip" is for images (channels, height, width); got {tuple(x.shape[1:])}.'
        )
    down, right, mirrored = (moves[:, column, None] for column in range(3))
    (height, width), places = x.shape[2:], torch.arange(max(x.shape[2:]), device=x.device)
    rows, columns = places[:height] - down, places[:width]
    columns = torch.where(mirrored == 1, columns.flip(0), columns) - right
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    image = torch.arange(len(x), device=x.device)[:, None, None]
    moved = x.permute(0, 2, 3, 1)[image, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return (moved * inside[..., None]).permute(0, 3, 1, 2).contiguous()
