"""Training: pruned weights stay zero, states bring everything back, and the loop is a plain one."""

import copy
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import bits, some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lthlab.batches import example_order
from lthlab.data import Split
from lthlab.masks import full_masks, prunable_weights
from lthlab.models import build_model
from lthlab.recipes import PAPER_RECIPES, Recipe, count_steps, recipe_for
from lthlab.training import History, evaluate, measure, train

# 5 steps an epoch on the tiny sets.
ADAM = Recipe("adam", 1e-2, batch_size=20, duration="2ep3it")
SGD = Recipe("sgd", 0.1, 0.9, 1e-2, 20, "2ep3it", "cosine")
OPTIMIZERS = {
    "sgd": Recipe("sgd", 0.1, batch_size=20, duration="3ep"),
    "sgd with momentum and decay": Recipe("sgd", 0.1, 0.9, 0.05, 20, "3ep", "cosine"),
    "adam": Recipe("adam", 1e-2, batch_size=20, duration="3ep"),
    "adam with decay": Recipe("adam", 1e-2, 0.0, 0.1, 20, "3ep", "drops", (5,), warmup=3),
    "adamw with decay": Recipe("adamw", 1e-2, 0.0, 0.5, 20, "3ep"),
}


def linear(dataset, seed):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 4))


class Unseen:
    """Stands in for the test split: whoever asks it for anything fails."""

    def __getattr__(self, name):
        raise AssertionError(f"the test split was asked for {name}")

    def __len__(self):
        raise AssertionError("the test split was counted")


def blinded(dataset):
    """The same data with a test split that nobody may look at, put there once its labels passed."""
    dataset = copy.copy(dataset)
    object.__setattr__(dataset, "test", Unseen())
    return dataset


class Watcher:
    """Looks at every forward pass of a model, in training and in evaluation."""

    def __init__(self, model, masks):
        self.masks, self.passes, self.revived = masks, [], 0
        model.register_forward_pre_hook(self.look)

    def look(self, model, inputs):
        if len(inputs[0]) == 1:  # tried before anything begins
            return
        self.passes.append(model.training)
        weights = prunable_weights(model)
        self.revived += sum(
            int((bits(weights[name])[~mask] != 0).sum()) for name, mask in self.masks.items()
        )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-2"])
def test_pruned_weights_stay_zero_under_every_optimiser(name, optimizer, tiny, tiny_signals):
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model = build_model(name, dataset)
    masks = some_masks(model)
    watcher = Watcher(model, masks)
    train(model, dataset, OPTIMIZERS[optimizer], masks, evaluate_every=1)
    assert watcher.passes.count(True) == 15 and watcher.passes.count(False) == 16
    assert watcher.revived == 0
    for layer, weight in prunable_weights(model).items():
        assert (bits(weight)[~masks[layer]] == 0).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pruned_weights_stay_zero_when_the_start_was_dense_and_in_motion(optimizer, tiny):
    recipe, dense = OPTIMIZERS[optimizer], build_model("mlp-8-6", tiny)
    start = train(dense, tiny, recipe, states=[7]).states[7]
    model = build_model("mlp-8-6", tiny, seed=1)
    masks = some_masks(model)
    if recipe.momentum or recipe.optimizer != "sgd":
        key = "momentum_buffer" if recipe.optimizer == "sgd" else "exp_avg"
        assert start.optimizer[f"fc1.weight/{key}"][~masks["fc1.weight"]].any()
    watcher = Watcher(model, masks)
    train(model, tiny, recipe, masks, start=start, evaluate_every=1)
    assert watcher.passes.count(True) == 8
    assert watcher.revived == 0
    assert (bits(model.fc1.weight)[~masks["fc1.weight"]] == 0).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_kept_weight_learns_the_negative_ones_too(optimizer, tiny):
    model = build_model(linear, tiny)
    masks, before = some_masks(model), model[1].weight.detach().clone()
    train(model, tiny, OPTIMIZERS[optimizer], masks)
    moved = model[1].weight.detach() != before
    kept = masks["1.weight"]
    assert int((before < 0)[kept].sum()) > 5 and int((before > 0)[kept].sum()) > 5
    assert moved[kept].all()


