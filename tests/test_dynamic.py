"""Masks found while training: gradual, Early-Bird, RigL, SET; and trainings that are stopped."""

import copy
import math
import warnings

import pytest
import torch
from helpers import bits, finish, some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.dynamic import drop_and_grow, early_bird, move_masks, prune_gradually
from lthlab.experiments import run_experiment
from lthlab.levels import Setting
from lthlab.masks import apply_masks_, count_kept, full_masks, layer_densities, prunable_weights
from lthlab.models import build_model
from lthlab.pruning import gradient, magnitude, prune, random
from lthlab.recipes import Recipe
from lthlab.steps import cross_entropy
from lthlab.training import evaluate, train, training

SGD = Recipe("sgd", 0.1, 0.9, 1e-3, 20, "40it", "cosine")
RECIPES = {
    "sgd": SGD,
    "adam": Recipe("adam", 1e-2, batch_size=20, duration="40it"),
    "adamw": Recipe("adamw", 1e-2, 0.0, 0.3, 20, "40it"),
}
GROW = {"RigL": gradient, "SET": random}
STEPS = [None, "fast"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_stopping_and_going_on_is_one_training(recipe, step, tiny):
    recipe = RECIPES[recipe]
    whole, parts = build_model("mlp-8", tiny), build_model("mlp-8", tiny)
    history = train(whole, tiny, recipe, some_masks(whole), step=step)
    for now in training(parts, tiny, recipe, some_masks(parts), stops=[17], step=step):
        assert now.step == len(now.losses) == 17
        state = now.state()
        break
    assert states_equal(state.model, dict(parts.state_dict()))
    second = train(parts, tiny, recipe, some_masks(parts), start=state, step=step)
    assert states_equal(dict(whole.state_dict()), dict(parts.state_dict()))
    assert second.table["step"].min() == 17 and second.value() == history.value()


def test_stopping_after_the_end_is_refused(tiny):
    with pytest.raises(ValueError, match="from step 0 to 40; step 41 is not part of it"):
        next(training(build_model("mlp-8", tiny), tiny, SGD, stops=[41]))
    with pytest.raises(ValueError, match="from step 0 to 40; step 45 is not part of it"):
        train(build_model("mlp-8", tiny), tiny, SGD, states=["9ep"])


# Early-Bird.


def masks_by_definition(tiny, kept, every, seed):
    """The magnitude mask after every so many steps of a plain dense training."""
    model = build_model("mlp-8-6", tiny)
    steps = range(every, 40, every)
    history = train(model, tiny, SGD, seed=seed, states=steps)
    for step in steps:
        model.load_state_dict(history.states[step].model)
        masks = prune(magnitude(model), full_masks(model), 1 - kept, "global")
        yield step, masks, history.states[step]


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.3])
def test_the_early_bird_is_where_the_masks_first_agree(tiny, threshold):
    before, expected = [], None
    for step, masks, state in masks_by_definition(tiny, 0.3, 3, seed=5):
        kept = count_kept(masks)
        shared = (sum(int((masks[n] & other[n]).sum()) for n in masks) for other in before[-3:])
        apart = [1 - both / kept for both in shared]
        before.append(masks)
        if len(apart) == 3 and max(apart) < threshold:
            expected = step, masks, state
            break
    options = {"seed": 5, "every": 3, "window": 3, "threshold": threshold}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = early_bird(build_model("mlp-8-6", tiny), tiny, SGD, 0.3, **options)
    assert found.settled == (expected is not None)
    step, masks, state = expected or (39, before[-1], None)
    assert found.start.step == step and states_equal(found.masks, masks)
    assert found.distances["step"].tolist() == [*range(3, step + 1, 3)]
    assert math.isnan(found.distances["distance"][0])
    if state:
        assert states_equal(found.start.model, state.model)
        assert states_equal(found.start.optimizer, state.optimizer)


def test_all_three_cases_of_the_test_above_occur(tiny):
    settled = []
    for threshold in (0.02, 0.1, 0.3):
        options = {"seed": 5, "every": 3, "window": 3, "threshold": threshold}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = early_bird(build_model("mlp-8-6", tiny), tiny, SGD, 0.3, **options)
        settled.append(found.start.step if found.settled else None)
    assert settled[2] is not None and len(set(settled)) > 1


