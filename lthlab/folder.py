"""A folder of finished levels, one checksummed file each, and what a run is known by."""

import copy
import hashlib
import inspect
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MethodType

import pandas as pd
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lthlab.checks import InputError, checked
from lthlab.files import load_tensors, save_tensors
from lthlab.levels import Key, Level, Setting
from lthlab.steps import State, find_step
from lthlab.training import COLUMNS, History


class Folder:
    """Finished levels as files, by (arm, seed, level); each says in itself which one it is.

    Read only when asked for. A damaged file, or one that was put in another's place, counts as not
    there, with a warning. Raises OSError when a file cannot be written: finished levels stay.
    """

    def __init__(self, path: Path):
        self.path = Path(path).expanduser().absolute()

    def file(self, key: Key) -> Path:
        """Where a level lies: the arm's name made safe for every file system, and kept distinct."""
        arm, seed, level = key
        safe = re.sub(r"[^a-z0-9 -]", "", arm.lower())[:60].replace(" ", "-")
        # Windows keeps some names for devices; the empty one would be the run's folder itself.
        kept = "|con|prn|aux|nul|(com|lpt)[0-9]"
        if safe.replace("-", " ") != arm or re.fullmatch(kept, safe):
            safe = f"{safe}-{hashlib.sha256(arm.encode()).hexdigest()[:8]}"
        return self.path / safe / f"seed-{seed:03d}-level-{level:02d}.safetensors"

    def __contains__(self, key: Key) -> bool:
        if not self.file(key).exists():
            self.try_to_write()
            return False
        try:
            self._read(key)
        except ValueError as error:
            warnings.warn(f"{error} It is computed again.", stacklevel=2)
            return False
        return True

    def try_to_write(self) -> None:
        """Raise OSError unless files can be written here: said before a level is trained."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.path).close()
        except OSError as error:
            raise OSError(f"Cannot write into {self.path}: {error.strerror}.") from None

    def __getitem__(self, key: Key) -> Level:
        try:
            tensors, known = self._read(key)
        except ValueError as error:
            lost = "It was lost while the run went on (run it again), or does not run."
            raise OSError(f"{error} {lost}") from None

        def part(name: str) -> dict[str, Tensor]:
            begin = f"{name}/"
            return {k.removeprefix(begin): t for k, t in tensors.items() if k.startswith(begin)}

        def state(name: str, step: int) -> State:
            return State(step, part(f"{name}/model"), part(f"{name}/optimizer"))

        history = History(
            pd.DataFrame(known["rows"], columns=COLUMNS),
            {step: state(f"states/{step}", step) for step in known["states"]},
            known["seconds"],
            part("masks"),
        )
        start, correct = state("start", known["start"]), tensors.get("correct")
        return Level(known["density"], start, part("trained"), history, correct)

    def __setitem__(self, key: Key, level: Level) -> None:
        arm, seed, number = key
        states = {f"states/{step}": state for step, state in level.history.states.items()}
        parts = {"masks": level.masks, "trained": level.trained}
        for name, state in {"start": level.start, **states}.items():
            parts |= {f"{name}/model": state.model, f"{name}/optimizer": state.optimizer}
        tensors = {f"{name}/{k}": t for name, part in parts.items() for k, t in part.items()}
        if level.correct is not None:
            tensors["correct"] = level.correct
        known = {
            "is": [self.path.name, arm, int(seed), int(number)],
            "rows": level.history.table[COLUMNS].to_numpy().tolist(),
            "states": [*level.history.states],
            "seconds": level.history.seconds,
            "density": level.density,
            "start": level.start.step,
        }
        try:
            save_tensors(tensors, self.file(key), "level", known)
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"Could not write {self.file(key)}: {error}. Finished levels are kept: make room "
                f"and run the same call again."
            ) from None

    def _read(self, key: Key) -> tuple[dict[str, Tensor], dict]:
        tensors, known = load_tensors(self.file(key), "level")
        if known["is"] != [self.path.name, *key]:
            arm, seed, level = known["is"][1:]
            holds = f"level {level} of {arm!r}, seed {seed}, of the run {known['is'][0]}"
            raise ValueError(f"{self.file(key)} holds {holds}: it is not where it belongs.")
        return tensors, known


@checked
def identity(setting: Setting, version: str, *others: Callable | str) -> str:
    """What a run is known by: a digest of all that its results depend on, computed once.

    The recipe, the data, the network (its structure, initial values and what it computes when it is
    evaluated), the kind of step, the device, PyTorch's version and precision, and the `version`
    that the user gives. Not the number of threads, a cache, or anything else of the machine.

    Raises ValueError for a function whose name does not say what it computes, unless there is a
    version.
    """
    model, data = setting.build(0), setting.data
    splits = (data.train, data.validation, data.test)
    known = {
        "recipe": asdict(setting.recipe),
        "watched": [setting.rewind_to, setting.evaluate_every, setting.evaluate_at],
        "states": setting.states,
        "network": [repr(model), [*model.state_dict()], [*getattr(model, "keep_dense", ())]],
        "weights": _digest(model.state_dict().values()),
        "outputs": _outputs(model, data.train.x[:4]),
        "data": [data.name, _digest(t for split in splits for t in (split.x, split.y))],
        "step": _name(find_step(setting.step), version),
        "test": setting.test,
        "torch": [torch.__version__, data.device.type, torch.get_float32_matmul_precision()],
        "version": [version, *(_name(other, version) for other in others)],
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]


def _outputs(model: nn.Module, x: Tensor) -> list[str]:
    """What a network computes, to six digits of double precision: the same on every machine."""
    model, x = copy.deepcopy(model).cpu().eval(), x.cpu()
    with torch.no_grad():
        try:
            outputs = copy.deepcopy(model).double()(x.double() if x.is_floating_point() else x)
        except RuntimeError:  # it makes tensors of one precision of its own
            outputs = model(x)
    return [f"{value:.6g}" for value in outputs.flatten().tolist()]


def _name(thing: object, version: str) -> str:
    """A function by module and name, a kind of step as it says itself, all else as it prints."""
    if isinstance(thing, partial):
        named = (part for pair in sorted(thing.keywords.items()) for part in pair)
        parts = thing.func, *thing.args, *named
        return str([_name(part, version) for part in parts])
    if known := getattr(thing, "identity", None):
        return known
    thing = inspect.unwrap(thing) if callable(thing) else thing
    name = getattr(thing, "__qualname__", None)
    nameless = (name and name.endswith("<lambda>")) or isinstance(thing, MethodType)
    if not version and (nameless or getattr(thing, "__closure__", None)):
        advice = "Define a plain function (functools.partial gives it values), or say version=."
        raise InputError(f"The name of {name} does not say all that it computes. {advice}")
    return f"{thing.__module__}.{name}" if name else repr(thing)


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
