"""Tickets: iterative magnitude pruning with rewinding, and the controls that go with it."""

import copy
import math
import warnings
from dataclasses import replace

import pandas as pd
import pytest
import torch
from helpers import bits, some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st

from lthlab import batches, training
from lthlab.masks import apply_masks_, count_kept, density, full_masks, layer_densities, prunable_weights
from lthlab.models import build_model
from lthlab.pruning import magnitude, prune, random
from lthlab.recipes import PAPER_RECIPES, Recipe, count_steps
from lthlab.tickets import Level, Ticket, count_levels, find_ticket, pruning_rates, reinitialize, rewind
from lthlab.training import Snapshot, evaluate, train

# 5 steps an epoch on the tiny sets.
ADAM = Recipe("adam", 1e-2, batch_size=20, duration="2ep")
MOMENTUM = Recipe("sgd", 0.1, 0.9, 1e-3, 20, "2ep3it", "cosine", fractions={"all": 0.2}, scope="global")
CASES = {"layer": ("mlp-8-6", ADAM), "global": ("resnet1d-4", MOMENTUM)}


@pytest.fixture(params=CASES)
def case(request, tiny, tiny_signals):
    """A model's name, its data and a recipe: by layer with Adam, globally with momentum and BatchNorm."""
    name, recipe = CASES[request.param]
    return name, tiny if request.param == "layer" else tiny_signals, recipe


class Diary:
    """What every level of a `find_ticket` began with, written down from inside the training loop."""

    def __init__(self, monkeypatch):
        self.began, self.rates, self.orders, self.batches = [], [], [], []
        self.make, self.measure, self.order = training.make_optimizer, training.measure, batches.example_order
        monkeypatch.setattr(training, "make_optimizer", self.note_optimizer)
        monkeypatch.setattr(training, "measure", self.note_beginning)
        monkeypatch.setattr(batches, "example_order", self.note_order)

    def note_optimizer(self, model, recipe):
        self.optimizer, self.fresh = self.make(model, recipe), True
        self.rates.append([])
        self.orders.append([])
        self.batches.append([])
        self.optimizer.register_step_pre_hook(
            lambda optimizer, *_: self.rates[-1].append(optimizer.param_groups[0]["lr"])
        )
        return self.optimizer

    def note_beginning(self, model, split):
        if self.fresh:
            self.began.append(copy.deepcopy((model.state_dict(), self.optimizer.state_dict())))
            self.fresh = False
        return self.measure(model, split)

    def note_order(self, dataset, seed, epoch):
        self.orders[-1].append((seed, epoch))
        return self.order(dataset, seed, epoch)

    def watch_batches(self, model):
        model.register_forward_pre_hook(
            lambda model, inputs: self.batches[-1].append(inputs[0].clone()) if model.training else None
        )


def test_densities_are_the_ones_worked_out_by_hand(tiny):
    ticket = find_ticket(build_model("mlp-8-6", tiny), tiny, ADAM, levels=3)
    assert [{name: int(mask.sum()) for name, mask in level.masks.items()} for level in ticket.levels] == [
        {"fc1.weight": 128, "fc2.weight": 48, "out.weight": 24},
        {"fc1.weight": 102, "fc2.weight": 38, "out.weight": 22},
        {"fc1.weight": 82, "fc2.weight": 30, "out.weight": 20},
        {"fc1.weight": 66, "fc2.weight": 24, "out.weight": 18},
    ]
    assert [level.density for level in ticket.levels] == [1.0, 162 / 200, 132 / 200, 108 / 200]
    assert [level.number for level in ticket.levels] == [0, 1, 2, 3]
    assert ticket.masks is ticket.levels[-1].masks


