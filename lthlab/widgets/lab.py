"""Live lab: train in the background, watch, stop, compare."""

import html
import threading
import time
import traceback

import ipywidgets
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lthlab import plots
from lthlab.data import load_dataset
from lthlab.masks import full_masks
from lthlab.models import build_model
from lthlab.pruning import draw_batch, magnitude, prune, random, snip
from lthlab.recipes import recipe_for
from lthlab.training import train
from lthlab.widgets.panel import WIDE, Panel, Stage, choice, percent, slider


def live_lab() -> Panel:
    """Choose data, network, method and density and press Run: it trains in the background, and Stop stops it.

    The kernel stays usable; every finished run joins the picture.
    """
    networks = {
        "mnist1d": ["mlp-100-100-100", "mlp-20", "resnet1d-4"],
        "fashion-mini": ["lenet-300-100", "mlp-50"],
    }
    methods = {"dense": None, "random": random, "SNIP": snip, "magnitude at init": magnitude}
    runs: list[tuple[str, list, list]] = []
    run, stop = ipywidgets.Button(description="Run", icon="play"), ipywidgets.Button(description="Stop", icon="stop")
    bar = ipywidgets.FloatProgress(min=0, max=1, description="progress", **WIDE)
    left, halt = ipywidgets.Label("not running"), threading.Event()
    stop.disabled = True

    def draw(**_settings):
        figure = Figure(figsize=(8, 4.2))
        ax = figure.add_axes((0.12, 0.15, 0.83, 0.81))
        for number, (label, steps, values) in enumerate(runs):
            ax.plot(steps, values, marker="o", color=plots.arm_color(label.split(",")[0], number), label=label)
        ax.set(xlabel="training step", ylabel="validation accuracy", ylim=(0, 1))
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        if runs:
            ax.legend(loc="lower right", frameon=False)
        ends = [f"{label}: {values[-1]:.1%} after {steps[-1]} steps" for label, steps, values in runs if values]
        return "; ".join(ends) + "." if ends else "No run yet. Press Run.", Stage(figure).show([])

    controls = {
        "data": choice([*networks], "data"),
        "network": choice(networks["mnist1d"], "network"),
        "method": choice([*methods], "method"),
        "density": slider([0.5, 0.2, 0.1, 0.05, 0.02], "weights kept", percent, start=0.1),
    }
    panel = Panel("Live lab", controls, draw, [ipywidgets.HBox([run, stop]), bar, left])

    def offer_networks(change):
        controls["network"].options = networks[change["new"]]

    controls["data"].observe(offer_networks, "value")

    def work(data, network, method, density):
        try:
            dataset = load_dataset(data)
            model, recipe = build_model(network, dataset), recipe_for(network, dataset)
            masks = full_masks(model)
            if score := methods[method]:
                batch = {} if score is random else {"batch": draw_batch(dataset.train)}
                masks = prune(score(model, **batch), masks, 1 - density, "global")
            total, began, start = recipe.steps(dataset), time.perf_counter(), None
            kept = "" if method == "dense" else f", {percent(density)}"
            steps, values = [], []
            runs.append((f"{method}{kept}, {network}", steps, values))
            for until in sorted({*range(50, total, 50), total}):
                history = train(
                    model, dataset, recipe, masks, start=start, until=until, snapshots=[until], evaluate_every=0
                )
                start = history.snapshots[until]
                steps.append(until)
                values.append(history.value())
                bar.value = until / total
                left.value = f"{(time.perf_counter() - began) * (total / until - 1):.0f} s left"
                panel.refresh()
                if halt.is_set():
                    break
            left.value = "stopped" if halt.is_set() else "finished"
        except Exception:
            panel.picture.value = f'<pre class="lthlab-error">{html.escape(traceback.format_exc())}</pre>'
        finally:
            run.disabled, stop.disabled = False, True

    def press(_button):
        run.disabled, stop.disabled = True, False
        halt.clear()
        settings = {name: control.value for name, control in controls.items()}
        panel.worker = threading.Thread(target=work, kwargs=settings, daemon=True)
        panel.worker.start()

    run.on_click(press)
    stop.on_click(lambda _button: halt.set())
    panel.run, panel.stop, panel.runs, panel.left = run, stop, runs, left
    return panel