def test_a_bird_that_never_settles_says_so_and_the_model_stays(tiny):
    model = build_model("mlp-8", tiny)
    before = copy.deepcopy(model.state_dict())
    with pytest.warns(
        UserWarning, match=r"No mask of density 20\.0% settled: of \d+ drawn, none differed"
    ):
        found = early_bird(model, tiny, SGD, 0.2, every=10, window=2, threshold=0.0)
    assert not found.settled and states_equal(before, model.state_dict())
    train(model, tiny, SGD, found.masks, start=found.start)
    assert all((bits(w)[~found.masks[n]] == 0).all() for n, w in prunable_weights(model).items())


@pytest.mark.parametrize("every", [0, "0it", 40, 50, "9ep"])
def test_an_early_bird_that_would_draw_no_mask_is_refused(every, tiny):
    steps = {"0it": 0, "9ep": 45}.get(every, every)
    said = f"every is 1 to 39 steps of this training; got {steps}"
    with pytest.raises(ValueError, match=said):
        early_bird(build_model("mlp-8", tiny), tiny, SGD, 0.2, every=every)


def test_an_early_bird_of_an_impossible_density_is_refused(tiny):
    for density in (0, 1.5):
        with pytest.raises(ValueError, match="density is a fraction"):
            early_bird(build_model("mlp-8", tiny), tiny, SGD, density)


# Gradual pruning.


def left_by_the_paper(size, final, begin, span, times):
    """How many weights are left after each pruning: Zhu & Gupta 2017, equation 1, as a loop."""
    left = []
    for number in range(1, times + 1):
        step = math.ceil(begin + span * number / times)  # the next whole step
        sparsity = (1 - final) + (0 - (1 - final)) * (1 - min(1, (step - begin) / span)) ** 3
        left.append((step, round(size * (1 - sparsity))))
    return left


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("begin", "end", "times"), [(0.25, 0.75, 20), (0.25, 0.75, 7), (0, 0.975, 39), (0.1, 0.9, 1)]
)
def test_weights_go_gradually_by_the_papers_equation(begin, end, times, step, tiny):
    model, seen = build_model("mlp-8-6", tiny), []
    first = full_masks(model)
    drops = watched(prune_gradually(tiny, SGD, 0.1, begin=begin, end=end, times=times), seen)
    history = train(model, tiny, SGD, first, during=drops, step=step)
    expected = left_by_the_paper(200, 0.1, 40 * begin, 40 * (end - begin), times)
    assert [(at, count_kept(after)) for at, _, after, _ in seen] == expected
    assert len(seen) == times and 40 * begin < seen[0][0] and seen[-1][0] == math.ceil(40 * end)
    assert count_kept(history.masks) == 20
    last = first
    for _, before, after, network in seen:
        assert states_equal(before, last)  # nothing else drops a weight
        assert all(not (after[name] & ~before[name]).any() for name in after)
        sizes = {name: w.detach().abs() for name, w in prunable_weights(network).items()}
        gone = torch.cat([sizes[n][before[n] & ~after[n]] for n in after])
        stay = torch.cat([sizes[n][after[n]] for n in after])
        assert len(gone) == 0 or gone.max() <= stay.min()  # of the whole network
        last = after
    assert states_equal(history.masks, last)
    for name, weight in prunable_weights(model).items():
        assert (bits(weight)[~last[name]] == 0).all() and weight[last[name]].ne(0).all()


@given(st.floats(0.05, 1), st.integers(1, 20), st.integers(0, 20), st.integers(21, 39))
def test_gradual_pruning_ends_at_the_density_and_within_its_span(tiny, kept, times, first, last):
    model = build_model("mlp-8-6", tiny)
    times = min(times, last - first)
    drops = prune_gradually(tiny, SGD, kept, begin=first / 40, end=last / 40, times=times)
    assert len(drops) == times and first < min(drops) and max(drops) == last

    class Now:
        step, masks = 0, full_masks(model)

    Now.model, counts = model, [200]
    for Now.step, drop in sorted(drops.items()):
        drop(Now)
        counts.append(count_kept(Now.masks))
    assert counts == sorted(counts, reverse=True) and counts[-1] == round(200 * kept)


