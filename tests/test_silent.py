"""What was once taken without a word and did something else: a right result now, or a sentence."""

import copy
import os
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers import ADAM, some_masks, states_equal
from torch import nn
from torch.nn import functional as F

import lthlab
from lthlab import (
    apply_masks_,
    arm,
    build_model,
    find_ticket,
    full_masks,
    make_dataset,
    run_experiment,
    train,
)
from lthlab._common import own_noise
from lthlab.arms import ARMS
from lthlab.data import Split
from lthlab.files import csr_state, from_csr_state, load_masks, save_masks, to_torch_prune_
from lthlab.folder import identity
from lthlab.levels import Setting
from lthlab.pruning import grasp, inverted, magnitude, snip, synflow
from lthlab.recipes import Recipe
from lthlab.steps import STEPS
from lthlab.training import training

ANY = replace(ADAM, output_layer=None)


def chain(*sizes):
    layers = [
        part
        for pair in zip(sizes, sizes[1:], strict=False)
        for part in (nn.Linear(*pair), nn.ReLU())
    ]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def tied():
    model = chain(16, 16, 16, 4)
    model[3].weight = model[1].weight
    return model


# Functions that are known by more than their name.


def to_the_power(exponent):
    return lambda model, batch, *, seed: {n: s**exponent for n, s in magnitude(model).items()}


def power(exponent, model, batch, *, seed):
    return {name: score**exponent for name, score in magnitude(model).items()}


class Scorer:
    def score(self, model, batch, *, seed):
        return magnitude(model)


@pytest.mark.parametrize("score", [to_the_power(2), Scorer().score, lambda *_, seed: {}])
def test_a_score_that_its_name_does_not_tell_from_others_needs_a_version(tiny, tmp_path, score):
    model = build_model("mlp-8-6", tiny)
    with pytest.raises(ValueError, match="version="):
        find_ticket(model, tiny, ADAM, levels=1, score=score, folder=tmp_path)
    assert not [*tmp_path.iterdir()]


def test_scores_made_by_partial_are_known_by_their_values(tiny):
    setting = Setting(partial(build_model, "mlp-8-6", tiny), tiny, ADAM)
    scores = [partial(power, 2), partial(power, 3), inverted(snip), inverted(grasp), snip]
    known = [identity(setting, "", score) for score in scores]
    assert len({*known}) == len(known)
    assert known == [identity(setting, "", copy.copy(score)) for score in scores]
    assert not any("0x" in name for name in known)


# What the surroundings do.


def test_under_autocast_nothing_is_trained(tiny):
    model = build_model("mlp-8-6", tiny)
    before = copy.deepcopy(model.state_dict())
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match="autocast"):
        train(model, tiny, ADAM)
    assert states_equal(model.state_dict(), before)


@pytest.mark.parametrize("step", ["autograd", "fast"])
def test_under_no_grad_training_is_as_ever(tiny, step):
    models = [build_model("mlp-8-6", tiny) for _ in range(2)]
    train(models[0], tiny, ADAM, step=step)
    with torch.no_grad():
        train(models[1], tiny, ADAM, step=step)
        assert not torch.is_grad_enabled()
    assert states_equal(*(model.state_dict() for model in models))


@pytest.mark.parametrize("score", [snip, grasp, synflow])
def test_under_no_grad_scores_are_as_ever(tiny, score):
    model, batch = build_model("mlp-8-6", tiny), (tiny.train.x[:20], tiny.train.y[:20])
    expected = score(model, batch)
    with torch.no_grad():
        assert states_equal(score(model, batch), expected)


