"""Pruning: which weights go, how many exactly, and what Optimal Brain Damage predicts."""

import copy
import itertools
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune

from lthlab.masks import count_kept, full_masks, layer_densities, prunable_weights
from lthlab.models import build_model
from lthlab.pruning import draw_batch, magnitude, obd, prune, random
from lthlab.recipes import Recipe

LAYERS = {"a": (3, 4), "b": (2, 1, 3), "c": (1, 5)}


def bools(rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.bool)


def draw_case(seed: int, keep: float, distinct: bool):
    """Random masks and scores for three layers; with `distinct` false most scores are tied."""
    generator = torch.Generator().manual_seed(seed)
    masks = {name: torch.rand(shape, generator=generator) < keep for name, shape in LAYERS.items()}
    scores = {name: torch.rand(shape, generator=generator) for name, shape in LAYERS.items()}
    if not distinct:
        scores = {name: (3 * score).floor() for name, score in scores.items()}
    return masks, scores


def quietly(*arguments, **options):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer collapse")
        return prune(*arguments, **options)


def kept_and_dropped(scores, before, after):
    kept = torch.cat([scores[name][after[name]] for name in before])
    dropped = torch.cat([scores[name][before[name] & ~after[name]] for name in before])
    return kept, dropped


any_case = {"seed": st.integers(0, 10_000), "keep": st.floats(0, 1), "distinct": st.booleans()}


def test_a_matrix_that_one_can_check_by_eye():
    weight = torch.tensor([[0.1, -0.9, 0.3], [-0.2, 0.8, -0.4], [0.7, -0.5, 0.6]])
    model = nn.Linear(3, 3)
    with torch.no_grad():
        model.weight.copy_(weight)
    scores, masks = magnitude(model), full_masks(model)
    first = prune(scores, masks, 3 / 9)
    assert torch.equal(first["weight"], bools([[0, 1, 0], [0, 1, 1], [1, 1, 1]]))
    second = prune(scores, first, 0.5)
    assert torch.equal(second["weight"], bools([[0, 1, 0], [0, 1, 0], [1, 0, 0]]))
    assert torch.equal(masks["weight"], bools([[1, 1, 1]] * 3))


def test_a_5x5_matrix_loses_20_percent_of_what_is_left_at_each_level():
    rows = ([25, 3, 14, 8, 19], [6, 17, 1, 22, 11], [9, 20, 12, 4, 15], [2, 24, 7, 18, 10])
    scores = {"w": torch.tensor([*rows, [13, 5, 21, 16, 23]])}
    masks, left = {"w": torch.ones(5, 5, dtype=torch.bool)}, []
    for _ in range(4):
        masks = prune(scores, masks, 0.2)
        left.append(sorted(scores["w"][masks["w"]].tolist()))
    assert left == [list(range(lowest, 26)) for lowest in (6, 10, 13, 16)]


def test_scope_layer_spares_small_layers_and_scope_global_does_not():
    scores = {
        "small": torch.tensor([[0.1, 0.2, 0.3, 0.4]]),
        "large": torch.tensor([[1.0, 2.0, 3.0, 4.0]]),
    }
    masks = {name: torch.ones(1, 4, dtype=torch.bool) for name in scores}
    by_layer, together = prune(scores, masks, 0.25), prune(scores, masks, 0.375, scope="global")
    assert torch.equal(by_layer["small"], bools([[0, 1, 1, 1]]))
    assert torch.equal(by_layer["large"], bools([[0, 1, 1, 1]]))
    assert torch.equal(together["small"], bools([[0, 0, 0, 1]]))
    assert torch.equal(together["large"], bools([[1, 1, 1, 1]]))


def test_among_equal_scores_exactly_as_many_go_as_were_asked_for_the_first_ones():
    masks, scores = {"w": torch.ones(2, 5, dtype=torch.bool)}, {"w": torch.full((2, 5), 0.5)}
    for scope in ("layer", "global"):
        assert torch.equal(prune(scores, masks, 0.3, scope)["w"], bools([[0, 0, 0, 1, 1], [1] * 5]))


def test_weights_already_pruned_neither_count_nor_matter():
    masks = {"w": bools([[0, 0, 0, 0, 0, 0, 1, 1, 1, 1]])}
    scores = {"w": torch.tensor([[float("nan"), 0, 0, 0, float("inf"), 9, 4.0, 3.0, 2.0, 1.0]])}
    assert torch.equal(prune(scores, masks, 0.5)["w"], bools([[0, 0, 0, 0, 0, 0, 1, 1, 0, 0]]))


