"""Masks found before training: each score against its definition, counts, and the race's arms."""

import copy
import warnings

import pytest
import torch
from helpers import some_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import lthlab
from lthlab.arms import ARMS, before_training
from lthlab.experiments import run_experiment
from lthlab.layerwise import erk_densities
from lthlab.levels import Past, Setting, run_level
from lthlab.masks import (
    apply_masks_,
    count_kept,
    density,
    full_masks,
    layer_densities,
    overlap,
    prunable_weights,
)
from lthlab.models import build_model
from lthlab.pruning import (
    draw_batch,
    grasp,
    inverted,
    magnitude,
    obd,
    prune,
    prune_at_init,
    random,
    snip,
    synflow,
)
from lthlab.recipes import Recipe
from lthlab.tickets import find_ticket
from lthlab.training import train

SCORES = {
    "magnitude": magnitude,
    "random": random,
    "obd": obd,
    "snip": snip,
    "grasp": grasp,
    "synflow": synflow,
}
DATA_SCORES = {"snip": snip, "grasp": grasp, "synflow": synflow}
NETWORKS = ["mlp-5-3", "resnet1d-2", "resnet-8"]
# The arms of the race with a score each, and in how many steps they prune.
BEFORE_TRAINING = {
    "magnitude at init": (magnitude, 1),
    "SNIP": (snip, 1),
    "GraSP": (grasp, 1),
    "SynFlow": (synflow, 100),
}


def network_and_batch(name, tiny, tiny_signals, cifar_shaped, count=12):
    datasets = {"mlp-5-3": tiny, "resnet1d-2": tiny_signals, "resnet-8": cifar_shaped}
    dataset = datasets[name]
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
            assert float(scores[name].flatten()[place]) == pytest.approx(
                abs(slope), rel=1e-4, abs=1e-9
            )


def test_grasp_is_weight_times_hessian_times_gradient(tiny):
    model = build_model("mlp-3", tiny, seed=2).double()
    x, y = tiny.train.x[:20].double(), tiny.train.y[:20]
    names = [*prunable_weights(model)]
    shapes = [prunable_weights(model)[name].shape for name in names]
    flat = torch.cat([prunable_weights(model)[name].detach().flatten() for name in names])

    def loss(flat):
        parts = zip(names, shapes, flat.split([s.numel() for s in shapes]), strict=True)
        values = {name: part.view(shape) for name, shape, part in parts}
        return F.cross_entropy(torch.func.functional_call(model, values, x) / temperature, y)

    for temperature in (1.0, 200.0):
        expected = flat * (torch.func.hessian(loss)(flat) @ torch.func.grad(loss)(flat))
        scores = grasp(model, (x, y), temperature=temperature)
        found = torch.cat([scores[name].flatten() for name in names])
        assert torch.allclose(found, expected, rtol=1e-8, atol=1e-18)
        assert (found < 0).any() and (found > 0).any()
    assert states_equal(grasp(model, (x, y)), scores)  # 200, as in the authors' code


def test_grasp_keeps_what_the_gradient_needs(tiny):
    """Without the weight of the lowest score the gradient's norm grows most, to first order."""
    model = build_model("mlp-3", tiny, seed=2).double()
    batch = tiny.train.x[:20].double(), tiny.train.y[:20]
    scores = torch.cat([s.flatten() for s in grasp(model, batch, temperature=1.0).values()])

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
    model = build_model("mlp-5-3", tiny, seed=2).double()
    scores = synflow(model, (tiny.train.x[:7].double(), tiny.train.y[:7]))
    one, two, three = (w.detach().abs() for w in prunable_weights(model).values())
    # All paths from an input of ones to the sum of the outputs.
    flow = float((three @ two @ one).sum())
    for layer in scores.values():
        assert float(layer.sum()) == pytest.approx(flow, rel=1e-9)  # Tanaka et al. 2020, theorem 2
    into, out_of = scores["fc1.weight"].sum(1), scores["fc2.weight"].sum(0)
    assert torch.allclose(into, out_of, rtol=1e-9)  # theorem 1, neuron by neuron
    path = float(one[2, 4] * (three @ two)[:, 2].sum())
    assert float(scores["fc1.weight"][2, 4]) == pytest.approx(path)
    other = synflow(model, (5 * torch.randn(3, 1, 4, 4).double(), tiny.train.y[:3]))
    assert states_equal(scores, other)


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_synflow_is_a_double_loop_over_what_flows_in_and_out(dtype, rel, tiny):
    """|w_ij| times what reaches input j times what output i passes on, in plain Python numbers.

    It comes back in the model's own precision and on its device, also where that has no doubles.
    """
    model = build_model("mlp-5-3", tiny, seed=2)
    with torch.no_grad():  # the biases flow, too
        for layer in (model.fc1, model.fc2, model.out):
            layer.bias.normal_(generator=torch.Generator().manual_seed(3))
    model = model.to(dtype)
    layers = [model.fc1, model.fc2, model.out]
    weights = [layer.weight.detach().double().abs().tolist() for layer in layers]
    biases = [layer.bias.detach().double().abs().tolist() for layer in layers]

    def times(matrix, vector):
        return [sum(w * x for w, x in zip(row, vector, strict=True)) for row in matrix]

    arrives, leaves = [[1.0] * 16], [[1.0] * 4]
    for weight, bias in zip(weights, biases, strict=True):
        into = times(weight, arrives[-1])
        arrives.append([x + b for x, b in zip(into, bias, strict=True)])
    for weight in reversed(weights):
        leaves.insert(0, times(zip(*weight, strict=True), leaves[0]))
    scores = synflow(model, (tiny.train.x[:3].to(dtype), tiny.train.y[:3]))
    for number, (name, parameter) in enumerate(prunable_weights(model).items()):
        assert scores[name].dtype == dtype and scores[name].device == parameter.device
        for i, row in enumerate(weights[number]):
            for j, w in enumerate(row):
                expected = w * arrives[number][j] * leaves[number + 1][i]
                assert float(scores[name][i, j]) == pytest.approx(expected, rel=rel)


