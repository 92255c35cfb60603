"""Networks: the papers' sizes and initial values, and one seed that fixes them."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from lthlab.masks import prunable_weights
from lthlab.models import KNOWN, build_model


def sizes(model) -> dict[str, int]:
    return {name: weight.numel() for name, weight in prunable_weights(model).items()}


def conv_total(model) -> int:
    return sum(p.numel() for p in model.parameters() if p.dim() > 2)


def global_random_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def state(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_lenet_300_100_has_the_papers_266200_weights(fashion_mini):
    model = build_model("lenet-300-100", fashion_mini)
    assert sizes(model) == {
        "fc1.weight": 784 * 300,
        "fc2.weight": 300 * 100,
        "out.weight": 100 * 10,
    }
    assert sum(sizes(model).values()) == 266_200
    assert sum(p.numel() for p in model.parameters()) == 266_200 + 300 + 100 + 10


# The paper's Figure 2 prints 1.7M weights for conv-6; its own list of layers adds up to 2.26M.
@pytest.mark.parametrize(
    ("name", "weights", "in_convolutions"),
    [
        ("conv-2", 4_300_992, 38_592),
        ("conv-4", 2_425_024, 259_776),
        ("conv-6", 2_261_184, 1_144_512),
    ],
)
def test_conv_networks_have_the_papers_sizes_on_cifar10(
    name, weights, in_convolutions, cifar_shaped
):
    model = build_model(name, cifar_shaped)
    assert sum(sizes(model).values()) == weights
    assert conv_total(model) == in_convolutions
    assert len([m for m in model if isinstance(m, nn.Conv2d)]) == int(name[-1])
    assert [m.out_features for m in model if isinstance(m, nn.Linear)] == [256, 256, 10]


def test_a_narrow_conv_network_is_narrow_in_every_layer(cifar_shaped):
    shapes = {
        name: tuple(p.shape) for name, p in build_model("conv-2-8", cifar_shaped).named_parameters()
    }
    assert {name: shape for name, shape in shapes.items() if len(shape) > 1} == {
        "conv1.weight": (8, 3, 3, 3),
        "conv2.weight": (8, 8, 3, 3),
        "fc1.weight": (32, 8 * 16 * 16),  # 32 x 32 pixels, pooled once
        "fc2.weight": (32, 32),
        "out.weight": (10, 32),
    }
    narrow = build_model("conv-6-4", cifar_shaped)
    convolutions = [m.out_channels for m in narrow if isinstance(m, nn.Conv2d)]
    assert convolutions == [4, 4, 8, 8, 16, 16]
    assert [tuple(m.weight.shape) for m in narrow if isinstance(m, nn.Linear)] == [
        (16, 16 * 4 * 4),
        (16, 16),
        (10, 16),
    ]


def test_64_filters_are_the_papers_network(cifar_shaped):
    named, usual = build_model("conv-2-64", cifar_shaped), build_model("conv-2", cifar_shaped)
    assert named.state_dict().keys() == usual.state_dict().keys()
    for name, value in usual.state_dict().items():
        assert torch.equal(named.state_dict()[name], value), name


def test_resnet_20_has_the_papers_size_and_depth(cifar_shaped):
    model = build_model("resnet-20", cifar_shaped)
    assert conv_total(model) == 270_256
    assert sum(p.numel() for p in model.parameters()) == 272_474
    shortcuts = [p.shape[:2] for p in model.parameters() if p.shape[2:] == (1, 1)]
    assert shortcuts == [(32, 16), (64, 32)]
    weights = prunable_weights(model)  # without output and shortcuts, as in the paper
    assert {w.shape[2:] for w in weights.values()} == {(3, 3)} and len(weights) + 1 == 20
    assert sum(sizes(model).values()) == 270_256 - 16 * 32 - 32 * 64


def test_resnet_halves_the_picture_twice(cifar_shaped):
    model, seen = build_model("resnet-20", cifar_shaped), []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    model(cifar_shaped.train.x[:2])
    assert seen == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3


def test_resnet1d_4_has_2046_parameters_on_mnist1d(mnist1d):
    model = build_model("resnet1d-4", mnist1d)
    assert sum(p.numel() for p in model.parameters()) == 2_046
    assert [
        p.shape[0] for name, p in model.named_parameters() if name.endswith("conv2.weight")
    ] == [4, 8, 16]


def test_mlp_takes_its_hidden_sizes_from_its_name(tiny, mnist1d):
    assert sizes(build_model("mlp-7", tiny)) == {"fc1.weight": 16 * 7, "out.weight": 7 * 4}
    assert sizes(build_model("mlp-100-100-100", mnist1d)) == {
        "fc1.weight": 4_000,
        "fc2.weight": 10_000,
        "fc3.weight": 10_000,
        "out.weight": 1_000,
    }


@pytest.mark.parametrize(
    "name", ["lenet-30-10", "mlp-8-8", "conv-2", "conv-4", "conv-6", "resnet-8", "resnet-20"]
)
def test_networks_give_one_logit_per_class_and_example(name, cifar_shaped):
    assert build_model(name, cifar_shaped)(cifar_shaped.train.x[:3]).shape == (3, 10)


def check_normal(weight: torch.Tensor, expected_std: float) -> None:
    """Within 4.5 standard errors of N(0, std), with tails that a uniform distribution lacks."""
    values = weight.detach().double().flatten()
    assert abs(float(values.mean())) < 4.5 * expected_std / math.sqrt(len(values))
    assert float(values.std()) == pytest.approx(expected_std, rel=4.5 / math.sqrt(2 * len(values)))
    within_one = float((values.abs() < expected_std).double().mean())
    assert within_one == pytest.approx(0.6827, abs=4.5 * math.sqrt(0.22 / len(values)))
    assert float(values.abs().max()) > 2 * expected_std


@pytest.mark.parametrize("name", ["lenet-300-100", "conv-2"])
def test_lenet_and_conv_networks_start_glorot_normal_with_zero_biases(name, cifar_shaped):
    for layer in build_model(name, cifar_shaped, seed=3):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            field = math.prod(layer.weight.shape[2:])
            fan_in, fan_out = layer.weight.shape[1] * field, layer.weight.shape[0] * field
            check_normal(layer.weight, math.sqrt(2 / (fan_in + fan_out)))
            assert not layer.bias.any()


def test_one_dimensional_resnets_start_he_normal(tiny_signals):
    for weight in prunable_weights(build_model("resnet1d-32", tiny_signals, seed=3)).values():
        check_normal(weight, math.sqrt(2 / weight[0].numel()))


def test_resnet_20_starts_glorot_normal_with_neutral_norms(cifar_shaped):
    model = build_model("resnet-20", cifar_shaped, seed=3)
    weights = [w for w in model.parameters() if w.dim() > 1]  # shortcuts and output, too
    assert len(weights) == 22 and not model.out.bias.any()
    for weight in weights:
        field = math.prod(weight.shape[2:])
        check_normal(weight, math.sqrt(2 / (field * (weight.shape[0] + weight.shape[1]))))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 21
    for norm in norms:
        assert (norm.weight == 1).all() and not norm.bias.any()
        assert not norm.running_mean.any() and (norm.running_var == 1).all()


@pytest.mark.parametrize("name", ["lenet-30-10", "conv-2", "resnet-8"])
def test_same_seed_same_bits_and_other_seed_other_bits(name, cifar_shaped):
    first, again, other = (build_model(name, cifar_shaped, seed=seed) for seed in (5, 5, 6))
    for (key, value), same, different in zip(
        first.state_dict().items(),
        again.state_dict().values(),
        other.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(value, same)
        if value.dim() > 1:
            assert not (value == different).any(), key


def test_the_seed_alone_decides_whatever_the_global_state(tiny):
    torch.manual_seed(1)
    first = build_model("mlp-8-6", tiny, seed=5)
    torch.manual_seed(2)
    torch.rand(17)
    assert torch.equal(build_model("mlp-8-6", tiny, seed=5).fc1.weight, first.fc1.weight)


@pytest.mark.parametrize("name", ["mlp-8-6", "resnet-8"])
def test_building_a_model_leaves_the_global_random_states_alone(name, cifar_shaped):
    before = global_random_states()
    build_model(name, cifar_shaped, seed=5)
    assert global_random_states() == before


def test_different_layers_of_one_shape_get_different_values(tiny):
    model = build_model("mlp-8-8-8", tiny)
    assert not (model.fc2.weight == model.fc3.weight).any()


def test_building_again_draws_every_parameter_anew_and_resets_running_statistics(tiny_signals):
    model = build_model("resnet1d-4", tiny_signals, seed=1)
    fresh = state(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(9)
    model.train()(tiny_signals.train.x[:20])
    assert model.norm.running_mean.any()
    for name, value in build_model("resnet1d-4", tiny_signals, seed=1).state_dict().items():
        assert torch.equal(value, fresh[name]), name


def some_layers(dataset, seed):
    """A network as anyone may write it, with PyTorch's own initial values."""
    last = nn.Sequential(nn.Linear(6, 4))
    return nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Flatten(), last)


