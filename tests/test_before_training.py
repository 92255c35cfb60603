"""Masks found before training: each score against its plain definition, counts, and the race of one's own score."""

import copy
import warnings

import pytest
import torch
from helpers import some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lthlab.arms import ARMS, BEFORE_TRAINING, before_training
from lthlab.experiments import run_experiment
from lthlab.masks import apply_masks_, count_kept, density, full_masks, layer_densities, overlap, prunable_weights
from lthlab.models import build_model
from lthlab.pruning import draw_batch, erk_densities, grasp, magnitude, prune, prune_at_init, snip, synflow
from lthlab.recipes import Recipe
from lthlab.run import Run

DATA_SCORES = {"snip": snip, "grasp": grasp, "synflow": synflow}
NETWORKS = ["mlp-5-3", "resnet1d-2", "resnet-8"]


def network_and_batch(name, tiny, tiny_signals, cifar_shaped, count=12):
    dataset = tiny if name.startswith("mlp") else tiny_signals if name.startswith("resnet1d") else cifar_shaped
    x, y = draw_batch(dataset.train, count, seed=1)
    return build_model(name, dataset, seed=3).double(), (x.double(), y)


def test_snip_is_the_change_of_the_loss_with_each_connection(tiny):
    model = build_model("mlp-5-3", tiny, seed=2).double()
    x, y = tiny.train.x[:20].double(), tiny.train.y[:20]
    scores, small = snip(model, (x, y)), 1e-5
    for name, weight in prunable_weights(copy.deepcopy(model)).items():
        for place in range(0, weight.numel(), 3):
            losses = []
            for connection in (1 + small, 1 - small):  # c in L(c * w), by central differences
                changed = copy.deepcopy(model)
                with torch.no_grad():
                    prunable_weights(changed)[name].view(-1)[place] *= connection
                    losses.append(F.cross_entropy(changed(x), y))
            slope = float(losses[0] - losses[1]) / (2 * small)
            assert float(scores[name].flatten()[place]) == pytest.approx(abs(slope), rel=1e-4, abs=1e-9)


def test_grasp_is_weight_times_hessian_times_gradient(tiny):
    model = build_model("mlp-3", tiny, seed=2).double()
    x, y = tiny.train.x[:20].double(), tiny.train.y[:20]
    names = [*prunable_weights(model)]
    shapes = [prunable_weights(model)[name].shape for name in names]
    flat = torch.cat([prunable_weights(model)[name].detach().flatten() for name in names])

    def loss(flat):
        parts = [p.view(s) for p, s in zip(flat.split([s.numel() for s in shapes]), shapes, strict=True)]
        return F.cross_entropy(
            torch.func.functional_call(model, dict(zip(names, parts, strict=True)), x) / temperature, y
        )

    for temperature in (1.0, 200.0):
        expected = flat * (torch.func.hessian(loss)(flat) @ torch.func.grad(loss)(flat))
        scores = grasp(model, (x, y)) if temperature == 200 else grasp(model, (x, y), temperature)
        found = torch.cat([scores[name].flatten() for name in names])
        assert torch.allclose(found, expected, rtol=1e-8, atol=1e-18)
        assert (found < 0).any() and (found > 0).any()


def test_grasp_keeps_what_the_gradient_needs(tiny):
    """Removing the weight of the lowest score makes the gradient's norm grow most, to first order."""
    model = build_model("mlp-3", tiny, seed=2).double()
    batch = tiny.train.x[:20].double(), tiny.train.y[:20]
    scores = torch.cat([s.flatten() for s in grasp(model, batch, 1.0).values()])

    def norm_after(place, shrink=1e-4):
        changed = copy.deepcopy(model)
        weights = prunable_weights(changed)
        with torch.no_grad():
            for weight in weights.values():
                if place < weight.numel():
                    weight.view(-1)[place] *= 1 - shrink
                    break
                place -= weight.numel()
        loss = F.cross_entropy(changed(batch[0]), batch[1])
        return sum(float(g.square().sum()) for g in torch.autograd.grad(loss, [*weights.values()]))

    assert norm_after(int(scores.argmin())) > norm_after(int(scores.argmax()))


