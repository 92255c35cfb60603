"""How fast training is here, as ratios measured side by side: run it with `make bench`.

One process, one thread, LeNet-300-100 on fashion-mini with batches of 60; the contenders take
turns, warm, and the table gives medians and quartiles over the rounds. Ratios go to
benchmarks/results.json, too.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from joblib import Parallel, delayed
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import VisionDataset

from lthlab import (
    apply_masks_,
    build_model,
    find_ticket,
    full_masks,
    load_dataset,
    magnitude,
    prune,
    recipe_for,
    train,
)
from lthlab.data import Split
from lthlab.fast import SPARSE_BELOW, kernels
from lthlab.pruning import random

ROUNDS, STEPS, BATCH = 9, 1330, 60  # steps: ten epochs, as notebook 03 trains
RESULTS = Path(__file__).parent / "results.json"
MODEL = "lenet-300-100"
FLOOR = "products alone (the floor)"


def load():
    """fashion-mini with a small validation split, so that the time is that of the training."""
    dataset = load_dataset("fashion-mini", device="cpu")
    return replace(dataset, validation=Split(dataset.validation.x[:20], dataset.validation.y[:20]))


def recipes(dataset, steps=STEPS):
    base = replace(recipe_for(MODEL, dataset), duration=f"{steps}it")
    return {"Adam": base, "SGD": replace(base, optimizer="sgd", lr=0.05, momentum=0.9)}


def products(dataset):
    """The eight products of a step alone: three forward, three for weights, two for inputs."""
    sizes = [784, 300, 100, 10]
    inputs = [torch.randn(BATCH, size) for size in sizes[:-1]]
    weights = [torch.randn(after, before) for before, after in zip(sizes, sizes[1:], strict=False)]
    gradients = [torch.randn(BATCH, size) for size in sizes[1:]]

    def run():
        began = time.perf_counter()
        for _ in range(STEPS):
            for value, weight, gradient in zip(inputs, weights, gradients, strict=True):
                value @ weight.t()
                gradient.t() @ value
                if weight.shape[1] != 784:
                    gradient @ weight
        return (time.perf_counter() - began) / STEPS

    return run


def ours(dataset, optimizer, keep):
    """`lthlab.train` with its fast step, with masks that keep this fraction of every layer."""
    model, recipe = build_model(MODEL, dataset), recipes(dataset)[optimizer]
    masks = prune(random(model), full_masks(model), 1 - keep)
    options = {"evaluate_every": 0, "step": "fast"}
    return lambda: train(model, dataset, recipe, masks, **options).seconds / STEPS


class Pictures(VisionDataset):
    """A data set as torchvision's are: pictures, turned into tensors as they are asked for."""

    def __init__(self, dataset, transform):
        super().__init__(root="", transform=transform)
        pixels = (dataset.pictures(dataset.train.x)[:, 0] * 255).round().byte().numpy()
        self.data, self.targets = pixels, dataset.train.y.tolist()

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]

    def __len__(self):
        return len(self.data)


def tutorial(dataset):
    """What tutorials write: transforms per example, a DataLoader, masks after every step."""
    model = build_model(MODEL, dataset)
    masks = prune(random(model), full_masks(model), 0.4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1.2e-3)
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.286,), (0.353,))])
    loader = DataLoader(Pictures(dataset, steps), batch_size=BATCH, shuffle=True, drop_last=True)

    def run():
        began = time.perf_counter()
        for number, (x, y) in enumerate(loader, 1):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if name in masks:
                        weight.mul_(masks[name])
            if number == 33:
                return (time.perf_counter() - began) / number

    return run


def sparseprop(dataset, keep):
    """A step of the same network with SparseProp's layers (Nikdan et al. 2023), or None.

    None where it is not installed.
    """
    try:
        from sparseprop.modules import SparseLinear
    except Exception:  # not installed, or built for another torch
        return None
    model = build_model(MODEL, dataset)
    apply_masks_(model, prune(random(model), full_masks(model), 1 - keep))
    layers = [SparseLinear.from_dense(m) if isinstance(m, torch.nn.Linear) else m for m in model]
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, fused=True)

    def run():
        began = time.perf_counter()
        for order in torch.randint(len(dataset.train), (STEPS, BATCH)):
            x, y = dataset.train.x.index_select(0, order), dataset.train.y.index_select(0, order)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        return (time.perf_counter() - began) / STEPS

    return run


def take_turns(contenders: dict, rounds: int = ROUNDS) -> dict[str, float]:
    """The median seconds of each contender; prints medians and quartiles in microseconds."""
    times = {name: [] for name in contenders}
    for turn in range(rounds + 2):
        for name, run in contenders.items():
            seconds = run()
            if turn >= 2:  # the first rounds warm up
                times[name].append(seconds)
    for name, values in times.items():
        low, median, high = (1e6 * q for q in statistics.quantiles(values, n=4))
        print(f"  {name:38s} {median:7.0f} us   {low:7.0f} - {high:.0f}")
    return {name: statistics.median(values) for name, values in times.items()}


