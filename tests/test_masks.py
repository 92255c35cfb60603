"""Masks: pruned weights are +0.0 to the bit, and files hold what was saved or say that they do not."""

import copy
import os
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from lthlab import _common as common_module
from lthlab.masks import (
    apply_masks_,
    check_masks,
    count_kept,
    density,
    full_masks,
    layer_densities,
    load_masks,
    load_weights_,
    mask_applier,
    prunable_weights,
    read_metadata,
    save_masks,
    save_weights,
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
    return {name: torch.rand(w.shape, generator=draw) < keep for name, w in prunable_weights(model).items()}


def same_masks(one, other) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def model(tiny):
    return build_model("mlp-8-6", tiny)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_pruned_weights_are_positive_zero_to_the_bit_whatever_they_were(dtype):
    model = nn.Linear(8, 2).to(dtype)
    values = torch.tensor([-3.0, float("nan"), float("inf"), -float("inf"), -0.0, 1e-7, 2.5, -1e-4], dtype=dtype)
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
        nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Conv3d(1, 2, 3), nn.Linear(4, 3), nn.LayerNorm(3), nn.Embedding(5, 2)
    )
    assert list(prunable_weights(model)) == ["0.weight", "2.weight", "3.weight"]


def test_a_shared_weight_counts_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert list(prunable_weights(model)) == ["0.weight"]
    assert count_kept(full_masks(model)) == 16


def test_layers_that_a_model_keeps_dense_have_no_mask(tiny_signals):
    model = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), nn.Linear(3, 2))
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
    masks = {"a": torch.tensor([[True, False], [False, False]]), "b": torch.ones(2, 6, dtype=torch.bool)}
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
            r"shape \(8, 16\); got torch.bool of shape \(16, 8\)",
        ),
        (lambda masks: masks | {"fc1.weight": masks["fc1.weight"].float()}, "got torch.float32"),
        (lambda masks: masks | {"fc1.weight": masks["fc1.weight"].to(torch.uint8)}, "got torch.uint8"),
    ],
)
def test_masks_of_another_model_are_one_clear_error_and_change_nothing(change, said, model):
    masks = change(random_masks(model))
    before = copy.deepcopy(model.state_dict())
    for use in (check_masks, mask_applier, apply_masks_):
        with pytest.raises(ValueError, match=said) as error:
            use(model, masks)
        assert "Were these masks made for another model?" in str(error.value)
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
    for one, two in ((shuffled["a"], half), (shuffled["a"], shuffled["b"]), (shuffled["a"], other["a"])):
        agreement = float((one == two).double().mean())
        assert agreement == pytest.approx(0.5, abs=0.03)
    assert float(shuffled["a"][:50].double().mean()) == pytest.approx(0.5, abs=0.03)


def test_masks_come_back_from_a_file_as_they_were(tmp_path, model):
    masks, path = random_masks(model), tmp_path / "deep" / "ticket.safetensors"
    save_masks(masks, path, model="mlp-8-6", note="level 3, 51 %")
    assert same_masks(load_masks(path), masks)
    assert same_masks(load_masks(path, model), masks)
    assert read_metadata(path)["note"] == "level 3, 51 %"
    assert read_metadata(path)["model"] == "mlp-8-6"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_metadata_are_kept_as_text(tmp_path, model):
    save_masks(full_masks(model), tmp_path / "m.safetensors", level=3, density=0.51)
    assert read_metadata(tmp_path / "m.safetensors") == {"level": "3", "density": "0.51"}


def test_files_are_as_readable_as_any_new_file(tmp_path, model):
    umask = os.umask(0o027)
    try:
        save_masks(full_masks(model), tmp_path / "m.safetensors")
    finally:
        os.umask(umask)
    assert (tmp_path / "m.safetensors").stat().st_mode & 0o777 == 0o640


def test_loaded_masks_share_no_memory_with_the_file(tmp_path, model):
    path = tmp_path / "m.safetensors"
    save_masks(full_masks(model), path)
    loaded = load_masks(path)
    loaded["fc1.weight"][:] = False
    assert same_masks(load_masks(path), full_masks(model))


def test_masks_of_another_model_are_refused_when_loaded(tmp_path, model, tiny):
    path = tmp_path / "m.safetensors"
    save_masks(random_masks(build_model("mlp-9-6", tiny)), path)
    with pytest.raises(ValueError, match="another model"):
        load_masks(path, model)


