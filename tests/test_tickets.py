"""Tickets: iterative magnitude pruning with rewinding, and the controls that go with it."""

import copy
import math
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers import ADAM, MOMENTUM, bits, some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune

from lthlab.batches import example_order
from lthlab.experiments import run_experiment
from lthlab.fast.by_hand import ByHand
from lthlab.fast.sparse import Sparse
from lthlab.levels import Level
from lthlab.masks import (
    apply_masks_,
    count_kept,
    density,
    full_masks,
    layer_densities,
    prunable_weights,
)
from lthlab.models import build_model
from lthlab.pruning import magnitude, prune, random
from lthlab.recipes import PAPER_RECIPES, Recipe, count_levels, count_steps
from lthlab.steps import STEPS, State, Step
from lthlab.tickets import Ticket, find_ticket, rewind
from lthlab.training import evaluate, train


class Diary:
    """A kind of step that writes down, for every training, what it began with and what it saw."""

    def __init__(self, kind: str):
        self.kind, self.levels = kind, []

    def __call__(self, model, masks, recipe, loss) -> Step:
        step = STEPS[self.kind](model, masks, recipe, loss)
        self.levels.append(SimpleNamespace(kind=type(step), began=None, batches=[], rates=[]))
        step.__class__ = type("NotingStep", (Noting, type(step)), {"notes": self.levels[-1]})
        return step


class Noting:
    def __call__(self, x, y):
        if self.notes.began is None:
            trained = {n: self.to_parameter(n, p.detach()).clone() for n, p in self.trained.items()}
            self.notes.began = copy.deepcopy(dict(self.model.state_dict())) | trained
        self.notes.batches.append((x.clone(), y.clone()))
        return super().__call__(x, y)

    def updater(self, optimizer):
        update = super().updater(optimizer)

        def note_rate():
            self.notes.rates.append(optimizer.param_groups[0]["lr"])

        def noted_update():
            note_rate()
            update()

        note_rate()  # of the first step, which is just done
        return noted_update


