"""Arms: declared once, allowed to read what they declared and nothing else."""

from dataclasses import replace

import pytest
import torch
from helpers import bits, finish, same_masks, states_equal

import lthlab
from lthlab import ARMS, Start, run_experiment
from lthlab.arms import fine_tuning, learning_rate_rewinding, pruned_at, unpruned
from lthlab.dynamic import move_masks
from lthlab.levels import Setting
from lthlab.pruning import inverted, magnitude, snip
from lthlab.recipes import Recipe
from lthlab.steps import State
from lthlab.tickets import find_ticket
from lthlab.training import train, training

SHORT = Recipe("sgd", 0.05, 0.9, batch_size=20, duration="2ep")


def run(dataset, arms, **options):
    options = {"seeds": [0], "levels": 2, "n_jobs": 1, "progress": False} | options
    return run_experiment("mlp-8", dataset, SHORT, arms=arms, **options)


def test_an_arm_that_reads_the_dense_network_undeclared_is_told_to_declare_it(tiny, declared):
    @lthlab.arm("mine")
    def mine(past):
        return Start(lthlab.full_masks(past.build(past.seed)), past.rewound)

    with pytest.raises(ValueError, match=r"reads 'dense'.*needs"):
        run(tiny, ["mine"])
    with pytest.raises(ValueError, match=r"reads 'dense'.*needs"):  # also where it has just run
        run(tiny, ["dense", "mine"])


def test_an_arm_that_reads_its_own_level_before_undeclared_is_told_of_chain(tiny, declared):
    @lthlab.arm("mine", needs=("dense",))
    def mine(past):
        return Start(past.previous.masks, past.initial)

    with pytest.raises(ValueError, match=r"reads 'mine'.*chain=True"):
        run(tiny, ["mine"], control_levels=[2])
    lthlab.arm("mine", chain=True)(mine)
    assert set(run(tiny, ["mine"])["level"]) == {1, 2}


def test_arms_that_came_to_need_each_other_are_one_clear_error(tiny, declared):
    lthlab.arm("a")(ARMS["ERK"].function)
    lthlab.arm("b", needs=("a",))(ARMS["ERK"].function)
    for needs in (("b",), ("a",)):  # a cell run again, changed
        with pytest.raises(ValueError, match="needs: .*a.* wait for each other"):
            lthlab.arm("a", needs=needs)(ARMS["ERK"].function)
    run(tiny, ["b"])  # what was declared before is still there


def test_an_arm_declared_again_may_need_one_that_was_declared_later(tiny, declared):
    lthlab.arm("a")(ARMS["ERK"].function)
    lthlab.arm("b")(ARMS["ERK"].function)
    lthlab.arm("a", needs=("b",))(lambda past: Start(past.of("b")[past.level].masks, past.initial))
    table = run(tiny, ["a", "b"])
    kept = table.groupby(["arm", "level"])["density"].first()
    assert (kept["a"] == kept["b"]).all()


def test_scores_made_by_one_function_do_not_share_a_folder(tiny, tmp_path):
    model, options = lthlab.build_model("mlp-8", tiny), {"levels": 1, "folder": tmp_path}
    found = [
        find_ticket(model, tiny, SHORT, score=inverted(score), **options).masks
        for score in (magnitude, snip)
    ]
    alone = [
        find_ticket(model, tiny, SHORT, levels=1, score=inverted(score)).masks
        for score in (magnitude, snip)
    ]
    for mine, expected in zip(found, alone, strict=True):
        assert all(torch.equal(mine[name], mask) for name, mask in expected.items())
    assert any(not torch.equal(alone[0][name], alone[1][name]) for name in alone[0])


def test_a_lambda_in_a_folder_needs_a_version(tiny, tmp_path):
    options = {"levels": 1, "folder": tmp_path, "score": lambda m, b, *, seed: magnitude(m)}
    model = lthlab.build_model("mlp-8", tiny)
    with pytest.raises(ValueError, match="version"):
        find_ticket(model, tiny, SHORT, **options)
    assert len(find_ticket(model, tiny, SHORT, version="1", **options).levels) == 2


