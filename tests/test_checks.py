"""Hostile calls of every public function end in a result or in a sentence of ours."""

import collections
import contextlib
import copy
import importlib
import inspect
import io
import itertools
import math
import pkgutil
import random as python_random
import re
import traceback

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import lthlab
from lthlab import (
    Recipe,
    build_model,
    draw_batch,
    find_ticket,
    full_masks,
    interpolate,
    load_dataset,
    magnitude,
    run_experiment,
)
from lthlab.checks import InputError
from lthlab.levels import Arm, Past, Setting, dense
from lthlab.steps import State

RECIPE = Recipe(
    "sgd", 0.05, batch_size=20, duration="4it", schedule="drops", milestones=(3,), warmup=1
)
# What the tests of their own drive: kernels and their helpers (the step), widgets, pictures.
ELSEWHERE = ("lthlab.widgets", "lthlab.fast.kernels", "lthlab.downloads")
STEP = ("by_hand", "sparse", "options", "drawings", "board", "pool", "course", "main")
# Not checked themselves: what they get was checked by those who call them.
BEHIND = {
    *("check_reads", "check_pairs", "fast_step", "cross_entropy", "make_optimizer"),
    *(
        "look",
        "arm_color",
        "band",
        "percent",
        "drop_lowest",
        "repair",
        "random_masks",
        "run_level",
        "run_levels",
        "prune_once_more",
    ),
}


def public_functions():
    for found in pkgutil.walk_packages(lthlab.__path__, "lthlab."):
        inner = any(part.startswith("_") for part in found.name.split("."))
        if (
            inner
            or "__main__" in found.name
            or found.name.startswith((*ELSEWHERE, "lthlab.assets", "lthlab.checks"))
        ):
            continue
        module = importlib.import_module(found.name)
        for name, value in list(vars(module).items()):
            own = getattr(value, "__module__", "") == found.name and not name.startswith("_")
            public = name not in BEHIND and found.name.rpartition(".")[2] not in STEP
            if own and inspect.isfunction(value) and public:
                yield f"{found.name}.{name}", value


