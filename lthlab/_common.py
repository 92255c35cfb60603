"""Small things that every room needs: seeded generators, helpful errors, evaluation mode."""

import difflib
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORED = -100  # the target of padding: it counts neither in the loss nor in the accuracy


def make_generator(seed: int, purpose: str, *parts: int) -> torch.Generator:
    """A CPU random generator that depends on `seed` and on what it is for.

    Initialisation, data order and masks each draw from a generator of their own, so that one of
    them can change while the others stand still. `parts` are further integers (the epoch, say).
    Raises ValueError for a seed that is not a whole number from 0.
    """
    if not (seed >= 0 and seed % 1 == 0):  # nor NaN, nor infinity
        raise ValueError(f"A seed is a whole number, 0 or more; got {seed!r}.")
    words = np.random.SeedSequence([int(seed), zlib.crc32(purpose.encode()), *parts])
    return torch.Generator().manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))


def unknown_name(kind: str, given: object, known: Iterable[str], advice: str = "") -> ValueError:
    """The error for a name that does not exist: what came, what was expected, the nearest match."""
    known = list(known)
    near = difflib.get_close_matches(str(given), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    expected = f"Choose one of: {', '.join(known)}."
    return ValueError(f"Unknown {kind} {given!r}.{hint} {expected} {advice}".strip())


def check_fraction(what: str, value: float, above: float = -1.0) -> None:
    """Raise ValueError unless `value` lies in 0..1 (and above a bound, if 0 itself is none)."""
    if not (0 <= value <= 1 and value > above):
        lowest = "above 0" if above == 0 else "0 or more"
        raise ValueError(
            f"{what} is a fraction, {lowest} and at most 1 (0.2 is 20 %); got {value}."
        )


def check_labels(labels: Tensor, classes: int, ignored: bool = False) -> None:
    """Raise ValueError unless labels are whole numbers in 0..classes - 1, or -100 if `ignored`."""
    if ignored:
        labels = labels[labels != IGNORED]
    if labels.is_complex() or labels.dim() != 1 or (labels.float() % 1).any():
        raise ValueError(
            f"Labels are one whole number per example (class 0, 1, 2, ...); got {labels.dtype} "
            f"of shape {tuple(labels.shape)}."
        )
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if low < 0 or high >= classes:
        raise ValueError(f"Labels must lie in 0..{classes - 1}; got {low}..{high}.")


def mean_loss(logits: Tensor, y: Tensor) -> Tensor:
    """The mean cross-entropy over all targets that count: one an example, or one a place."""
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
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