def test_small_weights_learn_too(tiny):
    model = build_model(linear, tiny)
    with torch.no_grad():
        model[1].weight.mul_(1e-9)
        model[1].weight[0] = 0.0
    train(model, tiny, OPTIMIZERS["sgd"], full_masks(model))
    assert (model[1].weight.abs() > 1e-4).all()


def test_full_masks_and_no_masks_are_the_same_training(tiny):
    plain, masked = (build_model("mlp-8-6", tiny) for _ in range(2))
    train(plain, tiny, ADAM)
    train(masked, tiny, ADAM, full_masks(masked))
    assert states_equal(plain.state_dict(), masked.state_dict())


def learning_rates(recipe: Recipe, total: int) -> list[float]:
    """Written out here again, apart from the package."""
    rates = []
    for step in range(total):
        rate = recipe.lr
        if recipe.schedule == "cosine":
            rate = recipe.lr * 0.5 * (1 + math.cos(math.pi * step / total))
        for milestone in recipe.milestones:
            rate *= 0.1 if step >= milestone else 1
        rates.append(recipe.lr * (step + 1) / recipe.warmup if step < recipe.warmup else rate)
    return rates


def in_double(dataset):
    """Float64 data: rounding stays far below what a wrong loop would do."""
    parts = {part: getattr(dataset, part) for part in ("train", "validation", "test")}
    return replace(
        dataset, **{part: Split(split.x.double(), split.y) for part, split in parts.items()}
    )


