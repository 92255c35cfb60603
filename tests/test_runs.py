"""Runs of many arms, levels and seeds: the same bits in parallel, after a crash, beside another."""

import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from helpers import same_masks, states_equal
from pandas.testing import assert_frame_equal
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

import lthlab
from lthlab import ARMS, Recipe, Start, build_model, find_ticket, load_dataset, run_experiment
from lthlab.batches import Batches
from lthlab.experiments import COLUMNS
from lthlab.files import load_tensors
from lthlab.folder import Folder
from lthlab.levels import Key
from lthlab.masks import count_kept, full_masks
from lthlab.pruning import draw_batch, magnitude, prune
from lthlab.steps import State
from lthlab.training import train

RECIPE = Recipe("sgd", 0.1, 0.9, 1e-4, batch_size=50, duration="30it", schedule="cosine")
CONTROLS = [*ARMS][
    : 1 + [*ARMS].index("fine-tuning")
]  # dense, ticket and its controls; test_before_training races the others
CHAINS = [arm for arm in CONTROLS if ARMS[arm].chain]
LEVELS = 2 * (1 + 3 * (len(CONTROLS) - 1))  # two seeds, three levels of each arm but dense
SMALL = {
    "recipe": RECIPE,
    "arms": CONTROLS,
    "seeds": [0, 1],
    "levels": 3,
    "evaluate_at": ["10it"],
    "progress": False,
}


