"""How close one training step of LeNet-300-100 comes to its matrix products alone.

Measured side by side in one process, one thread, batch 60, warm, taking turns; medians and spread.
Run it with `make bench`.
"""

import statistics
import time

import torch
from torch.nn import functional as F

from lthlab import build_model, full_masks, load_dataset, magnitude, mask_applier, prune, recipe_for
from lthlab.training import make_optimizer

ROUNDS, STEPS, BATCH = 30, 20, 60


def main() -> None:
    torch.set_num_threads(1)
    dataset = load_dataset("fashion-mini", device="cpu")
    x, y = dataset.train.x[:BATCH].clone(), dataset.train.y[:BATCH].clone()
    contenders = {
        "matrix products": products(x),
        "masked step, Adam": step("adam", dataset),
        "masked step, SGD": step("sgd", dataset),
        "plain step, Adam, masks multiplied": plain_step(x, y),
    }
    times = {name: [] for name in contenders}
    for turn in range(ROUNDS + 3):
        for name, run in contenders.items():
            began = time.perf_counter()
            for _ in range(STEPS):
                run()
            if turn >= 3:  # the first rounds warm up
                times[name].append((time.perf_counter() - began) / STEPS * 1e6)
    floor = statistics.median(times["matrix products"])
    print(f"{'':36s} {'median':>9s} {'quartiles':>17s}   over products")
    for name, values in times.items():
        low, median, high = statistics.quantiles(values, n=4)
        print(f"{name:36s} {median:6.0f} us {low:7.0f} - {high:4.0f} us   {median / floor:.2f}x")


def products(x: torch.Tensor):
    """The eight products of a step and nothing else: three forward, three for weights, two for inputs."""
    sizes = [784, 300, 100, 10]
    inputs = [x.flatten(1), torch.randn(BATCH, 300), torch.randn(BATCH, 100)]
    weights = [torch.randn(after, before) for before, after in zip(sizes, sizes[1:], strict=False)]
    slopes = [torch.randn(BATCH, after) for after in sizes[1:]]

    def run():
        for value, weight, slope in zip(inputs, weights, slopes, strict=True):
            value @ weight.t()
            slope.t() @ value
            if weight.shape[1] != 784:
                slope @ weight

    return run


def step(optimizer_name: str, dataset):
    """Our training step, as in `lthlab.train`."""
    from dataclasses import replace

    model = build_model("lenet-300-100", dataset)
    recipe = replace(recipe_for("lenet-300-100", dataset), optimizer=optimizer_name)
    optimizer = make_optimizer(model, recipe)
    keep = mask_applier(model, prune(magnitude(model), full_masks(model), 0.9))
    chosen = torch.randperm(len(dataset.train))[:BATCH]

    def run():
        x, y = dataset.train.x.index_select(0, chosen), dataset.train.y.index_select(0, chosen)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        keep()

    return run


def plain_step(x: torch.Tensor, y: torch.Tensor):
    """What tutorials write: the default optimiser, and bool masks multiplied in after each step."""
    dataset = load_dataset("fashion-mini", device="cpu")
    model = build_model("lenet-300-100", dataset)
    masks = prune(magnitude(model), full_masks(model), 0.9)
    optimizer = torch.optim.Adam(model.parameters(), lr=1.2e-3)

    def run():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in masks:
                    weight.mul_(masks[name])

    return run


if __name__ == "__main__":
    main()