@pytest.mark.parametrize(
    ("begin", "end", "times"),
    [
        (-0.1, 0.75, 5),
        (0.75, 0.25, 5),
        (0.5, 0.5, 5),
        (0.5, 1.1, 5),
        (0.25, 0.75, 0),
        (0.25, 0.75, 21),
        (math.nan, 0.75, 5),
    ],
)
def test_gradual_pruning_without_a_step_for_each_is_refused(begin, end, times, tiny):
    with pytest.raises(
        ValueError, match="a step for each pruning; got times=|begin is|end is|times is"
    ):
        prune_gradually(tiny, SGD, 0.1, begin=begin, end=end, times=times)


@pytest.mark.parametrize("density", [0, -0.1, 1.5, 20])
def test_gradual_pruning_to_no_fraction_is_refused(density, tiny):
    with pytest.raises(ValueError, match="density is a fraction above 0"):
        prune_gradually(tiny, SGD, density)


def test_gradual_pruning_goes_on_from_a_state(tiny):
    whole, part = build_model("mlp-8", tiny), build_model("mlp-8", tiny)
    drops = prune_gradually(tiny, SGD, 0.2)
    for now in training(whole, tiny, SGD, full_masks(whole), stops=[17, *drops]):
        if now.step == 17:
            state, masks = now.state(), now.masks
        if now.step in drops:
            drops[now.step](now)
        last = now.masks
    history = train(part, tiny, SGD, masks, start=state, during=drops)
    assert states_equal(history.masks, last)
    assert states_equal(dict(whole.state_dict()), dict(part.state_dict()))


def test_masks_that_were_sparse_wait_until_the_curve_comes_down_to_them(tiny):
    model, seen = build_model("mlp-8-6", tiny), []
    drops = watched(prune_gradually(tiny, SGD, 0.1, times=5), seen)
    train(model, tiny, SGD, some_masks(model, 0.4), during=drops)
    # 200 * (0.1 + 0.9 * share ** 3) for shares 0.8, 0.6, 0.4, 0.2, 0: 112, 59 and so on
    assert [count_kept(after) for *_, after, _ in seen] == [80, 59, 32, 21, 20]


@pytest.mark.filterwarnings("ignore:Layer collapse")
def test_gradual_pruning_may_leave_nothing(tiny):
    model = build_model("mlp-8-6", tiny)
    history = train(model, tiny, SGD, during=prune_gradually(tiny, SGD, 0.001))
    assert count_kept(history.masks) == 0


def test_the_arm_that_prunes_gradually_starts_dense(tiny):
    setting = Setting(lambda seed: build_model("mlp-8-6", tiny, seed), tiny, SGD)
    found = finish(setting, ["gradual"], [3])
    level, model = found["gradual", 0, 3], build_model("mlp-8-6", tiny)
    assert states_equal(level.start.model, dict(model.state_dict()))
    drops = prune_gradually(tiny, SGD, level.density)
    history = train(model, tiny, SGD, full_masks(model), during=drops, step="fast")
    assert states_equal(level.masks, history.masks) and level.density == 108 / 200
    assert states_equal(level.trained, dict(model.state_dict()))


# RigL and SET.


def test_dropping_and_growing_by_hand():
    mask = {"a": torch.tensor([[True, True, True, True], [False, False, False, False]])}
    sizes = {"a": torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])}
    growth = {"a": torch.tensor([[9.0, 0.1, 9.0, 0.2], [0.3, 0.0, 0.7, 0.6]])}
    # 1.0 and 2.0 go; 0.7 and 0.6 come, not the 9s that stayed
    moved = drop_and_grow(sizes, growth, mask, 0.5)
    assert moved["a"].tolist() == [[True, False, True, False], [False, False, True, True]]
    growth = {"a": torch.tensor([[0.0, 5.0, 0.0, 0.0], [0.0] * 4])}
    back = drop_and_grow(sizes, growth, mask, 0.25)
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