def batch_of(dataset, recipe, seed, step):
    """Written out here again, apart from the package, like the two functions below."""
    order = example_order(dataset, seed, step // 5)
    chosen = order[step % 5 * recipe.batch_size :][: recipe.batch_size]
    return dataset.train.x[chosen], dataset.train.y[chosen]


def learning_rate(recipe, step, total):
    if recipe.schedule == "cosine":
        return recipe.lr * (1 + math.cos(math.pi * step / total)) / 2
    return recipe.lr


def plain_training(model, dataset, recipe, seed, steps):
    """The dense network and the optimiser's memory of it after some steps of PyTorch's own."""
    if recipe.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), recipe.lr, fused=True)
    else:
        options = {"momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
        optimizer = torch.optim.SGD(model.parameters(), recipe.lr, **options, fused=True)
    total = recipe.steps(dataset)
    for step in range(steps):
        x, y = batch_of(dataset, recipe, seed, step)
        optimizer.param_groups[0]["lr"] = learning_rate(recipe, step, total)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    memory = {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state[parameter].items()
    }
    return dict(model.state_dict()), memory


def test_densities_are_the_ones_worked_out_by_hand(tiny):
    ticket = find_ticket(build_model("mlp-8-6", tiny), tiny, ADAM, levels=3)
    assert [
        {name: int(mask.sum()) for name, mask in level.masks.items()} for level in ticket.levels
    ] == [
        {"fc1.weight": 128, "fc2.weight": 48, "out.weight": 24},
        {"fc1.weight": 102, "fc2.weight": 38, "out.weight": 22},
        {"fc1.weight": 82, "fc2.weight": 30, "out.weight": 20},
        {"fc1.weight": 66, "fc2.weight": 24, "out.weight": 18},
    ]
    assert [level.density for level in ticket.levels] == [1.0, 162 / 200, 132 / 200, 108 / 200]
    assert len(ticket.levels) == 4
    assert ticket.masks is ticket.levels[-1].masks


def test_global_pruning_takes_20_percent_of_all_that_is_left_at_each_level(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    total = count_kept(full_masks(model))
    ticket, expected = find_ticket(model, tiny_signals, MOMENTUM, levels=4), [total]
    for _ in range(4):
        expected.append(expected[-1] - round(0.2 * expected[-1]))
    assert [count_kept(level.masks) for level in ticket.levels] == expected
    assert len(set(layer_densities(ticket.masks).values())) > 3, (
        "layers differ when pruned together"
    )


def test_masks_are_nested_and_level_0_is_dense(case):
    name, dataset, recipe = case
    ticket = find_ticket(build_model(name, dataset), dataset, recipe, levels=4)
    assert all(mask.all() for mask in ticket.levels[0].masks.values())
    for before, after in zip(ticket.levels, ticket.levels[1:], strict=False):
        assert not any((after.masks[layer] & ~before.masks[layer]).any() for layer in before.masks)
        assert after.density < before.density


@pytest.mark.parametrize("step", [None, "fast"])
@pytest.mark.parametrize("k", ["0it", "1ep2it"])
def test_the_whole_is_iterative_magnitude_pruning_written_out(k, step, case):
    name, dataset, recipe = case
    model, plain = (build_model(name, dataset, seed=1) for _ in range(2))
    options = {"seed": 2, "step": step}
    ticket = find_ticket(model, dataset, recipe, levels=3, rewind_to=k, **options)

    steps, masks = count_steps(k, 5), full_masks(plain)
    start = train(plain, dataset, recipe, states=[steps], **options).states[steps]
    for level in range(3):
        masks = prune(magnitude(plain), masks, recipe.rates(masks), recipe.scope)
        plain = build_model(name, dataset, seed=100 + level)
        history = train(plain, dataset, recipe, masks, start=start, **options)
    assert states_equal(ticket.masks, masks)
    assert states_equal(ticket.model.state_dict(), plain.state_dict())
    assert ticket.levels[-1].history.table.equals(history.table)


@pytest.mark.parametrize("kind", ["autograd", "fast"])
@pytest.mark.parametrize("k", [0, 3, 5, 7])
def test_every_level_begins_with_exactly_what_was_there_at_step_k(k, kind, case):
    name, dataset, recipe = case
    if recipe.scope == "layer":  # fast enough for the last levels to be trained sparse
        recipe = replace(recipe, fractions={"fc": 0.4, "output": 0.3})
    diary, model, plain = Diary(kind), *(build_model(name, dataset, seed=1) for _ in range(2))
    initial, total = copy.deepcopy(dict(model.state_dict())), recipe.steps(dataset)
    options = {"rewind_to": k, "seed": 2, "states": [k], "step": diary}
    ticket = find_ticket(model, dataset, recipe, levels=3, **options)

    there, memory = plain_training(plain, dataset, recipe, 2, k)
    assert ticket.start.step == k
    assert states_equal(ticket.start.model, there) and states_equal(ticket.start.optimizer, memory)
    assert (k > 0) == bool(memory) == (not states_equal(there, initial))
    assert len(diary.levels) == len(ticket.levels) == 4
    for number, (level, notes) in enumerate(zip(ticket.levels, diary.levels, strict=True)):
        assert (0 < level.density < 1) == (number > 0)
        first, expected = (k, there) if number else (0, initial)
        for key, value in notes.began.items():
            mask = level.masks.get(key, torch.ones_like(value, dtype=torch.bool))
            assert torch.equal(value[mask], expected[key][mask]), key
            assert key not in level.masks or (bits(value)[~mask] == 0).all(), key
        remembered = level.history.states[k].optimizer
        assert remembered.keys() == memory.keys()
        for key, value in remembered.items():
            mask = level.masks.get(key.rpartition("/")[0]) if value.dim() else None
            mask = torch.ones_like(value, dtype=torch.bool) if mask is None else mask
            assert torch.equal(value[mask], memory[key][mask]), key
        rates = [learning_rate(recipe, step, total) for step in range(first, total)]
        assert notes.rates == pytest.approx(rates, rel=1e-12)
        batches = [batch_of(dataset, recipe, 2, step) for step in range(first, total)]
        assert states_equal(notes.batches, batches)
        assert level.start.step == first == int(level.history.table["step"].min())
    if kind == "fast" and recipe.scope == "layer":
        assert [notes.kind for notes in diary.levels] == [ByHand, ByHand, Sparse, Sparse]


def test_masks_are_those_of_pytorchs_own_pruning(case):
    name, dataset, recipe = case
    ticket = find_ticket(build_model(name, dataset), dataset, recipe, levels=3, rewind_to=2)
    for before, after in zip(ticket.levels, ticket.levels[1:], strict=False):
        network = build_model(name, dataset, seed=9)
        network.load_state_dict(before.trained)
        layers = {n: network.get_submodule(n.removesuffix(".weight")) for n in before.masks}
        kept = {layer: int(mask.sum()) for layer, mask in before.masks.items()}
        for layer, module in layers.items():
            torch_prune.custom_from_mask(module, "weight", before.masks[layer])
        if recipe.scope == "global":
            amount = round(0.2 * sum(kept.values()))
            together = [(module, "weight") for module in layers.values()]
            torch_prune.global_unstructured(together, torch_prune.L1Unstructured, amount=amount)
        else:
            for layer, module in layers.items():
                rate = 0.1 if layer.startswith("out") else 0.2
                torch_prune.l1_unstructured(module, "weight", round(rate * kept[layer]))
        for layer, module in layers.items():
            assert torch.equal(module.weight_mask.bool(), after.masks[layer]), layer


def test_the_state_to_rewind_to_survives_all_levels(case):
    name, dataset, recipe = case
    model = build_model(name, dataset, seed=1)
    alone = train(build_model(name, dataset, seed=1), dataset, recipe, seed=2, states=[4]).states[4]
    ticket = find_ticket(model, dataset, recipe, levels=3, rewind_to=4, seed=2)
    assert states_equal(
        (ticket.start.model, ticket.start.optimizer), (alone.model, alone.optimizer)
    )


def test_scores_come_from_the_model_whose_accuracy_is_reported(case):
    name, dataset, recipe = case
    model, judged = build_model(name, dataset), []

    def score(scored, batch, *, seed):
        judged.append(evaluate(scored, dataset.validation))
        return magnitude(scored)

    ticket = find_ticket(model, dataset, recipe, levels=3, score=score)
    reported = [
        {"loss": level.history.value("loss"), "accuracy": level.history.value()}
        for level in ticket.levels[:-1]
    ]
    assert judged == reported


def test_each_mask_follows_from_the_weights_at_the_end_of_the_level_before(tiny):
    model, trained = build_model("mlp-8-6", tiny), []

    def score(scored, batch, *, seed):
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
    assert evaluate(ticket.model, dataset.validation)["loss"] == ticket.levels[-1].history.value(
        "loss"
    )
    assert states_equal(model.state_dict(), build_model(name, dataset).state_dict()), (
        "the given model was changed"
    )
    for layer, weight in prunable_weights(ticket.model).items():
        assert (bits(weight)[~ticket.masks[layer]] == 0).all()
        assert not torch.equal(weight, ticket.start.model[layer])


def test_random_scores_with_one_seed_are_a_random_ticket(tiny):
    model = build_model("mlp-8-6", tiny)
    ticket = find_ticket(model, tiny, ADAM, levels=3, score=random, seed=7)
    at_once = full_masks(model)
    for _ in range(3):
        at_once = prune(random(model, seed=7), at_once, ADAM.rates(at_once))
    assert states_equal(ticket.masks, at_once)


def test_a_score_is_given_training_examples_and_the_seed(tiny):
    seen = []

    def score(scored, batch, *, seed):
        seen.append((*batch, seed))
        return magnitude(scored)

    find_ticket(build_model("mlp-8-6", tiny), tiny, ADAM, levels=2, score=score, seed=5)
    assert len(seen) == 2 and [seed for *_, seed in seen] == [5, 5]
    for x, y, _ in seen:
        for one, label in zip(x, y, strict=True):
            (found,) = (tiny.train.x == one).flatten(1).all(1).nonzero().flatten().tolist()
            assert tiny.train.y[found] == label


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
    for one, two in zip(first.levels, again.levels, strict=True):
        assert one.history.table.equals(two.history.table)
    assert not states_equal(first.masks, other.masks)


def test_the_test_split_is_never_looked_at(tiny):
    class Unseen:
        def __getattr__(self, name):
            raise AssertionError(f"the test split was asked for {name}")

    blinded = copy.copy(tiny)
    object.__setattr__(blinded, "test", Unseen())  # a data set checks its labels when it is made
    ticket = find_ticket(build_model("mlp-8-6", tiny), blinded, ADAM, levels=1)
    for level in ticket.levels:
        assert set(level.history.table["split"]) == {"train", "validation"}


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


@given(
    wanted=st.floats(0.02, 1),
    fc=st.floats(0.1, 0.9),
    output=st.floats(0.05, 0.9),
    seed=st.integers(0, 1000),
)
def test_levels_and_densities_agree_at_any_rates(wanted, fc, output, seed):
    draw = torch.Generator().manual_seed(seed)
    shapes = {"fc.weight": (7, 9), "out.weight": (5, 7)}
    masks = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
    scores = {name: torch.rand(mask.shape, generator=draw) for name, mask in masks.items()}
    for recipe in (
        Recipe(fractions={"fc": fc, "output": output}),
        Recipe(fractions={"all": fc}, scope="global"),
    ):
        try:
            levels = count_levels(masks, recipe, density=wanted)
        except ValueError as error:
            assert "pruning stops at density" in str(error)
            continue
        pruned, reached = masks, [1.0]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Layer collapse")
            for _ in range(levels):
                pruned = prune(scores, pruned, recipe.rates(pruned), recipe.scope)
                reached.append(density(pruned))
        assert reached[-1] <= wanted
        assert all(before > wanted for before in reached[:-1])


def test_pruning_rates_follow_the_recipe_and_the_kind_of_layer(tiny, tiny_signals, cifar_shaped):
    fully = Recipe().rates(full_masks(build_model("mlp-8-6", tiny)))
    assert fully == {"fc1.weight": 0.2, "fc2.weight": 0.2, "out.weight": 0.1}
    assert MOMENTUM.rates(full_masks(build_model("resnet1d-2", tiny_signals))) == 0.2
    conv_6 = PAPER_RECIPES["conv-6"].rates(full_masks(build_model("conv-6", cifar_shaped)))
    assert set(conv_6.values()) == {0.15, 0.2, 0.1}
    assert [name for name, rate in conv_6.items() if rate == 0.15] == [
        f"conv{i}.weight" for i in range(1, 7)
    ]


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
        (
            {"levels": 1, "rewind_to": 10},
            "rewinding to step 10 leaves nothing to train: training ends at 10",
        ),
        ({"levels": 1, "rewind_to": "3ep"}, "rewinding to step 15 leaves nothing to train"),
        ({"levels": 0, "rewind_to": "2ep"}, "rewinding to step 10 leaves nothing to train"),
        ({"levels": 1, "evaluate_at": [11]}, "from step 0 to 10; step 11"),
        ({"levels": 1, "evaluate_at": iter([1, "3ep"])}, "from step 0 to 10; step 15"),
        ({"levels": 1, "states": ["2ep1it"]}, "from step 0 to 10; step 11"),
        ({"levels": 1, "evaluate_every": -1}, "is a duration such as"),
        ({"levels": 1, "rewind_to": "half"}, "is a duration such as"),
    ],
)
def test_impossible_tickets_are_refused_before_anything_is_trained(options, said, tiny):
    model, trained = build_model("mlp-8-6", tiny), []
    before = copy.deepcopy(model.state_dict())

    def counting(*given):
        trained.append(given)
        return Step(*given)

    with pytest.raises(ValueError, match=said):
        find_ticket(model, tiny, ADAM, step=counting, **options)
    assert states_equal(model.state_dict(), before) and trained == []


