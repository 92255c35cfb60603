"""A small language model: its sizes, attention, padding, and every arm and score on it."""

import copy
import math
from collections import Counter

import pytest
import torch
from helpers import bits, same_masks, states_equal
from torch import nn
from torch.nn import functional as F

from lthlab._common import mean_loss
from lthlab.arms import ARMS
from lthlab.cost import Flops, inference_flops, training_flops, training_memory
from lthlab.data import Split, make_dataset
from lthlab.experiments import run_experiment
from lthlab.folder import Folder
from lthlab.masks import count_kept, full_masks, list_parameters, prunable_weights
from lthlab.models import GPT, KNOWN, build_model
from lthlab.pruning import (
    draw_batch,
    gradient,
    grasp,
    magnitude,
    obd,
    prune,
    random,
    snip,
    synflow,
)
from lthlab.recipes import Recipe, recipe_for
from lthlab.tickets import find_ticket
from lthlab.training import evaluate, measure, predict, right_answers, train

RECIPE = Recipe(
    "adamw",
    1e-2,
    weight_decay=0.3,
    batch_size=20,
    duration="40it",
    schedule="cosine",
    warmup=5,
    fractions={"fc": 1 / 3},
    output_layer=None,
)


def counted(y) -> list[tuple[int, int]]:
    """Which targets are no padding: word and place."""
    return [(n, place) for n, row in enumerate(y.tolist()) for place, t in enumerate(row) if t >= 0]


def repadded(x, y, seed: int = 0):
    """Inputs with other letters where nothing is asked."""
    letters = torch.randint(27, x.shape, generator=torch.Generator().manual_seed(seed)).to(x.device)
    other = torch.where(y == -100, letters, x)
    assert (other != x).any()
    return other


# The network.


def test_gpt_3x64_has_154523_parameters_and_147456_prunable_weights(words):
    model = build_model("gpt-3x64", words)
    found = list_parameters(model)
    assert found["numbers"].sum() == 154_523
    assert found.query("prunable")["numbers"].sum() == 147_456
    one_block = {"attend": 64 * 192, "project": 64 * 64, "expand": 64 * 256, "contract": 256 * 64}
    assert {name: w.numel() for name, w in prunable_weights(model).items()} == {
        f"blocks.{block}.{name}.weight": size
        for block in range(3)
        for name, size in one_block.items()
    }
    kept = list_parameters(model).query("not prunable")["name"]
    assert {"token.weight", "position.weight", "out.weight"} <= set(kept)


def test_other_sizes_are_named_by_blocks_and_width(words):
    for blocks, width in ((1, 8), (2, 12), (10, 4)):
        model = build_model(f"gpt-{blocks}x{width}", words)
        per_block = 12 * width**2 + 13 * width  # four matrices, their biases, two norms
        rest = (27 + 15) * width + 2 * width + 27 * (width + 1)
        assert sum(p.numel() for p in model.parameters()) == blocks * per_block + rest


@pytest.mark.parametrize("length", [1, 7, 15])
def test_a_gpt_gives_27_logits_a_place_and_the_same_for_a_beginning(length, words):
    model = build_model("gpt-2x16", words, seed=1).double()
    x = words.train.x[:6]
    assert model(x[:, :length]).shape == (6, length, 27)
    assert torch.allclose(model(x[:, :length]), model(x)[:, :length], rtol=1e-12, atol=1e-14)


def test_a_letter_changes_no_logits_before_it_and_all_from_it_on(words):
    model = build_model("gpt-2x16", words, seed=1).double()
    x = words.train.x[:5]
    before = model(x)
    for place in range(15):
        changed = x.clone()
        changed[:, place] = (x[:, place] + 1) % 27
        differs = (model(changed) - before).abs().amax(-1)
        assert not differs[:, :place].any()
        assert (differs[:, place:] > 1e-9).all()


