"""The line between two networks, the barrier on it, and copies that differ in data order only."""

import copy

import pandas as pd
import pytest
import torch

from lthlab import (
    Recipe,
    build_model,
    error_barrier,
    evaluate,
    full_masks,
    interpolate,
    magnitude,
    prune,
    train,
    train_copies,
)
from lthlab.stability import refresh_batchnorm_

RECIPE = Recipe("sgd", 0.1, 0.9, batch_size=20, duration="3ep", schedule="cosine")


def line(errors):
    rows = [(i / (len(errors) - 1), "accuracy", 1 - error) for i, error in enumerate(errors)]
    return pd.DataFrame(rows, columns=["alpha", "metric", "value"])


@pytest.mark.parametrize(
    "errors, barrier",
    [([0.1, 0.1, 0.1], 0.0), ([0.1, 0.5, 0.2], 0.35), ([0.1, 0.15, 0.2], 0.05), ([0.3, 0.1, 0.1, 0.5], 0.1)],
)
def test_barrier_is_the_highest_rise_above_the_mean_of_the_ends(errors, barrier):
    assert error_barrier(line(errors)) == pytest.approx(barrier)
    assert error_barrier(line(errors).sample(frac=1, random_state=0)) == pytest.approx(barrier)


def test_ends_of_the_line_are_the_two_networks(tiny):
    first, second = (build_model("mlp-8", tiny, seed=seed) for seed in (1, 2))
    before = copy.deepcopy(first.state_dict())
    found = interpolate(first, second, tiny, points=3)
    for alpha, model in ((0.0, first), (1.0, second)):
        rows = found[found["alpha"] == alpha].set_index("metric")["value"]
        assert rows["loss"] == pytest.approx(evaluate(model, tiny.validation)["loss"], rel=1e-6)
        assert rows["accuracy"] == evaluate(model, tiny.validation)["accuracy"]
    assert all(torch.equal(before[name], value) for name, value in first.state_dict().items())


def test_the_middle_is_the_mean_of_the_weights(tiny):
    first, second = (build_model("mlp-8", tiny, seed=seed) for seed in (1, 2))
    middle = copy.deepcopy(first)
    states = first.state_dict(), second.state_dict()
    middle.load_state_dict({name: (value + states[1][name]) / 2 for name, value in states[0].items()})
    found = interpolate(first, second, tiny, points=3).query("alpha == 0.5").set_index("metric")["value"]
    assert found["loss"] == pytest.approx(evaluate(middle, tiny.validation)["loss"], rel=1e-5)


def test_networks_of_another_shape_are_one_clear_error(tiny):
    with pytest.raises(ValueError, match="same architecture"):
        interpolate(build_model("mlp-8", tiny), build_model("mlp-9", tiny), tiny)


def test_batchnorm_is_measured_over_the_training_split(tiny_signals):
    model = build_model("resnet1d-2", tiny_signals).train()
    momentum = model.norm.momentum
    refresh_batchnorm_(model, tiny_signals, batch_size=len(tiny_signals.train))
    with torch.no_grad():
        seen = model.conv(tiny_signals.train.x)
    assert torch.allclose(model.norm.running_mean, seen.mean((0, 2)), atol=1e-6)
    assert torch.allclose(model.norm.running_var, seen.var((0, 2)), rtol=1e-5)
    assert model.norm.momentum == momentum and all(module.training for module in model.modules())


def test_refreshing_needs_no_batchnorm(tiny):
    model = build_model("mlp-8", tiny)
    before = copy.deepcopy(model.state_dict())
    refresh_batchnorm_(model, tiny)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_copies_differ_in_the_order_of_the_data_and_in_nothing_else(tiny):
    model = build_model("mlp-8", tiny)
    start = train(copy.deepcopy(model), tiny, RECIPE, snapshots=[5]).snapshots[5]
    same, other = (train_copies(model, tiny, RECIPE, start, seeds) for seeds in ((7, 7), (7, 8)))
    assert all(torch.equal(a, b) for a, b in zip(same[0].parameters(), same[1].parameters(), strict=True))
    assert torch.equal(same[0].fc1.weight, other[0].fc1.weight)
    assert not torch.equal(other[0].fc1.weight, other[1].fc1.weight)


def test_copies_keep_the_masks(tiny):
    model = build_model("mlp-8", tiny)
    masks = prune(magnitude(model), full_masks(model), 0.5)
    start = train(copy.deepcopy(model), tiny, RECIPE, masks, snapshots=[0]).snapshots[0]
    for trained in train_copies(model, tiny, RECIPE, start, (1, 2), masks):
        assert not trained.fc1.weight[~masks["fc1.weight"]].any()


def test_copies_from_the_end_have_no_barrier(tiny):
    model = build_model("mlp-8", tiny)
    end = train(copy.deepcopy(model), tiny, RECIPE, snapshots=["3ep"]).snapshots[15]
    pair = train_copies(model, tiny, RECIPE, end, (1, 2))
    assert error_barrier(interpolate(*pair, tiny)) == 0