@pytest.mark.parametrize(
    ("recipe", "make"),
    [
        (
            Recipe("adam", 3e-3, batch_size=20, duration="13it"),
            lambda p, r: torch.optim.Adam(p, r.lr),
        ),
        (
            Recipe("adam", 3e-3, 0, 0.1, 30, "9it"),
            lambda p, r: torch.optim.Adam(p, r.lr, weight_decay=0.1),
        ),
        (
            Recipe("sgd", 0.1, 0.9, 1e-3, 20, "13it", "cosine", warmup=4),
            lambda p, r: torch.optim.SGD(p, r.lr, momentum=0.9, weight_decay=1e-3),
        ),
        (
            Recipe("adamw", 3e-3, 0, 0.2, 20, "13it", "drops", (4, 9), warmup=2),
            lambda p, r: torch.optim.AdamW(p, r.lr, weight_decay=0.2),
        ),
    ],
)
@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-2"])
def test_training_is_what_a_plain_loop_does(name, recipe, make, tiny, tiny_signals):
    dataset = in_double(tiny if name.startswith("mlp") else tiny_signals)
    model, plain = (build_model(name, dataset, seed=4).double() for _ in range(2))
    masks = some_masks(model)
    table = train(model, dataset, recipe, masks, seed=9, evaluate_every=4).table

    weights, optimizer = prunable_weights(plain), make(plain.parameters(), recipe)
    per_epoch, losses, batches = len(dataset.train) // recipe.batch_size, [], []
    total = count_steps(recipe.duration, per_epoch)
    for epoch in range(-(-total // per_epoch)):
        batches += list(example_order(dataset, 9, epoch).split(recipe.batch_size))[:per_epoch]
    with torch.no_grad():
        for layer, weight in weights.items():
            weight.masked_fill_(~masks[layer], 0)
    plain.train()
    for rate, batch in zip(learning_rates(recipe, total), batches, strict=False):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = F.cross_entropy(plain(dataset.train.x[batch]), dataset.train.y[batch])
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for layer, weight in weights.items():
                weight.masked_fill_(~masks[layer], 0)
        losses.append(loss.item())
    for key, value in model.state_dict().items():
        assert torch.allclose(value, plain.state_dict()[key], rtol=1e-9, atol=1e-12), key
    means = table[table["split"] == "train"].set_index("step")["value"]
    stops = [0, *means.index]
    assert stops == sorted({*range(0, total, 4), total})
    for start, stop in zip(stops, stops[1:], strict=False):
        assert means[stop] == pytest.approx(sum(losses[start:stop]) / (stop - start), rel=1e-5)


class Recorder(nn.Module):
    """A linear classifier that remembers what it was trained on; example i has x[0] = i."""

    def __init__(self, inputs: int = 2, classes: int = 4):
        super().__init__()
        self.layer, self.batches = nn.Linear(inputs, classes), []

    def forward(self, x):
        if self.training:
            self.batches.append(x[:, 0].long().tolist())
        return self.layer(x * 0.01)


@pytest.fixture
def numbered(tiny):
    """47 training examples that carry their number: 4 batches of 10 an epoch, 7 left over."""
    x = torch.stack([torch.arange(47.0), torch.ones(47)], 1)
    split = Split(x, torch.arange(47) % 4)
    few = Split(x[:11], split.y[:11])
    return blinded(replace(tiny, train=split, validation=few, test=few))


def test_an_epoch_shows_every_example_at_most_once_in_an_order_of_its_own(numbered):
    model = Recorder()
    train(model, numbered, Recipe("sgd", 0.1, batch_size=10, duration="3ep"), seed=2)
    assert [len(batch) for batch in model.batches] == [10] * 12
    epochs = [sum(model.batches[4 * epoch : 4 * epoch + 4], []) for epoch in range(3)]
    for number, shown in enumerate(epochs):
        assert len(set(shown)) == 40
        assert shown == example_order(numbered, 2, number).tolist()[:40]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert set(epochs[0]) != set(epochs[1]), "other examples wait in another epoch"


def test_the_order_depends_on_seed_and_epoch_alone(numbered):
    torch.manual_seed(1)
    order = example_order(numbered, 3, 1)
    torch.manual_seed(2)
    assert torch.equal(example_order(numbered, 3, 1), order)
    assert sorted(order.tolist()) == list(range(47))
    assert not torch.equal(example_order(numbered, 4, 1), order)
    assert not torch.equal(example_order(numbered, 3, 2), order)
    assert not torch.equal(example_order(numbered, 2, 3), example_order(numbered, 3, 2))


def test_a_resumed_training_shows_the_examples_that_were_next(numbered):
    recipe = Recipe("sgd", 0.1, batch_size=10, duration="10it")
    whole, resumed = Recorder(), Recorder()
    start = train(whole, numbered, recipe, seed=5, states=[6]).states[6]
    train(resumed, numbered, recipe, seed=5, start=start)
    assert resumed.batches == whole.batches[6:]


def test_same_seed_same_bits_and_other_seed_other_data_order(tiny):
    trained = []
    for seed in (1, 1, 2):
        model = build_model("mlp-8-6", tiny, seed=0)
        trained.append((train(model, tiny, SGD, seed=seed).table, model.state_dict()))
    assert states_equal(trained[0][1], trained[1][1])
    assert trained[0][0].equals(trained[1][0])
    assert not torch.equal(trained[0][1]["fc1.weight"], trained[2][1]["fc1.weight"])


def test_training_does_not_touch_the_global_random_state(tiny):
    model = build_model("mlp-8", tiny)
    before = torch.get_rng_state()
    train(model, tiny, SGD)
    assert torch.equal(torch.get_rng_state(), before)


RESUMABLE = {
    "adam": ("mlp-8-6", ADAM),
    "adamw with warmup and drops": (
        "mlp-8-6",
        Recipe("adamw", 1e-2, 0, 0.1, 20, "2ep3it", "drops", (4, 8), warmup=6),
    ),
    "sgd with momentum, cosine and BatchNorm": ("resnet1d-4", SGD),
}


@pytest.mark.parametrize("k", [0, 3, 5, 7, 13])
@pytest.mark.parametrize("case", RESUMABLE)
def test_a_training_resumed_at_step_k_reproduces_the_uninterrupted_one_bit_for_bit(
    case, k, tiny, tiny_signals
):
    name, recipe = RESUMABLE[case]
    dataset = tiny if name.startswith("mlp") else tiny_signals
    whole, resumed = build_model(name, dataset, seed=1), build_model(name, dataset, seed=2)
    masks = some_masks(whole)
    full = train(whole, dataset, recipe, masks, seed=3, states=[k, 13], evaluate_every=1)
    with torch.no_grad():
        resumed.train()(dataset.train.x[:50] * 3)
    rest = train(
        resumed, dataset, recipe, masks, seed=3, start=full.states[k], states=[13], evaluate_every=1
    )
    assert states_equal(whole.state_dict(), resumed.state_dict())
    assert states_equal(full.states[13].optimizer, rest.states[13].optimizer)
    expected = full.table[
        (full.table["step"] > k) | ((full.table["step"] == k) & (full.table["split"] != "train"))
    ]
    assert rest.table.equals(expected.reset_index(drop=True))


def test_dropout_drops_other_units_at_every_step(tiny):
    seen, model = [], nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 4))
    model[1].register_forward_hook(
        lambda module, _, out: seen.append(out == 0) if module.training else None
    )
    train(model, tiny, SGD)
    assert len(seen) == 13
    assert not any(torch.equal(one, other) for one, other in zip(seen, seen[1:], strict=False))


