"""The line between two networks, the barrier on it, and copies that differ in data order only."""

import copy

import pandas as pd
import pytest
import torch
from helpers import states_equal
from torch import nn

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

RECIPE = Recipe("sgd", 0.1, 0.9, batch_size=20, duration="3ep", schedule="cosine")


def line(errors):
    rows = [(i / (len(errors) - 1), "accuracy", 1 - error) for i, error in enumerate(errors)]
    return pd.DataFrame(rows, columns=["alpha", "metric", "value"])


@pytest.mark.parametrize(
    "errors, barrier",
    [
        ([0.1, 0.1, 0.1], 0.0),
        ([0.1, 0.5, 0.2], 0.35),
        ([0.1, 0.15, 0.2], 0.05),
        ([0.3, 0.1, 0.1, 0.5], 0.1),
    ],
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


def mean_of(first, second):
    """A network of the same kind, every weight and statistic halfway between the two."""
    middle, other = copy.deepcopy(first), second.state_dict()
    states = {name: (value + other[name]) / 2 for name, value in first.state_dict().items()}
    middle.load_state_dict(states)
    return middle


def halfway(first, second, dataset):
    line = interpolate(first, second, dataset, points=3)
    return line.query("alpha == 0.5").set_index("metric")["value"]


def test_the_middle_is_the_mean_of_the_weights(tiny):
    first, second = (build_model("mlp-8", tiny, seed=seed) for seed in (1, 2))
    found = halfway(first, second, tiny)
    middle = evaluate(mean_of(first, second), tiny.validation)
    assert found["loss"] == pytest.approx(middle["loss"], rel=1e-5)


def test_networks_of_another_shape_are_one_clear_error(tiny):
    with pytest.raises(ValueError, match="same architecture"):
        interpolate(build_model("mlp-8", tiny), build_model("mlp-9", tiny), tiny)


def test_in_between_batchnorm_is_measured_over_the_training_split(tiny_signals):
    """The statistics are neither end's, nor the mean of both, but those of the network between."""
    first, second = (build_model("resnet1d-2", tiny_signals, seed=seed) for seed in (1, 2))
    for model in (first, second):
        train(model, tiny_signals, RECIPE)
    middle = mean_of(first, second)
    stale = evaluate(middle, tiny_signals.validation)["loss"]
    for module in middle.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0  # one look at everything, and nothing remembered from before
    with torch.no_grad():
        middle.train()(tiny_signals.train.x)
    seen = middle.conv(tiny_signals.train.x)
    assert torch.allclose(middle.norm.running_mean, seen.mean((0, 2)), atol=1e-6)
    assert torch.allclose(middle.norm.running_var, seen.var((0, 2)), rtol=1e-5)
    expected = evaluate(middle, tiny_signals.validation)
    found = halfway(first, second, tiny_signals)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert found["accuracy"] == pytest.approx(expected["accuracy"])
    assert abs(expected["loss"] - stale) > 0.001  # it makes a difference


@pytest.mark.parametrize("training", [True, False])
def test_interpolation_changes_neither_network(training, tiny_signals):
    first, second = (build_model("resnet1d-2", tiny_signals, seed=seed) for seed in (1, 2))
    for model in (first, second):
        train(model, tiny_signals, RECIPE)
        model.train(training)
        model.norm.eval()
    first.norm.momentum, second.norm.momentum = 0.3, None
    before = copy.deepcopy([first.state_dict(), second.state_dict()])
    modes = [[module.training for module in model.modules()] for model in (first, second)]
    randomness = torch.get_rng_state()
    line = interpolate(first, second, tiny_signals, points=4)
    assert states_equal(before, [first.state_dict(), second.state_dict()])
    assert first.norm.momentum == 0.3 and second.norm.momentum is None
    assert first.blocks[0].norm1.momentum == nn.BatchNorm1d(1).momentum
    assert modes == [[module.training for module in model.modules()] for model in (first, second)]
    assert torch.equal(randomness, torch.get_rng_state())
    assert line["alpha"].unique().tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert line.equals(interpolate(first, second, tiny_signals, points=4))


def test_dropout_on_the_line_draws_from_no_one_elses_numbers(tiny):
    def noisy(dataset, seed):
        layers = nn.Linear(16, 8), nn.Dropout(), nn.BatchNorm1d(8), nn.Linear(8, 4)
        return nn.Sequential(nn.Flatten(), *layers)

    first, second = (build_model(noisy, tiny, seed=seed) for seed in (1, 2))
    randomness = torch.get_rng_state()
    line = interpolate(first, second, tiny, points=3)
    assert torch.equal(randomness, torch.get_rng_state())
    torch.rand(5)
    assert line.equals(interpolate(first, second, tiny, points=3))


def test_copies_differ_in_the_order_of_the_data_and_in_nothing_else(tiny):
    model = build_model("mlp-8", tiny)
    start = train(copy.deepcopy(model), tiny, RECIPE, states=[5]).states[5]
    same, other = (train_copies(model, tiny, RECIPE, start, seeds) for seeds in ((7, 7), (7, 8)))
    assert states_equal(same[0].state_dict(), same[1].state_dict())
    assert torch.equal(same[0].fc1.weight, other[0].fc1.weight)
    assert not torch.equal(other[0].fc1.weight, other[1].fc1.weight)


def test_copies_keep_the_masks(tiny):
    model = build_model("mlp-8", tiny)
    masks = prune(magnitude(model), full_masks(model), 0.5)
    start = train(copy.deepcopy(model), tiny, RECIPE, masks, states=[0]).states[0]
    for trained in train_copies(model, tiny, RECIPE, start, (1, 2), masks):
        assert not trained.fc1.weight[~masks["fc1.weight"]].any()


def test_copies_from_the_end_have_no_barrier(tiny):
    model = build_model("mlp-8", tiny)
    end = train(copy.deepcopy(model), tiny, RECIPE, states=["3ep"]).states[15]
    pair = train_copies(model, tiny, RECIPE, end, (1, 2))
    assert error_barrier(interpolate(*pair, tiny)) == 0
