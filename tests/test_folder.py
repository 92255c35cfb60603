"""A search in a folder goes on where it was stopped, and trusts no file unchecked."""

import math
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import ADAM, states_equal

import lthlab
from lthlab.folder import Folder
from lthlab.models import build_model
from lthlab.pruning import magnitude, random
from lthlab.steps import STEPS
from lthlab.tickets import Ticket, find_ticket


def giving_up(at: int):
    """A score that is interrupted when it is asked for the masks of level `at` (0: never)."""
    calls = []

    def score(model, batch, *, seed):
        calls.append(seed)
        if len(calls) == at:
            raise KeyboardInterrupt
        return magnitude(model)

    return score


def counting_step(model, masks, recipe, loss):
    counting_step.trainings.append(recipe)
    return STEPS["fast"](model, masks, recipe, loss)


counting_step.trainings = []


def trainings() -> int:
    """How many trainings began since it was last asked."""
    count = len(counting_step.trainings)
    counting_step.trainings.clear()
    return count


def stamps(folder: Path) -> dict[str, tuple]:
    """All finished levels, with what changes when one is written anew."""
    known = {path.name: path.stat() for path in folder.rglob("*.safetensors")}
    return {name: (found.st_ino, found.st_mtime_ns) for name, found in sorted(known.items())}


def assert_same_tickets(one: Ticket, other: Ticket):
    assert states_equal(one.model.state_dict(), other.model.state_dict())
    assert len(one.levels) == len(other.levels)
    for first, second in zip(one.levels, other.levels, strict=True):
        assert first.density == second.density
        assert states_equal(first.masks, second.masks)
        assert states_equal(first.trained, second.trained)
        assert first.history.table.equals(second.history.table)
        states = [{-1: level.start} | level.history.states for level in (first, second)]
        assert states_equal(*[{k: vars(s) for k, s in own.items()} for own in states])
    assert states_equal(vars(one.start), vars(other.start))


SEARCH = {"levels": 3, "rewind_to": 3, "states": [7], "seed": 2, "step": counting_step}


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_search_killed_after_a_level_goes_on_where_it_stopped(at, case, tmp_path):
    name, dataset, recipe = case
    model = build_model(name, dataset)
    expected = find_ticket(model, dataset, recipe, score=giving_up(0), **SEARCH)
    assert trainings() == 4
    with pytest.raises(KeyboardInterrupt):
        score, known = giving_up(at), {"folder": tmp_path, "version": "1"}
        find_ticket(model, dataset, recipe, score=score, **known, **SEARCH)
    before = stamps(tmp_path)
    assert len(before) == at == trainings()
    options = SEARCH | {"folder": tmp_path, "score": giving_up(0), "version": "1"}
    assert_same_tickets(find_ticket(model, dataset, recipe, **options), expected)
    after = stamps(tmp_path)
    assert len(after) == 4 and trainings() == 4 - at
    assert before.items() <= after.items(), "a finished level was written again"
    assert_same_tickets(find_ticket(model, dataset, recipe, **options), expected)
    assert stamps(tmp_path) == after and trainings() == 0


class Impatient:
    """A kind of step that is interrupted after some steps."""

    def __call__(self, x, y):
        self.patience[0] -= 1
        if self.patience[0] < 0:
            raise KeyboardInterrupt
        return super().__call__(x, y)


@pytest.mark.parametrize("stop", [0, 4, 9])
def test_a_search_interrupted_within_a_level_keeps_the_levels_before(stop, tiny, tmp_path):
    model = build_model("mlp-8-6", tiny)

    def find(steps):
        patience = [steps]

        def step(*given):
            made = STEPS["fast"](*given)
            kinds = Impatient, type(made)
            made.__class__ = type("ImpatientStep", kinds, {"patience": patience})
            return made

        return find_ticket(model, tiny, ADAM, levels=3, folder=tmp_path, step=step, version="1")

    with pytest.raises(KeyboardInterrupt):
        find(20 + stop)
    before = stamps(tmp_path)
    assert len(before) == 2, "levels of ten steps: two are done"
    assert before.keys() == {path.name for path in tmp_path.rglob("*") if path.is_file()}
    found = find(math.inf)
    assert before.items() <= stamps(tmp_path).items()
    assert_same_tickets(found, find_ticket(model, tiny, ADAM, levels=3))


