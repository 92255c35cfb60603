"""Steps: states that lie in their own memory, PyTorch's optimisers, and losses of one's own."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers import bits, some_masks, states_equal
from torch import nn
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.masks import full_masks
from lthlab.models import build_model
from lthlab.recipes import Recipe
from lthlab.steps import State, Step, make_optimizer
from lthlab.training import train, training

# 5 steps an epoch on the tiny sets.
ADAM = Recipe("adam", 1e-2, batch_size=20, duration="2ep3it")
SGD = Recipe("sgd", 0.1, 0.9, 1e-2, 20, "2ep3it", "cosine")


def batch_of(dataset, seed, step, size=20):
    """Written out here again, apart from the package."""
    per_epoch = len(dataset.train) // size
    order = example_order(dataset, seed, step // per_epoch)
    chosen = order[step % per_epoch * size :][:size]
    return dataset.train.x[chosen], dataset.train.y[chosen]


def test_a_state_holds_weights_buffers_and_optimiser_memory_in_its_own_memory(tiny_signals):
    model, plain, other = (build_model("resnet1d-4", tiny_signals, seed) for seed in (0, 0, 1))
    x, y = batch_of(tiny_signals, 0, 0)
    F.cross_entropy(plain.train()(x), y).backward()
    remembered = plain.conv.weight.grad + SGD.weight_decay * plain.conv.weight.detach()
    trained = training(model, tiny_signals, SGD, stops=[1, 13])
    state = next(trained).state()
    held = copy.deepcopy((state.model, state.optimizer))
    assert state.step == 1
    assert states_equal(state.model, dict(model.state_dict()))
    assert state.model["norm.running_mean"].any()
    torch.testing.assert_close(state.optimizer["conv.weight/momentum_buffer"], remembered)
    assert {key.rpartition("/")[0] for key in state.optimizer} == dict(
        plain.named_parameters()
    ).keys()

    next(trained)  # training goes on: weights, statistics and momentum change in place
    assert not states_equal(state.model, dict(model.state_dict()))
    assert states_equal((state.model, state.optimizer), held)
    state.restore_(other)
    assert states_equal(dict(other.state_dict()), held[0])
    with torch.no_grad():
        for tensor in (*other.parameters(), *other.buffers()):
            tensor.zero_()
    assert states_equal((state.model, state.optimizer), held)


def test_the_state_of_a_network_alone_is_at_step_0_and_remembers_nothing(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    state = State.of(model)
    assert (state.step, state.optimizer) == (0, {})
    with torch.no_grad():
        model.conv.weight.zero_()
    assert states_equal(state.model, dict(build_model("resnet1d-4", tiny_signals).state_dict()))


@pytest.mark.parametrize("recipe", [ADAM, SGD], ids=["adam", "sgd"])
def test_a_restricted_state_forgets_what_masks_drop_and_nothing_else(recipe, tiny):
    model = build_model("mlp-8-6", tiny)
    state = train(model, tiny, recipe, states=[7]).states[7]
    before, masks = copy.deepcopy((state.model, state.optimizer)), some_masks(model)
    restricted = state.restricted(masks)
    assert restricted.step == 7 and restricted.optimizer.keys() == state.optimizer.keys()
    tensors, old = (s.model | s.optimizer for s in (restricted, state))
    for key, value in tensors.items():
        mask = masks.get(key.partition("/")[0])
        if mask is None or not value.ndim:
            assert torch.equal(value, old[key]), key
        else:
            assert old[key][~mask].any(), "else this test would show nothing"
            assert torch.equal(value[mask], old[key][mask]), key
            assert not value[~mask].any(), key
    assert states_equal((state.model, state.optimizer), before)


@pytest.mark.parametrize("step", [None, "fast"])
def test_the_memory_of_another_optimiser_is_refused(step, tiny):
    model = build_model("mlp-8", tiny)
    start = train(model, tiny, SGD, states=[5]).states[5]
    with pytest.raises(ValueError, match="'momentum_buffer', which adam does not use"):
        train(model, tiny, ADAM, start=start, step=step)
    train(model, tiny, replace(SGD, lr=0.01), start=start, step=step)  # its own is welcome


@pytest.mark.parametrize(
    ("recipe", "kind", "options"),
    [
        (Recipe("sgd", 0.1, 0.9, 1e-3), torch.optim.SGD, {"momentum": 0.9, "weight_decay": 1e-3}),
        (Recipe("sgd", 0.1), torch.optim.SGD, {"momentum": 0, "weight_decay": 0}),
        (Recipe("adam", 1e-3, 0, 0.1), torch.optim.Adam, {"weight_decay": 0.1}),
        (Recipe("adamw", 1e-3), torch.optim.AdamW, {"weight_decay": 0}),
    ],
)
def test_optimisers_are_pytorchs_own(recipe, kind, options):
    parameters = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2))]
    optimizer = make_optimizer(iter(parameters), recipe)
    (group,) = optimizer.param_groups
    assert type(optimizer) is kind
    assert all(one is other for one, other in zip(group["params"], parameters, strict=True))
    defaults = kind(parameters, lr=recipe.lr, **options, fused=True).param_groups[0]
    assert {k: v for k, v in group.items() if k != "params"} == {
        k: v for k, v in defaults.items() if k != "params"
    }


class Distillation:
    """Half from the labels, half from the answers of a teacher (Hinton et al. 2015)."""

    def __init__(self, teacher):
        self.teacher, self.calls = teacher, 0

    def __call__(self, model, x, y):
        self.calls += 1
        logits = model(x)
        with torch.no_grad():
            answers = self.teacher(x).softmax(1)
        return (F.cross_entropy(logits, y) + F.cross_entropy(logits, answers)) / 2


@pytest.mark.parametrize("step", [None, "fast"])
@pytest.mark.parametrize("keep", [1.0, 0.7, 0.3])
def test_a_loss_of_ones_own_is_what_is_trained_by(keep, step, tiny):
    model, plain, usual = (build_model("mlp-8-6", tiny) for _ in range(3))
    masks, loss = some_masks(model, keep), Distillation(build_model("mlp-8-6", tiny, seed=9))
    history = train(model, tiny, ADAM, masks, seed=2, step=step, loss=loss, evaluate_every=1)
    assert loss.calls == 13

    optimizer, losses = torch.optim.Adam(plain.parameters(), ADAM.lr, fused=True), []
    weights = {name: plain.get_parameter(name) for name in masks}
    for number in range(14):
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        if number < 13:
            optimizer.zero_grad()
            losses.append(loss(plain, *batch_of(tiny, 2, number)))
            losses[-1].backward()
            optimizer.step()
    assert states_equal(model.state_dict(), plain.state_dict())
    shown = history.table.query("metric == 'loss' and split == 'train'")["value"]
    assert shown.to_list() == [value.item() for value in losses]
    train(usual, tiny, ADAM, masks, seed=2, step=step)
    assert not torch.equal(usual.fc1.weight, model.fc1.weight)


class Negated(Step):
    """Climbs the loss instead of descending."""

    def __call__(self, x, y):
        loss = super().__call__(x, y)
        for parameter in self.trained.values():
            parameter.grad.neg_()
        return loss


def test_a_kind_of_step_of_ones_own_makes_the_gradients(tiny):
    recipe = Recipe("sgd", 0.1, batch_size=20, duration="1it")
    down, up, initial = (build_model("mlp-8-6", tiny) for _ in range(3))
    masks = some_masks(down)
    train(down, tiny, recipe, masks)
    train(up, tiny, recipe, masks, step=Negated)
    for name, mask in masks.items():
        first = initial.get_parameter(name) * mask
        moved = down.get_parameter(name) - first
        assert moved[mask].any()
        torch.testing.assert_close(up.get_parameter(name) - first, -moved)
        assert (bits(up.get_parameter(name))[~mask] == 0).all()


def test_unknown_kinds_of_step_are_refused_before_anything_is_trained(tiny):
    model = build_model("mlp-8", tiny)
    with pytest.raises(
        ValueError,
        match="step is one of autograd, fast or a function; got 'fats'. Did you mean 'fast'",
    ):
        next(training(model, tiny, ADAM, step="fats"))
    assert states_equal(model.state_dict(), build_model("mlp-8", tiny).state_dict())


def test_what_is_not_trained_has_no_memory_and_stays(tiny):
    model = build_model("mlp-8-6", tiny)
    model.fc2.weight.requires_grad_(False)
    before = model.fc2.weight.detach().clone()
    state = train(model, tiny, ADAM, full_masks(model), step="fast", states=[13]).states[13]
    assert torch.equal(model.fc2.weight, before)
    assert not any(key.startswith("fc2.weight/") for key in state.optimizer)
    assert any(key.startswith("fc2.bias/") for key in state.optimizer)