def test_training_changes_neither_its_states_nor_the_one_it_starts_from(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    initial = copy.deepcopy(model.state_dict())
    kept = train(model, tiny_signals, SGD, states=[0, 4]).states
    assert states_equal(kept[0].model, initial)
    assert not states_equal(kept[4].model, initial)
    for state in kept.values():
        before = copy.deepcopy((state.model, state.optimizer))
        train(model, tiny_signals, SGD, start=state)
        assert states_equal((state.model, state.optimizer), before)


def test_states_are_kept_at_exactly_the_steps_asked_for(tiny):
    kept = train(build_model("mlp-8", tiny), tiny, ADAM, states=[0, "1ep", "1ep2it", 13]).states
    assert {step: state.step for step, state in kept.items()} == {0: 0, 5: 5, 7: 7, 13: 13}
    assert train(build_model("mlp-8", tiny), tiny, ADAM).states == {}


@pytest.mark.parametrize(
    "outside",
    [
        {"states": [14]},
        {"states": ["3ep"]},
        {"evaluate_at": [14]},
        {"evaluate_at": iter([1, "3ep"])},
        {"during": {14: lambda now: None}},
    ],
)
def test_durations_beyond_the_end_are_refused(outside, tiny):
    model = build_model("mlp-8", tiny)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="14|15"):
        train(model, tiny, ADAM, **outside)
    assert states_equal(model.state_dict(), before)


def test_states_before_the_start_and_starts_beyond_the_end_are_refused(tiny):
    model = build_model("mlp-8", tiny)
    start = train(model, tiny, ADAM, states=[7]).states[7]
    for outside in ({"states": [6]}, {"evaluate_at": [3, 8]}):
        with pytest.raises(ValueError, match="from step 7 to 13"):
            train(model, tiny, ADAM, start=start, **outside)
    with pytest.raises(ValueError, match="from step 7 to 5"):
        train(model, tiny, replace(ADAM, duration="1ep"), start=start)


def steps_measured(history: History, metric="accuracy", split="validation") -> list[int]:
    return history.table.query("metric == @metric and split == @split")["step"].tolist()


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [0, 5, 10, 13]),
        ({"evaluate_every": "1ep2it"}, [0, 7, 13]),
        ({"evaluate_every": 6}, [0, 6, 12, 13]),
        ({"evaluate_every": "9ep"}, [0, 13]),
        ({"evaluate_at": [2, "1ep1it", 5]}, [0, 2, 5, 6, 10, 13]),
        ({"evaluate_every": 100, "evaluate_at": (step for step in (1, 2, 4))}, [0, 1, 2, 4, 13]),
    ],
)
def test_exactly_the_steps_asked_for_are_measured(options, steps, tiny):
    history = train(build_model("mlp-8", tiny), tiny, ADAM, **options)
    assert steps_measured(history) == steps_measured(history, "loss") == steps
    assert steps_measured(history, "loss", "train") == steps[1:]
    assert (history.table["epoch"] == history.table["step"] / 5).all()
    assert list(history.table.columns) == ["step", "epoch", "split", "metric", "value"]
    assert history.seconds > 0


def test_a_resumed_training_measures_its_start_and_keeps_the_rhythm(tiny):
    start = train(build_model("mlp-8", tiny), tiny, ADAM, states=[7]).states[7]
    history = train(build_model("mlp-8", tiny), tiny, ADAM, start=start, evaluate_at=[8])
    assert steps_measured(history) == [7, 8, 10, 13]


