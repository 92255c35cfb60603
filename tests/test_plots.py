"""Pictures show the numbers of their tables."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgba

import lthlab
from lthlab.arms import ARMS
from lthlab.data import make_dataset
from lthlab.experiments import run_experiment
from lthlab.masks import full_masks, layer_densities
from lthlab.models import build_model
from lthlab.plots import (
    accuracy_by_density,
    arm_color,
    band,
    density_axis,
    input_picture,
    layer_bars,
    lines,
    look,
    race,
    sample_pictures,
    use_style,
    weight_histogram,
)
from lthlab.pruning import prune, random
from lthlab.recipes import Recipe
from lthlab.statistics import interval


@pytest.fixture(autouse=True)
def closed_figures():
    with plt.rc_context():
        yield
    plt.close("all")


def results(seeds: int = 4) -> pd.DataFrame:
    """Two arms, three densities, `seeds` seeds, and what a picture of accuracy must leave out."""
    draw, rows = np.random.default_rng(0), []
    measured = ("validation", "accuracy"), ("validation", "loss"), ("train", "loss")
    for arm in ("ticket", "reinitialised"):
        for epoch, density in enumerate((1.0, 0.51, 0.1)):
            for seed in range(seeds):
                for kind in measured:
                    value = draw.uniform(0.5, 1)
                    rows.append((arm, seed, float(epoch), density, *kind, value))
    columns = ["arm", "seed", "epoch", "density", "split", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def accuracies(table: pd.DataFrame) -> pd.DataFrame:
    return table.query("split == 'validation' and metric == 'accuracy'")


# The colours that every saved picture of the course has.
COLORS = {"dense": "#404040", "ticket": "#0173b2", "reinitialised": "#d55e00"}


def curves(ax) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The drawn points by colour of the line; entries of the legend are empty lines."""
    drawn = [line for line in ax.lines if len(line.get_xdata())]
    arms = {to_rgba(color): arm for arm, color in COLORS.items()}
    return {arms[to_rgba(line.get_color())]: (line.get_xdata(), line.get_ydata()) for line in drawn}


@pytest.mark.parametrize(("draw", "x"), [(race, "epoch"), (accuracy_by_density, "density")])
def test_lines_go_through_the_means_over_seeds(draw, x):
    table = results() if draw is race else accuracies(results())
    ax = draw(table)
    found, rows = curves(ax), accuracies(table)
    assert set(found) == {"ticket", "reinitialised"}
    for arm, (xs, ys) in found.items():
        means = rows[rows["arm"] == arm].groupby(x)["value"].mean()
        assert np.allclose(xs, means.index)
        assert np.allclose(ys, means)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ticket", "reinitialised"]
    assert ax.get_ylabel() == "validation accuracy"


def test_a_race_runs_over_the_epochs_of_an_experiment(tiny):
    """What `run_experiment` returns can be drawn as it is."""
    recipe = Recipe("sgd", 0.1, 0.9, batch_size=20, duration="2ep3it")
    options = {"seeds": range(3), "levels": 1, "n_jobs": 1, "progress": False}
    table = run_experiment("mlp-8", tiny, recipe, arms=["dense", "ticket"], **options)
    ax = race(table)
    found = curves(ax)
    assert set(found) == {"dense", "ticket"}
    for arm, rows in accuracies(table).groupby("arm"):
        epochs, values = found[arm]
        assert epochs.tolist() == [0, 1, 2, 2.6]  # 5 steps an epoch, 13 in all
        means = [rows[rows["step"] == step]["value"].mean() for step in (0, 5, 10, 13)]
        assert values.tolist() == pytest.approx(means)
    assert ax.get_xlabel() == "epochs of training"


def test_bands_are_the_95_percent_intervals():
    rows = accuracies(results()).query("arm == 'ticket'")
    ax = race(rows)
    (drawn,) = ax.collections
    corners = drawn.get_paths()[0].vertices
    for epoch, values in rows.groupby("epoch")["value"]:
        expected = interval(values)
        at_epoch = corners[np.isclose(corners[:, 0], epoch), 1]
        assert at_epoch.min() == pytest.approx(expected.low)
        assert at_epoch.max() == pytest.approx(expected.high)


def test_two_seeds_have_no_band():
    assert np.isnan(band([0.8, 0.9])).all()
    three = interval([0.7, 0.8, 0.9])
    assert band([0.7, 0.8, 0.9]) == (three.low, three.high)
    ax = race(results(seeds=2))
    corners = [path.vertices for drawn in ax.collections for path in drawn.get_paths()]
    assert all(np.isnan(vertices[:, 1]).all() for vertices in corners if len(vertices))


