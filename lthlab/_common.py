"""Small things that every room needs: seeds, helpful errors, files written whole or not at all."""

import difflib
import os
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch


def make_generator(seed: int, purpose: str, *parts: int) -> torch.Generator:
    """A CPU random generator that depends on `seed` and on what it is for.

    Initialisation, data order and masks each draw from a generator of their own, so that one of
    them can change while the others stand still. `parts` are further integers (the epoch, say).
    """
    words = np.random.SeedSequence([int(seed), zlib.crc32(purpose.encode()), *parts])
    return torch.Generator().manual_seed(int(words.generate_state(1, np.uint64)[0] >> 1))


def unknown_name(kind: str, given: object, known: list[str], advice: str = "") -> ValueError:
    """The error for a name that does not exist: what came, what was expected, the nearest match."""
    near = difflib.get_close_matches(str(given), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"Unknown {kind} {given!r}.{hint} Choose one of: {', '.join(known)}. {advice}".strip())


@contextmanager
def written_whole(path: str | os.PathLike):
    """Yield a temporary path beside `path` and move it into place only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
