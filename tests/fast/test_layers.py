"""Sparse layers compute what masked Linear layers compute, with the same derivatives."""

import copy
from dataclasses import replace

import pytest
import torch
from helpers import some_masks
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lthlab.fast import kernels
from lthlab.fast.layers import WIDTH, SparseLinear, sparsify
from lthlab.masks import apply_masks_
from lthlab.models import build_model
from lthlab.recipes import recipe_for
from lthlab.steps import cross_entropy
from lthlab.training import evaluate, train

pytestmark = pytest.mark.skipif(not kernels.numba, reason="sparse layers need numba")


def pair(inputs, outputs, keep, seed=0, bias=True):
    """A Linear layer with its pruned weights at 0, the sparse layer made of it, and the mask."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(inputs, outputs, bias=bias)
    mask = torch.rand(outputs, inputs, generator=generator) < keep
    with torch.no_grad():
        layer.weight.copy_(torch.randn(outputs, inputs, generator=generator) * mask)
    return layer, SparseLinear(copy.deepcopy(layer), mask), mask


@given(
    st.integers(1, 3 * WIDTH),
    st.integers(1, 20),
    st.integers(1, 20),
    st.floats(0, 1),
    st.booleans(),
)
def test_outputs_and_all_derivatives_are_those_of_the_masked_layer(
    rows, inputs, outputs, keep, bias
):
    """Also where the rows do not fill the last panel, and where no weight is left."""
    layer, sparse, mask = pair(inputs, outputs, keep, seed=rows, bias=bias)
    x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(1))
    weighting = torch.randn(rows, outputs, generator=torch.Generator().manual_seed(2))
    found = []
    for network in (layer, sparse):
        own = x.clone().requires_grad_(True)
        out = network(own)
        (out * weighting).sum().backward()
        found.append((out.detach(), own.grad))
    for ours, theirs in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sparse.values.grad, layer.weight.grad[mask], atol=1e-3, rtol=1e-4)
    if bias:
        torch.testing.assert_close(sparse.bias.grad, layer.bias.grad, atol=1e-3, rtol=1e-4)


def test_leading_axes_are_kept_and_views_are_read_right():
    layer, sparse, _ = pair(6, 4, 0.5)
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(sparse(x), layer(x))
    turned = torch.randn(6, 7).t()  # not contiguous
    torch.testing.assert_close(sparse(turned), layer(turned))


def test_a_gpt_made_sparse_computes_and_learns_the_same(tiny_words):
    model = build_model("gpt-1x8", tiny_words, seed=3)
    masks = some_masks(model, 0.4)
    apply_masks_(model, masks)
    before = copy.deepcopy(model.state_dict())
    sparse = sparsify(model, masks)
    assert sum(isinstance(m, SparseLinear) for m in sparse.modules()) == len(masks)
    losses = []
    for network in (model, sparse):
        loss = cross_entropy(network, tiny_words.train.x, tiny_words.train.y)
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(*losses)
    for name, parameter in sparse.named_parameters():
        if name.endswith(".values"):
            dense = name.removesuffix("values") + "weight"
            expected = model.get_parameter(dense).grad[masks[dense]]
        else:
            expected = model.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, atol=1e-5, rtol=1e-3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_sparse_network_trains_as_the_masked_one_does(tiny_words):
    recipe = replace(recipe_for("gpt-1x8", tiny_words), batch_size=20, duration="5it", warmup=2)
    model = build_model("gpt-1x8", tiny_words, seed=3)
    masks = some_masks(model, 0.4)
    sparse = sparsify(apply_masks_(copy.deepcopy(model), masks), masks)
    train(model, tiny_words, recipe, masks, evaluate_every=0)
    train(sparse, tiny_words, recipe, evaluate_every=0)
    ours, theirs = (evaluate(network, tiny_words.test)["loss"] for network in (sparse, model))
    assert abs(ours - theirs) < 1e-4


def test_layers_that_are_dense_enough_stay_as_they_are(tiny_words):
    model = build_model("gpt-1x8", tiny_words)
    masks = some_masks(model, 0.4)
    first = next(iter(masks))
    masks[first] = torch.ones_like(masks[first])
    sparse = sparsify(apply_masks_(model, masks), masks, below=0.9)
    assert type(sparse.get_submodule(first.removesuffix(".weight"))) is nn.Linear


def test_what_does_not_fit_is_one_clear_error(tiny_words):
    _, sparse, mask = pair(6, 4, 0.5)
    with pytest.raises(ValueError, match="float32 inputs with 6 features"):
        sparse(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="float32 inputs"):
        sparse(torch.zeros(3, 6).double())
    with pytest.raises(TypeError, match="float32 on the CPU"):
        SparseLinear(nn.Linear(6, 4).double(), mask)
    with pytest.raises(ValueError, match="masks"):
        sparsify(build_model("gpt-1x8", tiny_words), {"fc1.weight": mask})