def test_synflow_is_a_sum_over_paths_that_every_layer_conserves(tiny):
    model = build_model("mlp-5-3", tiny, seed=2)
    scores = synflow(model, (tiny.train.x[:7], tiny.train.y[:7]))
    one, two, three = (w.detach().double().abs() for w in prunable_weights(model).values())
    flow = float((three @ two @ one).sum())  # all paths from an input of ones to the sum of the outputs
    for layer in scores.values():
        assert float(layer.sum()) == pytest.approx(flow, rel=1e-9)  # Tanaka et al. 2020, theorem 2
    into, out_of = scores["fc1.weight"].sum(1), scores["fc2.weight"].sum(0)
    assert torch.allclose(into, out_of, rtol=1e-9)  # theorem 1, neuron by neuron
    path = float(one[2, 4] * (three @ two)[:, 2].sum())
    assert float(scores["fc1.weight"][2, 4]) == pytest.approx(path)
    other = synflow(model, (5 * torch.randn(3, 1, 4, 4), tiny.train.y[:3]))
    assert states_equal(scores, other)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("score", DATA_SCORES)
def test_scores_fit_every_network_and_change_nothing(score, name, tiny, tiny_signals, cifar_shaped):
    model, batch = network_and_batch(name, tiny, tiny_signals, cifar_shaped)
    apply_masks_(model, masks := some_masks(model, 0.7))
    model.eval()
    before, randomness = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    scores = DATA_SCORES[score](model, batch)
    assert list(scores) == list(masks)
    for layer, values in scores.items():
        assert values.shape == masks[layer].shape and values.isfinite().all() and not values.requires_grad
        assert (values[~masks[layer]] == 0).all() and values[masks[layer]].count_nonzero() > 0
    assert states_equal(before, model.state_dict()) and torch.equal(randomness, torch.get_rng_state())
    assert not any(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("score", [snip, grasp])
def test_batchnorm_is_scored_with_the_statistics_of_the_batch(score, tiny_signals):
    model, batch = build_model("resnet1d-2", tiny_signals), draw_batch(tiny_signals.train, 20)
    x, y = batch
    model.eval().norm.running_var.fill_(50.0)  # what it happens to remember does not count
    fresh = build_model("resnet1d-2", tiny_signals).train()
    assert states_equal(score(model, batch), score(fresh, batch))
    if score is snip:
        weights = prunable_weights(fresh)
        gradients = torch.autograd.grad(F.cross_entropy(fresh(x), y), [*weights.values()])
        expected = {n: (w * g).detach().abs() for (n, w), g in zip(weights.items(), gradients, strict=True)}
        assert states_equal(score(model, batch), expected)


def test_dropout_in_a_scored_network_leaves_the_random_state_alone(tiny):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(), nn.Linear(8, 4))
    before = torch.get_rng_state()
    snip(model, draw_batch(tiny.train, 20))
    assert torch.equal(before, torch.get_rng_state())


def test_frozen_weights_are_scored_too(tiny):
    model, batch = build_model("mlp-5", tiny).requires_grad_(False), draw_batch(tiny.train, 20)
    assert states_equal(snip(model, batch), snip(copy.deepcopy(model).requires_grad_(True), batch))


@given(st.floats(0.02, 1), st.integers(1, 7))
def test_exactly_the_asked_number_is_kept_and_each_step_keeps_a_part_of_the_last(tiny, kept, steps):
    model, seen = build_model("mlp-8-6", tiny), []

    def score(network, batch):
        seen.append({name: weight != 0 for name, weight in prunable_weights(network).items()})
        return magnitude(network)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks = prune_at_init(model, score, None, kept, steps)
    total = count_kept(full_masks(model))
    assert count_kept(masks) == round(total * kept)
    assert len(seen) == steps
    for number, (earlier, later) in enumerate(zip(seen, [*seen[1:], masks], strict=True), 1):
        assert count_kept(later) == round(total * kept ** (number / steps))  # Tanaka et al. 2020, algorithm 1
        assert all((later[name] <= earlier[name]).all() for name in masks)


def test_one_step_is_one_global_pruning_and_the_model_stays(tiny):
    model, batch = build_model("mlp-8-6", tiny), draw_batch(tiny.train, 40)
    before = copy.deepcopy(model.state_dict())
    total = count_kept(full_masks(model))
    expected = prune(snip(model, batch), full_masks(model), 1 - round(total * 0.3) / total, "global")
    assert states_equal(prune_at_init(model, snip, batch, 0.3), expected)
    assert states_equal(before, model.state_dict())


def test_synflow_in_many_steps_keeps_every_layer_where_magnitude_loses_one(tiny):
    model, batch = build_model("mlp-40-40-40", tiny, seed=1), draw_batch(tiny.train, 20)
    model.fc2.weight.data.mul_(0.1)  # a layer of small values
    with pytest.warns(UserWarning, match=r"Layer collapse: no weight of fc2\.weight is left"):
        collapsed = prune_at_init(model, magnitude, batch, 0.01)
    assert layer_densities(collapsed)["fc2.weight"] == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = prune_at_init(model, synflow, batch, 0.01, steps=100)
    assert min(layer_densities(whole).values()) > 0 and count_kept(whole) == count_kept(collapsed)


