"""Costs, worked out by hand."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lthlab.cost import (
    Assumptions,
    Flops,
    inference_flops,
    parameters,
    storage_bytes,
    training_flops,
    training_memory,
)
from lthlab.data import make_dataset
from lthlab.masks import apply_masks_, count_kept, full_masks
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
    """Name, places, weights and kept weights of each layer of the small ResNet; what has no mask is dense."""
    places = {
        "blocks.0": samples,
        "blocks.1": samples // 2,
        "blocks.2": samples // 4,
        "conv.wei": samples,
        "out.weig": 1,
    }
    weights = {name: p for name, p in model.named_parameters() if p.dim() > 1}
    return [(n, places[n[:8]], w.numel(), int(masks[n].sum()) if n in masks else w.numel()) for n, w in weights.items()]


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
    found, layers = training_flops(model, tiny_signals, recipe, masks), resnet1d_layers(model, masks)
    products = {name: 2 if name == "conv.weight" else 3 for name, *_ in layers}
    assert found.total == sum(3 * 20 * 2 * products[name] * places * size for name, places, size, _ in layers)
    assert found.nonzero == sum(3 * 20 * 2 * products[name] * places * kept for name, places, _, kept in layers)


@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-4"])
def test_training_with_everything_pruned_leaves_no_products(name, tiny, tiny_signals):
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model = build_model(name, dataset)
    model.keep_dense = ()
    nothing = {layer: torch.zeros_like(mask) for layer, mask in full_masks(model).items()}
    assert inference_flops(model, dataset, nothing).nonzero == 0
    assert training_flops(model, dataset, Recipe(batch_size=20, duration="1it"), nothing).nonzero == 0


def test_a_model_that_is_a_single_layer_is_counted_too():
    x = np.random.default_rng(0).normal(size=(20, 5))
    dataset = make_dataset("flat", x, np.arange(20) % 2, x[:4], np.arange(4) % 2, "ab", 4)
    masks = {"weight": torch.tensor([[True, False, False, False, False], [True, True, False, False, False]])}
    assert inference_flops(nn.Linear(5, 2), dataset, masks) == Flops(20, 6)


def test_a_model_with_norms_over_features_can_be_counted_in_training_mode(tiny):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)).train()
    assert inference_flops(model, tiny).total == 2 * (16 * 8 + 8 * 4)
    assert model.training


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_model_as_it_was(training, tiny_signals):
    model = build_model("resnet1d-2", tiny_signals)
    model(tiny_signals.train.x).sum().backward()
    model.conv.weight.grad = None
    model.train(training)
    before = copy.deepcopy(model.state_dict())
    gradients = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    recipe = Recipe(batch_size=20, duration="1it")
    inference_flops(model, tiny_signals)
    training_flops(model, tiny_signals, recipe, some_masks(model))
    training_memory(model, tiny_signals, recipe)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training is training
    for name, parameter in model.named_parameters():
        if gradients[name] is None:
            assert parameter.grad is None
        else:
            assert torch.equal(parameter.grad, gradients[name])


def test_parameters_are_counted_in_total_prunable_and_nonzero(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model)
    found = parameters(model)
    assert (found.total, found.prunable) == (218, 200)
    assert found.nonzero == 200, "biases start at zero"
    assert parameters(model, masks).nonzero == 18 + count_kept(masks)
    with torch.no_grad():
        for layer in (model.fc1, model.fc2, model.out):
            layer.bias.fill_(1)
    assert parameters(apply_masks_(model, masks)) == parameters(model, masks)


def test_storage_in_bytes_worked_out_by_hand():
    masks = {"a": torch.zeros(3, 5, dtype=torch.bool), "b": torch.ones(2, 2, dtype=torch.bool)}
    masks["a"][0, :3] = True
    assert storage_bytes(masks) == {"dense": 19 * 4, "bitmap": 7 * 4 + 3, "CSR": 7 * 8 + (4 + 3) * 4}
    assert storage_bytes(masks, element_size=2) == {"dense": 38, "bitmap": 7 * 2 + 3, "CSR": 7 * 6 + 28}


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
    small, large = (training_memory(model, tiny_signals, Recipe(batch_size=size)) for size in (20, 80))
    assert (small.weights, small.gradients, small.optimizer) == (large.weights, large.gradients, large.optimizer)
    assert 3.5 < large.activations / small.activations <= 4


def test_energy_and_emissions_follow_from_the_assumptions():
    home, centre = Assumptions(), Assumptions(watts=500, overhead=1.2, grams_per_kwh=50)
    assert home.kwh(3600) == pytest.approx(0.030)
    assert home.co2e_grams(3600) == pytest.approx(14.4)
    assert centre.kwh(7200) == pytest.approx(1.2)
    assert centre.co2e_grams(7200) == pytest.approx(60)
    assert home.co2e_grams(0) == 0


def test_flops_can_be_multiplied():
    assert Flops(10, 3) * 4 == Flops(40, 12)
