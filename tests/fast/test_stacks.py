"""Networks stacked in one step train as they do alone: each with its own masks and data order."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers import bits, some_masks, states_equal
from torch import nn
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.fast.stacks import Stack, train_stacked
from lthlab.masks import full_masks
from lthlab.models import build_model
from lthlab.recipes import Recipe
from lthlab.steps import STEPS, Step, cross_entropy
from lthlab.training import train

ADAM = Recipe("adam", 1e-2, batch_size=20, duration="2ep3it")
RECIPES = {
    "adam": ADAM,
    "adamw": replace(ADAM, optimizer="adamw", weight_decay=0.01),
    "sgd": Recipe("sgd", 0.05, 0.9, 1e-3, 20, "2ep3it", "cosine", warmup=3),
}


def networks(name, dataset, count=3):
    return [build_model(name, dataset, seed) for seed in range(count)]


def largest_difference(one: dict, other: dict) -> float:
    assert list(one) == list(other)
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize("optimizer", RECIPES)
@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-4"])
def test_each_network_trains_as_it_does_alone(name, optimizer, tiny, tiny_signals):
    dataset, recipe = (tiny if name.startswith("mlp") else tiny_signals), RECIPES[optimizer]
    alone, together, seeds = networks(name, dataset), networks(name, dataset), (5, 0, 9)
    densities = zip(alone, (0.3, 0.5, 1.0), strict=True)
    masks = [some_masks(model, keep) for model, keep in densities]
    expected = [
        train(model, dataset, recipe, own, seed=seed, evaluate_every="4it")
        for model, own, seed in zip(alone, masks, seeds, strict=True)
    ]
    options = {"seeds": seeds, "evaluate_every": "4it"}
    found = train_stacked(together, dataset, recipe, masks, **options)
    for number, history in enumerate(found):
        table, same = expected[number].table, history.table
        assert table.drop(columns="value").equals(same.drop(columns="value"))
        losses = table["metric"] == "loss"
        values, others = table["value"].to_numpy(), same["value"].to_numpy()
        assert others[losses] == pytest.approx(values[losses], rel=2e-3)
        assert others[~losses] == pytest.approx(values[~losses], abs=2 / 30)
        assert largest_difference(alone[number].state_dict(), together[number].state_dict()) < 2e-3
        assert states_equal(history.masks, masks[number])
        for weight, mask in masks[number].items():
            assert (bits(together[number].state_dict()[weight])[~mask] == 0).all()


def test_a_stack_is_its_networks(tiny_signals):
    models = networks("resnet1d-4", tiny_signals)
    stack, x = Stack(models).eval(), tiny_signals.test.x[:5]
    with torch.no_grad():
        outputs = stack(x.expand(3, *x.shape))
        for model, output in zip(models, outputs, strict=True):
            assert torch.allclose(model.eval()(x), output, atol=1e-5)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (stack, models[0])]
    assert sizes[0] == 3 * sizes[1]
    weights = ["networks." + name for name in full_masks(models[0])]
    assert [*full_masks(stack)] == weights, "out and shortcut are not pruned"
    assert type(STEPS["fast"](stack, None, ADAM, cross_entropy)) is Step


@pytest.mark.parametrize("steps", [1, 4, 5, 6, 11])
def test_each_network_sees_batches_of_its_own(steps, tiny):
    """Against a plain loop for each network: one that saw other examples would be elsewhere."""
    recipe = Recipe("sgd", 0.5, batch_size=20, duration=f"{steps}it")
    models = [nn.Sequential(nn.Flatten(), nn.Linear(16, 4)) for _ in range(2)]
    plain = copy.deepcopy(models)
    train_stacked(models, tiny, recipe, seeds=(4, 2))
    for model, network, seed in zip(models, plain, (4, 2), strict=True):
        for step in range(steps):
            chosen = example_order(tiny, seed, step // 5)[step % 5 * 20 :][:20]
            loss = F.cross_entropy(network(tiny.train.x[chosen]), tiny.train.y[chosen])
            gradients = torch.autograd.grad(loss, [*network.parameters()])
            with torch.no_grad():
                for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                    parameter -= 0.5 * gradient
        torch.testing.assert_close(model[1].weight, network[1].weight)
        torch.testing.assert_close(model[1].bias, network[1].bias)


def dropping():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 4))


def test_networks_that_share_a_seed_of_noise_still_draw_different_noise(tiny):
    model = dropping()
    copies = [copy.deepcopy(model) for _ in range(2)]
    train_stacked(copies, tiny, ADAM, seeds=(3, 3))
    assert largest_difference(copies[0].state_dict(), copies[1].state_dict()) > 0


def test_noise_depends_on_the_seeds_and_leaves_the_callers_alone(tiny):
    model, found = dropping(), []
    for disturbance in (1, 2):
        copies = [copy.deepcopy(model) for _ in range(2)]
        torch.manual_seed(disturbance)
        before = torch.get_rng_state()
        train_stacked(copies, tiny, ADAM, seeds=(3, 4))
        assert torch.equal(torch.get_rng_state(), before)
        found.append([network.state_dict() for network in copies])
    assert states_equal(found[0], found[1])


def test_what_cannot_be_stacked_is_said(tiny):
    relu, other = build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny)
    other.relu1 = nn.Sigmoid()
    tied = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4))
    tied[2].weight = tied[1].weight
    frozen = build_model("mlp-8-6", tiny)
    frozen.fc1.requires_grad_(False)
    for models, words in (
        ([relu, build_model("mlp-8-7", tiny)], "same architecture"),
        ([relu, other], "same architecture"),
        ([relu, frozen], "same architecture"),
        ([relu, relu], "each of them once"),
        ([tied, copy.deepcopy(tied)], "share weights"),
    ):
        before = [copy.deepcopy(model.state_dict()) for model in models]
        with pytest.raises(ValueError, match=words):
            train_stacked(models, tiny, ADAM, seeds=(0, 1))
        assert states_equal([model.state_dict() for model in models], before)
    with pytest.raises(ValueError, match="made for another model"):
        train_stacked([relu, relu], tiny, ADAM, [full_masks(relu), full_masks(tied)], seeds=(0, 1))
    with pytest.raises(ValueError, match="got 3 networks, 2 seeds"):
        train_stacked(networks("mlp-8-6", tiny), tiny, ADAM, seeds=(0, 1))
    with pytest.raises(ValueError, match="got 2 networks, 2 seeds, 1 masks"):
        train_stacked([relu, relu], tiny, ADAM, [full_masks(relu)], seeds=(0, 1))


def test_frozen_parameters_stay_and_modes_do_not_matter(tiny):
    models = networks("mlp-8-6", tiny, 2)
    for model in models:
        model.fc1.weight.requires_grad_(False)
    models[0].eval()
    before = [model.fc1.weight.clone() for model in models]
    train_stacked(models, tiny, ADAM, seeds=(0, 1))
    for model, weight, fresh in zip(models, before, networks("mlp-8-6", tiny, 2), strict=True):
        assert model.fc1.weight.equal(weight) and not model.fc2.weight.equal(fresh.fc2.weight)


def test_measuring_in_the_middle_of_an_epoch_does_not_end_training_mode(tiny):
    dropped = [nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(16, 4)) for _ in range(2)]
    often, seldom = ([copy.deepcopy(model) for model in dropped] for _ in range(2))
    train_stacked(often, tiny, ADAM, seeds=(0, 1), evaluate_every="1it")
    train_stacked(seldom, tiny, ADAM, seeds=(0, 1), evaluate_every=0)
    for one, other in zip(often, seldom, strict=True):
        assert states_equal(one.state_dict(), other.state_dict())
