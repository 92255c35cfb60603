"""Drawings: their numbers against other computations, and the arms' matrix against the arms."""

import functools
import re
from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import finish
from matplotlib.colors import to_hex
from scipy import sparse, stats

from lthlab import drawings, evaluate, train
from lthlab.arms import ARMS
from lthlab.levels import Past, Setting
from lthlab.models import build_model
from lthlab.plots import look, use_style
from lthlab.recipes import Recipe

RECIPE = Recipe("sgd", 0.1, 0.9, batch_size=20, duration="15it", schedule="cosine")
POSITIVE, NEGATIVE, PRUNED = look("ticket")[0], look("reinitialised")[0], "#d0d0d0"


@pytest.fixture(autouse=True)
def closed_figures():
    with plt.rc_context():
        use_style()
        yield
    plt.close("all")


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


# A network and its mask.


def drawn_lines(ax, sizes) -> dict[tuple[int, int, int], plt.Line2D]:
    """The lines of a drawn network by layer, output and input."""
    found = {}
    for line in ax.lines:
        if len(line.get_xdata()) == 2:
            layer = line.get_xdata()[0]
            start, end = line.get_ydata()
            place = round(end * sizes[layer + 1] - 0.5), round(start * sizes[layer] - 0.5)
            assert (layer, *place) not in found
            found[layer, *place] = line
    return found


def expected_color(kept: bool, weight: float) -> str:
    return PRUNED if not kept else POSITIVE if weight > 0 else NEGATIVE


@pytest.mark.parametrize("sizes", [(8, 6, 4), (30, 13, 5)])
def test_a_line_shows_whether_a_weight_is_kept_its_sign_and_its_size(sizes):
    draw = torch.Generator().manual_seed(3)
    shapes = {"a": (sizes[1], sizes[0]), "b": (sizes[2], sizes[1])}
    weights = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    masks = {name: torch.rand(shape, generator=draw) < 0.4 for name, shape in shapes.items()}
    said = drawings.network(masks, weights=weights)
    found = drawn_lines(plt.gca(), sizes)
    for (layer, *place), line in found.items():
        name = "ab"[layer]
        weight, kept = float(weights[name][tuple(place)]), bool(masks[name][tuple(place)])
        assert to_hex(line.get_color()) == expected_color(kept, weight)
        assert (line.get_linestyle() == "--") == (weight < 0)
        largest = float(weights[name].abs().max())
        assert (line.get_linewidth() - 0.7) / 1.5 == pytest.approx(abs(weight) / largest)
    kept, total = sum(int(mask.sum()) for mask in masks.values()), sizes[1] * (sizes[0] + sizes[2])
    assert numbers(said.replace("-", " "))[:5] == [*sizes, kept, total]
    sampled = [
        {place[i] for place in found if place[0] == layer} for layer, i in ((0, 2), (0, 1), (1, 1))
    ]
    if max(sizes) > 12:
        assert all(len(some) <= 12 for some in sampled) and "at most 12" in said
    else:
        assert len(found) == total and "at most" not in said


def test_a_network_without_weights_shows_the_mask_alone():
    masks = {"a": torch.tensor([[True, False, True], [False, False, True]])}
    said = drawings.network(masks)
    found = drawn_lines(plt.gca(), (3, 2))
    colors = {place[1:]: to_hex(line.get_color()) for place, line in found.items()}
    kept = {place for place, color in colors.items() if color == look("dense")[0]}
    assert {*colors.values()} == {look("dense")[0], PRUNED}
    assert kept == {(0, 0), (0, 2), (1, 2)} and len(found) == 6
    assert "dashed" not in said and {line.get_linestyle() for line in found.values()} == {"-"}
    assert "nan" not in str(drawings.network({"a": torch.zeros(2, 3, dtype=torch.bool)}))


def test_masks_of_convolutions_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"\(4, 3, 3\).*Choose some"):
        drawings.network({"conv": torch.ones(4, 3, 3, dtype=torch.bool)})


def test_the_cycle_ends_with_the_first_values_under_the_mask():
    before = torch.random.get_rng_state()
    said = drawings.imp_cycle()
    assert torch.equal(torch.random.get_rng_state(), before)
    first, trained, pruned, ticket = (
        {
            place: (to_hex(line.get_color()), line.get_linewidth())
            for place, line in drawn_lines(ax, (4, 5, 3)).items()
        }
        for ax in plt.gca().child_axes
    )
    kept = {place for place, (color, _) in ticket.items() if color != PRUNED}
    assert len(kept) == 28 and len(ticket) == 35 and "28 of 35" in said  # 20 % of 35 go
    assert all(ticket[place] == first[place] != trained[place] for place in kept)
    assert all(pruned[place] == trained[place] for place in kept)
    assert all(pruned[place][0] == PRUNED for place in ticket.keys() - kept)


