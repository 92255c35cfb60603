"""The three ways to the gradients agree, and the sparse one computes with kept weights alone."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import bits, some_masks
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lthlab import _common, compact, kernels, sparse
from lthlab.batches import example_order
from lthlab.data import load_dataset
from lthlab.experiments import paired
from lthlab.masks import full_masks
from lthlab.models import build_model
from lthlab.pruning import magnitude, prune
from lthlab.recipes import Recipe, recipe_for
from lthlab.sparse import CSR, Autograd, ByHand, Sparse, SparseByTorch, chain_of, choose_step, sparse_below_is
from lthlab.training import make_optimizer, train

OPTIMIZERS = {
    "sgd": Recipe("sgd", 0.05, batch_size=20, duration="12it"),
    "momentum": Recipe("sgd", 0.05, 0.9, 1e-3, batch_size=20, duration="12it"),
    "adam": Recipe("adam", 0.01, weight_decay=1e-3, batch_size=20, duration="12it"),
    "adamw": Recipe("adamw", 0.01, weight_decay=1e-2, batch_size=20, duration="12it"),
}


def gradients_by(step, x, y):
    loss = step(x, y)
    return loss, [parameter.grad for parameter in step.parameters()]


def masked(model, keep=0.3, seed=0):
    masks = some_masks(model, keep, seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name in masks:
                weight.mul_(masks[name])
    return masks


@pytest.mark.parametrize("name", ["mlp-8-6", "mlp-5", "mlp-7-7-7"])
def test_by_hand_gives_autograds_bits(name, tiny):
    model, other = build_model(name, tiny, seed=1), build_model(name, tiny, seed=1)
    step = choose_step(model, None, 20)
    assert type(step) is ByHand
    for x, y in zip(tiny.train.x.split(20), tiny.train.y.split(20), strict=True):
        loss, found = gradients_by(step, x, y)
        expected_loss, expected = gradients_by(Autograd(other, None), x, y)
        assert torch.equal(bits(loss), bits(expected_loss))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("Sparse", [Sparse, SparseByTorch])
@pytest.mark.parametrize("keep", [0.3, 0.02, 1.0])
def test_sparse_gradients_are_those_of_autograd_at_the_kept_places(Sparse, keep, tiny):
    model, other = build_model("mlp-8-6", tiny, seed=2), build_model("mlp-8-6", tiny, seed=2)
    masks = masked(model, keep)
    masked(other, keep)
    step = Sparse(model, chain_of(model), masks, 20)
    loss, found = gradients_by(step, tiny.train.x[:20], tiny.train.y[:20])
    expected_loss, expected = gradients_by(Autograd(other, None), tiny.train.x[:20], tiny.train.y[:20])
    assert loss == pytest.approx(float(expected_loss))
    for number, mask in enumerate(masks.values()):
        torch.testing.assert_close(found[2 * number], expected[2 * number][mask])
        torch.testing.assert_close(found[2 * number + 1], expected[2 * number + 1])
    assert sum(p.numel() for p in step.parameters()) == sum(int(m.sum()) for m in masks.values()) + 8 + 6 + 4


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 30), st.sampled_from([16, 32, 64]), st.floats(0, 1), st.integers(0, 99))
def test_kernels_agree_with_dense_products(rows, columns, batch, keep, seed):
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(rows, columns, generator=draw) < keep
    weight = nn.Parameter(torch.randn(rows, columns, generator=draw))
    csr, dense = CSR(weight, mask), (weight * mask).detach()
    x, g = torch.randn(columns, batch, generator=draw), torch.randn(rows, batch, generator=draw)
    multiply, multiply_sampled, _ = kernels.compile_for(batch)
    values = csr.values.detach().numpy()
    out, back, slope = torch.empty(rows, batch), torch.empty(columns, batch), torch.empty(len(csr.kept))
    multiply(*csr.rows, values, x.numpy(), out.numpy())
    multiply(*csr.columns, values[csr.order], g.numpy(), back.numpy())
    multiply_sampled(*csr.rows, g.numpy(), x.numpy(), slope.numpy())
    torch.testing.assert_close(out, dense @ x, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(back, dense.t() @ g, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(slope, (g @ x.t())[mask], atol=1e-4, rtol=1e-4)


def test_a_csr_matrix_by_hand():
    weight = nn.Parameter(torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 4.0]]))
    csr = CSR(weight, weight.detach() != 0)
    assert csr.values.tolist() == [1, 2, 3, 4]
    assert [part.tolist() for part in csr.rows] == [[0, 2, 2, 4], [0, 2, 1, 2]]
    assert [part.tolist() for part in csr.columns] == [[0, 1, 2, 4], [0, 2, 0, 2]]
    assert csr.values[csr.order].tolist() == [1, 3, 2, 4]


@pytest.mark.parametrize("by", ["numba", "torch"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sparse_training_follows_dense_training(name, by, tiny, monkeypatch):
    if by == "torch":
        monkeypatch.setattr(kernels, "numba", None)
    results = {}
    for below in (0.0, 1.0):
        model = build_model("mlp-8-6", tiny, seed=3)
        masks = some_masks(model, 0.4)
        with sparse_below_is(below):
            history = train(model, tiny, OPTIMIZERS[name], masks, seed=1, evaluate_every=3, snapshots=[6])
        results[below] = model.state_dict(), history
        for key, mask in masks.items():
            assert not bits(model.state_dict()[key])[~mask].any()
    (dense, dense_history), (kept, kept_history) = results[0.0], results[1.0]
    for key in dense:
        torch.testing.assert_close(kept[key], dense[key], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(kept_history.table["value"], dense_history.table["value"], rtol=1e-4)
    assert kept_history.snapshots[6].optimizer["param_groups"] == dense_history.snapshots[6].optimizer["param_groups"]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("resumed", [False, True])
def test_training_has_the_bits_of_a_plain_loop_with_torchs_own_optimiser(name, resumed, tiny):
    recipe, model, plain = OPTIMIZERS[name], build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny)
    start = train(build_model("mlp-8-6", tiny), tiny, recipe, snapshots=[4]).snapshots[4] if resumed else None
    train(model, tiny, recipe, start=start)
    optimizer = make_optimizer(plain, recipe)
    for step in range(12):
        order = example_order(tiny, 0, step // 5)[step % 5 * 20 : step % 5 * 20 + 20]
        optimizer.zero_grad()
        F.cross_entropy(plain(tiny.train.x[order]), tiny.train.y[order]).backward()
        optimizer.step()
    assert all(torch.equal(bits(a), bits(b)) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


def test_masks_belong_to_layers_by_name_not_by_order(tiny):
    square = [build_model("mlp-8-8", tiny, seed=4) for _ in range(2)]
    masks = some_masks(square[0], 0.4)
    backwards = dict(reversed(masks.items()))
    with sparse_below_is(1.0):
        for model, given in zip(square, (masks, backwards), strict=True):
            train(model, tiny, OPTIMIZERS["adam"], given)
    assert all(torch.equal(a, b) for a, b in zip(square[0].parameters(), square[1].parameters(), strict=True))
    small = [compact(square[0], given)(tiny.test.x) for given in (masks, backwards)]
    assert torch.equal(*small)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("first_below, then_below", [(0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
def test_snapshots_pass_from_one_way_to_the_other(name, first_below, then_below, tiny):
    whole, model, recipe = build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny), OPTIMIZERS[name]
    masks = some_masks(model, 0.4)
    with sparse_below_is(0.0):
        train(whole, tiny, recipe, masks)
    with sparse_below_is(first_below):
        start = train(model, tiny, recipe, masks, snapshots=[5]).snapshots[5]
    fresh = build_model("mlp-8-6", tiny, seed=9)
    with sparse_below_is(then_below):
        train(fresh, tiny, recipe, masks, start=start)
    for key, expected in whole.state_dict().items():
        torch.testing.assert_close(fresh.state_dict()[key], expected, rtol=1e-4, atol=1e-6)
    for entries in start.optimizer["state"].values():
        shapes = {tuple(t.shape) for key, t in entries.items() if torch.is_tensor(t) and key != "step"}
        assert len(shapes) <= 1  # those of the parameters, whichever way it was taken
    weights = [p.shape for p in model.parameters()]
    assert all(
        t.shape == weights[number]
        for number, entries in start.optimizer["state"].items()
        for key, t in entries.items()
        if torch.is_tensor(t) and key != "step"
    )


def losses_of_200_steps(recipe, dataset, seed, below):
    model = build_model("lenet-300-100", dataset, seed)
    masks = prune(magnitude(model), full_masks(model), 0.95)
    with sparse_below_is(below):
        table = train(model, dataset, recipe, masks, seed=seed, evaluate_every=1).table
    return table.query("split == 'train'")["value"].to_numpy()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_lenet_losses_over_200_steps_agree_to_one_in_ten_thousand(optimizer):
    dataset = load_dataset("fashion-mini")
    recipe = replace(recipe_for("lenet-300-100", dataset), optimizer=optimizer, duration="200it")
    if optimizer == "sgd":
        recipe = replace(recipe, lr=0.05, momentum=0.9)
    differences = []
    for seed in range(3):
        dense, kept = (losses_of_200_steps(recipe, dataset, seed, below) for below in (0.0, 1.0))
        assert len(dense) == 200 and dense[-1] < dense[0]
        differences.append(np.abs(kept / dense - 1).max())
    # Now and then the input of a ReLU rounds to the other side of zero, and the two part a little for good.
    assert np.median(differences) < 1e-4 and max(differences) < 1e-2


def test_accuracy_over_seeds_is_the_same_by_either_way():
    dataset = load_dataset("fashion-mini")
    recipe, rows = replace(recipe_for("lenet-300-100", dataset), duration="300it"), []
    for seed in range(5):
        for way, below in (("dense", 0.0), ("sparse", 1.0)):
            model = build_model("lenet-300-100", dataset, seed)
            masks = prune(magnitude(model), full_masks(model), 0.964)
            with sparse_below_is(below):
                rows.append((way, seed, train(model, dataset, recipe, masks, seed=seed, evaluate_every=0).value()))
    difference = paired(pd.DataFrame(rows, columns=["arm", "seed", "value"]), "sparse", "dense")
    assert difference.low <= 0 <= difference.high and abs(difference.mean) < 0.005
    assert min(value for _, _, value in rows) > 0.7


class Shouting(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def chain(*layers):
    return nn.Sequential(nn.Flatten(), *layers)


def test_only_plain_chains_go_by_hand():
    assert len(chain_of(chain(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))) == 2
    frozen = chain(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    frozen[1].weight.requires_grad_(False)
    tied = chain(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    tied[3].weight = tied[1].weight
    hooked = chain(nn.Linear(4, 2))
    hooked[1].register_forward_hook(lambda *_: None)
    others = [
        Shouting(nn.Flatten(), nn.Linear(4, 2)),
        chain(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)),
        chain(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2)),
        chain(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2)),
        chain(nn.Linear(4, 2).double()),
        chain(nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))),
        nn.Linear(4, 2),
        chain(),
        frozen,
        tied,
        hooked,
    ]
    for model in others:
        assert chain_of(model) == []
        assert type(choose_step(model, None, 8)) is Autograd


def test_the_way_is_chosen_by_density(tiny):
    model = build_model("mlp-8-6", tiny)
    with sparse_below_is(0.3):
        assert type(choose_step(model, some_masks(model, 0.25), 20)) is Sparse
        assert type(choose_step(model, some_masks(model, 0.35), 20)) is ByHand
        assert type(choose_step(model, None, 20)) is ByHand


def test_the_density_is_measured_once_and_remembered(tmp_path, monkeypatch):
    monkeypatch.delenv("LTHLAB_SPARSE_BELOW", raising=False)
    monkeypatch.setattr(_common.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    sparse._remembered.cache_clear()
    measured = sparse.sparse_below()
    assert 0 < measured <= 0.9
    (entry,) = json.loads((tmp_path / "sparse_below.json").read_text()).items()
    assert entry[1] == measured and "torch" in entry[0]
    monkeypatch.setattr(sparse, "_calibrate", lambda: pytest.fail("measured again"))
    sparse._remembered.cache_clear()
    assert sparse.sparse_below() == measured
    (tmp_path / "sparse_below.json").write_text("{ not json")
    monkeypatch.setattr(sparse, "_calibrate", lambda: 0.25)
    sparse._remembered.cache_clear()
    assert sparse.sparse_below() == 0.25
    sparse._remembered.cache_clear()


def test_the_environment_overrules_and_numba_may_be_missing(monkeypatch):
    monkeypatch.setenv("LTHLAB_SPARSE_BELOW", "0.125")
    assert sparse.sparse_below() == 0.125
    monkeypatch.setattr(kernels, "numba", None)
    assert sparse.sparse_below() == 0.125


def test_without_numba_torchs_own_sparse_products_train(tiny, monkeypatch):
    monkeypatch.setattr(kernels, "numba", None)
    model = build_model("mlp-8-6", tiny)
    with sparse_below_is(0.5):
        assert type(choose_step(model, some_masks(model, 0.3), 20)) is SparseByTorch
        assert type(choose_step(model, some_masks(model, 0.6), 20)) is ByHand
    assert 0 <= sparse._calibrate() <= 0.9


def test_where_torch_has_no_sparse_products_training_is_dense(monkeypatch, tmp_path):
    def fail(*_):
        raise RuntimeError("Calling addmm on a sparse CPU tensor requires compiling PyTorch with MKL")

    monkeypatch.delenv("LTHLAB_SPARSE_BELOW")
    monkeypatch.setattr(kernels, "numba", None)
    monkeypatch.setattr(_common.platformdirs, "user_cache_dir", lambda name: str(tmp_path))
    monkeypatch.setattr(sparse, "sparse_step", fail)
    sparse._remembered.cache_clear()
    assert sparse.sparse_below() == 0
    sparse._remembered.cache_clear()


def test_measuring_touches_no_randomness():
    before = torch.get_rng_state()
    sparse._calibrate()
    assert torch.equal(torch.get_rng_state(), before)


def test_loss_is_the_mean_cross_entropy(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = masked(model, 0.5)
    x, y = tiny.train.x[:20], tiny.train.y[:20]
    loss = Sparse(model, chain_of(model), masks, 20)(x, y)
    assert loss == pytest.approx(float(F.cross_entropy(model(x), y)))


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 0.5), st.integers(0, 999))
def test_the_compact_network_has_the_same_outputs(tiny, keep, seed):
    model = build_model("mlp-8-6-5", tiny, seed=seed)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    masks = masked(model, keep, seed)
    small = compact(model, masks)
    torch.testing.assert_close(small(tiny.test.x), model(tiny.test.x), atol=1e-5, rtol=1e-5)
    assert sum(p.numel() for p in small.parameters()) <= sum(p.numel() for p in model.parameters())


def test_compacting_by_hand():
    model = chain(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 5, 0]]))
        model[1].bias.copy_(torch.tensor([0.5, 2.0, 1.0]))
        model[3].weight.copy_(torch.tensor([[1.0, 3, 0], [0, 1, 0]]))
        model[3].bias.copy_(torch.tensor([10.0, 20.0]))
    masks = {name: w != 0 for name, w in model.named_parameters() if w.dim() == 2}
    small = compact(model, masks)
    # Neuron 1 is fed nothing: its value 2 moves on. Neuron 2 feeds nothing, and so input 1 is not needed.
    assert small[1].features.tolist() == [0]
    assert small[2].weight.tolist() == [[1]] and small[2].bias.tolist() == [0.5]
    assert small[4].weight.tolist() == [[1], [0]] and small[4].bias.tolist() == [16, 22]


def test_only_chains_can_be_compacted(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    with pytest.raises(TypeError, match="ResNet is not a plain chain"):
        compact(model, full_masks(model))


def test_compiled_code_is_not_cached_on_disk():
    # Two processes that compile at once can swap the files of numba's cache: wrong code, and a damaged heap.
    assert [kernel.stats.cache_path for kernel in kernels.compile_for(32)] == [None] * 3
