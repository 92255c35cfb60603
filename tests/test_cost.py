"""Costs, worked out by hand."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import states_equal
from torch import nn

from lthlab.cost import (
    Assumptions,
    Flops,
    inference_flops,
    storage_bytes,
    training_flops,
    training_memory,
)
from lthlab.data import make_dataset
from lthlab.masks import full_masks
from lthlab.models import build_model
from lthlab.pruning import prune, random
from lthlab.recipes import Recipe


def some_masks(model, keep: float = 0.4, scope: str = "global"):
    return prune(random(model), full_masks(model), 1 - keep, scope)


@pytest.fixture
def lenet(fashion_mini):
    return build_model("lenet-300-100", fashion_mini)


def test_lenet_takes_two_operations_per_weight(lenet, fashion_mini):
    assert inference_flops(lenet, fashion_mini) == Flops(2 * 266_200, 2 * 266_200)


def test_training_lenet_takes_three_products_per_layer_but_two_for_the_first(lenet, fashion_mini):
    recipe = Recipe(batch_size=60, duration="7it")
    per_step = 2 * 60 * (3 * 266_200 - 784 * 300)
    assert training_flops(lenet, fashion_mini, recipe) == Flops(7 * per_step, 7 * per_step)
    per_epoch = training_flops(lenet, fashion_mini, replace(recipe, duration="1ep"))
    assert per_epoch == Flops(133 * per_step, 133 * per_step)


def test_pruned_weights_of_lenet_take_no_part_in_the_nonzero_count(lenet, fashion_mini):
    masks = some_masks(lenet)
    kept = {name: int(mask.sum()) for name, mask in masks.items()}
    assert inference_flops(lenet, fashion_mini, masks) == Flops(2 * 266_200, 2 * sum(kept.values()))
    found = training_flops(lenet, fashion_mini, Recipe(batch_size=60, duration="2it"), masks)
    assert found.total == 2 * 2 * 60 * (3 * 266_200 - 784 * 300)
    assert found.nonzero == 2 * 2 * 60 * (3 * sum(kept.values()) - kept["fc1.weight"])


def resnet1d_layers(model, masks, samples: int = 12) -> list[tuple[str, int, int, int]]:
    """Name, places, weights and kept weights of each layer; what has no mask is dense."""
    places = {
        "blocks.0": samples,
        "blocks.1": samples // 2,
        "blocks.2": samples // 4,
        "conv.wei": samples,
        "out.weig": 1,
    }
    weights = {name: p for name, p in model.named_parameters() if p.dim() > 1}
    kept = {n: int(masks[n].sum()) if n in masks else w.numel() for n, w in weights.items()}
    return [(n, places[n[:8]], w.numel(), kept[n]) for n, w in weights.items()]


def test_convolutions_use_each_weight_once_per_place(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    masks = some_masks(model)
    found, layers = inference_flops(model, tiny_signals, masks), resnet1d_layers(model, masks)
    assert found.total == sum(2 * places * size for _, places, size, _ in layers)
    assert found.nonzero == sum(2 * places * kept for _, places, _, kept in layers)
    assert found.nonzero < 0.6 * found.total


def test_training_a_resnet_counts_every_layer_by_its_own_density(tiny_signals):
    model, recipe = build_model("resnet1d-4", tiny_signals), Recipe(batch_size=20, duration="3it")
    masks = some_masks(model)
    found = training_flops(model, tiny_signals, recipe, masks)
    total = nonzero = 0
    for name, places, size, kept in resnet1d_layers(model, masks):
        products = 2 if name == "conv.weight" else 3  # the data want no gradient
        total += 3 * 20 * 2 * products * places * size
        nonzero += 3 * 20 * 2 * products * places * kept
    assert (found.total, found.nonzero) == (total, nonzero)


@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-4"])
def test_training_with_everything_pruned_leaves_no_products(name, tiny, tiny_signals):
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model = build_model(name, dataset)
    model.keep_dense = ()
    nothing = {layer: torch.zeros_like(mask) for layer, mask in full_masks(model).items()}
    assert inference_flops(model, dataset, nothing).nonzero == 0
    assert (
        training_flops(model, dataset, Recipe(batch_size=20, duration="1it"), nothing).nonzero == 0
    )


def test_a_model_that_is_a_single_layer_is_counted_too():
    x = np.random.default_rng(0).normal(size=(20, 5))
    dataset = make_dataset("flat", x, np.arange(20) % 2, x[:4], np.arange(4) % 2, "ab", 4)
    masks = {"weight": torch.tensor([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0]], dtype=torch.bool)}
    assert inference_flops(nn.Linear(5, 2), dataset, masks) == Flops(20, 6)


def everything_at_once(dataset, seed) -> nn.Module:
    """Layers that act otherwise while they train: norms over the batch, and dropout."""
    layers = nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4)
    return nn.Sequential(nn.Flatten(), *layers)


def test_a_model_with_norms_over_features_can_be_counted_in_training_mode(tiny):
    model = build_model(everything_at_once, tiny).train()
    assert inference_flops(model, tiny).total == 2 * (16 * 8 + 8 * 4)
    assert model.training


@pytest.mark.parametrize("name", [everything_at_once, "resnet1d-2"])
def test_costs_do_not_depend_on_the_mode_a_model_happens_to_be_in(name, tiny, tiny_signals):
    dataset = tiny_signals if name == "resnet1d-2" else tiny
    model, recipe = build_model(name, dataset), Recipe(batch_size=20, duration="3it")
    masks, found = some_masks(model), []
    for training in (True, False):
        model.train(training)
        modes = [module.training for module in model.modules()]
        before, randomness = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        found.append(
            (
                training_memory(model, dataset, recipe),
                training_flops(model, dataset, recipe, masks),
                inference_flops(model, dataset, masks),
            )
        )
        assert modes == [module.training for module in model.modules()]
        assert states_equal(before, model.state_dict())
        assert torch.equal(randomness, torch.get_rng_state())
        assert all(p.grad is None for p in model.parameters())
        assert not any(module._forward_hooks for module in model.modules())
    assert found[0] == found[1]


def test_training_keeps_what_norms_and_dropout_need_for_the_backward_pass(tiny):
    """Also where the model happens to be in evaluation mode."""
    model, recipe = build_model(everything_at_once, tiny).eval(), Recipe(batch_size=20)
    plain = [layer for layer in model if not isinstance(layer, nn.Dropout)]
    more = training_memory(model, tiny, recipe).activations
    less = training_memory(nn.Sequential(*plain), tiny, recipe).activations
    assert more - less >= 20 * 8  # at least a bit mask of one byte per value that dropout lets pass


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_model_as_it_was(training, tiny_signals):
    model = build_model("resnet1d-2", tiny_signals)
    model(tiny_signals.train.x).sum().backward()
    model.conv.weight.grad = None
    model.train(training)
    before = copy.deepcopy(model.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    recipe = Recipe(batch_size=20, duration="1it")
    inference_flops(model, tiny_signals)
    training_flops(model, tiny_signals, recipe, some_masks(model))
    training_memory(model, tiny_signals, recipe)
    assert states_equal(before, model.state_dict())
    assert model.training is training
    assert states_equal(gradients, [p.grad for p in model.parameters()])


def test_storage_in_bytes_worked_out_by_hand():
    masks = {"a": torch.zeros(3, 5, dtype=torch.bool), "b": torch.ones(2, 2, dtype=torch.bool)}
    masks["a"][0, :3] = True
    assert storage_bytes(masks) == {
        "dense": 19 * 4,
        "bitmap": 7 * 4 + 3,
        "CSR": 7 * 8 + (4 + 3) * 4,
    }


@pytest.mark.parametrize(
    ("recipe", "copies"),
    [
        (Recipe("sgd", 0.1), 0),
        (Recipe("sgd", 0.1, 0.9), 1),
        (Recipe("adam"), 2),
        (Recipe("adamw", weight_decay=0.1), 2),
    ],
)
def test_training_memory_of_lenet_worked_out_by_hand(recipe, copies, lenet, fashion_mini):
    found = training_memory(lenet, fashion_mini, recipe)
    size = 4 * (266_200 + 410)
    assert (found.weights, found.gradients, found.optimizer) == (size, size, copies * size)
    kept_for_backward = 60 * 4 * (784 + 300 + 100 + 10)
    assert kept_for_backward <= found.activations <= kept_for_backward + 60 * 4 * 10 + 60 * 8 + 64
    assert found.total == found.weights + found.gradients + found.optimizer + found.activations


def test_activations_grow_with_the_batch_and_weights_do_not(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    recipes = Recipe(batch_size=20), Recipe(batch_size=80)
    small, large = (training_memory(model, tiny_signals, recipe) for recipe in recipes)
    assert (small.weights, small.gradients) == (large.weights, large.gradients)
    assert small.optimizer == large.optimizer
    assert 3.5 < large.activations / small.activations <= 4


def test_energy_and_emissions_follow_from_the_assumptions():
    home, centre = Assumptions(), Assumptions(watts=500, overhead=1.2, grams_per_kwh=50)
    assert home.kwh(pd.Series([3600.0, 7200.0])).tolist() == pytest.approx([0.030, 0.060])
    assert home.kwh(3600) == pytest.approx(0.030)
    assert home.co2e_grams(3600) == pytest.approx(14.4)
    assert centre.kwh(7200) == pytest.approx(1.2)
    assert centre.co2e_grams(7200) == pytest.approx(60)
    assert home.co2e_grams(0) == 0
