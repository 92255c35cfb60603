"""Studies that are no single `run_experiment`: each writes one table into the reference results."""

import copy
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from settings import CACHE, FOLDER, REDRAWN, STUDIES, finished_levels, write_known
from torch.nn import functional as F

import lthlab
from lthlab import (
    Dataset,
    Split,
    Start,
    State,
    apply_masks_,
    build_model,
    count_kept,
    density,
    draw_batch,
    error_barrier,
    evaluate,
    full_masks,
    interpolate,
    load_dataset,
    recipe_for,
    run_experiment,
    train,
)
from lthlab.post_training import METHODS, prune_once_
from lthlab.training import predict
from lthlab.words import decode

LENGTHS = {"mnist1d": ("5ep", "20ep", "80ep"), "fashion-mini": ("3ep", "10ep", "30ep")}
MODELS = {"mnist1d": "mlp-100-100-100", "fashion-mini": "lenet-300-100"}
MATCHING = {"mnist1d": 8, "fashion-mini": 9}  # the levels of these studies


def length(n_jobs: int) -> None:
    """The ticket against dense and reinitialised by learning rate and length of training."""
    tables = []
    for dataset, model in MODELS.items():
        level, base = MATCHING[dataset], recipe_for(model, dataset)
        for factor, duration in itertools.product((0.3, 1.0, 3.0), LENGTHS[dataset]):
            table = run_experiment(
                model,
                dataset,
                replace(base, lr=factor * base.lr, duration=duration),
                seeds=range(10),
                levels=level,
                control_levels=[level],
                evaluate_every=0,
                folder=CACHE,
                n_jobs=n_jobs,
            )
            ends = table.query("split == 'test' and level in [0, @level]")
            tables.append(ends.assign(rate=factor, duration=duration))
    save("length", slim(tables), length.__doc__)


def width(n_jobs: int) -> None:
    """Edge-popup by width: can a mask alone do what training does?"""
    tables = []
    for hidden in (25, 50, 100, 200, 400):
        table = run_experiment(
            f"mlp-{hidden}-{hidden}-{hidden}",
            "mnist1d",
            arms=["dense", "edge-popup"],
            seeds=range(10),
            levels=3,
            control_levels=[3],
            evaluate_every=0,
            folder=CACHE,
            n_jobs=n_jobs,
        )
        tables.append(table.query("split == 'test'").assign(width=hidden))
    save("width", slim(tables), width.__doc__)


def connectivity(n_jobs: int) -> None:
    """The barrier between the trained networks of one level of IMP and the next (Paul et al. 2022).

    For the tickets of "mnist1d" and "fashion-mini", rewound to the start. `rise` is how far the
    error rises above the straight line between its two ends: 0 where only the ends differ.
    """
    tables = [between_levels(name, 0) for name in MODELS]
    save("connectivity", pd.concat(tables), connectivity.__doc__)


def connectivity_rewinding(n_jobs: int) -> None:
    """The same for the tickets of "rewinding", from the start and from the step of notebook 05."""
    tables = [between_levels("rewinding", k) for k in (0, 96)]
    save("connectivity-rewinding", pd.concat(tables), connectivity_rewinding.__doc__)


def between_levels(name: str, k: int) -> pd.DataFrame:
    """Barrier and rise of the error between each level and the next, by seed."""
    rows = []
    setting, finished = finished_levels(name, k)
    levels = range(1, min(12, STUDIES[name]["levels"]) + 1)
    for seed, level in itertools.product(STUDIES[name]["seeds"], levels):
        ends = []
        for number in (level - 1, level):
            model = setting.build(seed)
            arm = "ticket" if number else "dense"
            model.load_state_dict(finished[arm, seed, number].trained)
            ends.append(model)
        line = interpolate(*ends, setting.data, points=11)
        error = 1 - line.query("metric == 'accuracy'")["value"].to_numpy()
        rise = (error - np.linspace(error[0], error[-1], len(error))).max()
        kept = finished["ticket", seed, level].density
        rows.append((name, k, seed, level, kept, error_barrier(line), rise))
    columns = ["dataset", "rewind_step", "seed", "level", "density", "barrier", "rise"]
    return pd.DataFrame(rows, columns=columns)