def test_global_pruning_takes_20_percent_of_all_that_is_left_at_each_level(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    total = count_kept(full_masks(model))
    ticket, expected = find_ticket(model, tiny_signals, MOMENTUM, levels=4), [total]
    for _ in range(4):
        expected.append(expected[-1] - round(0.2 * expected[-1]))
    assert [count_kept(level.masks) for level in ticket.levels] == expected
    assert len(set(layer_densities(ticket.masks).values())) > 3, "layers differ when pruned together"


def test_masks_are_nested_and_level_0_is_dense(case):
    name, dataset, recipe = case
    ticket = find_ticket(build_model(name, dataset), dataset, recipe, levels=4)
    assert all(mask.all() for mask in ticket.levels[0].masks.values())
    for before, after in zip(ticket.levels, ticket.levels[1:], strict=False):
        assert not any((after.masks[layer] & ~before.masks[layer]).any() for layer in before.masks)
        assert after.density < before.density


@pytest.mark.parametrize("k", ["0it", "1ep2it"])
def test_the_whole_is_iterative_magnitude_pruning_written_out(k, case):
    name, dataset, recipe = case
    model, plain = (build_model(name, dataset, seed=1) for _ in range(2))
    ticket = find_ticket(model, dataset, recipe, levels=3, rewind_to=k, seed=2)

    step, masks = count_steps(k, 5), full_masks(plain)
    start = train(plain, dataset, recipe, seed=2, snapshots=[step]).snapshots[step]
    for level in range(3):
        masks = prune(magnitude(plain), masks, pruning_rates(masks, recipe), recipe.scope)
        plain = build_model(name, dataset, seed=100 + level)
        history = train(plain, dataset, recipe, masks, seed=2, start=start)
    assert states_equal(ticket.masks, masks)
    assert states_equal(ticket.model.state_dict(), plain.state_dict())
    assert ticket.levels[-1].history.table.equals(history.table)


@pytest.mark.parametrize("k", [0, 3, 5, 7])
def test_every_level_begins_with_exactly_what_was_there_at_step_k(k, case, monkeypatch):
    name, dataset, recipe = case
    diary, model = Diary(monkeypatch), build_model(name, dataset, seed=1)
    initial = copy.deepcopy(model.state_dict())
    diary.watch_batches(model)
    ticket = find_ticket(model, dataset, recipe, levels=3, rewind_to=k, seed=2)
    total = recipe.steps(dataset)
    assert ticket.start.step == k
    assert (k == 0) == states_equal(ticket.start.model, dict(initial))
    assert states_equal(dict(diary.began[0][0]), dict(initial))
    assert diary.began[0][1]["state"] == {}
    assert len(diary.began) == 4
    for level, (state, optimizer) in list(zip(ticket.levels, diary.began, strict=True))[1:]:
        assert 0 < level.density < 1
        for key, value in state.items():
            if key in level.masks:
                mask = level.masks[key]
                assert torch.equal(bits(value)[mask], bits(ticket.start.model[key])[mask])
                assert (bits(value)[~mask] == 0).all()
            else:
                assert torch.equal(value, ticket.start.model[key]), key
        assert states_equal(optimizer["state"], ticket.start.optimizer["state"])
        assert (k > 0) == bool(optimizer["state"])
        assert int(level.history.table["step"].min()) == k
        assert diary.rates[level.number] == diary.rates[0][k:]
        assert len(diary.rates[level.number]) == total - k
        assert {seed for seed, _ in diary.orders[level.number]} == {2}
        assert states_equal(diary.batches[level.number], diary.batches[0][k:])


def test_the_snapshot_to_rewind_to_survives_all_levels(case):
    name, dataset, recipe = case
    model = build_model(name, dataset, seed=1)
    alone = train(build_model(name, dataset, seed=1), dataset, recipe, seed=2, snapshots=[4]).snapshots[4]
    ticket = find_ticket(model, dataset, recipe, levels=3, rewind_to=4, seed=2)
    assert states_equal((ticket.start.model, ticket.start.optimizer), (alone.model, alone.optimizer))


def test_scores_come_from_the_model_whose_accuracy_is_reported(case):
    name, dataset, recipe = case
    model, judged = build_model(name, dataset), []

    def score(scored):
        judged.append(evaluate(scored, dataset.validation))
        return magnitude(scored)

    ticket = find_ticket(model, dataset, recipe, levels=3, score=score)
    reported = [
        {"loss": level.history.value("loss"), "accuracy": level.history.value()} for level in ticket.levels[:-1]
    ]
    assert judged == reported


def test_each_mask_follows_from_the_weights_at_the_end_of_the_level_before(tiny):
    model, trained = build_model("mlp-8-6", tiny), []

    def score(scored):
        trained.append(magnitude(scored))
        return trained[-1]

    ticket = find_ticket(model, tiny, ADAM, levels=3, score=score)
    for scores, before, after in zip(trained, ticket.levels, ticket.levels[1:], strict=False):
        for layer, mask in before.masks.items():
            dropped = mask & ~after.masks[layer]
            assert scores[layer][after.masks[layer]].min() >= scores[layer][dropped].max()
            assert not scores[layer][~mask].any()


def test_the_tickets_model_is_trained_and_the_given_one_untouched(case):
    name, dataset, recipe = case
    model = build_model(name, dataset)
    ticket = find_ticket(model, dataset, recipe, levels=2)
    assert evaluate(ticket.model, dataset.validation)["loss"] == ticket.levels[-1].history.value("loss")
    assert states_equal(model.state_dict(), build_model(name, dataset).state_dict()), "the given model was changed"
    for layer, weight in prunable_weights(ticket.model).items():
        assert (bits(weight)[~ticket.masks[layer]] == 0).all()
        assert not torch.equal(weight, ticket.start.model[layer])


def test_random_scores_with_one_seed_are_a_random_ticket(tiny):
    model = build_model("mlp-8-6", tiny)
    ticket = find_ticket(model, tiny, ADAM, levels=3, score=lambda scored: random(scored, seed=7))
    at_once = full_masks(model)
    for _ in range(3):
        at_once = prune(random(model, seed=7), at_once, pruning_rates(at_once, ADAM))
    assert states_equal(ticket.masks, at_once)


def test_the_same_call_twice_gives_the_same_bits(case):
    name, dataset, recipe = case
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(found))
        model = build_model(name, dataset, seed=1)
        found.append(find_ticket(model, dataset, recipe, levels=2, rewind_to=3, seed=seed))
    first, again, other = found
    assert states_equal(first.masks, again.masks)
    assert states_equal(first.model.state_dict(), again.model.state_dict())
    assert first.table().equals(again.table())
    assert not states_equal(first.masks, other.masks)


