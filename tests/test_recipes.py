"""Recipes against the papers' tables and figures: what is left at each level, learning rates, augmentation."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from test_data import write_small_cifar

from lthlab import build_model, count_steps, full_masks, level_sizes, load_dataset, recipe_for, run_experiment
from lthlab.recipes import PAPER_RECIPES


class Shape:
    """As much of a data set as `build_model` looks at."""

    classes, device = range(10), torch.device("cpu")

    def __init__(self, *input_shape):
        self.input_shape = input_shape


@pytest.mark.parametrize(
    ("name", "percent_by_level"),
    [  # Frankle & Carbin 2019: legends of Figures 3 and 4, of Figure 5 (its best tickets), of Figure 8
        ("lenet-300-100", {3: 51.3, 7: 21.1, 9: 13.5, 12: 7.0, 15: 3.6, 18: 1.9}),
        ("conv-2", {11: 8.8}),
        ("conv-4", {12: 9.2}),
        ("resnet-20", {2: 64.4, 4: 41.7, 6: 27.1, 7: 21.9, 8: 17.8, 10: 11.8}),
    ],
)
def test_levels_leave_what_the_paper_prints(name, percent_by_level):
    model = build_model(name, Shape(1, 28, 28) if name.startswith("lenet") else Shape(3, 32, 32))
    masks, recipe = full_masks(model), recipe_for(name, "cifar10")
    unpruned = sum(p.numel() for key, p in model.named_parameters() if p.dim() > 1 and key not in masks)
    sizes = [sum(kept.values()) + unpruned for kept in islice(level_sizes(masks, recipe), 20)]
    found = {level: round(100 * sizes[level] / sizes[0], 1) for level in percent_by_level}
    assert found == percent_by_level


def test_the_paper_has_three_learning_rates_for_resnet_20():
    usual, low, warm = (recipe_for(f"resnet-20{kind}", "cifar10") for kind in ("", " low", " warmup"))
    assert replace(low, lr=0.1) == usual == replace(warm, lr=0.1, warmup=0)
    total = count_steps(warm.duration, 1)
    rates = {step: warm.lr_at(step, total) for step in (0, 9_999, 19_999, 20_000, 24_999, 25_000, 29_999)}
    assert rates == pytest.approx(
        {0: 0.03 / 20_000, 9_999: 0.015, 19_999: 0.03, 20_000: 0.003, 24_999: 0.003, 25_000: 3e-4, 29_999: 3e-4}
    )
    assert low.lr_at(0, total) == 0.01 and low.lr_at(29_999, total) == pytest.approx(1e-4)


def test_only_residual_networks_see_moved_pictures():
    moved = {name for name, recipe in PAPER_RECIPES.items() if recipe.augmentation != "none"}
    assert moved == {"resnet-20", "resnet-20 low", "resnet-20 warmup"}


def test_the_one_line_for_cifar10_runs_on_files_in_its_format(tmp_path, monkeypatch):
    write_small_cifar(tmp_path)
    monkeypatch.setenv("LTHLAB_DATA", str(tmp_path))
    recipe = replace(recipe_for("resnet-20", "cifar10"), duration="2it", batch_size=10, milestones=(1,))
    data = load_dataset("cifar10")
    assert data.input_shape == (3, 32, 32) and len(data.validation) == 5_000
    monkeypatch.setattr("lthlab.run.load_dataset", lambda name: _few(load_dataset(name)))
    table = run_experiment("resnet-20", "cifar10", recipe, seeds=[0], levels=1, n_jobs=1, progress=False)
    assert set(table["dataset"]) == {"cifar10"} and set(table["arm"]) == {"dense", "ticket", "reinitialised"}
    ticket = table.query("arm == 'ticket'")["density"].iloc[0]
    assert ticket == pytest.approx(0.8, abs=1e-5) and table["value"].notna().all()


def _few(dataset):
    """Without most of the 5,000 pictures held out, over which a small machine takes long."""
    return replace(dataset, validation=type(dataset.validation)(dataset.validation.x[:50], dataset.validation.y[:50]))
