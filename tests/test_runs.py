"""Runs of many arms, levels and seeds: the same bits in parallel, after a crash, and beside another process."""

import errno
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from pandas.testing import assert_frame_equal

from lthlab import (
    ARMS,
    Recipe,
    build_model,
    count_kept,
    experiments,
    find_ticket,
    initialize_,
    load_dataset,
    run_experiment,
)
from lthlab._common import _digest, load_tensors
from lthlab.arms import CHAINS, Run
from lthlab.experiments import COLUMNS
from lthlab.sparse import sparse_below

RECIPE = Recipe("sgd", 0.1, 0.9, 1e-4, batch_size=50, duration="30it", schedule="cosine")
CONTROLS = [*ARMS][:8]  # dense, ticket and its controls; the others are raced in test_before_training
SMALL = {"recipe": RECIPE, "arms": CONTROLS, "seeds": [0, 1], "levels": 3, "evaluate_at": ["10it"], "progress": False}


def run(folder=None, n_jobs=1, **changes):
    return run_experiment("mlp-20-10", "fashion-mini", **{**SMALL, **changes}, folder=folder, n_jobs=n_jobs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run and its folder."""
    folder = tmp_path_factory.mktemp("run")
    return run(folder, rewind_to="6it"), folder


def opened(folder, **changes) -> Run:
    settings = {"rewind_to": "6it"} | changes
    return Run("mlp-20-10", "fashion-mini", RECIPE, settings["rewind_to"], "1ep", ("10it",), folder, sparse_below())


def bits(folder) -> dict[str, str]:
    """A digest of what each file below a folder holds (safetensors orders its header by chance)."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)): path for path in paths}
    return {
        name: _digest(*load_tensors(path, "level")) if path.suffix == ".safetensors" else "temporary"
        for name, path in names.items()
    }


def test_table_is_tidy_and_complete(finished):
    table, _ = finished
    assert list(table.columns) == COLUMNS
    ends = table.query("split == 'test'")
    assert len(ends) == 2 * (1 + 3 * (len(CONTROLS) - 1)) and not ends.duplicated(["arm", "seed", "level"]).any()
    assert set(table["arm"]) == set(CONTROLS) and (table["rewind_step"] == 6).all()
    assert table["value"].notna().all() and set(table["dataset"]) == {"fashion-mini"}
    steps = table.query("arm == 'dense' and seed == 0 and metric == 'accuracy' and split == 'validation'")["step"]
    assert steps.tolist() == [0, 10, 30]


def test_controls_have_exactly_the_tickets_densities(finished):
    table, _ = finished
    wide = table.query("split == 'test' and level > 0").pivot(index=["seed", "level"], columns="arm", values="density")
    for arm in ("reinitialised", "shuffled", "random", "signs"):
        assert (wide[arm] == wide["ticket"]).all()
    assert wide["ticket"].is_monotonic_decreasing or wide.loc[0, "ticket"].is_monotonic_decreasing


def test_each_arm_changes_exactly_what_it_says(finished):
    _, folder = finished
    this, seed, level = opened(folder), 0, 2
    starts = {arm: ARMS[arm](this, seed, level) for arm in CONTROLS}
    masks, values = starts["ticket"].masks, starts["ticket"].snapshot.model
    assert starts["ticket"].snapshot.step == 6 and values["fc1.weight"].equal(this.start(seed).model["fc1.weight"])
    for arm in ("reinitialised", "signs"):
        assert all(starts[arm].masks[name].equal(mask) for name, mask in masks.items())
    for arm in ("shuffled", "random"):
        for name, mask in masks.items():
            assert count_kept({name: starts[arm].masks[name]}) == count_kept({name: mask})
        assert not starts[arm].masks["fc1.weight"].equal(masks["fc1.weight"])
        assert starts[arm].snapshot.model["fc1.weight"].equal(values["fc1.weight"])
    kept = masks["fc1.weight"]
    fresh = starts["reinitialised"].snapshot
    assert fresh.step == 0 and not (fresh.model["fc1.weight"][kept] == values["fc1.weight"][kept]).any()
    first = this.build(seed).get_parameter("fc1.weight")
    assert not (fresh.model["fc1.weight"][kept] == first[kept]).any(), "new values, and not those before rewinding"
    flat = starts["signs"].snapshot.model["fc1.weight"][kept]
    assert flat.abs().unique().numel() == 1 and flat.sign().equal(values["fc1.weight"][kept].sign())
    for arm in ("learning-rate rewinding", "fine-tuning"):
        assert starts[arm].snapshot.model["fc1.weight"].equal(this.trained(arm, seed, 1)["fc1.weight"])
    assert starts["learning-rate rewinding"].recipe is None and starts["learning-rate rewinding"].snapshot.step == 6
    tuned = starts["fine-tuning"].recipe
    assert tuned.schedule == "constant" and tuned.duration == "24it" and tuned.lr == pytest.approx(0.001)


def test_random_masks_are_nested_and_tickets_too(finished):
    this = opened(finished[1])
    for arm in ("random", "ticket"):
        for seed in (0, 1):
            coarse, fine = (ARMS[arm](this, seed, level).masks for level in (2, 3))
            assert not any((fine[name] & ~coarse[name]).any() for name in fine)


def test_pruned_weights_of_every_chain_end_at_zero(finished):
    this = opened(finished[1])
    for arm in CHAINS:
        trained, masks = this.trained(arm, 1, 3), this.masks(arm, 1, 3)
        for name, mask in masks.items():
            assert not trained[name][~mask].view(torch.int32).any() and trained[name][mask].ne(0).all()


def test_parallel_run_gives_the_same_bits(finished, tmp_path):
    assert_frame_equal(run(tmp_path, n_jobs=2, rewind_to="6it"), finished[0], check_exact=True)
    assert bits(tmp_path) == bits(finished[1])


def test_threads_of_the_caller_do_not_matter_and_come_back(finished, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        table = run(tmp_path, arms=["dense", "ticket"], rewind_to="6it")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    expected = finished[0][finished[0]["arm"].isin(["dense", "ticket"])].reset_index(drop=True)
    assert_frame_equal(table, expected, check_exact=True)


def test_dask_cluster_gives_the_same_table(finished, tmp_path):
    import joblib
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        table = run(tmp_path, n_jobs=-1, rewind_to="6it")
    assert_frame_equal(table, finished[0], check_exact=True)


def test_a_killed_worker_costs_only_its_level(tmp_path):
    import joblib
    from distributed import Client, LocalCluster

    longer = {"recipe": replace(RECIPE, duration="300it"), "arms": ["dense", "ticket"], "seeds": range(4), "levels": 5}
    finished_before, survivors = {}, []

    def kill_one_worker(pids: list[int]) -> None:
        deadline = time.monotonic() + 120
        while len(finished := [*tmp_path.rglob("seed-*.safetensors")]) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(pids[0], signal.SIGKILL)
        finished_before.update({path: path.stat().st_ino for path in finished})  # a file written anew is another file
        survivors.extend(pid for pid in pids if psutil.pid_exists(pid) and pid != pids[0])

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        pids = [*client.run(os.getpid).values()]
        killer = threading.Thread(target=kill_one_worker, args=(pids,), daemon=True)
        killer.start()
        table = run(tmp_path, n_jobs=-1, **longer)
        killer.join()
        after = {*client.run(os.getpid).values()}
    assert len(survivors) == 1 and survivors[0] in after and pids[0] not in after, "one worker died in mid-run"
    assert 5 <= len(finished_before) < 24, "and the run was under way"
    assert {path: path.stat().st_ino for path in finished_before} == finished_before
    assert_frame_equal(table, run(n_jobs=1, **longer), check_exact=True)


def test_threads_of_one_process_train_one_after_the_other(finished, tmp_path, monkeypatch):
    import joblib

    inside, most, train_one = [], [], experiments._run_level

    def watched(*given):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        train_one(*given)
        inside.pop()

    monkeypatch.setattr(experiments, "_run_level", watched)
    with joblib.parallel_config(backend="threading"):  # a Dask worker with several threads is like that
        table = run(tmp_path, n_jobs=3, rewind_to="6it")
    assert_frame_equal(table, finished[0], check_exact=True)
    assert len(most) == len(finished[0].query("split == 'test'")) and max(most) == 1


def test_a_second_call_computes_nothing_and_more_seeds_reuse_the_rest(finished, monkeypatch):
    table, folder = finished
    before = {path: os.stat(path).st_mtime_ns for path in Path(folder).rglob("*.safetensors")}
    assert_frame_equal(run(folder, rewind_to="6it"), table, check_exact=True)
    wider = run(folder, rewind_to="6it", arms=["dense", "ticket"], seeds=[0, 1, 2])
    assert {path: os.stat(path).st_mtime_ns for path in before} == before
    assert set(wider["seed"]) == {0, 1, 2}
    for path in set(Path(folder).rglob("*seed-002*.safetensors")):
        path.unlink()


@pytest.mark.parametrize("change", [{"recipe": Recipe("sgd", 0.2, 0.9, duration="30it")}, {"rewind_to": "5it"}])
def test_another_setting_is_another_run(finished, change):
    table = run(finished[1], arms=["dense"], **change)
    folders = {path.parent.parent.name for path in Path(finished[1]).rglob("dense/*")}
    assert len(folders) >= 2 and len(table.query("split == 'test'")) == 2


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


def damage_foreign(path):
    path.write_bytes(b"\x80\x04not a level of anything")


@pytest.mark.parametrize("harm", [damage_truncate, damage_flip, damage_flip_result, damage_foreign])
def test_damaged_file_is_named_and_computed_again(finished, tmp_path, harm):
    table = run(tmp_path, arms=["dense", "ticket"])
    before = bits(tmp_path)
    victim = next(tmp_path.rglob("ticket/seed-001-level-02*"))
    harm(victim)
    with pytest.warns(UserWarning, match=victim.name):
        assert_frame_equal(run(tmp_path, arms=["dense", "ticket"]), table, check_exact=True)
    assert bits(tmp_path) == before


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
        now = {name: content for name, content in bits(folder).items() if content != "temporary"}
        assert all(content == expected[name] for name, content in now.items()), "a half-written level has its name"
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


@needs_fork
def test_full_disk_is_one_clear_error_and_no_half_file(tmp_path):
    import resource  # not on Windows

    def starve():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            run(tmp_path / "run")
        except OSError as error:
            Path(tmp_path / "message").write_text(str(error))

    in_fork(starve).join(120)
    message = (tmp_path / "message").read_text()
    assert "Could not write" in message and "Finished levels are kept" in message
    assert bits(tmp_path / "run") == {}
    assert len(run(tmp_path / "run")) > 0


def test_full_disk_in_the_middle_keeps_what_is_finished(tmp_path, monkeypatch):
    from lthlab import _common

    save, calls = _common.save_file, []

    def fails_at_the_third(*args):
        calls.append(args)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*args)

    monkeypatch.setattr(_common, "save_file", fails_at_the_third)
    with pytest.raises(OSError, match="No space left.*Finished levels are kept"):
        run(tmp_path)
    assert len(bits(tmp_path)) == 2
    run(tmp_path)
    assert len(bits(tmp_path)) == 2 * (1 + 3 * (len(CONTROLS) - 1))


INTERRUPTED = """
import sys
from lthlab import Recipe, run_experiment
recipe = Recipe("sgd", 0.1, batch_size=50, duration=sys.argv[2])
print("begin", flush=True)
seeds, folder = range(4), sys.argv[1]
run_experiment("mlp-20-10", "fashion-mini", recipe, seeds=seeds, levels=6, folder=folder, n_jobs=2, progress=False)
print("end", flush=True)
"""


def test_interrupt_stops_the_workers_and_a_second_call_goes_on(tmp_path):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path), "300it"]

    def heed_interrupts():  # in the background of a script a shell makes its children ignore them
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **pipes, preexec_fn=heed_interrupts)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.rglob("*.safetensors"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
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


def test_an_arm_of_ones_own_is_one_function(monkeypatch, tmp_path):
    from lthlab.arms import Start, ticket

    def doubled(run, seed, level):
        start = ticket(run, seed, level)
        bigger = {name: 2 * value for name, value in start.snapshot.model.items()}
        return Start(start.masks, type(start.snapshot)(0, bigger, start.snapshot.optimizer))

    monkeypatch.setitem(ARMS, "doubled", doubled)
    table = run(tmp_path, arms=["ticket", "doubled"], levels=1)
    assert len(table.query("split == 'test' and arm == 'doubled'")) == 2


def test_own_model_and_own_data(tmp_path):
    def tiny_network(dataset, seed):
        return build_model("mlp-6", dataset, seed)

    data = load_dataset("fashion-mini")
    table = run_experiment(tiny_network, data, RECIPE, seeds=range(2), levels=1, n_jobs=1, progress=False)
    assert set(table["model"]) == {"tiny_network"} and set(table["arm"]) == {"dense", "ticket", "reinitialised"}


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"arms": ["tickets"]}, "Did you mean 'ticket'"),
        ({"levels": None, "density": 1.5}, "density is a fraction"),
        ({"control_levels": [9]}, "levels 1 to 3"),
        ({"levels": None}, "either levels=15 or density=0.036"),
    ],
)
def test_wrong_requests_are_one_clear_error(wrong, message):
    with pytest.raises(ValueError, match=message):
        run(**wrong)