def test_synflow_bears_a_flow_that_no_single_precision_holds(tiny):
    deep = build_model("mlp" + 60 * "-40", tiny, seed=1)
    batch = draw_batch(tiny.train, 4)
    scores, exact = (
        synflow(deep, batch),
        synflow(copy.deepcopy(deep).double(), (batch[0].double(), batch[1])),
    )
    (largest,) = {round(float(values.sum().log10()), 6) for values in exact.values()}
    assert largest > 39  # float32 ends at 3.4e38
    ratio = None
    for name, values in scores.items():
        assert values.dtype == torch.float32 and values.isfinite().all()
        ratio = ratio or float(exact[name].sum() / values.double().sum())
        assert torch.allclose(values.double() * ratio, exact[name], rtol=1e-5)  # one divisor


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
        assert values.shape == masks[layer].shape and values.isfinite().all()
        assert not values.requires_grad
        assert (values[~masks[layer]] == 0).all() and values[masks[layer]].count_nonzero() > 0
    assert states_equal(before, model.state_dict())
    assert torch.equal(randomness, torch.get_rng_state())
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
        pairs = zip(weights.items(), gradients, strict=True)
        expected = {name: (weight * g).detach().abs() for (name, weight), g in pairs}
        assert states_equal(score(model, batch), expected)


def test_dropout_in_a_scored_network_leaves_the_random_state_alone(tiny):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(), nn.Linear(8, 4))
    before = torch.get_rng_state()
    snip(model, draw_batch(tiny.train, 20))
    assert torch.equal(before, torch.get_rng_state())


def everything_at_once(dataset, seed) -> nn.Module:
    """A network with all that a score might disturb: running statistics, noise, a frozen layer."""
    layers = nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 4)
    model = nn.Sequential(nn.Flatten(), *layers)
    model[1].bias.requires_grad_(False)
    model[3].eval()
    return model


@pytest.mark.parametrize("score", SCORES)
def test_every_score_is_called_the_same_way_and_changes_nothing(score, tiny):
    model, batch = build_model(everything_at_once, tiny, seed=1), draw_batch(tiny.train, 20)
    model(tiny.train.x).sum().backward()
    model[5].weight.grad = None
    modes = [module.training for module in model.modules()]
    frozen = [parameter.requires_grad for parameter in model.parameters()]
    before, inputs = copy.deepcopy(model.state_dict()), copy.deepcopy(batch)
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    randomness = torch.get_rng_state()
    scores = SCORES[score](model, batch, seed=5)
    assert list(scores) == ["1.weight", "5.weight"]
    for name, weight in prunable_weights(model).items():
        assert scores[name].shape == weight.shape and scores[name].dtype == weight.dtype
        assert scores[name].isfinite().all() and not scores[name].requires_grad
        assert scores[name].data_ptr() != weight.data_ptr()
    assert states_equal(scores, SCORES[score](model, batch, seed=5))
    assert states_equal(before, model.state_dict()) and states_equal(inputs, batch)
    assert modes == [module.training for module in model.modules()]
    assert frozen == [parameter.requires_grad for parameter in model.parameters()]
    assert states_equal(gradients, [p.grad for p in model.parameters()])
    assert torch.equal(randomness, torch.get_rng_state())