def test_the_test_split_is_never_looked_at(tiny):
    class Unseen:
        def __getattr__(self, name):
            raise AssertionError(f"the test split was asked for {name}")

    ticket = find_ticket(build_model("mlp-8-6", tiny), replace(tiny, test=Unseen()), ADAM, levels=1)
    assert set(ticket.table()["split"]) == {"train", "validation"}


def test_a_ticket_of_zero_levels_is_the_dense_training(tiny):
    model, plain = (build_model("mlp-8-6", tiny) for _ in range(2))
    ticket = find_ticket(model, tiny, ADAM, levels=0)
    train(plain, tiny, ADAM)
    assert [level.density for level in ticket.levels] == [1.0]
    assert states_equal(ticket.model.state_dict(), plain.state_dict())


@pytest.mark.parametrize("wanted", [1.0, 0.99, 0.81, 0.8099, 0.5, 0.12])
def test_pruning_to_a_density_stops_at_the_first_level_below_it(wanted, case):
    name, dataset, recipe = case
    short = replace(recipe, duration="1it")
    ticket = find_ticket(build_model(name, dataset), dataset, short, density=wanted)
    densities = [level.density for level in ticket.levels]
    assert densities[-1] <= wanted
    assert all(before > wanted for before in densities[:-1])
    masks = full_masks(build_model(name, dataset))
    assert count_levels(masks, recipe, density=wanted) == len(densities) - 1


@given(wanted=st.floats(0.02, 1), fc=st.floats(0.1, 0.9), output=st.floats(0.05, 0.9), seed=st.integers(0, 1000))
def test_levels_and_densities_agree_at_any_rates(wanted, fc, output, seed):
    draw = torch.Generator().manual_seed(seed)
    masks = {"a": torch.ones(7, 9, dtype=torch.bool), "b": torch.ones(5, 7, dtype=torch.bool)}
    scores = {name: torch.rand(mask.shape, generator=draw) for name, mask in masks.items()}
    for recipe in (Recipe(fractions={"fc": fc, "output": output}), Recipe(fractions={"all": fc}, scope="global")):
        try:
            levels = count_levels(masks, recipe, density=wanted)
        except ValueError as error:
            assert "pruning stops at density" in str(error)
            continue
        pruned, reached = masks, [1.0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Layer collapse")
            for _ in range(levels):
                pruned = prune(scores, pruned, pruning_rates(pruned, recipe), recipe.scope)
                reached.append(density(pruned))
        assert reached[-1] <= wanted
        assert all(before > wanted for before in reached[:-1])


def test_pruning_rates_follow_the_recipe_and_the_kind_of_layer(tiny, tiny_signals, cifar_shaped):
    assert pruning_rates(full_masks(build_model("mlp-8-6", tiny)), Recipe()) == {
        "fc1.weight": 0.2,
        "fc2.weight": 0.2,
        "out.weight": 0.1,
    }
    assert pruning_rates(full_masks(build_model("resnet1d-2", tiny_signals)), MOMENTUM) == 0.2
    conv_6 = pruning_rates(full_masks(build_model("conv-6", cifar_shaped)), PAPER_RECIPES["conv-6"])
    assert set(conv_6.values()) == {0.15, 0.2, 0.1}
    assert [name for name, rate in conv_6.items() if rate == 0.15] == [f"conv{i}.weight" for i in range(1, 7)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "either levels=15 or density=0.036"),
        ({"levels": 2, "density": 0.5}, "either levels=15 or density=0.036"),
        ({"levels": -1}, "got -1"),
        ({"density": 1.5}, "got 1.5"),
        ({"density": 0}, "got 0"),
        ({"density": -0.1}, "got -0.1"),
        ({"density": 20}, "got 20"),
        ({"density": 1e-9}, "At these rates pruning stops at density"),
        ({"levels": 1, "rewind_to": 10}, "Rewinding to step 10 leaves nothing to train: training ends at 10"),
        ({"levels": 1, "rewind_to": "3ep"}, "step 15"),
        ({"levels": 1, "rewind_to": "half"}, "A duration reads"),
    ],
)
def test_impossible_tickets_are_refused_before_anything_is_trained(options, said, tiny):
    model = build_model("mlp-8-6", tiny)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=said):
        find_ticket(model, tiny, ADAM, **options)
    assert states_equal(model.state_dict(), before)