def watched(moves, seen):
    """The same moves, and what stood before and after each: (step, masks, masks, network)."""

    def watch(act):
        def acts(now):
            before, network = now.masks, copy.deepcopy(now.model)
            act(now)
            seen.append((now.step, before, now.masks, network))

        return acts

    return {step: watch(act) for step, act in moves.items()}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("grow", GROW)
@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-2"])
def test_masks_move_and_pruned_weights_are_zero(name, grow, recipe, step, tiny, tiny_signals):
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model, recipe, seen = build_model(name, dataset), RECIPES[recipe], []
    first = some_masks(model, 0.4)
    moves = watched(move_masks(dataset, recipe, grow=GROW[grow], every=5), seen)
    options = {"during": moves, "evaluate_every": 5, "step": step}
    history = train(model, dataset, recipe, first, **options)
    assert [at for at, *_ in seen] == [5, 10, 15, 20, 25]
    for _, before, after, network in seen:
        assert layer_densities(after) == layer_densities(before) == layer_densities(first)
        assert any(not torch.equal(before[layer], after[layer]) for layer in first)
        for layer, weight in prunable_weights(network).items():
            assert (bits(weight)[~before[layer]] == 0).all()
    assert states_equal(history.masks, seen[-1][2])
    for layer, weight in prunable_weights(model).items():
        assert (bits(weight)[~history.masks[layer]] == 0).all()
    came = {layer: history.masks[layer] & ~mask for layer, mask in first.items()}
    assert any(weight[came[layer]].any() for layer, weight in prunable_weights(model).items())
    measured = history.table.query("split == 'validation' and metric == 'loss'")["step"]
    assert measured.tolist() == [*range(0, 41, 5)]


@pytest.mark.parametrize("grow", GROW)
@pytest.mark.parametrize("step", STEPS)
def test_it_is_measured_where_it_was_asked_and_nowhere_else(step, grow, tiny):
    model = build_model("mlp-8-6", tiny)
    moves = move_masks(tiny, SGD, grow=GROW[grow], every=3)
    options = {"evaluate_every": 0, "evaluate_at": ["1ep", "2ep1it", 30], "step": step}
    history = train(model, tiny, SGD, some_masks(model), during=moves, **options)
    rows = history.table.groupby(["split", "metric"])["step"].agg(list).to_dict()
    assert rows == {
        ("validation", "loss"): [0, 5, 11, 30, 40],
        ("validation", "accuracy"): [0, 5, 11, 30, 40],
        ("train", "loss"): [5, 11, 30, 40],
    }
    assert set(history.states) == set()


@pytest.mark.parametrize("arm", GROW)
def test_an_arm_that_moves_its_masks_has_the_rows_of_any_other(arm, tiny):
    recipe = Recipe("sgd", 0.1, 0.9, batch_size=5, duration="170it", schedule="cosine")
    options = {"seeds": [0], "levels": 2, "control_levels": [2], "n_jobs": 1, "progress": False}
    watch = {"evaluate_every": 0, "evaluate_at": ["1ep", "150it"]}
    table = run_experiment("mlp-8-6", tiny, recipe, arms=["ERK", arm], **options, **watch)
    rows = table.groupby("arm")[["step", "epoch", "split", "metric", "density"]]
    still, moving = (rows.get_group(name).reset_index(drop=True) for name in ("ERK", arm))
    assert still.equals(moving)
    assert moving.query("split == 'validation'")["step"].unique().tolist() == [0, 20, 150, 170]
    # The masks moved once, after 100 steps, and the training with them.
    losses = table.query("split == 'validation' and metric == 'loss'").set_index(["arm", "step"])
    values = losses["value"]
    assert values["ERK", 20] == values[arm, 20] and values["ERK", 150] != values[arm, 150]


@pytest.mark.parametrize("step", STEPS)
def test_a_state_is_the_network_that_was_measured_there(step, tiny):
    """Also where masks move: what was measured and kept is what stood before the move."""
    model, seen = build_model("mlp-8-6", tiny), []
    moves = watched(move_masks(tiny, SGD, every=5), seen)
    asked = [5, 7, 10]
    options = {"evaluate_every": 0, "evaluate_at": asked, "states": asked, "step": step}
    history = train(model, tiny, SGD, some_masks(model), during=moves, **options)
    assert list(history.states) == asked
    for at, state in history.states.items():
        assert state.step == at
        state.restore_(model)
        found = evaluate(model, tiny.validation)
        assert found["loss"] == history.value("loss", step=at)
        assert found["accuracy"] == history.value("accuracy", step=at)
    for at, before, _, network in seen[:2]:
        assert states_equal(history.states[at].model, dict(network.state_dict()))
        assert all(
            (history.states[at].model[name][~mask] == 0).all() for name, mask in before.items()
        )