def norm_by_hand(values: list[float], norm: nn.LayerNorm) -> list[float]:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    scale, shift = norm.weight.tolist(), norm.bias.tolist()
    return [
        (value - mean) / math.sqrt(variance + norm.eps) * a + b
        for value, a, b in zip(values, scale, shift, strict=True)
    ]


def linear_by_hand(values: list[float], layer: nn.Linear) -> list[float]:
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [b + sum(w * v for w, v in zip(row, values, strict=True)) for row, b in rows]


def gpt_by_hand(model: GPT, word: list[int], heads: int) -> list[list[float]]:
    """The logits of one word in plain Python numbers: place by place, head by head."""
    token, position = model.token.weight.tolist(), model.position.weight.tolist()
    stream = [
        [a + b for a, b in zip(token[letter], position[place], strict=True)]
        for place, letter in enumerate(word)
    ]
    for block in model.blocks:
        width = len(stream[0])
        size = width // heads
        read = [linear_by_hand(norm_by_hand(v, block.norm1), block.attend) for v in stream]
        mixed = [[] for _ in word]
        for head in range(heads):
            query, key, value = (
                [r[part * width + head * size :][:size] for r in read] for part in range(3)
            )
            for place in range(len(word)):
                fits = [
                    sum(a * b for a, b in zip(query[place], key[other], strict=True))
                    / math.sqrt(size)
                    for other in range(place + 1)
                ]
                shares = [math.exp(fit) for fit in fits]
                mixed[place] += [
                    sum(s * value[other][i] for other, s in enumerate(shares)) / sum(shares)
                    for i in range(size)
                ]
        for place, attended in enumerate(mixed):
            added = linear_by_hand(attended, block.project)
            stream[place] = [a + b for a, b in zip(stream[place], added, strict=True)]
            hidden = linear_by_hand(norm_by_hand(stream[place], block.norm2), block.expand)
            hidden = [h * (1 + math.erf(h / math.sqrt(2))) / 2 for h in hidden]  # GELU
            added = linear_by_hand(hidden, block.contract)
            stream[place] = [a + b for a, b in zip(stream[place], added, strict=True)]
    return [linear_by_hand(norm_by_hand(v, model.norm), model.out) for v in stream]


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_a_gpt_is_what_plain_loops_over_places_and_heads_compute(heads):
    torch.manual_seed(heads)
    model = GPT(tokens=7, length=6, blocks=2, width=8, heads=heads).double()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms, too, and attention that chooses
            parameter.add_(torch.randn_like(parameter), alpha=0.7)
    words = torch.randint(7, (3, 6))
    by_hand = [gpt_by_hand(model, word, heads) for word in words.tolist()]
    expected = torch.tensor(by_hand, dtype=torch.float64)
    assert torch.allclose(model(words), expected, rtol=1e-11, atol=1e-12)


def test_the_heads_of_a_named_gpt_are_four(words):
    model, word = build_model("gpt-1x8", words, seed=2).double().cpu(), words.train.x[0].tolist()
    expected = torch.tensor(gpt_by_hand(model, word, heads=4), dtype=torch.float64)
    assert torch.allclose(model(torch.tensor([word]))[0], expected, rtol=1e-11, atol=1e-12)


