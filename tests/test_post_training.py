"""Pruning once, without training: Wanda and SparseGPT against loops, oracles and the papers."""

import copy
import math
import warnings

import pytest
import torch
from helpers import bits, same_masks, states_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lthlab.masks import count_kept, full_masks, prunable_weights
from lthlab.models import build_model
from lthlab.post_training import METHODS, prune_once_, repair, wanda
from lthlab.pruning import draw_batch, magnitude, prune
from lthlab.recipes import Recipe
from lthlab.training import evaluate, train

CALIBRATED = ["wanda", "sparsegpt"]


def draw(*shape, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(count: int) -> torch.Tensor:
    return torch.zeros(count, dtype=torch.long)


def inputs_of(model, weight_name: str, x) -> torch.Tensor:
    """What a layer reads, by a hook of our own."""
    read = []
    layer = model.get_submodule(weight_name.removesuffix(".weight"))
    hook = layer.register_forward_hook(lambda _, given, __: read.append(given[0].detach()))
    mode = model.training
    model.eval()(x)
    model.train(mode)
    hook.remove()
    (only,) = read
    return only


def lowest_go(scores: torch.Tensor, fraction: float, scope: str) -> torch.Tensor:
    """A mask without the lowest scores of each group: a loop over sorted places."""
    matrix = scores.flatten(1)
    mask = torch.ones_like(matrix, dtype=torch.bool)
    if scope == "layer":
        groups = [[(i, j) for i in range(len(matrix)) for j in range(matrix.shape[1])]]
    elif scope == "row":
        groups = [[(i, j) for j in range(matrix.shape[1])] for i in range(len(matrix))]
    else:
        groups = [
            [(i, j) for j in range(first, first + 4)]
            for i in range(len(matrix))
            for first in range(0, matrix.shape[1], 4)
        ]
    for group in groups:
        gone = 2 if scope == "2:4" else round(fraction * len(group))
        for place in sorted(group, key=lambda place: float(matrix[place]))[:gone]:
            mask[place] = False
    return mask.view_as(scores)


# Wanda: |W| times the norm of what it reads.


def test_wanda_by_hand():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0, 3.0], [0.0, 5.0, -0.5]]))
    x = torch.tensor([[3.0, 1.0, 0.0], [4.0, -1.0, 0.0], [0.0, 1.0, 2.0], [0.0, -1.0, 0.0]])
    expected = torch.tensor([[5.0, 4.0, 6.0], [0.0, 10.0, 1.0]])  # norms 5, 2, 2
    scores = wanda(layer, (x, labels(4)))
    assert torch.allclose(scores["weight"], expected)
    assert not scores["weight"].requires_grad
    kept = prune(scores, full_masks(layer), 1 / 3, "row")["weight"]
    assert kept.tolist() == [[True, False, True], [False, True, True]]
    by_size = prune(magnitude(layer), full_masks(layer), 1 / 3, "row")["weight"]
    assert by_size.tolist() == [[False, True, True], [False, True, True]]


def test_wanda_sees_every_product_of_a_linear_layer():
    """Also where each example has several places, all of which count."""
    model, x = nn.Linear(5, 3).double(), draw(4, 7, 5)
    norms = [
        math.sqrt(sum(float(x[n, place, j]) ** 2 for n in range(4) for place in range(7)))
        for j in range(5)
    ]
    expected = model.weight.detach().abs() * torch.tensor(norms, dtype=torch.float64)
    assert torch.allclose(wanda(model, (x, labels(4)))["weight"], expected, rtol=1e-12)


CONVOLUTIONS = {
    "plain": {"kernel_size": 3},
    "padded": {"kernel_size": 3, "padding": 1},
    "strided": {"kernel_size": 2, "stride": 2},
    "dilated": {"kernel_size": 2, "dilation": 3, "padding": 2},
    "all": {"kernel_size": 3, "stride": 2, "padding": 2, "dilation": 2},
}
UNEVEN = {"kernel_size": (3, 2), "stride": (1, 2), "padding": (0, 1), "dilation": (2, 1)}


def patches(layer, x) -> torch.Tensor:
    """What a convolution is multiplied with, place by place in plain loops: (samples, weights)."""
    options = layer.kernel_size, layer.stride, layer.padding, layer.dilation
    if isinstance(layer, nn.Conv1d):  # a picture of one row
        x, options = x[:, :, None], [(o, *i) for o, i in zip((1, 1, 0, 1), options, strict=True)]
    kernel, stride, padding, dilation = options
    count, channels, *size = x.shape
    last = [size[i] + padding[i] - dilation[i] * (kernel[i] - 1) - 1 for i in range(2)]
    found = []
    for n in range(count):
        for top in range(-padding[0], last[0] + 1, stride[0]):
            for left in range(-padding[1], last[1] + 1, stride[1]):
                patch = torch.zeros(channels, *kernel, dtype=x.dtype)
                for a in range(kernel[0]):
                    for b in range(kernel[1]):
                        row, column = top + a * dilation[0], left + b * dilation[1]
                        if 0 <= row < size[0] and 0 <= column < size[1]:
                            patch[:, a, b] = x[n, :, row, column]
                found.append(patch.flatten())
    return torch.stack(found)


