"""The widgets without a browser: what they compute, what a page without scripts shows, the lab."""

import copy
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from lthlab import widgets
from lthlab.masks import apply_masks_, full_masks, layer_densities
from lthlab.models import build_model
from lthlab.post_training import prune_once_
from lthlab.pruning import draw_batch, magnitude, prune, random, snip
from lthlab.recipes import recipe_for
from lthlab.statistics import interval
from lthlab.training import evaluate, predict, right_answers, train
from lthlab.widgets.explorer import CELLS, DENSITIES, DIGITS
from lthlab.widgets.panel import SCRIPT
from lthlab.words import LETTERS, sample_words

sys.path.insert(0, str(Path(__file__).parent.parent / "notebooks"))

from build import tidy

REFERENCE = Path(widgets.__file__).parent.parent / "assets" / "reference"


def unpack(text: str) -> list[int]:
    return [[*DIGITS].index(sign) for sign in text]


def options(panel, name: str) -> list[str]:
    return next(c for c in panel.data["controls"] if c["name"] == name)["options"]


@pytest.fixture(scope="module")
def explorer(fashion_mini):
    model = build_model("lenet-300-100", fashion_mini)
    recipe = replace(recipe_for("lenet-300-100", fashion_mini), duration="1ep")
    train(model, fashion_mini, recipe, evaluate_every=0, step="fast")
    return widgets.sparsity_explorer(model, fashion_mini), model


def test_the_race_is_that_of_the_reference_runs():
    panel = widgets.ticket_race("mnist1d")
    rows = pd.read_csv(REFERENCE / "mnist1d.csv")
    rows = rows.query("split == 'validation' and metric == 'accuracy'")
    level, step = 1, 30  # the second density, some way in
    assert options(panel, "level")[level] == "22 %" and panel.data["seeds"] == 10
    at = rows[rows["step"] == int(options(panel, "step")[step])]
    for arm in ("ticket", "reinitialised", "shuffled"):
        values = at[(at["arm"] == arm) & (at["density"].round(2) == 0.22)]["value"]
        found = panel.data["curves"][arm][level][step]
        expected = interval(values)
        assert found == pytest.approx(
            [100 * expected.mean, 100 * expected.low, 100 * expected.high], abs=0.002
        )
    dense = at.query("arm == 'dense' and level == 0")["value"]
    assert len(dense) == 10
    assert panel.data["dense"][step][0] == pytest.approx(100 * dense.mean(), abs=0.002)
    assert panel.data["looks"][1] == {"name": "ticket", "color": "#0173b2", "dash": ()}
    assert len({tuple(look["dash"]) for look in panel.data["looks"]}) == 4


def test_the_dial_says_what_the_lines_say():
    data = widgets.rewind_dial().data
    lines = pd.read_csv(REFERENCE / "stability.csv").query("network == 'dense'")
    for place, k in enumerate(data["steps"]):
        errors = 1 - lines[lines["rewind_step"] == k].pivot(
            index=["seed", "pair"], columns="alpha", values="value"
        )
        heights = errors.max(axis=1) - (errors[0.0] + errors[1.0]) / 2
        assert data["barriers"]["dense"][place][0] == pytest.approx(100 * heights.mean(), abs=0.01)
        along = [row[0] for row in data["paths"]["dense"][place]]
        assert along == pytest.approx((100 * errors.mean()).tolist(), abs=0.01)
    rows = pd.read_csv(REFERENCE / "rewinding.csv").query(
        "arm == 'ticket' and level == 9 and split == 'validation' and metric == 'accuracy'"
    )
    ends = rows[rows["step"] == rows["step"].max()].groupby("rewind_step")["value"].mean()
    assert [*ends.index] == data["steps"]
    assert [row[0] for row in data["worth"]] == pytest.approx((100 * ends).tolist(), abs=0.01)


def test_the_explorer_says_what_plain_pruning_gives(explorer, fashion_mini):
    panel, model = explorer
    split, place = fashion_mini.validation, DENSITIES.index(0.15)
    dense = predict(model, split).argmax(1)
    for part in panel.data["found"]:
        score = {"magnitude": magnitude, "SNIP": snip, "random": random}[part["method"]]
        scores = score(model, draw_batch(fashion_mini.train), seed=0)
        masks = prune(scores, full_masks(model), 1 - 0.15, part["scope"])
        pruned = predict(apply_masks_(copy.deepcopy(model), masks), split).argmax(1)
        # In steps or at once: rounding moves a weight or two.
        accuracy = (pruned == split.y).double().mean().item()
        assert part["accuracy"][place] == pytest.approx(accuracy, abs=0.005)
        flipped = (dense == split.y) & (pruned != split.y)
        assert part["wrong"][place] == pytest.approx(int(flipped.sum()), abs=12)
        for layer, kept in zip(part["layers"], layer_densities(masks).values(), strict=True):
            assert layer["kept"][place] == pytest.approx(100 * kept, abs=0.05)
        first = masks["fc1.weight"].sum(0)
        pixels = torch.tensor(unpack(part["pixels"][place])) / 61
        assert (pixels - first / first.max()).abs().max() < 0.03
        row = panel.table.query("method == @part['method'] and scope == @part['scope']")
        assert row["accuracy"].tolist() == part["accuracy"]
    assert panel.data["dense"] == pytest.approx(evaluate(model, split)["accuracy"], abs=1e-6)