# Which arm keeps what.


def kept_of(start, ticket) -> dict[str, str]:
    """What the start of an arm has of a ticket, by its tensors alone; the same in all layers."""
    rows = []
    for name, mask in ticket.masks.items():
        own, values, first = start.masks[name], start.state.model[name], ticket.start.model[name]
        if not own.all() and not torch.equal(own, mask):
            assert own.sum() == mask.sum()  # others, as many in each layer
            assert torch.equal(values[own], first[own])
            rows.append(dict.fromkeys(("values", "signs", "scale"), "others'") | {"mask": "other"})
            continue
        new, old = values[mask], first[mask]
        one_size = "one size" if len(new.abs().unique()) == 1 else "new"
        moved = torch.equal(new.abs().sort().values, old.abs().sort().values)
        changed = "permuted" if moved else one_size
        scale = torch.isclose(new.square().mean(), old.square().mean())
        rows.append(
            {
                "mask": "own" if torch.equal(own, mask) else "all",
                "values": "own" if torch.equal(new, old) else changed,
                "signs": "own" if torch.equal(new.sign(), old.sign()) else changed,
                "scale": "own" if scale else one_size,
            }
        )
    assert all(row == rows[0] for row in rows)
    return rows[0]


@pytest.fixture(scope="module")
def races(tiny):
    """By rewind step: the setting and the finished levels of the ticket of seed 1."""
    settings = {
        step: Setting(lambda seed: build_model("mlp-20-8", tiny, seed), tiny, RECIPE, step)
        for step in (0, 4)
    }
    return {step: (it, finish(it, ["ticket"], [1, 2], seed=1)) for step, it in settings.items()}


KNOWN = pd.read_csv(files("lthlab").joinpath("assets/arms.csv"))["arm"]


@pytest.mark.parametrize("rewind_to", [0, 4])
@pytest.mark.parametrize("name", KNOWN)
def test_an_arm_keeps_what_its_row_says(name, rewind_to, races):
    setting, finished = races[0 if name == "dense" else rewind_to]  # dense starts at step 0
    readable = frozenset({*ARMS[name].needs, "ticket", "dense"})
    start = ARMS[name].function(Past(setting, finished, name, readable, 1, 2))
    found = kept_of(start, finished["ticket", 1, 2])
    said = re.fullmatch(f"What .* ticket\\. {name} (.*)\\.", drawings.arms([name]))[1]
    row = dict(part.split(" ", 1) for part in said.split(", "))
    if found["mask"] == "other":
        assert row.pop("mask") in ("permuted", "new") and found.pop("mask")
    assert row == found


def test_the_matrix_shows_an_icon_and_a_word_for_every_cell_and_the_lines_of_the_arms():
    drawings.arms(["reinitialised", "signs"])
    ax = plt.gca()
    words = [text.get_text() for text in ax.texts]
    assert words[:4] == ["● own", "☆ new", "☆ new", "☆ new"]
    assert words[4:] == ["● own", "= one size", "● own", "= one size"]
    assert [to_hex(line.get_color()) for line in ax.lines] == [
        look("reinitialised")[0],
        look("signs")[0],
    ]
    assert ax.lines[0].is_dashed()


def test_an_arm_without_a_row_is_named():
    with pytest.raises(ValueError, match="got 'tickets'. Did you mean 'ticket'"):
        drawings.arms(["dense", "tickets"])


# Small drawings.


def test_csr_is_scipys():
    matrix = torch.tensor([[0, 0, 1.5, 0], [-0.2, 0, 0, 3], [0, 0, 0, 0], [0, 0.7, 0, 0]])
    said = drawings.csr(matrix)
    other = sparse.csr_matrix(matrix.numpy())
    arrays = [numbers(part) for part in re.findall(r"\[(.*?)\]", said)]
    assert np.allclose(arrays[0], other.data)
    assert arrays[1] == other.indices.tolist() and arrays[2] == other.indptr.tolist()
    shown = [float(text.get_text()) for text in plt.gca().texts]
    assert np.allclose(shown, [*matrix.flatten(), *other.data, *other.indices, *other.indptr])