@given(**any_case, fraction=st.floats(0, 1))
def test_by_layer_exactly_the_rounded_share_goes_from_each_layer(seed, keep, distinct, fraction):
    masks, scores = draw_case(seed, keep, distinct)
    inputs = copy.deepcopy((masks, scores))
    pruned = quietly(scores, masks, fraction)
    for name, mask in masks.items():
        kept = int(mask.sum())
        assert int(pruned[name].sum()) == kept - round(fraction * kept)
        assert pruned[name].shape == mask.shape and pruned[name].dtype == torch.bool
        assert not (pruned[name] & ~mask).any()
        left, dropped = kept_and_dropped(scores, {name: mask}, pruned)
        if len(left) and len(dropped):
            assert left.min() >= dropped.max()
    for now, then in zip((masks, scores), inputs, strict=True):
        assert all(torch.equal(now[name], then[name]) for name in LAYERS)


@given(**any_case, fraction=st.floats(0, 1))
def test_globally_exactly_the_rounded_share_of_all_goes(seed, keep, distinct, fraction):
    masks, scores = draw_case(seed, keep, distinct)
    inputs = copy.deepcopy((masks, scores))
    pruned = quietly(scores, masks, fraction, scope="global")
    total = count_kept(masks)
    assert count_kept(pruned) == total - round(fraction * total)
    for name, mask in masks.items():
        assert pruned[name].shape == mask.shape
        assert not (pruned[name] & ~mask).any()
    left, dropped = kept_and_dropped(scores, masks, pruned)
    if len(left) and len(dropped):
        assert left.min() >= dropped.max()
    for now, then in zip((masks, scores), inputs, strict=True):
        assert all(torch.equal(now[name], then[name]) for name in LAYERS)


@given(**any_case, rates=st.fixed_dictionaries({name: st.floats(0, 1) for name in LAYERS}))
def test_every_layer_follows_its_own_rate(seed, keep, distinct, rates):
    masks, scores = draw_case(seed, keep, distinct)
    pruned = quietly(scores, masks, rates)
    for name, mask in masks.items():
        alone = quietly({name: scores[name]}, {name: mask}, rates[name])
        assert torch.equal(pruned[name], alone[name])


@given(seed=st.integers(0, 10_000), fraction=st.floats(0, 1))
def test_pruned_masks_share_no_memory_with_the_ones_they_came_from(seed, fraction):
    for scope in ("layer", "global"):
        masks, scores = draw_case(seed, 0.7, True)
        pruned = quietly(scores, masks, fraction, scope)
        before = copy.deepcopy(pruned)
        for mask in masks.values():
            mask.fill_(False)
        assert all(torch.equal(pruned[name], before[name]) for name in LAYERS)


# Every scope against a plain loop over the weights that compete.

FOURS = {"a": (3, 8), "b": (2, 4, 3), "c": (1, 4)}  # four divides every row


def competing(shape, scope):
    """The places of a layer's weights in groups: the layer, rows, or four neighbours of a row."""
    places = [*itertools.product(*map(range, shape))]
    if scope == "layer":
        return [places]
    rows = [[place for place in places if place[0] == row] for row in range(shape[0])]
    if scope == "row":
        return rows
    return [row[begin : begin + 4] for row in rows for begin in range(0, len(row), 4)]


def prune_in_a_loop(scores, masks, fraction, scope):
    pruned = {name: mask.clone() for name, mask in masks.items()}
    groups = [
        [(name, place) for place in group]
        for name, mask in masks.items()
        for group in competing(mask.shape, "layer" if scope == "global" else scope)
    ]
    if scope == "global":
        groups = [sum(groups, [])]
    for group in groups:
        kept = [(name, place) for name, place in group if masks[name][place]]
        kept.sort(key=lambda at: float(scores[at[0]][at[1]]))  # stable: the first of equals goes
        many = max(len(kept) - 2, 0) if scope == "2:4" else round(fraction * len(kept))
        for name, place in kept[:many]:
            pruned[name][place] = False
    return pruned


@given(**any_case, fraction=st.floats(0, 1), scope=st.sampled_from(["global", "layer", "row"]))
def test_what_goes_is_what_a_plain_loop_drops(seed, keep, distinct, fraction, scope):
    masks, scores = draw_case(seed, keep, distinct)
    pruned = quietly(scores, masks, fraction, scope)
    expected = prune_in_a_loop(scores, masks, fraction, scope)
    assert list(pruned) == list(masks)
    assert all(torch.equal(pruned[name], expected[name]) for name in masks)