def test_the_explorer_shows_masks_values_and_examples_of_the_network(explorer, fashion_mini):
    panel, model = explorer
    part, place = panel.data["found"][0], DENSITIES.index(0.1)
    assert (part["method"], part["scope"]) == ("magnitude", "layer")
    masks = prune(magnitude(model), full_masks(model), 1 - 0.1, "layer")
    names = [*masks]
    for name, layer in zip(names, part["layers"], strict=True):
        survived = np.array(unpack(layer["mask"])).reshape(-1, layer["columns"])
        rows, columns = (
            np.linspace(0, n - 1, m).astype(int)
            for n, m in zip(masks[name].shape, survived.shape, strict=True)
        )
        differ = (survived > place) != masks[name][rows][:, columns].numpy()
        assert differ.sum() <= 2 and layer["part"] == (survived.size < masks[name].numel())
        weight = model.state_dict()[name]
        counts = np.histogram(weight[masks[name]], 60, (-layer["reach"], layer["reach"]))[0]
        all_counts = np.histogram(weight, 60, (-layer["reach"], layer["reach"]))[0]
        shown = np.array(unpack(layer["values"][place])) / 61
        assert np.abs(shown - counts / all_counts.max()).max() < 0.02
    assert sum(len(layer["mask"]) for layer in part["layers"]) <= CELLS
    # The examples that flip: the picture is one of the class, and the network now says the other.
    pruned = apply_masks_(copy.deepcopy(model), masks)
    x, y = fashion_mini.validation.x, fashion_mini.validation.y
    greys = x.mean(1).flatten(1)
    low, high = greys.min(1, True).values, greys.max(1, True).values
    greys = 61 * (greys - low) / (high - low)
    assert len(part["flips"][place]) == 8 and part["flips"][0] == []
    for number, answer in part["flips"][place]:
        example = panel.data["pool"][number]
        near = (greys - torch.tensor(unpack(example["x"]))).abs().max(1).values
        found = int(near.argmin())
        assert near[found] <= 0.51 and int(y[found]) == example["was"] != answer
        assert int(pruned(x[found : found + 1]).argmax()) == answer


def test_the_explorer_leaves_the_network_as_it_was(tiny_signals):
    model = build_model("resnet1d-2", tiny_signals).train()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    panel = widgets.sparsity_explorer(model, tiny_signals)
    assert model.training
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    assert panel.data["image"] == 0 and len(panel.data["layers"]) > 5


def test_the_explorer_reads_words_letter_by_letter(tiny_words):
    model = build_model("gpt-1x8", tiny_words, seed=1)
    recipe = replace(recipe_for("gpt-1x8", tiny_words), duration="60it")
    train(model, tiny_words, recipe, evaluate_every=0)
    panel = widgets.sparsity_explorer(model, tiny_words)
    right = right_answers(predict(model, tiny_words.validation), tiny_words.validation)
    assert panel.data["dense"] == pytest.approx(right.double().mean().item())
    words = {"".join(LETTERS[t] for t in x if t) for x in tiny_words.validation.x.tolist()}
    assert panel.data["pool"]
    for example in panel.data["pool"]:
        start, letter = example["text"].removesuffix("_"), LETTERS[example["was"]]
        ends = (
            word == start if letter == "." else word.startswith(start + letter) for word in words
        )
        assert any(ends), example


def test_the_word_pruner_shows_what_pruning_once_leaves(tiny_words):
    """Every method and density: the loss, and the words, of the network pruned so."""
    model = build_model("gpt-1x8", tiny_words, seed=1)
    panel = widgets.word_pruner(model, tiny_words)
    for loss in panel.table.query("density == 1")["loss"]:
        assert abs(loss - evaluate(model, tiny_words.validation)["loss"]) < 1e-6
    pruned = copy.deepcopy(model)
    prune_once_(pruned, draw_batch(tiny_words.train, len(tiny_words.train), 0), "wanda", 0.3, "row")
    row = panel.table.query("method == 'wanda' and density == 0.3")["loss"]
    assert abs(float(row.iloc[0]) - evaluate(pruned, tiny_words.validation)["loss"]) < 1e-5
    method, density = (
        options(panel, n).index(o) for n, o in (("method", "wanda"), ("density", "30 %"))
    )
    assert panel.data["written"][method][density] == sample_words(pruned, 24, 0)
    assert panel.data["losses"][method][density] == pytest.approx(float(row.iloc[0]))