def forgetting(n_jobs: int) -> None:
    """What pruned networks forget (Hooker et al. 2019), by level and seed.

    Of the tickets of "mnist1d" and "fashion-mini": recall by class, answers that flip against the
    dense network of the same seed (and between dense networks of two seeds), calibration error,
    accuracy under noise and shifts.
    """
    rows = []
    for name in MODELS:
        setting, finished = finished_levels(name)
        test, levels = setting.data.test, [0, *STUDIES[name]["control_levels"]]
        for seed, number in itertools.product(STUDIES[name]["seeds"], levels):
            level = finished["ticket" if number else "dense", seed, number]
            model = setting.build(seed)
            model.load_state_dict(level.trained)
            known = (name, seed, number, level.density)
            dense = finished["dense", seed, 0].correct
            rows.append((*known, "flips", "all", float((level.correct != dense).float().mean())))
            if not number:  # how much two dense networks of different seeds disagree
                other = finished["dense", (seed + 1) % 10, 0].correct
                share = float((other != dense).float().mean())
                rows.append((*known, "flips", "two dense networks", share))
            for label, title in enumerate(setting.data.classes):
                recall = level.correct[test.y == label].float().mean()
                rows.append((*known, "recall", title, float(recall)))
            rows.append((*known, "calibration error", "all", calibration_error(model, test)))
            for what, changed in disturbed(test).items():
                rows.append((*known, "accuracy", what, evaluate(model, changed)["accuracy"]))
    columns = ["dataset", "seed", "level", "density", "measure", "of", "value"]
    save("forgetting", pd.DataFrame(rows, columns=columns), forgetting.__doc__)


def calibration_error(model, split, bins: int = 15) -> float:
    """The mean gap between confidence and accuracy, over bins of confidence (Guo et al. 2017)."""
    sure, answer = predict(model, split).softmax(1).max(1)
    right, gap = (answer == split.y).float(), 0.0
    for number in range(bins):
        inside = (sure > number / bins) & (sure <= (number + 1) / bins)
        if inside.any():
            gap += float(inside.float().mean() * (right[inside].mean() - sure[inside].mean()).abs())
    return gap


def disturbed(split) -> dict:
    """The split as it is, with noise of half a standard deviation, and shifted by two places."""
    noise = torch.randn(split.x.shape, generator=torch.Generator().manual_seed(0))
    return {
        "as it is": split,
        "noise": replace(split, x=split.x + 0.5 * noise),
        "shifted": replace(split, x=split.x.roll(2, dims=-1)),
    }


BYTES_LEVELS = (7, 10, 15)


def bytes_on_disk(n_jobs: int) -> None:
    """Equal bytes on fashion-mini: tickets, small dense networks, rounding, distillation."""
    data, rows = load_dataset("fashion-mini"), []
    setting, finished = finished_levels("fashion-mini")
    recipe = recipe_for("lenet-300-100", data)
    for seed in range(10):
        teacher = setting.build(seed)
        teacher.load_state_dict(finished["dense", seed, 0].trained)
        rows += rounded("dense", seed, teacher, full_masks(teacher), data)
        for number in BYTES_LEVELS:
            level = finished["ticket", seed, number]
            model = setting.build(seed)
            model.load_state_dict(level.trained)
            rows += rounded("ticket", seed, model, level.masks, data)
        for hidden in (8, 16, 32, 64, 96):
            for arm, loss in (("small dense", None), ("distilled", distillation(teacher))):
                model = build_model(f"mlp-{hidden}-{hidden}", data, seed)
                options = {"seed": seed, "evaluate_every": 0, "step": "fast"}
                train(model, data, recipe, **options | ({"loss": loss} if loss else {}))
                rows += rounded(arm, seed, model, full_masks(model), data)
    columns = ["arm", "seed", "kept", "bits", "bytes", "value"]
    save("bytes", pd.DataFrame(rows, columns=columns), bytes_on_disk.__doc__)


def distillation(teacher, temperature: float = 4.0, share: float = 0.9):
    """A loss that follows a teacher's soft answers, little the labels (Hinton et al. 2015)."""
    teacher = teacher.eval().requires_grad_(False)

    def loss(model, x, y):
        logits, soft = model(x), (teacher(x) / temperature).softmax(1)
        follow = F.cross_entropy(logits / temperature, soft) * temperature**2
        return share * follow + (1 - share) * F.cross_entropy(logits, y)

    return loss