def test_evaluation_steps_reach_every_level(tiny):
    ticket = find_ticket(
        build_model("mlp-8-6", tiny), tiny, ADAM, levels=1, rewind_to=2, evaluate_every="9ep", evaluate_at=[1, 4]
    )
    steps = [sorted(level.history.table["step"].unique()) for level in ticket.levels]
    assert steps == [[0, 1, 4, 10], [2, 4, 10]]


def test_snapshots_are_kept_at_every_level(tiny):
    model = build_model("mlp-8-6", tiny)
    ticket = find_ticket(model, tiny, ADAM, levels=2, rewind_to=2, snapshots=[1, "1ep", 10])
    assert [sorted(level.history.snapshots) for level in ticket.levels] == [[1, 2, 5, 10], [5, 10], [5, 10]]
    assert ticket.start is ticket.levels[0].history.snapshots[2]
    assert states_equal(ticket.levels[2].history.snapshots[10].model, dict(ticket.model.state_dict()))


def test_steps_that_can_be_read_only_once_reach_every_level(tiny):
    ticket = find_ticket(
        build_model("mlp-8-6", tiny), tiny, ADAM, levels=1, evaluate_every="9ep", evaluate_at=iter([1, 4]),
        snapshots=iter([5]),
    )  # fmt: skip
    assert [sorted(level.history.table["step"].unique()) for level in ticket.levels] == [[0, 1, 4, 10]] * 2
    assert [sorted(level.history.snapshots) for level in ticket.levels] == [[0, 5], [5]]


def test_progress_names_the_levels_and_changes_nothing(tiny, capsys):
    quiet, shown = (build_model("mlp-8-6", tiny) for _ in range(2))
    expected = find_ticket(quiet, tiny, ADAM, levels=2)
    assert capsys.readouterr().err == ""
    found = find_ticket(shown, tiny, ADAM, levels=2, progress=True)
    assert "level 2" in capsys.readouterr().err
    assert states_equal(found.model.state_dict(), expected.model.state_dict())


def test_the_table_holds_every_measurement_of_every_level(tiny):
    ticket = find_ticket(build_model("mlp-8-6", tiny), tiny, ADAM, levels=2)
    table = ticket.table()
    assert set(table.columns) == {"level", "density", "step", "epoch", "split", "metric", "value"}
    assert table.index.tolist() == list(range(len(table)))
    for level in ticket.levels:
        rows = table[table["level"] == level.number]
        assert set(rows["density"]) == {level.density}
        pd.testing.assert_frame_equal(
            rows[list(level.history.table.columns)].reset_index(drop=True), level.history.table
        )


def test_the_nearest_level_is_meant_on_a_logarithmic_scale():
    ticket = Ticket(None, [Level(i, kept, {}, None) for i, kept in enumerate((1.0, 0.1, 0.01))], None)
    assert [ticket.at(wanted).density for wanted in (1, 0.32, 0.31, 0.1, 0.032, 0.031, 0.0001)] == [
        1.0,
        1.0,
        0.1,
        0.1,
        0.1,
        0.01,
        0.01,
    ]
    for wanted in (0, -0.1, 1.01, 20, math.nan):
        with pytest.raises(ValueError, match="A density is a fraction"):
            ticket.at(wanted)