PANELS = ("explorer", "ticket_race", "rewind_dial", "cost_calculator")


@pytest.mark.parametrize("name", PANELS)
def test_a_page_without_scripts_gets_a_still_picture_or_text(name, explorer):
    panel = explorer[0] if name == "explorer" else getattr(widgets, name)()
    bundle = panel._repr_mimebundle_()
    assert len(bundle["text/plain"]) > 60 and SCRIPT in bundle["text/html"]
    output = nbformat.v4.new_output("display_data", bundle)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    tidy(notebook)
    kept = notebook.cells[0].outputs[0].data["text/html"]
    assert len(kept) < 220_000 and "<script type" in kept and SCRIPT[:50] not in kept
    data = re.search(r'<script type="application/json">(.*?)</script>', kept)[1]
    assert json.loads(data) == json.loads(json.dumps(panel.data))
    seen = kept.replace(data, "")
    assert f"<p>{bundle['text/plain']}</p>" in seen
    if name != "cost_calculator":  # which is text alone
        assert re.search(r'<img alt="[^"]{60,}" src="data:image/png;base64,iVBOR', seen)


def test_the_front_end_is_small_and_fetches_nothing():
    assert len(SCRIPT.encode()) < 25_000
    assert not re.search(r"https?://|\bimport\b[^.]*?from|fetch\(", SCRIPT)
    assert "</script" not in SCRIPT


# The live lab: its process loads PyTorch, so the tests share one.


@pytest.fixture(scope="module")
def lab():
    lab = widgets.live_lab()
    yield lab
    lab.stop()


def test_the_live_lab_trains_as_train_does_and_one_run_at_a_time(lab, mnist1d):
    assert not lab.data["running"] and "press Run" in lab.data["said"]
    network = [f"{n} on {d}" for n, d in widgets.lab.NETWORKS].index("mlp-20 on mnist1d")
    told = {"do": "run", "at": {"network": network, "method": 2, "density": 2}}
    torch.manual_seed(5)
    expected = torch.Generator().manual_seed(5)
    lab.told(None, told, [])
    assert lab.data["running"] and lab.data["said"].startswith("Starting")
    lab.run("mlp-50", "fashion-mini")
    assert lab.data["said"] == "One run at a time: press Stop first." and len(lab.runs) == 1
    drawn = torch.rand(1000)  # the reader's own random numbers go on as they would
    assert torch.equal(drawn, torch.rand(1000, generator=expected))
    lab.follower.join(240)
    assert not lab.data["running"] and lab.data["said"] == "Finished."
    model, recipe = build_model("mlp-20", mnist1d), recipe_for("mlp-20", mnist1d)
    masks = prune(snip(model, draw_batch(mnist1d.train)), full_masks(model), 0.9, "global")
    history = train(model, mnist1d, recipe, masks, evaluate_every="50it", step="fast")
    rows = history.table.query("split == 'validation' and metric == 'accuracy' and step > 0")
    label, points = lab.runs[0]
    assert label == "SNIP, 10 %, mlp-20 on mnist1d" and len(points) == len(rows) == 32
    assert [step for step, _ in points] == rows["step"].tolist()
    assert [seen for _, seen in points] == pytest.approx(rows["value"].tolist(), abs=0.03)
    assert lab.data["runs"][0]["points"][-1][1] == pytest.approx(100 * points[-1][1])


def test_a_run_that_cannot_begin_says_why_and_the_next_one_runs(lab):
    lab.run("mpl-20", "mnist1d")
    lab.follower.join(240)
    assert "got 'mpl-20'" in lab.data["error"] and not lab.data["running"]
    lab.run("mlp-20", "mnist1d")
    lab.follower.join(240)
    assert "error" not in lab.data and lab.data["said"] == "Finished."


@pytest.mark.parametrize("ending", ["Stopped.", "The process ended by itself"])
def test_stop_ends_the_process_at_once_and_a_death_is_not_called_stopped(lab, ending):
    lab.run("lenet-300-100", "fashion-mini")
    points, process = lab.runs[-1][1], lab.process
    deadline = time.monotonic() + 240
    while not points and time.monotonic() < deadline:
        time.sleep(0.02)
    lab.stop() if ending == "Stopped." else process.kill()
    lab.follower.join(60)
    assert not process.is_alive() and not lab.data["running"]
    assert lab.data["said"].startswith(ending) and points and points[-1][0] < 1330


def test_a_page_without_a_kernel_says_what_the_lab_needs(lab):
    bundle, _ = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert "make lab" in bundle["text/html"] and "<script" not in bundle["text/html"]
