"""Masks found while training: Early-Bird tickets, RigL and SET, and stopping a training before its end."""

import copy
import math
import warnings

import pytest
import torch
from helpers import bits, some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from lthlab import dynamic
from lthlab.batches import example_order
from lthlab.dynamic import drop_and_grow, early_bird, train_dynamic
from lthlab.masks import count_kept, full_masks, layer_densities, prunable_weights
from lthlab.models import build_model
from lthlab.pruning import magnitude, prune
from lthlab.recipes import Recipe
from lthlab.sparse import sparse_below_is
from lthlab.training import train

SGD = Recipe("sgd", 0.1, 0.9, 1e-3, 20, "40it", "cosine")
RECIPES = {
    "sgd": SGD,
    "adam": Recipe("adam", 1e-2, batch_size=20, duration="40it"),
    "adamw": Recipe("adamw", 1e-2, 0.0, 0.3, 20, "40it"),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_stopping_and_going_on_is_one_training(recipe, tiny):
    recipe = RECIPES[recipe]
    whole, parts = build_model("mlp-8", tiny), build_model("mlp-8", tiny)
    history = train(whole, tiny, recipe, some_masks(whole))
    first = train(parts, tiny, recipe, some_masks(parts), until=17, snapshots=[17])
    second = train(parts, tiny, recipe, some_masks(parts), start=first.snapshots[17])
    assert states_equal(dict(whole.state_dict()), dict(parts.state_dict()))
    assert first.table["step"].max() == 17 and second.table["step"].min() == 17
    assert second.value() == history.value()


def test_stopping_after_the_end_is_refused(tiny):
    with pytest.raises(ValueError, match="from step 0 to 40; step 41 is not part of it"):
        train(build_model("mlp-8", tiny), tiny, SGD, until=41)
    with pytest.raises(ValueError, match="from step 0 to 10; step 11 is not part of it"):
        train(build_model("mlp-8", tiny), tiny, SGD, until=10, snapshots=[11])


# Early-Bird.


def masks_by_definition(tiny, kept, every, seed):
    """The magnitude mask after every so many steps of a plain dense training."""
    model = build_model("mlp-8-6", tiny)
    steps = range(every, 40, every)
    history = train(model, tiny, SGD, seed=seed, snapshots=steps)
    for step in steps:
        model.load_state_dict(history.snapshots[step].model)
        yield step, prune(magnitude(model), full_masks(model), 1 - kept, "global"), history.snapshots[step]


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.3])
def test_the_early_bird_is_where_the_masks_first_agree(tiny, threshold):
    before, expected = [], None
    for step, masks, snapshot in masks_by_definition(tiny, 0.3, 3, seed=5):
        kept = count_kept(masks)
        apart = [1 - sum(int((masks[n] & other[n]).sum()) for n in masks) / kept for other in before[-3:]]
        before.append(masks)
        if len(apart) == 3 and max(apart) < threshold:
            expected = step, masks, snapshot
            break
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = early_bird(build_model("mlp-8-6", tiny), tiny, SGD, 0.3, seed=5, every=3, window=3, threshold=threshold)
    assert found.settled == (expected is not None)
    step, masks, snapshot = expected or (39, before[-1], None)
    assert found.start.step == step and states_equal(found.masks, masks)
    assert found.distances["step"].tolist() == [*range(3, step + 1, 3)]
    assert math.isnan(found.distances["distance"][0])
    if snapshot:
        assert states_equal(found.start.model, snapshot.model)


def test_all_three_cases_of_the_test_above_occur(tiny):
    settled = []
    for threshold in (0.02, 0.1, 0.3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = early_bird(
                build_model("mlp-8-6", tiny), tiny, SGD, 0.3, seed=5, every=3, window=3, threshold=threshold
            )
        settled.append(found.start.step if found.settled else None)
    assert settled[2] is not None and len(set(settled)) > 1


def test_a_bird_that_never_settles_says_so_and_the_model_stays(tiny):
    model = build_model("mlp-8", tiny)
    before = copy.deepcopy(model.state_dict())
    with pytest.warns(UserWarning, match=r"No mask of density 20\.0% settled: the last differs"):
        found = early_bird(model, tiny, SGD, 0.2, every=10, window=2, threshold=0.0)
    assert not found.settled and states_equal(before, model.state_dict())
    train(model, tiny, SGD, found.masks, start=found.start)
    assert all((bits(w)[~found.masks[n]] == 0).all() for n, w in prunable_weights(model).items())


def test_too_short_a_training_for_one_mask_is_refused(tiny):
    with pytest.raises(ValueError, match="every 50 steps, but training has only 40"):
        early_bird(build_model("mlp-8", tiny), tiny, SGD, 0.2, every=50)


# RigL and SET.


def test_dropping_and_growing_by_hand():
    mask = {"a": torch.tensor([[True, True, True, True], [False, False, False, False]])}
    sizes = {"a": torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])}
    growth = {"a": torch.tensor([[9.0, 0.1, 9.0, 0.2], [0.3, 0.0, 0.7, 0.6]])}
    moved = drop_and_grow(sizes, growth, mask, 0.5)  # 1.0 and 2.0 go; 0.7 and 0.6 come, not the 9s that stayed
    assert moved["a"].tolist() == [[True, False, True, False], [False, False, True, True]]
    back = drop_and_grow(sizes, {"a": torch.tensor([[0.0, 5.0, 0.0, 0.0], [0.0] * 4])}, mask, 0.25)
    assert back["a"].tolist() == mask["a"].tolist()  # what was dropped may come back