def test_one_seed_fixes_all_values_and_another_draws_others(words):
    before = torch.get_rng_state()
    first, again, other = (build_model("gpt-2x8", words, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert states_equal(first.state_dict(), again.state_dict())
    for name, value in first.state_dict().items():
        if "norm" not in name:
            assert not (value == other.state_dict()[name]).any(), name
    assert not (first.blocks[0].attend.weight == first.blocks[1].attend.weight).any()


def test_a_seed_gives_a_gpt_the_values_that_it_always_gave(words):
    model = build_model("gpt-3x64", words, seed=5)
    assert model.out.weight[0, :4].tolist() == pytest.approx(
        [-0.03807, -0.06667, -0.03819, 0.11967], abs=1e-5
    )


def test_an_untrained_gpt_knows_about_nothing_and_learns(words, tiny_words):
    model = build_model("gpt-3x64", words)
    assert evaluate(model, words.validation)["loss"] == pytest.approx(math.log(27), abs=0.4)
    model = build_model("gpt-1x16", tiny_words)
    history = train(model, tiny_words, RECIPE)
    letters = Counter(tiny_words.train.y[tiny_words.train.y >= 0].tolist())
    total = letters.total()
    letters_alone = -sum(n / total * math.log(n / total) for n in letters.values())
    assert history.value("loss") < letters_alone < history.value("loss", step=0)
    assert history.value() > max(letters.values()) / total


def test_the_recipe_of_a_gpt_prunes_a_third_of_each_layer(words):
    recipe, model = recipe_for("gpt-3x64", words), build_model("gpt-3x64", words)
    assert recipe.rates(full_masks(model)) == dict.fromkeys(prunable_weights(model), 1 / 3)
    assert recipe_for("gpt-1x8", "words") == recipe
    assert (recipe.optimizer, recipe.lr, recipe.batch_size) == ("adamw", 3e-3, 128)
    assert (recipe.schedule, recipe.steps(words)) == ("cosine", 1_000)
    assert 0 < recipe.warmup < 200 and recipe.lr_at(0, 1_000) < recipe.lr / 50


# Wrong input.


@pytest.mark.parametrize("name", ["gpt-3x10", "gpt-1x2", "gpt-2x63"])
def test_a_width_that_the_heads_do_not_divide_is_refused(name, words):
    with pytest.raises(ValueError, match=f"4 heads .* got width {name.rpartition('x')[2]}"):
        build_model(name, words)


@pytest.mark.parametrize("fixture", ["tiny", "tiny_signals"])
def test_a_gpt_is_for_words(fixture, request):
    dataset = request.getfixturevalue(fixture)
    with pytest.raises(ValueError, match="gpt-1x8 takes words") as error:
        build_model("gpt-1x8", dataset)
    assert str(dataset.input_shape) in str(error.value)


@pytest.mark.parametrize(
    "name", ["lenet-300-100", "mlp-8", "conv-2", "conv-2-8", "resnet-20", "resnet1d-4"]
)
def test_networks_for_numbers_say_that_words_are_for_a_gpt(name, words):
    with pytest.raises(ValueError, match=f'^{name} takes numbers, not tokens.* "gpt-3x64"'):
        build_model(name, words)


def test_a_row_of_numbers_is_no_word():
    """A table's rows, say: (examples, features)."""
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(0))
    dataset = make_dataset("flat", x, torch.arange(20) % 2, x[:4], [0, 1, 0, 1], "ab", 4)
    assert build_model("mlp-8", dataset)(dataset.train.x).shape == (16, 2)
    with pytest.raises(ValueError, match="gpt-1x8 takes words"):
        build_model("gpt-1x8", dataset)


@pytest.mark.parametrize(
    "name", ["gpt", "gpt-", "gpt-3x", "gpt-x64", "gpt-0x64", "gpt-3x0", "gpt-03x64", "gpt-3x64x2"]
)
@pytest.mark.parametrize("ending", ["", "\n"])
def test_names_of_a_gpt_that_are_almost_right_are_refused(name, ending, words):
    with pytest.raises(ValueError, match="name is one of") as error:
        build_model(name + ending, words)
    assert all(known in str(error.value) for known in KNOWN)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(3, 1, 4, 4),
        torch.zeros(3, 15),
        torch.zeros(15, dtype=torch.long),
        torch.zeros(3, 16, dtype=torch.long),
        torch.zeros(3, 1, 5, dtype=torch.long),
    ],
    ids=lambda x: f"{x.dtype} {tuple(x.shape)}",
)
def test_a_gpt_that_is_given_anything_but_tokens_says_what_it_reads(wrong, words):
    model = build_model("gpt-1x8", words)
    expected = r"reads tokens, whole numbers of shape \(words, 1 to 15\); got"
    with pytest.raises(ValueError, match=expected) as error:
        model(wrong.to(words.device))
    assert str(tuple(wrong.shape)) in str(error.value) and str(wrong.dtype) in str(error.value)


