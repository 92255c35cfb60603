"""Backpropagation by hand: autograd's bits, for plain chains alone, and what it refuses."""

import copy

import pytest
import torch
from helpers import OPTIMIZERS, bits, some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.fast.by_hand import ByHand, chain_of
from lthlab.masks import full_masks
from lthlab.models import build_model
from lthlab.steps import STEPS, Step, cross_entropy
from lthlab.training import train

ADAM = OPTIMIZERS["adam"]


def gradients_by(step, x, y):
    loss = step(x, y)
    return loss, {name: parameter.grad for name, parameter in step.trained.items()}


def fast_step(model, masks=None, loss=cross_entropy):
    return type(STEPS["fast"](model, masks, ADAM, loss))


@pytest.mark.parametrize("name", ["mlp-8-6", "mlp-5", "mlp-7-7-7"])
def test_by_hand_gives_autograds_bits(name, tiny):
    model, other = build_model(name, tiny, seed=1), build_model(name, tiny, seed=1)
    step = ByHand(model, None, ADAM, chain_of(model))
    for x, y in zip(tiny.train.x.split(20), tiny.train.y.split(20), strict=True):
        loss, found = gradients_by(step, x, y)
        expected_loss, expected = gradients_by(Step(other, None, ADAM, cross_entropy), x, y)
        assert torch.equal(bits(loss), bits(expected_loss))
        assert found.keys() == expected.keys() == dict(model.named_parameters()).keys()
        assert all(torch.equal(found[key], expected[key]) for key in found)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("step", [None, "fast"])
@pytest.mark.parametrize("resumed", [False, True])
def test_training_has_the_bits_of_a_plain_loop_with_torchs_own_optimiser(name, step, resumed, tiny):
    recipe = OPTIMIZERS[name]
    model, plain, other = (build_model("mlp-8-6", tiny) for _ in range(3))
    start = train(other, tiny, recipe, states=[4]).states[4] if resumed else None
    train(model, tiny, recipe, start=start, step=step)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.get(name, torch.optim.SGD)
    options = {"momentum": recipe.momentum} if kind is torch.optim.SGD else {}
    options |= {"weight_decay": recipe.weight_decay, "fused": True}
    optimizer = kind(plain.parameters(), recipe.lr, **options)
    for number in range(12):
        chosen = example_order(tiny, 0, number // 5)[number % 5 * 20 : number % 5 * 20 + 20]
        optimizer.zero_grad()
        F.cross_entropy(plain(tiny.train.x[chosen]), tiny.train.y[chosen]).backward()
        optimizer.step()
    pairs = zip(model.parameters(), plain.parameters(), strict=True)
    assert all(torch.equal(bits(a), bits(b)) for a, b in pairs)


@given(
    seed=st.integers(0, 99),
    keep=st.floats(0.51, 1),
    name=st.sampled_from(["mlp-8-6", "mlp-5", "mlp-7-7-7"]),
    recipe=st.sampled_from([*OPTIMIZERS]),
)
def test_a_masked_training_by_hand_has_autograds_bits(tiny, seed, keep, name, recipe):
    models = [build_model(name, tiny, seed) for _ in range(2)]
    masks, recipe = some_masks(models[0], keep, seed), OPTIMIZERS[recipe]
    assert fast_step(build_model(name, tiny, seed), masks) is ByHand
    for model, step in zip(models, (None, "fast"), strict=True):
        train(model, tiny, recipe, masks, seed=seed, step=step)
    assert states_equal(models[0].state_dict(), models[1].state_dict())


class Shouting(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def chain(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


def short():
    return chain(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))


def test_a_plain_chain_goes_by_hand_layer_by_layer():
    model = short()
    assert [*chain_of(model)] == ["1", "3"]
    assert chain_of(model)["1"] is model[1] and chain_of(model)["3"] is model[3]
    assert fast_step(model) is ByHand


def frozen(model):
    model[1].weight.requires_grad_(False)


def shouting(model):
    model.forward = lambda x: 2 * nn.Sequential.forward(model, x)


def tied(model):
    model[3].bias = nn.Parameter(torch.zeros(3))
    model[3].weight, model[1].weight = [nn.Parameter(torch.randn(3, 3))] * 2


@pytest.mark.parametrize(
    "model",
    [
        Shouting(nn.Flatten(), nn.Linear(4, 2)),
        chain(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)),
        chain(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2)),
        chain(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2)),
        chain(nn.Linear(4, 2).double()),
        chain(nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))),
        nn.Linear(4, 2),
        chain(),
    ],
)
def test_other_networks_go_by_autograd(model):
    assert chain_of(model) == {}
    assert fast_step(model) is Step


def ignore(*_):
    return None