@pytest.mark.parametrize("step", STEPS)
def test_a_share_of_zero_is_the_plain_training(step, tiny):
    fixed, moving = build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny)
    masks = some_masks(fixed)
    plain = train(fixed, tiny, SGD, masks, states=[7], step=step)
    moves = move_masks(tiny, SGD, fraction=0, every=5)
    history = train(moving, tiny, SGD, masks, during=moves, states=[7], step=step)
    assert states_equal(history.masks, masks)
    assert states_equal(dict(fixed.state_dict()), dict(moving.state_dict()))
    assert list(history.states) == [7]
    assert states_equal(history.states[7].model, plain.states[7].model)
    assert history.table.equals(plain.table)


def moved_by_hand(weight, growth, mask, share):
    """RigL's move of one layer as a loop: who is smallest goes, then who wants most to grow comes.

    Evci et al. 2020, algorithm 1.
    """
    here, wants = mask.flatten().tolist(), growth.flatten().tolist()
    sizes = weight.detach().flatten().abs().tolist()
    kept = sorted((n for n in range(len(here)) if here[n]), key=lambda n: sizes[n])
    many = round(share * len(kept))
    stay = set(kept[many:])
    free = sorted((n for n in range(len(here)) if n not in stay), key=lambda n: -wants[n])
    chosen = stay | set(free[:many])
    return torch.tensor([n in chosen for n in range(len(here))]).view_as(mask)


def test_each_move_is_by_the_papers_rule(tiny):
    model, seen = build_model("mlp-8-6", tiny), []
    moves = move_masks(tiny, SGD, every=5, fraction=0.4, stop=0.75, seed=3)
    train(model, tiny, SGD, some_masks(model), seed=3, during=watched(moves, seen))
    assert [step for step, *_ in seen] == [5, 10, 15, 20, 25]
    for step, before, after, network in seen:
        share = 0.2 * (1 + math.cos(math.pi * step / 30))  # f_decay, ends at 0.75 of 40 steps
        # The gradient of the whole network, on the batch that comes next.
        epoch, batch = divmod(step, 5)
        chosen = example_order(tiny, 3, epoch)[20 * batch : 20 * (batch + 1)]
        F.cross_entropy(network(tiny.train.x[chosen]), tiny.train.y[chosen]).backward()
        for name, weight in prunable_weights(network).items():
            expected = moved_by_hand(weight, weight.grad.abs(), before[name], share)
            assert torch.equal(after[name], expected)
        assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-2"])
@pytest.mark.parametrize("grow", GROW)
def test_looking_for_where_to_grow_moves_nothing_else(grow, name, tiny, tiny_signals):
    """Running statistics, gradients, modes and the caller's random state are as they were."""
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model = build_model(name, dataset)
    (act,) = set(move_masks(dataset, SGD, grow=GROW[grow], every=5).values())
    for now in training(model, dataset, SGD, some_masks(model), stops=[5]):
        before, randomness = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        gradients = [p.grad.clone() for p in model.parameters()]
        modes = [module.training for module in model.modules()]
        act(now)
        assert states_equal(before, model.state_dict())
        assert torch.equal(randomness, torch.get_rng_state())
        assert states_equal(gradients, [p.grad for p in model.parameters()])
        assert modes == [module.training for module in model.modules()]
        break


def two_masks(model, seed: int = 0):
    """Masks before and after a move, as many weights in each layer: some stay, go, come."""
    before, after = some_masks(model, 0.4, seed), some_masks(model, 0.4, seed + 1)
    for name, mask in before.items():
        for kind in (mask & after[name], mask & ~after[name], ~mask & after[name]):
            assert kind.any()
    return before, after


def other_masks(after):
    def act(now):
        now.masks = after

    return act


