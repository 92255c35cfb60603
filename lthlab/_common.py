"""Small things that every room needs: seeded generators, labels, evaluation mode."""

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthlab.checks import InputError, show

_NOISE = threading.RLock()  # the generators are of the whole process
IGNORED = -100  # the target of padding: it counts neither in the loss nor in the accuracy


def make_generator(seed: int, purpose: str, *parts: int) -> torch.Generator:
    """A CPU random generator that depends on `seed` and on what it is for.

    Initialisation, data order and masks each draw from a generator of their own, so that one of
    them can change while the others stand still. `parts` are further integers (the epoch, say).
    """
    words = np.random.SeedSequence([int(seed), zlib.crc32(purpose.encode()), *parts])
    return torch.Generator().manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))


def check_labels(name: str, labels: Tensor, classes: int) -> None:
    """Raise InputError unless labels, or all targets that count, are whole, 0 to classes - 1."""
    counted = labels[labels != IGNORED] if labels.dim() > 1 else labels
    if counted.numel() and not counted.is_meta:  # there labels have no values
        low, high = (end.item() for end in counted.aminmax())
        if low < 0 or high >= classes or (counted.float() % 1).any():
            expected = f"labels: class numbers, whole, from 0 to {classes - 1}"
            raise InputError(f"{name} holds {expected}; got {low} to {high}, {labels.dtype}.")


def mean_loss(logits: Tensor, y: Tensor) -> Tensor:
    """The mean cross-entropy over all targets that count: one an example, or one a place."""
    if not isinstance(logits, Tensor):
        advice = "Give a loss= that takes the answer apart."
        raise InputError(f"model must answer with logits in training; got {show(logits)}. {advice}")
    return F.cross_entropy(logits.flatten(0, -2), y.flatten(), ignore_index=IGNORED)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """`model.eval()` for a block; afterwards every module is in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def own_noise(device: torch.device, seed: int) -> Iterator[None]:
    """Seed PyTorch's global generators for a block; afterwards the caller's are as they were."""
    cuda = [device] if device.type == "cuda" else []
    with _NOISE, torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