@pytest.mark.parametrize("rewind_to", [10, "2ep", "3ep"])
@pytest.mark.parametrize("arms", [["ticket"], ["dense"], ["fine-tuning"]])
def test_experiments_refuse_a_rewind_step_that_leaves_nothing_to_train(
    arms, rewind_to, tiny, tmp_path
):
    options = {"arms": arms, "levels": 1, "rewind_to": rewind_to, "folder": tmp_path}
    with pytest.raises(ValueError, match="rewinding to step 1[05] leaves nothing to train"):
        run_experiment("mlp-8-6", tiny, ADAM, seeds=[0], n_jobs=1, progress=False, **options)
    assert not [*tmp_path.rglob("*.safetensors")]


@pytest.mark.parametrize("evaluate_at", [[11], iter([1, "3ep"])])
def test_experiments_refuse_durations_outside_the_training(evaluate_at, tiny, tmp_path):
    options = {"arms": ["ticket"], "levels": 1, "folder": tmp_path, "n_jobs": 1, "progress": False}
    with pytest.raises(ValueError, match="from step 0 to 10; step 1[15]"):
        run_experiment("mlp-8-6", tiny, ADAM, seeds=[0], evaluate_at=evaluate_at, **options)
    assert not [*tmp_path.rglob("*.safetensors")]


