"""How a density is spread over the layers: smart ratio, uniform; test_before_training has ERK."""

import pytest
import torch
from helpers import finish, same_masks, states_equal
from hypothesis import given
from hypothesis import strategies as st

from lthlab.layerwise import erk_densities, random_masks, smart_ratio_densities
from lthlab.levels import Setting
from lthlab.masks import count_kept, density, full_masks, layer_densities
from lthlab.models import build_model
from lthlab.recipes import Recipe

SHORT = Recipe("sgd", 0.1, 0.9, batch_size=20, duration="5it")


def ones(**shapes):
    return {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()}


def test_the_smart_ratio_worked_out_without_an_output_layer():
    # k = 3, 2, 1 give 12, 6 and 2; scale * (12 * 100 + 6 * 200 + 2 * 300) = 0.1 * 600
    masks = ones(a=(10, 10), b=(10, 20), c=(20, 15))
    found = smart_ratio_densities(masks, 0.1)
    assert found == pytest.approx({"a": 12 * 60 / 3000, "b": 6 * 60 / 3000, "c": 2 * 60 / 3000})
    # at 0.5 the first would have 12 * 300 / 3000 = 1.2: it is full, and the others have 200 of 300
    found = smart_ratio_densities(masks, 0.5)
    assert found == pytest.approx({"a": 1.0, "b": 6 * 200 / 1800, "c": 2 * 200 / 1800})


def test_the_smart_ratio_worked_out_with_an_output_layer():
    # the output has 0.3 of 40; scale * (12 * 100 + 6 * 200) = 0.1 * 340 - 12
    masks = ones(a=(10, 10), b=(10, 20)) | {"head.out.weight": torch.ones(2, 20, dtype=torch.bool)}
    found = smart_ratio_densities(masks, 0.1, output="head.out.weight")
    expected = {"a": 12 * 22 / 2400, "b": 6 * 22 / 2400, "head.out.weight": 0.3}
    assert found == pytest.approx(expected) and list(found) == list(masks)
    masks["out.weight"] = masks.pop("head.out.weight")  # its name in our networks
    assert smart_ratio_densities(masks, 0.1)["out.weight"] == 0.3
    # where the output alone has more than all may have, nothing is left for the others
    found = smart_ratio_densities(masks, 0.02)
    assert found == {"a": 0.0, "b": 0.0, "out.weight": 0.3}


@given(st.floats(0, 1, exclude_min=True), st.integers(0, 99), st.integers(1, 5), st.booleans())
def test_smart_ratios_are_possible_and_make_the_asked_density(kept, seed, many, with_output):
    draw = torch.Generator().manual_seed(seed)
    shapes = torch.randint(1, 40, (many, 2), generator=draw).tolist()
    masks = ones(**{str(number): shape for number, shape in enumerate(shapes)})
    if with_output:
        masks["out.weight"] = torch.ones(3, 7, dtype=torch.bool)
    found = smart_ratio_densities(masks, kept)
    assert list(found) == list(masks) and all(0 <= share <= 1 for share in found.values())
    total, output = sum(mask.numel() for mask in masks.values()), 0.3 * 21 * with_output
    possible = min(max(kept * total, output), total - 0.7 * 21 * with_output)
    assert sum(found[name] * masks[name].numel() for name in masks) == pytest.approx(possible)
    others = [share for name, share in found.items() if name != "out.weight"]
    assert others == sorted(others, reverse=True)  # the first stays densest


def test_a_layer_that_is_full_leaves_the_others_in_their_ratio():
    found = smart_ratio_densities(ones(a=(10, 10), b=(10, 20), c=(20, 15)), 0.5)
    assert found["b"] / found["c"] == pytest.approx(3)


def test_random_masks_have_these_densities_and_are_nested(tiny):
    model = build_model("mlp-20-10", tiny)
    wide, narrow = {"fc1.weight": 0.5, "fc2.weight": 0.25, "out.weight": 1.0}, {}
    narrow = {name: share / 2 for name, share in wide.items()}
    masks, fewer = (random_masks(model, densities, seed=3) for densities in (wide, narrow))
    assert layer_densities(masks) == wide and layer_densities(fewer) == narrow
    assert not any((fewer[name] & ~mask).any() for name, mask in masks.items())
    assert same_masks(random_masks(model, wide, seed=3), masks)
    assert not same_masks(random_masks(model, wide, seed=4), masks)


# Their arms.

SPREADS = {
    "ERK": erk_densities,
    "smart ratio": smart_ratio_densities,
    "uniform random": lambda masks, kept: {name: kept for name in masks},
}


@pytest.mark.parametrize("name", SPREADS)
def test_arms_drawn_by_chance_have_these_densities_in_every_layer(name, tiny):
    setting = Setting(lambda seed: build_model("mlp-20-10", tiny, seed), tiny, SHORT)
    found = finish(setting, [name, "ticket"], [1, 2, 3, 4])
    model = build_model("mlp-20-10", tiny)
    for number in (1, 4):
        level, ticket = found[name, 0, number], found["ticket", 0, number]
        expected = SPREADS[name](full_masks(model), ticket.density)
        for layer, mask in level.masks.items():
            assert count_kept({layer: mask}) == pytest.approx(
                expected[layer] * mask.numel(), abs=0.51
            )
        assert density(level.masks) == pytest.approx(ticket.density, abs=3 / 560)
        assert states_equal(level.start.model, dict(model.state_dict())) and level.start.step == 0
    first, last = (found[name, 0, number].masks for number in (1, 4))
    assert not any((last[layer] & ~mask).any() for layer, mask in first.items())