@given(**any_case, fraction=st.floats(0, 1), rates=st.booleans())
def test_by_row_exactly_the_rounded_share_goes_from_each_row(seed, keep, distinct, fraction, rates):
    masks, scores = draw_case(seed, keep, distinct)
    inputs = copy.deepcopy((masks, scores))
    pruned = quietly(scores, masks, dict.fromkeys(masks, fraction) if rates else fraction, "row")
    for name, mask in masks.items():
        assert pruned[name].shape == mask.shape and not (pruned[name] & ~mask).any()
        for number, row in enumerate(mask):
            kept = int(row.sum())
            assert int(pruned[name][number].sum()) == kept - round(fraction * kept)
    for now, then in zip((masks, scores), inputs, strict=True):
        assert all(torch.equal(now[name], then[name]) for name in LAYERS)


def test_by_row_no_neuron_pays_for_another():
    scores = {"w": torch.tensor([[1.0, 2.0, 3.0, 4.0], [40.0, 30.0, 20.0, 10.0]])}
    masks = {"w": torch.ones(2, 4, dtype=torch.bool)}
    assert (
        prune(scores, masks, 0.5, "row")["w"].tolist()
        == bools([[0, 0, 1, 1], [1, 1, 0, 0]]).tolist()
    )
    assert prune(scores, masks, 0.5)["w"].tolist() == bools([[0, 0, 0, 0], [1, 1, 1, 1]]).tolist()


@given(st.integers(0, 10_000), st.integers(0, 8))
def test_by_row_it_is_the_pruning_of_wanda(seed, eighths):
    """Sun et al. 2024, algorithm 1: sort |w| times the input's norm by row, clear the first."""
    draw = torch.Generator().manual_seed(seed)
    weight, inputs = torch.randn(5, 16, generator=draw), torch.randn(30, 16, generator=draw)
    metric = weight.abs() * inputs.norm(p=2, dim=0)
    order = torch.sort(metric, dim=-1, stable=True).indices
    expected = torch.ones(5, 16, dtype=torch.bool)
    expected.scatter_(1, order[:, : int(16 * eighths / 8)], False)
    full = {"w": torch.ones(5, 16, dtype=torch.bool)}
    assert torch.equal(quietly({"w": metric}, full, eighths / 8, "row")["w"], expected)


@given(st.integers(0, 10_000), st.integers(0, 4))
def test_by_row_it_agrees_with_torch_row_by_row(seed, amount):
    draw = torch.Generator().manual_seed(seed)
    layer = nn.Linear(12, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(4, 12, generator=draw))
    masks = full_masks(layer)
    for _ in range(2):
        before, masks = masks, quietly(magnitude(layer), masks, amount / 5, "row")
        for row, old, new in zip(layer.weight, before["weight"], masks["weight"], strict=True):
            method = torch_prune.L1Unstructured(amount / 5)
            # Torch's method counts what is still there if it is given that alone.
            mine = method.compute_mask(row[old].detach(), torch.ones(int(old.sum())))
            assert torch.equal(new[old], mine.bool())


@given(**any_case)
def test_of_four_neighbours_the_best_two_of_those_still_kept_stay(seed, keep, distinct):
    generator = torch.Generator().manual_seed(seed)
    masks = {name: torch.rand(shape, generator=generator) < keep for name, shape in FOURS.items()}
    scores = {name: torch.rand(shape, generator=generator) for name, shape in FOURS.items()}
    if not distinct:
        scores = {name: (3 * score).floor() for name, score in scores.items()}
    inputs = copy.deepcopy((masks, scores))
    pruned = quietly(scores, masks, 0.5, "2:4")
    expected = prune_in_a_loop(scores, masks, 0.5, "2:4")
    for name, mask in masks.items():
        assert torch.equal(pruned[name], expected[name]) and not (pruned[name] & ~mask).any()
        rows = zip(pruned[name].flatten().view(-1, 4), mask.flatten().view(-1, 4), strict=True)
        for after, before in rows:
            assert int(after.sum()) == min(int(before.sum()), 2)
    again = quietly(scores, pruned, 0.5, "2:4")
    assert all(torch.equal(again[name], pruned[name]) for name in masks)  # it is 2:4 already
    for now, then in zip((masks, scores), inputs, strict=True):
        assert all(torch.equal(now[name], then[name]) for name in FOURS)