@pytest.mark.parametrize("score", SCORES)
def test_every_score_prunes_at_initialisation(score, tiny):
    model, batch = build_model("mlp-8-6", tiny), draw_batch(tiny.train, 40)
    masks = prune_at_init(model, SCORES[score], batch, 0.3, seed=4)
    assert count_kept(masks) == round(0.3 * count_kept(full_masks(model)))
    values = SCORES[score](model, batch, seed=4)
    kept = torch.cat([values[name][mask] for name, mask in masks.items()])
    dropped = torch.cat([values[name][~mask] for name, mask in masks.items()])
    assert kept.min() >= dropped.max()


@pytest.mark.parametrize("score", SCORES)
def test_every_score_finds_tickets_of_its_own(score, tiny):
    """Each level is the plain loop: score what was trained, drop a fifth, rewind, train again."""
    model, seed = build_model("mlp-8-6", tiny, seed=2), 7
    found = find_ticket(model, tiny, RECIPE, levels=2, score=SCORES[score], seed=seed)
    trained, masks = copy.deepcopy(model), full_masks(model)
    batch = draw_batch(tiny.train, 40, seed)
    for level in (1, 2):
        train(trained, tiny, RECIPE, masks, seed=seed, step="fast")
        values = SCORES[score](trained, batch, seed=seed)
        masks = prune(values, masks, {"fc1.weight": 0.2, "fc2.weight": 0.2, "out.weight": 0.1})
        assert states_equal(found.levels[level].masks, masks)
        trained = apply_masks_(copy.deepcopy(model), masks)


def test_a_random_ticket_takes_the_seed_of_its_run(tiny):
    model, rates = (
        build_model("mlp-8-6", tiny),
        RECIPE.rates(full_masks(build_model("mlp-8-6", tiny))),
    )
    masks = {}
    for seed in (3, 4):
        ticket = find_ticket(model, tiny, RECIPE, levels=2, score=random, seed=seed)
        masks[seed], second = ticket.levels[1].masks, ticket.levels[2].masks
        # Chance looks at no weight, so the masks are those of the seed alone, nested over levels.
        assert states_equal(masks[seed], prune(random(model, seed=seed), full_masks(model), rates))
        assert states_equal(second, prune(random(model, seed=seed), masks[seed], rates))
    assert not states_equal(masks[3], masks[4])