@pytest.fixture
def world(tiny, tmp_path, monkeypatch):
    """A right value for every argument, by its name or by function and name."""
    monkeypatch.chdir(tmp_path)  # some names are taken for files
    model = build_model("mlp-6", tiny)
    masks, batch = full_masks(model), draw_batch(tiny.train, 12)
    setting = Setting(lambda seed: build_model("mlp-6", tiny, seed), tiny, RECIPE)
    dense_level = find_ticket(model, tiny, RECIPE, levels=0).levels[0]
    finished = {("dense", 0, 0): dense_level, ("ticket", 0, 1): dense_level}
    past = Past(setting, finished, "ticket", frozenset({"dense", "ticket"}), 0, 1)
    path = tmp_path / "masks.safetensors"
    lthlab.save_masks(masks, path)
    pruned = copy.deepcopy(model)
    lthlab.files.to_torch_prune_(pruned, masks)
    few = {"seed": 0, "value": [0.1, 0.2, 0.3]}
    table = pd.concat(
        [pd.DataFrame({"seed": range(3), "value": few["value"], "arm": a}) for a in "ab"]
    )
    return {
        "model": model,
        "dataset": tiny,
        "recipe": RECIPE,
        "masks": masks,
        "others": masks,
        "batch": batch,
        "split": tiny.validation,
        "seed": 0,
        "density": 0.5,
        "fraction": 0.2,
        "scores": magnitude(model),
        "magnitudes": magnitude(model),
        "growth": magnitude(model),
        "score": magnitude,
        "grow": magnitude,
        "past": past,
        "setting": setting,
        "share": 1.0,
        "function": dense,
        "name": "mlp-6",
        "model_name": "mlp-6",
        "start": State.of(model),
        "first": model,
        "second": build_model("mlp-6", tiny, 1),
        "wanted": 0.5,
        "steps": 1,
        "path": path,
        "state": lthlab.files.csr_state(model, masks),
        "duration": "2ep",
        "kind": "masks",
        "metadata": {},
        "mask": masks["fc1.weight"],
        "epoch": 0,
        "levels": None,
        "x": batch[0],
        "y": batch[1],
        "moves": torch.zeros(12, 3, dtype=torch.long),
        "steps_per_epoch": 5,
        "values": few["value"],
        "table": table,
        "arm": "a",
        "against": "b",
        "line": interpolate(model, model, tiny, 3),
        "seeds": (0, 1),
        "words": ["cat", "dog"],
        "densities": dict.fromkeys(masks, 0.5),
        "parameters": [*model.parameters()],
        "spread": lambda masks, density: dict.fromkeys(masks, density),
        "every": 2,
        "times": 1,
        "change": lambda values, redrawn, generator: values,
        "criterion": lambda a, b: b - a,
        "weight": model.fc1.weight.detach(),
        "hessian": torch.eye(16),
        "scope": "layer",
        "attention": nn.MultiheadAttention(4, 2),
        "tokens": torch.zeros(2, 16, dtype=torch.long),
        "logits": torch.zeros(30, 4),
        "models": [model],
        "finished": {},
        "version": "1",
        "step": None,
        "stops": [2],
        "classes": "abcd",
        "held_out": 4,
        "control_levels": None,
        "make_dataset.name": "mine",
        "make_dataset.x": torch.randn(12, 1, 4, 4),
        "make_dataset.x_test": torch.randn(12, 1, 4, 4),
        "y_test": batch[1],
        "early_bird.every": 2,
        "move_masks.every": 2,
        "load_dataset.name": "mnist1d",
        "run_levels.name": "dense",
        "run_levels.levels": [0],
        "run_levels.arm": Arm(dense),
        "arm.name": "hostile",
        "prune_at_init.steps": 2,
        "from_torch_prune_.model": pruned,
        "train_stacked.masks": [masks],
        "train_stacked.seeds": [0],
        "count_levels.levels": 2,
        "count_levels.density": None,
        "find_ticket.levels": 1,
        "find_ticket.density": None,
        "run_experiment.model": "mlp-6",
        "run_experiment.levels": 1,
        "run_experiment.density": None,
        "run_experiment.recipe": RECIPE,
        "drop_lowest.mask": masks["fc1.weight"],
        "drop_lowest.scores": model.fc1.weight.detach().abs(),
        "seeds_": [0],
        "run_experiment.arms": ["dense"],
        "run_experiment.seeds": [0],
        "run_experiment.n_jobs": 1,
        "sample_words.model": build_model("gpt-1x4", load_dataset("words")),
        "read_metadata.path": path,
        "load_tensors.kind": "masks",
        "save_tensors.tensors": masks,
        "folder": tmp_path / "runs",
        "arm.needs": (),
        "progress": False,
        "root": tmp_path,
        "ax": None,
        "density_axis.ax": plt.gca(),
        "density_axis.densities": [1.0, 0.1],
        "alternative": "a picture",
        "weights": model.fc1.weight,
        "by": "arm",
        "lines.x": "seed",
        "lines.y": "value",
        "layer_bars.masks": {"a": masks},
        "race.table": table.assign(split="validation", metric="accuracy", epoch=1.0),
        "accuracy_by_density.table": table.assign(density=0.5),
        "save_masks.path": tmp_path / "saved",
        "save_tensors.path": tmp_path / "saved too",
    }


def hostile(value, other):
    """What might come in place of a value, by what it is."""
    yield from {
        "None": None,
        "object": object(),
        "NaN": math.nan,
        "infinity": math.inf,
        "-1": -1,
        "0": 0,
        "1.5": 1.5,
        "huge": 10**400,
        "text": "no such thing",
        "empty text": "",
        "dots": "../..\0",
        "empty list": [],
        "empty dict": {},
        "a class": dict,
        "NaN tensor": torch.full((2, 3), math.nan),
        "empty tensor": torch.zeros(0),
        "frame": pd.DataFrame(),
        "module": nn.Linear(2, 2),
    }.items()
    yield "generator", (item for item in ("a", "b"))
    yield "endless generator", itertools.repeat(None)
    if isinstance(value, torch.Tensor):
        yield "wrong shape", torch.zeros(7, 5, dtype=value.dtype)
        yield "cut", value[:-1]
    if isinstance(value, dict) and value and all(map(torch.is_tensor, value.values())):
        yield "part", dict(list(value.items())[:-1])
        yield "NaN items", {name: torch.full(v.shape, math.nan) for name, v in value.items()}
    if isinstance(value, nn.Module):
        yield "another's", other
    if isinstance(value, tuple) and len(value) == 2 and torch.is_tensor(value[0]):
        yield "not paired", (value[0], value[1][:-1])
        yield "half", value[:1]
        yield "NaN inputs", (value[0] * math.nan, value[1])
        yield "labels beyond", (value[0], value[1] + 99)