def test_two_of_four_keeps_the_larger_two():
    said = drawings.two_of_four()
    weights, stored, index = (numbers(part) for part in re.findall(r"\[(.*?)\]", said))
    for group in (0, 1):
        four, two = weights[4 * group :][:4], index[2 * group :][:2]
        assert sorted(np.argsort(np.abs(four))[-2:].tolist()) == two
        assert [four[int(i)] for i in two] == stored[2 * group :][:2]


def test_the_parts_of_a_step_have_their_share():
    said = drawings.step_time({"forward": 150e-6, "backward": 0.35e-3})
    assert said == "A step of 500 µs: forward: 150 µs, 30%; backward: 350 µs, 70%."
    assert [bar.get_width() for bar in plt.gca().patches] == [150e-6, 0.35e-3]


def test_a_residual_block_computes_what_is_drawn(tiny_signals):
    block = build_model("resnet1d-4", tiny_signals).blocks[0]
    names = {"conv": "convolution", "norm": "BatchNorm", "relu": "ReLU", "add": "+", "x": "input"}
    nodes = [re.sub("[_0-9]", "", node.name) for node in torch.fx.symbolic_trace(block).graph.nodes]
    steps = ", ".join(names[node] for node in nodes if node in names)
    assert f"from top to bottom: {steps}. A shortcut" in drawings.residual_block()
    assert ", ".join(text.get_text() for text in plt.gca().texts[:-1]) == steps


# The valley.


def two_paths(name, dataset):
    """Two networks trained from one start, their state dicts on the way, and the states."""
    model = build_model(name, dataset, seed=3)
    recipe = Recipe("sgd", 0.1, 0.9, batch_size=20, duration="20it")
    start = train(model, dataset, recipe, seed=3, states=[4], evaluate_every=0).states[4]
    trained, paths = [], []
    for seed in (1, 2):
        trained.append(build_model(name, dataset))
        options = {"start": start, "states": [4, 10, 20], "evaluate_every": 0}
        history = train(trained[-1], dataset, recipe, seed=seed, **options)
        paths.append([state.model for state in history.states.values()])
    return trained, paths


@pytest.mark.parametrize("name", ["mlp-8-6", "resnet1d-4"])
def test_the_valley_has_the_losses_of_real_networks_and_their_distances(name, tiny, tiny_signals):
    dataset = tiny if name == "mlp-8-6" else tiny_signals
    trained, paths = two_paths(name, dataset)
    before = {key: value.clone() for key, value in trained[0].state_dict().items()}
    found = numbers(drawings.valley(trained[0], paths, dataset, cells=5))
    assert all(torch.equal(trained[0].state_dict()[key], value) for key, value in before.items())

    def loss(state):
        probe = build_model(name, dataset)
        probe.load_state_dict(state)
        torch.optim.swa_utils.update_bn([dataset.train.x], probe)
        return evaluate(probe, dataset.validation)["loss"]

    ends = [path[-1] for path in paths]
    middle = {key: (ends[0][key] + ends[1][key]) / 2 for key in ends[0]}
    expected = [loss(state) for state in (paths[0][0], *ends, middle)]
    assert found == pytest.approx(expected, abs=6e-4)
    if name == "mlp-8-6":
        assert found[1:3] == pytest.approx(
            [evaluate(net, dataset.validation)["loss"] for net in trained], abs=6e-4
        )
    parameters = [key for key, _ in trained[0].named_parameters()]
    for line, path in zip(plt.gca().lines, paths, strict=True):
        flat = [torch.cat([state[key].flatten() for key in parameters]) for state in path]
        apart = float((flat[-1] - flat[0]).norm())
        x, y = line.get_data()
        assert np.hypot(x[-1] - x[0], y[-1] - y[0]) == pytest.approx(apart, rel=1e-3)
        assert len(x) == 3
        # Half-way the path may lie beside the plane, so that it looks nearer than it is.
        assert np.hypot(x[1] - x[0], y[1] - y[0]) < float((flat[1] - flat[0]).norm()) * 1.001


# The board.

TABLES = {  # of a comparison's setting: the tables that may hold it, and the level
    "signals": (("mnist1d", "race-mnist1d"), 8),
    "clothes": (("fashion-mini", "race-fashion-mini"), 15),
    "resnet1d-4": (("rewinding",), 9),
    "language model": (("words",), 6),
}
SUSPECTS = {"the mask", "the values", "their signs", "their scale", "layer densities"}
SUSPECTS |= {"longer training", "luck"}