def test_two_of_four_by_eye():
    scores = {"w": torch.tensor([[1.0, 4.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0]])}
    masks = {"w": torch.ones(1, 8, dtype=torch.bool)}
    assert torch.equal(prune(scores, masks, 0.5, "2:4")["w"], bools([[0, 1, 0, 1, 0, 0, 1, 1]]))
    some = {
        "w": bools([[1, 0, 1, 1, 0, 0, 1, 0]])
    }  # three are left of the first four, one of the others
    assert torch.equal(prune(scores, some, 0.5, "2:4")["w"], bools([[0, 0, 1, 1, 0, 0, 1, 0]]))


@pytest.mark.parametrize(
    ("shapes", "fraction", "said"),
    [
        ({"good": (2, 8), "odd": (3, 6)}, 0.5, "odd, which has 6 weights a row"),
        ({"good": (2, 8), "odd": (2, 3, 3, 3)}, 0.5, "odd, which has 27 weights a row"),
        ({"good": (2, 8)}, 0.4, 'Scope "2:4" keeps half of the weights, fraction 0.5, .*got 0.4'),
        (
            {"good": (2, 8), "other": (1, 4)},
            {"good": 0.5, "other": 0.2},
            "fraction 0.5, .*got 0.2 for other",
        ),
    ],
)
def test_what_two_of_four_cannot_do_is_refused(shapes, fraction, said):
    masks = {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}
    scores = {name: torch.ones(shape) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match=said):
        prune(scores, masks, fraction, "2:4")


def test_layerwise_magnitude_pruning_agrees_with_torch_over_three_rounds(tiny):
    model = build_model("mlp-30-20", tiny, seed=1)
    masks, draw = full_masks(model), torch.Generator().manual_seed(0)
    theirs = {
        name: copy.deepcopy(model.get_submodule(name.removesuffix(".weight"))) for name in masks
    }
    for amount in (0.2, 0.37, 0.5):
        scores = magnitude(model)
        for name, layer in theirs.items():
            torch_prune.l1_unstructured(layer, "weight", amount, importance_scores=scores[name])
        masks = prune(scores, masks, amount)
        for name, mask in masks.items():
            assert torch.equal(mask, theirs[name].weight_mask.bool())
        with torch.no_grad():
            for weight in prunable_weights(model).values():
                weight += 0.1 * torch.randn(weight.shape, generator=draw)


def test_global_magnitude_pruning_agrees_with_torch_over_three_rounds(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals, seed=1)
    masks, draw = full_masks(model), torch.Generator().manual_seed(0)
    theirs = copy.deepcopy(model)
    places = [(theirs.get_submodule(name.removesuffix(".weight")), "weight") for name in masks]
    for amount in (0.2, 0.37, 0.5):
        scores = magnitude(model)
        torch_prune.global_unstructured(
            places,
            torch_prune.L1Unstructured,
            importance_scores={
                place: scores[name] for name, place in zip(masks, places, strict=True)
            },
            amount=amount,
        )
        masks = prune(scores, masks, amount, scope="global")
        for mask, (layer, _) in zip(masks.values(), places, strict=True):
            assert torch.equal(mask, layer.weight_mask.bool())
        with torch.no_grad():
            for weight in prunable_weights(model).values():
                weight += 0.1 * torch.randn(weight.shape, generator=draw)


@pytest.mark.parametrize("fraction", [1.5, -0.1, float("nan"), 20, {"a": 0.2, "b": 1.01, "c": 0.2}])
@pytest.mark.parametrize("scope", ["layer", "global", "row", "2:4"])
def test_fractions_outside_0_to_1_are_refused(fraction, scope):
    masks, scores = draw_case(0, 1, True)
    with pytest.raises(ValueError, match="fraction"):
        prune(scores, masks, fraction, scope)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"scope": "layers"},
            "scope is one of global, layer, row, 2:4; got 'layers'. Did you mean 'layer'",
        ),
        (
            {"scope": "global", "fraction": dict.fromkeys(LAYERS, 0.2)},
            "A dict of fractions needs another scope",
        ),
        ({"fraction": {"a": 0.2, "b": 0.2}}, "one entry per layer"),
        ({"fraction": dict.fromkeys("abcd", 0.2)}, "one entry per layer"),
        ({"scope": "row", "fraction": {"a": 0.2, "b": 0.2}}, "one entry per layer"),
    ],
)
def test_scopes_and_dicts_that_do_not_fit_are_refused(options, said):
    masks, scores = draw_case(0, 1, True)
    with pytest.raises(ValueError, match=said):
        prune(scores, masks, **({"fraction": 0.2} | options))