def snapshot(world):
    tensors = [
        p.detach().clone() for m in (world["model"], world["second"]) for p in m.parameters()
    ]
    tensors += [mask.clone() for mask in world["masks"].values()]
    tensors += [
        t.clone()
        for split in (world["dataset"].train, world["dataset"].validation)
        for t in (split.x, split.y)
    ]
    state = torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64))
    return [*tensors, *state], (python_random.getstate(), torch.get_default_dtype())


def is_ours(error, name, value, parameters):
    """A ValueError or TypeError raised on purpose, in lthlab, that names what does not fit.

    That is the argument or its value; where two do not fit each other, either of them.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = isinstance(error, InputError) or "/lthlab/" in frames[-1].filename
    names = "|".join(parameters)
    named = re.search(rf"\b({names})\b", str(error)) or repr(value)[1:-1] in str(error)
    return isinstance(error, ValueError | TypeError) and ours and "\n" not in str(error) and named


IN_PLACE = re.compile(r"_$|^(train|train_stacked|training|run_level|run_levels)$")


@pytest.mark.filterwarnings("ignore")
def test_a_thousand_hostile_calls_end_in_a_result_or_in_a_sentence_that_names_the_argument(
    world, capsys
):
    counts, wrong, accepted = collections.Counter(), [], []
    other = build_model(
        "mlp-3",
        lthlab.make_dataset(
            "flat", np.zeros((9, 2)), [0, 1, 2] * 3, np.zeros((3, 2)), [0, 1, 2], "abc", 3
        ),
    )
    for path, function in public_functions():
        short = path.rpartition(".")[2]
        parameters = inspect.signature(function).parameters
        given = {
            name: world.get(f"{short}.{name}", world.get(name))
            for name, p in parameters.items()
            if (p.default is p.empty and "*" not in str(p)) or f"{short}.{name}" in world
        }
        for name, p in parameters.items():
            if "*" in str(p):
                continue
            for kind, value in hostile(given.get(name), other):
                if kind == "a class" and "Callable" in str(p.annotation):
                    continue  # a class can be called
                arguments = copy.copy(given) | {name: value}
                in_place = IN_PLACE.search(short)
                for trained in {"model", "models"} & arguments.keys() if in_place else ():
                    if trained != name:
                        arguments[trained] = copy.deepcopy(arguments[trained])
                positional = [
                    arguments.pop(n)
                    for n, q in parameters.items()
                    if n in arguments and q.kind == q.POSITIONAL_ONLY
                ]
                before = snapshot(world)
                try:
                    with contextlib.redirect_stderr(io.StringIO()):
                        result = function(*positional, **arguments)
                        if inspect.isgenerator(result):
                            next(result, None)
                    counts["accepted"] += 1
                    accepted.append(f"{path}({name}={kind})")
                except Exception as error:
                    fine = is_ours(error, name, value, parameters) or isinstance(error, OSError)
                    counts["helpful" if fine else "wrong"] += 1
                    if not fine:
                        wrong.append(
                            f"{path}({name}={kind}): {type(error).__name__}: {str(error)[:150]}"
                        )
                tensors, state = snapshot(world)
                same = all(a.equal(b) for a, b in zip(before[0], tensors, strict=True))
                if not same or before[1] != state:
                    wrong.append(f"{path}({name}={kind}) changed its inputs or a global state")
    with capsys.disabled():
        print("\n", dict(counts))
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong)
    assert sum(counts.values()) >= 1000


def test_an_iterator_does_for_a_list_and_one_without_an_end_is_refused(tiny):
    run = {"model": "mlp-8-6", "dataset": tiny, "recipe": RECIPE, "arms": ["dense"], "levels": 0}
    table = run_experiment(seeds=iter([3, 1]), progress=False, **run)
    assert [*table["seed"].unique()] == [3, 1]
    with pytest.raises(InputError, match=r"^seeds must end; got an iterator of more than 100,000"):
        run_experiment(seeds=itertools.count(), **run)  # each of its items would do