@pytest.mark.parametrize("wrong", [27, -1, 1000])
def test_tokens_out_of_range_are_one_clear_error(wrong, tiny_words):
    model = build_model("gpt-1x8", tiny_words).cpu()
    x = tiny_words.train.x[:3].cpu().clone()
    x[1, 4] = wrong
    with pytest.raises(ValueError, match="27"):
        model(x)


# Loss, accuracy, and what padding must not change.


def test_the_loss_is_the_mean_over_letters_in_a_loop(tiny_words):
    model = build_model("gpt-1x8", tiny_words, seed=1).double()
    x, y = tiny_words.test.x[:17], tiny_words.test.y[:17]
    logits, losses = model(x).detach(), []
    for n, place in counted(y):
        chances = [math.exp(value) for value in logits[n, place].tolist()]
        losses.append(-math.log(chances[int(y[n, place])] / sum(chances)))
    assert len(losses) < y.numel()
    assert float(mean_loss(logits, y)) == pytest.approx(sum(losses) / len(losses), rel=1e-12)


def test_the_loss_of_one_target_an_example_is_the_usual_one(tiny):
    logits = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).to(tiny.device)
    assert torch.equal(mean_loss(logits, tiny.test.y), F.cross_entropy(logits, tiny.test.y))


def test_evaluating_counts_letters_in_a_loop_over_a_whole_split(words):
    """Also over more words than are evaluated at once."""
    model = build_model("gpt-1x8", words, seed=1)
    split = Split(words.test.x[:777], words.test.y[:777])
    logits = predict(model, split)
    assert logits.shape == (777, 15, 27)
    right, losses = [], []
    log_p = model(split.x).log_softmax(-1).tolist()
    for n, place in counted(split.y):
        answer = log_p[n][place]
        right.append(answer.index(max(answer)) == int(split.y[n, place]))
        losses.append(-answer[int(split.y[n, place])])
    found = evaluate(model, split)
    assert found["accuracy"] == pytest.approx(sum(right) / len(right), rel=1e-6)
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert right_answers(logits, split).tolist() == right
    assert measure(model, split).shape == (2,)


def gradients(model, x, y) -> list[torch.Tensor]:
    return list(torch.autograd.grad(mean_loss(model(x), y), list(model.parameters())))


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_padded_letter_changes_no_loss_no_gradient_and_no_answer(blocks, tiny_words):
    model = build_model(f"gpt-{blocks}x8", tiny_words, seed=1).double()
    x, y = tiny_words.train.x[:20], tiny_words.train.y[:20]
    other = repadded(x, y)
    usual, changed = (mean_loss(model(inputs), y).item() for inputs in (x, other))
    assert changed == pytest.approx(usual, rel=1e-14)
    pairs = zip(gradients(model, x, y), gradients(model, other, y), strict=True)
    for (name, _), (one, two) in zip(model.named_parameters(), pairs, strict=True):
        assert torch.allclose(one, two, rtol=1e-11, atol=1e-15), name
        assert one.any(), name
    usual, changed = (measure(model, Split(inputs, y)) for inputs in (x, other))
    assert torch.allclose(usual, changed, rtol=1e-13)
    assert not torch.allclose(model(x), model(other))  # only where nothing is asked


@pytest.mark.parametrize("score", [obd, snip, grasp, gradient])
def test_a_padded_letter_changes_no_score(score, tiny_words):
    model = build_model("gpt-1x8", tiny_words, seed=1).double()
    x, y = tiny_words.train.x[:8, 2:11], tiny_words.train.y[:8, 2:11]
    usual, changed = score(model, (x, y)), score(model, (repadded(x, y), y))
    for name, values in usual.items():
        tolerance = 1e-9 * float(values.abs().max())
        assert torch.allclose(values, changed[name], rtol=1e-9, atol=tolerance), name
        assert values.any()