def test_threads_wait_for_each_others_noise():
    drawn, inside, go_on = [], threading.Event(), threading.Event()

    def first():
        with own_noise(torch.device("cpu"), 1):
            inside.set()
            go_on.wait(10)
            drawn.append(torch.rand(3))

    def second():
        inside.wait(10)
        go_on.set()
        with own_noise(torch.device("cpu"), 2):
            torch.rand(5)

    before = torch.get_rng_state()
    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(drawn[0], torch.rand(3, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(torch.get_rng_state(), before)


# Networks.


def test_a_function_that_returns_one_network_gives_its_values_each_time(tiny):
    kept = build_model("mlp-8-6", tiny)
    options = {"arms": ["dense", "ticket"], "seeds": [0, 1], "levels": 1, "progress": False}
    found = run_experiment(lambda *_: kept, tiny, ADAM, n_jobs=1, **options)
    expected = run_experiment(lambda *_: copy.deepcopy(kept), tiny, ADAM, n_jobs=1, **options)
    assert found.drop(columns="model").equals(expected.drop(columns="model"))


@pytest.mark.parametrize("build", [nn.ReLU, lambda seed: None])
def test_a_builder_that_takes_other_arguments_is_named(tiny, build):
    with pytest.raises(ValueError, match=r"takes \(dataset, seed\)"):
        run_experiment(build, tiny, ADAM, levels=1, arms=["ticket"])


@pytest.mark.parametrize("look", [full_masks, lthlab.list_parameters, lthlab.prunable_weights])
def test_lazy_layers_are_refused(look):
    with pytest.raises(ValueError, match="lazy"):
        look(nn.Sequential(nn.Flatten(), nn.LazyLinear(4)))


def test_lazy_layers_are_refused_before_they_get_weights(tiny):
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
    with pytest.raises(ValueError, match="lazy"):
        find_ticket(model, tiny, ANY, levels=1)
    assert isinstance(model[1], nn.LazyLinear)


def test_weights_that_two_layers_share_are_sparse_in_both():
    model = tied()
    masks = some_masks(model)
    state, _ = from_csr_state(csr_state(model, masks), model)
    masked, loaded = apply_masks_(copy.deepcopy(model), masks), tied()
    loaded.load_state_dict(state)
    x = torch.rand(5, 1, 4, 4)
    assert torch.equal(loaded(x), masked(x)) and not torch.equal(loaded(x), model(x))
    with pytest.raises(ValueError, match="share weights"):
        to_torch_prune_(model, masks)


class Casting(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.inner, self.dtype = chain(16, 8, 4).to(dtype), dtype

    def forward(self, x):
        return self.inner(x.to(self.dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_goes_into_a_folder(tiny, tmp_path, dtype):
    torch.manual_seed(0)
    model = Casting(dtype)
    expected = find_ticket(model, tiny, ANY, levels=1)
    for _ in range(2):
        found = find_ticket(model, tiny, ANY, levels=1, folder=tmp_path)
        assert states_equal(found.levels[1].trained, expected.levels[1].trained)


class TwoHeads(nn.Module):
    """As torchvision's with auxiliary heads: a pair in training."""

    def __init__(self):
        super().__init__()
        self.inner = chain(16, 8, 4)

    def forward(self, x):
        return (self.inner(x), None) if self.training else self.inner(x)


def test_two_answers_in_training_need_a_loss_of_their_own(tiny):
    with pytest.raises(ValueError, match="loss="):
        train(TwoHeads(), tiny, ADAM)
    train(TwoHeads(), tiny, ADAM, loss=lambda model, x, y: F.cross_entropy(model(x)[0], y))


@pytest.mark.parametrize(
    "loss",
    [
        lambda *_: None,
        lambda *_: 1.0,
        lambda model, x, y: F.cross_entropy(model(x), y, reduction="none"),
        lambda *_: torch.tensor(1.0),
    ],
)
def test_a_loss_is_one_number_with_a_gradient(tiny, loss):
    with pytest.raises(ValueError, match="loss gives one number"):
        train(build_model("mlp-8-6", tiny), tiny, ADAM, loss=loss)


# In a pause.


def new_values(model):
    model.fc1.weight.data = torch.ones_like(model.fc1.weight)


def new_parameter(model):
    model.fc1.weight = nn.Parameter(torch.ones_like(model.fc1.weight))


def new_layer(model):
    layer = nn.Linear(16, 8)
    nn.init.ones_(layer.weight)
    model.fc1 = layer


@pytest.mark.parametrize("change", [new_values, new_parameter, new_layer])
@pytest.mark.parametrize("step", ["autograd", "fast"])
@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_tensors_put_in_place_of_others_are_trained_and_masked(tiny, change, step, keep):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model, keep)
    for now in training(model, tiny, ADAM, masks, stops=[3], step=step):
        change(now.model)
    weight, mask = model.fc1.weight, masks["fc1.weight"]
    assert not weight[~mask].any() and (weight[mask] != 1).any()
    assert (weight[mask] - 1).abs().max() < 0.5, "it goes on from the ones"


@pytest.mark.parametrize("step", ["autograd", "fast"])
def test_a_layer_frozen_in_a_pause_stays_as_it_is(tiny, step):
    model = build_model("mlp-8-6", tiny)
    for now in training(model, tiny, ADAM, some_masks(model, 0.3), stops=[3], step=step):
        model.fc1.requires_grad_(False)
        before = copy.deepcopy(now.state().model)
    after = model.state_dict()
    assert torch.equal(after["fc1.weight"], before["fc1.weight"])
    assert not torch.equal(after["fc2.weight"], before["fc2.weight"])


# Data.


def test_all_splits_are_of_one_shape_and_type(tiny):
    for split in ("validation", "test"):
        x, y = getattr(tiny, split).x, getattr(tiny, split).y
        for wrong in (Split(x[..., :3], y), Split(x.double(), y), Split(x, y.int())):
            with pytest.raises(ValueError, match=f"one shape and type.*{split}"):
                replace(tiny, **{split: wrong})


@pytest.fixture
def arrays():
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 200, (40, 1, 4, 4)), np.arange(40) % 4
    return x, y, x[:20], y[:20]


def made(x, y, x_test, y_test):
    return make_dataset("mine", x, y, x_test, y_test, "abcd", 10, "cpu")


def test_pixels_beside_numbers_are_refused(arrays):
    x, y, x_test, y_test = arrays
    with pytest.raises(ValueError, match="pixels"):
        made(x.astype(np.uint8), y, x_test.astype(np.float32), y_test)


FOREIGN = {
    "mirrored": lambda array: np.ascontiguousarray(array[::-1])[::-1],
    "big-endian": lambda array: array.astype(">i4"),
    "unsigned": lambda array: array.astype(np.uint16),
    "half": lambda array: array.astype(np.float16),
    "tensors": torch.as_tensor,
    "16 bits": lambda array: torch.as_tensor(array).bfloat16(),
    "with gradients": lambda array: torch.as_tensor(array).float().requires_grad_(),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_arrays_of_every_kind_are_the_same_data(arrays, kind):
    found, expected = made(*map(FOREIGN[kind], arrays)), made(*arrays)
    for part in ("train", "validation", "test"):
        one, other = getattr(found, part), getattr(expected, part)
        assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y)


def test_data_that_need_a_gradient_are_refused(tiny):
    with pytest.raises(ValueError, match="gradient"):
        Split(tiny.test.x.clone().requires_grad_(), tiny.test.y)


def test_things_that_hold_tensors_can_be_compared(tiny):
    ticket = find_ticket(build_model("mlp-8-6", tiny), tiny, ADAM, levels=1)
    for thing in (tiny, tiny.test, ticket, ticket.start, ticket.levels[0]):
        assert thing == thing and thing != copy.deepcopy(thing) and {thing}


# Words for other words.


def test_a_list_does_for_a_tuple(tiny):
    recipe = Recipe("sgd", 0.1, schedule="drops", milestones=[3, 5])
    assert recipe == Recipe("sgd", 0.1, schedule="drops", milestones=(3, 5))
    model, batch = build_model("mlp-8-6", tiny), tiny.train
    assert states_equal(
        snip(model, [batch.x[:5], batch.y[:5]]), snip(model, (batch.x[:5], batch.y[:5]))
    )


def test_needs_may_be_a_list(declared):
    arm("listed", needs=["ticket"], dashes=[1, 2])(ARMS["shuffled"].function)
    assert ARMS["listed"].needs == ("dense", "ticket")


def test_during_takes_durations(tiny):
    seen = []
    acts = {"2it": lambda now: seen.append(now.step), "1ep": lambda now: seen.append(now.step)}
    train(build_model("mlp-8-6", tiny), tiny, ADAM, during=acts)
    assert seen == [2, 5]
    with pytest.raises(ValueError, match="during"):
        train(build_model("mlp-8-6", tiny), tiny, ADAM, during={"99ep": print})


# Files.


def test_home_is_home(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    masks = full_masks(build_model("mlp-8-6", tiny))
    save_masks(masks, "~/some/masks")
    assert (tmp_path / "some" / "masks").is_file()
    assert states_equal(load_masks("~/some/masks"), masks)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this system's file systems")
def test_a_pipe_is_no_file_of_masks(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(ValueError, match="no plain file"):
            load_masks(path)


def counted(*given):
    counted.trainings += 1
    return STEPS["fast"](*given)


counted.trainings = 0


def test_a_folder_that_cannot_be_written_is_said_before_training(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", "/proc/self/here"):
        with pytest.raises(OSError, match="Cannot write"):
            find_ticket(
                build_model("mlp-8-6", tiny), tiny, ADAM, levels=1, folder=folder, step=counted
            )
    assert not counted.trainings


def test_without_a_folder_any_kind_of_step_does(tiny):
    options = {"arms": ["dense"], "levels": 1, "seeds": [0], "progress": False, "n_jobs": 1}
    table = run_experiment(
        "mlp-8-6", tiny, ADAM, step=lambda *given: STEPS["fast"](*given), **options
    )
    assert len(table)
