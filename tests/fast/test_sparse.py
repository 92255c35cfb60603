"""The sparse step agrees with autograd, computes with kept weights alone, and checks batches."""

import copy
import gc
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import OPTIMIZERS, bits, some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lthlab import fast
from lthlab.batches import example_order
from lthlab.data import load_dataset
from lthlab.fast import kernels
from lthlab.fast.by_hand import ByHand, chain_of
from lthlab.fast.compaction import compact
from lthlab.fast.sparse import CSR, Sparse
from lthlab.masks import density, full_masks
from lthlab.models import build_model
from lthlab.pruning import magnitude, prune
from lthlab.recipes import Recipe, recipe_for
from lthlab.statistics import paired
from lthlab.steps import STEPS, Step, cross_entropy
from lthlab.training import train, training

ADAM = OPTIMIZERS["adam"]


def by_hand(model, masks, recipe, loss):
    return ByHand(model, masks, recipe, chain_of(model))


def sparse(model, masks, recipe, loss):
    return Sparse(model, masks, recipe, chain_of(model))


def fast_step(model, masks, loss=cross_entropy):
    return type(STEPS["fast"](model, masks, ADAM, loss))


def masked(model, keep=0.3, seed=0):
    masks = some_masks(model, keep, seed)
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    return masks


def batch_of(dataset, size=20):
    return dataset.train.x[:size], dataset.train.y[:size]


@pytest.mark.filterwarnings("ignore:Layer collapse")
@pytest.mark.parametrize("keep", [0.3, 0.02, 1.0])
def test_sparse_gradients_are_those_of_autograd_at_the_kept_places(keep, tiny):
    model, other = build_model("mlp-8-6", tiny, seed=2), build_model("mlp-8-6", tiny, seed=2)
    masks = masked(model, keep)
    masked(other, keep)
    step, plain = sparse(model, masks, ADAM, None), Step(other, None, ADAM, cross_entropy)
    step.load()
    loss, expected = step(*batch_of(tiny)), plain(*batch_of(tiny))
    assert loss == pytest.approx(float(expected))
    assert step.trained.keys() == plain.trained.keys()
    for name, parameter in plain.trained.items():
        gradient = parameter.grad[masks[name]] if name in masks else parameter.grad
        torch.testing.assert_close(step.trained[name].grad, gradient)
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert sum(p.numel() for p in step.trained.values()) == kept + 8 + 6 + 4


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 30),
    width=st.sampled_from([16, 32, 64]),
    keep=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_kernels_agree_with_dense_products(rows, columns, width, keep, seed):
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(rows, columns, generator=draw) < keep
    weight = nn.Parameter(torch.randn(rows, columns, generator=draw))
    csr, dense = CSR(weight, mask), (weight * mask).detach()
    x = torch.randn(columns, width, generator=draw)
    g = torch.randn(rows, width, generator=draw)
    multiply, multiply_sampled, _ = kernels.compile_for(width)
    values = csr.values.detach().numpy()
    out, back = torch.empty(rows, width), torch.empty(columns, width)
    gradient = torch.empty(int(mask.sum()))
    multiply(*csr.rows, values, x.numpy(), out.numpy())
    multiply(*csr.columns, values[csr.transposed], g.numpy(), back.numpy())
    multiply_sampled(*csr.rows, g.numpy(), x.numpy(), gradient.numpy())
    torch.testing.assert_close(out, dense @ x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(back, dense.t() @ g, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradient, (g @ x.t())[mask], atol=1e-4, rtol=1e-4)


def test_a_csr_matrix_by_hand():
    weight = nn.Parameter(torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 4.0]]))
    csr = CSR(weight, weight.detach() != 0)
    assert csr.values.tolist() == [1, 2, 3, 4]
    assert [part.tolist() for part in csr.rows] == [[0, 2, 2, 4], [0, 2, 1, 2]]
    assert [part.tolist() for part in csr.columns] == [[0, 1, 2, 4], [0, 2, 0, 2]]
    assert csr.values[csr.transposed].tolist() == [1, 3, 2, 4]