def measure_steps(dataset) -> dict[str, float | None]:
    print(f"one training step, sparse below density {SPARSE_BELOW:.2f}:")
    peer = sparseprop(dataset, 0.036)
    found = take_turns(
        {
            FLOOR: products(dataset),
            "ours, dense, SGD": ours(dataset, "SGD", 1.0),
            "ours, masked dense, SGD": ours(dataset, "SGD", 0.6),
            "ours, masked dense, Adam": ours(dataset, "Adam", 0.6),
            "tutorial loop, Adam": tutorial(dataset),
            "ours, sparse at 3.6 %, SGD": ours(dataset, "SGD", 0.036),
            "ours, sparse at 3.6 %, Adam": ours(dataset, "Adam", 0.036),
            "ours, sparse at 1 %, SGD": ours(dataset, "SGD", 0.01),
            "ours, sparse at 1 %, Adam": ours(dataset, "Adam", 0.01),
        }
        | ({"SparseProp at 3.6 %, SGD": peer} if peer else {})
    )
    floor, sgd, adam = (
        found[name] for name in (FLOOR, "ours, masked dense, SGD", "ours, masked dense, Adam")
    )
    print(
        "  SparseProp: "
        + ("as above" if peer else "not installed (pip install sparseprop compiles it)")
    )
    return {
        "dense_sgd_over_floor": sgd / floor,
        "dense_adam_over_floor": adam / floor,
        "tutorial_over_dense": found["tutorial loop, Adam"] / adam,
        "sparseprop_over_sparse_at_0.036": peer
        and found["SparseProp at 3.6 %, SGD"] / found["ours, sparse at 3.6 %, SGD"],
        "dense_over_sparse_at_0.036": sgd / found["ours, sparse at 3.6 %, SGD"],
        "dense_over_sparse_at_0.01": sgd / found["ours, sparse at 1 %, SGD"],
        "dense_over_sparse_at_0.036_adam": adam / found["ours, sparse at 3.6 %, Adam"],
        "dense_over_sparse_at_0.01_adam": adam / found["ours, sparse at 1 %, Adam"],
    }


def measure_imp(dataset) -> float:
    """A whole IMP run of 20 trainings, the last at 1.5 %, in units of its first, dense training."""
    model, recipe, ratios = build_model(MODEL, dataset), recipes(dataset)["Adam"], []
    for _ in range(3):
        ticket = find_ticket(model, dataset, recipe, levels=19, evaluate_every=0)
        seconds = [level.history.seconds for level in ticket.levels]
        ratios.append(sum(seconds) / seconds[0])
    ratio, density = statistics.median(ratios), ticket.levels[-1].density
    print(f"IMP, 20 trainings down to {density:.1%}: {ratio:.1f} dense trainings")
    print("  each level, in dense trainings:", " ".join(f"{s / seconds[0]:.2f}" for s in seconds))
    return ratio


def some_training(seed: int) -> None:
    torch.set_num_threads(1)
    dataset = load()
    model, recipe = build_model(MODEL, dataset, seed), recipes(dataset, 1500)["Adam"]
    train(model, dataset, recipe, seed=seed, evaluate_every=0, step="fast")


def measure_throughput() -> float:
    """Trainings per second with two workers over that with one, both warm."""
    times = {1: [], 2: []}
    for _ in range(3):
        for jobs, seconds in times.items():
            with Parallel(n_jobs=jobs) as work:
                work(delayed(some_training)(seed) for seed in range(jobs))
                began = time.perf_counter()
                work(delayed(some_training)(seed) for seed in range(4))
                seconds.append(time.perf_counter() - began)
    ratio = statistics.median(times[1]) / statistics.median(times[2])
    print(f"throughput with two workers: {ratio:.2f} of that with one")
    return ratio


def measure_memory() -> float:
    """Peak memory of a process after 20 levels over that after 2."""
    answer = subprocess.run(
        [sys.executable, __file__, "--memory"], capture_output=True, text=True, check=True
    )
    after_2, after_20 = map(int, answer.stdout.split())
    ratio, megabytes = after_20 / after_2, after_2 / 1024
    print(f"peak memory after level 20: {ratio:.3f} of that after level 2 ({megabytes:.0f} MB)")
    return ratio


def print_memory() -> None:
    dataset, peaks = load(), []

    def score(model, batch, *, seed):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return magnitude(model)

    model, recipe = build_model(MODEL, dataset), recipes(dataset)["Adam"]
    find_ticket(model, dataset, recipe, levels=21, score=score)
    print(peaks[2], peaks[20])


def main() -> None:
    torch.set_num_threads(1)
    dataset = load()
    if kernels.numba:
        ours(dataset, "Adam", 0.1)()  # compiles before the clock runs
    results = measure_steps(dataset)
    results["imp20_in_dense_trainings"] = measure_imp(dataset)
    results["throughput_2_over_1"] = measure_throughput()
    results["rss_level20_over_level2"] = measure_memory()
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    rounded = {name: value and round(value, 3) for name, value in results.items()}
    print(json.dumps(rounded, indent=2))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print_memory() if "--memory" in sys.argv else main()