def test_the_seed_fixes_what_a_function_draws_from_torchs_generator(tiny):
    first, again, other = (build_model(some_layers, tiny, seed) for seed in (1, 1, 2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not (first[0].weight == other[0].weight).any()
    assert not (first[3][0].bias == other[3][0].bias).any()
    uniform = first[0].weight.detach().abs().max()
    assert float(uniform) <= 1 / math.sqrt(6), "Conv1d's own uniform distribution"


def test_what_a_function_draws_does_not_depend_on_the_global_state_and_leaves_it_alone(tiny):
    def by_hand(dataset, seed):
        layer = nn.Linear(16, 4)
        layer.weight.data = torch.randn(4, 16) + torch.normal(0.0, torch.ones(4, 16))
        return nn.Sequential(nn.Flatten(), layer)

    built = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        torch.rand(17 * disturbance)
        before = global_random_states()
        built += [build_model(by_hand, tiny, 5), build_model(by_hand, tiny, 6)]
        assert global_random_states() == before
    first, other, again, _ = built
    assert torch.equal(first[1].weight, again[1].weight)
    assert not (first[1].weight == other[1].weight).any()


def test_the_global_state_is_left_alone_when_a_function_seeds_it_or_fails(tiny):
    def seeds(dataset, seed):
        torch.manual_seed(0)
        return nn.Linear(2, 2)

    def fails(dataset, seed):
        torch.rand(3)
        raise RuntimeError("not today")

    before = global_random_states()
    build_model(seeds, tiny, 5)
    with pytest.raises(RuntimeError, match="not today"):
        build_model(fails, tiny, 5)
    assert global_random_states() == before


def test_a_function_gets_the_data_and_the_seed_and_has_the_last_word_over_values(tiny):
    asked = []

    def zeroed(dataset, seed):
        asked.append((dataset, seed))
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        nn.init.zeros_(model[1].weight)
        return model

    one, two = (build_model(zeroed, tiny, seed=seed) for seed in (3, 4))
    assert [seed for _, seed in asked] == [3, 4] and all(data is tiny for data, _ in asked)
    assert not one[1].weight.any() and not two[1].weight.any()
    assert not (one[0].weight == two[0].weight).any()


def test_a_named_network_is_the_same_inside_a_function(tiny):
    """`own_noise` may be nested: a function that calls build_model gets that network's own bits."""
    inside = build_model(lambda dataset, seed: build_model("mlp-8-6", dataset, seed), tiny, seed=7)
    outside = build_model("mlp-8-6", tiny, seed=7)
    for name, value in outside.state_dict().items():
        assert torch.equal(value, inside.state_dict()[name]), name


# Published results are by these initial values. The output layer is drawn last, so its values tell
# of all that was drawn before. They are those of the first release; resnet-20 was He normal there.
@pytest.mark.parametrize(
    ("name", "fixture", "expected"),
    [
        ("lenet-300-100", "cifar_shaped", [-0.00161, 0.08966, -0.00738, 0.03696]),
        ("mlp-8-6", "tiny", [-0.56539, -0.01308, 0.23882, 0.31343]),
        ("conv-2", "cifar_shaped", [-0.09356, -0.07015, -0.00811, -0.03252]),
        ("resnet-20", "cifar_shaped", [0.09385, 0.10176, -0.08244, -0.09384]),
        ("resnet1d-4", "tiny_signals", [-0.15846, -0.02245, -0.26093, 0.03536]),
    ],
)
def test_a_seed_gives_the_values_that_it_always_gave(name, fixture, expected, request):
    model = build_model(name, request.getfixturevalue(fixture), seed=5)
    assert model.out.weight[0, :4].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("lenet-300-10O", "lenet-300-100"), ("conv2", "conv-2"), ("resnet20", "resnet-20")],
)
def test_unknown_network_gets_the_nearest_match_and_the_known_names(given, meant, cifar_shaped):
    with pytest.raises(
        ValueError, match=f"name is one of .*; got '{given}'. Did you mean '{meant}'"
    ) as error:
        build_model(given, cifar_shaped)
    assert all(name in str(error.value) for name in KNOWN)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "lenet",
        "lenet-5",
        "mlp-",
        "mlp-0",
        "mlp-08",
        "mlp-8-",
        "conv-3",
        "conv-8",
        "conv-3-8",
        "conv-2-0",
        "conv-2-8-8",
        "resnet1d-0",
        "vgg-19",
        "mlp-8\n",
    ],
)
def test_names_that_are_almost_right_are_refused(name, cifar_shaped):
    with pytest.raises(ValueError, match="name is one of lenet-300-100"):
        build_model(name, cifar_shaped)


