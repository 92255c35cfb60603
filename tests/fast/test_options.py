"""What a GPU can do faster, on any device: LTHLAB_DEVICE=cuda make test TEST_ARGS="-k device"."""

from dataclasses import replace

import pytest
import torch
from helpers import AUGMENTED, some_masks
from torch import nn

from lthlab.data import Dataset, default_device
from lthlab.experiments import run_experiment
from lthlab.fast import TorchOptions
from lthlab.models import build_model
from lthlab.steps import Step, cross_entropy
from lthlab.tickets import find_ticket
from lthlab.training import train

OPTIONS = {
    "channels_last": TorchOptions(channels_last=True),
    "bfloat16": TorchOptions(bfloat16=True),
    "compile": TorchOptions(compile="default"),
    "reduce-overhead": TorchOptions(compile="reduce-overhead"),
    "all": TorchOptions(channels_last=True, bfloat16=True, compile="default"),
}


@pytest.fixture
def pictures(cifar_shaped) -> Dataset:
    return cifar_shaped.to(default_device())


@pytest.fixture(autouse=True)
def modes(monkeypatch):
    """The modes asked for; on a CPU torch.compile up to the C++ code, which needs a compiler."""
    asked, compile_ = [], torch.compile

    def noted(model, mode):
        asked.append(mode)
        if default_device().type == "cpu":
            return compile_(model, backend="aot_eager")
        return compile_(model, mode=mode)

    monkeypatch.setattr(torch, "compile", noted)
    return asked


def training_losses(history):
    return history.table.query("metric == 'loss' and split == 'train'")["value"].to_numpy()


@pytest.mark.parametrize("name", OPTIONS)
def test_every_way_on_this_device_trains_the_same_network(name, pictures, modes):
    plain, fast = (build_model("resnet-8", pictures) for _ in range(2))
    masks, options = some_masks(plain, 0.4), OPTIONS[name]
    expected = train(plain, pictures, AUGMENTED, masks, seed=1, evaluate_every="2it")
    found = train(fast, pictures, AUGMENTED, masks, seed=1, evaluate_every="2it", step=options)
    tolerance = 0.05 if options.bfloat16 else 0.002
    assert training_losses(found) == pytest.approx(training_losses(expected), rel=tolerance)
    assert modes == ([options.compile] if options.compile else [])
    for weight, mask in masks.items():
        pruned = fast.get_parameter(weight)[~mask]
        assert pruned.equal(torch.zeros_like(pruned)) and not pruned.signbit().any()
    assert {p.dtype for p in fast.parameters()} == {torch.float32}
    wide = [m.weight for m in fast.modules() if isinstance(m, nn.Conv2d) and m.weight.shape[2] == 3]
    last = [weight.is_contiguous(memory_format=torch.channels_last) for weight in wide]
    assert wide and set(last) == {options.channels_last}


def test_bfloat16_on_this_device_rounds_products_and_nothing_else(pictures):
    model = build_model("resnet-8", pictures)
    x, y = pictures.train.x[:10], pictures.train.y[:10]
    exact, rounded = (
        float(options(model, None, AUGMENTED, cross_entropy)(x, y))
        for options in (TorchOptions(), TorchOptions(bfloat16=True))
    )
    assert exact == float(Step(model, None, AUGMENTED, cross_entropy)(x, y))
    with torch.autocast(x.device.type, torch.bfloat16):
        expected = cross_entropy(model, x, y).item()
    assert rounded == pytest.approx(expected, rel=1e-5) and rounded != exact


def test_an_option_takes_fully_connected_networks_to_autograd_on_this_device(tiny):
    model = build_model("mlp-8-6", tiny)
    options = TorchOptions(bfloat16=True)
    step = options(model, some_masks(model, 0.1), AUGMENTED, cross_entropy)
    assert type(step) is Step
    assert all(step.trained[name] is p for name, p in model.named_parameters())


def test_options_on_this_device_obey_a_loss_of_ones_own(pictures):
    def halved(model, x, y):
        return cross_entropy(model, x, y) / 2

    models = [build_model("resnet-8", pictures) for _ in range(2)]
    recipe = replace(AUGMENTED, momentum=0.0, weight_decay=0.0, duration="1it")
    train(models[0], pictures, recipe, step=TorchOptions(), loss=halved)
    train(models[1], pictures, replace(recipe, lr=recipe.lr / 2), step=TorchOptions())
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_options_reach_every_way_to_train_on_this_device(pictures, tmp_path, modes):
    options = TorchOptions(channels_last=True, compile="default")
    find_ticket(build_model("resnet-8", pictures), pictures, AUGMENTED, levels=1, step=options)
    assert modes == ["default"] * 2
    arms = ["dense", "ticket", "RigL"]
    setting = {"arms": arms, "seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
    for way in (options, TorchOptions(), options):
        given = {"folder": tmp_path, "step": way}
        table = run_experiment("resnet-8", pictures, AUGMENTED, **setting, **given)
        assert set(table["arm"]) == {*arms}
    # RigL moves its masks once, and begins again with another step.
    assert len(modes) == 2 + 4, "what is finished is not trained again"
    assert len([*tmp_path.iterdir()]) == 2, "other rounding: a run of its own"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_layouts_in_memory_on_this_device_do_not_mix_up_optimizer_states(
    optimizer, pictures, tmp_path
):
    momentum = 0.9 if optimizer == "sgd" else 0.0
    recipe = replace(AUGMENTED, optimizer=optimizer, momentum=momentum, lr=0.01, duration="8it")
    models = [build_model("resnet-8", pictures) for _ in range(3)]
    start = train(models[0], pictures, recipe, states=["4it"]).states[4]
    last = TorchOptions(channels_last=True)
    there = train(models[1], pictures, recipe, start=start, step=last, states=["6it"])
    back = train(models[2], pictures, recipe, start=there.states[6])
    for model in models[1:]:
        for name, value in models[0].state_dict().items():
            if optimizer == "sgd":  # Adam divides by gradients near 0, which rounding turns around
                found = model.state_dict()[name]
                torch.testing.assert_close(found, value, rtol=0.05, atol=2e-3)
    assert back.value("loss") == pytest.approx(there.value("loss"), rel=0.02)
    losses, run = [], {"arms": ["ticket"], "seeds": [0], "levels": 1, "rewind_to": "4it"}
    for step in (TorchOptions(), last):  # a state read from a file
        given = {"n_jobs": 1, "progress": False, "folder": tmp_path, "step": step}
        table = run_experiment("resnet-8", pictures, recipe, **run, **given)
        losses.append(table.query("metric == 'loss' and split == 'train'")["value"].to_numpy())
    tolerance = 0.01 if optimizer == "sgd" else 0.03
    assert losses[1] == pytest.approx(losses[0], rel=tolerance)