def test_training_on_repadded_words_is_the_same_training(tiny_words):
    """A letter that nobody asked for must not reach a weight through the optimiser either."""
    fixed = tiny_words.train.x[:20], tiny_words.train.y[:20]
    trained = []
    for batch in (fixed, (repadded(*fixed), fixed[1])):
        model = build_model("gpt-1x8", tiny_words, seed=1)
        train(model, tiny_words, RECIPE, batches=lambda step, batch=batch: batch)
        trained.append(model.state_dict())
    for name, value in trained[0].items():
        assert torch.allclose(value, trained[1][name], atol=1e-4), name


# Scores.


def curvature_by_definition(model, x, y) -> dict[str, torch.Tensor]:
    """The mean over letters of sum_c p_c (d log p_c / dw)^2: one letter and class at a time."""
    weights, places = prunable_weights(model), counted(y)
    found = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for n, place in places:
        log_p = model(x[n : n + 1])[0, place].log_softmax(-1)
        for value in log_p:
            derivatives = torch.autograd.grad(value, list(weights.values()), retain_graph=True)
            for name, derivative in zip(weights, derivatives, strict=True):
                found[name] += value.exp().detach() * derivative**2 / len(places)
    return {name: (h * weights[name] ** 2 / 2).detach() for name, h in found.items()}


def test_obd_of_a_gpt_agrees_with_its_definition(tiny_words):
    model = build_model("gpt-1x4", tiny_words, seed=2).double()
    x, y = tiny_words.train.x[:4], tiny_words.train.y[:4]
    scores, expected = obd(model, (x, y)), curvature_by_definition(model, x, y)
    assert list(scores) == list(expected)
    for name, score in scores.items():
        assert torch.allclose(score, expected[name], rtol=1e-8, atol=1e-16)
        assert float(score.max()) > 0


def test_obd_takes_the_mean_over_all_letters_of_a_batch(tiny_words):
    """Also where the batch is scored in parts: 40 words are 32 and 8."""
    model = build_model("gpt-1x4", tiny_words, seed=2).double()
    x, y = tiny_words.train.x[:40, 2:9], tiny_words.train.y[:40, 2:9]
    whole = obd(model, (x, y))
    sums = {name: torch.zeros_like(score) for name, score in whole.items()}
    for rows in (slice(0, 11), slice(11, 40)):
        letters = len(counted(y[rows]))
        for name, score in obd(model, (x[rows], y[rows])).items():
            sums[name] += score * letters
    for name, score in whole.items():
        assert torch.allclose(score, sums[name] / len(counted(y)), rtol=1e-9)


def test_obd_of_a_gpt_looks_at_no_letter_that_is_asked_for(tiny_words):
    model = build_model("gpt-1x4", tiny_words, seed=2)
    x, y = tiny_words.train.x[:5, :9], tiny_words.train.y[:5, :9]
    others = torch.where(y >= 0, (y + 1) % 27, y)
    assert states_equal(obd(model, (x, y)), obd(model, (x, others)))


@pytest.mark.parametrize("score", [magnitude, random, snip, grasp, gradient, obd])
def test_scores_fit_a_gpt_and_change_nothing(score, tiny_words):
    model, batch = build_model("gpt-2x8", tiny_words, seed=1), draw_batch(tiny_words.train, 6)
    before, randomness = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    scores = score(model, batch, seed=2)
    assert list(scores) == list(prunable_weights(model))
    for name, weight in prunable_weights(model).items():
        assert scores[name].shape == weight.shape and scores[name].isfinite().all()
        assert not scores[name].requires_grad and scores[name].any()
    assert states_equal(before, model.state_dict())
    assert torch.equal(randomness, torch.get_rng_state())