def test_arms_without_a_colour_of_their_own_are_told_apart():
    arms = ["k = 0", "k = 0", "k = 24", "k = 24"]
    table = pd.DataFrame({"arm": arms, "x": [0, 1, 0, 1], "value": [1.0, 2.0, 3.0, 4.0]})
    drawn = [line for line in lines(table, x="x").lines if len(line.get_xdata())]
    assert len({to_rgba(line.get_color()) for line in drawn}) == 2
    assert len({arm_color("k", position) for position in range(6)}) == 6


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_looks_as_it_was_declared(arm):
    assert look(arm) == look(arm, 3) == (ARMS[arm].color, ARMS[arm].dashes)
    assert arm_color(arm) == ARMS[arm].color == COLORS.get(arm, ARMS[arm].color)
    assert len(to_rgba(arm_color(arm))) == 4  # matplotlib knows the colour
    assert all(length > 0 for length in look(arm)[1]) and len(look(arm)[1]) % 2 == 0


@pytest.mark.parametrize(
    "raced",
    [
        ["dense", "ticket", "reinitialised", "shuffled", "random"],
        ["dense", "ticket", "learning-rate rewinding", "fine-tuning"],
        ["ticket", "random", "magnitude at init", "SNIP", "GraSP", "SynFlow"],
        ["dense", "ERK", "RigL", "SET", "Early-Bird"],
        ["random", "magnitude, layer", "magnitude, global", "OBD, layer", "OBD, global"],
        ["layer", "global"],
    ],
)
def test_arms_that_race_each_other_are_told_apart(raced):
    assert len({look(arm) for arm in raced}) == len(raced)


@pytest.mark.parametrize(
    ("variant", "plain"),
    [
        ("OBD, global", "OBD"),
        ("magnitude, layer", "magnitude"),
        ("SNIP, inverted", "SNIP"),
        ("SynFlow, in one step", "SynFlow"),
        ("rewound, ticket", "ticket"),
    ],
)
def test_a_variant_looks_like_what_it_is_a_variant_of(variant, plain):
    assert look(variant) == look(variant, 2) == look(plain)
    assert arm_color(variant) == arm_color(plain) != arm_color("another", 5)


@pytest.mark.parametrize("method", ["magnitude at init", "SNIP", "GraSP", "SynFlow"])
@pytest.mark.parametrize("control", ["shuffled", "reinitialised"])
def test_the_checks_of_a_method_have_the_colours_of_the_controls(method, control):
    assert arm_color(f"{method}, {control}") == arm_color(control) != arm_color(method)
    assert look(f"{method}, {control}")[1] == look(method)[1]


def test_a_readers_arm_is_drawn_in_the_colour_that_it_declares(declared):
    lthlab.arm("my arm", color="#123456", dashes=(2, 1))(ARMS["dense"].function)
    assert look("my arm") == look("my arm, at 10 %") == ("#123456", (2, 1))
    table = results().replace({"reinitialised": "my arm"})
    drawn = [line for line in race(table).lines if len(line.get_xdata())]
    found = {to_rgba(line.get_color()): line.is_dashed() for line in drawn}
    assert found == {to_rgba(COLORS["ticket"]): False, to_rgba("#123456"): True}


def test_arms_that_declare_no_colour_are_told_apart_all_the_same(declared):
    for name in ("my arm", "my other arm"):
        lthlab.arm(name)(ARMS["dense"].function)
    table = results().replace({"reinitialised": "my arm", "ticket": "my other arm"})
    drawn = [line for line in race(table).lines if len(line.get_xdata())]
    assert len({to_rgba(line.get_color()) for line in drawn}) == len(drawn) >= 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax, tiny, masks: race(results(), ax=ax),
        lambda ax, tiny, masks: accuracy_by_density(accuracies(results()), ax=ax),
        lambda ax, tiny, masks: weight_histogram(torch.arange(25.0), ax=ax),
        lambda ax, tiny, masks: layer_bars({"ticket": masks}, ax=ax),
        lambda ax, tiny, masks: input_picture(masks["fc1.weight"], tiny, ax=ax),
    ],
)
def test_pictures_are_drawn_into_the_axes_that_are_given(draw, tiny):
    ax = plt.figure().add_subplot()
    assert draw(ax, tiny, full_masks(build_model("mlp-8", tiny))) is ax
    assert ax.has_data()
    assert len(plt.get_fignums()) == 1


def test_the_density_axis_runs_from_dense_to_sparse_in_percent():
    ax = accuracy_by_density(accuracies(results()))
    left, right = ax.get_xlim()
    assert left > 1 and right < 0.1, "dense on the left, and no point is cut off"
    assert ax.get_xscale() == "log"
    shown = [tick for tick in ax.get_xticks() if right <= tick <= left]
    assert sorted(shown) == pytest.approx([0.1, 0.2, 0.5, 1])
    labels = [ax.xaxis.get_major_formatter()(tick) for tick in (1, 0.5, 0.036)]
    assert labels == ["100 %", "50 %", "3.6 %"]


def test_a_density_axis_reaches_the_sparsest_density():
    ax = plt.subplots()[1]
    density_axis(ax, pd.Series([1.0, 0.005]))
    assert ax.get_xlim()[1] < 0.005
    assert 0.005 in ax.get_xticks()


