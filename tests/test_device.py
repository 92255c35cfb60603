"""What a GPU can do faster, on whatever device is named: LTHLAB_DEVICE=cuda make test TEST_ARGS="-k device"."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import some_masks
from torch import nn

from lthlab import (
    Dataset,
    Recipe,
    Speed,
    build_model,
    default_device,
    find_ticket,
    load_masks,
    run_experiment,
    save_masks,
    train,
    train_stacked,
)
from lthlab.run import Run
from lthlab.sparse import Autograd, choose_step

RECIPE = Recipe("sgd", 0.02, 0.9, 1e-4, batch_size=10, duration="6it", augmentation="shift and flip",
                fractions={"all": 0.2}, scope="global")  # fmt: skip
SPEEDS = {
    "channels_last": Speed(channels_last=True),
    "bfloat16": Speed(bfloat16=True),
    "compile": Speed(compile="default"),
    "reduce-overhead": Speed(compile="reduce-overhead"),
    "all": Speed(True, True, "default"),
}


@pytest.fixture
def pictures(cifar_shaped) -> Dataset:
    return cifar_shaped.to(default_device())


@pytest.fixture(autouse=True)
def modes(monkeypatch):
    """torch.compile up to, not including, the C++ or GPU code, which needs a compiler; the modes asked for."""
    asked, compile_ = [], torch.compile
    if default_device().type == "cpu":
        monkeypatch.setattr(torch, "compile", lambda model, mode: compile_(model, backend="aot_eager"))
    inner = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, mode: (asked.append(mode), inner(model, mode=mode))[1])
    return asked


def test_the_device_is_the_one_named(monkeypatch, pictures):
    named = os.environ["LTHLAB_DEVICE"]
    assert default_device() == torch.device(named) and pictures.train.x.device.type == torch.device(named).type
    monkeypatch.setenv("LTHLAB_DEVICE", "meta")
    assert default_device().type == "meta"


@pytest.mark.parametrize("name", SPEEDS)
def test_every_way_on_this_device_trains_the_same_network(name, pictures, modes):
    plain, fast = (build_model("resnet-8", pictures) for _ in range(2))
    masks, speed = some_masks(plain, 0.4), SPEEDS[name]
    expected = train(plain, pictures, RECIPE, masks, seed=1, evaluate_every="2it")
    found = train(fast, pictures, RECIPE, masks, seed=1, evaluate_every="2it", speed=speed)
    losses = [h.table.query("metric == 'loss' and split == 'train'")["value"].to_numpy() for h in (expected, found)]
    assert losses[1] == pytest.approx(losses[0], rel=0.05 if speed.bfloat16 else 0.002)
    assert modes == ([speed.compile] if speed.compile else [])
    for weight, mask in masks.items():
        pruned = fast.get_parameter(weight)[~mask]
        assert pruned.equal(torch.zeros_like(pruned)) and not pruned.signbit().any()
    assert {p.dtype for p in fast.parameters()} == {torch.float32}
    convolutions = [m.weight for m in fast.modules() if isinstance(m, nn.Conv2d) and m.weight.shape[2] == 3]
    assert all(w.is_contiguous(memory_format=torch.channels_last) == speed.channels_last for w in convolutions)


def test_bfloat16_rounds_products_and_nothing_else(pictures):
    model = build_model("resnet-8", pictures)
    x, y = pictures.train.x[:10], pictures.train.y[:10]
    exact, rounded = (float(choose_step(model, None, 10, speed)(x, y)) for speed in (Speed(), Speed(bfloat16=True)))
    with torch.autocast(x.device.type, torch.bfloat16):
        expected = float(nn.functional.cross_entropy(model(x), y))
    assert rounded == pytest.approx(expected, rel=1e-5) and rounded != exact


def test_an_option_takes_fully_connected_networks_to_autograd_on_this_device(tiny):
    model = build_model("mlp-8-6", tiny)
    assert type(choose_step(model, some_masks(model, 0.1), 20, Speed(bfloat16=True))) is Autograd


def test_options_reach_every_way_to_train_on_this_device(pictures, tmp_path, modes):
    speed = Speed(channels_last=True, compile="default")
    model = build_model("resnet-8", pictures)
    find_ticket(model, pictures, RECIPE, levels=1, speed=speed)
    assert modes == ["default"] * 2
    losses = []
    for fast in (Speed(), Speed(bfloat16=True), Speed(compile="default")):
        stack = [build_model("resnet-8", pictures, seed) for seed in range(2)]
        histories = train_stacked(stack, pictures, RECIPE, seeds=(0, 1), speed=fast)
        losses.append([history.value("loss", "train") for history in histories])
    assert losses[1] == pytest.approx(losses[0], rel=0.05) and losses[2] == pytest.approx(losses[0], rel=0.002)
    assert losses[1] != losses[0] and modes.pop() == "default"
    setting = {"arms": ["dense", "ticket", "RigL"], "seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
    for way in (speed, Speed()):
        table = run_experiment("resnet-8", pictures, RECIPE, **setting, folder=tmp_path, speed=way)
        assert set(table["arm"]) == {"dense", "ticket", "RigL"}
    assert len(modes) == 2 + 3 and len([*tmp_path.iterdir()]) == 2, "other rounding: a run of its own"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_layouts_in_memory_on_this_device_do_not_mix_up_optimizer_states(optimizer, pictures, tmp_path):
    recipe = replace(RECIPE, optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0, lr=0.01, duration="8it")
    models = [build_model("resnet-8", pictures) for _ in range(3)]
    start = train(models[0], pictures, recipe, snapshots=["4it"]).snapshots[4]
    last = Speed(channels_last=True)
    there = train(models[1], pictures, recipe, start=start, speed=last, snapshots=["6it"])
    back = train(models[2], pictures, recipe, start=there.snapshots[6])
    for model in models[1:]:
        for name, value in models[0].state_dict().items():
            if optimizer == "sgd":  # Adam divides by gradients near 0, which rounding turns around
                torch.testing.assert_close(model.state_dict()[name], value, rtol=0.05, atol=2e-3)
    assert back.value("loss") == pytest.approx(there.value("loss"), rel=0.02)
    losses = []
    for speed in (Speed(), last):  # a snapshot read from a file
        table = run_experiment("resnet-8", pictures, recipe, arms=["ticket"], seeds=[0], levels=1, rewind_to="4it",
                               n_jobs=1, progress=False, folder=tmp_path, speed=speed)  # fmt: skip
        losses.append(table.query("metric == 'loss' and split == 'train'")["value"].to_numpy())
    assert losses[1] == pytest.approx(losses[0], rel=0.01 if optimizer == "sgd" else 0.03)


def test_a_network_drawn_on_this_device_depends_on_the_seed_alone(pictures):
    def drawn(dataset, seed):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4, device=dataset.device))

    run = Run(drawn, pictures, RECIPE, 0, 0, (), Path("nowhere"))
    first = run.build(1)[1].weight
    torch.randn(3, device=pictures.device)
    assert first.equal(run.build(1)[1].weight) and not first.equal(run.build(2)[1].weight)


def test_a_ticket_on_this_device_is_nested_and_kept(pictures, tmp_path):
    model = build_model("resnet-8", pictures)
    ticket = find_ticket(model, pictures, replace(RECIPE, duration="3it"), levels=2, rewind_to="1it")
    assert {mask.device.type for mask in ticket.masks.values()} == {default_device().type}
    save_masks(ticket.masks, tmp_path / "masks.safetensors")
    back = load_masks(tmp_path / "masks.safetensors", model)
    assert all(back[name].equal(mask) for name, mask in ticket.masks.items())


def test_the_benchmark_runs_on_this_device_and_keeps_no_quick_results():
    root = Path(__file__).parent.parent
    command = [sys.executable, str(root / "benchmarks" / "gpu.py"), "--quick", "--device", str(default_device())]
    results = root / "benchmarks" / "gpu-results.json"
    before = results.read_bytes() if results.exists() else b""
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = [line for line in run.stdout.splitlines() if line.startswith(("resnet-8", "resnet1d-4"))]
    assert len(rows) >= 6 and all("launches_per_step" in row for row in rows)
    for row in rows:
        numbers = [float(word) for word in row.split() if word[0].isdigit() and word[-1].isdigit()]
        assert min(numbers) > 0
    assert (results.read_bytes() if results.exists() else b"") == before