MEMORY = {"sgd": ["momentum_buffer"], "adam": ["exp_avg", "exp_avg_sq"]}
PLAIN = {
    "sgd": (Recipe("sgd", 0.1, 0.9, 1e-3, 20, "12it"), torch.optim.SGD),
    "adam": (Recipe("adam", 1e-2, batch_size=20, duration="12it"), torch.optim.Adam),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("optimizer", PLAIN)
def test_moving_masks_is_a_dozen_steps_of_a_plain_loop_that_forgets(optimizer, step, tiny):
    """After the move nothing is remembered of a weight that was not there both before and after."""
    recipe, kind = PLAIN[optimizer]
    model = build_model("mlp-8-6", tiny, seed=2)
    before, after = two_masks(model)
    by_hand = apply_masks_(copy.deepcopy(model), before)
    options = {"momentum": 0.9, "weight_decay": 1e-3} if optimizer == "sgd" else {}
    optim = kind(by_hand.parameters(), lr=recipe.lr, **options)
    masks = before
    for number in range(12):
        if number == 5:
            masks = after
            for name, weight in prunable_weights(by_hand).items():
                both = before[name] & after[name]
                with torch.no_grad():
                    weight[~both] = 0.0
                for key in MEMORY[optimizer]:
                    assert optim.state[weight][key][~both].any()  # there is something to forget
                    optim.state[weight][key][~both] = 0.0
        epoch, batch = divmod(number, 5)
        chosen = example_order(tiny, 4, epoch)[20 * batch : 20 * (batch + 1)]
        optim.zero_grad()
        F.cross_entropy(by_hand(tiny.train.x[chosen]), tiny.train.y[chosen]).backward()
        optim.step()
        apply_masks_(by_hand, masks)
    during = {5: other_masks(after)}
    history = train(model, tiny, recipe, before, seed=4, during=during, step=step)
    assert history.masks is after
    for name, parameter in by_hand.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter, rtol=1e-4, atol=1e-6)
    for name, weight in prunable_weights(model).items():
        assert (bits(weight)[~after[name]] == 0).all() and weight[after[name]].any()


