"""The loop as a generator: a pause changes nothing but what its reader changes."""

import copy
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import bits, some_masks, states_equal
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.fast.by_hand import ByHand
from lthlab.fast.sparse import Sparse
from lthlab.masks import Masks, full_masks
from lthlab.models import build_model
from lthlab.recipes import Recipe
from lthlab.steps import STEPS, State, Step, cross_entropy
from lthlab.training import evaluate, train, training

# 5 steps an epoch on the tiny sets; all end after 13.
RECIPES = {
    "adam": Recipe("adam", 1e-2, batch_size=20, duration="2ep3it"),
    "adamw": Recipe("adamw", 1e-2, 0, 0.1, 20, "2ep3it", "drops", (4, 8), warmup=3),
    "momentum": Recipe("sgd", 0.05, 0.9, 1e-2, 20, "2ep3it", "cosine"),
}
ADAM, MOMENTUM = RECIPES["adam"], RECIPES["momentum"]


class Dropping(nn.Sequential):
    def __init__(self, *_):
        super().__init__(
            nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)
        )


# Network, kind of step, density (None: no masks), and the class that makes the gradients.
KINDS = {
    "autograd, dense": ("mlp-8-6", None, None, Step),
    "autograd, masked": ("mlp-8-6", None, 0.4, Step),
    "batch norm": ("resnet1d-2", None, 0.4, Step),
    "dropout": (Dropping, "fast", 0.4, Step),
    "by hand, dense": ("mlp-8-6", "fast", None, ByHand),
    "by hand, masked": ("mlp-8-6", "fast", 0.7, ByHand),
    "sparse": ("mlp-8-6", "fast", 0.3, Sparse),
}
CHAINS = [name for name, (network, *_) in KINDS.items() if network == "mlp-8-6"]


def setting(kind: str, dataset, seed: int = 1):
    """A network, its masks and how it is trained; by the class that the kind's name promises."""
    name, step, density, expected = KINDS[kind]
    model = build_model(name, dataset, seed)
    masks = None if density is None else some_masks(model, density)
    if step:
        assert type(STEPS[step](copy.deepcopy(model), masks, ADAM, cross_entropy)) is expected
    return model, masks, {"step": step, "seed": 3}


def revived(model: nn.Module, masks: Masks | None) -> int:
    """How many bits of pruned weights are set."""
    pairs = [(model.get_parameter(name), mask) for name, mask in (masks or {}).items()]
    return sum(int((bits(weight)[~mask] != 0).sum()) for weight, mask in pairs)


def everything(now):
    """All that goes on from here, to the last bit."""
    state = now.state()
    return state.step, state.model, state.optimizer, [float(loss) for loss in now.losses]


@given(
    stops=st.sets(st.integers(0, 12)),
    kind=st.sampled_from([*KINDS]),
    recipe=st.sampled_from([*RECIPES]),
)
@example(stops=set(range(13)), kind="sparse", recipe="momentum")
@example(stops=set(range(13)), kind="sparse", recipe="adam")
@example(stops=set(range(13)), kind="by hand, masked", recipe="momentum")
@example(stops=set(range(13)), kind="dropout", recipe="adam")
@example(stops=set(range(13)), kind="batch norm", recipe="momentum")
def test_pauses_change_no_bit(tiny, tiny_signals, stops, kind, recipe):
    dataset = tiny_signals if kind == "batch norm" else tiny
    model, masks, options = setting(kind, dataset)
    paused, _, _ = setting(kind, dataset)
    for now in training(model, dataset, RECIPES[recipe], masks, stops=[13], **options):
        expected = everything(now)
    seen = []
    for now in training(paused, dataset, RECIPES[recipe], masks, stops=stops | {13}, **options):
        seen.append(now.step)
        assert now.model is paused and len(now.losses) == now.step and paused.training
        assert revived(paused, masks) == 0
        evaluate(paused, dataset.validation)
        torch.rand(3)
        found = everything(now)
    assert seen == sorted(stops | {13})
    assert states_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [0, 1, 4, 5, 11])
def test_leaving_the_loop_leaves_the_network_at_that_step(k, kind, tiny, tiny_signals):
    dataset = tiny_signals if kind == "batch norm" else tiny
    (left, masks, options), (short, _, _) = (setting(kind, dataset) for _ in range(2))
    for now in training(left, dataset, ADAM, masks, stops=[k, 12], **options):
        assert now.step == k
        break
    train(short, dataset, replace(ADAM, duration=f"{k}it"), masks, **options)
    assert states_equal(left.state_dict(), short.state_dict())
    assert revived(left, masks) == 0