def test_grasp_of_a_gpt_is_weight_times_hessian_times_gradient(tiny_words):
    """By finite differences of the gradient along itself, attention and all."""
    model, (x, y) = (
        build_model("gpt-1x4", tiny_words, seed=2).double(),
        draw_batch(tiny_words.train, 6),
    )
    weights = prunable_weights(model)

    def slopes(step: float, along=None):
        moved = copy.deepcopy(model)
        own = prunable_weights(moved)
        with torch.no_grad():
            for name, weight in own.items():
                if along is not None:
                    weight += step * along[name]
        loss = mean_loss(moved(x), y)
        return dict(zip(own, torch.autograd.grad(loss, list(own.values())), strict=True))

    g, small = slopes(0), 1e-5
    ahead, behind = slopes(small, g), slopes(-small, g)
    for name, score in grasp(model, (x, y), temperature=1.0).items():
        expected = weights[name].detach() * (ahead[name] - behind[name]) / (2 * small)
        assert torch.allclose(score, expected, rtol=1e-4, atol=1e-7 * float(expected.abs().max()))


def test_synflow_says_that_it_is_not_for_tokens(tiny_words):
    with pytest.raises(ValueError, match="tokens cannot be ones"):
        synflow(build_model("gpt-1x8", tiny_words), draw_batch(tiny_words.train, 5))


# Costs by hand.


def test_a_gpts_inference_costs_what_can_be_counted_by_hand(tiny_words):
    model = build_model("gpt-2x8", tiny_words)
    layers = 15 * 2 * (12 * 8 * 8)  # at each place: attend, project, expand and contract
    attention = 2 * (2 * 15 * 15 * 8)  # which place to look at, and what is there, in all heads
    out = 15 * 2 * 8 * 27
    total = 2 * (layers + attention) + out
    assert inference_flops(model, tiny_words) == Flops(total, total)
    masks = prune(random(model), full_masks(model), 0.6, "global")
    found = inference_flops(model, tiny_words, masks)
    assert found == Flops(total, total - 15 * 2 * (2 * 12 * 8 * 8 - count_kept(masks)))


def test_training_a_gpt_takes_three_products_for_each(tiny_words):
    """Also for the first layer: the embeddings before it are trained."""
    model = build_model("gpt-2x8", tiny_words)
    once = inference_flops(model, tiny_words).total
    masks = prune(random(model), full_masks(model), 0.6, "global")
    found = training_flops(model, tiny_words, RECIPE, masks)
    assert found.total == 40 * 20 * 3 * once
    skipped = 15 * 2 * (2 * 12 * 8 * 8 - count_kept(masks))
    assert found.nonzero == 40 * 20 * 3 * (once - skipped)


def test_training_memory_of_a_gpt(tiny_words):
    model = build_model("gpt-1x8", tiny_words)
    size = 4 * sum(p.numel() for p in model.parameters())
    found = training_memory(model, tiny_words, RECIPE)
    assert (found.weights, found.gradients, found.optimizer) == (size, size, 2 * size)
    places = 20 * 15 * 4
    # Inputs of the layers, of norms and GELU, queries, keys and values, and the answers.
    at_least = places * (8 + 8 + 8 + 24 + 8 + 32 + 32 + 8 + 27)
    assert at_least <= found.activations <= 3 * at_least


# Tickets and arms.


def test_pruned_weights_of_a_gpt_stay_exactly_zero(tiny_words):
    model = build_model("gpt-2x8", tiny_words, seed=1)
    masks = prune(random(model), full_masks(model), 0.6)
    train(model, tiny_words, RECIPE, masks)
    for name, weight in prunable_weights(model).items():
        assert (bits(weight)[~masks[name]] == 0).all()
        assert (weight[masks[name]] != 0).all()
    assert model.out.weight.all() and model.token.weight.all()


