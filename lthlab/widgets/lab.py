"""Live lab: train in the background, watch, stop, compare."""

import threading
import time
from collections.abc import Callable

import ipywidgets

from lthlab import plots
from lthlab.data import load_dataset
from lthlab.models import build_model
from lthlab.pruning import draw_batch, magnitude, prune_at_init, random, snip
from lthlab.recipes import recipe_for
from lthlab.training import evaluate, training
from lthlab.widgets.panel import WIDE, Panel, Stage, choice, percent, slider, training_axes

NETWORKS = {
    "mnist1d": ["mlp-100-100-100", "mlp-20", "resnet1d-4"],
    "fashion-mini": ["lenet-300-100", "mlp-50"],
}
METHODS = {"dense": None, "random": random, "SNIP": snip, "magnitude at init": magnitude}


def live_lab() -> Panel:
    """Choose data, network, method and density, press Run, and watch it train; Stop ends it early.

    It trains in the background, one run at a time, and the kernel stays usable. The panel's `runs`
    are pairs of a label and its points (step, accuracy); all of them are in the picture.
    """
    runs: list[tuple[str, list[tuple[int, float]]]] = []
    run = ipywidgets.Button(description="Run", icon="play")
    stop = ipywidgets.Button(description="Stop", icon="stop", disabled=True)
    bar = ipywidgets.FloatProgress(min=0, max=1, description="progress", **WIDE)
    left, halt = ipywidgets.Label("not running"), threading.Event()

    def draw(**_settings):
        ax, ends = training_axes(), []
        for number, (label, points) in enumerate(runs):
            if points:
                style = {"color": plots.arm_color(label), "marker": "os^vDP*X"[number % 8]}
                ax.plot(*zip(*points, strict=True), label=label, **style)
                step, accuracy = points[-1]
                ends.append(f"{label}: {accuracy:.1%} after {step} steps")
        if ends:
            ax.legend(loc="lower right", frameon=False)
        return "; ".join(ends or ["No run yet. Press Run"]) + ".", Stage(ax).show([])

    controls = {
        "data": choice([*NETWORKS], "data"),
        "network": choice(NETWORKS["mnist1d"], "network"),
        "method": choice([*METHODS], "method"),
        "density": slider([0.5, 0.2, 0.1, 0.05, 0.02], "weights kept", percent, start=2),
    }
    panel = Panel("Live lab", controls, draw, [ipywidgets.HBox([run, stop]), bar, left])

    def offer_networks(change):
        controls["network"].options = NETWORKS[change["new"]]

    def prepare(data, network, method, density) -> Callable[[], None]:
        dataset, label, masks = load_dataset(data), f"{method}, {network}", None
        model, recipe = build_model(network, dataset), recipe_for(network, dataset)
        if score := METHODS[method]:
            masks = prune_at_init(model, score, draw_batch(dataset.train), density)
            label = f"{method}, {percent(density)}, {network}"
        total, points = recipe.steps(dataset), []
        stops = [*range(50, total, 50), total]
        going = training(model, dataset, recipe, masks, stops=stops, step="fast")
        runs.append((label, points))

        def work():
            began, ending = time.perf_counter(), "failed"
            with panel.errors_shown():
                for now in going:
                    points.append((now.step, evaluate(model, dataset.validation)["accuracy"]))
                    seconds = (time.perf_counter() - began) * (total / now.step - 1)
                    bar.value, left.value = now.step / total, f"{seconds:.0f} s left"
                    panel.refresh()
                    if halt.is_set():
                        break
                ending = "stopped" if halt.is_set() else "finished"
            left.value, stop.disabled, run.disabled = ending, True, False

        return work

    def press(_button):
        if run.disabled:  # pressed by code, which the look of a button does not stop
            return
        with panel.errors_shown():
            # Prepared here: building a network draws from PyTorch's global generator, which is
            # not the thread's alone.
            panel.worker = threading.Thread(target=prepare(**panel.settings), daemon=True)
            run.disabled, stop.disabled = True, False
            halt.clear()
            panel.worker.start()

    controls["data"].observe(offer_networks, "value")
    run.on_click(press)
    stop.on_click(lambda _button: halt.set())
    panel.run, panel.stop, panel.runs, panel.left = run, stop, runs, left
    return panel