@pytest.mark.parametrize("scope", ["layer", "global", "row"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda scores: scores | {"b": scores["b"] * float("nan")},
            r"scores\['b'\] are not finite",
        ),
        (lambda scores: scores | {"b": scores["b"] / 0}, r"scores\['b'\] are not finite"),
        (
            lambda scores: scores | {"b": scores["b"].flatten()},
            r"scores\['b'\] must have .* \(2, 1, 3\); got torch.float32 of shape \(6,\)",
        ),
        (
            lambda scores: {name: scores[name] for name in "ab"},
            "scores are for .* masks has a, b, c",
        ),
        (lambda scores: scores | {"d": scores["a"]}, "scores are for .* masks has a, b, c"),
    ],
)
def test_scores_that_do_not_fit_are_refused(change, said, scope):
    masks, scores = draw_case(0, 1, True)
    with pytest.raises(ValueError, match=said):
        prune(change(scores), masks, 0.2, scope)


def test_a_layer_that_loses_its_last_weight_is_announced():
    masks, scores = draw_case(0, 1, True)
    scores["c"] = torch.zeros(1, 5)
    with pytest.warns(UserWarning, match="Layer collapse: no weight of c is left"):
        collapsed = prune(scores, masks, 5 / 23, scope="global")
    assert layer_densities(collapsed) == {"a": 1.0, "b": 1.0, "c": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prune(scores, collapsed, 0.2)
        prune(scores, masks, 0.8)


def test_magnitude_is_the_absolute_value_and_a_copy(tiny):
    model = build_model("mlp-8-6", tiny)
    scores = magnitude(model)
    assert list(scores) == ["fc1.weight", "fc2.weight", "out.weight"]
    for name, weight in prunable_weights(model).items():
        assert torch.equal(scores[name], weight.detach().abs())
        assert not scores[name].requires_grad
    scores["fc1.weight"].fill_(7)
    assert not (model.fc1.weight.abs() == 7).any()


def test_random_scores_depend_on_the_seed_alone_and_so_nest_over_levels(tiny):
    model = build_model("mlp-8-6", tiny, seed=1)
    first = random(model, seed=3)
    assert all(
        torch.equal(first[name], score)
        for name, score in random(build_model("mlp-8-6", tiny), seed=3).items()
    )
    assert not any((first[name] == score).any() for name, score in random(model, seed=4).items())
    masks, kept = full_masks(model), []
    for _ in range(5):
        masks = prune(random(model, seed=3), masks, 0.2)
        kept.append(masks)
    at_once = prune(first, full_masks(model), 1 - int(kept[-1]["fc1.weight"].sum()) / 128)
    assert torch.equal(at_once["fc1.weight"], kept[-1]["fc1.weight"])
    for before, after in zip(kept, kept[1:], strict=False):
        assert not any((after[name] & ~before[name]).any() for name in masks)


def test_random_scores_are_uniform_and_leave_the_global_random_state_alone(tiny):
    model = build_model("mlp-100-100", tiny)
    before = torch.get_rng_state()
    score = random(model, seed=0)["fc2.weight"]
    assert torch.equal(torch.get_rng_state(), before)
    for quarter in range(4):
        share = ((quarter / 4 <= score) & (score < (quarter + 1) / 4)).double().mean()
        assert float(share) == pytest.approx(0.25, abs=0.02)


def test_a_recipes_rates_are_the_papers_by_default(tiny, cifar_shaped):
    masks = full_masks(build_model("mlp-8-6", tiny))
    assert Recipe().rates(masks) == {"fc1.weight": 0.2, "fc2.weight": 0.2, "out.weight": 0.1}
    conv = full_masks(build_model("conv-2", cifar_shaped))
    assert Recipe(fractions={"fc": 0.3, "conv": 0.1}).rates(conv) == {
        "conv1.weight": 0.1,
        "conv2.weight": 0.1,
        "fc1.weight": 0.3,
        "fc2.weight": 0.3,
        "out.weight": 0.15,
    }
    assert Recipe(fractions={"output": 0.0}).rates(masks)["out.weight"] == 0.0


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_recipe_that_names_no_fraction_is_refused(scope):
    with pytest.raises(ValueError, match="fractions for scope .* got none"):
        Recipe(fractions={}, scope=scope)


def double_batch(dataset, count: int):
    return dataset.train.x[:count].double(), dataset.train.y[:count]


def gauss_newton_by_definition(model, x) -> dict[str, torch.Tensor]:
    """The mean of sum_c p_c (d log p_c / dw)^2, one example and one class at a time."""
    weights = prunable_weights(model)
    curvature = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for example in x:
        log_p = model(example[None]).log_softmax(1)[0]
        for label in range(len(log_p)):
            gradients = torch.autograd.grad(log_p[label], list(weights.values()), retain_graph=True)
            for name, gradient in zip(weights, gradients, strict=True):
                curvature[name] += log_p[label].exp().detach() * gradient**2 / len(x)
    return {name: (h * weights[name] ** 2 / 2).detach() for name, h in curvature.items()}


@pytest.mark.parametrize("name", ["mlp-5-3", "resnet1d-2"])
def test_obd_agrees_with_its_definition(name, tiny, tiny_signals):
    dataset = tiny if name.startswith("mlp") else tiny_signals
    model, batch = build_model(name, dataset, seed=2).double(), double_batch(dataset, 37)
    model.train()(batch[0])
    scores = obd(model, batch)
    expected = gauss_newton_by_definition(model.eval(), batch[0])
    assert list(scores) == list(expected)
    for layer, score in scores.items():
        assert torch.allclose(score, expected[layer], rtol=1e-9, atol=1e-15)
        assert float(score.max()) > 0


def test_obd_is_exact_for_a_linear_classifier(tiny):
    def linear(dataset, seed):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 4))

    model = build_model(linear, tiny, seed=0).double()
    x, y = double_batch(tiny, 40)

    def loss(weight):
        return F.cross_entropy(torch.func.functional_call(model, {"1.weight": weight}, x), y)

    weight = model[1].weight.detach()
    diagonal = torch.func.hessian(loss)(weight).reshape(64, 64).diagonal().reshape(4, 16)
    assert torch.allclose(obd(model, (x, y))["1.weight"], diagonal * weight**2 / 2, rtol=1e-9)