def norms_of(layer, x) -> torch.Tensor:
    return patches(layer, x).norm(dim=0).view(layer.weight.shape[1:])


@pytest.mark.parametrize("options", [*CONVOLUTIONS, "uneven"])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_wanda_of_a_convolution_is_a_loop_over_patches(kind, options):
    if options == "uneven" and kind is nn.Conv1d:
        options = {"kernel_size": 4, "stride": 3, "padding": 1, "dilation": 2}
    else:
        options = UNEVEN if options == "uneven" else CONVOLUTIONS[options]
    layer = kind(2, 3, **options, bias=False).double()
    x = draw(3, 2, 11, seed=1) if kind is nn.Conv1d else draw(3, 2, 9, 7, seed=1)
    norms = norms_of(layer, x)
    assert norms.min() < 0.99 * norms.max()
    expected = layer.weight.detach().abs() * norms
    scores = wanda(nn.Sequential(layer), (x, labels(3)))["0.weight"]
    assert torch.allclose(scores, expected, rtol=1e-12)


@pytest.mark.parametrize("options", CONVOLUTIONS)
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
def test_sparsegpt_repairs_a_convolution_by_the_patches_of_a_loop(kind, options):
    layer = kind(2, 3, **CONVOLUTIONS[options]).double()
    x = draw(12, 2, 11, seed=1) if kind is nn.Conv1d else draw(6, 2, 7, 6, seed=1)
    x = x.cumsum(-1)  # neighbours alike: something to repair
    rows, before = patches(layer, x), layer.weight.detach().clone()
    assert torch.allclose(
        rows @ before.flatten(1).T + layer.bias, layer(x).movedim(1, -1).flatten(0, -2)
    )
    expected, mask = sparsegpt_in_loops(before.flatten(1), rows.T @ rows, 0.5, "row")
    masks = prune_once_(nn.Sequential(layer), (x, labels(len(x))), "sparsegpt", 0.5, "row")
    assert torch.equal(masks["0.weight"], mask.view_as(before))
    assert torch.allclose(layer.weight, expected.view_as(before), rtol=1e-6, atol=1e-9)
    assert not torch.allclose(layer.weight, before.where(masks["0.weight"], 0), rtol=1e-2)


def test_wanda_is_by_the_inputs_of_the_network_as_it_is(tiny, cifar_shaped, tiny_signals):
    for name, dataset in (
        ("mlp-8-6", tiny),
        ("conv-2-8", cifar_shaped),
        ("resnet1d-2", tiny_signals),
    ):
        model, (x, y) = build_model(name, dataset, seed=1), draw_batch(dataset.train, 8)
        model.train()(dataset.train.x)  # running statistics other than at first
        scores = wanda(model, (x, y))
        assert list(scores) == list(prunable_weights(model))
        for layer_name, weight in prunable_weights(model).items():
            layer = model.get_submodule(layer_name.removesuffix(".weight"))
            read = inputs_of(model, layer_name, x)
            linear = isinstance(layer, nn.Linear)
            norms = read.double().norm(dim=0) if linear else norms_of(layer, read.double())
            expected = weight.detach().double().abs() * norms
            assert torch.allclose(scores[layer_name].double(), expected, rtol=1e-4), layer_name


def test_a_layer_that_is_called_twice_or_shared_is_scored_by_all_it_reads():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.twin = nn.Linear(4, 4), nn.Linear(4, 4)
            self.twin.weight = self.layer.weight

        def forward(self, x):
            return self.twin(self.layer(self.layer(x)))

    model, x = Twice().double(), draw(6, 4)
    second = model.layer(x)
    third = model.layer(second)
    read = torch.cat([x, second, third]).detach()
    expected = model.layer.weight.detach().abs() * read.norm(dim=0)
    scores = wanda(model, (x, labels(6)))
    assert list(scores) == ["layer.weight"]
    assert torch.allclose(scores["layer.weight"], expected, rtol=1e-12)
    masks = prune_once_(model, (x, labels(6)), "sparsegpt", 0.5)
    assert model.twin.weight is model.layer.weight and int(masks["layer.weight"].sum()) == 8