@pytest.mark.parametrize("spread", [0.004, 0.03, 0.4])
def test_the_ticks_of_an_accuracy_do_not_repeat(spread):
    table = accuracies(results())
    values = table["value"]
    table["value"] = 0.82 + spread * (values - values.min()) / (values.max() - values.min())
    ax = accuracy_by_density(table)
    ticks = ax.get_yticks()
    labels = [ax.yaxis.get_major_formatter()(tick) for tick in ticks]
    assert len({*labels}) == len(labels) > 3
    assert [float(label.removesuffix(" %")) for label in labels] == pytest.approx(100 * ticks)


def test_other_names_differ_in_more_than_colour():
    assert len({look("k", position)[1] for position in range(6)}) == 6
    for one, other in (("layer", "global"), ("magnitude", "OBD")):
        assert look(one)[1] != look(other)[1]


def area(vertices: np.ndarray) -> float:
    x, y = vertices[:, 0], vertices[:, 1]
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def test_the_histogram_counts_every_weight_once(tiny):
    weight = build_model("mlp-100-100", tiny).fc2.weight
    ax = weight_histogram(weight)
    outline = ax.collections[0].get_paths()[0].vertices
    width = float(weight.detach().max() - weight.detach().min()) / 100
    assert area(outline) / width == pytest.approx(weight.numel(), rel=1e-4)
    counts = np.histogram(weight.detach().numpy(), bins=100)[0]
    assert outline[:, 1].max() == counts.max()


def test_bars_are_as_high_as_the_layers_are_dense(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = {
        "layer": prune(random(model), full_masks(model), 0.4),
        "global": prune(random(model), full_masks(model), 0.7, scope="global"),
    }
    ax = layer_bars(masks)
    for (name, mask), bars in zip(masks.items(), ax.containers, strict=True):
        expected = [*layer_densities(mask).values()]
        assert [bar.get_height() for bar in bars] == pytest.approx(expected)
        assert {to_rgba(bar.get_facecolor())[:3] for bar in bars} != {to_rgba("white")[:3]}
        assert name in [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fc1", "fc2", "out"]
    shown = [text.get_text() for text in ax.texts]
    densities = [kept for mask in masks.values() for kept in layer_densities(mask).values()]
    assert shown == [f"{100 * kept:.1f} %" for kept in densities]


def test_the_input_picture_counts_the_connections_of_each_pixel(tiny):
    model = build_model("mlp-8-6", tiny)
    mask = prune(random(model), full_masks(model), 0.6)["fc1.weight"]
    drawn = np.asarray(input_picture(mask, tiny).collections[0].get_array())
    assert np.array_equal(drawn.reshape(4, 4), mask.sum(0).reshape(4, 4))


def test_the_input_picture_adds_up_the_colours_of_a_pixel(cifar_shaped):
    mask = torch.rand(5, 3 * 32 * 32, generator=torch.Generator().manual_seed(0)) < 0.5
    ax = input_picture(mask, cifar_shaped)
    expected = mask.sum(0).reshape(3, 32, 32).sum(0)
    assert np.array_equal(np.asarray(ax.collections[0].get_array()).reshape(32, 32), expected)


def test_sample_pictures_show_the_first_training_image_of_each_class(fashion_mini):
    figure = sample_pictures(fashion_mini)
    assert len(figure.axes) == 10
    for label, ax in enumerate(figure.axes):
        first = fashion_mini.train.x[fashion_mini.train.y == label][:1]
        drawn = ax.images[0].get_array().reshape(28, 28)
        assert np.allclose(drawn, fashion_mini.pictures(first)[0, 0])
        assert ax.get_title() == fashion_mini.classes[label]


def test_sample_pictures_show_as_many_as_there_are_classes(tiny, cifar_shaped):
    figure = sample_pictures(tiny)
    assert [ax.get_title() for ax in figure.axes] == list("abcd")
    for label, ax in enumerate(figure.axes):
        first = tiny.train.x[tiny.train.y == label][:1]
        drawn = ax.images[0].get_array().reshape(4, 4)
        assert np.allclose(drawn, tiny.pictures(first)[0, 0])
    assert len(sample_pictures(cifar_shaped).axes) == 10


def test_a_class_without_a_training_example_has_a_name_and_no_picture():
    draw = np.random.default_rng(0)
    labels = np.array([0, 1, 3] * 8)  # of class 2 the test split alone has examples
    dataset = make_dataset(
        "one missing",
        draw.normal(size=(24, 1, 4, 4)),
        labels,
        draw.normal(size=(4, 1, 4, 4)),
        np.arange(4),
        "abcd",
        held_out=6,
    )
    axes = sample_pictures(dataset).axes
    assert [ax.get_title() for ax in axes] == list("abcd")
    assert [len(ax.images) for ax in axes] == [1, 1, 0, 1]


def test_the_style_of_the_course_can_be_switched_on():
    plt.rcParams["legend.frameon"] = True
    use_style()
    assert plt.rcParams["legend.frameon"] is False
    assert plt.rcParams["axes.grid"] is True