def test_experiments_measure_every_training_at_steps_that_can_be_read_only_once(tiny):
    options = {"arms": ["dense", "ticket"], "seeds": [0, 1], "levels": 1, "n_jobs": 1}
    watch = {"evaluate_every": "9ep", "evaluate_at": iter([1, 4]), "progress": False}
    table = run_experiment("mlp-8-6", tiny, ADAM, **options, **watch)
    losses = table[(table["split"] == "validation") & (table["metric"] == "loss")]
    found = losses.groupby(["arm", "seed", "level"])["step"].apply(list).to_dict()
    runs = [(arm, seed, level) for arm, level in (("dense", 0), ("ticket", 1)) for seed in (0, 1)]
    assert found == {run: [0, 1, 4, 10] for run in runs}


def test_evaluation_steps_reach_every_level(tiny):
    ticket = find_ticket(
        build_model("mlp-8-6", tiny),
        tiny,
        ADAM,
        levels=1,
        rewind_to=2,
        evaluate_every="9ep",
        evaluate_at=[1, 4],
    )
    steps = [sorted(level.history.table["step"].unique()) for level in ticket.levels]
    assert steps == [[0, 1, 4, 10], [2, 4, 10]]


def test_states_are_kept_at_every_level(tiny):
    model = build_model("mlp-8-6", tiny)
    ticket = find_ticket(model, tiny, ADAM, levels=2, rewind_to=2, states=[1, "1ep", 10])
    assert [sorted(level.history.states) for level in ticket.levels] == [
        [1, 2, 5, 10],
        [5, 10],
        [5, 10],
    ]
    assert ticket.start is ticket.levels[0].history.states[2]
    assert states_equal(ticket.levels[2].history.states[10].model, dict(ticket.model.state_dict()))