def rounded(arm, seed, model, masks, data) -> list[tuple]:
    """Test accuracy and bytes at 32, 8 and 4 bits a weight; kept places as a bitmap or as indices.

    Each row of a matrix is rounded to whole steps of its largest weight / (2^(bits - 1) - 1).
    """
    rows, kept, size = [], count_kept(masks), sum(m.numel() for m in masks.values())
    outputs = sum(len(mask) for mask in masks.values())
    # One bit for each weight, or two bytes for each index and for the end of each row.
    places = 0 if kept == size else min(-(-size // 8), 2 * kept + 2 * outputs)
    before = {name: model.get_parameter(name).detach().clone() for name in masks}
    for bits in (32, 8, 4):
        for name, weight in before.items():
            if bits < 32:
                step = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / (2 ** (bits - 1) - 1)
                model.get_parameter(name).data.copy_((weight / step).round() * step)
        scales = 4 * outputs * (bits < 32)
        total = kept * bits // 8 + places + scales + 4 * outputs  # the biases stay as they are
        rows.append((arm, seed, kept, bits, total, evaluate(model, data.test)["accuracy"]))
    for name, weight in before.items():
        model.get_parameter(name).data.copy_(weight)
    apply_masks_(model, masks)
    return rows


def once(n_jobs: int) -> None:
    """Pruning once, without retraining, by method, density and scope, of gpt-3x64 on words.

    Trained for 1,000 and for 4,000 steps; 1,024 training words for calibration.
    """
    tables = Parallel(n_jobs=n_jobs)(
        delayed(pruned_once)(seed, steps) for steps in (1_000, 4_000) for seed in range(5)
    )
    save("once", pd.concat(tables), once.__doc__)


def pruned_once(seed: int, steps: int) -> pd.DataFrame:
    torch.set_num_threads(1)
    data = load_dataset("words")
    recipe = replace(recipe_for("gpt-3x64", data), duration=f"{steps}it")
    model = build_model("gpt-3x64", data, seed)
    train(model, data, recipe, seed=seed, evaluate_every=0)
    rows, batch = [], draw_batch(data.train, 1_024, seed)

    def look(method: str, scope: str, network) -> None:
        for split in ("validation", "test"):
            for metric, value in evaluate(network, getattr(data, split)).items():
                kept = density(masks)
                rows.append((method, scope, seed, steps, kept, split, metric, value))

    masks = full_masks(model)
    look("dense", "", model)
    for scope, kept in (*itertools.product(("layer", "row"), (0.7, 0.5, 0.3, 0.2)), ("2:4", 0.5)):
        for method in METHODS:
            pruned = copy.deepcopy(model)
            masks = prune_once_(pruned, batch, method, kept, scope)
            look(method, scope, pruned)
    columns = ["arm", "scope", "seed", "steps", "density", "split", "metric", "value"]
    return pd.DataFrame(rows, columns=columns)


def words_ending(end: str) -> Dataset:
    """The words of each split that end so."""
    data = load_dataset("words")

    def chosen(split: Split) -> Split:
        kept = torch.tensor([word.endswith(end) for word in decode(split.x)])
        return Split(split.x[kept], split.y[kept])

    parts = {name: chosen(getattr(data, name)) for name in ("train", "validation", "test")}
    return replace(data, name=f"words in -{end}", **parts)


def pretrained(dataset: Dataset, seed: int):
    """The dense network of the study "words", trained on words in the usual alphabet."""
    model = build_model("gpt-3x64", dataset, seed)
    model.load_state_dict(finished_levels("words")[1]["dense", seed, 0].trained)
    return model


def fresh(past, number: int = 0) -> State:
    """Initial values without any pretraining."""
    return State.of(build_model("gpt-3x64", past.data, number * REDRAWN + past.seed))


def pretraining(n_jobs: int) -> None:
    """Tickets of a pretrained network for another task (Chen et al. 2020, in small).

    The network is pretrained on words and goes on with adverbs: those that end in -ly.
    """

    def from_scratch(past):
        return Start(full_masks(past.build(past.seed)), fresh(past))

    def initial_values(past):
        return Start(past.of("ticket")[past.level].masks, fresh(past))

    def new_values(past):
        return Start(past.of("ticket")[past.level].masks, fresh(past, 1))

    lthlab.arm("not pretrained", needs=("dense",))(from_scratch)
    lthlab.arm("mask, initial values", needs=("ticket",))(initial_values)
    lthlab.arm("mask, new values", needs=("ticket",))(new_values)
    data = words_ending("ly")
    shorter = {"duration": "200it", "warmup": 20, "batch_size": 64, "lr": 1e-3}
    recipe = replace(recipe_for("gpt-3x64", data), **shorter)
    table = run_experiment(
        pretrained,
        data,
        recipe,
        arms=["dense", "ticket", "mask, initial values", "mask, new values", "not pretrained"],
        seeds=range(10),
        levels=6,
        control_levels=[3, 6],
        evaluate_every=0,
        folder=CACHE,
        n_jobs=n_jobs,
    )
    ends = table[(table["step"] > 0) & (table["split"] != "train")]
    columns = ["arm", "seed", "level", "density", "split", "metric", "value"]
    save("pretraining", ends[columns], pretraining.__doc__)


def slim(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables).drop(columns=["metric", "split", "epoch", "rewind_step"])


def save(name: str, table: pd.DataFrame, what: str) -> None:
    """The table of a study, and beside it what it is."""
    table = table.round({"density": 5, "value": 4, "barrier": 4, "rise": 4})
    table.to_csv(FOLDER / f"{name}.csv", index=False)
    write_known(name, what=" ".join(what.split()), seeds=sorted(set(table["seed"])))
