"""Arms: declared once, allowed to read what they declared and nothing else."""

import pytest
import torch

import lthlab
from lthlab import ARMS, Start, run_experiment
from lthlab.dynamic import move_masks
from lthlab.pruning import inverted, magnitude, snip
from lthlab.recipes import Recipe
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
    lthlab.arm("a", needs=("b",))(ARMS["ERK"].function)  # a cell run again, changed
    with pytest.raises(ValueError, match="cycle"):
        run(tiny, ["b"])


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
