"""The controls of a ticket against their definitions, and tickets found by other criteria."""

import re
from pathlib import Path

import pytest
import torch
from helpers import finish, same_masks, states_equal
from torch import nn

import lthlab
from lthlab.arms import ARMS
from lthlab.controls import by_change
from lthlab.experiments import run_experiment
from lthlab.levels import Level, Past, Setting
from lthlab.models import build_model
from lthlab.recipes import Recipe
from lthlab.steps import State
from lthlab.training import History

RECIPE = Recipe("sgd", 0.1, 0.9, batch_size=20, duration="15it", schedule="cosine")
REVALUED = ["permuted", "permuted sizes", "reinitialised to scale"]
LEVEL = 3


def setting_of(tiny, rewind_to: int = 0) -> Setting:
    return Setting(lambda seed: build_model("mlp-20-8", tiny, seed), tiny, RECIPE, rewind_to)


@pytest.fixture(scope="module")
def found(tiny):
    """By rewind step: the finished levels of the ticket of seed 1, and the setting."""
    settings = {step: setting_of(tiny, step) for step in (0, 4)}
    return {
        step: (setting, finish(setting, ["ticket"], range(1, LEVEL + 1), seed=1))
        for step, setting in settings.items()
    }


def start_of(name: str, setting, finished, seed: int = 1):
    past = Past(setting, finished, name, frozenset(ARMS[name].needs), seed, LEVEL)
    return ARMS[name].function(past)


def sorted_values(values: torch.Tensor) -> list[float]:
    return sorted(values.tolist())


@pytest.mark.parametrize("rewind_to", [0, 4])
@pytest.mark.parametrize("arm", REVALUED)
def test_only_the_values_of_survivors_change(arm, rewind_to, found):
    setting, finished = found[rewind_to]
    ticket, start = finished["ticket", 1, LEVEL], start_of(arm, setting, finished)
    values = dict(start.state.model)
    assert same_masks(start.masks, ticket.masks)
    assert start.state.step == rewind_to and start.state.optimizer == {}
    assert bool(ticket.start.optimizer) == (rewind_to > 0)  # there was something to forget
    assert start.recipe is None and start.during is None
    for name, before in ticket.start.model.items():
        after = values.pop(name)
        if name not in start.masks:
            assert torch.equal(after, before)  # the biases
            continue
        mask = start.masks[name]
        assert torch.equal(after[~mask], before[~mask])
        assert not torch.equal(after[mask], before[mask])
    assert not values


def survivors(name, rewind_to, found):
    """The values of the survivors of each layer: of a control, and of the ticket."""
    setting, finished = found[rewind_to]
    start, ticket = start_of(name, setting, finished), finished["ticket", 1, LEVEL]
    for layer, mask in start.masks.items():
        yield start.state.model[layer][mask], ticket.start.model[layer][mask]


@pytest.mark.parametrize("rewind_to", [0, 4])
def test_permuted_values_are_the_tickets_in_another_order(rewind_to, found):
    for new, old in survivors("permuted", rewind_to, found):
        assert sorted_values(new) == sorted_values(old)
        assert (new == old).float().mean() < 0.3 and not torch.equal(new.sign(), old.sign())


@pytest.mark.parametrize("rewind_to", [0, 4])
def test_permuted_sizes_leave_every_sign_where_it_was(rewind_to, found):
    for new, old in survivors("permuted sizes", rewind_to, found):
        assert torch.equal(new.sign(), old.sign())
        assert sorted_values(new.abs()) == sorted_values(old.abs())
        assert (new == old).float().mean() < 0.3


@pytest.mark.parametrize("rewind_to", [0, 4])
def test_new_values_to_scale_are_redrawn_ones_times_one_number_a_layer(rewind_to, found):
    setting, finished = found[rewind_to]
    arm = "reinitialised to scale"
    start, ticket = start_of(arm, setting, finished), finished["ticket", 1, LEVEL]
    redrawn = start_of("reinitialised", setting, finished).state.model
    for name, mask in start.masks.items():
        new, old, drawn = (
            model[name][mask].double() for model in (start.state.model, ticket.start.model, redrawn)
        )
        size, expected = (
            (sum(v * v for v in part.tolist()) / len(part)) ** 0.5 for part in (new, old)
        )
        assert size == pytest.approx(expected, rel=1e-6)
        factor = float(new[0] / drawn[0])
        torch.testing.assert_close(new, factor * drawn, rtol=1e-5, atol=0)
        assert abs(factor - 1) > 0.01  # there was something to stretch