@pytest.mark.parametrize("scribbled", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
def test_grown_weights_start_at_zero(recipe, scribbled, tiny):
    """Seen from inside: the loss is asked for the network that the very next step starts from.

    Also where someone wrote into the weights that were not there while the training was paused.
    """
    model, inside = build_model("mlp-8-6", tiny), []
    before, after = two_masks(model)

    def loss(network, x, y):
        weights = prunable_weights(network).items()
        inside.append({name: weight.detach().clone() for name, weight in weights})
        return cross_entropy(network, x, y)

    def act(now):
        if scribbled:
            with torch.no_grad():
                for name, weight in prunable_weights(now.model).items():
                    weight[~before[name]] = 7.0
        now.masks = after

    options = {"during": {5: act}, "states": [5, 6], "loss": loss}
    history = train(model, tiny, RECIPES[recipe], before, **options)
    last, first = inside[4], inside[5]
    for name in before:
        both, new = before[name] & after[name], after[name] & ~before[name]
        assert (bits(first[name])[~both] == 0).all() and not (last[name][~before[name]]).any()
        assert torch.equal(first[name][both], history.states[5].model[name][both])
        assert history.states[6].model[name][new].any()  # and they learn at once


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_new_weights_start_without_memory(recipe, step, tiny):
    """One step after the move a grown weight's memory is that of a first step, no more."""
    model, recipe = build_model("mlp-8-6", tiny), RECIPES[recipe]
    before, after = two_masks(model)
    for now in training(model, tiny, recipe, before, stops=[5, 6], step=step):
        if now.step == 5:
            now.masks = after
            continue
        memory, lr = now.state().optimizer, recipe.lr_at(5, 40)
        break
    start = build_model("mlp-8-6", tiny)
    for now in training(start, tiny, recipe, before, stops=[5], step=step):
        remembered = now.state().optimizer
        break
    apply_masks_(start, {name: before[name] & after[name] for name in before})
    chosen = example_order(tiny, 0, 1)[:20]
    start.zero_grad()
    F.cross_entropy(start(tiny.train.x[chosen]), tiny.train.y[chosen]).backward()
    for name, weight in prunable_weights(start).items():
        new, both = after[name] & ~before[name], after[name] & before[name]
        slope = weight.grad[new]
        if recipe.optimizer == "sgd":  # v = 0.9 * 0 + g; weight decay of a zero is nothing
            expected = {"momentum_buffer": slope}
            old = 0.9 * remembered[f"{name}/momentum_buffer"]
            kept = (old + weight.grad + recipe.weight_decay * weight.detach())[both]
            found = memory[f"{name}/momentum_buffer"][both]
            torch.testing.assert_close(found, kept, rtol=1e-4, atol=1e-7)
        else:
            expected = {"exp_avg": 0.1 * slope, "exp_avg_sq": 0.001 * slope**2}
            assert float(memory[f"{name}/step"]) == 6
        for kind, values in expected.items():
            found = memory[f"{name}/{kind}"][new]
            torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-9)
    if recipe.optimizer == "sgd":
        moved = model.fc1.weight.detach()[after["fc1.weight"] & ~before["fc1.weight"]]
        slope = start.fc1.weight.grad[after["fc1.weight"] & ~before["fc1.weight"]]
        torch.testing.assert_close(moved, -lr * slope, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("grow", GROW)
def test_over_kept_weights_alone_it_is_the_same_training(grow, tiny):
    ends = []
    for step in STEPS:
        model = build_model("mlp-8-6", tiny)
        moves = move_masks(tiny, SGD, grow=GROW[grow], every=5)
        history = train(model, tiny, SGD, some_masks(model), during=moves, step=step)
        ends.append((model, history))
    assert states_equal(ends[0][1].masks, ends[1][1].masks)
    for one, other in zip(ends[0][0].parameters(), ends[1][0].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_set_grows_by_seed(tiny):
    ends = []
    for seed in (1, 1, 2):
        model = build_model("mlp-8", tiny)
        moves = move_masks(tiny, SGD, grow=random, every=5, seed=seed)
        ends.append(train(model, tiny, SGD, some_masks(model), seed=1, during=moves).masks)
    assert states_equal(ends[0], ends[1]) and not states_equal(ends[0], ends[2])


def test_set_draws_anew_at_every_move(tiny):
    """The same places would come back and back if every move drew the same numbers."""
    model, seen = build_model("mlp-100", tiny), []
    moves = move_masks(tiny, SGD, grow=random, every=5, fraction=0.5)
    train(model, tiny, SGD, some_masks(model, 0.1), during=watched(moves, seen))
    grown = [
        {
            (name, place)
            for name in before
            for place in (after[name] & ~before[name]).flatten().nonzero().flatten().tolist()
        }
        for _, before, after, _ in seen[:2]
    ]
    assert min(map(len, grown)) > 20
    assert len(grown[0] & grown[1]) < 0.3 * min(map(len, grown))


@pytest.mark.parametrize("every", [20, 5])
def test_it_goes_on_from_a_state(every, tiny):
    whole, part = build_model("mlp-8", tiny), build_model("mlp-8", tiny)
    masks = some_masks(whole)
    moves = move_masks(tiny, SGD, every=every)
    found = {}
    for now in training(whole, tiny, SGD, masks, stops=[12, *moves]):
        if now.step == 12:
            found = {"state": now.state(), "masks": now.masks}
        else:
            moves[now.step](now)
        last = now.masks
    history = train(part, tiny, SGD, found["masks"], start=found["state"], during=moves)
    assert states_equal(history.masks, last)
    assert states_equal(dict(whole.state_dict()), dict(part.state_dict()))


def test_wrong_requests_are_one_clear_error(tiny):
    model = build_model("mlp-8", tiny)
    for every in (0, "0it"):
        with pytest.raises(ValueError, match="every is 1 to .* steps of this training; got"):
            move_masks(tiny, SGD, every=every)
    other = some_masks(build_model("mlp-9", tiny))
    with pytest.raises(ValueError, match="made for another model"):
        train(model, tiny, SGD, other, during=move_masks(tiny, SGD, every=5))
    with pytest.raises(ValueError, match="made for another model"):
        train(model, tiny, SGD, some_masks(model), during={5: other_masks(other)})
