"""Augmentation on the device: torchvision's crops and mirrors, drawn by seed and epoch alone."""

from dataclasses import replace

import pytest
import torch
from torchvision.transforms import functional as tv

from lthlab import Recipe, build_model, draw_batch, find_ticket, train
from lthlab.batches import Batches, draw_moves, shift_and_flip

PLAIN = Recipe("sgd", 0.05, 0.9, batch_size=10, duration="3ep")
MOVED = replace(PLAIN, augmentation="shift and flip")


def test_a_picture_worked_out_by_hand():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[None, None]
    down_1 = [[0, 0, 0], [1, 2, 3]]
    right_1_mirrored = [[2, 1, 0], [5, 4, 0]]
    assert shift_and_flip(x, torch.tensor([[1, 0, 0]])).tolist() == [[down_1]]
    assert shift_and_flip(x, torch.tensor([[0, 1, 1]])).tolist() == [[right_1_mirrored]]
    assert shift_and_flip(x, torch.tensor([[0, 0, 0]])).equal(x)


def test_a_batch_is_what_torchvision_makes_of_each_picture(cifar_shaped):
    x, moves = cifar_shaped.train.x, draw_moves(cifar_shaped, 0, 0)
    assert {tuple(row) for row in moves[:, :2].sign().tolist()} >= {(-1, 1), (1, 1)}, (
        "all directions occur"
    )
    found = shift_and_flip(x, moves)
    for picture, (down, right, mirrored), moved in zip(x, moves.tolist(), found, strict=True):
        expected = tv.crop(tv.pad(picture, 4), 4 - down, 4 - right, 32, 32)
        assert moved.equal(tv.hflip(expected) if mirrored else expected)


def test_moves_depend_on_seed_and_epoch_alone(tiny):
    first = draw_moves(tiny, 3, 1)
    torch.manual_seed(1)
    assert first.equal(draw_moves(tiny, 3, 1)) and first.shape == (100, 3)
    assert not first.equal(draw_moves(tiny, 3, 2)) and not first.equal(draw_moves(tiny, 4, 1))
    assert first[:, :2].abs().max() == 4 and set(first[:, 2].tolist()) == {0, 1}


def test_the_order_of_the_examples_does_not_depend_on_augmentation(cifar_shaped):
    plain, moved = (Batches(cifar_shaped, 10, 2, kind)(3) for kind in ("none", "shift and flip"))
    assert plain[1].equal(moved[1]) and not plain[0].equal(moved[0])
    part = draw_moves(cifar_shaped, 2, 1)[
        10:20
    ]  # step 3 of two batches an epoch: epoch 1, second batch
    assert moved[0].equal(shift_and_flip(plain[0], part))


def test_training_uses_it_and_evaluation_does_not(cifar_shaped):
    seen = []
    model = build_model("resnet-8", cifar_shaped)
    model.register_forward_pre_hook(lambda model, inputs: seen.append((model.training, inputs[0])))
    train(model, cifar_shaped, replace(MOVED, duration="1it"))
    (x,) = (x for training, x in seen if training)
    assert x.equal(Batches(cifar_shaped, 10, 0, "shift and flip")(0)[0])
    whole = [x for training, x in seen if not training and len(x) > 1]  # one is tried at first
    assert whole and all(x.equal(cifar_shaped.validation.x) for x in whole)


def test_levels_of_a_ticket_see_the_same_pictures(cifar_shaped):
    seen = []
    model = build_model("resnet-8", cifar_shaped)
    model.register_forward_pre_hook(
        lambda model, inputs: seen.append(inputs[0]) if model.training else None
    )
    find_ticket(
        model,
        cifar_shaped,
        replace(MOVED, duration="2ep", fractions={"all": 0.2}, scope="global"),
        levels=1,
    )
    assert len(seen) == 8 and all(seen[n].equal(seen[n + 4]) for n in range(4))


def test_signals_cannot_be_moved_and_names_are_checked(tiny_signals):
    with pytest.raises(ValueError, match=r"augmentation is for images .*; got \(1, 12\)"):
        train(build_model("resnet1d-4", tiny_signals), tiny_signals, MOVED)
    with pytest.raises(
        ValueError, match=r"augmentation is one of none, shift and flip; got 'shift'"
    ):
        Recipe(augmentation="shift")


def test_an_epoch_shows_every_example_at_most_once_and_leaves_a_remainder_out(tiny):
    batches, rows = Batches(tiny, 30, 1), tiny.train.x.flatten(1)
    epochs = [[batches(3 * epoch + step) for step in range(3)] for epoch in range(2)]
    for epoch in epochs:
        x, y = (torch.cat(part) for part in zip(*epoch, strict=True))
        found = (x.flatten(1)[:, None] == rows).all(2).nonzero()[:, 1]
        assert len(found) == len(found.unique()) == 90
        assert y.equal(tiny.train.y[found])
    assert not epochs[0][0][0].equal(epochs[1][0][0]), "each epoch has an order of its own"
    assert all(
        one.equal(two) for one, two in zip(Batches(tiny, 30, 1)(4), epochs[1][1], strict=True)
    )


@pytest.mark.parametrize("samples", [-1, 0, 31])
def test_a_batch_to_score_with_has_one_example_or_more_and_no_more_than_there_are(samples, tiny):
    x, y = draw_batch(tiny.validation, 30)
    assert sorted(x.flatten(1).tolist()) == sorted(tiny.validation.x.flatten(1).tolist())
    assert sorted(y.tolist()) == sorted(tiny.validation.y.tolist())
    with pytest.raises(ValueError, match=f"samples is .*; got {samples}"):
        draw_batch(tiny.validation, samples)
