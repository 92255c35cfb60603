"""Edge-popup against its definition: scores are trained, weights never."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers import bits, finish, same_masks, states_equal
from torch.nn import functional as F

from lthlab._common import make_generator
from lthlab.batches import example_order
from lthlab.levels import Setting
from lthlab.masks import apply_masks_, full_masks, prunable_weights
from lthlab.models import build_model
from lthlab.recipes import Recipe
from lthlab.supermasks import Popup, edge_popup
from lthlab.training import evaluate

RECIPE = Recipe("sgd", 0.1, 0.9, 1e-4, batch_size=20, duration="40it", schedule="cosine")


def popup_of(scores, density) -> Popup:
    popup = Popup(torch.zeros(*scores.shape), density, torch.Generator())
    popup.scores.data = scores.clone()
    return popup


def test_the_largest_scores_are_kept_whatever_their_sign():
    popup = popup_of(torch.tensor([[0.1, -0.9, 0.3], [-0.2, 0.4, -0.05]]), 0.5)
    assert popup.mask().int().tolist() == [[0, 1, 1], [0, 1, 0]]
    weight = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert popup(weight).tolist() == [[0, 2, 3], [0, 5, 0]]


@pytest.mark.parametrize("density", [0.01, 0.34, 0.5, 0.99, 1.0])
def test_masks_are_the_largest_scores_by_a_sorted_list(density):
    scores = torch.randn(7, 11, generator=torch.Generator().manual_seed(1))
    sizes = [abs(score) for score in scores.flatten().tolist()]
    chosen = sorted(range(77), key=lambda place: -sizes[place])[: round(density * 77)]
    expected = [[11 * row + column in chosen for column in range(11)] for row in range(7)]
    assert popup_of(scores, density).mask().tolist() == expected


def test_gradients_go_straight_through_on_a_layer_worked_out_by_hand():
    scores = torch.tensor([[0.1, -0.9, 0.3], [-0.2, 0.4, -0.05]])
    weight = torch.tensor([[1.0, 2.0, 3.0], [4.0, -5.0, 6.0]])
    x, target, popup = (
        torch.tensor([2.0, -1.0, 0.5]),
        torch.tensor([1.0, 4.0]),
        popup_of(scores, 0.5),
    )
    loss = ((popup(weight) @ x - target) ** 2).sum()
    loss.backward()
    # Under the mask the outputs are 2 * -1 + 3 * 0.5 = -0.5 and -5 * -1 = 5: off by -1.5 and 1.
    assert loss.item() == 1.5**2 + 1
    by_product = [[2 * off * value for value in (2.0, -1.0, 0.5)] for off in (-1.5, 1.0)]
    expected = [
        [slope * w * (1 if s > 0 else -1) for slope, w, s in zip(*rows, strict=True)]
        for rows in zip(by_product, weight.tolist(), scores.tolist(), strict=True)
    ]
    assert popup.scores.grad.tolist() == expected
    assert all(map(all, expected))  # also where nothing is kept, or it could never come back


def by_hand(model, tiny, density, seed, steps):
    """Edge-popup as a loop of its own: SGD with momentum on scores, one dict for each layer."""
    generator = make_generator(seed, "popup scores")
    weights = {name: w.detach() for name, w in prunable_weights(model).items()}
    scores = {
        name: (2 * torch.rand(w.shape, generator=generator) - 1) / w[0].numel() ** 0.5
        for name, w in weights.items()
    }

    def masks():
        found = {}
        for name, score in scores.items():
            order = score.abs().flatten().argsort(descending=True)[: round(density * score.numel())]
            found[name] = torch.zeros(score.numel(), dtype=torch.bool)
            found[name][order] = True
            found[name] = found[name].view_as(score)
        return found

    begun, speed = masks(), {name: torch.zeros_like(score) for name, score in scores.items()}
    for step in range(steps):
        network, now = copy.deepcopy(model), masks()
        apply_masks_(network, now)
        epoch, batch = divmod(step, 5)
        chosen = example_order(tiny, seed, epoch)[20 * batch : 20 * (batch + 1)]
        F.cross_entropy(network(tiny.train.x[chosen]), tiny.train.y[chosen]).backward()
        for name, weight in prunable_weights(network).items():
            slope = weight.grad * weights[name] * scores[name].sign()
            speed[name] = 0.9 * speed[name] + slope + RECIPE.weight_decay * scores[name]
            scores[name] = scores[name] - RECIPE.lr_at(step, steps) * speed[name]
    return begun, masks()


def test_it_is_the_papers_loop(tiny):
    model = build_model("mlp-20-8", tiny)
    begun, expected = by_hand(model, tiny, 0.4, seed=3, steps=40)
    found, _ = edge_popup(model, tiny, RECIPE, 0.4, seed=3)
    assert same_masks(found, expected)
    assert not any(torch.equal(begun[name], mask) for name, mask in expected.items())


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("name", ["mlp-20-8", "resnet1d-2"])
def test_nothing_of_the_model_changes_and_every_layer_has_its_number(
    name, density, tiny, tiny_signals
):
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model, randomness = build_model(name, dataset), torch.get_rng_state()
    before = copy.deepcopy(model.state_dict())
    masks, _ = edge_popup(model, dataset, RECIPE, density)
    assert states_equal(dict(before), dict(model.state_dict()))
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(randomness, torch.get_rng_state())
    assert list(masks) == list(full_masks(model))
    for layer, mask in masks.items():
        assert mask.dtype == torch.bool and mask.shape == model.get_parameter(layer).shape
        assert int(mask.sum()) == round(density * mask.numel())


def test_it_learns_without_a_weight_that_learns(tiny):
    model, recipe = build_model("mlp-100-50", tiny), replace(RECIPE, lr=0.3, duration="100it")
    for seed in range(3):
        masks, history = edge_popup(model, tiny, recipe, 0.5, seed=seed)
        begun, ended = history.value(step=0), history.value()
        assert ended > 0.6 and ended > begun + 0.2  # four classes: 0.25 by chance
        network = apply_masks_(copy.deepcopy(model), masks)
        assert evaluate(network, tiny.validation)["accuracy"] == ended
        first, _ = edge_popup(model, tiny, replace(recipe, duration="0it"), 0.5, seed=seed)
        network = apply_masks_(copy.deepcopy(model), first)
        assert evaluate(network, tiny.validation)["accuracy"] == begun


def test_the_seed_draws_the_scores(tiny):
    model = build_model("mlp-20-8", tiny)
    one, again, other = (edge_popup(model, tiny, RECIPE, 0.5, seed=seed)[0] for seed in (1, 1, 2))
    assert same_masks(one, again) and not same_masks(one, other)


@pytest.mark.parametrize("density", [0, -0.1, 1.5, 20])
def test_a_density_outside_0_to_1_is_a_value_error(density, tiny):
    with pytest.raises(ValueError, match="density is a fraction above 0"):
        edge_popup(build_model("mlp-8", tiny), tiny, RECIPE, density)


def test_the_arm_looks_at_untrained_weights(tiny):
    setting = Setting(lambda seed: build_model("mlp-20-8", tiny, seed), tiny, RECIPE, test=True)
    found = finish(setting, ["edge-popup", "ticket"], [1, 2, 3], seed=1)
    model = build_model("mlp-20-8", tiny, 1)
    for number in (1, 3):
        level = found["edge-popup", 1, number]
        kept = found["ticket", 1, number].density
        masks, history = edge_popup(model, tiny, RECIPE, kept, seed=1)
        assert same_masks(level.masks, masks) and level.density == pytest.approx(kept, abs=0.005)
        assert set(level.history.table["step"]) == {0}
        assert level.history.value() == history.value()
        for name, value in model.state_dict().items():
            if name not in masks:
                assert torch.equal(level.trained[name], value)
                continue
            assert torch.equal(level.trained[name][masks[name]], value[masks[name]])
            assert not bits(level.trained[name])[~masks[name]].any()
        assert level.history.value(split="test") == level.correct.double().mean().item()


def test_the_arm_has_the_accuracy_of_the_search_where_there_are_norms(tiny_signals):
    """Running statistics belong to the masks, though no gradient moves them."""
    recipe = replace(RECIPE, lr=0.3, duration="100it", fractions={"all": 0.2}, scope="global")

    def build(seed):
        return build_model("resnet1d-8", tiny_signals, seed)

    found = finish(Setting(build, tiny_signals, recipe), ["edge-popup", "ticket"], [1])
    level, ticket = found["edge-popup", 0, 1], found["ticket", 0, 1]
    masks, history = edge_popup(build(0), tiny_signals, recipe, ticket.density)
    assert same_masks(level.masks, masks) and history.value() > 0.5
    assert level.history.value() == history.value()