@pytest.mark.parametrize("step", [None, "fast"])
def test_masks_changed_in_place_while_paused_hold_from_there_on(tiny, step):
    model = lthlab.build_model("mlp-8", tiny)
    masks = lthlab.full_masks(model)
    for now in training(model, tiny, SHORT, masks, stops=[3, 10], step=step):
        if now.step == 3:
            now.masks["fc1.weight"][:5] = False
    assert not model.fc1.weight[:5].any() and model.fc1.weight[5:].all()


def test_rigl_without_masks_moves_nothing_and_says_so_in_its_masks(tiny):
    model = lthlab.build_model("mlp-8", tiny)
    history = train(model, tiny, SHORT, during=move_masks(tiny, SHORT, every=3))
    assert lthlab.density(history.masks) == 1.0


def test_a_state_from_before_a_layer_was_frozen_can_be_gone_on_from(tiny):
    model = lthlab.build_model("mlp-8", tiny)
    state = train(model, tiny, SHORT, states=[5]).states[5]
    model.fc1.weight.requires_grad_(False)
    frozen = state.model["fc1.weight"]
    train(model, tiny, SHORT, start=state)
    assert torch.equal(model.fc1.weight, frozen) and not torch.equal(
        model.out.weight, state.model["out.weight"]
    )


# Pruned at step t of the dense training.

COSINE = Recipe("sgd", 0.1, 0.9, 1e-3, batch_size=20, duration="16it", schedule="cosine")


def setting_of(dataset, recipe=COSINE, **watch) -> Setting:
    def build(seed):
        return lthlab.build_model("mlp-20-8", dataset, seed)

    return Setting(build, dataset, recipe, test=True, **watch)


def found_at(tiny, share, again, name=None, **watch):
    """Level 2 of an arm that prunes at this share, of the arm called `name`, and the dense one."""
    lthlab.arm("mine", needs=("dense",))(pruned_at(share, again=again))
    found = finish(setting_of(tiny, **watch), ["mine", *([name] if name else [])], [2])
    return found["mine", 0, 2], found.get((name, 0, 2)), found["dense", 0, 0]


def same_level(one, other) -> bool:
    """Bit for bit: masks, where it began, what it became, all measured and every test answer."""
    return (
        same_masks(one.masks, other.masks)
        and states_equal(vars(one.start), vars(other.start))
        and states_equal(one.trained, other.trained)
        and one.history.table.equals(other.history.table)
        and torch.equal(one.correct, other.correct)
    )


@pytest.mark.parametrize("again", [False, True])
def test_pruning_at_step_0_is_magnitude_at_init(again, tiny, declared):
    mine, init, _ = found_at(tiny, 0, again, "magnitude at init")
    assert same_level(mine, init) and mine.history.value(split="test") > 0.3


def test_pruning_at_the_end_and_training_again_is_magnitude_after_training(tiny, declared):
    mine, after, dense = found_at(tiny, 1, True, "magnitude after training")
    assert same_level(mine, after) and states_equal(mine.start.model, dense.trained)
    assert set(mine.history.table["step"]) == {0, 5, 10, 15, 16}


@pytest.mark.parametrize("states", [[], [16]])
def test_pruning_at_the_end_leaves_the_trained_network_but_for_zeros(states, tiny, declared):
    mine, _, dense = found_at(tiny, 1, False, states=states)
    assert set(mine.history.table["step"]) == {16}  # no step was trained
    for name, value in dense.trained.items():
        if name in mine.masks:
            mask = mine.masks[name]
            assert not bits(mine.trained[name])[~mask].any() and not mask.all()
            assert torch.equal(mine.trained[name][mask], value[mask])
        else:
            assert torch.equal(mine.trained[name], value)


def by_magnitude(weights, masks) -> bool:
    """Whether in the whole network no dropped weight is larger than a kept one."""
    sizes = torch.cat([weights[name].abs().flatten() for name in masks])
    kept = torch.cat([mask.flatten() for mask in masks.values()])
    return bool(sizes[kept].min() >= sizes[~kept].max())


