"""Networks stacked in one step train as they do alone: each with its data order, masks, start and optimiser state."""

import copy
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import some_masks
from torch import nn

from lthlab import (
    Recipe,
    Speed,
    _common,
    build_model,
    experiments,
    full_masks,
    run_experiment,
    stacking_gain,
    train,
    train_stacked,
)
from lthlab.batches import Batches, example_order
from lthlab.sparse import Stacked, choose_step
from lthlab.stack import Stack

ADAM = Recipe("adam", 1e-2, batch_size=20, duration="2ep3it")
RECIPES = {
    "adam": ADAM,
    "adamw": replace(ADAM, optimizer="adamw", weight_decay=0.01),
    "sgd": replace(ADAM, optimizer="sgd", lr=0.05, momentum=0.9, weight_decay=1e-3, schedule="cosine", warmup=3),
}


def networks(name, dataset, count=3):
    return [build_model(name, dataset, seed) for seed in range(count)]


def largest_difference(one: dict, other: dict) -> float:
    assert list(one) == list(other)
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize("optimizer", RECIPES)
@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-4"])
def test_each_network_trains_as_it_does_alone(name, optimizer, tiny, tiny_signals):
    dataset, recipe, seeds = (tiny if name.startswith("mlp") else tiny_signals), RECIPES[optimizer], (5, 0, 9)
    alone, together = networks(name, dataset), networks(name, dataset)
    masks = [some_masks(model, keep) for model, keep in zip(alone, (0.3, 0.5, 1.0), strict=True)]
    options = {"evaluate_every": "4it", "snapshots": ["7it"]}
    expected = [
        train(model, dataset, recipe, own, seed=seed, **options)
        for model, own, seed in zip(alone, masks, seeds, strict=True)
    ]
    found = train_stacked(together, dataset, recipe, masks, seeds=seeds, **options)
    for number, history in enumerate(found):
        table, same = expected[number].table, history.table
        assert table.drop(columns="value").equals(same.drop(columns="value"))
        losses = table["metric"] == "loss"
        assert same["value"][losses].to_numpy() == pytest.approx(table["value"][losses].to_numpy(), rel=2e-3)
        assert same["value"][~losses].to_numpy() == pytest.approx(table["value"][~losses].to_numpy(), abs=2 / 30)
        assert largest_difference(alone[number].state_dict(), together[number].state_dict()) < 2e-3
        before, after = expected[number].snapshots[7], history.snapshots[7]
        assert (before.step, before.kind) == (after.step, after.kind)
        assert largest_difference(before.model, after.model) < 1e-3
        for one, other in zip(*(s.optimizer["state"].values() for s in (before, after)), strict=True):
            assert one.keys() == other.keys()
            if torch.is_tensor(one.get("step")):
                assert one["step"].equal(other["step"])
        for weight, mask in masks[number].items():
            pruned = together[number].state_dict()[weight][~mask]
            assert pruned.equal(torch.zeros_like(pruned)) and not pruned.signbit().any()


@pytest.mark.parametrize("optimizer", RECIPES)
def test_each_network_goes_on_from_its_own_snapshot(optimizer, tiny):
    recipe, alone = RECIPES[optimizer], networks("mlp-8-6", tiny)
    starts = [train(model, tiny, recipe, seed=n, snapshots=["6it"]).snapshots[6] for n, model in enumerate(alone)]
    kept = copy.deepcopy(starts)
    for n, model in enumerate(alone):
        train(model, tiny, recipe, seed=n, start=starts[n])
    together = networks("mlp-8-6", tiny)
    train_stacked(together, tiny, recipe, seeds=range(3), starts=starts)
    for n in range(3):
        assert largest_difference(alone[n].state_dict(), together[n].state_dict()) < 1e-4
        assert largest_difference(kept[n].model, starts[n].model) == 0, "a start was changed"


def test_a_stack_is_its_networks(tiny_signals):
    models = networks("resnet1d-4", tiny_signals)
    stack, x = Stack(models).eval(), tiny_signals.test.x[:5]
    with torch.no_grad():
        outputs = stack(x.expand(3, *x.shape))
        for model, output in zip(models, outputs, strict=True):
            assert torch.allclose(model.eval()(x), output, atol=1e-5)
    assert sum(p.numel() for p in stack.parameters()) == 3 * sum(p.numel() for p in models[0].parameters())
    assert [*full_masks(stack)] == ["networks." + name for name in full_masks(models[0])], "out, shortcut: not pruned"
    assert type(choose_step(stack, None, 20)) is Stacked


def test_each_network_sees_batches_of_its_own(tiny):
    batches = Batches(tiny, ADAM, (4, 2))
    for step in (0, 4, 5, 11):
        x, y = batches(step)
        for number, seed in enumerate((4, 2)):
            alone = Batches(tiny, ADAM, seed)(step)
            assert x[number].equal(alone[0]) and y[number].equal(alone[1])
            chosen = example_order(tiny, seed, step // 5)[step % 5 * 20 :][:20]
            assert alone[0].equal(tiny.train.x[chosen])


def test_networks_that_share_a_seed_of_noise_still_draw_different_noise(tiny):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 4))
    copies = [copy.deepcopy(model) for _ in range(2)]
    train_stacked(copies, tiny, ADAM, seeds=(3, 3))
    assert largest_difference(copies[0].state_dict(), copies[1].state_dict()) > 0