def test_obd_ignores_the_labels_and_scores_zero_weights_zero(tiny):
    model, (x, y) = build_model("mlp-5-3", tiny).double(), double_batch(tiny, 20)
    with torch.no_grad():
        model.fc1.weight[0] = 0
    scores = obd(model, (x, y))
    assert not scores["fc1.weight"][0].any()
    relabelled = obd(model, (x, (y + 1) % 4))
    assert all(torch.equal(scores[name], relabelled[name]) for name in scores)


@pytest.mark.parametrize("count", [1, 32, 70, 90])
def test_obd_takes_the_mean_over_the_batch(count, tiny):
    model, (x, y) = build_model("mlp-5-3", tiny).double(), double_batch(tiny, 1)
    expected = gauss_newton_by_definition(model, x)
    scores = obd(model, (x.expand(count, -1, -1, -1), y.expand(count)))
    for name, score in scores.items():
        assert torch.allclose(score, expected[name], rtol=1e-9, atol=1e-15)


def test_obd_looks_at_the_examples_of_its_batch_and_at_no_seed(tiny):
    model = build_model("mlp-5-3", tiny)
    batches = (draw_batch(tiny.train, 10, seed=seed) for seed in (1, 1, 2))
    first, again, other = (obd(model, b, seed=n)["fc1.weight"] for n, b in enumerate(batches))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_obd_puts_every_module_back_into_its_mode_even_after_an_error(tiny):
    layers = nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)
    model = nn.Sequential(*layers).train()
    model[2].eval()
    obd(model, draw_batch(tiny.train, 5))
    with pytest.raises(ValueError, match="model must read batch, .* cannot be multiplied"):
        obd(model, (torch.zeros(5, 3), torch.zeros(5, dtype=torch.long)))
    assert [module.training for module in model] == [True, True, False, True]


@pytest.mark.parametrize("training", [True, False])
def test_obd_scores_in_evaluation_mode_and_leaves_the_model_as_it_was(training, tiny_signals):
    model, batch = build_model("resnet1d-2", tiny_signals), draw_batch(tiny_signals.train, 20)
    model.train()(tiny_signals.train.x).sum().backward()
    model.train(training)
    before = copy.deepcopy(model.state_dict())
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    random_state = torch.get_rng_state()
    scores = obd(model, batch)
    assert {module.training for module in model.modules()} == {training}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, gradients[name]) and parameter.requires_grad
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(score.requires_grad for score in scores.values())
    model.train(not training)
    other_mode = obd(model, batch)
    assert all(torch.equal(scores[name], other_mode[name]) for name in scores)