@pytest.mark.parametrize("asked", [0, -0.1, 1.5])
def test_impossible_densities_are_refused(tiny, asked):
    with pytest.raises(ValueError, match="A density is a fraction above 0"):
        prune_at_init(build_model("mlp-5", tiny), snip, draw_batch(tiny.train), asked)


@pytest.mark.parametrize(
    "returned, said",
    [
        (lambda weights: None, "got nothing .is a `return` missing"),
        (lambda weights: [*weights.values()], "got a list"),
        (lambda weights: dict.fromkeys(weights, 1.0), "got a dict that holds other things than tensors"),
        (lambda weights: {"fc1.weight": weights["fc1.weight"]}, "Scores are for fc1.weight; masks for"),
        (lambda weights: {n: w.sum(0) for n, w in weights.items()}, "have shape .16,., its mask .5, 16."),
        (lambda weights: {n: w / 0 for n, w in weights.items()}, "not finite"),
    ],
)
def test_a_readers_wrong_score_is_named(tiny, returned, said):
    def my_score(model, batch):
        return returned({name: w.detach().abs() for name, w in prunable_weights(model).items()})

    with pytest.raises(ValueError, match=said):
        prune_at_init(build_model("mlp-5", tiny), my_score, draw_batch(tiny.train), 0.5)


def test_scores_that_still_carry_gradients_are_welcome(tiny):
    def my_score(model, batch):
        return {name: weight**2 for name, weight in prunable_weights(model).items()}

    model = build_model("mlp-5", tiny)
    assert states_equal(prune_at_init(model, my_score, None, 0.3), prune_at_init(model, magnitude, None, 0.3))


def test_erk_worked_out_by_hand():
    masks = {"a": torch.ones(10, 40, dtype=torch.bool), "b": torch.ones(5, 10, dtype=torch.bool)}
    # (10 + 40) / 400 = 1/8 and (5 + 10) / 50 = 3/10; scale * (50 + 15) = 0.1 * 450
    found = erk_densities(masks, 0.1)
    assert found == pytest.approx({"a": 45 / 65 / 8, "b": 45 / 65 * 0.3})
    # at 0.5 the rule would give b 225 / 65 * 0.3 > 1: b is full, and a has the other 175 of 225
    assert erk_densities(masks, 0.5) == pytest.approx({"a": 175 / 400, "b": 1.0})
    kernel = {"c": torch.ones(4, 2, 3, 3, dtype=torch.bool), "d": torch.ones(6, 12, dtype=torch.bool)}
    found = erk_densities(kernel, 0.2)  # (4 + 2 + 3 + 3) / 72 and (6 + 12) / 72
    assert found["c"] / found["d"] == pytest.approx(12 / 18)


@given(st.floats(0.001, 1), st.integers(0, 99))
def test_erk_densities_are_possible_and_make_the_asked_one(kept, seed):
    sizes = torch.randint(1, 40, (3, 2), generator=torch.Generator().manual_seed(seed)).tolist()
    masks = {str(n): torch.ones(size, dtype=torch.bool) for n, size in enumerate(sizes)}
    found = erk_densities(masks, kept)
    assert all(0 < d <= 1 + 1e-9 for d in found.values())
    total = sum(m.numel() for m in masks.values())
    assert sum(found[n] * m.numel() for n, m in masks.items()) == pytest.approx(kept * total)


def test_overlap_counts_what_both_keep():
    one = {"a": torch.tensor([[True, True, False], [True, True, False]])}
    other = {"a": torch.tensor([[True, False, True], [False, False, False]])}
    assert overlap(one, other) == overlap(other, one) == 1 / 4
    assert overlap(one, one) == 1 and overlap(one, {"a": ~one["a"]}) == 0


def test_batches_are_drawn_by_seed_with_their_labels(tiny):
    x, y = draw_batch(tiny.train, 30, seed=4)
    again, other = draw_batch(tiny.train, 30, seed=4), draw_batch(tiny.train, 30, seed=5)
    assert torch.equal(x, again[0]) and not torch.equal(x, other[0])
    places = [(tiny.train.x == example).flatten(1).all(1).nonzero().item() for example in x]
    assert len(set(places)) == 30 and torch.equal(tiny.train.y[places], y)


# The arms of the race.