def test_a_ticket_is_found_in_a_gpt(tiny_words):
    model = build_model("gpt-1x8", tiny_words, seed=1)
    before = copy.deepcopy(model.state_dict())
    ticket = find_ticket(model, tiny_words, RECIPE, levels=2, rewind_to="3it", seed=1)
    assert states_equal(before, model.state_dict())
    sizes = {name: w.numel() for name, w in prunable_weights(model).items()}
    for earlier, level in zip(ticket.levels, ticket.levels[1:], strict=False):
        for name, mask in level.masks.items():
            sizes[name] -= round(sizes[name] / 3)
            assert int(mask.sum()) == sizes[name]
            assert not (mask & ~earlier.masks[name]).any()
            trained = earlier.trained[name].abs()
            assert trained[mask].min() >= trained[earlier.masks[name] & ~mask].max()
            start = level.start.model[name]
            assert torch.equal(start[mask], ticket.start.model[name][mask])
            assert (bits(level.trained[name])[~mask] == 0).all()
    again = find_ticket(model, tiny_words, RECIPE, levels=2, rewind_to="3it", seed=1)
    assert same_masks(again.masks, ticket.masks)
    assert states_equal(again.model.state_dict(), ticket.model.state_dict())


ON_TOKENS = [name for name in ARMS if not name.startswith("SynFlow")]


@pytest.fixture(scope="module")
def raced(tiny_words, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    options = {"arms": ON_TOKENS, "seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
    table = run_experiment("gpt-1x8", tiny_words, RECIPE, **options, folder=folder)
    (run,) = folder.glob("experiment-*")
    return table, Folder(run)


@pytest.mark.filterwarnings("ignore:No mask of density")
@pytest.mark.parametrize("name", ON_TOKENS)
def test_every_arm_runs_on_words(name, raced, tiny_words):
    table, finished = raced
    level = finished[name, 0, 0 if name == "dense" else 1]
    rows = table[table["arm"] == name]
    assert {"train", "validation", "test"} == set(rows["split"])
    assert rows["value"].notna().all() and (rows["value"] > 0).all()
    model = build_model("gpt-1x8", tiny_words)
    model.load_state_dict(level.trained)
    correct = []  # one a letter, no padding
    for word, answers in zip(tiny_words.test.x, tiny_words.test.y.tolist(), strict=True):
        given_answers = model(word[None])[0].argmax(-1).tolist()
        pairs = zip(answers, given_answers, strict=True)
        correct += [answer == given for answer, given in pairs if answer != -100]
    assert level.correct.dtype == torch.bool and level.correct.tolist() == correct
    (accuracy,) = rows.query("split == 'test'")["value"]
    assert accuracy == pytest.approx(sum(correct) / len(correct))
    for layer, mask in level.masks.items():
        assert (bits(level.trained[layer])[~mask] == 0).all()
    kept = 1.0 if name == "dense" else 2 / 3
    assert level.density == pytest.approx(kept, abs=0.02)


def test_the_arms_on_words_differ_in_what_they_say(raced):
    _, finished = raced
    ticket, initial = finished["ticket", 0, 1], finished["dense", 0, 0].start.model
    redrawn, moved = finished["reinitialised", 0, 1], finished["shuffled", 0, 1]
    assert same_masks(redrawn.masks, ticket.masks) and not same_masks(moved.masks, ticket.masks)
    popup = finished["edge-popup", 0, 1]
    for name, mask in ticket.masks.items():
        assert torch.equal(ticket.start.model[name][mask], initial[name][mask])
        assert not (redrawn.start.model[name] == initial[name])[mask].any()
        assert int(moved.masks[name].sum()) == int(mask.sum())
        kept = popup.masks[name]
        assert torch.equal(popup.trained[name][kept], initial[name][kept])  # never trained


def test_synflow_as_an_arm_on_words_is_the_same_clear_error(tiny_words):
    options = {"seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
    with pytest.raises(ValueError, match="tokens cannot be ones"):
        run_experiment("gpt-1x8", tiny_words, RECIPE, arms=["SynFlow"], **options)