def test_measuring_does_not_disturb_the_training(tiny_signals):
    often, seldom = (build_model("resnet1d-2", tiny_signals) for _ in range(2))
    train(often, tiny_signals, SGD, evaluate_every=1)
    train(seldom, tiny_signals, SGD, evaluate_every="9ep")
    assert states_equal(often.state_dict(), seldom.state_dict())


def test_history_gives_the_last_value_or_the_one_at_a_step(tiny):
    model = build_model("mlp-8", tiny)
    initial = evaluate(model, tiny.validation)
    history = train(model, tiny, ADAM)
    final = evaluate(model, tiny.validation)
    assert history.value() == final["accuracy"] == history.value(step=13)
    assert history.value("loss") == final["loss"]
    assert history.value(step=0) == initial["accuracy"]
    assert history.value("loss", step=0) == initial["loss"] > final["loss"]
    assert (
        history.value("loss", "train", 5)
        == history.table.query("split == 'train' and step == 5")["value"].item()
    )
    for nothing in ({"step": 3}, {"split": "test"}, {"metric": "accuracy", "split": "train"}):
        with pytest.raises(
            ValueError, match=r"Nothing measured .* Measured steps: \[0, 5, 10, 13\]"
        ):
            history.value(**nothing)


@pytest.mark.parametrize("count", [1, 7, 499, 500, 501, 1_203])
def test_evaluation_counts_every_example_of_a_split(count, tiny):
    model = build_model("mlp-8", tiny)
    x, y = tiny.train.x.repeat(13, 1, 1, 1)[:count], torch.arange(count) * 7 % 4
    logits = model(x).detach().double()
    right = (logits.argmax(1) == y).sum() / count
    loss, accuracy = measure(model, Split(x, y)).tolist()
    expected = -logits.log_softmax(1)[torch.arange(count), y].mean()
    assert loss == pytest.approx(float(expected), rel=1e-4)
    assert accuracy == pytest.approx(float(right), abs=1e-7)
    assert evaluate(model, Split(x, y))["accuracy"] == pytest.approx(float(right), abs=1e-7)


def test_the_last_example_counts(tiny):
    class Knows(nn.Module):
        def forward(self, x):
            return x

    right = torch.eye(4)[torch.arange(1_001) % 4]
    split = Split(right, torch.arange(1_001) % 4)
    assert evaluate(Knows(), split)["accuracy"] == 1.0
    split.y[-1] = (split.y[-1] + 1) % 4
    assert evaluate(Knows(), split)["accuracy"] == pytest.approx(1_000 / 1_001, abs=1e-7)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_uses_running_statistics_and_leaves_the_model_as_it_was(training, tiny_signals):
    model = build_model("resnet1d-2", tiny_signals)
    model.train()(tiny_signals.train.x)
    x, y = tiny_signals.validation.x, tiny_signals.validation.y
    before = copy.deepcopy(model.state_dict())
    expected = F.cross_entropy(model.eval()(x), y).item()
    model.train(training)
    assert evaluate(model, tiny_signals.validation)["loss"] == pytest.approx(expected, rel=1e-5)
    assert model.training is training
    assert states_equal(model.state_dict(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluation_leaves_a_frozen_norm_frozen(tiny):
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)
    ).train()
    model[2].eval()
    evaluate(model, tiny.validation)
    assert [module.training for module in model] == [True, True, False, True]


def test_a_model_trained_after_an_evaluation_in_evaluation_mode_trains_in_training_mode(
    tiny_signals,
):
    model = build_model("resnet1d-2", tiny_signals).eval()
    train(model, tiny_signals, SGD, evaluate_every=1)
    assert int(model.norm.num_batches_tracked) == 13


def test_training_looks_only_at_training_and_validation_data(tiny):
    model = build_model("mlp-8", tiny)
    history = train(model, blinded(tiny), ADAM, some_masks(model), states=[2])
    assert set(history.table["split"]) == {"train", "validation"}


def test_validation_data_does_not_influence_the_weights(tiny):
    other = replace(tiny, validation=Split(tiny.validation.x * 5, tiny.validation.y.flip(0)))
    first, second = (build_model("mlp-8", tiny) for _ in range(2))
    train(first, tiny, ADAM)
    train(second, other, ADAM)
    assert states_equal(first.state_dict(), second.state_dict())


