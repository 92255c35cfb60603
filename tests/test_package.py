"""The package as a whole: what it loads and exports, what it can do without, what it refuses."""

import ast
import builtins
import importlib
import json
import math
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from helpers import same_masks, some_masks

import lthlab
from lthlab import (
    Recipe,
    build_model,
    draw_batch,
    find_ticket,
    full_masks,
    load_masks,
    run_experiment,
    shuffle_masks,
    train,
)
from lthlab.layerwise import erk_densities, random_masks, smart_ratio_densities
from lthlab.pruning import random

PACKAGE = Path(lthlab.__file__).parent
SHORT = Recipe("sgd", 0.05, batch_size=20, duration="2it")


def run_python(code: str, *arguments: object, path: Path = PACKAGE.parent) -> str:
    """What a program prints that runs in a fresh process and imports the package in `path`."""
    environment = os.environ | {"PYTHONPATH": str(path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")
    assert said.returncode == 0, said.stderr
    return said.stdout


def public_names() -> dict[str, object]:
    return {
        name: value
        for name, value in vars(lthlab).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }


def test_few_names_stand_in_the_package_itself():
    assert 20 < len(public_names()) <= 40, sorted(public_names())


def test_all_that_is_public_says_what_it_is():
    for name, value in public_names().items():
        if callable(value):  # a data class without a docstring gets one that lists its fields
            assert value.__doc__ and not value.__doc__.startswith(f"{name}("), name


def test_a_star_import_hides_nothing_of_pythons():
    namespace: dict[str, object] = {}
    exec("import random, statistics\nfrom lthlab import *", namespace)
    names = namespace.keys() - {"__builtins__"}
    assert "find_ticket" in names
    assert namespace["random"] is importlib.import_module("random")
    assert [name for name in names if hasattr(builtins, name)] == []
    for name in names & sys.stdlib_module_names:
        assert namespace[name] is importlib.import_module(name), name


LATE = ["matplotlib", "seaborn", "ipywidgets", "IPython", "torchvision", "mnist1d"]


def test_importing_the_package_loads_no_drawing_no_widgets_and_no_torchvision():
    code = "import json, sys, lthlab; print(json.dumps([*sys.modules]))"
    loaded = set(json.loads(run_python(code)))
    assert {"lthlab.training", "torch"} <= loaded
    assert loaded & set(LATE) == set()


def test_every_module_is_reachable_after_one_import():
    names = [module.name for module in pkgutil.iter_modules([str(PACKAGE)])]
    names = [name for name in names if not name.startswith("_")]
    assert {"plots", "widgets", "fast", "folder", "training"} <= set(names)
    # In the reverse of the order in which one loads the other.
    code = "import lthlab, sys; print(*(getattr(lthlab, n).__name__ for n in sys.argv[1:]))"
    found = run_python(code, *reversed(names)).split()
    assert found == [f"lthlab.{name}" for name in reversed(names)]
    with pytest.raises(AttributeError, match="no attribute 'plotz'"):
        lthlab.plotz  # noqa: B018


def test_one_version_is_told_everywhere():
    root = PACKAGE.parent
    if not (root / "pyproject.toml").exists():
        pytest.skip("The package is installed, without its repository.")
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    cited = re.search(r"^version: (\S+)", (root / "CITATION.cff").read_text(), re.MULTILINE)
    assert project["version"] == lthlab.__version__ == cited[1]


# A ticket of two levels, dense and at 25 %: the same lines here and in processes of their own.
TICKET = """
import numpy as np
import torch
import lthlab

torch.set_num_threads(1)
y = np.arange(160) % 4
x = np.eye(4)[y].repeat(4, 1)[:, None] + np.random.default_rng(0).normal(size=(160, 1, 16)) / 2
data = lthlab.make_dataset("blobs", x[:120], y[:120], x[120:], y[120:], "abcd", 20, "cpu")
rates = {"fc": 0.5, "output": 0.5}
recipe = lthlab.Recipe("sgd", 0.1, 0.9, batch_size=20, duration="30it", fractions=rates)
model = lthlab.build_model("mlp-20-10", data)
"""
SAVED = """
import sys
ticket = lthlab.find_ticket(model, data, recipe, levels=2)
lthlab.save_masks(ticket.masks, sys.argv[1])
zeros = sum(int((ticket.model.get_parameter(n)[~m] != 0).sum()) for n, m in ticket.masks.items())
setting = {"seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
table = lthlab.run_experiment("mlp-8", data, recipe, **setting)
print(lthlab.__file__, ticket.levels[-1].history.value(), zeros, len(table) > 0, *sys.modules)
"""
NO_NUMBA = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "numba":
            raise ImportError("there is no numba here")

sys.meta_path.insert(0, Blocked())
"""


@pytest.fixture(scope="module")
def expected():
    """The masks that torch's autograd alone leads to."""
    namespace: dict = {}
    exec(TICKET, namespace)
    parts = (namespace[name] for name in ("model", "data", "recipe"))
    ticket = find_ticket(*parts, levels=2, step=None)
    assert sum(int(mask.sum()) for mask in ticket.masks.values()) == 80 + 50 + 10
    return ticket.masks


def check_ticket(said: str, package: Path, masks, expected) -> set[str]:
    file, accuracy, zeros, rows, *modules = said.split()
    assert Path(file).parent == package
    assert float(accuracy) > 0.9 and zeros == "0" and rows == "True"
    assert same_masks(masks, expected)
    return set(modules)


def test_without_numba_all_is_computed_dense(tmp_path, expected):
    file = tmp_path / "masks.safetensors"
    said = run_python(NO_NUMBA + TICKET + SAVED, file)
    modules = check_ticket(said, PACKAGE, load_masks(file), expected)
    assert "lthlab.fast" in modules and "numba" not in modules


def without_fast(source: str) -> str:
    """A module's text without what it imports from `lthlab.fast`."""
    tree = ast.parse(source)
    kept = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            if node.module.startswith("lthlab.fast"):
                continue
            if node.module == "lthlab":
                node.names = [name for name in node.names if name.name != "fast"]
        kept.append(node)
    tree.body = kept
    return ast.unparse(tree)


def test_the_core_works_without_its_fast_paths(tmp_path, expected):
    package, file = tmp_path / "lthlab", tmp_path / "masks.safetensors"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("fast", "__pycache__"))
    init = package / "__init__.py"
    init.write_text(without_fast(init.read_text()))
    said = run_python(TICKET + SAVED, file, path=tmp_path)
    modules = check_ticket(said, package, load_masks(file), expected)
    assert "lthlab.fast" not in modules and "numba" not in modules


@pytest.mark.parametrize("seed", [-1, 1.5, -0.5, math.nan, math.inf])
def test_seeds_that_are_no_whole_numbers_from_0_are_value_errors(seed, tiny):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = {"arms": ["dense"], "n_jobs": 1, "levels": 0, "progress": False}
    for use in (
        lambda: build_model("mlp-8-6", tiny, seed),
        lambda: build_model(lambda dataset, seed: torch.nn.Linear(2, 2), tiny, seed),
        lambda: train(model, tiny, SHORT, seed=seed),
        lambda: find_ticket(model, tiny, SHORT, levels=1, seed=seed),
        lambda: run_experiment("mlp-8-6", tiny, SHORT, seeds=[seed], **options),
        lambda: shuffle_masks(masks, seed),
        lambda: random(model, seed=seed),
        lambda: draw_batch(tiny.train, 10, seed),
        lambda: random_masks(model, dict.fromkeys(masks, 0.5), seed),
    ):
        with pytest.raises(ValueError, match="is a whole number from 0"):
            use()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_a_seed_is_the_same_whatever_kind_of_whole_number_it_is(seed, tiny):
    from_int = build_model("mlp-8-6", tiny, seed)
    numbers = torch.tensor(seed).numpy()[()]
    assert torch.equal(from_int.fc1.weight, build_model("mlp-8-6", tiny, numbers).fc1.weight)


@pytest.mark.parametrize("density", [-1, -1e-9, 1.001, 20, math.nan])
def test_densities_of_layers_outside_0_to_1_are_value_errors(density, tiny):
    model = build_model("mlp-8-6", tiny)
    with pytest.raises(ValueError, match="density is a fraction above 0"):
        erk_densities(full_masks(model), density)
    with pytest.raises(ValueError, match="density is a fraction"):
        smart_ratio_densities(full_masks(model), density)
