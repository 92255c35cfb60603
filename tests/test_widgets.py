"""The widgets without a browser: every knob at every place, what they say, how they fail."""

import copy
import re
import time
from dataclasses import replace

import pytest
import torch

from lthlab import widgets
from lthlab.masks import apply_masks_, full_masks
from lthlab.models import build_model
from lthlab.post_training import prune_once_
from lthlab.pruning import draw_batch, magnitude, prune, snip
from lthlab.recipes import recipe_for
from lthlab.training import evaluate, train
from lthlab.widgets.panel import Panel, choice
from lthlab.words import sample_words


@pytest.fixture(scope="module")
def explorer(fashion_mini):
    model = build_model("lenet-300-100", fashion_mini)
    recipe = replace(recipe_for("lenet-300-100", fashion_mini), duration="1ep")
    train(model, fashion_mini, recipe, evaluate_every=0, step="fast")
    return widgets.sparsity_explorer(model, fashion_mini), model


def places(control):
    return (
        [place for _, place in control.options]
        if isinstance(control.options[0], tuple)
        else control.options
    )


@pytest.mark.parametrize(
    "name", ["explorer", "ticket_race", "rewind_dial", "cost_calculator", "live_lab"]
)
def test_every_knob_changes_what_is_said_and_drawn(name, explorer):
    panel = explorer[0] if name == "explorer" else getattr(widgets, name)()
    for label, control in panel.controls.items():
        assert control.description, "a knob needs a label"
        if not hasattr(control, "options"):
            continue
        said, drawn = set(), set()
        for place in places(control):
            control.value = place
            assert "lthlab-error" not in panel.picture.value, panel.picture.value
            said.add(panel.words.value)
            drawn.add(panel.picture.value)
        if name != "live_lab":  # whose knobs are for the next run
            assert len(said) == len(drawn) == len(places(control)), label
    assert 'role="status" aria-live="polite"' in panel.words.value
    if name != "cost_calculator":
        assert re.search(r'<img alt="[^"]{15,}" src="data:image/png', panel.picture.value)


def test_the_explorer_says_what_plain_pruning_gives(explorer, fashion_mini):
    panel, model = explorer
    before = {name: p.clone() for name, p in model.state_dict().items()}
    for scope in ("layer", "global"):
        row = panel.table.query(
            "method == 'magnitude' and scope == @scope and 0.1 < density < 0.2"
        ).iloc[0]
        panel.controls["scope"].value, panel.controls["method"].value = scope, "magnitude"
        panel.controls["density"].value = row["density"]
        apply_masks_(model, prune(magnitude(model), full_masks(model), 1 - row["density"], scope))
        accuracy = evaluate(model, fashion_mini.validation)["accuracy"]
        model.load_state_dict(before)
        assert row["accuracy"] == pytest.approx(
            accuracy, abs=0.005
        )  # in steps: rounding moves a weight or two
        assert f"accuracy {row['accuracy']:.1%}" in panel.words.value


def test_the_explorer_leaves_the_network_as_it_was(tiny_signals):
    model = build_model("resnet1d-2", tiny_signals).train()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    panel = widgets.sparsity_explorer(model, tiny_signals)
    assert (
        all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
        and model.training
    )
    for layer in places(panel.controls["layer"]):
        panel.controls["layer"].value = layer
        assert "lthlab-error" not in panel.picture.value, panel.picture.value


def test_the_word_pruner_shows_what_pruning_once_leaves(tiny_words):
    """Every method and density: the loss, and the words, of the network pruned so."""
    model = build_model("gpt-1x8", tiny_words, seed=1)
    panel = widgets.word_pruner(model, tiny_words)
    for _, density, loss in panel.table.query("density == 1").itertuples(index=False):
        assert abs(loss - evaluate(model, tiny_words.validation)["loss"]) < 1e-6 and density == 1
    pruned = copy.deepcopy(model)
    prune_once_(pruned, draw_batch(tiny_words.train, len(tiny_words.train), 0), "wanda", 0.3, "row")
    row = panel.table.query("method == 'wanda' and density == 0.3")["loss"]
    assert abs(float(row.iloc[0]) - evaluate(pruned, tiny_words.validation)["loss"]) < 1e-5
    panel.controls["method"].value, panel.controls["density"].value = "wanda", 0.3
    shown = re.sub(r"<[^>]+>|&nbsp;", " ", panel.picture.value).split()
    assert shown == sample_words(pruned, 24, 0)
    assert "wanda, 30 % of the weights kept" in panel.words.value


def test_a_page_without_a_kernel_gets_a_still_picture():
    data = widgets.rewind_dial()._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "<table" in widgets.cost_calculator()._repr_mimebundle_()["text/html"]


def test_the_still_picture_of_the_race_is_its_end():
    panel = widgets.ticket_race()
    steps = panel.controls["step"]
    assert steps.value == 0
    still = panel._repr_mimebundle_()["image/png"]
    steps.value = steps.options[-1][1]
    assert still in panel.picture.value and "Step 1600" in panel.words.value