@pytest.mark.parametrize("arm", REVALUED)
def test_the_order_is_of_the_seed_alone(arm, found, tiny):
    setting, finished = found[0]
    again, same = (start_of(arm, setting, finished).state.model for _ in range(2))
    assert states_equal(again, same)
    # The same ticket under another seed.
    other = {(name, 2, number): level for (name, _, number), level in finished.items()}
    moved = start_of(arm, setting, other, seed=2).state.model
    mask = finished["ticket", 1, LEVEL].masks["fc1.weight"]
    assert (again["fc1.weight"][mask] == moved["fc1.weight"][mask]).float().mean() < 0.3


@pytest.mark.parametrize("arm", REVALUED)
def test_a_level_is_trained_from_there(arm, tiny):
    levels = finish(setting_of(tiny, 4), ["ticket", arm], [1, 2])
    for number in (1, 2):
        level = levels[arm, 0, number]
        assert level.density == levels["ticket", 0, number].density
        assert level.history.table["step"].min() == 4 and level.history.table["step"].max() == 15


# Zhou's criteria.


def test_the_final_size_is_the_tickets_criterion(tiny, declared):
    lthlab.arm("large final", chain=True)(by_change(lambda first, last: last.abs()))
    arms = ["ticket", "large final"]
    options = {"seeds": [0, 1], "levels": 3, "n_jobs": 1, "progress": False}
    rows = run_experiment("mlp-20-8", tiny, RECIPE, arms=arms, rewind_to=4, **options)
    one, other = (
        rows[rows["arm"] == arm].drop(columns="arm").reset_index(drop=True) for arm in arms
    )
    assert len(one) > 20 and one.equals(other)
    found = finish(setting_of(tiny, 4), arms, [1, 2, 3])
    for number in (1, 2, 3):
        ticket, level = (found[arm, 0, number] for arm in arms)
        assert same_masks(level.masks, ticket.masks)
        assert states_equal(level.trained, ticket.trained)


def test_another_criterion_is_another_ticket(tiny, declared):
    lthlab.arm("movement", chain=True)(by_change(lambda first, last: (last - first).abs()))
    found = finish(setting_of(tiny), ["ticket", "movement"], [1, 2])
    ticket, level = found["ticket", 0, 2], found["movement", 0, 2]
    assert level.density == ticket.density and not same_masks(level.masks, ticket.masks)
    assert states_equal(level.start.model, found["dense", 0, 0].start.model)


class Four(nn.Sequential):
    """One layer of four weights with the initial values that the test below works with."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(4, 1, bias=False))
        self[1].weight.data = torch.tensor([[1.0, -4.0, 0.5, -2.0]])


CRITERIA = {
    # sizes 1, 4, 0.5, 2 became 3, 5, 1, 0.5: they grew by 2, 1, 0.5, -1.5
    "magnitude increase": (lambda first, last: last.abs() - first.abs(), [1, 1, 0, 0]),
    # the changes are -4, -1, 0.5, 1.5
    "movement": (lambda first, last: (last - first).abs(), [1, 0, 0, 1]),
    "large initial": (lambda first, last: first.abs(), [0, 1, 0, 1]),
    "small final": (lambda first, last: -last.abs(), [0, 0, 1, 1]),
    # only the first weight changed its sign: -3, 5, 1, 0.5
    "same sign": (lambda first, last: last * first.sign(), [0, 1, 1, 0]),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_criteria_worked_out_on_four_weights(name, tiny):
    criterion, expected = CRITERIA[name]
    recipe = Recipe(
        "sgd", 0.1, batch_size=20, duration="5it", fractions={"all": 0.5}, scope="global"
    )
    setting, model = Setting(lambda seed: Four(), tiny, recipe), Four()
    first = State.of(model)
    last = {"1.weight": torch.tensor([[-3.0, -5.0, 1.0, -0.5]])}
    history = History(None, {0: first}, 0.0, lthlab.full_masks(model))
    dense = Level(1.0, first, last, history)
    past = Past(setting, {("dense", 0, 0): dense}, "it", frozenset({"dense", "it"}), 0, 1)
    start = by_change(criterion)(past)
    assert start.masks["1.weight"].int().tolist() == [expected]
    assert states_equal(start.state, first) or start.state is first


def test_the_arms_of_the_readme_do_what_their_names_say(found, declared):
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (code,) = [b for b in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "@lthlab" in b]
    exec(code, {})
    setting, finished = found[4]
    masks = finished["ticket", 1, LEVEL].masks
    rewound = finished["dense", 1, 0].history.states[4].model
    mine, negated = (start_of(name, setting, finished) for name in ("my control", "negated"))
    assert same_masks(mine.masks, lthlab.shuffle_masks(masks, 1)) and mine.state.step == 0
    assert same_masks(negated.masks, masks) and negated.state.step == 4
    for name, mask in masks.items():
        assert torch.equal(negated.state.model[name][mask], -rewound[name][mask])
        assert not torch.equal(mine.state.model[name], rewound[name])
