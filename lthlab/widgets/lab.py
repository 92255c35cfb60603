"""Live lab: train in a process of its own, watch, stop at once, compare."""

import functools
import multiprocessing
import signal
import threading
import time
from multiprocessing.connection import Connection

import anywidget
import torch
import traitlets

from lthlab import plots
from lthlab.data import load_dataset
from lthlab.models import build_model
from lthlab.pruning import draw_batch, magnitude, prune_at_init, random, snip
from lthlab.recipes import recipe_for
from lthlab.training import evaluate, training
from lthlab.widgets.panel import WIDGET, menu, percent, slider

NETWORKS = (
    ("mlp-100-100-100", "mnist1d"),
    ("mlp-20", "mnist1d"),
    ("resnet1d-4", "mnist1d"),
    ("lenet-300-100", "fashion-mini"),
    ("mlp-50", "fashion-mini"),
)
METHODS = {"dense": None, "random": random, "SNIP": snip, "magnitude at init": magnitude}
DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02)
EVERY = 50  # steps between two points


OFFLINE = (
    "The live lab trains in Python while you watch: open this notebook in JupyterLab (make lab) or "
    "the app (make app) and run it. The playground on the website does something similar in the "
    "browser."
)


class LiveLab(anywidget.AnyWidget):
    """The panel of `live_lab`; `runs` are pairs of a label and its points (step, accuracy)."""

    _esm = WIDGET
    data = traitlets.Dict().tag(sync=True)

    def __init__(self):
        self.runs: list[tuple[str, list[tuple[int, float]]]] = []
        self.process = self.follower = None
        controls = [
            menu("network", "network", (f"{name} on {data}" for name, data in NETWORKS)),
            menu("method", "method", METHODS),
            slider("density", "weights kept, if not dense", map(percent, DENSITIES), 2),
        ]
        self.fixed = {"kind": "lab", "title": "Live lab", "controls": controls, "total": 1600}
        super().__init__()
        self.say("No run yet: choose, and press Run.", running=False)
        self.on_msg(self.told)

    def say(self, said: str, **state) -> None:
        """Change what is shown."""
        runs = [
            {
                "label": label,
                "color": plots.arm_color(label),
                "points": [(step, 100 * accuracy) for step, accuracy in points],
            }
            for label, points in self.runs
        ]
        self.data = self.fixed | {"said": said, "done": 0, "runs": runs, "running": True} | state

    def told(self, _widget, message: dict, _buffers) -> None:
        """Do what a button of the front end asks for."""
        if message["do"] == "stop":
            self.stop()
        else:
            at = message["at"]
            method, density = [*METHODS][at["method"]], DENSITIES[at["density"]]
            self.run(*NETWORKS[at["network"]], method, density)

    def run(self, network: str, dataset: str, method: str = "dense", density: float = 0.1) -> None:
        """Begin a training; refused, in the panel's sentence, while another is running."""
        if self.data["running"]:
            return self.say("One run at a time: press Stop first.")
        label = method if method == "dense" else f"{method}, {percent(density)}"
        self.runs.append((f"{label}, {network} on {dataset}", []))
        self.say("Starting. The first run takes some seconds more: its process loads PyTorch.")
        if not (self.process and self.process.is_alive()):
            self.begin()
        self.ours.send((network, dataset, method, density))
        self.follower = threading.Thread(target=self.follow, daemon=True)
        self.follower.start()

    def begin(self) -> None:
        """Start the process that trains; it loads what it needs and waits for runs."""
        spawn = multiprocessing.get_context("spawn")
        self.ours, theirs = spawn.Pipe()
        self.process = spawn.Process(target=work, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of what we read

    def follow(self) -> None:
        """Show what the process sends, to the end of the run or its own."""
        points, began = self.runs[-1][1], None
        try:
            while not isinstance(found := self.ours.recv(), dict):
                step, total, accuracy = found
                began = began or (time.perf_counter(), step)
                points.append((step, accuracy))
                pace = (time.perf_counter() - began[0]) / max(step - began[1], 1)
                left = f"{pace * (total - step):.0f} s left" if len(points) > 1 else "under way"
                self.say(f"Training, {left}.", done=step / total, total=total)
        except (EOFError, OSError):
            self.process.join()
            found = {"said": "Stopped."}
            if self.process.exitcode != -signal.SIGTERM:
                found = {"said": f"The process ended by itself, code {self.process.exitcode}."}
            self.begin()  # at once, so that the next run need not wait for it
        self.say(**found, running=False)

    def stop(self) -> None:
        """End the training now."""
        if self.data["running"]:
            self.process.terminate()

    def _repr_mimebundle_(self, **options):
        bundle, described = super()._repr_mimebundle_(**options)
        return bundle | {"text/html": f"<p>{OFFLINE}</p>"}, described


def live_lab() -> LiveLab:
    """Choose network, method and density, press Run, and watch it train; Stop ends it at once.

    It trains in a process of its own, one run at a time, and the kernel stays usable. The panel's
    `runs` are pairs of a label and its points (step, accuracy); all are in the picture.
    """
    return LiveLab()


def work(theirs: Connection) -> None:
    """What the process does: train, send (step, total, accuracy), and at the end how it went."""
    torch.set_num_threads(1)
    load = functools.cache(load_dataset)
    while True:
        try:
            network, dataset, method, density = theirs.recv()
        except EOFError:  # the kernel is gone
            return
        try:
            data = load(dataset)
            model, recipe, masks = build_model(network, data), recipe_for(network, data), None
            if score := METHODS[method]:
                masks = prune_at_init(model, score, draw_batch(data.train), density)
            total = recipe.steps(data)
            stops = [*range(EVERY, total, EVERY), total]
            for now in training(model, data, recipe, masks, stops=stops, step="fast"):
                theirs.send((now.step, total, evaluate(model, data.validation)["accuracy"]))
            theirs.send({"said": "Finished."})
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            theirs.send({"said": "The run failed.", "error": said})