@pytest.mark.parametrize("kind", CHAINS)
def test_an_error_between_two_steps_leaves_the_network_at_that_step(kind, tiny):
    (left, masks, options), (short, _, _) = (setting(kind, tiny) for _ in range(2))
    with pytest.raises(KeyError, match="a reader's mistake"):
        for _ in training(left, tiny, MOMENTUM, masks, stops=[6], **options):
            raise KeyError("a reader's mistake")
    for now in training(short, tiny, MOMENTUM, masks, stops=[6], **options):
        expected = now.state().model
        break
    assert states_equal(dict(left.state_dict()), expected)
    assert revived(left, masks) == 0


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("k", [0, 6, 12])
def test_weights_changed_while_paused_are_taken_over(k, kind, recipe, tiny):
    recipe = RECIPES[recipe]
    (model, masks, options), (other, _, _) = (setting(kind, tiny) for _ in range(2))
    draw = torch.Generator().manual_seed(0)
    for now in training(model, tiny, recipe, masks, stops=[k, 13], **options):
        if now.step == k:
            unchanged = now.state()
            with torch.no_grad():  # pruned ones, too: they must not come to life
                for parameter in model.parameters():
                    parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
            changed = State(k, copy.deepcopy(dict(model.state_dict())), unchanged.optimizer)
            for name, mask in (masks or {}).items():
                changed.model[name].masked_fill_(~mask, 0)
            continue
        found = everything(now)
    for now in training(other, tiny, recipe, masks, start=changed, stops=[13], **options):
        expected = everything(now)
    assert states_equal(found[:3], expected[:3]) and found[3][k:] == expected[3]
    assert revived(model, masks) == 0
    train(other, tiny, recipe, masks, start=unchanged, **options)
    assert not states_equal(dict(other.state_dict()), found[1]), "the change changed nothing"