def test_everything_is_a_dataframe(finished):
    assert isinstance(finished[0], pd.DataFrame) and len(finished[0]) > 100


def test_other_labels_and_another_network_are_another_run(tmp_path):
    data = load_dataset("fashion-mini")
    settings = {"recipe": RECIPE, "arms": ["dense"], "seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
    swapped = replace(data, train=replace(data.train, y=data.train.y.roll(1)))
    tables = [run_experiment("mlp-6", which, folder=tmp_path, **settings) for which in (data, swapped)]
    assert not tables[0].equals(tables[1])
    for hidden in ("mlp-6", "mlp-7"):
        network = partial(build_model, hidden)  # a partial function has no name
        run_experiment(network, data, folder=tmp_path, **settings)
    assert len(list(tmp_path.iterdir())) == 4


class Unsorted(torch.nn.Sequential):
    """Its output layer comes first in the alphabet."""

    def __init__(self):
        super().__init__()
        self.flatten, self.features, self.classifier = (
            torch.nn.Flatten(),
            torch.nn.Linear(784, 12),
            torch.nn.Linear(12, 10),
        )


def unsorted_network(dataset, seed):
    return initialize_(Unsorted(), seed)


def test_the_same_masks_as_find_ticket(tmp_path):
    data = load_dataset("fashion-mini")
    run_experiment(unsorted_network, data, RECIPE, arms=["ticket"], seeds=[0], levels=2, folder=tmp_path, n_jobs=1,
                   progress=False)  # fmt: skip
    found = find_ticket(unsorted_network(data, 0), data, RECIPE, levels=2, seed=0)
    run = Run(unsorted_network, data, RECIPE, 0, "1ep", (), tmp_path, sparse_below())
    for level in (1, 2):
        masks = run.masks("ticket", 0, level)
        assert all(masks[name].equal(mask) for name, mask in found.levels[level].masks.items())