def test_prune_at_init_hands_its_seed_to_the_score(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = [prune_at_init(model, random, None, 0.5, seed=seed) for seed in (3, 3, 4)]
    assert states_equal(masks[0], masks[1]) and not states_equal(masks[0], masks[2])
    expected = prune(random(model, seed=3), full_masks(model), 0.5, "global")
    assert states_equal(masks[0], expected)


def test_inverted_prunes_first_what_the_score_keeps_longest(tiny):
    model, batch = build_model("mlp-8-6", tiny), draw_batch(tiny.train, 40)
    best = prune_at_init(model, snip, batch, 0.25)
    worst = prune_at_init(model, inverted(snip), batch, 0.75)
    for name, mask in best.items():
        assert torch.equal(worst[name], ~mask)
    upside_down = inverted(random)(model, batch, seed=3)
    assert states_equal(upside_down, {n: -s for n, s in random(model, seed=3).items()})


def test_frozen_weights_are_scored_too(tiny):
    model, batch = build_model("mlp-5", tiny).requires_grad_(False), draw_batch(tiny.train, 20)
    thawed = copy.deepcopy(model).requires_grad_(True)
    for score in SCORES.values():
        assert states_equal(score(model, batch), score(thawed, batch))


@given(st.floats(0.02, 1), st.integers(1, 7))
def test_exactly_the_asked_number_is_kept_and_each_step_keeps_a_part_of_the_last(tiny, kept, steps):
    model, seen = build_model("mlp-8-6", tiny), []

    def score(network, batch, *, seed):
        seen.append({name: weight != 0 for name, weight in prunable_weights(network).items()})
        return magnitude(network)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks = prune_at_init(model, score, None, kept, steps)
    total = count_kept(full_masks(model))
    assert count_kept(masks) == round(total * kept)
    assert len(seen) == steps
    for number, (earlier, later) in enumerate(zip(seen, [*seen[1:], masks], strict=True), 1):
        # Tanaka et al. 2020, algorithm 1
        assert count_kept(later) == round(total * kept ** (number / steps))
        assert all((later[name] <= earlier[name]).all() for name in masks)


def test_one_step_is_one_global_pruning_and_the_model_stays(tiny):
    model, batch = build_model("mlp-8-6", tiny), draw_batch(tiny.train, 40)
    before = copy.deepcopy(model.state_dict())
    total = count_kept(full_masks(model))
    fraction = 1 - round(total * 0.3) / total
    expected = prune(snip(model, batch), full_masks(model), fraction, "global")
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
    with pytest.raises(ValueError, match="density is a fraction above 0"):
        prune_at_init(build_model("mlp-5", tiny), snip, draw_batch(tiny.train), asked)


@pytest.mark.parametrize(
    ("asked", "steps"), [(0.5, 0), (0.5, -3), (1e-9, 1), (1e-9, 10), (1e-4, 10), (0.002, 1)]
)
def test_prunings_that_keep_nothing_or_never_happen_are_refused(asked, steps, tiny):
    model = build_model("mlp-8-6", tiny)  # 200 weights
    for score in (magnitude, synflow):
        with pytest.raises(
            ValueError, match="leaves at least one of 200|steps is a whole number from 1"
        ):
            prune_at_init(model, score, draw_batch(tiny.train), asked, steps)


def test_the_last_weight_is_still_a_pruning(tiny):
    model = build_model("mlp-8-6", tiny)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer collapse")
        for steps in (1, 10):
            masks = prune_at_init(model, magnitude, None, 1 / 200, steps)
            assert count_kept(masks) == 1


@pytest.mark.parametrize(
    "returned, said",
    [
        (lambda weights: None, "scores is .*got None .is a `return` missing"),
        (
            lambda weights: [*weights.values()],
            "scores is a list or dict, each item a tensor; got \\[torch",
        ),
        (lambda weights: dict.fromkeys(weights, 1.0), "is a tensor; got 1.0"),
        (
            lambda weights: {"fc1.weight": weights["fc1.weight"]},
            "scores are for fc1.weight; masks has",
        ),
        (
            lambda weights: {n: w.sum(0) for n, w in weights.items()},
            "must have .*.5, 16.; got torch.float32 of shape .16,.",
        ),
        (lambda weights: {n: w / 0 for n, w in weights.items()}, "not finite"),
    ],
)
def test_a_readers_wrong_score_is_named(tiny, returned, said):
    def my_score(model, batch, *, seed):
        return returned({name: w.detach().abs() for name, w in prunable_weights(model).items()})

    with pytest.raises(ValueError, match=said):
        prune_at_init(build_model("mlp-5", tiny), my_score, draw_batch(tiny.train), 0.5)


def test_scores_that_still_carry_gradients_are_welcome(tiny):
    def my_score(model, batch, *, seed):
        return {name: weight**2 for name, weight in prunable_weights(model).items()}

    model = build_model("mlp-5", tiny)
    expected = prune_at_init(model, magnitude, None, 0.3)
    assert states_equal(prune_at_init(model, my_score, None, 0.3), expected)


def test_erk_worked_out_by_hand():
    masks = {"a": torch.ones(10, 40, dtype=torch.bool), "b": torch.ones(5, 10, dtype=torch.bool)}
    # (10 + 40) / 400 = 1/8 and (5 + 10) / 50 = 3/10; scale * (50 + 15) = 0.1 * 450
    found = erk_densities(masks, 0.1)
    assert found == pytest.approx({"a": 45 / 65 / 8, "b": 45 / 65 * 0.3})
    # at 0.5 the rule would give b 225 / 65 * 0.3 > 1: b is full, and a has the other 175 of 225
    assert erk_densities(masks, 0.5) == pytest.approx({"a": 175 / 400, "b": 1.0})
    shapes = {"c": (4, 2, 3, 3), "d": (6, 12)}
    kernel = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
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


def past_of(name: str, tiny, finished=None) -> Past:
    """What an arm of seed 1 sees at level 3."""
    setting = Setting(lambda seed: build_model("mlp-8-6", tiny, seed), tiny, RECIPE)
    return Past(setting, finished or {}, name, ARMS[name].needs, seed=1, level=3)


def density_by_hand() -> float:
    """Three times a fifth of 16 x 8 and 8 x 6 weights goes, and a tenth of the output's 6 x 4."""
    kept = [128, 48, 24]
    for _ in range(3):
        kept = [n - round(rate * n) for n, rate in zip(kept, (0.2, 0.2, 0.1), strict=True)]
    return sum(kept) / 200


def test_arms_before_training_have_the_tickets_density_and_make_no_ticket(tiny, tmp_path):
    drawn = ["ERK", "smart ratio", "uniform random"]
    arms = [*BEFORE_TRAINING, *drawn, "gradual", "edge-popup", "RigL", "SET", "Early-Bird"]
    options = {"seeds": [0], "levels": 3, "n_jobs": 1, "progress": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No mask of density")
        controls = {"control_levels": [1, 3], "folder": tmp_path}
        table = run_experiment("mlp-8-6", tiny, RECIPE, arms=arms, **controls, **options)
    after = ["ticket", "magnitude after training"]
    tickets = run_experiment("mlp-8-6", tiny, RECIPE, arms=after, **options)
    made = {file.parent.name.split("-")[0] for file in tmp_path.rglob("*.safetensors")}
    assert made and not made & {"ticket", "dense"}
    total = count_kept(full_masks(build_model("mlp-8-6", tiny)))
    for level in (1, 3):
        (expected,) = set(tickets[tickets["level"] == level]["density"])
        found = table[table["level"] == level].groupby("arm")["density"].first()
        assert len(found) == len(arms)
        assert ((found - expected).abs() * total < 3).all()  # some round in each layer
        assert (found[[*BEFORE_TRAINING, "gradual"]] == expected).all()
    assert expected == density_by_hand()


@pytest.mark.filterwarnings("ignore:Layer collapse")  # inverted SynFlow has it by its nature
@pytest.mark.parametrize("name", BEFORE_TRAINING)
def test_sanity_checks_change_exactly_one_thing(name, tiny):
    score, steps = BEFORE_TRAINING[name]
    starts = {
        kind: ARMS[f"{name}{kind}"].function(past_of(f"{name}{kind}", tiny))
        for kind in ("", ", shuffled", ", reinitialised", ", inverted")
    }
    plain, shuffled, fresh, upside_down = starts.values()
    kept, model = density_by_hand(), build_model("mlp-8-6", tiny, 1)
    batch = draw_batch(tiny.train, 40, 1)
    assert states_equal(plain.masks, prune_at_init(model, score, batch, kept, steps))
    assert states_equal(plain.state.model, dict(model.state_dict())) and plain.state.step == 0
    assert density(plain.masks) == kept

    assert layer_densities(shuffled.masks) == layer_densities(plain.masks)
    assert overlap(shuffled.masks, plain.masks) < 1
    assert states_equal(shuffled.state.model, plain.state.model)

    assert states_equal(fresh.masks, plain.masks)
    for layer, values in prunable_weights(model).items():
        mask = plain.masks[layer]
        assert not torch.isin(fresh.state.model[layer][mask], values[mask]).any()

    assert density(upside_down.masks) == density(plain.masks)
    low = {layer: -values for layer, values in score(model, batch).items()}
    if steps == 1:
        expected = prune_at_init(model, lambda model, batch, seed: low, batch, kept)
        assert states_equal(upside_down.masks, expected)
    assert overlap(upside_down.masks, plain.masks) < overlap(shuffled.masks, plain.masks)
    assert states_equal(upside_down.state.model, plain.state.model)
    for start in starts.values():
        assert start.state.optimizer == {} and start.state.step == 0
        assert start.recipe is None and start.during is None


def test_magnitude_after_training_prunes_the_trained_network_once(tiny):
    finished = {}
    finished["dense", 1, 0] = run_level(
        Past(past_of("dense", tiny).setting, finished, "dense", (), seed=1, level=0),
        ARMS["dense"].function,
    )
    name = "magnitude after training"
    start = ARMS[name].function(past_of(name, tiny, finished))
    trained = finished["dense", 1, 0].trained
    assert not states_equal(trained, dict(build_model("mlp-8-6", tiny, 1).state_dict()))
    assert states_equal(start.state.model, trained) and start.state.step == 0
    sizes, kept = (
        torch.cat([part[layer].flatten() for layer in start.masks])
        for part in (trained, start.masks)
    )
    assert sizes[kept].abs().min() >= sizes[~kept].abs().max()  # in the whole network
    assert density(start.masks) == density_by_hand()


def test_a_readers_score_races_with_one_line(declared, tiny):
    def my_score(model, batch, *, seed):
        return magnitude(model)

    lthlab.arm("my score")(before_training(my_score))
    arms = ["magnitude at init", "my score"]
    options = {"levels": 2, "control_levels": [2], "n_jobs": 2, "progress": False}
    table = run_experiment("mlp-8-6", tiny, RECIPE, arms=arms, seeds=range(2), **options)
    rows = table.groupby("arm")["value"].agg(list)
    assert rows["magnitude at init"] == rows["my score"] and len(rows["my score"]) > 2