# What cannot be calibrated.


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        nn.Conv3d(4, 4, 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", CALIBRATED)
def test_other_convolutions_are_refused_before_anything_changes(method, layer):
    model = nn.Sequential(nn.ReLU(), layer, nn.Flatten(1))
    last = layer.weight.dim() - 2
    x = draw(3, 4, *(last * [5]), dtype=torch.float32)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(TypeError, match="keep_dense, or prune by magnitude") as error:
        prune_once_(model, (x, labels(3)), method)
    assert type(layer).__name__ in str(error.value)
    assert states_equal(before, model.state_dict())
    assert not any(module._forward_pre_hooks for module in model.modules())
    model.keep_dense = ("1",)
    with pytest.raises(TypeError, match="has no Linear, Conv or attention layer to prune"):
        prune_once_(model, (x, labels(3)), method)
    del model.keep_dense
    masks = prune_once_(model, (x, labels(3)), "magnitude")
    assert count_kept(masks) == layer.weight.numel() / 2


class WithAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.attention = nn.Linear(8, 8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        x = self.first(x)
        return self.attention(x, x, x)[0]


@pytest.mark.parametrize("method", CALIBRATED)
def test_attention_written_as_one_module_is_refused_with_a_sentence(method):
    model, batch = WithAttention(), (draw(3, 5, 8, dtype=torch.float32), labels(3))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(TypeError, match=r"attention\.in_proj_weight.* cannot be seen: ") as error:
        prune_once_(model, batch, method)
    assert "\n" not in str(error.value) and "keep_dense" in str(error.value)
    with pytest.raises(TypeError, match="cannot be seen"):
        wanda(model, batch)
    assert states_equal(before, model.state_dict())
    model.keep_dense = ("attention",)
    assert list(prune_once_(model, batch, method)) == ["first.weight"]


@pytest.mark.parametrize("method", CALIBRATED)
def test_empty_calibration_is_one_clear_error(method, tiny, tiny_words):
    said = "one or more inputs|calibration needs at least one target"
    model, gpt = build_model("mlp-8", tiny), build_model("gpt-1x8", tiny_words)
    before = copy.deepcopy(model.state_dict()), copy.deepcopy(gpt.state_dict())
    x, y = tiny_words.train.x[:4], tiny_words.train.y[:4]
    for network, batch in (
        (model, (tiny.train.x[:0], tiny.train.y[:0])),
        (gpt, (x[:0], y[:0])),
        (gpt, (x, torch.full_like(y, -100))),
        (gpt, (x[:, 14:], torch.full_like(y[:, 14:], -100))),
    ):
        with pytest.raises(ValueError, match=said):
            prune_once_(network, batch, method)
        with pytest.raises(ValueError, match=said):
            wanda(network, batch)
    assert states_equal((model.state_dict(), gpt.state_dict()), before)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "wand"}, "got 'wand'. Did you mean 'wanda'"),
        ({"density": 0}, "density is a fraction above 0"),
        ({"density": 1.5}, "density is a fraction"),
        ({"density": 50}, "density is a fraction"),
        ({"density": math.nan}, "density is a fraction"),
        ({"method": "wanda", "scope": "global"}, "wanda compares weights within a layer"),
        ({"method": "sparsegpt", "scope": "global"}, "sparsegpt compares weights within a layer"),
        ({"scope": "layers"}, "scope is one of"),
        ({"method": "wanda", "scope": "layers"}, "scope is one of"),
        ({"method": "sparsegpt", "scope": "layers"}, "scope is one of"),
        ({"scope": "2:4", "density": 0.4}, 'Scope "2:4" keeps half'),
        ({"method": "wanda", "scope": "2:4", "density": 0.4}, 'Scope "2:4" keeps half'),
    ],
)
def test_what_prune_once_cannot_do_is_refused_and_nothing_changes(wrong, said, tiny):
    model = build_model("mlp-8-4", tiny)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=said):
        prune_once_(model, draw_batch(tiny.train, 10), **wrong)
    assert states_equal(before, model.state_dict())


def test_sparsegpt_refuses_other_densities_than_a_half_for_two_of_four():
    with pytest.raises(ValueError, match=r'Scope "2:4" keeps half .* got 0\.6'):
        prune_once_(nn.Linear(4, 3), (draw(5, 4).float(), labels(5)), "sparsegpt", 0.4, "2:4")


@pytest.mark.parametrize(
    "method",
    [
        "magnitude",
        *CALIBRATED,
    ],
)
def test_rows_that_four_does_not_divide_are_refused_before_anything_changes(method, tiny):
    model = build_model("mlp-8-6-4", tiny)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="got 0.5 for fc3.weight, which has 6 weights"):
        prune_once_(model, draw_batch(tiny.train, 10), method, 0.5, "2:4")
    assert states_equal(before, model.state_dict())


@pytest.mark.parametrize(
    "method",
    [
        "wanda",
        "sparsegpt",
    ],
)
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_calibration_that_is_not_finite_is_one_clear_error(method, wrong, tiny):
    model, (x, y) = build_model("mlp-8", tiny), draw_batch(tiny.train, 10)
    x = x.clone()
    x[3, 0, 1, 1] = wrong
    with pytest.raises(ValueError, match="finite"):
        prune_once_(model, (x, y), method)


