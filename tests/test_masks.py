"""Masks: pruned weights are +0.0 to the bit, and masks of another model are refused."""

import copy

import pytest
import torch
from helpers import same_masks
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lthlab.masks import (
    apply_masks_,
    check_masks,
    count_kept,
    density,
    full_masks,
    layer_densities,
    mask_applier,
    prunable_weights,
    shuffle_masks,
)
from lthlab.models import build_model

INTEGERS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().view(INTEGERS[tensor.dtype])


def random_masks(model, keep: float = 0.5, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(w.shape, generator=draw) < keep
        for name, w in prunable_weights(model).items()
    }


@pytest.fixture
def model(tiny):
    return build_model("mlp-8-6", tiny)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_pruned_weights_are_positive_zero_to_the_bit_whatever_they_were(dtype):
    model = nn.Linear(8, 2).to(dtype)
    values = torch.tensor(
        [-3.0, float("nan"), float("inf"), -float("inf"), -0.0, 1e-7, 2.5, -1e-4], dtype=dtype
    )
    with torch.no_grad():
        model.weight.copy_(values.expand(2, 8))
    before = bits(model.weight).clone()
    assert apply_masks_(model, {"weight": torch.tensor([[False] * 8, [True] * 8])}) is model
    assert (bits(model.weight)[0] == 0).all()
    assert torch.equal(bits(model.weight)[1], before[1])


@given(seed=st.integers(0, 10_000), keep=st.floats(0, 1))
def test_masks_zero_what_they_drop_and_change_nothing_else(seed, keep):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
    masks, before = random_masks(model, keep, seed), copy.deepcopy(model.state_dict())
    apply_masks_(model, masks)
    for name, value in model.state_dict().items():
        if name in masks:
            assert (bits(value)[~masks[name]] == 0).all()
            assert torch.equal(bits(value)[masks[name]], bits(before[name])[masks[name]])
        else:
            assert torch.equal(value, before[name])


def test_an_applier_stays_valid_while_the_weights_change(model):
    masks = random_masks(model)
    apply = mask_applier(model, masks)
    other = copy.deepcopy(model.state_dict())
    for step in range(3):
        with torch.no_grad():
            for weight in prunable_weights(model).values():
                weight.fill_(step - 1.5)
        if step == 2:
            model.load_state_dict(other)
        apply()
        for name, weight in prunable_weights(model).items():
            assert (bits(weight)[~masks[name]] == 0).all()
            assert (weight[masks[name]] != 0).all()


def test_an_applier_does_not_follow_later_changes_of_the_dict(model):
    masks = full_masks(model)
    apply = mask_applier(model, masks)
    masks["fc1.weight"] = torch.zeros_like(masks["fc1.weight"])
    apply()
    assert model.fc1.weight.all()


def test_only_weights_of_linear_and_conv_layers_are_prunable():
    model = nn.Sequential(
        nn.Conv1d(1, 2, 3),
        nn.BatchNorm1d(2),
        nn.Conv3d(1, 2, 3),
        nn.Linear(4, 3),
        nn.LayerNorm(3),
        nn.Embedding(5, 2),
    )
    assert list(prunable_weights(model)) == ["0.weight", "2.weight", "3.weight"]


def test_a_shared_weight_counts_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert list(prunable_weights(model)) == ["0.weight"]
    assert count_kept(full_masks(model)) == 16


def test_layers_that_a_model_keeps_dense_have_no_mask(tiny_signals):
    model = nn.Sequential(
        nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), nn.Linear(3, 2)
    )
    for keep_dense, left in (
        (("2",), ["0.weight", "1.0.weight", "1.1.weight"]),
        (("1.0", "2"), ["0.weight", "1.1.weight"]),
        (("1",), ["0.weight", "2.weight"]),
    ):
        model.keep_dense = keep_dense
        assert list(full_masks(model)) == left
    model.keep_dense = ("0", "1", "2")
    with pytest.raises(TypeError, match="no Linear, Conv or attention layer"):
        prunable_weights(model)


def test_a_model_with_nothing_to_prune_is_a_type_error():
    with pytest.raises(TypeError, match="BatchNorm1d has no Linear, Conv or attention layer"):
        prunable_weights(nn.BatchNorm1d(3))


def test_full_masks_keep_everything(model):
    masks = full_masks(model)
    assert {name: tuple(mask.shape) for name, mask in masks.items()} == {
        "fc1.weight": (8, 16),
        "fc2.weight": (6, 8),
        "out.weight": (4, 6),
    }
    assert all(mask.dtype == torch.bool and mask.all() for mask in masks.values())
    assert (density(masks), count_kept(masks)) == (1.0, 200)


def test_densities_are_exact_counts():
    masks = {
        "a": torch.tensor([[True, False], [False, False]]),
        "b": torch.ones(2, 6, dtype=torch.bool),
    }
    assert count_kept(masks) == 13
    assert density(masks) == 13 / 16
    assert layer_densities(masks) == {"a": 0.25, "b": 1.0}


def other_model(masks):
    return {name.replace("fc2", "fc3"): mask for name, mask in masks.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (other_model, "another model"),
        (
            lambda masks: {name: masks[name] for name in ("fc1.weight", "out.weight")},
            "for fc1.weight, out.weight; the",
        ),
        (lambda masks: masks | {"fc9.weight": masks["fc1.weight"]}, r"fc9.weight; the model has"),
        (
            lambda masks: masks | {"fc1.weight": masks["fc1.weight"].T},
            r"\(8, 16\); got torch.bool of shape \(16, 8\)",
        ),
        (lambda masks: masks | {"fc1.weight": masks["fc1.weight"].float()}, "got torch.float32"),
        (
            lambda masks: masks | {"fc1.weight": masks["fc1.weight"].to(torch.uint8)},
            "got torch.uint8",
        ),
    ],
)
def test_masks_of_another_model_are_one_clear_error_and_change_nothing(change, said, model):
    masks = change(random_masks(model))
    before = copy.deepcopy(model.state_dict())
    for use in (check_masks, mask_applier, apply_masks_):
        with pytest.raises(ValueError, match=said) as error:
            use(model, masks)
        assert str(error.value).startswith("masks")
        assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@given(seed=st.integers(0, 10_000), keep=st.floats(0, 1))
def test_shuffling_keeps_the_count_of_every_layer_and_the_input(seed, keep):
    masks = random_masks(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Linear(12, 4)), keep, seed)
    before = {name: mask.clone() for name, mask in masks.items()}
    shuffled = shuffle_masks(masks, seed)
    assert same_masks(masks, before)
    assert layer_densities(shuffled) == layer_densities(masks)
    for name, mask in shuffled.items():
        assert mask.dtype == torch.bool and mask.shape == masks[name].shape
    assert same_masks(shuffled, shuffle_masks(masks, seed))


def test_shuffling_moves_the_kept_weights_to_random_places():
    half = torch.zeros(100, 100, dtype=torch.bool)
    half[:50] = True
    masks = {"a": half, "b": half.clone()}
    shuffled, other = shuffle_masks(masks, seed=1), shuffle_masks(masks, seed=2)
    for one, two in (
        (shuffled["a"], half),
        (shuffled["a"], shuffled["b"]),
        (shuffled["a"], other["a"]),
    ):
        agreement = float((one == two).double().mean())
        assert agreement == pytest.approx(0.5, abs=0.03)
    assert float(shuffled["a"][:50].double().mean()) == pytest.approx(0.5, abs=0.03)
