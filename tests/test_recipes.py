"""Recipes against the papers' tables and figures: what is left at each level, learning rates."""

import itertools
from collections import OrderedDict
from dataclasses import replace
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_data import write_small_cifar
from torch import nn

from lthlab import (
    Recipe,
    build_model,
    find_ticket,
    full_masks,
    load_dataset,
    prune,
    recipe_for,
    run_experiment,
)
from lthlab.recipes import PAPER_RECIPES, count_levels, count_steps, level_sizes


class Shape:
    """As much of a data set as `build_model` looks at."""

    classes, device = range(10), torch.device("cpu")

    def __init__(self, *input_shape):
        self.input_shape = input_shape


@pytest.mark.parametrize(
    ("name", "percent_by_level"),
    [  # Frankle & Carbin 2019: legends of Figures 3 and 4, 5 (its best tickets) and 8
        ("lenet-300-100", {3: 51.3, 7: 21.1, 9: 13.5, 12: 7.0, 15: 3.6, 18: 1.9}),
        ("conv-2", {11: 8.8}),
        ("conv-4", {12: 9.2}),
        ("resnet-20", {2: 64.4, 4: 41.7, 6: 27.1, 7: 21.9, 8: 17.8, 10: 11.8}),
    ],
)
def test_levels_leave_what_the_paper_prints(name, percent_by_level):
    model = build_model(name, Shape(1, 28, 28) if name.startswith("lenet") else Shape(3, 32, 32))
    masks, recipe = full_masks(model), recipe_for(name, "cifar10")
    unpruned = sum(
        p.numel() for key, p in model.named_parameters() if p.dim() > 1 and key not in masks
    )
    sizes = [sum(kept.values()) + unpruned for kept in islice(level_sizes(masks, recipe), 20)]
    found = {level: round(100 * sizes[level] / sizes[0], 1) for level in percent_by_level}
    assert found == percent_by_level


def test_the_paper_has_three_learning_rates_for_resnet_20():
    usual, low, warm = (
        recipe_for(f"resnet-20{kind}", "cifar10") for kind in ("", " low", " warmup")
    )
    assert replace(low, lr=0.1) == usual == replace(warm, lr=0.1, warmup=0)
    total = count_steps(warm.duration, 1)
    rates = {
        step: warm.lr_at(step, total) for step in (0, 9_999, 19_999, 20_000, 24_999, 25_000, 29_999)
    }
    assert rates == pytest.approx(
        {
            0: 0.03 / 20_000,
            9_999: 0.015,
            19_999: 0.03,
            20_000: 0.003,
            24_999: 0.003,
            25_000: 3e-4,
            29_999: 3e-4,
        }
    )
    assert low.lr_at(0, total) == 0.01 and low.lr_at(29_999, total) == pytest.approx(1e-4)


def test_a_narrow_network_is_trained_as_the_wide_one():
    for name in ("conv-2", "conv-4", "conv-6"):
        for data in ("cifar10", "fashion-mini"):
            assert recipe_for(f"{name}-8", data) == recipe_for(name, data)
    with pytest.raises(ValueError, match="model_name is one of .*got 'conv-3-8'"):
        recipe_for("conv-3-8", "cifar10")


def test_only_residual_networks_see_moved_pictures():
    moved = {name for name, recipe in PAPER_RECIPES.items() if recipe.augmentation != "none"}
    assert moved == {"resnet-20", "resnet-20 low", "resnet-20 warmup"}