HOOKS = {
    "frozen weight": frozen,
    "tied weights": tied,
    "another forward": shouting,
    "forward hook": lambda model: model[1].register_forward_hook(ignore),
    "hook on ReLU": lambda model: model[2].register_forward_hook(ignore),
    "hook on the whole": lambda model: model.register_forward_pre_hook(ignore),
    "forward pre-hook": lambda model: model[3].register_forward_pre_hook(ignore),
    "backward hook": lambda model: model[1].register_full_backward_hook(ignore),
    "backward pre-hook": lambda model: model[1].register_full_backward_pre_hook(ignore),
    "hook of a weight": lambda model: model[1].weight.register_hook(ignore),
    "hook of a bias": lambda model: model[3].bias.register_hook(ignore),
    "hook after gradients": lambda model: model[3].weight.register_post_accumulate_grad_hook(
        ignore
    ),
    "pruned by torch": lambda model: nn.utils.prune.l1_unstructured(model[1], "weight", 2),
}


@pytest.mark.parametrize("what", HOOKS)
def test_a_chain_with_something_special_goes_by_autograd(what):
    model = short()
    assert chain_of(model)
    HOOKS[what](model)
    assert chain_of(model) == {}
    assert fast_step(model) is Step


def test_once_a_hook_is_gone_the_chain_goes_by_hand_again():
    model = short()
    handle = model[1].weight.register_hook(ignore)
    assert chain_of(model) == {}
    handle.remove()
    assert [*chain_of(model)] == ["1", "3"]


def test_another_loss_goes_by_autograd(tiny):
    model = build_model("mlp-8-6", tiny)
    assert fast_step(model) is ByHand
    assert fast_step(model, loss=lambda model, x, y: cross_entropy(model, x, y)) is Step
    assert fast_step(model, some_masks(model, 0.1), lambda *given: cross_entropy(*given)) is Step


def halve(gradient):
    return gradient / 2


def clip(parameter):
    parameter.grad.clamp_(-0.01, 0.01)


@pytest.mark.parametrize(
    ("method", "hook"),
    [("register_hook", halve), ("register_post_accumulate_grad_hook", clip)],
)
@pytest.mark.parametrize("keep", [1.0, 0.7, 0.3])
def test_hooks_of_tensors_are_obeyed(keep, method, hook, tiny):
    hooked, expected, free = (build_model("mlp-8-6", tiny) for _ in range(3))
    masks, recipe = some_masks(free, keep), OPTIMIZERS["momentum"]
    for model in (hooked, expected):
        getattr(model.fc2.weight, method)(hook)
    for model, step in ((hooked, "fast"), (expected, None), (free, "fast")):
        train(model, tiny, recipe, masks, step=step)
    assert states_equal(hooked.state_dict(), expected.state_dict())
    assert not torch.equal(hooked.fc2.weight, free.fc2.weight)


def test_what_a_hook_of_a_tensor_sees_is_the_gradient(tiny):
    model, plain, seen = build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny), []
    model.fc2.weight.register_hook(lambda gradient: seen.append(gradient.clone()))
    train(model, tiny, OPTIMIZERS["sgd"], full_masks(model), step="fast", evaluate_every=0)
    chosen = example_order(tiny, 0, 0)[:20]
    F.cross_entropy(plain(tiny.train.x[chosen]), tiny.train.y[chosen]).backward()
    assert len(seen) == 12 and torch.equal(seen[0], plain.fc2.weight.grad)


BATCHES = {
    "fewer examples": lambda t: (t.x[:10], t.y[:10]),
    "more examples": lambda t: (t.x[:40], t.y[:40]),
    "no examples": lambda t: (t.x[:0], t.y[:0]),
    "other features": lambda t: (t.x[:20, :, :3], t.y[:20]),
    "double precision": lambda t: (t.x[:20].double(), t.y[:20]),
    "half precision": lambda t: (t.x[:20].half(), t.y[:20]),
    "whole numbers": lambda t: (t.x[:20].long(), t.y[:20]),
}
LABELS = {
    "fewer labels": lambda t: (t.x[:20], t.y[:10]),
    "more labels": lambda t: (t.x[:20], t.y[:40]),
    "labels of 32 bits": lambda t: (t.x[:20], t.y[:20].int()),
    "labels as floats": lambda t: (t.x[:20], t.y[:20].float()),
    "a column of labels": lambda t: (t.x[:20], t.y[:20, None]),
}


@pytest.mark.parametrize("keep", [0.7, 0.3])
@pytest.mark.parametrize("what", [*BATCHES, *LABELS])
def test_a_batch_that_does_not_fit_is_refused(what, keep, tiny):
    model = build_model("mlp-8-6", tiny)
    masks, given = some_masks(model, keep), (BATCHES | LABELS)[what](tiny.train)
    untouched = copy.deepcopy(model)
    for name, mask in masks.items():
        untouched.get_parameter(name).data.masked_fill_(~mask, 0)
    with pytest.raises(ValueError, match="This step takes"):
        train(model, tiny, ADAM, masks, step="fast", batches=lambda step: given)
    assert states_equal(model.state_dict(), untouched.state_dict())