@pytest.mark.parametrize("step", [None, "fast"])
def test_pruning_half_way_trains_the_other_half_or_all_again(step, tiny, declared):
    watch = {"states": [8], "step": step}
    rest, _, dense = found_at(tiny, 0.5, False, **watch)
    again, _, _ = found_at(tiny, 0.5, True, **watch)
    half = dense.history.states[8]
    assert rest.density == again.density == pytest.approx(0.65, abs=0.02)
    assert same_masks(rest.masks, again.masks) and by_magnitude(half.model, rest.masks)
    assert not by_magnitude(dense.trained, rest.masks)
    assert rest.start.step == 8 and states_equal(rest.start.optimizer, half.optimizer)
    assert again.start.step == 0 and again.start.optimizer == {} and half.optimizer
    assert states_equal(rest.start.model, half.model) and states_equal(
        again.start.model, half.model
    )
    assert set(rest.history.table["step"]) == {8, 10, 15, 16}
    assert set(again.history.table["step"]) == {0, 5, 10, 15, 16}
    # By hand: one training that is paused half-way and goes on with those masks.
    model = lthlab.build_model("mlp-20-8", tiny)
    for now in training(model, tiny, COSINE, lthlab.full_masks(model), stops=[8], step=step):
        now.masks = rest.masks
    for name, value in model.state_dict().items():
        torch.testing.assert_close(rest.trained[name], value, rtol=1e-4, atol=1e-6)
    model = lthlab.build_model("mlp-20-8", tiny)
    train(model, tiny, COSINE, again.masks, start=State(0, half.model, {}), step=step)
    assert states_equal(again.trained, State.of(model).model)


@pytest.mark.parametrize("again", [False, True])
def test_a_state_that_was_not_kept_is_one_clear_error(again, tiny, declared):
    lthlab.arm("mine", needs=("dense",))(pruned_at(0.5, again=again))
    with pytest.raises(ValueError, match=r"Step 5 .*was not kept: .*states=\[5\]"):
        run(tiny, ["mine"])
    assert len(run(tiny, ["mine"], states=[5]))


# Going on from trained values.

CONSTANT = replace(COSINE, schedule="constant")
CHAIN = range(1, 4)


@pytest.mark.parametrize("step", [None, "fast"])
def test_on_a_constant_schedule_the_whole_rate_is_learning_rate_rewinding(step, tiny, declared):
    lthlab.arm("fine-tuning x1", chain=True)(fine_tuning(1.0))
    arms = ["fine-tuning x1", "learning-rate rewinding", "fine-tuning"]
    found = finish(setting_of(tiny, CONSTANT, step=step), arms, CHAIN)
    for number in CHAIN:
        tuned, rewound, slower = (found[arm, 0, number] for arm in arms)
        assert same_level(tuned, rewound)
        assert not states_equal(tuned.trained, slower.trained)


def test_fine_tuning_has_the_rate_that_it_was_given(tiny, declared):
    lthlab.arm("mine", chain=True)(fine_tuning(0.3))
    found = finish(setting_of(tiny, replace(COSINE, warmup=3), rewind_to=4), ["mine"], [1])
    level, model = found["mine", 0, 1], lthlab.build_model("mlp-20-8", tiny)
    recipe = replace(CONSTANT, lr=0.3 * COSINE.lr, duration="12it")
    start = State(0, found["dense", 0, 0].trained, {})
    train(model, tiny, recipe, level.masks, start=start, step="fast")
    assert states_equal(level.trained, State.of(model).model)


def test_unpruned_arms_train_the_dense_network_as_long(tiny, declared):
    lthlab.arm("longer", chain=True)(unpruned(learning_rate_rewinding))
    lthlab.arm("tuned longer", chain=True)(unpruned(fine_tuning(0.5)))
    found = finish(setting_of(tiny), ["longer", "tuned longer"], [1, 2])
    slow = replace(COSINE, lr=0.5 * COSINE.lr, schedule="constant")
    for arm, recipe in (("longer", COSINE), ("tuned longer", slow)):
        model = lthlab.build_model("mlp-20-8", tiny)
        for number in (0, 1, 2):  # three trainings, one after the other, by hand
            train(model, tiny, recipe if number else COSINE, step="fast")
            level = found[arm if number else "dense", 0, number]
            assert level.density == 1.0 and states_equal(level.trained, State.of(model).model)