def test_what_cannot_be_stacked_is_said(tiny):
    relu, other = build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny)
    other.relu1 = nn.Sigmoid()
    tied = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4))
    tied[2].weight = tied[1].weight
    for models, words in (
        ([relu, build_model("mlp-8-7", tiny)], "same architecture"), ([relu, other], "same architecture"),
        ([tied, copy.deepcopy(tied)], "share a weight"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            train_stacked(models, tiny, ADAM, seeds=(0, 1))
    assert stacking_gain(tied, tiny, ADAM, networks=2, steps=2) == 0
    with pytest.raises(ValueError, match="made for another model"):
        train_stacked([relu, relu], tiny, ADAM, [full_masks(relu), full_masks(tied)], seeds=(0, 1))
    with pytest.raises(ValueError, match="no channels_last"):
        train_stacked([relu, relu], tiny, ADAM, seeds=(0, 1), speed=Speed(channels_last=True))
    with pytest.raises(ValueError, match="got 3 networks, 2 seeds"):
        train_stacked(networks("mlp-8-6", tiny), tiny, ADAM, seeds=(0, 1))
    models = networks("mlp-8-6", tiny, 2)
    starts = [train(copy.deepcopy(models[0]), tiny, ADAM, snapshots=[k]).snapshots[k] for k in (2, 3)]
    with pytest.raises(ValueError, match="from the same step; got 2, 3"):
        train_stacked(models, tiny, ADAM, seeds=(0, 1), starts=starts)
    with pytest.raises(ValueError, match='or "auto"; got 0'):
        run_experiment("mlp-8-6", tiny, ADAM, levels=1, stack=0)


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
    assert all(largest_difference(a.state_dict(), b.state_dict()) == 0 for a, b in zip(often, seldom, strict=True))


def test_arms_whose_seeds_start_at_different_steps_are_not_stacked(tiny):
    setting = {"arms": ["Early-Bird"], "seeds": range(4), "levels": 1, "n_jobs": 1, "progress": False}
    recipe = replace(ADAM, duration="300it")
    alone, together = (run_experiment("mlp-8-6", tiny, recipe, stack=k, **setting) for k in (1, 4))
    assert alone.equals(together) and together.groupby("seed")["step"].min().nunique() > 1


def test_the_gain_is_a_ratio_of_times_and_leaves_the_model_alone(tiny):
    model = build_model("mlp-8-6", tiny)
    before = copy.deepcopy(model.state_dict())
    assert 0 < stacking_gain(model, tiny, ADAM, networks=2, steps=3) < 100
    assert largest_difference(before, model.state_dict()) == 0


def test_a_stacked_experiment_is_the_same_and_resumes(tiny, tmp_path):
    arms = ["dense", "ticket", "reinitialised", "learning-rate rewinding", "RigL"]
    setting = {"arms": arms, "seeds": range(3), "levels": 2, "n_jobs": 1, "progress": False, "rewind_to": "3it"}
    recipe = replace(ADAM, lr=1e-3, fractions={"fc": 0.3, "output": 0.2})
    alone = run_experiment("mlp-8-6", tiny, recipe, folder=tmp_path, **setting)
    together = run_experiment("mlp-8-6", tiny, recipe, folder=tmp_path, stack=2, **setting)
    keys = ["arm", "seed", "level", "step", "split", "metric"]
    assert alone[keys].equals(together[keys]), "the same rows in the same order"
    both = alone.merge(together, on=keys, validate="one_to_one")
    assert len(both) == len(alone) == len(together) and both["density_x"].equals(both["density_y"])
    losses = both["metric"] == "loss"
    assert both["value_y"][losses].to_numpy() == pytest.approx(both["value_x"][losses].to_numpy(), rel=0.02)
    assert len({path.parent.parent.name for path in Path(tmp_path).rglob("*.safetensors")}) == 2, "a run of its own"

    files = {path: os.stat(path).st_mtime_ns for path in Path(tmp_path).rglob("*.safetensors")}
    lost = [path for path in files if path.match("*ticket/seed-001-level-02*")]
    for path in lost:
        path.unlink()
    again = run_experiment("mlp-8-6", tiny, recipe, folder=tmp_path, stack=2, **setting)
    assert again.equals(together), "trained in the same company, it has the same bits"
    now = {path: os.stat(path).st_mtime_ns for path in Path(tmp_path).rglob("*.safetensors")}
    assert {path for path in now if now[path] != files[path]} <= {*lost}, "only what was lost is computed again"


@pytest.mark.parametrize(("gain", "stacked"), [(1.05, False), (1.5, True)])
def test_auto_stacks_where_that_is_faster_and_never_what_is_trained_by_hand(
    gain, stacked, tiny_signals, monkeypatch, tmp_path
):
    sizes = []
    monkeypatch.setattr(experiments, "stacking_gain", lambda *_, **__: measured.append(1) or gain)
    monkeypatch.setattr(_common.platformdirs, "user_cache_dir", lambda name: str(tmp_path))
    measured = []
    monkeypatch.setattr(experiments, "_run_stack", lambda *given: sizes.append(len(given[1])) or one_by_one(*given))
    setting = {"arms": ["dense"], "seeds": range(3), "levels": 0, "n_jobs": 1, "progress": False, "stack": "auto"}
    for name in ("resnet1d-4", "mlp-8-6"):  # the second is trained by hand, and never stacked
        run_experiment(name, tiny_signals, ADAM, **setting)
    assert sizes == ([3] if stacked else [])
    run_experiment("resnet1d-4", tiny_signals, ADAM, **setting)
    assert measured == [1], "measured once, so that the same call tomorrow is the same run"


def one_by_one(run, starts, arm, level, missing):
    for seed, start in starts.items():
        experiments._run_level(run, start, arm, seed, level)