KILLED = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import make_blobs
from lthlab import Recipe, build_model, find_ticket, magnitude
tiny = make_blobs("tiny", (1, 4, 4), classes=4, train=100, held_out=30, test=30)
folder, level = sys.argv[1], int(sys.argv[2])
calls = []
def score(model, batch, *, seed):
    calls.append(seed)
    if len(calls) == level:
        os.kill(os.getpid(), signal.SIGKILL)
    return magnitude(model)
recipe = Recipe("adam", 1e-2, batch_size=20, duration="2ep")
options = {{"levels": 3, "score": score, "folder": folder}}
ticket = find_ticket(build_model("mlp-8-6", tiny), tiny, recipe, **options)
print(len(calls), [value.double().sum().item() for value in ticket.model.state_dict().values()])
"""


def test_a_process_killed_in_the_middle_of_a_search_loses_no_finished_level(tiny, tmp_path):
    def run(level):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(level)]
        return subprocess.run(command, capture_output=True, text=True)

    assert run(2).returncode == -signal.SIGKILL
    before = stamps(tmp_path)
    assert len(before) == 2
    done = run(0)
    assert done.returncode == 0, done.stderr
    expected = find_ticket(build_model("mlp-8-6", tiny), tiny, ADAM, levels=3)
    sums = [value.double().sum().item() for value in expected.model.state_dict().values()]
    assert done.stdout.strip() == f"2 {sums}", "two levels of three were left to be scored"
    assert before.items() <= stamps(tmp_path).items()


def spoil(how: str, folder: Path, level: Path) -> None:
    others = {path.name[-14:-12]: path for path in folder.rglob("*.safetensors")}
    if how == "the level before":
        shutil.copy(others["01"], level)
    elif how == "the level after":
        shutil.copy(others["03"], level)
    elif how == "the dense level":
        shutil.copy(others["00"], level)
    elif how == "cut short":
        level.write_bytes(level.read_bytes()[:-100])
    elif how == "one bit":
        content = bytearray(level.read_bytes())
        content[-50] ^= 4
        level.write_bytes(content)
    elif how == "empty":
        level.write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("the level before", "level 1 of 'ticket', seed 2.*not where it belongs"),
        ("the level after", "level 3 of 'ticket', seed 2.*not where it belongs"),
        ("the dense level", "level 0 of 'dense', seed 2.*not where it belongs"),
        ("cut short", "cut short"),
        ("one bit", "damaged"),
        ("empty", "cut short"),
    ],
)
def test_a_file_that_is_not_its_level_is_noticed_and_computed_again(how, said, case, tmp_path):
    name, dataset, recipe = case
    options = SEARCH | {"folder": tmp_path}
    model = build_model(name, dataset)
    expected = find_ticket(model, dataset, recipe, **options)
    before = stamps(tmp_path)
    trainings()
    (level,) = tmp_path.rglob("*level-02.safetensors")
    spoil(how, tmp_path, level)
    with pytest.warns(UserWarning, match=said + ".*computed again"):
        found = find_ticket(model, dataset, recipe, **options)
    assert trainings() == 1
    assert_same_tickets(found, expected)
    after = stamps(tmp_path)
    assert after.keys() == before.keys()
    assert {file for file in after if after[file] != before[file]} == {level.name}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_tickets(find_ticket(model, dataset, recipe, **options), expected)


def test_the_level_of_another_seed_or_run_is_noticed_too(tiny, tmp_path):
    model, options = build_model("mlp-8-6", tiny), SEARCH | {"folder": tmp_path}
    mine = find_ticket(model, tiny, ADAM, **options)
    (level,) = tmp_path.rglob("*level-02.safetensors")
    find_ticket(model, tiny, ADAM, **options | {"seed": 3})
    (of_seed,) = tmp_path.rglob("seed-003-level-02.safetensors")
    find_ticket(model, tiny, replace(ADAM, lr=2e-2), **options)
    (of_run,) = (p for p in tmp_path.rglob("seed-002-level-02.safetensors") if p != level)
    for other in (of_seed, of_run):
        shutil.copy(other, level)
        with pytest.warns(UserWarning, match="not where it belongs.*computed again"):
            assert_same_tickets(find_ticket(model, tiny, ADAM, **options), mine)


CHANGES = {
    "learning rate": {"recipe": replace(ADAM, lr=2e-2)},
    "initial values": {"model": 1},
    "rewind step": {"rewind_to": 4},
    "score": {"score": random},
    "states kept": {"states": [8]},
    "version": {"version": "2"},
    "kind of step": {"step": None},
    "evaluation": {"evaluate_at": [1]},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_search_with_something_else_in_it_is_a_search_of_its_own(what, tiny, tmp_path):
    change = {"model": 0, "recipe": ADAM} | CHANGES[what]
    given = SEARCH | {k: v for k, v in change.items() if k not in ("model", "recipe")}
    find_ticket(build_model("mlp-8-6", tiny), tiny, ADAM, folder=tmp_path, **SEARCH)
    before = stamps(tmp_path)
    model, recipe = build_model("mlp-8-6", tiny, change["model"]), change["recipe"]
    found = find_ticket(model, tiny, recipe, folder=tmp_path, **given)
    assert len([*tmp_path.iterdir()]) == 2 and len([*tmp_path.rglob("*.safetensors")]) == 8
    assert before.keys() == stamps(tmp_path).keys()
    alone = {name: value for name, value in given.items() if name != "version"}
    assert_same_tickets(found, find_ticket(model, tiny, recipe, **alone))


def test_more_levels_reuse_those_that_are_there(tiny, tmp_path):
    model, options = build_model("mlp-8-6", tiny), SEARCH | {"folder": tmp_path}
    find_ticket(model, tiny, ADAM, **options | {"levels": 1})
    before = stamps(tmp_path)
    trainings()
    found = find_ticket(model, tiny, ADAM, **options)
    assert trainings() == 2 and before.items() <= stamps(tmp_path).items()
    assert_same_tickets(found, find_ticket(model, tiny, ADAM, **SEARCH))


def test_what_happens_to_the_files_afterwards_does_not_reach_a_ticket(tiny, tmp_path):
    model = build_model("mlp-8-6", tiny)
    found = find_ticket(model, tiny, ADAM, folder=tmp_path, **SEARCH)
    for file in tmp_path.rglob("*.safetensors"):
        size = os.path.getsize(file)
        file.write_bytes(bytes(size))
    assert_same_tickets(found, find_ticket(model, tiny, ADAM, **SEARCH))


HOSTILE = [
    "..",
    "../../up",
    "/etc/passwd",
    "a:b",
    "a*b?",
    "con",
    "NUL",
    "com1",
    "aux",
    "",
    ".",
    " ",
]
HOSTILE += ["ticket", "Ticket", "my arm", "my-arm", "tick\0et", "a\\b", "é" * 300, "layer " * 141]


def test_names_of_arms_make_files_that_every_system_takes_and_that_stay_in_the_folder(tmp_path):
    files = [Folder(tmp_path).file((arm, 7, 12)) for arm in HOSTILE]
    assert len({str(file).lower() for file in files}) == len(HOSTILE), "each arm has its own"
    for file in files:
        assert file.parent.parent == tmp_path and file.parent.name not in ("", ".", "..")
        assert all(part.isascii() and len(part) < 100 for part in (file.parent.name, file.name))
        assert not set(file.parent.name) & set('<>:"/\\|?*\0. ')
        assert file.parent.name not in ("con", "prn", "aux", "nul", "com1")


def test_a_file_may_have_the_longest_name_that_the_system_takes(tmp_path, tiny):
    masks = lthlab.full_masks(build_model("mlp-6", tiny))
    path = tmp_path / ("m" * 255)
    lthlab.save_masks(masks, path)
    assert list(lthlab.load_masks(path)) == list(masks)