@pytest.mark.parametrize("depth", [1, 2, 7, 18, 21])
def test_resnet_depths_that_do_not_exist_are_refused(depth, cifar_shaped):
    with pytest.raises(ValueError, match="6n"):
        build_model(f"resnet-{depth}", cifar_shaped)


@pytest.mark.parametrize(
    ("name", "fixture"),
    [
        ("conv-2", "tiny_signals"),
        ("resnet-20", "tiny_signals"),
        ("conv-2", "tiny"),
        ("resnet1d-4", "tiny"),
        ("resnet1d-4", "cifar_shaped"),
    ],
)
def test_inputs_of_the_wrong_shape_are_one_clear_error(name, fixture, request):
    dataset = request.getfixturevalue(fixture)
    with pytest.raises(ValueError, match=f"{name} takes") as error:
        build_model(name, dataset)
    assert str(dataset.input_shape) in str(error.value)


def test_each_name_that_a_message_offers_builds_a_network(tiny, cifar_shaped, tiny_signals, words):
    shaped = {"conv": cifar_shaped, "resnet1d": tiny_signals, "gpt": words, "resnet": cifar_shaped}
    for name in KNOWN:
        data = shaped.get(name.split("-")[0], tiny)
        assert build_model(name, data)(data.train.x[:2]).shape[-1] == len(data.classes)