@given(st.floats(0, 1), st.floats(0.05, 1), st.integers(0, 99))
def test_every_layer_keeps_its_number(tiny, fraction, kept, seed):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model, kept, seed)
    draw = torch.Generator().manual_seed(seed)
    growth = {name: torch.rand(mask.shape, generator=draw) for name, mask in masks.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moved = drop_and_grow(magnitude(model), growth, masks, fraction)
    assert layer_densities(moved) == layer_densities(masks)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("grow", ["gradient", "random"])
@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-2"])
def test_masks_move_and_pruned_weights_are_zero(name, grow, recipe, tiny, tiny_signals):
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model = build_model(name, dataset)
    first = some_masks(model, 0.4)
    history, last = train_dynamic(model, dataset, RECIPES[recipe], first, grow=grow, every=5, evaluate_every=5)
    assert layer_densities(last) == layer_densities(first)
    assert any(not torch.equal(first[layer], last[layer]) for layer in first)
    for layer, weight in prunable_weights(model).items():
        assert (bits(weight)[~last[layer]] == 0).all()
    assert history.table.query("split == 'validation' and metric == 'loss'")["step"].tolist() == [*range(0, 41, 5)]


def test_a_share_of_zero_is_the_plain_training(tiny):
    fixed, moving = build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny)
    masks = some_masks(fixed)
    plain = train(fixed, tiny, SGD, masks, snapshots=[7])
    history, last = train_dynamic(moving, tiny, SGD, masks, fraction=0, every=5, snapshots=[7])
    assert states_equal(last, masks) and states_equal(dict(fixed.state_dict()), dict(moving.state_dict()))
    assert list(history.snapshots) == [7] and states_equal(history.snapshots[7].model, plain.snapshots[7].model)


def test_each_move_is_by_the_papers_rule(tiny, monkeypatch):
    moves = []

    def watched(magnitudes, growth, masks, fraction):
        moved = drop_and_grow(magnitudes, growth, masks, fraction)
        moves.append((fraction, growth, masks, moved))
        return moved

    monkeypatch.setattr(dynamic, "drop_and_grow", watched)
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model)
    train_dynamic(model, tiny, SGD, masks, every=5, fraction=0.4, stop=0.75, seed=3)
    expected = [0.2 * (1 + math.cos(math.pi * t / 30)) for t in range(5, 30, 5)]  # algorithm 1, f_decay
    assert [fraction for fraction, *_ in moves] == pytest.approx(expected)

    # The first move sees the gradient of the whole network on the batch that comes next.
    same = build_model("mlp-8-6", tiny)
    train(same, tiny, SGD, masks, seed=3, until=5)
    chosen = example_order(tiny, 3, 1)[:20]
    F.cross_entropy(same(tiny.train.x[chosen]), tiny.train.y[chosen]).backward()
    for name, weight in prunable_weights(same).items():
        assert torch.allclose(moves[0][1][name], weight.grad.abs())


@pytest.mark.parametrize("below", [0.0, 0.9])
@pytest.mark.parametrize("recipe", RECIPES)
def test_new_weights_start_from_nothing(below, recipe, tiny, monkeypatch):
    seen = []

    def watched(snapshot, model, before, after):
        found = forget(snapshot, model, before, after)
        seen.append((found, before, after))
        return found

    forget = dynamic._forget
    monkeypatch.setattr(dynamic, "_forget", watched)
    model = build_model("mlp-8-6", tiny)
    with sparse_below_is(below):
        train_dynamic(model, tiny, RECIPES[recipe], some_masks(model), every=5)
    names, kinds = [name for name, _ in model.named_parameters()], 0
    for snapshot, before, after in seen:
        for number, state in snapshot.optimizer["state"].items():
            if names[number] not in after:
                continue
            old, new = before[names[number]], after[names[number]]
            assert (snapshot.model[names[number]][~(old & new)] == 0).all()
            for value in state.values():
                if torch.is_tensor(value) and value.ndim:
                    assert (value[~(old & new)] == 0).all() and value[old & new].any()
                    kinds += 1
    assert kinds


def test_over_kept_weights_alone_it_is_the_same_training(tiny):
    ends = []
    for below in (0.0, 0.9):
        model = build_model("mlp-8-6", tiny)
        with sparse_below_is(below):
            history, masks = train_dynamic(model, tiny, SGD, some_masks(model), every=5)
        ends.append((model, masks, history))
    assert states_equal(ends[0][1], ends[1][1])
    for one, other in zip(ends[0][0].parameters(), ends[1][0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_set_grows_by_seed(tiny):
    ends = []
    for seed in (1, 1, 2):
        model = build_model("mlp-8", tiny)
        ends.append(train_dynamic(model, tiny, SGD, some_masks(model), grow="random", every=5, seed=seed)[1])
    assert states_equal(ends[0], ends[1]) and not states_equal(ends[0], ends[2])


def test_it_goes_on_from_a_snapshot(tiny):
    whole, part = build_model("mlp-8", tiny), build_model("mlp-8", tiny)
    masks = some_masks(whole)
    start = train(part, tiny, SGD, masks, until=12, snapshots=[12]).snapshots[12]
    _, last = train_dynamic(part, tiny, SGD, masks, every=20, start=start)
    _, expected = train_dynamic(whole, tiny, SGD, masks, every=20)
    assert states_equal(last, expected) and states_equal(dict(whole.state_dict()), dict(part.state_dict()))


def test_wrong_requests_are_one_clear_error(tiny):
    model = build_model("mlp-8", tiny)
    with pytest.raises(ValueError, match='grow is "gradient" .RigL. or "random" .SET.; got \'magnitude\''):
        train_dynamic(model, tiny, SGD, some_masks(model), grow="magnitude")
    with pytest.raises(ValueError, match="made for another model"):
        train_dynamic(model, tiny, SGD, some_masks(build_model("mlp-9", tiny)))