def test_training_learns(tiny):
    model = build_model("mlp-16", tiny)
    history = train(model, tiny, Recipe("adam", 1e-2, batch_size=20, duration="20ep"))
    assert history.value("loss", "train") < 0.5 * history.value("loss", "train", step=5)
    assert history.value() > 0.6


def test_a_training_that_diverges_says_so(tiny):
    model = build_model("mlp-8-6", tiny)
    with pytest.warns(UserWarning, match=r"diverged\. Lower lr"):
        train(model, tiny, Recipe("sgd", 1e30, batch_size=20, duration="1ep"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(build_model("mlp-8-6", tiny), tiny, ADAM)


def test_masks_stay_zero_even_when_the_training_diverges(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model)
    with pytest.warns(UserWarning, match="diverged"):
        train(model, tiny, Recipe("sgd", 1e30, 0.9, batch_size=20, duration="1ep"), masks)
    assert model.fc1.weight[masks["fc1.weight"]].isnan().any()
    assert (bits(model.fc1.weight)[~masks["fc1.weight"]] == 0).all()


def test_masks_of_another_model_are_refused(tiny):
    with pytest.raises(ValueError, match="another model"):
        train(build_model("mlp-8-6", tiny), tiny, ADAM, full_masks(build_model("mlp-8-7", tiny)))


def test_progress_shows_a_bar_and_changes_nothing(tiny, capsys):
    quiet, shown = (build_model("mlp-8", tiny) for _ in range(2))
    expected = train(quiet, tiny, ADAM)
    assert capsys.readouterr().err == ""
    history = train(shown, tiny, ADAM, progress=True)
    assert "training" in capsys.readouterr().err
    assert history.table.equals(expected.table)
    train(shown, tiny, ADAM, progress="level 3")
    assert "level 3" in capsys.readouterr().err


def test_learning_rates_follow_the_schedule():
    constant, cosine = Recipe(lr=0.5), Recipe(lr=0.5, schedule="cosine")
    drops = Recipe(lr=0.5, schedule="drops", milestones=(10, 20))
    assert [constant.lr_at(step, 30) for step in (0, 15, 29)] == [0.5] * 3
    assert [cosine.lr_at(step, 30) for step in (0, 10, 15, 20, 30)] == pytest.approx(
        [0.5, 0.375, 0.25, 0.125, 0]
    )
    assert [drops.lr_at(step, 30) for step in (0, 9, 10, 19, 20, 29)] == pytest.approx(
        [0.5, 0.5, 0.05, 0.05, 0.005, 0.005]
    )
    warm = replace(cosine, warmup=4)
    assert [warm.lr_at(step, 30) for step in (0, 1, 2, 3)] == pytest.approx(
        [0.125, 0.25, 0.375, 0.5]
    )
    assert warm.lr_at(15, 30) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        (0, 0),
        (500, 500),
        (np.int64(7), 7),
        ("0it", 0),
        ("500it", 500),
        ("2ep", 20),
        ("2ep50it", 70),
        ("0ep3it", 3),
        ("012ep", 120),
    ],
)
def test_durations_in_epochs_and_iterations(duration, steps):
    assert count_steps(duration, 10) == steps


@pytest.mark.parametrize(
    "duration",
    [
        "",
        "ep",
        "it",
        "10",
        "10 ep",
        "-1ep",
        "1.5ep",
        "50it2ep",
        "2epochs",
        "2ep2ep",
        -1,
        1.5,
        None,
        [],
        "2EP",
    ],
)
def test_durations_that_cannot_be_read_are_refused(duration):
    with pytest.raises(ValueError, match='duration is a duration such as "10ep"'):
        count_steps(duration, 10)


@given(
    epochs=st.integers(0, 1000), iterations=st.integers(0, 10**6), per_epoch=st.integers(1, 1000)
)
def test_a_duration_is_its_epochs_and_its_iterations(epochs, iterations, per_epoch):
    assert count_steps(f"{epochs}ep{iterations}it", per_epoch) == epochs * per_epoch + iterations