def test_a_layer_that_is_given_its_input_by_name_is_seen_too():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(input=x)

    model, x = Named().double(), draw(5, 4)
    expected = model.layer.weight.detach().abs() * x.norm(dim=0)
    assert torch.allclose(wanda(model, (x, labels(5)))["layer.weight"], expected)


# The walk through the layers.


def layer_inputs_so_far(model, x) -> dict[str, torch.Tensor]:
    """What each Linear layer of an MLP reads, by products and ReLU of our own."""
    read, values = {}, x.flatten(1)
    layers = [
        (name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)
    ]
    for name, layer in layers:
        read[f"{name}.weight"] = values
        values = values @ layer.weight.detach().T + layer.bias.detach()
        values = values.clamp(min=0)
    return read


@pytest.mark.parametrize("scope", ["layer", "row", "2:4"])
def test_wanda_prunes_each_layer_by_what_it_reads_from_those_pruned_before(scope, tiny):
    model = build_model("mlp-12-8", tiny, seed=3).double()
    x, y = tiny.train.x[:50].double(), tiny.train.y[:50]
    by_hand, one_pass = copy.deepcopy(model), wanda(model, (x, y))
    expected = {}
    for name, weight in prunable_weights(by_hand).items():
        read = layer_inputs_so_far(by_hand, x)[name]
        expected[name] = lowest_go(weight.detach().abs() * read.norm(dim=0), 0.5, scope)
        with torch.no_grad():
            weight[~expected[name]] = 0
    masks = prune_once_(model, (x, y), "wanda", 0.5, scope)
    assert same_masks(masks, expected)
    assert states_equal(model.state_dict(), by_hand.state_dict())
    at_once = prune(one_pass, full_masks(model), 0.5, scope)
    assert torch.equal(at_once["fc1.weight"], masks["fc1.weight"])
    assert not same_masks(at_once, masks), "the walk and the one pass should differ here"


@pytest.mark.parametrize("scope", ["layer", "row", "2:4"])
def test_sparsegpt_repairs_each_layer_by_what_it_reads_from_those_repaired_before(scope, tiny):
    model = build_model("mlp-12-8", tiny, seed=3).double()
    x, y = tiny.train.x[:60].double(), tiny.train.y[:60]
    by_hand = copy.deepcopy(model)
    masks = prune_once_(model, (x, y), "sparsegpt", 0.5, scope)
    for name, weight in prunable_weights(by_hand).items():
        read = layer_inputs_so_far(by_hand, x)[name]
        repaired, mask = sparsegpt_in_loops(weight.detach(), read.T @ read, 0.5, scope)
        assert torch.equal(masks[name], mask)
        with torch.no_grad():
            weight.copy_(repaired)
    for name, value in by_hand.state_dict().items():
        assert torch.allclose(model.state_dict()[name], value, rtol=1e-8, atol=1e-10), name


class Crossed(nn.Module):
    """Layers that are called in another order than they were written in."""

    def __init__(self):
        super().__init__()
        self.last, self.first = nn.Linear(6, 5), nn.Linear(4, 6)

    def forward(self, x):
        return self.last(self.first(x).relu())


@pytest.mark.parametrize("method", CALIBRATED)
def test_layers_are_pruned_in_the_order_in_which_they_are_called(method):
    torch.manual_seed(0)
    model, x = Crossed().double(), draw(30, 4)
    before = model.last.weight.detach().clone()
    masks = prune_once_(model, (x, labels(30)), method, 0.5)
    assert list(masks) == ["last.weight", "first.weight"]  # as everywhere
    read = (x @ model.first.weight.T + model.first.bias).relu().detach()
    if method == "wanda":
        assert torch.equal(
            masks["last.weight"], lowest_go(before.abs() * read.norm(dim=0), 0.5, "layer")
        )
    else:
        repaired, _ = sparsegpt_in_loops(before, read.T @ read, 0.5, "layer")
        assert torch.allclose(model.last.weight, repaired, rtol=1e-8)


@pytest.mark.parametrize("scope", ["global", "layer", "row", "2:4"])
def test_by_magnitude_it_is_prune_and_needs_no_examples(scope, tiny):
    model = build_model("mlp-12-8", tiny, seed=3)
    before = copy.deepcopy(model.state_dict())
    density = 0.5 if scope == "2:4" else 0.3
    masks = prune_once_(model, None, density=density, scope=scope)
    weights = {name: before[name].abs() for name in masks}
    if scope == "global":
        sizes = sorted(value for weight in weights.values() for value in weight.flatten().tolist())
        lowest_kept = sizes[round(0.7 * len(sizes))]
        expected = {name: weight >= lowest_kept for name, weight in weights.items()}
    else:
        expected = {n: lowest_go(weight, 1 - density, scope) for n, weight in weights.items()}
    assert same_masks(masks, expected)
    for name, value in model.state_dict().items():
        kept = value if name not in masks else value[masks[name]]
        assert torch.equal(kept, before[name] if name not in masks else before[name][masks[name]])