RECIPE = Recipe("sgd", 0.1, 0.9, duration="40it", batch_size=20)


@pytest.fixture
def run(tiny, tmp_path):
    return Run("mlp-8-6", tiny, RECIPE, 0, 0, (), tmp_path, 0.5)


def test_arms_before_training_have_the_tickets_density_and_make_no_ticket(tiny, tmp_path):
    arms = [*BEFORE_TRAINING, "ERK", "RigL", "SET", "Early-Bird"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No mask of density")
        table = run_experiment("mlp-8-6", tiny, RECIPE, arms=arms, seeds=[0], levels=3, control_levels=[1, 3],
                               folder=tmp_path, n_jobs=1, progress=False)  # fmt: skip
        tickets = run_experiment("mlp-8-6", tiny, RECIPE, arms=["ticket", "magnitude after training"], seeds=[0],
                                 levels=3, n_jobs=1, progress=False)  # fmt: skip
    assert not [*tmp_path.rglob("ticket")] and not [*tmp_path.rglob("dense")]
    total = count_kept(full_masks(build_model("mlp-8-6", tiny)))
    for level in (1, 3):
        (expected,) = set(tickets[tickets["level"] == level]["density"])
        found = table[table["level"] == level].groupby("arm")["density"].first()
        assert len(found) == len(arms)
        assert ((found - expected).abs() * total < 3).all()  # ERK rounds in each layer
        assert (found[[*BEFORE_TRAINING]] == expected).all()


@pytest.mark.parametrize("name", BEFORE_TRAINING)
def test_sanity_checks_change_exactly_one_thing(name, run, tiny):
    score, steps = BEFORE_TRAINING[name]
    plain = ARMS[name](run, 1, 3)
    model = build_model("mlp-8-6", tiny, 1)
    batch = draw_batch(tiny.train, 40, 1)
    assert states_equal(plain.masks, prune_at_init(model, score, batch, run.density(3), steps))
    assert states_equal(plain.snapshot.model, dict(model.state_dict())) and plain.snapshot.step == 0

    shuffled = ARMS[f"{name}, shuffled"](run, 1, 3)
    assert layer_densities(shuffled.masks) == layer_densities(plain.masks) and overlap(shuffled.masks, plain.masks) < 1
    assert states_equal(shuffled.snapshot.model, plain.snapshot.model)

    fresh = ARMS[f"{name}, reinitialised"](run, 1, 3)
    assert states_equal(fresh.masks, plain.masks)
    kept = {layer: values[plain.masks[layer]] for layer, values in prunable_weights(model).items()}
    new = {layer: fresh.snapshot.model[layer][plain.masks[layer]] for layer in kept}
    assert all(not torch.isin(new[layer], kept[layer]).any() for layer in kept)

    upside_down = ARMS[f"{name}, inverted"](run, 1, 3)
    assert density(upside_down.masks) == density(plain.masks)
    if steps == 1:
        low = {layer: -values for layer, values in score(model, batch).items()}
        assert states_equal(upside_down.masks, prune_at_init(model, lambda *_: low, batch, run.density(3)))
    assert states_equal(upside_down.snapshot.model, plain.snapshot.model)


def test_magnitude_after_training_prunes_the_trained_network_once(tiny, tmp_path):
    options = {"folder": tmp_path, "n_jobs": 1, "progress": False, "evaluate_every": 0}
    run_experiment("mlp-8-6", tiny, RECIPE, arms=["dense"], seeds=[0], levels=3, **options)
    run = Run("mlp-8-6", tiny, RECIPE, 0, 0, (), tmp_path, 0.5)
    start, trained = ARMS["magnitude after training"](run, 0, 3), run.trained("dense", 0, 0)
    assert states_equal(start.snapshot.model, trained) and start.snapshot.step == 0
    for name, mask in start.masks.items():
        sizes = trained[name].abs()
        assert float(sizes[mask].min()) >= float(sizes[~mask].max())
    assert density(start.masks) == run.density(3)


def test_a_readers_score_races_with_one_line(monkeypatch, tiny):
    def my_score(model, batch):
        return magnitude(model)

    monkeypatch.setitem(ARMS, "my score", before_training(my_score))
    table = run_experiment("mlp-8-6", tiny, RECIPE, arms=["magnitude at init", "my score"], seeds=range(2), levels=2,
                           control_levels=[2], n_jobs=2, progress=False)  # fmt: skip
    one, other = (
        table.query("arm == @arm", local_dict={"arm": arm})["value"].tolist() for arm in table["arm"].unique()
    )
    assert one == other and len(one) > 2