def learning_rate(recipe: Recipe, step: int, total: int = 13) -> float:
    """Written out here again, apart from the package."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    if recipe.schedule == "cosine":
        return recipe.lr * (1 + math.cos(math.pi * step / total)) / 2
    return recipe.lr * 0.1 ** sum(step >= milestone for milestone in recipe.milestones)


def plain_training(model, dataset, recipe, masks: Masks, others: dict[int, Masks], seed: int):
    """A loop of PyTorch alone, which goes on with other masks from some steps on; its optimiser."""
    fused = {"fused": True, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum, **fused)
    else:
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
        optimizer = kind(model.parameters(), recipe.lr, **fused)
    weights = {name: model.get_parameter(name) for name in masks}
    for step in range(14):
        if step in others:  # both the weight and the memory of what comes or goes begin at 0
            for name, weight in weights.items():
                both = masks[name] & others[step][name]
                memory = [t for t in optimizer.state[weight].values() if t is not None and t.dim()]
                for tensor in (weight.data, *memory):
                    tensor.masked_fill_(~both, 0)
            masks = others[step]
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(~masks[name], 0)
        if step == 13:
            return optimizer
        chosen = example_order(dataset, seed, step // 5)[step % 5 * 20 :][:20]
        optimizer.param_groups[0]["lr"] = learning_rate(recipe, step)
        optimizer.zero_grad()
        F.cross_entropy(model(dataset.train.x[chosen]), dataset.train.y[chosen]).backward()
        optimizer.step()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", CHAINS)
@pytest.mark.parametrize("changes", [{5: 0.3}, {0: 0.7}, {3: 0.7, 8: 0.2}, {13: 0.3}], ids=str)
def test_training_goes_on_with_the_masks_that_it_was_given_while_paused(
    changes, kind, recipe, tiny
):
    recipe = RECIPES[recipe]
    (model, masks, options), (plain, _, _) = (setting(kind, tiny) for _ in range(2))
    others = {step: some_masks(model, keep, seed=step + 1) for step, keep in changes.items()}
    first, last = masks or full_masks(model), others[max(changes)]
    for now in training(model, tiny, recipe, masks, stops=changes, **options):
        now.masks = others[now.step]
    state = now.state()
    optimizer = plain_training(plain, tiny, recipe, first, others, options["seed"])
    assert revived(model, last) == 0
    exact = {"rtol": 0, "atol": 0} if options["step"] is None else {"rtol": 1e-3, "atol": 1e-5}
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter, **exact)
        for kind_of_memory, value in optimizer.state[parameter].items():
            found, mask = state.optimizer[f"{name}/{kind_of_memory}"], last.get(name)
            if mask is not None and value.dim():  # of pruned weights a sparse step keeps no memory
                found, value = found[mask], value[mask]
            torch.testing.assert_close(found, value, **exact)


@pytest.mark.parametrize("kind", CHAINS)
def test_new_weights_begin_at_zero_and_learn_from_the_next_batch_on(kind, tiny):
    model, masks, options = setting(kind, tiny)
    fewer, more = some_masks(model, 0.2), full_masks(model)

    def grown(tensors):
        return torch.cat([tensors[name].detach()[~mask] for name, mask in fewer.items()])

    for now in training(model, tiny, ADAM, masks, stops=[2, 6, 7], **options):
        values = grown(dict(model.named_parameters()))
        if now.step == 2:
            now.masks = fewer
        if now.step == 6:
            assert not values.any()
            now.masks = more
            chosen = example_order(tiny, options["seed"], 1)[20:40]
            loss = F.cross_entropy(model(tiny.train.x[chosen]), tiny.train.y[chosen])
            weights = [model.get_parameter(name) for name in fewer]
            gradients = dict(zip(fewer, torch.autograd.grad(loss, weights), strict=True))
        if now.step == 7:
            break
    assert torch.equal(values.sign(), -grown(gradients).sign()) and values.any()
    assert values.abs().max() <= 1.001 * ADAM.lr, "one step of Adam is at most lr"


def test_masks_of_another_model_are_refused_while_paused(tiny):
    model, masks, options = setting("sparse", tiny)
    trained = training(model, tiny, ADAM, masks, stops=[4, 9], **options)
    next(trained).masks = full_masks(build_model("mlp-8-7", tiny))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="another model"):
        next(trained)
    assert states_equal(model.state_dict(), before)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [0, 1, 5, 8, 13])
def test_a_training_goes_on_from_the_state_of_a_pause(k, kind, recipe, tiny, tiny_signals):
    dataset = tiny_signals if kind == "batch norm" else tiny
    recipe = RECIPES[recipe]
    (whole, masks, options), (other, _, _) = setting(kind, dataset), setting(kind, dataset, seed=7)
    for now in training(whole, dataset, recipe, masks, stops=[k, 13], **options):
        if now.step == k:
            state = now.state()
            held = copy.deepcopy((state.model, state.optimizer))
    resumed = training(other, dataset, recipe, masks, start=state, stops=[k, 13], **options)
    for then in resumed:
        if then.step == k:
            assert states_equal(everything(then)[:3], (k, *held)) and then.losses == []
    assert states_equal(everything(then)[:3], everything(now)[:3])
    assert everything(then)[3] == everything(now)[3][k:]
    assert states_equal((state.model, state.optimizer), held)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("first", ["autograd, masked", "sparse"])
@pytest.mark.parametrize("then", ["autograd, masked", "sparse"])
def test_a_state_passes_from_one_kind_of_step_to_another(first, then, recipe, tiny):
    recipe = RECIPES[recipe]
    masks = setting("sparse", tiny)[1]
    models = [setting(kind, tiny)[0] for kind in ("autograd, masked", first, then)]
    train(models[0], tiny, recipe, masks, seed=3)
    options = [{"step": KINDS[kind][1], "seed": 3} for kind in (first, then)]
    state = train(models[1], tiny, recipe, masks, states=[6], **options[0]).states[6]
    (end,) = training(models[2], tiny, recipe, masks, start=state, stops=[13], **options[1])
    for name, parameter in models[0].named_parameters():
        torch.testing.assert_close(models[2].get_parameter(name), parameter, rtol=1e-3, atol=1e-5)
    for key, value in end.state().optimizer.items():
        parameter = models[0].get_parameter(key.rpartition("/")[0])
        assert value.shape in (parameter.shape, ()), key


@pytest.mark.parametrize(
    ("outside", "said"),
    [
        ({"stops": [14]}, "from step 0 to 13; step 14"),
        ({"stops": ["1ep", "3ep"]}, "from step 0 to 13; step 15"),
        ({"stops": [-1]}, "is a duration such as"),
        ({"stops": ["half"]}, "is a duration such as"),
        ({"stops": [3], "start": 4}, "from step 4 to 13; step 3"),
        ({"start": 14}, "from step 14 to 13"),
    ],
)
@pytest.mark.parametrize("kind", ["autograd, masked", "sparse"])
def test_stops_outside_are_refused_before_anything_is_trained(kind, outside, said, tiny):
    model, masks, options = setting(kind, tiny)
    before = copy.deepcopy(model.state_dict())
    start = State.of(build_model("mlp-8-6", tiny, seed=5), outside.get("start", 0))
    stops = iter(outside.get("stops", ()))
    with pytest.raises(ValueError, match=said):
        next(training(model, tiny, ADAM, masks, start=start, stops=stops, **options))
    assert states_equal(model.state_dict(), before)


def test_stops_may_be_durations_and_repeat(tiny):
    model = build_model("mlp-8", tiny)
    stops = iter(["1ep", 5, "0ep2it", "13it", 0, 0])
    assert [now.step for now in training(model, tiny, ADAM, stops=stops)] == [0, 2, 5, 13]


def random_states():
    return torch.get_rng_state(), str(np.random.get_state()), random.getstate()


@pytest.mark.parametrize("kind", KINDS)
def test_training_moves_no_global_random_state(kind, tiny, tiny_signals):
    dataset = tiny_signals if kind == "batch norm" else tiny
    model, masks, options = setting(kind, dataset)
    before = random_states()
    for now in training(model, dataset, ADAM, masks, stops=range(14), **options):
        assert states_equal(random_states(), before), now.step
        now.state()
    assert states_equal(random_states(), before)
    for _ in training(model, dataset, ADAM, masks, stops=[3], **options):
        break
    assert states_equal(random_states(), before)


def test_what_the_reader_draws_while_paused_is_their_own_stream(tiny):
    def draw():
        return float(torch.rand(())), float(np.random.random()), random.random()

    def seed():
        torch.manual_seed(4), np.random.seed(4), random.seed(4)

    seed()
    expected = [draw() for _ in range(14)]
    seed()
    model, masks, options = setting("dropout", tiny)
    undisturbed, _, _ = setting("dropout", tiny)
    stops = {"stops": range(14)}
    drawn = [draw() for _ in training(model, tiny, ADAM, masks, **stops, **options)]
    assert drawn == expected
    train(undisturbed, tiny, ADAM, masks, **options)
    assert states_equal(model.state_dict(), undisturbed.state_dict())


def dropped(tiny, seed: int, stops=(), start: State | None = None) -> list[torch.Tensor]:
    """Which units each step of a training dropped."""
    model, seen = Dropping(), []
    model[3].register_forward_hook(
        lambda part, _, out: seen.append(out == 0) if part.training else None
    )
    with torch.no_grad():  # so that every unit is 0 for being dropped alone
        model[1].bias.fill_(100.0)
    for _ in training(model, tiny, replace(ADAM, lr=1e-6), seed=seed, stops=stops, start=start):
        torch.rand(5)
    return seen


def test_dropout_depends_on_seed_and_step_alone(tiny):
    torch.manual_seed(1)
    expected = dropped(tiny, seed=3)
    assert len(expected) == 13 and len({str(units.tolist()) for units in expected}) == 13
    assert all(0.3 < units.float().mean() < 0.7 for units in expected)
    torch.manual_seed(2)
    assert states_equal(dropped(tiny, seed=3, stops=range(14)), expected)
    resumed = State.of(Dropping(), step=7)
    with torch.no_grad():
        resumed.model["1.bias"].fill_(100.0)
    assert states_equal(dropped(tiny, seed=3, start=resumed), expected[7:])
    assert not any(map(torch.equal, dropped(tiny, seed=4), expected))


def test_two_trainings_that_take_turns_do_not_disturb_each_other(tiny):
    kinds = ["dropout", "sparse", "by hand, masked", "sparse"]
    recipes = [ADAM, ADAM, MOMENTUM, replace(ADAM, batch_size=10, duration="13it")]
    alone, together = ([setting(kind, tiny) for kind in kinds] for _ in range(2))
    for (model, masks, options), recipe in zip(alone, recipes, strict=True):
        train(model, tiny, recipe, masks, **options)
    turns = [
        training(model, tiny, recipe, masks, stops=range(14), **options)
        for (model, masks, options), recipe in zip(together, recipes, strict=True)
    ]
    for _ in zip(*turns, strict=True):
        pass
    for (expected, *_), (found, *_) in zip(alone, together, strict=True):
        assert states_equal(found.state_dict(), expected.state_dict())