def test_weights_come_back_from_a_file_as_they_were(tmp_path, tiny_signals):
    model, other = (build_model("resnet1d-4", tiny_signals, seed=seed) for seed in (1, 2))
    model.train()(tiny_signals.train.x)
    save_weights(model, tmp_path / "w.safetensors", step="24")
    assert load_weights_(other, tmp_path / "w.safetensors") is other
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert read_metadata(tmp_path / "w.safetensors")["step"] == "24"


@pytest.mark.parametrize("built_as", ["mlp-9-6", "mlp-8", "mlp-8-6-6"])
def test_weights_of_another_model_are_one_clear_error_and_change_nothing(built_as, tmp_path, model, tiny):
    save_weights(build_model(built_as, tiny), tmp_path / "w.safetensors")
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="weights of another model: '") as error:
        load_weights_(model, tmp_path / "w.safetensors")
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_masks_are_not_weights_and_weights_are_not_masks(tmp_path, model):
    save_weights(model, tmp_path / "w.safetensors")
    save_masks(full_masks(model), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="'lthlab-weights'; expected 'lthlab-masks'"):
        load_masks(tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="'lthlab-masks'; expected 'lthlab-weights'"):
        load_weights_(model, tmp_path / "m.safetensors")


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(
    "kind", ["random bytes", "empty", "text", "pickle", "torch.save", "foreign safetensors", "folder"]
)
def test_foreign_files_are_one_clear_error_and_nothing_is_unpickled(kind, tmp_path, model):
    path, sprung = tmp_path / "m.safetensors", tmp_path / "sprung"
    if kind == "torch.save":
        torch.save({"fc1.weight": Trap(sprung)}, path)
    elif kind == "foreign safetensors":
        save_file(full_masks(model), path)
    elif kind == "folder":
        path.mkdir()
    else:
        content = {
            "random bytes": bytes(range(256)) * 4,
            "empty": b"",
            "text": b"hello",
            "pickle": pickle.dumps(Trap(sprung)),
        }
        path.write_bytes(content[kind])
    for load in (load_masks, lambda file: load_weights_(model, file)):
        with pytest.raises(ValueError, match=r"m\.safetensors") as error:
            load(path)
        assert "\n" not in str(error.value)
    assert not sprung.exists()


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.safetensors does not exist"):
        load_masks(tmp_path / "absent.safetensors")


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "m.safetensors"
    masks = {"a.weight": torch.tensor([[True, False, True]]), "b.weight": torch.tensor([[False, True]])}
    save_masks(masks, path, note="level 3")
    return path


def test_a_file_with_any_one_byte_changed_is_one_clear_error(small_file):
    content = small_file.read_bytes()
    for place in range(len(content)):
        for flip in (0x01, 0x20, 0x80):
            damaged = bytearray(content)
            damaged[place] ^= flip
            small_file.write_bytes(damaged)
            for load in (load_masks, read_metadata):
                with pytest.raises(ValueError, match=r"m\.safetensors"):
                    load(small_file)


def test_a_file_cut_anywhere_is_one_clear_error(small_file):
    content = small_file.read_bytes()
    for length in range(len(content)):
        small_file.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"m\.safetensors") as error:
            load_masks(small_file)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError("No space left on device")])
def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(interruption, tmp_path, model, monkeypatch):
    path, masks = tmp_path / "m.safetensors", random_masks(model)
    save_masks(masks, path)

    def half_written(_, file, *__, **___):
        with open(file, "wb") as half:
            half.write(b"half of it")
        raise interruption

    monkeypatch.setattr(common_module, "save_file", half_written)
    with pytest.raises(interruption if isinstance(interruption, type) else type(interruption)):
        save_masks(full_masks(model), path)
    assert same_masks(load_masks(path), masks)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_saving_again_replaces_the_file(tmp_path, model):
    path = tmp_path / "m.safetensors"
    save_masks(random_masks(model), path)
    save_masks(full_masks(model), path)
    assert same_masks(load_masks(path), full_masks(model))


def test_saved_masks_come_back_in_their_order(tmp_path):
    """The last mask is the output's; safetensors sorts names, and 'classifier' comes before 'features'."""
    masks = {name: torch.ones(3, 2, dtype=torch.bool) for name in ("features.0.weight", "block.weight", "a.weight")}
    save_masks(masks, tmp_path / "masks.safetensors")
    assert list(load_masks(tmp_path / "masks.safetensors")) == list(masks)
