"""The whole on whatever device is named: LTHLAB_DEVICE=cuda make test TEST_ARGS="-k device"."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import AUGMENTED, some_masks
from torch import nn

from lthlab.data import Dataset, default_device
from lthlab.fast import train_stacked
from lthlab.files import load_masks, save_masks
from lthlab.models import build_model
from lthlab.tickets import find_ticket
from lthlab.training import train


@pytest.fixture
def pictures(cifar_shaped) -> Dataset:
    return cifar_shaped.to(default_device())


def test_the_device_is_the_one_named(monkeypatch, pictures):
    named = os.environ["LTHLAB_DEVICE"]
    assert default_device() == torch.device(named)
    assert pictures.train.x.device.type == torch.device(named).type
    monkeypatch.setenv("LTHLAB_DEVICE", "meta")
    assert default_device().type == "meta"


@pytest.mark.parametrize("keep", [0.7, 0.3])
def test_the_fast_step_on_this_device_trains_the_same_network(keep, pictures):
    models = [build_model("mlp-16-8", pictures) for _ in range(2)]
    recipe = replace(AUGMENTED, augmentation="none", lr=0.001)
    masks = some_masks(models[0], keep)
    for model, step in zip(models, (None, "fast"), strict=True):
        train(model, pictures, recipe, masks, step=step)
    for name, parameter in models[0].named_parameters():
        found = models[1].get_parameter(name)
        torch.testing.assert_close(found, parameter, rtol=1e-3, atol=1e-5)
        assert name not in masks or not found[~masks[name]].any()


def test_a_stack_on_this_device_trains_as_its_networks_do_alone(pictures):
    alone, together = ([build_model("resnet-8", pictures, n) for n in range(2)] for _ in range(2))
    expected = [train(m, pictures, AUGMENTED, seed=n).value("loss") for n, m in enumerate(alone)]
    histories = train_stacked(together, pictures, AUGMENTED, seeds=(0, 1))
    found = [history.value("loss") for history in histories]
    assert found == pytest.approx(expected, rel=0.01) and expected[0] != expected[1]


def test_dropout_on_this_device_depends_on_the_seed_alone(pictures):
    def build(dataset, seed):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 32 * 32, 10))

    found, recipe = [], replace(AUGMENTED, augmentation="none")
    for seed in (1, 1, 2):
        model = build_model(build, pictures)
        torch.randn(3, device=pictures.device)  # moves the generator of the device
        train(model, pictures, recipe, seed=seed)
        found.append(model[2].weight.detach())
    assert found[0].equal(found[1]) and not found[0].equal(found[2])


def test_a_network_drawn_on_this_device_depends_on_the_seed_alone(pictures):
    def drawn(dataset, seed):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4, device=dataset.device))

    first = build_model(drawn, pictures, 1)[1].weight
    torch.randn(3, device=pictures.device)
    assert first.equal(build_model(drawn, pictures, 1)[1].weight)
    assert not first.equal(build_model(drawn, pictures, 2)[1].weight)


def test_a_ticket_on_this_device_is_nested_and_kept(pictures, tmp_path):
    model = build_model("resnet-8", pictures)
    recipe = replace(AUGMENTED, duration="3it")
    ticket = find_ticket(model, pictures, recipe, levels=2, rewind_to="1it")
    assert {mask.device.type for mask in ticket.masks.values()} == {default_device().type}
    for before, after in zip(ticket.levels, ticket.levels[1:], strict=False):
        assert not any((after.masks[name] & ~before.masks[name]).any() for name in after.masks)
    save_masks(ticket.masks, tmp_path / "masks.safetensors")
    back = load_masks(tmp_path / "masks.safetensors", model)
    assert all(back[name].equal(mask) for name, mask in ticket.masks.items())


def test_a_ticket_kept_in_a_folder_is_the_same_on_this_device(pictures, tmp_path):
    model, recipe = build_model("resnet-8", pictures), replace(AUGMENTED, duration="3it")
    options = {"levels": 2, "rewind_to": "1it"}
    expected = find_ticket(model, pictures, recipe, **options)
    for _ in range(2):  # made, then read
        found = find_ticket(model, pictures, recipe, folder=tmp_path, **options)
        for name, mask in expected.masks.items():
            assert found.masks[name].cpu().equal(mask.cpu())
        for name, value in expected.model.state_dict().items():
            torch.testing.assert_close(found.model.state_dict()[name], value)


def test_the_benchmark_runs_on_this_device_and_keeps_no_quick_results():
    root = Path(__file__).parent.parent
    script = str(root / "benchmarks" / "gpu.py")
    command = [sys.executable, script, "--quick", "--device", str(default_device())]
    results = root / "benchmarks" / "gpu-results.json"
    before = results.read_bytes() if results.exists() else b""
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    lines = run.stdout.splitlines()
    rows = [line for line in lines if line.startswith(("resnet-8", "resnet1d-4"))]
    assert len(rows) >= 6 and all("launches_per_step" in row for row in rows)
    for row in rows:
        words = [word for word in row.split() if word[0].isdigit() and word[-1].isdigit()]
        assert min(map(float, words)) > 0
    assert (results.read_bytes() if results.exists() else b"") == before