def test_loss_is_the_mean_cross_entropy(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = masked(model, 0.5)
    x, y = batch_of(tiny)
    loss = sparse(model, masks, ADAM, None)(x, y)
    assert loss == pytest.approx(F.cross_entropy(model(x), y).item())


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("keep", [0.4, 0.1, 1.0])
def test_sparse_training_follows_dense_training(keep, name, tiny):
    results = []
    for step in (by_hand, sparse):
        model = build_model("mlp-8-6", tiny, seed=3)
        masks = some_masks(model, keep)
        options = {"seed": 1, "evaluate_every": 3, "states": [6], "step": step}
        history = train(model, tiny, OPTIMIZERS[name], masks, **options)
        results.append((model.state_dict(), history))
        for key, mask in masks.items():
            assert not bits(model.state_dict()[key])[~mask].any()
    (dense, dense_history), (kept, kept_history) = results
    for key in dense:
        torch.testing.assert_close(kept[key], dense[key], rtol=1e-4, atol=1e-6)
    losses = [h.table["value"].to_numpy() for h in (kept_history, dense_history)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    one, other = (history.states[6].optimizer for history in (kept_history, dense_history))
    assert one.keys() == other.keys()
    for key, value in one.items():
        mask = masks.get(key.rpartition("/")[0])
        expected = other[key] if mask is None or not value.ndim else other[key] * mask
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)


def test_masks_belong_to_layers_by_name_not_by_order(tiny):
    square = [build_model("mlp-8-8", tiny, seed=4) for _ in range(2)]
    masks = some_masks(square[0], 0.4)
    backwards = dict(reversed(masks.items()))
    for model, given_masks in zip(square, (masks, backwards), strict=True):
        assert fast_step(copy.deepcopy(model), given_masks) is Sparse
        train(model, tiny, ADAM, given_masks, step="fast")
    assert states_equal(square[0].state_dict(), square[1].state_dict())
    small = [compact(square[0], given_masks)(tiny.test.x) for given_masks in (masks, backwards)]
    assert torch.equal(*small)


def losses_of_200_steps(recipe, dataset, seed, step):
    model = build_model("lenet-300-100", dataset, seed)
    masks = prune(magnitude(model), full_masks(model), 0.95)
    options = {"stops": [200], "seed": seed, "step": step}
    (now,) = training(model, dataset, recipe, masks, **options)
    return np.array([float(loss) for loss in now.losses])


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_lenet_losses_over_200_steps_agree_to_one_in_ten_thousand(optimizer):
    dataset = load_dataset("fashion-mini")
    recipe = recipe_for("lenet-300-100", dataset)
    recipe = replace(recipe, optimizer=optimizer, duration="200it")
    if optimizer == "sgd":
        recipe = replace(recipe, lr=0.05, momentum=0.9)
    differences = []
    for seed in range(3):
        dense, kept = (losses_of_200_steps(recipe, dataset, seed, s) for s in (by_hand, sparse))
        assert len(dense) == 200 and dense[-1] < dense[0]
        differences.append(np.abs(kept / dense - 1).max())
    # Now and then the input of a ReLU rounds to the other side of zero, and the two part for good.
    assert np.median(differences) < 1e-4 and max(differences) < 1e-2


def test_accuracy_over_seeds_is_the_same_by_either_way():
    dataset = load_dataset("fashion-mini")
    recipe, rows = replace(recipe_for("lenet-300-100", dataset), duration="300it"), []
    for seed in range(5):
        for way, step in (("dense", by_hand), ("sparse", sparse)):
            model = build_model("lenet-300-100", dataset, seed)
            masks = prune(magnitude(model), full_masks(model), 0.964)
            options = {"seed": seed, "evaluate_every": 0, "step": step}
            rows.append((way, seed, train(model, dataset, recipe, masks, **options).value()))
    table = pd.DataFrame(rows, columns=["arm", "seed", "value"])
    difference = paired(table, "sparse", "dense")
    assert difference.low <= 0 <= difference.high and abs(difference.mean) < 0.005
    assert min(value for _, _, value in rows) > 0.7


class Keeping(nn.Sequential):
    keep_dense = ("out",)


def test_the_way_is_chosen_by_density(tiny):
    model = build_model("mlp-8-6", tiny)  # 128, 48 and 24 weights
    half = full_masks(model)
    half["fc1.weight"].view(-1)[:100] = False
    assert density(half) == fast.SPARSE_BELOW == 0.5
    assert fast_step(model, half) is ByHand
    half["fc2.weight"][0, 0] = False
    assert fast_step(model, half) is Sparse
    assert fast_step(model, some_masks(model, 0.6)) is ByHand
    assert fast_step(model, some_masks(model, 0.1)) is Sparse
    assert fast_step(model, None) is ByHand


def test_a_chain_that_keeps_a_layer_dense_is_not_trained_sparse_but_right(tiny):
    parts = dict(build_model("mlp-8-6", tiny).named_children())
    model = Keeping()
    for name, part in parts.items():
        model.add_module(name, part)
    other, masks = copy.deepcopy(model), some_masks(model, 0.2)
    assert [*masks] == ["fc1.weight", "fc2.weight"] and fast_step(model, masks) is ByHand
    for network, step in ((model, "fast"), (other, None)):
        train(network, tiny, ADAM, masks, step=step)
    assert states_equal(model.state_dict(), other.state_dict())


HERE = Path(__file__).parent.parent
# What both scripts below begin with: the tiny data set of conftest, and a network of 30 % density.
BEGIN = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from conftest import make_blobs
from helpers import some_masks
tiny = make_blobs("tiny", (1, 4, 4), classes=4, train=100, held_out=30, test=30)
from lthlab import Recipe, build_model, train
from lthlab.steps import STEPS, cross_entropy
recipe = Recipe("adam", 0.01, batch_size=20, duration="12it")
model = build_model("mlp-8-6", tiny)
masks = some_masks(model, 0.3)
"""


def run(script: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-X", "faulthandler", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_without_numba_sparse_networks_train_dense_by_hand(tiny):
    blocked = "import sys\nsys.modules['numba'] = None  # as where it is not installed\n"
    shown = """
print(type(STEPS["fast"](model, masks, recipe, cross_entropy)).__name__)
train(model, tiny, recipe, masks, step="fast")
print(model.fc1.weight.detach().double().sum().item())
"""
    done = run(blocked + BEGIN + shown)
    assert done.returncode == 0, done.stderr
    model = build_model("mlp-8-6", tiny)
    train(model, tiny, replace(ADAM, weight_decay=0), some_masks(model, 0.3), step=by_hand)
    expected = model.fc1.weight.detach().double().sum().item()
    assert done.stdout.split() == ["ByHand", str(expected)]


def test_labels_outside_the_classes_stop_a_sparse_training_before_they_do_harm():
    script = """
assert type(STEPS["fast"](model, masks, recipe, cross_entropy)).__name__ == "Sparse"
for label in (99, 4, -1, -100, 2**40, -(2**40)):
    tiny.train.y[:] = 0
    change = {1: lambda now: tiny.train.y.fill_(label)}  # when the labels have been checked
    try:
        train(model, tiny, recipe, masks, step="fast", evaluate_every=0, during=change)
    except ValueError as error:
        print(error)
print("alive", sum(int((model.get_parameter(n)[~m] != 0).sum()) for n, m in masks.items()))
"""
    done = run(BEGIN + script)  # elsewhere: a wrong label may not raise, but crash
    assert done.returncode == 0, done.stderr
    *said, alive = done.stdout.splitlines()
    assert len(said) == 6 and all("label lies outside" in line for line in said)
    assert alive == "alive 0"


@pytest.mark.parametrize("label", [99, -1])
def test_one_wrong_label_stops_the_training_when_its_turn_comes(label, tiny):
    labels = replace(tiny.train, y=tiny.train.y.clone())
    broken, model = replace(tiny, train=labels), build_model("mlp-8-6", tiny)
    masks, whole = some_masks(model, 0.3), build_model("mlp-8-6", tiny)
    chosen = example_order(tiny, 0, 0)[3 * 20]  # the first of the fourth batch

    def change(_now):  # when the labels have been checked
        broken.train.y[chosen] = label

    recipe = replace(ADAM, duration="5it")
    with pytest.raises(ValueError, match="label"):
        train(model, broken, recipe, masks, step="fast", during={1: change})
    train(whole, tiny, replace(ADAM, duration="3it"), masks, step="fast")
    assert states_equal(model.state_dict(), whole.state_dict())
    with pytest.raises(ValueError, match="labels: class numbers"):
        train(model, broken, recipe, masks, step="fast")  # now at the entrance
    assert states_equal(model.state_dict(), whole.state_dict())


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_a_sparse_training_has_the_same_bits_with_any_number_of_threads(optimizer):
    dataset = load_dataset("fashion-mini")
    recipe = replace(OPTIMIZERS[optimizer], batch_size=60, duration="30it")
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 4):
            torch.set_num_threads(number)
            model = build_model("lenet-300-100", dataset)
            masks = prune(magnitude(model), full_masks(model), 0.7)
            assert fast_step(copy.deepcopy(model), masks) is Sparse
            (now,) = training(model, dataset, recipe, masks, stops=[30], step="fast")
            state = now.state()
            found.append((state.model, state.optimizer, now.losses))
    finally:
        torch.set_num_threads(threads)
    assert states_equal(found[0], found[1]) and states_equal(found[0], found[2])


@pytest.mark.parametrize("keep", [1.0, 0.7, 0.3])
def test_what_was_trained_before_in_this_process_makes_no_difference(keep, tiny, tiny_signals):
    def once():
        model = build_model("mlp-8-6", tiny, seed=5)
        options = {"seed": 6, "step": "fast", "stops": [12]}
        (now,) = training(model, tiny, ADAM, some_masks(model, keep), **options)
        return now.state().model, now.state().optimizer, [float(loss) for loss in now.losses]

    first = once()
    for size in (20, 30, 7, 50):  # the same kernels, those for other batches, other networks
        for dataset, name, share in ((tiny, "mlp-9", 0.2), (tiny_signals, "mlp-5-5", 0.9)):
            model = build_model(name, dataset)
            recipe = Recipe("sgd", 0.1, 0.9, batch_size=size, duration="3it")
            train(model, dataset, recipe, some_masks(model, share), step="fast")
    assert states_equal(once(), first)


def test_compiled_code_is_not_cached_on_disk():
    # Two processes that compile at once can swap the files of numba's cache: code for other widths.
    assert [kernel.stats.cache_path for kernel in kernels.compile_for(32)] == [None] * 3


def test_few_compiled_kernels_are_kept():
    first = weakref.ref(kernels.compile_for(16 * 101)[2])
    for width in range(102, 112):
        kernels.compile_for(16 * width)
    info = kernels.compile_for.cache_info()
    assert info.maxsize is not None and info.currsize <= info.maxsize <= 8
    gc.collect()
    assert first() is None, "what is no longer kept is freed"
