"""What a GPU gains by each of `TorchOptions` and by stacking seeds.

python benchmarks/gpu.py [--device cuda] [--quick]

In one process the ways to train take turns, warm; medians over the rounds. For each network and
way: images per second, their ratio to the plain way, the share of the device's peak (a large
product, measured in the same run, in the number format of that way) and kernel launches per step by
torch's profiler. Without a GPU it runs on the CPU, where launches are calls of torch's operators
and the numbers say little. Ratios go to benchmarks/gpu-results.json.
"""

import argparse
import copy
import json
import platform
import statistics
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from lthlab import Recipe, build_model, make_dataset, recipe_for, train
from lthlab.cost import training_flops
from lthlab.data import default_device
from lthlab.fast import TorchOptions, train_stacked

RESULTS = Path(__file__).parent / "gpu-results.json"
WAYS = {
    "plain": TorchOptions(),
    "channels_last": TorchOptions(channels_last=True),
    "bfloat16": TorchOptions(bfloat16=True),
    "channels_last, bfloat16": TorchOptions(channels_last=True, bfloat16=True),
    "compile": TorchOptions(compile="default"),
    "CUDA graphs": TorchOptions(compile="reduce-overhead"),
    "all": TorchOptions(channels_last=True, bfloat16=True, compile="reduce-overhead"),
}
STACKS = (1, 8, 32, 128)


def noise(shape: tuple[int, ...], examples: int, device):
    """A data set of that shape; how fast training is does not depend on what the pictures show."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(examples + 20, *shape)).astype("f4")
    y = draw.integers(0, 10, examples + 20)
    return make_dataset("noise", x[:-10], y[:-10], x[-10:], y[-10:], "0123456789", 10, device)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_flops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """FLOPs per second of a large square product, the best of ten."""
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        wait(device)
        began = time.perf_counter()
        one @ other
        wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def launches(run, device: torch.device, steps: int) -> float:
    """Launches of kernels and graphs per step on a GPU; on a CPU, calls of operators."""
    kinds = (
        [ProfilerActivity.CPU, ProfilerActivity.CUDA]
        if device.type == "cuda"
        else [ProfilerActivity.CPU]
    )
    with profile(activities=kinds) as seen:
        run()
        wait(device)
    # What the processor has to do: a CUDA graph is one launch, however many kernels it replays.
    kinds = (
        ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
        if device.type == "cuda"
        else ("aten::",)
    )
    events = [e for e in seen.events() if e.name.startswith(kinds)]
    return len(events) / steps


def compare(contenders: dict, device: torch.device, rounds: int) -> dict[str, float]:
    """Median seconds of each contender; they take turns, and two rounds warm up."""
    seconds = {name: [] for name in contenders}
    for turn in range(rounds + 2):
        for name, run in contenders.items():
            wait(device)
            began = time.perf_counter()
            run()
            wait(device)
            if turn > 1:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(network: str, way: str, found: dict[str, float]) -> None:
    print(
        f"{network:14} {way:24}",
        "  ".join(f"{key} {value:9.3g}" for key, value in found.items()),
        flush=True,
    )


def measure_ways(
    name: str, recipe: Recipe, device: torch.device, steps: int, rounds: int, peaks: dict
) -> dict:
    dataset = noise((3, 32, 32), 4 * recipe.batch_size, device)
    recipe = replace(recipe, duration=f"{steps}it", milestones=(), schedule="constant")
    model, flops = (
        build_model(name, dataset),
        training_flops(build_model(name, dataset), dataset, recipe).total,
    )
    # A network for each: channels_last stays with the weights.
    networks = {way: copy.deepcopy(model) for way in WAYS}
    runs = {
        way: partial(train, networks[way], dataset, recipe, evaluate_every=0, step=options)
        for way, options in WAYS.items()
        if device.type == "cuda" or not options.compile
    }
    seconds, found = compare(runs, device, rounds), {}
    for way, took in seconds.items():
        peak = peaks["bfloat16" if WAYS[way].bfloat16 else "float32"]
        found[way] = {
            "images_per_second": steps * recipe.batch_size / took,
            "times_plain": seconds["plain"] / took,
            "share_of_peak": flops / took / peak,
            "launches_per_step": launches(runs[way], device, steps),
        }
        show(name, way, found[way])
    return found


def measure_stacks(device: torch.device, steps: int, rounds: int, sizes) -> dict:
    dataset = noise((1, 40), 400, device)
    recipe = replace(recipe_for("resnet1d-4", "mnist1d"), duration=f"{steps}it")
    networks = [build_model("resnet1d-4", dataset, seed) for seed in range(max(sizes))]
    runs = {
        k: partial(train_stacked, networks[:k], dataset, recipe, seeds=range(k), evaluate_every=0)
        for k in sizes
    }
    alone = build_model("resnet1d-4", dataset)
    runs["alone"] = lambda: train(alone, dataset, recipe, evaluate_every=0)
    seconds, found = compare(runs, device, rounds), {}
    for size in sizes:
        found[f"{size} seeds"] = {
            "networks_per_second": size / seconds[size],
            "times_alone": size * seconds["alone"] / seconds[size],
            "launches_per_step_and_seed": launches(runs[size], device, steps) / size,
        }
        show("resnet1d-4", f"{size} seeds in one step", found[f"{size} seeds"])
    return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--device", default=None, help="default: $LTHLAB_DEVICE, else cuda if there is one"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few steps of the small networks, to see that it runs",
    )
    options = parser.parse_args(arguments)
    device, quick = torch.device(options.device or default_device()), options.quick
    name = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    )
    size, steps, rounds = (256, 2, 1) if quick else (8192 if device.type == "cuda" else 1024, 50, 7)
    peaks = {
        kind: peak_flops(device, getattr(torch, kind), size) for kind in ("float32", "bfloat16")
    }
    print(
        name,
        torch.__version__,
        *(f"peak {v / 1e12:.2f} TFLOP/s in {kind}" for kind, v in peaks.items()),
        sep=", ",
    )
    results = {"device": name, "torch": torch.__version__, "peak_flops": peaks}
    for network in ["resnet-8"] if quick else ["resnet-20", "conv-4", "lenet-300-100"]:
        recipe = recipe_for("resnet-20" if network == "resnet-8" else network, "cifar10")
        results[network] = measure_ways(network, recipe, device, steps, rounds, peaks)
    results["stacks"] = measure_stacks(device, steps, rounds, (1, 2) if quick else STACKS)
    if not quick:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(
        "high"
    )  # TF32 for products, as for convolutions: one peak for both
    main(sys.argv[1:])