def test_the_one_line_for_cifar10_runs_on_files_in_its_format(tmp_path, monkeypatch):
    write_small_cifar(tmp_path)
    monkeypatch.setenv("LTHLAB_DATA", str(tmp_path))
    recipe = replace(
        recipe_for("resnet-20", "cifar10"), duration="2it", batch_size=10, milestones=(1,)
    )
    data = load_dataset("cifar10")
    assert data.input_shape == (3, 32, 32) and len(data.validation) == 5_000
    few = type(data.validation)(data.validation.x[:50], data.validation.y[:50])
    # resnet-20 takes long over 5,000 pictures: the name of the data goes with a small network.
    for model, dataset in (
        ("resnet-20", replace(data, validation=few)),
        ("mlp-4", "cifar10"),
    ):
        setting = {"seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
        table = run_experiment(model, dataset, recipe, **setting)
        assert set(table["dataset"]) == {"cifar10"} and set(table["model"]) == {model}
        assert set(table["arm"]) == {"dense", "ticket", "reinitialised"}
        density = table.query("arm == 'ticket'")["density"].iloc[0]
        assert density == pytest.approx(0.8, abs=1e-4) and table["value"].notna().all()


def network(*names: str, keep_dense: tuple[str, ...] = ()) -> nn.Sequential:
    """Linear layers of 10 x 10 weights, named in this order."""
    model = nn.Sequential(OrderedDict((name, nn.Linear(10, 10)) for name in names))
    model.keep_dense = keep_dense
    return model


@pytest.mark.parametrize("order", [*itertools.permutations(["fc1", "fc2", "out"])])
def test_the_output_layers_rate_goes_by_its_name_and_not_by_its_position(order):
    """Frankle & Carbin 2019, section 2: connections to the outputs are pruned at half the rate."""
    found = Recipe().rates(full_masks(network(*order)))
    assert found == {"fc1.weight": 0.2, "fc2.weight": 0.2, "out.weight": 0.1}
    assert list(found) == [f"{name}.weight" for name in order]


def test_a_layer_of_another_name_or_deeper_down_can_be_the_output():
    model = nn.ModuleDict(
        {
            "head": nn.Linear(4, 4),
            "body": network("fc", "out"),
            "stem": nn.Conv2d(3, 4, 3),
            "knockout": nn.Linear(4, 4),
        }
    )
    masks, recipe = full_masks(model), Recipe(fractions={"fc": 0.4, "conv": 0.3, "output": 0.1})
    rates = {"head": 0.4, "body.fc": 0.4, "body.out": 0.4, "stem": 0.3, "knockout": 0.4}
    for named, weight in (
        ("out", "body.out"),
        ("body.out", "body.out"),
        ("head", "head"),
        ("fc", "body.fc"),
        (None, None),
    ):
        expected = {f"{n}.weight": 0.1 if n == weight else rate for n, rate in rates.items()}
        assert replace(recipe, output_layer=named).rates(masks) == expected


@pytest.mark.parametrize(
    ("rates", "hidden", "convolution", "output"),
    [
        ({"fc": 0.3}, 0.3, 0.2, 0.15),
        ({"conv": 0.5}, 0.2, 0.5, 0.1),
        ({"output": 0.7}, 0.2, 0.2, 0.7),
        ({"fc": 0.0, "conv": 0.1, "output": 0.0}, 0.0, 0.1, 0.0),
    ],
)
def test_what_a_recipe_does_not_say_is_the_papers(rates, hidden, convolution, output):
    model = nn.ModuleDict(
        {"conv": nn.Conv1d(2, 2, 3), "fc": nn.Linear(4, 4), "out": nn.Linear(4, 2)}
    )
    expected = {"conv.weight": convolution, "fc.weight": hidden, "out.weight": output}
    assert Recipe(fractions=rates).rates(full_masks(model)) == pytest.approx(expected)


def test_an_output_that_is_kept_dense_passes_its_rate_to_no_other_layer():
    masks = full_masks(network("fc1", "fc2", "out", keep_dense=("out",)))
    with pytest.raises(ValueError, match=r"No layer is called 'out'.*fc1.weight, fc2.weight"):
        Recipe().rates(masks)
    found = Recipe(output_layer=None).rates(masks)
    assert found == {"fc1.weight": 0.2, "fc2.weight": 0.2}
    left = next(islice(level_sizes(masks, Recipe(output_layer=None)), 1, None))
    assert left == {"fc1.weight": 80, "fc2.weight": 80}


def test_two_layers_of_the_outputs_name_are_an_error():
    model = nn.ModuleDict({"left": network("fc", "out"), "right": network("fc", "out")})
    with pytest.raises(ValueError, match="2 layers? (is|are) called 'out'"):
        Recipe().rates(full_masks(model))
    found = Recipe(output_layer="right.out").rates(full_masks(model))
    assert [name for name, rate in found.items() if rate == 0.1] == ["right.out.weight"]


class OutFirst(nn.Module):
    """The output is declared before what comes before it, and may be kept dense."""

    def __init__(self):
        super().__init__()
        self.out, self.fc = nn.Linear(10, 4), nn.Linear(16, 10)

    def forward(self, x):
        return self.out(self.fc(x.flatten(1)).relu())


def test_a_ticket_of_a_network_that_declares_its_output_first(tiny):
    recipe = Recipe("sgd", 0.05, batch_size=20, duration="2it", output_layer="out")
    model = build_model(lambda dataset, seed: OutFirst(), tiny)
    masks = find_ticket(model, tiny, recipe, levels=2).masks
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "out.weight": 32,  # 40, less 4, less round(3.6)
        "fc.weight": 102,  # 160, less 32, less round(25.6)
    }
    model.keep_dense = ("out",)
    with pytest.raises(ValueError, match="No layer is called 'out'"):
        find_ticket(model, tiny, recipe, levels=2)
    ticket = find_ticket(model, tiny, replace(recipe, output_layer=None), levels=2)
    assert {name: int(mask.sum()) for name, mask in ticket.masks.items()} == {"fc.weight": 102}


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    rate=st.floats(0, 1),
    output=st.floats(0, 1),
    scope=st.sampled_from(["global", "layer"]),
)
@pytest.mark.filterwarnings("ignore:Layer collapse")
def test_the_sizes_of_levels_are_those_that_pruning_leaves(sizes, rate, output, scope):
    names = [f"fc{number}.weight" for number in range(len(sizes))] + ["out.weight"]
    shapes = {name: (size, 3) for name, size in zip(names, [*sizes, 5], strict=True)}
    fractions = {"all": rate} if scope == "global" else {"fc": rate, "output": output}
    recipe = Recipe(fractions=fractions, scope=scope)
    draw = torch.Generator().manual_seed(0)
    scores = {name: torch.rand(shape, generator=draw) for name, shape in shapes.items()}
    masks = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
    for expected in islice(level_sizes(masks, recipe), 5):
        kept = {name: int(mask.sum()) for name, mask in masks.items()}
        assert expected == ({"all": sum(kept.values())} if scope == "global" else kept)
        masks = prune(scores, masks, recipe.rates(masks), scope)


def test_levels_are_counted_until_the_wanted_density_is_reached():
    masks, recipe = full_masks(network("fc1", "fc2", "out")), Recipe()
    assert [count_levels(masks, recipe, density=d) for d in (1.0, 0.99, 0.834, 0.833)] == [
        0,
        1,
        1,
        2,
    ]
    assert count_levels(masks, recipe, levels=3) == 3
    for wrong in ({}, {"levels": 2, "density": 0.1}, {"levels": -1}, {"levels": 1.5}):
        with pytest.raises(ValueError, match="how far to prune|levels is a whole number from 0"):
            count_levels(masks, recipe, **wrong)
    for density in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="density is a fraction above 0"):
            count_levels(masks, recipe, density=density)
    with pytest.raises(ValueError, match="At these rates pruning stops at density 1"):
        count_levels(masks, replace(recipe, fractions={"fc": 0, "output": 0}), density=0.5)