@pytest.mark.parametrize("density", [0.5, 0.3, 0.07, 0.99, 1.0])
@pytest.mark.parametrize("scope", ["layer", "row"])
@pytest.mark.parametrize("method", METHODS)
def test_exactly_so_many_weights_go(method, scope, density, tiny):
    model = build_model("mlp-11-7", tiny, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some rows lose everything
        masks = prune_once_(model, draw_batch(tiny.train, 40), method, density, scope)
    for name, mask in masks.items():
        if scope == "layer":
            assert int((~mask).sum()) == round((1 - density) * mask.numel())
        else:
            gone = round((1 - density) * mask.shape[1])
            assert (~mask).sum(1).tolist() == len(mask) * [gone]
        weight = prunable_weights(model)[name]
        assert (bits(weight)[~mask] == 0).all() and (weight[mask] != 0).all()


NETWORKS = {
    "mlp-8-8": "tiny",
    "conv-2-8": "cifar_shaped",
    "resnet1d-4": "tiny_signals",
    "gpt-2x8": "tiny_words",
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_two_of_four_stay_everywhere(method, name, request):
    dataset = request.getfixturevalue(NETWORKS[name])
    model = build_model(name, dataset, seed=1)
    if "conv" in name or "resnet" in name:  # rows of the first convolution are 27 or 3 weights
        model.keep_dense = (*getattr(model, "keep_dense", ()), "conv1", "conv")
    masks = prune_once_(model, draw_batch(dataset.train, 10), method, 0.5, "2:4")
    assert len(masks) > 2
    for layer, mask in masks.items():
        fours = mask.flatten(1).unflatten(1, (-1, 4)).sum(-1)
        assert (fours == 2).all(), layer
        assert (bits(prunable_weights(model)[layer])[~mask] == 0).all()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scope", ["layer", "row"])
def test_every_network_can_be_pruned_once_and_only_its_weights_change(scope, method, name, request):
    dataset = request.getfixturevalue(NETWORKS[name])
    model = build_model(name, dataset, seed=1)
    model.train()(dataset.train.x[:20])
    for number, module in enumerate(model.modules()):
        module.training = number % 3 > 0
    modes = [module.training for module in model.modules()]
    batch = draw_batch(dataset.train, 12)
    inputs, before = copy.deepcopy(batch), copy.deepcopy(model.state_dict())
    randomness = torch.get_rng_state()
    masks = prune_once_(model, batch, method, 0.4, scope)
    assert list(masks) == list(prunable_weights(model))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(randomness, torch.get_rng_state()) and states_equal(inputs, batch)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    for module in model.modules():
        assert not module._forward_pre_hooks and not module._forward_hooks
    changed = 0
    for key, value in model.state_dict().items():
        if key not in masks:
            assert torch.equal(value, before[key]), key
            continue
        assert value.dtype == torch.float32 and value.isfinite().all()
        assert (bits(value)[~masks[key]] == 0).all()
        changed += int((value != before[key])[masks[key]].sum())
    assert (changed > 0) == (method == "sparsegpt")
    wanda(model, batch)
    assert [module.training for module in model.modules()] == modes


def test_modes_and_hooks_are_put_back_after_an_error(tiny):
    model = build_model("mlp-8", tiny).train()
    model.relu1.eval()
    with pytest.raises(ValueError, match="model must read batch"):
        prune_once_(model, (torch.zeros(3, 5, device=tiny.device), labels(3)), "wanda")
    assert model.training and not model.relu1.training
    assert not any(module._forward_pre_hooks for module in model.modules())


# Padding.


def repadded(x, y):
    letters = torch.randint(27, x.shape, generator=torch.Generator().manual_seed(3)).to(x.device)
    other = torch.where(y == -100, letters, x)
    assert (other != x).any()
    return other


def test_a_padded_letter_changes_no_score_of_wanda_and_no_repair(tiny_words):
    model = build_model("gpt-2x8", tiny_words, seed=1).double()
    x, y = tiny_words.train.x[:20], tiny_words.train.y[:20]
    other = repadded(x, y)
    usual, changed = wanda(model, (x, y)), wanda(model, (other, y))
    for name, score in usual.items():
        assert torch.allclose(score, changed[name], rtol=1e-12), name
    for method in CALIBRATED:
        one, two = copy.deepcopy(model), copy.deepcopy(model)
        masks = prune_once_(one, (x, y), method), prune_once_(two, (other, y), method)
        assert same_masks(*masks)
        for name, value in one.state_dict().items():
            assert torch.allclose(value, two.state_dict()[name], rtol=1e-8, atol=1e-11), name


def test_a_gpt_is_calibrated_on_the_letters_that_count(tiny_words):
    """Scores and the repair of the first layer, from inputs that were gathered place by place."""
    model = build_model("gpt-1x8", tiny_words, seed=1).double()
    x, y = tiny_words.train.x[:20], tiny_words.train.y[:20]
    for name, score in wanda(model, (x, y)).items():
        read = inputs_of(model, name, x)
        rows = [read[n, p] for n in range(20) for p in range(15) if int(y[n, p]) != -100]
        norms = torch.stack(rows).norm(dim=0)
        weight = prunable_weights(model)[name].detach()
        assert torch.allclose(score, weight.abs() * norms, rtol=1e-12), name
        assert not torch.allclose(score, weight.abs() * read.flatten(0, 1).norm(dim=0), rtol=1e-3)
    name = "blocks.0.attend.weight"
    read = inputs_of(model, name, x)
    rows = torch.stack([read[n, p] for n in range(20) for p in range(15) if int(y[n, p]) != -100])
    expected, mask = sparsegpt_in_loops(
        prunable_weights(model)[name].detach(), rows.T @ rows, 0.5, "row"
    )
    assert torch.equal(prune_once_(model, (x, y), "sparsegpt", 0.5, "row")[name], mask)
    assert torch.allclose(prunable_weights(model)[name], expected, rtol=1e-8, atol=1e-11)


# SparseGPT: the repair.


def damped(hessian: torch.Tensor) -> torch.Tensor:
    """The papers': inputs that are always 0 count as 1, then 1 % of the mean diagonal is added."""
    h = hessian.clone()
    for j in range(len(h)):
        if h[j, j] == 0:
            h[j, j] = 1
    return h + 0.01 * h.diagonal().mean() * torch.eye(len(h), dtype=h.dtype)


def sparsegpt_in_loops(weight, hessian, density, scope, block=128):
    """Frantar & Alistarh 2023, algorithm 1, with a new inverse for every column."""
    w, h = weight.clone(), damped(hessian)
    rows, columns = w.shape
    mask = torch.ones_like(w, dtype=torch.bool)
    inverses = [torch.linalg.inv(h[j:, j:]) for j in range(columns)]
    for j in range(columns):
        if hessian[j, j] == 0:
            w[:, j] = 0
    width = 4 if scope == "2:4" else block
    for begin in range(0, columns, width):
        end = min(begin + width, columns)
        first = torch.tensor([float(inverses[j][0, 0]) for j in range(begin, end)])
        scores = w[:, begin:end] ** 2 / first.double()
        gone = 1 - density
        if scope == "layer":
            count = round(gone * rows * end) - round(gone * rows * begin)
            flat = mask[:, begin:end].clone().flatten()
            flat[scores.flatten().argsort(stable=True)[:count]] = False
            mask[:, begin:end] = flat.view(rows, end - begin)
        else:
            count = 2 if scope == "2:4" else round(gone * end) - round(gone * begin)
            for row in range(rows):
                mask[row, begin + scores[row].argsort(stable=True)[:count]] = False
        for j in range(begin, end):
            for row in range(rows):
                if not mask[row, j]:
                    w[row, j:] -= w[row, j] / inverses[j][0, 0] * inverses[j][0]
    return w.where(mask, 0), mask


def error(change: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    """By row: what a change of the weights costs."""
    return ((change @ hessian) * change).sum(1)


def problem(seed, rows, columns, samples, dead=(), rank=None):
    """Weights, correlated inputs and their X'X."""
    x = draw(samples, rank or columns, seed=seed)
    if rank or seed % 2:
        x = x @ draw(rank or columns, columns, seed=seed + 1)
    x[:, [*dead]] = 0
    return draw(rows, columns, seed=seed + 2), x, x.T @ x


problems = {
    "seed": st.integers(0, 10_000),
    "rows": st.integers(1, 5),
    "columns": st.integers(2, 12),
    "samples": st.integers(1, 30),
    "dead": st.sets(st.integers(0, 11), max_size=3),
    "density": st.floats(0.1, 1),
    "scope": st.sampled_from(["layer", "row"]),
}


@pytest.mark.parametrize("column", [0, 1, 4, 6])
def test_one_weight_that_goes_is_made_up_for_as_optimal_brain_surgeon_would(column):
    """Over the columns from its own on: Hassibi & Stork 1993, with the Hessian of those columns."""
    w, _, hessian = problem(3, 1, 7, 40)
    w = torch.where(torch.arange(7) == column, w.sign() * 1e-3, w + 3 * w.sign())
    repaired, mask = repair(w, hessian, 6 / 7, "row")
    assert mask[0].tolist() == [j != column for j in range(7)]
    inverse = torch.linalg.inv(damped(hessian)[column:, column:])
    expected = w.clone()
    expected[0, column:] -= w[0, column] / inverse[0, 0] * inverse[0]
    expected[0, column] = 0
    assert torch.allclose(repaired, expected, rtol=1e-6, atol=1e-12)
    assert (repaired != w)[0, column:].all() and torch.equal(repaired[:, :column], w[:, :column])
    # It is the best that the later columns can do.
    h, free = damped(hessian), slice(column + 1, 7)
    if column < 6:
        best = torch.linalg.solve(h[free, free], h[free, column] * w[0, column])
        assert torch.allclose((repaired - w)[0, free], best, rtol=1e-6)


def test_of_equal_weights_the_one_goes_that_costs_least():
    """w^2 / [H^-1]_jj: an input that others can stand in for, not the smallest one."""
    x = draw(200, 3)
    x[:, 1] = 2 * x[:, 0] + 0.05 * x[:, 1]  # the largest input, nearly twice the first
    repaired, mask = repair(torch.ones(1, 3, dtype=torch.float64), x.T @ x, 2 / 3, "row")
    assert mask.tolist() == [[False, True, True]]
    assert float(repaired[0, 1]) == pytest.approx(1.5, abs=0.03)  # what the first said, too


@given(**problems)
@settings(max_examples=60)
def test_the_repair_is_algorithm_1_in_loops(seed, rows, columns, samples, dead, density, scope):
    dead = {j for j in dead if j < columns}
    w, _, hessian = problem(seed, rows, columns, samples, dead)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        repaired, mask = repair(w, hessian, density, scope)
    expected, expected_mask = sparsegpt_in_loops(w, hessian, density, scope)
    assert torch.equal(mask, expected_mask)
    assert torch.allclose(repaired, expected, rtol=1e-6, atol=1e-9)
    assert (repaired[~mask] == 0).all()


@given(seed=st.integers(0, 10_000), rows=st.integers(1, 4), fours=st.integers(1, 4))
def test_two_of_four_are_chosen_after_the_repairs_to_the_left(seed, rows, fours):
    w, _, hessian = problem(seed, rows, 4 * fours, 30)
    repaired, mask = repair(w, hessian, 0.5, "2:4")
    expected, expected_mask = sparsegpt_in_loops(w, hessian, 0.5, "2:4")
    assert torch.equal(mask, expected_mask) and torch.allclose(repaired, expected, rtol=1e-6)
    assert (mask.unflatten(1, (-1, 4)).sum(-1) == 2).all()


@given(**problems)
@settings(max_examples=60)
def test_the_error_is_never_below_the_least_squares_optimum_of_its_mask(
    seed, rows, columns, samples, dead, density, scope
):
    dead = {j for j in dead if j < columns}
    w, x, hessian = problem(seed, rows, columns, samples, dead)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        repaired, mask = repair(w, hessian, density, scope)
    found = error(repaired - w, hessian)
    for row in range(rows):
        kept = mask[row]
        best = torch.zeros(columns, dtype=torch.float64)
        if kept.any():
            best[kept] = torch.linalg.lstsq(x[:, kept], x @ w[row], driver="gelsd").solution
        optimum = float(error((best - w[row])[None], hessian))
        scale = float(error(w[row][None], hessian))
        assert float(found[row]) >= optimum - 1e-9 * scale - 1e-12
        if kept.all():
            assert float(found[row]) <= 1e-12 * scale + 1e-20


@given(**problems)
@settings(max_examples=60)
def test_what_stays_right_of_the_last_weight_that_went_cannot_do_better(
    seed, rows, columns, samples, dead, density, scope
):
    """The damped error's gradient is 0 there, and the error is at most that of all weights gone."""
    dead = {j for j in dead if j < columns}
    w, _, hessian = problem(seed, rows, columns, samples, dead)
    w[:, [*dead]] = 0  # these go for nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        repaired, mask = repair(w, hessian, density, scope)
    gradient = (repaired - w) @ damped(hessian)
    for row in range(rows):
        gone = [j for j in range(columns) if not mask[row, j]]
        if gone:
            after = gradient[row, gone[-1] + 1 :]
            assert (after.abs() <= 1e-8 * (1 + gradient[row].abs().max())).all()
        else:
            assert torch.equal(repaired[row], w[row])


def test_the_repair_helps_on_correlated_inputs():
    """Against the same mask without it, in total and in nearly every row."""
    w, _, hessian = problem(11, 40, 60, 500, rank=20)
    repaired, mask = repair(w, hessian, 0.5)
    with_it, without = error(repaired - w, hessian), error(w.where(mask, 0) - w, hessian)
    assert float(with_it.sum()) < 0.2 * float(without.sum())
    assert (with_it < without).double().mean() > 0.95


def test_inputs_without_correlation_leave_nothing_to_repair():
    """With X'X = c I what stays keeps its value, and the smallest weights go."""
    w = draw(6, 20)
    repaired, mask = repair(w, 7 * torch.eye(20, dtype=torch.float64), 0.3)
    assert torch.equal(mask, lowest_go(w.abs(), 0.7, "layer"))
    assert torch.allclose(repaired, w.where(mask, 0), rtol=1e-12)


@pytest.mark.parametrize("scope", ["layer", "row"])
@pytest.mark.parametrize("density", [0.5, 0.3, 0.617])
@pytest.mark.parametrize("columns", [127, 128, 129, 300])
def test_blocks_of_128_columns_lose_exactly_their_share(columns, density, scope):
    w, _, hessian = problem(5, 7, columns, 80)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, mask = repair(w, hessian, density, scope)
    gone = ~mask
    if scope == "layer":
        assert int(gone.sum()) == round((1 - density) * mask.numel())
        first = gone[:, :128].sum()
        assert int(first) == round((1 - density) * 7 * min(128, columns))
    else:
        assert gone.sum(1).tolist() == 7 * [round((1 - density) * columns)]
        assert gone[:, :128].sum(1).tolist() == 7 * [round((1 - density) * min(128, columns))]


def test_more_than_128_inputs_are_repaired_as_in_loops():
    w, _, hessian = problem(5, 3, 140, 200)
    for scope in ("layer", "row"):
        repaired, mask = repair(w, hessian, 0.4, scope)
        expected, expected_mask = sparsegpt_in_loops(w, hessian, 0.4, scope)
        assert torch.equal(mask, expected_mask)
        assert torch.allclose(repaired, expected, rtol=1e-6, atol=1e-9)


def test_a_block_that_loses_all_is_no_layer_collapse():
    w, _, hessian = problem(5, 3, 130, 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, mask = repair(w, hessian, 0.2, "row")
    assert mask.any(1).all()


@pytest.mark.parametrize("dead", [{0}, {2, 5}, set(range(8))])
def test_weights_on_inputs_that_are_always_0_go_first(dead):
    w, _, hessian = problem(4, 3, 8, 40, dead)
    w[:, [*dead]] *= 100  # however large they are
    repaired, mask = repair(w, hessian, 0.5, "row")
    assert repaired.isfinite().all() and not repaired[:, [*dead]].any()
    assert mask.sum(1).tolist() == 3 * [4]
    if len(dead) <= 4:
        assert not mask[:, [*dead]].any()


@pytest.mark.parametrize("method", CALIBRATED)
def test_a_network_with_dead_inputs_can_be_pruned(method, tiny):
    model = build_model("mlp-8-4", tiny, seed=1)
    x, y = draw_batch(tiny.train, 20)
    x = x.clone()
    x[:, :, 0] = 0
    with torch.no_grad():
        model.fc1.bias[:3] = -1e3  # three neurons that never fire
    masks = prune_once_(model, (x, y), method, 0.5, "row")
    assert model(x).isfinite().all()
    assert not masks["fc1.weight"][:, :4].any() and not masks["fc2.weight"][:, :3].any()


def test_the_repair_changes_neither_its_weights_nor_its_hessian():
    w, _, hessian = problem(6, 3, 6, 20, dead={1})
    copies = w.clone(), hessian.clone()
    repaired, _ = repair(w.float(), hessian, 0.5)
    repair(w, hessian, 0.5)
    assert repaired.dtype == torch.float32
    assert torch.equal(w, copies[0]) and torch.equal(hessian, copies[1])


def test_a_factor_before_the_hessian_changes_nothing():
    w, _, hessian = problem(6, 3, 6, 20)
    one, two = repair(w, hessian, 0.5), repair(w, hessian * 37, 0.5)
    assert torch.equal(one[1], two[1]) and torch.allclose(one[0], two[0], rtol=1e-10)


# All together, on a network that has learned something.


def test_on_a_trained_network_sparsegpt_loses_least(fashion_mini):
    model = build_model("mlp-40-40", fashion_mini, seed=1)
    train(model, fashion_mini, Recipe(duration="2ep"), evaluate_every=0)
    batch, losses = draw_batch(fashion_mini.train, 400, seed=2), {}
    for method in METHODS:
        pruned = copy.deepcopy(model)
        masks = prune_once_(pruned, batch, method, 0.25, "row")
        losses[method] = evaluate(pruned, fashion_mini.validation)["loss"]
        assert all((bits(w)[~masks[n]] == 0).all() for n, w in prunable_weights(pruned).items())
    assert losses["sparsegpt"] < min(losses["wanda"], losses["magnitude"])