def test_epochs_have_full_batches_only(tiny, fashion_mini):
    assert Recipe(batch_size=30, duration="2ep").steps_per_epoch(tiny) == 3
    assert Recipe(batch_size=30, duration="2ep1it").steps(tiny) == 7
    assert Recipe(batch_size=100).steps_per_epoch(tiny) == 1
    assert recipe_for("lenet-300-100", fashion_mini).steps(fashion_mini) == 10 * 133
    with pytest.raises(ValueError, match="100 training examples"):
        Recipe(batch_size=101).steps_per_epoch(tiny)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": "adamm"}, "got 'adamm'. Did you mean 'adam'"),
        ({"schedule": "cosinus"}, "got 'cosinus'. Did you mean 'cosine'"),
        ({"lr": 0}, "lr is a number above 0"),
        ({"lr": -1e-3}, "lr is a number above 0"),
        ({"batch_size": 0}, "batch_size is a whole number from 1"),
        ({"scope": "globl"}, "got 'globl'. Did you mean 'global'"),
        (
            {"scope": "global"},
            "fractions for scope 'global' are given for all; got fc, conv, output",
        ),
        ({"scope": "global", "fractions": {}}, "fractions for scope 'global'"),
        (
            {"fractions": {"all": 0.2}},
            "fractions for scope 'layer' are given for conv, fc, output; got all",
        ),
        ({"duration": "10 epochs"}, "duration is a duration such as"),
    ],
)
def test_impossible_recipes_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**changes)


def test_recipes_share_no_fractions():
    fractions = {"fc": 0.3}
    first, second = Recipe(fractions=fractions), Recipe(fractions=fractions)
    first.fractions["fc"] = 0.9
    assert second.fractions == fractions == {"fc": 0.3}
    assert replace(second, lr=1).fractions is not second.fractions


@pytest.mark.parametrize(
    ("name", "optimizer", "lr", "batch", "iterations", "fractions"),
    [
        ("lenet-300-100", "adam", 1.2e-3, 60, 50_000, {"fc": 0.2, "output": 0.1}),
        ("conv-2", "adam", 2e-4, 60, 20_000, {"conv": 0.1, "fc": 0.2, "output": 0.1}),
        ("conv-4", "adam", 3e-4, 60, 25_000, {"conv": 0.1, "fc": 0.2, "output": 0.1}),
        ("conv-6", "adam", 3e-4, 60, 30_000, {"conv": 0.15, "fc": 0.2, "output": 0.1}),
        ("resnet-20", "sgd", 0.1, 128, 30_000, {"all": 0.2}),
    ],
)
def test_recipes_are_the_papers(name, optimizer, lr, batch, iterations, fractions):
    recipe = recipe_for(name, "cifar10")
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == (optimizer, lr, batch)
    assert count_steps(recipe.duration, 1) == iterations
    assert fractions.items() <= recipe.fractions.items()
    if name == "resnet-20":
        assert (recipe.momentum, recipe.weight_decay, recipe.scope) == (0.9, 1e-4, "global")
        rates = [recipe.lr_at(step, iterations) for step in (0, 19_999, 20_000, 24_999, 25_000)]
        assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    else:
        assert (recipe.momentum, recipe.weight_decay, recipe.scope) == (0, 0, "layer")
        assert recipe.lr_at(0, iterations) == recipe.lr_at(iterations - 1, iterations) == lr


@pytest.mark.parametrize("name", PAPER_RECIPES)
def test_on_the_embedded_sets_the_same_recipes_run_shortened(name, fashion_mini):
    paper, short = recipe_for(name, "mnist"), recipe_for(name, fashion_mini)
    changed = {"duration": "10ep", "schedule": "constant", "milestones": (), "warmup": 0}
    expected = replace(paper, **changed, augmentation="none")
    assert short == recipe_for(name, "mnist1d") == expected
    assert short.duration == "10ep"


def test_recipes_of_our_own_networks(mnist1d):
    mlp, resnet = recipe_for("mlp-100-100-100", mnist1d), recipe_for("resnet1d-4", mnist1d)
    assert mlp == Recipe("sgd", 0.1, 0.9, batch_size=100, duration="20ep", schedule="cosine")
    assert (resnet.optimizer, resnet.lr, resnet.momentum) == ("sgd", 0.4, 0.9)
    assert resnet.weight_decay == 1e-4
    assert (resnet.batch_size, resnet.schedule, resnet.scope) == (100, "cosine", "global")


