"""Small things that every room needs: seeds, helpful errors, files written whole or not at all."""

import difflib
import hashlib
import json
import os
import platform
import tempfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file


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
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # as any new file, so that colleagues can read it
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def save_tensors(tensors: dict[str, torch.Tensor], path, kind: str, metadata: dict[str, str]) -> None:
    """Write a safetensors file of one kind with a checksum over tensors and metadata."""
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    # The format sorts names; the order matters (the last mask is the output's), so it is kept beside them.
    metadata = {**metadata, "format": f"lthlab-{kind}", "names": json.dumps(list(tensors))}
    with written_whole(path) as temporary:
        save_file(tensors, temporary, {**metadata, "digest": _digest(tensors, metadata)})


def load_tensors(path, kind: str | None) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote; ValueError for a missing, damaged or foreign file or another kind.

    kind None takes any file of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a safetensors file, or is cut short ({error}). Save it again.") from None
    expected, found = f"lthlab-{kind or '...'}", metadata.get("format", "unknown")
    if found != expected if kind else not found.startswith("lthlab-"):
        raise ValueError(f"{path} holds tensors of format {found!r}; expected {expected!r}.")
    if metadata.pop("digest", None) != _digest(tensors, metadata):
        raise ValueError(f"{path} is damaged: its contents do not match its checksum. Save it again.")
    return {name: tensors[name] for name in json.loads(metadata.pop("names"))}, metadata


def _digest(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def remembered(file: str, key: str, measure: Callable[[], float]) -> float:
    """What `measure` found on this machine, kept in the user's cache folder, so that it is the same tomorrow."""
    path = Path(platformdirs.user_cache_dir("lthlab")) / file
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    key = f"{platform.node()}, {os.cpu_count()} cores, {torch.get_num_threads()} used, torch {torch.__version__}, {key}"
    if key not in known:
        known[key] = measure()
        with suppress(OSError), written_whole(path) as temporary:  # a read-only home is no reason to fail
            Path(temporary).write_text(json.dumps(known, indent=1))
    return known[key]


@contextmanager
def evaluation_mode(model: torch.nn.Module):
    """`model.eval()` for a block; afterwards every module is in the mode that it was in, whatever happened."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