def test_steps_that_can_be_read_only_once_reach_every_level(tiny):
    once = {"evaluate_at": iter([1, 4]), "states": iter([5])}
    model = build_model("mlp-8-6", tiny)
    ticket = find_ticket(model, tiny, ADAM, levels=1, evaluate_every="9ep", **once)
    assert [sorted(level.history.table["step"].unique()) for level in ticket.levels] == [
        [0, 1, 4, 10]
    ] * 2
    assert [sorted(level.history.states) for level in ticket.levels] == [[0, 5], [5]]


def test_progress_names_the_levels_and_changes_nothing(tiny, capsys):
    quiet, shown = (build_model("mlp-8-6", tiny) for _ in range(2))
    expected = find_ticket(quiet, tiny, ADAM, levels=2)
    assert capsys.readouterr().err == ""
    found = find_ticket(shown, tiny, ADAM, levels=2, progress=True)
    assert "level 2" in capsys.readouterr().err
    assert states_equal(found.model.state_dict(), expected.model.state_dict())


def ticket_of(*densities):
    levels = [Level(kept, None, {}, None) for kept in densities]
    return Ticket(None, levels, None)


def test_the_nearest_level_is_meant_on_a_logarithmic_scale():
    ticket = ticket_of(1.0, 0.1, 0.01)
    wanted = {1: 1.0, 0.32: 1.0, 0.31: 0.1, 0.1: 0.1, 0.032: 0.1, 0.031: 0.01, 0.0001: 0.01}
    assert {density: ticket.at(density).density for density in wanted} == wanted
    for outside in (0, -0.1, 1.01, 20, math.nan):
        with pytest.raises(ValueError, match="wanted is a fraction"):
            ticket.at(outside)


@pytest.mark.parametrize("wanted", [1.0, 0.3, 0.001])
def test_a_level_without_weights_is_near_to_no_density(wanted, tiny):
    assert ticket_of(1.0, 0.2, 0.0).at(wanted).density == (1.0 if wanted > 0.45 else 0.2)
    recipe = replace(ADAM, fractions={"fc": 1.0, "output": 1.0})
    with pytest.warns(UserWarning, match="Layer collapse"):
        ticket = find_ticket(build_model("mlp-8-6", tiny), tiny, recipe, levels=2)
    assert [level.density for level in ticket.levels] == [1.0, 0.0, 0.0]
    assert ticket.at(wanted) is ticket.levels[0]
    assert not any(weight.any() for weight in prunable_weights(ticket.model).values())