def test_networks_without_a_recipe_are_refused():
    with pytest.raises(ValueError, match=r"got 'resnet-32'\. Did you mean 'resnet-20'"):
        recipe_for("resnet-32", "cifar10")


class Dropping(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 4)
        )


def test_dropout_follows_the_seed_and_a_resumed_training_drops_the_same(tiny):
    torch.manual_seed(5)
    model = Dropping()
    runs = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        runs.append((copy.deepcopy(model), torch.get_rng_state()))
        train(runs[-1][0], tiny, ADAM, seed=3)
        assert torch.equal(torch.get_rng_state(), runs[-1][1])
    assert states_equal(runs[0][0].state_dict(), runs[1][0].state_dict())
    middle = train(copy.deepcopy(model), tiny, ADAM, seed=3, states=[7]).states[7]
    resumed = copy.deepcopy(model)
    train(resumed, tiny, ADAM, seed=3, start=middle)
    assert states_equal(resumed.state_dict(), runs[0][0].state_dict())


def test_a_state_does_not_bring_its_recipe_along(tiny):
    model = build_model("mlp-8", tiny)
    middle = train(copy.deepcopy(model), tiny, ADAM, states=[5]).states[5]
    plain, decayed = copy.deepcopy(model), copy.deepcopy(model)
    train(plain, tiny, ADAM, start=middle)
    train(decayed, tiny, replace(ADAM, weight_decay=0.1), start=middle)
    assert not states_equal(plain.state_dict(), decayed.state_dict())


def test_empty_masks_are_refused_not_ignored(tiny):
    with pytest.raises(ValueError, match="masks is a dict .* not empty"):
        train(build_model("mlp-8", tiny), tiny, ADAM, masks={})


def test_model_and_data_on_two_devices_are_one_clear_error(tiny):
    with pytest.raises(ValueError, match="model must read dataset, .* on cpu"):
        train(build_model("mlp-8", tiny).to("meta"), tiny, ADAM)


@pytest.mark.parametrize("step", [None, "fast"])
def test_a_model_in_double_precision_with_single_precision_data_is_refused(step, tiny):
    model = build_model("mlp-8", tiny).double()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r"must read dataset.*float32.*Double"):
        train(model, tiny, ADAM, some_masks(model), step=step)
    assert states_equal(model.state_dict(), before)


def test_what_is_to_happen_during_training_happens_at_its_steps_in_order(tiny):
    seen, model = [], build_model("mlp-8", tiny)

    def note(now):
        seen.append((now.step, len(now.losses), now.model is model, now.model.training))

    history = train(model, tiny, ADAM, during=dict.fromkeys((13, 0, 6), note), evaluate_at=[6])
    assert seen == [(0, 0, True, True), (6, 6, True, True), (13, 13, True, True)]
    untouched = build_model("mlp-8", tiny)
    assert train(untouched, tiny, ADAM, evaluate_at=[6]).table.equals(history.table)
    assert states_equal(model.state_dict(), untouched.state_dict())


def test_a_resumed_training_does_not_do_again_what_was_done_before(tiny):
    seen, model = [], build_model("mlp-8", tiny)
    during = dict.fromkeys((0, 6, 7, 12), lambda now: seen.append(now.step))
    start = train(model, tiny, ADAM, states=[7], during=during).states[7]
    assert seen == [0, 6, 7, 12]
    train(model, tiny, ADAM, start=start, during=during)
    assert seen[4:] == [7, 12]


def test_the_masks_at_the_end_are_those_that_training_ended_with(tiny):
    model = build_model("mlp-8", tiny)
    first, then = some_masks(model, 0.6), some_masks(model, 0.3, seed=1)
    history = train(model, tiny, ADAM, first, during={4: lambda now: setattr(now, "masks", then)})
    assert states_equal(history.masks, then)
    assert (bits(model.fc1.weight)[~then["fc1.weight"]] == 0).all()
    assert states_equal(train(model, tiny, ADAM, first).masks, first)
    assert states_equal(train(model, tiny, ADAM).masks, full_masks(model))