def test_rewinding_brings_kept_weights_back_and_leaves_model_and_snapshot_alone(case):
    name, dataset, recipe = case
    model = build_model(name, dataset, seed=1)
    start = train(model, dataset, recipe, snapshots=[4]).snapshots[4]
    masks = some_masks(model)
    before = copy.deepcopy((model.state_dict(), start.model, start.optimizer))
    rewound = rewind(model, start, masks)
    for key, value in rewound.state_dict().items():
        mask = masks.get(key, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value[mask], start.model[key][mask]), key
        assert not value[~mask].any()
    assert not states_equal(rewound.state_dict(), model.state_dict())
    train(rewound, dataset, recipe, masks)
    assert states_equal((model.state_dict(), start.model, start.optimizer), before)


def test_rewound_copies_begin_as_the_levels_did(tiny, monkeypatch):
    diary = Diary(monkeypatch)
    model = build_model("mlp-8-6", tiny)
    ticket = find_ticket(model, tiny, ADAM, levels=2, rewind_to=3)
    for level, (state, _) in list(zip(ticket.levels, diary.began, strict=True))[1:]:
        assert states_equal(dict(rewind(model, ticket.start, level.masks).state_dict()), dict(state))


def test_reinitialising_keeps_the_masks_and_changes_every_kept_weight(case):
    name, dataset, recipe = case
    model = build_model(name, dataset, seed=1)
    initial = copy.deepcopy(model.state_dict())
    ticket = find_ticket(model, dataset, recipe, levels=3)
    trained = copy.deepcopy(ticket.model.state_dict())
    control = reinitialize(ticket.model, ticket.masks, seed=50)
    assert control is not ticket.model
    assert states_equal(ticket.model.state_dict(), trained)
    for layer, weight in prunable_weights(control).items():
        mask = ticket.masks[layer]
        assert torch.equal(weight != 0, mask), "the control has the ticket's mask, not one of its own"
        assert (bits(weight)[~mask] == 0).all()
        for earlier in (initial, trained):
            assert not (weight == earlier[layer])[mask].any()
    for key, value in build_model(name, dataset, seed=50).state_dict().items():
        if key not in ticket.masks:
            assert torch.equal(control.state_dict()[key], value), key


def test_reinitialised_weights_are_the_initial_values_of_another_seed(case):
    name, dataset, _ = case
    model = build_model(name, dataset, seed=1)
    masks = some_masks(model)
    first, again, other = (reinitialize(model, masks, seed) for seed in (2, 2, 3))
    assert states_equal(first.state_dict(), again.state_dict())
    fresh = apply_masks_(build_model(name, dataset, seed=2), masks)
    assert states_equal(first.state_dict(), fresh.state_dict())
    for layer, weight in prunable_weights(other).items():
        assert not (weight == prunable_weights(first)[layer])[masks[layer]].any()


def test_training_the_control_keeps_its_masks(tiny):
    model = build_model("mlp-8-6", tiny, seed=1)
    ticket = find_ticket(model, tiny, ADAM, levels=2)
    control = reinitialize(model, ticket.masks, seed=2)
    history = train(control, tiny, ADAM, ticket.masks, seed=0)
    assert history.table["step"].tolist() == ticket.levels[-1].history.table["step"].tolist()
    for layer, weight in prunable_weights(control).items():
        assert (bits(weight)[~ticket.masks[layer]] == 0).all()


def test_masks_of_another_model_are_refused_by_both_controls(tiny):
    model = build_model("mlp-8-6", tiny)
    masks, before = full_masks(build_model("mlp-8-7", tiny)), copy.deepcopy(model.state_dict())
    start = Snapshot(0, copy.deepcopy(before), {})
    for control in (lambda: reinitialize(model, masks, 1), lambda: rewind(model, start, masks)):
        with pytest.raises(ValueError, match="another model"):
            control()
    assert states_equal(model.state_dict(), before)


def test_a_search_run_twice_on_the_same_model_finds_the_same(tiny):
    model = build_model("mlp-8-6", tiny)
    first, second = (find_ticket(model, tiny, ADAM, levels=2) for _ in range(2))
    assert states_equal(first.masks, second.masks) and states_equal(first.start.model, second.start.model)