@functools.cache
def at_the_end(name: str, arm: str, level: int) -> pd.Series:
    """Test accuracies of an arm by seed, in points; the mean where values were drawn again."""
    table = pd.read_csv(files("lthlab").joinpath(f"assets/reference/{name}.csv"))
    arm, _, step = arm.partition(" from step ")
    draws = [arm, f"{arm}, draw 2", f"{arm}, draw 3"]
    rows = table[table.arm.isin(draws) & (table.rewind_step == int(step or 0))]
    rows = rows[(rows.level == (0 if arm == "dense" else level)) & (rows.metric == "accuracy")]
    return 100 * rows[rows.split == "test"].groupby("seed")["value"].mean()


def parsed(said: str) -> pd.DataFrame:
    pair = r"([^;.(]+) \(([^)]+) minus ([^)]+?)(, all weights kept)?\)"
    interval = r"(\S+) \[(\S+), (\S+)\], n = (\d+)"
    form = rf"(?:\. |; ){pair} on ([^:]+): {interval}, ([a-z ]+)"
    columns = ["suspect", "arm", "against", "whole"]
    columns += ["setting", "mean", "low", "high", "n", "verdict"]
    return pd.DataFrame(re.findall(form, said), columns=columns)


@pytest.mark.parametrize("notebook", [2, 3, 4, 11])
def test_the_board_is_what_the_tables_say(notebook):
    said = drawings.board(notebook)
    rows = parsed(said)
    for row in rows.itertuples():
        names, level = TABLES[row.setting]
        pairs = [
            (at_the_end(name, row.arm, level), at_the_end(name, row.against, level))
            for name in names
        ]
        one, other = next(pair for pair in pairs if len(pair[0]) and len(pair[1]))
        assert one.index.equals(other.index) and len(one) == int(row.n) == 10
        low, high = stats.ttest_rel(one, other).confidence_interval()
        shown = [float(value) for value in (row.mean, row.low, row.high)]
        assert shown == pytest.approx([(one - other).mean(), low, high], abs=0.051)
        charged, struck = (False, low > 0) if row.suspect == "luck" else (low > 1, high < 1)
        assert bool(row.whole) == (row.against == "dense")
        assert row.verdict == ("charged" if charged else "struck off" if struck else "undecided")
    ax = plt.gca()
    assert len(ax.collections) >= len(rows) and len(ax.texts) == len(rows)
    for row, text in zip(rows.itertuples(), ax.texts, strict=True):
        assert text.get_text().startswith(f"{row.mean} [{row.low}, {row.high}]")
    first = rows[rows.setting == "signals"].set_index("suspect")["verdict"]
    for label in ax.get_yticklabels():
        name = label.get_text().replace("\u0336", "").split("\n")[0]
        struck = "\u0336" in label.get_text()
        suspect = name.strip(" $").removeprefix("\\bf{").removesuffix("}").replace("\\ ", " ")
        if suspect in SUSPECTS:
            assert struck == (first.get(suspect) == "struck off")
    low, high = ax.get_xlim()
    assert all(low < float(value) < high for value in [*rows.low, *rows.high])


def test_every_suspect_is_open_until_an_experiment_tests_it():
    said = {notebook: drawings.board(notebook) for notebook in (0, 1, 2, 3, 4, 5, 10, 11)}
    tested = {notebook: set(parsed(text).suspect) for notebook, text in said.items()}
    assert tested[0] == tested[1] == set() and tested[2] == {"longer training"}
    assert tested[3] == {"longer training", "luck", "the values"}
    assert tested[4] == SUSPECTS < tested[5] < tested[10] == tested[11]
    for notebook, text in said.items():
        still_open = {name for name in SUSPECTS if f"{name}: open" in text}
        assert still_open == SUSPECTS - tested[notebook]


def test_the_boards_evidence_of_the_ticket_adds_up_to_the_gap():
    """Mask, scale, sizes' spread, signs and places of sizes lead from shuffled to the ticket."""
    found = parsed(drawings.board(4)).query("setting == 'signals'").set_index("suspect")["mean"]
    steps = found[["the mask", "their scale", "their signs", "the values"]].astype(float).sum()
    ticket, shuffled, scale, permuted = (
        at_the_end("mnist1d", arm, 8).mean()
        for arm in ("ticket", "shuffled", "reinitialised to scale", "permuted")
    )
    assert steps == pytest.approx(ticket - shuffled - (permuted - scale), abs=0.21)