def run(folder=None, n_jobs=1, model="mlp-20-10", data="fashion-mini", **changes):
    return run_experiment(model, data, **{**SMALL, **changes}, folder=folder, n_jobs=n_jobs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run and its folder."""
    folder = tmp_path_factory.mktemp("run")
    return run(folder, rewind_to="6it"), folder


pytestmark = pytest.mark.usefixtures("declared")


def levels_in(folder) -> Folder:
    """The finished levels of the one run in a folder."""
    (run_folder,) = Path(folder).glob("experiment-*")
    return Folder(run_folder)


def keys_in(folder) -> list[Key]:
    """Which levels the files of a folder say that they are."""
    found = [load_tensors(path, "level")[1]["is"] for path in files_below(folder).values()]
    return sorted((arm, seed, level) for _, arm, seed, level in found)


def files_below(folder) -> dict[str, Path]:
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path for path in paths}


def bits(folder) -> dict[str, str]:
    """A digest of what each file below a folder holds, but for how long it took.

    Of what it holds: safetensors orders its header by chance.
    """
    found = {}
    for name, path in files_below(folder).items():
        found[name] = "temporary"
        if path.suffix == ".safetensors":
            tensors, known = load_tensors(path, "level")
            del known["seconds"]
            digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode())
            for key in sorted(tensors):
                digest.update(f"{key} {tensors[key].dtype} {[*tensors[key].shape]}".encode())
                digest.update(tensors[key].numpy().tobytes())
            found[name] = digest.hexdigest()
    return found


def written(folder) -> dict[str, tuple[int, int]]:
    """Which file each level is, and since when: a level that is computed again is another file."""
    return {
        name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for name, path in files_below(folder).items()
    }


def rows_of(table: pd.DataFrame, **where) -> pd.DataFrame:
    for column, value in where.items():
        table = table[table[column] == value]
    return table.reset_index(drop=True)


def whole(past) -> Start:
    """An arm for tests: the dense network under another name."""
    return Start(full_masks(past.build(past.seed)), past.initial)


def test_table_is_tidy_and_complete(finished):
    table, _ = finished
    assert list(table.columns) == COLUMNS
    ends = table.query("split == 'test'")
    assert len(ends) == LEVELS and not ends.duplicated(["arm", "seed", "level"]).any()
    assert len(table.query("split == 'train' and metric == 'accuracy'")) == LEVELS
    assert set(table["arm"]) == set(CONTROLS) and (table["rewind_step"] == 6).all()
    assert table["value"].notna().all() and set(table["dataset"]) == {"fashion-mini"}
    rows = table.query("arm == 'dense' and seed == 0 and metric == 'accuracy'")
    assert rows.query("split == 'validation'")["step"].tolist() == [0, 10, 30]
    assert table["epoch"].to_numpy() == pytest.approx(table["step"] / (8000 // 50))


def test_controls_have_exactly_the_tickets_densities(finished):
    rows = finished[0].query("split == 'test' and level > 0")
    wide = rows.pivot(index=["seed", "level"], columns="arm", values="density")
    for arm in set(CONTROLS) - {"dense", "ticket", *CHAINS}:
        assert (wide[arm] == wide["ticket"]).all()
    for seed in (0, 1):
        assert wide.loc[seed, "ticket"].is_monotonic_decreasing


def test_each_arm_changes_exactly_what_it_says(finished, fashion_mini):
    levels, seed, number = levels_in(finished[1]), 0, 2
    found = {arm: levels[arm, seed, number if arm != "dense" else 0] for arm in CONTROLS}
    masks, values = found["ticket"].masks, found["ticket"].start.model
    first = State.of(build_model("mlp-20-10", fashion_mini, seed))
    rewound = found["dense"].history.states[6]
    assert states_equal(found["dense"].start.model, first.model)
    assert rewound.step == 6 and not states_equal(rewound.model, first.model)
    for arm in ("ticket", "shuffled", "random"):
        assert found[arm].start.step == 6 and states_equal(found[arm].start.model, rewound.model)
        assert states_equal(found[arm].start.optimizer, rewound.optimizer)
    for arm in ("reinitialised", "reinitialised to scale", "permuted", "permuted sizes", "signs"):
        assert same_masks(found[arm].masks, masks)
    for arm in ("shuffled", "random"):
        for name, mask in masks.items():
            assert count_kept({name: found[arm].masks[name]}) == count_kept({name: mask})
        assert not found[arm].masks["fc1.weight"].equal(masks["fc1.weight"])
    kept, fresh = masks["fc1.weight"], found["reinitialised"].start
    assert fresh.step == 0 and fresh.optimizer == {}
    for earlier in (rewound, first):  # nor the values before rewinding
        same = fresh.model["fc1.weight"] == earlier.model["fc1.weight"]
        assert not same[kept].any()
    flat = found["signs"].start.model["fc1.weight"][kept]
    assert flat.abs().unique().numel() == 1 and flat.sign().equal(values["fc1.weight"][kept].sign())
    for arm in ("learning-rate rewinding", "fine-tuning"):
        assert states_equal(found[arm].start.model, levels[arm, seed, number - 1].trained)
    again = found["learning-rate rewinding"].start
    assert again.step == 6 and again.optimizer == {}


def test_fine_tuning_trains_on_at_a_tenth_of_the_rate_for_as_many_steps(finished, fashion_mini):
    levels = levels_in(finished[1])
    before, tuned = (levels["fine-tuning", 1, number] for number in (2, 3))
    assert tuned.start.step == 0 and tuned.start.optimizer == {}
    recipe = replace(RECIPE, lr=0.1 * RECIPE.lr, schedule="constant", duration="24it")
    model = build_model("mlp-20-10", fashion_mini)
    start = State(0, before.trained, {})
    train(model, fashion_mini, recipe, tuned.masks, seed=1, start=start, step="fast")
    assert states_equal(tuned.trained, State.of(model).model)


def test_random_masks_are_nested_and_tickets_too(finished):
    levels = levels_in(finished[1])
    for arm in ("random", *CHAINS):
        for seed in (0, 1):
            for coarse, fine in ((1, 2), (2, 3)):
                before, after = (levels[arm, seed, n].masks for n in (coarse, fine))
                assert not any((after[name] & ~before[name]).any() for name in after)
                assert count_kept(after) < count_kept(before)


def test_pruned_weights_of_every_level_end_at_zero(finished):
    levels, keys = levels_in(finished[1]), keys_in(finished[1])
    assert len(keys) == LEVELS
    for level in (levels[key] for key in keys):
        for name, mask in level.masks.items():
            weight = level.trained[name]
            assert not weight[~mask].view(torch.int32).any() and weight[mask].ne(0).all()


def test_level_files_hold_what_was_measured(finished, fashion_mini):
    table, folder = finished
    levels = levels_in(folder)
    for key in (("dense", 1, 0), ("ticket", 0, 2), ("fine-tuning", 1, 3)):
        model = build_model("mlp-20-10", fashion_mini)
        with safe_open(levels.file(key), "pt") as file:  # without our own reader
            header = file.metadata()
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert (header["format"], header["version"]) == ("lthlab-level", "2")
        rows = pd.DataFrame(json.loads(header["metadata"])["rows"])
        rows.columns = ["step", "epoch", "split", "metric", "value"]
        model.load_state_dict({name: held[f"trained/{name}"] for name in model.state_dict()})
        with torch.no_grad():
            answers = {
                name: model(split.x).argmax(1) == split.y
                for name, split in (("train", fashion_mini.train), ("test", fashion_mini.test))
            }
            split = fashion_mini.validation
            loss = F.cross_entropy(model(split.x), split.y).item()
        assert held["correct"].dtype == torch.bool and held["correct"].equal(answers["test"])
        for split, right in answers.items():  # noqa: B007 (the query names it)
            (accuracy,) = rows.query("split == @split and metric == 'accuracy'")["value"]
            assert accuracy == pytest.approx(right.double().mean().item(), abs=1e-7)
        losses = rows.query("split == 'validation' and metric == 'loss'").set_index("step")["value"]
        first = levels[key].start.step if key[0] != "fine-tuning" else 0
        last = 24 if key[0] == "fine-tuning" else 30
        assert losses.index.tolist() == [first, 10, last]
        assert losses[last] == pytest.approx(loss, abs=1e-6)
        arm, seed, number = key
        shown = rows_of(table, arm=arm, seed=seed, level=number)
        assert_frame_equal(shown[rows.columns], rows, check_exact=True, check_dtype=False)


def test_parallel_run_gives_the_same_bits(finished, tmp_path):
    assert_frame_equal(run(tmp_path, n_jobs=2, rewind_to="6it"), finished[0], check_exact=True)
    assert bits(tmp_path) == bits(finished[1])


@contextmanager
def threads(count: int):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_threads_of_the_caller_do_not_matter_and_come_back(finished, tmp_path):
    with threads(2):
        table = run(tmp_path, arms=["dense", "ticket"], rewind_to="6it")
        assert torch.get_num_threads() == 2
    expected = finished[0][finished[0]["arm"].isin(["dense", "ticket"])].reset_index(drop=True)
    assert_frame_equal(table, expected, check_exact=True)


@pytest.mark.parametrize("first", [1, 2])
def test_a_run_with_other_threads_is_the_same_run(tmp_path, first):
    few = {"arms": ["ticket", "shuffled"], "seeds": [0], "levels": 1}
    with threads(first):
        table = run(tmp_path, **few)
    before = written(tmp_path)
    with threads(3 - first):
        assert_frame_equal(run(tmp_path, **few), table, check_exact=True)
    assert written(tmp_path) == before and len(before) == 3


@contextmanager
def two_dask_workers():
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with (
        LocalCluster(**options, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        yield client


def test_dask_cluster_gives_the_same_table(finished, tmp_path):
    with two_dask_workers():
        table = run(tmp_path, n_jobs=-1, rewind_to="6it")
    assert_frame_equal(table, finished[0], check_exact=True)


def test_a_killed_worker_costs_only_its_level(tmp_path):
    longer = {
        "recipe": replace(RECIPE, duration="300it"),
        "arms": ["dense", "ticket"],
        "seeds": range(4),
        "levels": 5,
    }
    finished_before, survivors = {}, []

    def kill_one_worker(pids: list[int]) -> None:
        deadline = time.monotonic() + 120
        while len([*tmp_path.rglob("seed-*.safetensors")]) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(pids[0], signal.SIGKILL)
        finished = [*tmp_path.rglob("seed-*.safetensors")]
        finished_before.update({path: path.stat().st_ino for path in finished})
        survivors.extend(pid for pid in pids if psutil.pid_exists(pid) and pid != pids[0])

    with two_dask_workers() as client:
        pids = [*client.run(os.getpid).values()]
        killer = threading.Thread(target=kill_one_worker, args=(pids,), daemon=True)
        killer.start()
        table = run(tmp_path, n_jobs=-1, **longer)
        killer.join()
        after = {*client.run(os.getpid).values()}
    assert len(survivors) == 1 and survivors[0] in after and pids[0] not in after
    assert 5 <= len(finished_before) < 24, "a worker died while the run was under way"
    assert {path: path.stat().st_ino for path in finished_before} == finished_before
    assert_frame_equal(table, run(n_jobs=1, **longer), check_exact=True)


def test_threads_of_one_process_train_one_after_the_other(finished, tmp_path):
    inside, most = [], []

    @lthlab.arm("watched")
    def watched(past):
        inside.append(1)
        most.append(len(inside))

        def wait(now):
            time.sleep(0.02)

        def leave(now):
            inside.pop()

        return replace(whole(past), during={15: wait, 30: leave})

    arms = [*CONTROLS, "watched"]
    with joblib.parallel_config(backend="threading"):  # a Dask worker with several threads
        table = run(tmp_path, n_jobs=3, rewind_to="6it", arms=arms)
    assert_frame_equal(rows_of(table[table["arm"] != "watched"]), finished[0], check_exact=True)
    assert len(most) == 2 * 3 and max(most) == 1


def test_a_second_call_computes_nothing_and_more_seeds_reuse_the_rest(finished):
    table, folder = finished
    before = written(folder)
    assert_frame_equal(run(folder, rewind_to="6it"), table, check_exact=True)
    assert written(folder) == before
    wider = run(folder, rewind_to="6it", arms=["dense", "ticket"], seeds=[0, 1, 2])
    after = written(folder)
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 4
    assert set(wider["seed"]) == {0, 1, 2}
    for path in Path(folder).rglob("*seed-002*.safetensors"):
        path.unlink()


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": Recipe("sgd", 0.2, 0.9, duration="30it")},
        {"rewind_to": "5it"},
        {"evaluate_at": ["11it"]},
        {"step": None},
        {"version": "2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_setting_is_another_run(tmp_path, change):
    few = {"arms": ["dense"], "seeds": [0], "levels": 1, "rewind_to": "6it"}
    run(tmp_path, **few)
    before = written(tmp_path)
    table = run(tmp_path, **few | change)
    after = written(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == 2 and len([*tmp_path.iterdir()]) == 2
    assert len(table.query("split == 'test'")) == 1


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage_flip(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def damage_flip_result(path):
    content = path.read_bytes()
    place = content.index(b"accuracy")
    path.write_bytes(content[:place] + b"accuracz" + content[place + 8 :])


def damage_version(path):
    content = path.read_bytes()
    assert content.count(b'"version":"2"') == 1
    path.write_bytes(content.replace(b'"version":"2"', b'"version":"1"'))


def damage_foreign(path):
    path.write_bytes(b"\x80\x04not a level of anything")


@pytest.mark.parametrize(
    "harm", [damage_truncate, damage_flip, damage_flip_result, damage_version, damage_foreign]
)
def test_damaged_file_is_named_and_computed_again(tmp_path, harm):
    table = run(tmp_path, arms=["dense", "ticket"])
    before = bits(tmp_path)
    victim = next(tmp_path.rglob("ticket/seed-001-level-02*"))
    harm(victim)
    with pytest.warns(UserWarning, match=victim.name):
        assert_frame_equal(run(tmp_path, arms=["dense", "ticket"]), table, check_exact=True)
    assert bits(tmp_path) == before


@pytest.mark.parametrize(
    "other", [("ticket", 0, 2), ("ticket", 1, 1), ("shuffled", 1, 2), "of another run"], ids=str
)
def test_a_file_in_anothers_place_is_noticed_and_computed_again(tmp_path, other):
    few = {"arms": ["dense", "ticket", "shuffled"], "levels": 2}
    key = "ticket", 1, 2
    if other == "of another run":
        run(tmp_path / "other", **few, version="other")
        source = levels_in(tmp_path / "other").file(key)
    table = run(tmp_path / "run", **few)
    before, levels = bits(tmp_path / "run"), levels_in(tmp_path / "run")
    shutil.copy(source if other == "of another run" else levels.file(other), levels.file(key))
    with pytest.warns(UserWarning, match=f"{levels.file(key).name} holds level .* not where it"):
        assert_frame_equal(run(tmp_path / "run", **few), table, check_exact=True)
    assert bits(tmp_path / "run") == before


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork processes")


def in_fork(target, *args):
    """Start a forked process (torch is loaded already) in a process group of its own."""

    def body():
        os.setsid()
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        target(*args)

    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    return process


@needs_fork
def test_killed_at_random_points_it_ends_with_the_same_bits(finished, tmp_path):
    began = time.perf_counter()
    run(tmp_path / "whole")
    whole = time.perf_counter() - began
    expected, folder = bits(tmp_path / "whole"), tmp_path / "killed"
    dice, progress, kills = random.Random(0), [], 0
    while kills < 20:
        process = in_fork(run, folder)
        process.join(dice.uniform(0, whole / 6))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.join()
        now = {name: held for name, held in bits(folder).items() if held != "temporary"}
        assert all(held == expected[name] for name, held in now.items()), "a level is half written"
        progress.append(len(now))
        if len(now) == len(expected):  # done before the 20th kill: begin again
            folder = tmp_path / f"killed-{kills}"
    assert len(set(progress)) > 5, "the kills hit too few different points"
    run(folder)
    left = bits(folder)
    assert {name: left[name] for name in expected} == expected


@needs_fork
def test_two_processes_on_one_run_do_not_spoil_each_other(tmp_path):
    run(tmp_path / "alone")
    both = [in_fork(run, tmp_path / "shared") for _ in range(2)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    assert bits(tmp_path / "shared") == bits(tmp_path / "alone")


def fill_the_disk():
    """From here on this process can write no file of more than 20 kB."""
    import resource  # not on Windows

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@needs_fork
def test_full_disk_is_one_clear_error_and_no_half_file(tmp_path):
    def starve():
        fill_the_disk()
        try:
            run(tmp_path / "run")
        except OSError as error:
            Path(tmp_path / "message").write_text(str(error))

    in_fork(starve).join(120)
    message = (tmp_path / "message").read_text()
    assert "Could not write" in message and "Finished levels are kept" in message
    assert bits(tmp_path / "run") == {}
    assert len(run(tmp_path / "run")) > 0


@needs_fork
def test_full_disk_in_the_middle_keeps_what_is_finished(tmp_path):
    full = tmp_path / "full"

    @lthlab.arm("greedy", needs=("ticket",))
    def greedy(past):
        if (past.seed, past.level) == (0, 2) and not full.exists():
            full.touch()
            fill_the_disk()
        return whole(past)

    arms = ["dense", "ticket", "greedy"]

    def starve():
        try:
            run(tmp_path / "run", arms=arms)
        except OSError as error:
            full.write_text(str(error))

    in_fork(starve).join(120)
    assert re.search("Could not write.*File too large.*Finished levels are kept", full.read_text())
    kept = bits(tmp_path / "run")
    assert len(kept) == 2 * (1 + 3) + 1, "dense, tickets, and the first level of the arm"
    run(tmp_path / "run", arms=arms)
    after = bits(tmp_path / "run")
    assert {name: after[name] for name in kept} == kept and len(after) == 2 * (1 + 3 + 3)


@pytest.mark.parametrize("when", ["before it is read", "before the table is made"])
def test_a_folder_deleted_in_mid_run_ends_in_a_sentence(tmp_path, when):
    deleted = []

    def delete(now=None):
        if not deleted:
            deleted.append(True)
            shutil.rmtree(tmp_path / "run")

    @lthlab.arm("vandal", needs=("ticket",))
    def vandal(past):
        if when == "before it is read":
            delete()
        start = Start(past.of("ticket")[past.level].masks, past.initial)
        return replace(start, during={30: delete})

    few = {"arms": ["ticket", "vandal"], "levels": 1, "seeds": [0]}
    with pytest.raises(OSError, match=r"does not exist.*lost.*run .* again"):
        run(tmp_path / "run", **few)
    table = run(tmp_path / "run", **few)
    assert_frame_equal(table, run(tmp_path / "other", **few), check_exact=True)


SCRIPT = """
import sys
from lthlab import Recipe, run_experiment
folder, duration, levels = sys.argv[1:]
recipe = Recipe("sgd", 0.1, batch_size=50, duration=duration)
print("begin", flush=True)
run_experiment("mlp-20-10", "fashion-mini", recipe, seeds=range(4), levels=int(levels),
               folder=folder, n_jobs=2, progress=False)
print("end", flush=True)
"""


def wait_for_levels(folder, count: int) -> None:
    deadline = time.monotonic() + 120
    while len([*folder.rglob("*.safetensors")]) < count and time.monotonic() < deadline:
        time.sleep(0.05)


def test_interrupt_stops_the_workers_and_a_second_call_goes_on(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), "300it", "6"]

    def heed_interrupts():  # in the background of a script a shell makes its children ignore them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes, preexec_fn=heed_interrupts)
    wait_for_levels(tmp_path, 3)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)  # what the stop button of a notebook sends
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert not alive and gone
    kept = bits(tmp_path)
    finished = {name for name in kept if name.endswith(".safetensors")}
    assert 3 <= len(finished) < 4 * 13
    again = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and "end" in again.stdout, again.stderr
    after = bits(tmp_path)
    assert all(after[name] == kept[name] for name in finished)
    assert len([name for name in after if name.endswith(".safetensors")]) == 4 * 13


def test_no_worker_outlives_a_killed_parent(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), "2000it", "40"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_levels(tmp_path, 5)  # tickets are under way, forty levels at a time
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=5)
    alive = [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]  # not reaped
    for child in alive:
        child.kill()
    assert len(children) >= 2 and not alive


def test_a_relative_folder_is_where_the_caller_stands(tmp_path, monkeypatch):
    few = {"arms": ["ticket"], "levels": 1}
    tables = []
    for place in ("here", "there"):  # the workers, once started, stay where they are
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        tables.append(run("runs", n_jobs=2, **few))
        assert len(files_below(tmp_path / place / "runs")) == 4
    assert_frame_equal(*tables, check_exact=True)
    assert bits(tmp_path / "here" / "runs") == bits(tmp_path / "there" / "runs")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_double_precision_is_an_error_before_anything_is_trained(tmp_path, n_jobs):
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ValueError, match=r"must read dataset.*Double"):
            run(tmp_path, n_jobs=n_jobs, arms=["ticket"])
    finally:
        torch.set_default_dtype(torch.float32)
    assert files_below(tmp_path) == {}


def test_the_precision_of_products_is_part_of_a_run_and_reaches_the_workers(tmp_path):
    @lthlab.arm("asked")
    def asked(past):
        precision = torch.get_float32_matmul_precision()
        (tmp_path / f"{precision}-{past.seed}-{os.getpid()}").touch()
        return whole(past)

    few = {"arms": ["asked"], "levels": 1, "n_jobs": 2}
    before = torch.get_float32_matmul_precision()
    run(tmp_path / "run", **few)
    torch.set_float32_matmul_precision("medium")
    try:
        run(tmp_path / "run", **few)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert len([*(tmp_path / "run").iterdir()]) == 2
    answers = [path.name.split("-") for path in tmp_path.iterdir() if path.is_file()]
    assert sorted(answer[:2] for answer in answers) == sorted(
        [precision, seed] for precision in (before, "medium") for seed in "01"
    )
    assert str(os.getpid()) not in [answer[2] for answer in answers]


def test_an_arm_of_ones_own_is_one_function(tmp_path):
    @lthlab.arm("doubled", needs=("ticket",))
    def doubled(past):
        bigger = {name: 2 * value for name, value in past.initial.model.items()}
        masks = past.of("ticket")[past.level].masks
        return Start(masks, replace(past.initial, model=bigger))

    table = run(tmp_path, arms=["doubled"], levels=2)
    assert set(table["arm"]) == {"doubled"} and len(table.query("split == 'test'")) == 4
    levels = levels_in(tmp_path)
    assert {key[0] for key in keys_in(tmp_path)} == {"dense", "ticket", "doubled"}
    mine, ticket = levels["doubled", 1, 2], levels["ticket", 1, 2]
    assert same_masks(mine.masks, ticket.masks)
    for name, value in ticket.start.model.items():
        assert mine.start.model[name].equal(2 * value)


def masks_of_the_ticket(past):
    return Start(past.of("ticket")[past.level].masks, past.initial)


def where_tickets_begin(past):
    return Start(full_masks(past.build(past.seed)), past.rewound)


def the_level_before(past):
    return Start(past.previous.masks, past.initial)


@pytest.mark.parametrize(
    "reads, needs",
    [
        (masks_of_the_ticket, ()),
        (masks_of_the_ticket, ("dense",)),
        (where_tickets_begin, ()),
        (the_level_before, ()),
        (the_level_before, ("ticket",)),
    ],
)
def test_an_arm_reads_only_what_it_needs(tmp_path, reads, needs):
    """Also where that is there by chance: it might not be, next time."""
    run(tmp_path, arms=["ticket"], levels=2)
    lthlab.arm("silent", needs=needs)(reads)
    with pytest.raises(ValueError, match=r"reads '\w+'.* needs=\(...\)"):
        run(tmp_path, arms=["ticket", "silent"], levels=2, control_levels=[2])


def test_an_arm_needs_arms_that_there_are():
    with pytest.raises(ValueError, match="got 'tickets'. Did you mean 'ticket'"):
        lthlab.arm("mine", needs=("tickets",))


def test_arms_may_be_declared_again_in_any_order(tmp_path):
    """As happens when the cells of a notebook are run again."""
    lthlab.arm("first")(whole)
    lthlab.arm("second", needs=("first",))(
        lambda past: Start(past.of("first")[1].masks, past.initial)
    )
    lthlab.arm("first", needs=("ticket",))(masks_of_the_ticket)
    lthlab.arm("third")(whole)
    lthlab.arm("first", needs=("third",))(
        lambda past: Start(past.of("third")[1].masks, past.initial)
    )
    run(tmp_path, arms=["second"], levels=1, seeds=[0])
    assert [key[0] for key in keys_in(tmp_path)] == ["dense", "first", "second", "third"]


def test_level_0_is_the_dense_network_for_all_that_need_an_arm(tmp_path):
    for need in ("ticket", "SNIP"):

        @lthlab.arm("mine", needs=(need,))
        def mine(past):
            return where_tickets_begin(past)

        few = {"arms": ["mine"], "levels": 1, "seeds": [0], "rewind_to": "6it"}
        run(tmp_path / need, **few)
        levels = levels_in(tmp_path / need)
        expected = levels["dense", 0, 0].history.states[6]
        assert states_equal(levels["mine", 0, 1].start.model, expected.model)


def test_no_arm_reads_its_future(tmp_path):
    @lthlab.arm("prophet", needs=("ticket",))
    def prophet(past):
        return Start(past.of("ticket")[past.level + 1].masks, past.initial)

    run(tmp_path, arms=["ticket"], levels=2)  # so that the file is there
    with pytest.raises(ValueError, match="Of the past there are levels 0 to 1; got 2"):
        run(tmp_path, arms=["ticket", "prophet"], levels=2)


def test_an_arm_acts_while_it_trains_and_has_a_loss_of_its_own(tmp_path, fashion_mini):
    """A plain loop is the oracle: smoothed labels, and half of the weights go after 15 steps."""

    def smoothed(model, x, y):
        return F.cross_entropy(model(x), y, label_smoothing=0.2)

    @lthlab.arm("halved", needs=("ticket",))
    def halved(past):
        def halve(now):
            now.masks = prune(magnitude(now.model), now.masks, 0.5)

        masks = past.of("ticket")[past.level].masks
        return Start(masks, past.initial, during={15: halve}, loss=smoothed)

    run(tmp_path, arms=["halved"], levels=1, seeds=[3])
    levels = levels_in(tmp_path)
    level, masks = levels["halved", 3, 1], levels["ticket", 3, 1].masks
    model = build_model("mlp-20-10", fashion_mini, seed=3)
    weights = {name: model.get_parameter(name) for name in masks}
    batches = Batches(fashion_mini, 50, 3, "none")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    for step in range(30):
        if step == 15:
            masks = {
                name: mask & (weights[name].abs() > weights[name].abs()[mask].median())
                for name, mask in masks.items()
            }
        with torch.no_grad():
            for name, mask in masks.items():
                weights[name].mul_(mask)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 + np.cos(np.pi * step / 30)) / 2
        optimizer.zero_grad()
        smoothed(model, *batches(step)).backward()
        optimizer.step()
    assert same_masks(level.masks, masks)
    assert level.density == pytest.approx(0.5 * levels["ticket", 3, 1].density, abs=1e-4)
    for name, parameter in model.named_parameters():
        expected = parameter.detach() * masks.get(name, 1)
        torch.testing.assert_close(level.trained[name], expected, atol=1e-5, rtol=1e-4)


def test_an_arms_results_do_not_depend_on_what_else_ran(finished, tmp_path):
    for number, arm in enumerate(CONTROLS):
        alone = run(tmp_path / str(number), arms=[arm], seeds=[1], rewind_to="6it")
        assert_frame_equal(alone, rows_of(finished[0], arm=arm, seed=1), check_exact=True)


NAMES = ["my arm", "my-arm", "My arm", "../x", "a:b*", "CON", "x" * 300]


def test_arms_with_similar_names_share_no_files_and_stay_in_the_folder(tmp_path):
    def scaled(factor):
        def function(past):
            model = {name: factor * value for name, value in past.initial.model.items()}
            return replace(whole(past), state=replace(past.initial, model=model))

        return function

    for number, name in enumerate(NAMES):
        lthlab.arm(name)(scaled(1 + number / 10))
    few = {"levels": 1, "seeds": [0]}
    table = run(tmp_path / "deep" / "all", arms=NAMES, **few)
    files = files_below(tmp_path)
    assert len({name.lower() for name in files}) == len(NAMES)
    for name in files:
        assert re.fullmatch(
            r"deep/all/experiment-[0-9a-f]+/[a-z0-9-]{1,99}/seed-000-level-01.safetensors", name
        )
    values = table.query("step == 0 and metric == 'loss'").set_index("arm")["value"]
    assert values[NAMES].is_unique, "different arms"
    for number, name in enumerate(NAMES):
        alone = run(tmp_path / str(number), arms=[name], **few)
        assert_frame_equal(alone, rows_of(table, arm=name), check_exact=True)
    assert keys_in(tmp_path / "deep" / "all") == sorted((name, 0, 1) for name in NAMES)


def test_own_model_and_own_data():
    def tiny_network(dataset, seed):
        return build_model("mlp-6", dataset, seed)

    data = load_dataset("fashion-mini")
    few = {"seeds": range(2), "levels": 1, "n_jobs": 1, "progress": False}
    table = run_experiment(tiny_network, data, RECIPE, **few)
    assert set(table["model"]) == {"tiny_network"}
    assert set(table["arm"]) == {"dense", "ticket", "reinitialised"}
    with pytest.raises(ValueError, match="A network of your own .model. needs a recipe"):
        run_experiment(tiny_network, data, **few)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"arms": ["tickets"]}, "Did you mean 'ticket'"),
        ({"arms": []}, "arms is a list of arms, one or more"),
        ({"seeds": []}, "seeds is a list of different seeds, one or more"),
        ({"seeds": [0, 0, 0]}, "different seeds, one or more; got .*0, 0, 0"),
        ({"seeds": [1.7]}, "got 1.7"),
        ({"seeds": [-1]}, "got -1"),
        ({"levels": None, "density": 1.5}, "density is a fraction"),
        ({"levels": None}, "either levels=15 or density=0.036"),
        ({"levels": 2.5}, "levels is a whole number from 0"),
        ({"control_levels": [9]}, "control_levels are 1 to 3"),
        ({"control_levels": [0]}, "is a whole number from 1"),
        ({"control_levels": []}, "a list of levels, one or more"),
        ({"levels": 0, "arms": ["ticket"]}, "Nothing to run"),
        ({"rewind_to": "30it"}, "rewinding to step 30 leaves nothing to train"),
        ({"rewind_to": "31it"}, "rewinding to step 31 leaves nothing to train"),
        ({"evaluate_at": ["99ep"]}, "runs from step 0 to 30; step 15840 is not part of it"),
        ({"arms": ["RigL"], "evaluate_at": ["99ep"]}, "runs from step 0 to 30; step 15840"),
        ({"arms": ["SET"], "evaluate_at": ["99ep"]}, "runs from step 0 to 30; step 15840"),
    ],
    ids=str,
)
def test_wrong_requests_are_one_clear_error(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **wrong)
    assert files_below(tmp_path) == {}, "said up front"


def test_an_arm_named_twice_counts_once(tmp_path):
    few = {"levels": 1, "seeds": [0]}
    twice = run(tmp_path, arms=["dense", "ticket", "dense", "ticket"], **few)
    assert_frame_equal(twice, run(tmp_path, arms=["dense", "ticket"], **few), check_exact=True)
    assert not twice.duplicated([column for column in COLUMNS if column != "value"]).any()


def test_numpys_whole_numbers_are_whole_numbers(tmp_path, fashion_mini):
    few = {"arms": ["ticket", "shuffled"], "levels": 2}
    plain = run(tmp_path / "plain", **few, seeds=[0, 1], control_levels=[2])
    numbers = {"seeds": np.arange(2), "control_levels": np.array([2])}
    assert_frame_equal(run(tmp_path / "numpy", **few, **numbers), plain, check_exact=True)
    assert bits(tmp_path / "numpy") == bits(tmp_path / "plain")
    model = build_model("mlp-20-10", fashion_mini)
    one, two = (
        find_ticket(model, fashion_mini, RECIPE, levels=1, seed=seed, folder=tmp_path / "ticket")
        for seed in (np.int64(1), 1)
    )
    assert same_masks(one.masks, two.masks) and len(keys_in(tmp_path / "ticket")) == 2


def test_only_what_the_arms_need_is_trained(tmp_path):
    for arm, needed in {
        "fine-tuning": {"dense", "fine-tuning"},
        "learning-rate rewinding": {"dense", "learning-rate rewinding"},
        "SNIP": {"SNIP"},
        "shuffled": {"dense", "ticket", "shuffled"},
    }.items():
        table = run(tmp_path / arm, arms=[arm], levels=2, seeds=[0])
        keys = keys_in(tmp_path / arm)
        assert {key[0] for key in keys} == needed and set(table["arm"]) == {arm}
        assert [number for name, _, number in keys if name == arm] == [1, 2]
        assert any("ticket" in name for name in files_below(tmp_path / arm)) == ("ticket" in needed)


def test_fine_tuning_is_measured_as_far_as_it_goes(tmp_path):
    at = ["10it", "28it"]
    arms = ["ticket", "fine-tuning"]
    table = run(tmp_path, arms=arms, levels=1, seeds=[0], rewind_to="6it", evaluate_at=at)
    rows = table.query("split == 'validation' and metric == 'loss'").groupby("arm")["step"]
    assert rows.unique()["ticket"].tolist() == [6, 10, 28, 30]
    assert rows.unique()["fine-tuning"].tolist() == [0, 10, 24]


def test_arms_that_move_their_masks_are_measured_like_others(tmp_path):
    longer = replace(RECIPE, duration="210it")  # masks move at steps 100 and up to 157
    arms = ["dense", "ERK", "RigL", "SET"]
    few = {"recipe": longer, "levels": 4, "control_levels": [4], "seeds": [0]}
    table = run(tmp_path, arms=arms, evaluate_at=["7it", "150it"], **few)
    for metric, split in (("loss", "validation"), ("accuracy", "validation"), ("loss", "train")):
        rows = table[(table["metric"] == metric) & (table["split"] == split)]
        steps = [0, 7, 150, 160, 210]
        for arm in arms:
            found = rows_of(rows, arm=arm)["step"].tolist()
            assert found == (steps[1:] if split == "train" else steps), arm
    levels = levels_in(tmp_path)
    for arm in ("RigL", "SET"):
        begun, ended = levels["ERK", 0, 4].masks, levels[arm, 0, 4].masks
        assert not same_masks(begun, ended) and count_kept(begun) == count_kept(ended)


def test_the_race_of_a_run_can_be_drawn(finished):
    import matplotlib.pyplot as plt

    from lthlab import plots

    table = finished[0].query("level == 0 or level == 2")
    ax = plots.race(table, errorbar=None)
    drawn = {
        line.get_label(): line.get_xydata() for line in ax.get_lines() if len(line.get_xdata())
    }
    rows = table.query("split == 'validation' and metric == 'accuracy' and arm == 'ticket'")
    means = rows.groupby("epoch")["value"].mean()
    assert any(
        np.allclose(points, means.reset_index().to_numpy())
        for points in drawn.values()
        if points.shape == (len(means), 2)
    )
    assert {text.get_text() for text in ax.get_legend().get_texts()} == set(CONTROLS)
    plt.close(ax.figure)


class Bent(nn.Module):
    """Prints the same, whatever it computes."""

    def __init__(self, bend):
        super().__init__()
        self.bend = bend
        self.fc1, self.out = nn.Linear(784, 8), nn.Linear(8, 10)

    def forward(self, x):
        return self.out(self.bend(self.fc1(x.flatten(1))))


def test_what_a_network_computes_is_part_of_a_run(tmp_path):
    def network_with(bend):
        def network(dataset, seed):
            return Bent(bend)

        return network

    few = {"arms": ["dense"], "seeds": [0], "levels": 1}
    networks = [network_with(bend) for bend in (torch.relu, torch.sin)]
    built = [build_model(network, load_dataset("fashion-mini")) for network in networks]
    assert repr(built[0]) == repr(built[1])
    assert states_equal(built[0].state_dict(), built[1].state_dict())
    relu, sine = (run(tmp_path, model=network, **few) for network in networks)
    assert len([*tmp_path.iterdir()]) == 2 and not relu.equals(sine)
    assert_frame_equal(sine, run(model=networks[1], **few), check_exact=True)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("part", ["x", "y"])
def test_data_changed_in_place_are_another_run(tmp_path, tiny, split, part):
    few = {"model": "mlp-6", "arms": ["dense"], "seeds": [0], "levels": 1}
    few["recipe"] = replace(RECIPE, batch_size=20)
    copied = {
        name: replace(getattr(tiny, name), x=getattr(tiny, name).x + 0, y=getattr(tiny, name).y + 0)
        for name in ("train", "validation", "test")
    }
    data = replace(tiny, **copied)
    before = run(tmp_path, data=data, **few)
    tensor = getattr(getattr(data, split), part)
    tensor[:] = tensor.roll(1, 0)
    after = run(tmp_path, data=data, **few)
    assert len([*tmp_path.iterdir()]) == 2 and not after.equals(before)
    assert_frame_equal(after, run(data=data, **few), check_exact=True)


def test_other_labels_and_another_network_are_another_run(tmp_path):
    data = load_dataset("fashion-mini")
    few = {"arms": ["dense"], "seeds": [0], "levels": 1}
    swapped = replace(data, train=replace(data.train, y=data.train.y.roll(1)))
    tables = [run(tmp_path, model="mlp-6", data=which, **few) for which in (data, swapped)]
    assert not tables[0].equals(tables[1])
    for hidden in ("mlp-6", "mlp-7"):
        network = partial(build_model, hidden)  # a partial function has no name
        run(tmp_path, model=network, data=data, **few)
    assert len(list(tmp_path.iterdir())) == 3, "built by name or by a function, mlp-6 is mlp-6"


def test_a_changed_arm_needs_another_version(tmp_path):
    few = {"arms": ["mine"], "seeds": [0], "levels": 1}

    @lthlab.arm("mine")
    def as_built(past):
        return whole(past)

    first = run(tmp_path, **few)

    @lthlab.arm("mine")
    def zeros(past):
        model = {name: 0 * value for name, value in past.initial.model.items()}
        return replace(whole(past), state=replace(past.initial, model=model))

    second = run(tmp_path, **few, version="zeros")
    assert len([*tmp_path.iterdir()]) == 2 and not second.equals(first)
    assert rows_of(second, step=0, metric="loss")["value"].iloc[0] == pytest.approx(np.log(10))
    assert_frame_equal(run(tmp_path, **few), first, check_exact=True)


def with_fixed_values(dataset, seed):
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.ReLU(), nn.Linear(6, 10))


PRETRAINED = with_fixed_values(None, 0).state_dict()


def with_pretrained_values(dataset, seed):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 6), nn.ReLU(), nn.Linear(6, 10))
    model.load_state_dict(PRETRAINED)
    return model


@pytest.mark.parametrize(
    "build, n_jobs", [(with_fixed_values, 1), (with_pretrained_values, 1), (with_fixed_values, 2)]
)
def test_values_that_cannot_be_redrawn_are_an_error(tmp_path, build, n_jobs):
    recipe = replace(RECIPE, output_layer="3")
    few = {"recipe": recipe, "arms": ["reinitialised"], "seeds": [0], "levels": 1}
    with pytest.raises(ValueError, match="has the same weights, so there is nothing to redraw"):
        run(tmp_path, model=build, n_jobs=n_jobs, **few)


class Wide(nn.Module):
    """Draws its own values, with a deviation of 10."""

    def __init__(self):
        super().__init__()
        self.fc1, self.out = nn.Linear(784, 6), nn.Linear(6, 10)
        for layer in (self.fc1, self.out):
            nn.init.normal_(layer.weight, std=10)

    def forward(self, x):
        return self.out(F.relu(self.fc1(x.flatten(1))))


def test_values_are_redrawn_as_the_network_draws_them(tmp_path):
    run(tmp_path, model=lambda dataset, seed: Wide(), arms=["reinitialised"], levels=1)
    levels = levels_in(tmp_path)
    for seed in (0, 1):
        old, new = (
            levels[key].start.model for key in (("dense", seed, 0), ("reinitialised", seed, 1))
        )
        assert new["fc1.weight"].std().item() == pytest.approx(10, rel=0.05)
        assert new["out.weight"].std().item() == pytest.approx(10, rel=0.3)
        for name in ("fc1.weight", "out.weight"):
            assert not (old[name] == new[name]).any()


class Unsorted(nn.Sequential):
    """Its output layer comes first in the alphabet."""

    def __init__(self):
        super().__init__()
        self.flatten, self.features = nn.Flatten(), nn.Linear(784, 12)
        self.classifier = nn.Linear(12, 10)


def unsorted_network(dataset, seed):
    return Unsorted()


def test_the_same_ticket_as_find_ticket_bit_for_bit(tmp_path):
    data = load_dataset("fashion-mini")
    recipe = replace(RECIPE, output_layer="classifier")
    watch = {"rewind_to": "6it", "evaluate_at": ["10it"]}
    few = {"recipe": recipe, "arms": ["ticket"], "seeds": [4], "levels": 2}
    run(tmp_path / "run", model=unsorted_network, data=data, **few, **watch)
    model = build_model(unsorted_network, data, seed=4)
    memory, folder, again = (
        find_ticket(model, data, recipe, levels=2, seed=4, folder=where, **watch)
        for where in (None, tmp_path / "ticket", tmp_path / "ticket")
    )
    ran = levels_in(tmp_path / "run")
    ran = [ran["dense" if number == 0 else "ticket", 4, number] for number in range(3)]
    for other in (folder.levels, again.levels, ran):
        for one, two in zip(memory.levels, other, strict=True):
            assert same_masks(one.masks, two.masks) and one.density == two.density
            assert states_equal(one.trained, two.trained)
            assert one.start.step == two.start.step
            assert states_equal(one.start.model, two.start.model)
            assert states_equal(one.start.optimizer, two.start.optimizer)
            tables = [rows_of(level.history.table, split="validation") for level in (one, two)]
            assert_frame_equal(*tables, check_exact=True, check_dtype=False)
    assert memory.levels[2].density < memory.levels[1].density < 1
    assert states_equal(memory.model.state_dict(), again.model.state_dict())


def test_what_else_an_arm_is_told(fashion_mini):
    told = []

    @lthlab.arm("curious", needs=("ticket",))
    def curious(past):
        told.append((past.seed, past.level, past.rewind_step, past.batch, past.density))
        ticket = past.of("ticket")[past.level]
        assert past.data is not None and past.recipe == RECIPE
        assert past.density == pytest.approx(ticket.density, abs=1e-9)
        return Start(ticket.masks, past.initial)

    run(arms=["curious"], rewind_to="6it", levels=2)
    assert [row[:3] for row in told] == [(s, n, 6) for s in (0, 1) for n in (1, 2)]
    for seed, _, _, batch, density in told:
        # Ten times as many examples as classes, drawn by the seed alone.
        assert states_equal(batch, draw_batch(fashion_mini.train, 100, seed))
        assert 0 < density < 1