def test_rewinding_brings_kept_weights_back_and_leaves_model_and_state_alone(case):
    name, dataset, recipe = case
    model = build_model(name, dataset, seed=1)
    start = train(model, dataset, recipe, states=[4]).states[4]
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


def test_rewound_copies_begin_as_the_levels_did(tiny):
    diary, model = Diary("fast"), build_model("mlp-8-6", tiny)
    ticket = find_ticket(model, tiny, ADAM, levels=2, rewind_to=3, step=diary)
    for level, notes in list(zip(ticket.levels, diary.levels, strict=True))[1:]:
        rewound = rewind(model, ticket.start, level.masks)
        assert states_equal(dict(rewound.state_dict()), notes.began)


def redrawn(name, dataset, masks, seed):
    """The control of Frankle & Carbin 2019, section 2: the network built again, then masked."""
    return apply_masks_(build_model(name, dataset, seed), masks)


def test_a_redrawn_control_has_the_tickets_masks_and_other_weights(case):
    name, dataset, recipe = case
    model = build_model(name, dataset, seed=1)
    initial = copy.deepcopy(model.state_dict())
    ticket = find_ticket(model, dataset, recipe, levels=3)
    trained = copy.deepcopy(ticket.model.state_dict())
    control = redrawn(name, dataset, ticket.masks, seed=50)
    assert states_equal(ticket.model.state_dict(), trained)
    for layer, weight in prunable_weights(control).items():
        mask = ticket.masks[layer]
        assert torch.equal(weight != 0, mask), "the ticket's mask, not one of its own"
        assert (bits(weight)[~mask] == 0).all()
        for earlier in (initial, trained):
            assert not (weight == earlier[layer])[mask].any()
    for key, value in build_model(name, dataset, seed=50).state_dict().items():
        if key not in ticket.masks:
            assert torch.equal(control.state_dict()[key], value), key


def test_redrawn_weights_depend_on_the_seed_alone(case):
    name, dataset, _ = case
    masks = some_masks(build_model(name, dataset, seed=1))
    torch.manual_seed(1)
    first = redrawn(name, dataset, masks, 2)
    torch.manual_seed(2)
    again, other = (redrawn(name, dataset, masks, seed) for seed in (2, 3))
    assert states_equal(first.state_dict(), again.state_dict())
    for layer, weight in prunable_weights(other).items():
        assert not (weight == prunable_weights(first)[layer])[masks[layer]].any()


def test_training_the_control_keeps_its_masks(tiny):
    ticket = find_ticket(build_model("mlp-8-6", tiny, seed=1), tiny, ADAM, levels=2)
    control = redrawn("mlp-8-6", tiny, ticket.masks, seed=2)
    history = train(control, tiny, ADAM, ticket.masks, seed=0)
    assert history.table["step"].tolist() == ticket.levels[-1].history.table["step"].tolist()
    for layer, weight in prunable_weights(control).items():
        assert (bits(weight)[~ticket.masks[layer]] == 0).all()


def test_masks_of_another_model_are_refused_when_rewinding(tiny):
    model = build_model("mlp-8-6", tiny)
    masks, before = full_masks(build_model("mlp-8-7", tiny)), copy.deepcopy(model.state_dict())
    for control in (
        lambda: apply_masks_(model, masks),
        lambda: rewind(model, State.of(model), masks),
    ):
        with pytest.raises(ValueError, match="another model"):
            control()
    assert states_equal(model.state_dict(), before)


def test_a_search_run_twice_on_the_same_model_finds_the_same(tiny):
    model = build_model("mlp-8-6", tiny)
    first, second = (find_ticket(model, tiny, ADAM, levels=2) for _ in range(2))
    assert states_equal(first.masks, second.masks)
    assert states_equal(first.start.model, second.start.model)


def test_a_ticket_is_shown_in_a_line(tiny):
    ticket = find_ticket(
        build_model("mlp-6", tiny), tiny, Recipe(batch_size=20, duration="4it"), levels=1
    )
    shown = repr(ticket)
    assert shown.startswith("Ticket(start=State(step=0), levels=[Level(density=1.0)")
    assert len(shown) < 200 and "tensor" not in shown + repr(ticket.levels[1])