def test_an_error_in_a_callback_is_shown_and_goes_away():
    def draw(number):
        return f"the number {number}", f"<b>{1 / number}</b>"

    panel = Panel("broken", {"number": choice([1, 0, 2], "number")}, draw)
    assert panel.picture.value == "<b>1.0</b>"
    panel.controls["number"].value = 0
    assert (
        'class="lthlab-error"' in panel.picture.value and "ZeroDivisionError" in panel.picture.value
    )
    panel.controls["number"].value = 2
    assert panel.picture.value == "<b>0.5</b>"


def test_the_calculator_by_hand():
    panel = widgets.cost_calculator()
    panel.controls["chip"].value = "NVIDIA V100 (Patterson et al. 2021)"
    panel.controls["parameters"].value, panel.controls["tokens"].value = 1.75e11, 3e11
    panel.controls["grid"].value = "world"
    # 6 * 1.75e11 * 3e11 FLOPs at 25 TFLOP/s; an hour is 1.50 dollars and 0.363 kWh; 480 g per kWh
    hours = 3.15e23 / 25e12 / 3600
    for value in (3.15e23, hours, 1.5 * hours, 0.363 * hours, 0.363 * 0.48 * hours):
        assert any(f"{value:{form}}" in panel.words.value for form in (".3g", ",.3g")), value
    panel.controls["kept"].value = 0.1
    assert "3.15e+22" in panel.words.value


def test_the_live_lab_runs_stops_and_keeps_its_runs():
    panel = widgets.live_lab()
    panel.run.click()
    assert panel.run.disabled and not panel.stop.disabled
    panel.stop.click()
    panel.worker.join(60)
    assert panel.left.value == "stopped" and not panel.run.disabled and panel.stop.disabled
    label, points = panel.runs[0]
    steps = [step for step, _ in points]
    assert label == "dense, mlp-100-100-100" and steps[0] == 50 and steps[-1] < 1600
    panel.controls["data"].value = "fashion-mini"
    assert "resnet1d-4" not in panel.controls["network"].options
    panel.controls["network"].value, panel.controls["method"].value = "mlp-50", "SNIP"
    panel.run.click()
    panel.stop.click()
    panel.worker.join(60)
    assert panel.runs[1][0] == "SNIP, 10 %, mlp-50" and "SNIP, 10 %" in panel.words.value
    assert label in panel.words.value, "the first run stays in the picture"


def test_the_live_lab_trains_as_train_does(mnist1d):
    panel = widgets.live_lab()
    panel.controls["network"].value, panel.controls["method"].value = "mlp-20", "SNIP"
    panel.run.click()
    panel.worker.join(120)
    model, recipe = build_model("mlp-20", mnist1d), recipe_for("mlp-20", mnist1d)
    masks = prune(snip(model, draw_batch(mnist1d.train)), full_masks(model), 0.9, "global")
    history = train(model, mnist1d, recipe, masks, evaluate_every="50it", step="fast")
    rows = history.table.query("split == 'validation' and metric == 'accuracy' and step > 0")
    assert panel.left.value == "finished" and len(rows) == 32
    assert panel.runs[0][1] == [*zip(rows["step"], rows["value"], strict=True)]
    assert f"{rows['value'].iloc[-1]:.1%} after 1600 steps" in panel.words.value


def test_one_run_at_a_time():
    panel = widgets.live_lab()
    panel.run.click()
    worker = panel.worker
    panel.run.click()  # by code: in a browser the button is grey
    assert panel.worker is worker and len(panel.runs) == 1
    panel.stop.click()
    worker.join(60)
    panel.run.click()
    assert panel.worker is not worker and len(panel.runs) == 2
    panel.stop.click()
    panel.worker.join(60)


def test_a_run_leaves_the_readers_random_numbers_alone():
    panel = widgets.live_lab()
    panel.controls["network"].options = ["mlp-1000-1000"]  # large: building it takes a while
    torch.manual_seed(5)
    expected, drawn = torch.Generator().manual_seed(5), []
    panel.run.click()
    panel.stop.click()
    while panel.worker.is_alive():  # as cells do that are run meanwhile
        drawn.append(torch.rand(1000))
        time.sleep(0.001)
    assert len(drawn) > 5
    assert torch.equal(torch.cat(drawn), torch.rand(1000 * len(drawn), generator=expected))


def test_a_run_that_cannot_begin_says_why_in_place():
    panel = widgets.live_lab()
    panel.controls["network"].options = ["mpl-20"]
    panel.run.click()
    assert 'class="lthlab-error"' in panel.picture.value
    assert "Unknown network &#x27;mpl-20&#x27;" in panel.picture.value
    assert not panel.run.disabled and panel.stop.disabled and panel.runs == []
    panel.controls["network"].options = ["mlp-20"]
    panel.run.click()
    panel.stop.click()
    panel.worker.join(60)
    assert panel.left.value == "stopped" and "lthlab-error" not in panel.picture.value


def test_an_error_in_the_background_is_shown_in_place():
    panel = widgets.live_lab()

    def fail_once_it_trains(change):
        if "s left" in change["new"]:
            raise ZeroDivisionError("an observer's")

    panel.left.observe(fail_once_it_trains, "value")
    panel.run.click()
    panel.worker.join(60)
    assert "ZeroDivisionError" in panel.picture.value and panel.left.value == "failed"
    assert not panel.run.disabled and panel.stop.disabled
