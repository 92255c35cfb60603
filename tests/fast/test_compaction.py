"""Compact networks: smaller, dense, and with the same outputs."""

import pytest
import torch
from helpers import some_masks
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lthlab.fast import compact
from lthlab.masks import apply_masks_, full_masks
from lthlab.models import build_model


@pytest.mark.filterwarnings("ignore:Layer collapse", "ignore:Initializing zero-element")
@given(keep=st.floats(0, 0.5), seed=st.integers(0, 999))
def test_the_compact_network_has_the_same_outputs(tiny, keep, seed):
    model = build_model("mlp-8-6-5", tiny, seed=seed)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    masks = some_masks(model, keep, seed)
    unmasked = compact(model, masks)  # it applies the masks itself
    apply_masks_(model, masks)
    small = compact(model, masks)
    torch.testing.assert_close(small(tiny.test.x), model(tiny.test.x), atol=1e-5, rtol=1e-5)
    assert torch.equal(unmasked(tiny.test.x), small(tiny.test.x))
    sizes = [sum(p.numel() for p in network.parameters()) for network in (small, model)]
    assert sizes[0] <= sizes[1]


def test_compacting_by_hand():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 5, 0]]))
        model[1].bias.copy_(torch.tensor([0.5, 2.0, 1.0]))
        model[3].weight.copy_(torch.tensor([[1.0, 3, 0], [0, 1, 0]]))
        model[3].bias.copy_(torch.tensor([10.0, 20.0]))
    masks = {name: w != 0 for name, w in model.named_parameters() if w.dim() == 2}
    small = compact(model, masks)
    # Neuron 1 is fed nothing: its value 2 moves on. Neuron 2 feeds nothing, so input 1 goes, too.
    assert small[1].features.tolist() == [0]
    assert small[2].weight.tolist() == [[1]] and small[2].bias.tolist() == [0.5]
    assert small[4].weight.tolist() == [[1], [0]] and small[4].bias.tolist() == [16, 22]


def test_compacting_changes_neither_the_network_nor_the_random_state(tiny):
    model, other = build_model("mlp-8-6", tiny), build_model("mlp-8-6", tiny)
    masks, before = some_masks(model, 0.2), torch.get_rng_state()
    small = compact(model, masks)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert torch.equal(torch.get_rng_state(), before)
    for name, parameter in other.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter)


def test_only_chains_can_be_compacted(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals)
    with pytest.raises(TypeError, match="ResNet is not a plain chain"):
        compact(model, full_masks(model))


def test_masks_of_another_network_are_refused(tiny):
    with pytest.raises(ValueError, match="another model"):
        compact(build_model("mlp-8-6", tiny), full_masks(build_model("mlp-8-7", tiny)))


def test_layers_that_are_kept_dense_stay_whole(tiny):
    model = build_model("mlp-8-6", tiny)
    model.keep_dense = ("out",)
    masks = some_masks(model, 0.2)
    apply_masks_(model, masks)
    small, x = compact(model, masks), tiny.test.x
    torch.testing.assert_close(small(x), model(x))
    assert small[-1].out_features == 4
