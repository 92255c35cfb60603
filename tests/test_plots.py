"""Pictures show the numbers of their tables."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgba

from lthlab.experiments import interval
from lthlab.masks import full_masks, layer_densities
from lthlab.models import build_model
from lthlab.plots import (
    ARM_COLORS,
    accuracy_by_density,
    band,
    density_axis,
    input_picture,
    layer_bars,
    lines,
    race,
    sample_pictures,
    use_style,
    weight_histogram,
)
from lthlab.pruning import prune, random


@pytest.fixture(autouse=True)
def closed_figures():
    with plt.rc_context():
        yield
    plt.close("all")


def results(seeds: int = 4) -> pd.DataFrame:
    """Two arms, three densities, `seeds` seeds, and measurements that a picture of accuracy must leave out."""
    draw, rows = np.random.default_rng(0), []
    for arm in ("ticket", "reinitialised"):
        for epoch, density in enumerate((1.0, 0.51, 0.1)):
            for seed in range(seeds):
                for split, metric in (("validation", "accuracy"), ("validation", "loss"), ("train", "loss")):
                    rows.append((arm, seed, float(epoch), density, split, metric, draw.uniform(0.5, 1)))
    return pd.DataFrame(rows, columns=["arm", "seed", "epoch", "density", "split", "metric", "value"])


def accuracies(table: pd.DataFrame) -> pd.DataFrame:
    return table.query("split == 'validation' and metric == 'accuracy'")


def curves(ax) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The drawn points by colour of the line; entries of the legend are empty lines."""
    drawn = [line for line in ax.lines if len(line.get_xdata())]
    arms = {to_rgba(color): arm for arm, color in ARM_COLORS.items()}
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
    assert band([0.7, 0.8, 0.9]) == (interval([0.7, 0.8, 0.9]).low, interval([0.7, 0.8, 0.9]).high)
    ax = race(results(seeds=2))
    corners = [path.vertices for drawn in ax.collections for path in drawn.get_paths()]
    assert all(np.isnan(vertices[:, 1]).all() for vertices in corners if len(vertices))


def test_arms_without_a_colour_of_their_own_are_told_apart():
    table = pd.DataFrame({"arm": ["k = 0"] * 2 + ["k = 24"] * 2, "x": [0, 1] * 2, "value": [1.0, 2.0, 3.0, 4.0]})
    drawn = [line for line in lines(table, x="x").lines if len(line.get_xdata())]
    assert len({to_rgba(line.get_color()) for line in drawn}) == 2


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
    assert list(ax.get_xticks()) == [1, 0.5, 0.2, 0.1]
    labels = [ax.xaxis.get_major_formatter()(tick) for tick in (1, 0.5, 0.036)]
    assert labels == ["100 %", "50 %", "3.6 %"]


def test_a_density_axis_reaches_the_sparsest_density():
    ax = plt.subplots()[1]
    density_axis(ax, pd.Series([1.0, 0.005]))
    assert ax.get_xlim()[1] < 0.005
    assert 0.005 in ax.get_xticks()


def area(vertices: np.ndarray) -> float:
    x, y = vertices[:, 0], vertices[:, 1]
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def test_the_histogram_counts_every_weight_once(tiny):
    weight = build_model("mlp-100-100", tiny).fc2.weight
    ax = weight_histogram(weight, cut=0.05)
    outline = ax.collections[0].get_paths()[0].vertices
    width = float(weight.detach().max() - weight.detach().min()) / 100
    assert area(outline) / width == pytest.approx(weight.numel(), rel=1e-4)
    counts = np.histogram(weight.detach().numpy(), bins=100)[0]
    assert outline[:, 1].max() == counts.max()
    shaded = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((-0.05, 0.05))
    assert ax.get_legend().get_texts()[0].get_text() == "below 0.050: pruned"


def test_bars_are_as_high_as_the_layers_are_dense(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = {
        "layer": prune(random(model), full_masks(model), 0.4),
        "global": prune(random(model), full_masks(model), 0.7, scope="global"),
    }
    ax = layer_bars(masks)
    for (name, mask), bars in zip(masks.items(), ax.containers, strict=True):
        assert [bar.get_height() for bar in bars] == pytest.approx(list(layer_densities(mask).values()))
        assert {to_rgba(bar.get_facecolor())[:3] for bar in bars} != {to_rgba("white")[:3]}
        assert name in [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fc1", "fc2", "out"]
    shown = [text.get_text() for text in ax.texts]
    assert shown == [f"{100 * kept:.1f} %" for mask in masks.values() for kept in layer_densities(mask).values()]


def test_the_input_picture_counts_the_connections_of_each_pixel(tiny):
    model = build_model("mlp-8-6", tiny)
    mask = prune(random(model), full_masks(model), 0.6)["fc1.weight"]
    ax = input_picture(mask, tiny)
    assert np.array_equal(np.asarray(ax.collections[0].get_array()).reshape(4, 4), mask.sum(0).reshape(4, 4))


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
        assert np.allclose(ax.images[0].get_array().reshape(28, 28), fashion_mini.pictures(first)[0, 0])
        assert ax.get_title() == fashion_mini.classes[label]


@pytest.mark.parametrize("count", [1, 3])
def test_sample_pictures_show_as_many_classes_as_asked_for(count, tiny):
    assert len(sample_pictures(tiny, count).axes) == count


def test_the_style_of_the_course_can_be_switched_on():
    plt.rcParams["legend.frameon"] = True
    use_style()
    assert plt.rcParams["legend.frameon"] is False
    assert plt.rcParams["axes.grid"] is True
