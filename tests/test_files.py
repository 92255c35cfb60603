"""Tickets on disk and in other formats: files hold what was saved or say that they do not.

For CSR and torch.nn.utils.prune the oracle is PyTorch itself.
"""

import copy
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from contextlib import contextmanager

import pytest
import torch
from helpers import same_masks, some_masks, states_equal
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file, save_model
from torch import nn
from torch.nn.utils import prune as torch_prune

from lthlab import (
    Recipe,
    apply_masks_,
    build_model,
    find_ticket,
    full_masks,
    load_masks,
    save_masks,
)
from lthlab.files import (
    csr_state,
    from_csr_state,
    from_torch_prune_,
    read_metadata,
    to_torch_prune_,
)


@pytest.fixture
def model(tiny):
    return build_model("mlp-8-6", tiny)


def test_masks_come_back_from_a_file_as_they_were(tmp_path, model):
    masks, path = some_masks(model), tmp_path / "deep" / "ticket.safetensors"
    save_masks(masks, path, model="mlp-8-6", note="level 3, 51 %")
    assert same_masks(load_masks(path), masks)
    assert same_masks(load_masks(path, model), masks)
    assert read_metadata(path)["note"] == "level 3, 51 %"
    assert read_metadata(path)["model"] == "mlp-8-6"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_metadata_are_kept_as_text(tmp_path, model):
    save_masks(full_masks(model), tmp_path / "m.safetensors", level=3, density=0.51)
    assert read_metadata(tmp_path / "m.safetensors") == {"level": "3", "density": "0.51"}


# Among others the names that the file's own header uses, and those of the function's parameters.
NAMES = "digest names format version sha256 metadata kind masks path tensors self"


@pytest.mark.parametrize("name", NAMES.split())
def test_metadata_of_any_name_come_back(name, tmp_path, model):
    masks, path = some_masks(model), tmp_path / "m.safetensors"
    save_masks(masks, path, **{name: "x", "other": "y"})
    assert same_masks(load_masks(path, model), masks)
    assert read_metadata(path) == {name: "x", "other": "y"}


@given(metadata=st.dictionaries(st.text(), st.text()))
@example(
    metadata={"": "", "\x00": "\n", "sha256": "1" * 64, '"sha256":"': '"sha256":"' + "0" * 64 + '"'}
)
def test_metadata_may_be_any_text(metadata, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any-text.safetensors"
    masks = {"a.weight": torch.tensor([[True, False, True]])}
    save_masks(masks, path, **metadata)
    assert same_masks(load_masks(path), masks) and read_metadata(path) == metadata


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
    save_masks(some_masks(build_model("mlp-9-6", tiny)), path)
    with pytest.raises(ValueError, match="another model"):
        load_masks(path, model)


def test_weights_and_levels_are_no_masks(tmp_path, model, tiny):
    save_model(model, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="of format 'unknown'; expected 'lthlab-masks'"):
        load_masks(tmp_path / "w.safetensors")
    recipe = Recipe("sgd", 0.05, batch_size=20, duration="1it")
    find_ticket(model, tiny, recipe, levels=0, folder=tmp_path / "run")
    (level,) = (tmp_path / "run").rglob("*.safetensors")
    with pytest.raises(ValueError, match="of format 'lthlab-level'; expected 'lthlab-masks'"):
        load_masks(level)


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(
    "kind",
    [
        "random bytes",
        "empty",
        "text",
        "pickle",
        "torch.save",
        "foreign safetensors",
        "folder",
        "old version",
    ],
)
def test_foreign_files_are_one_clear_error_and_nothing_is_unpickled(kind, tmp_path, model):
    path, sprung = tmp_path / "m.safetensors", tmp_path / "sprung"
    if kind == "torch.save":
        torch.save({"fc1.weight": Trap(sprung)}, path)
    elif kind == "foreign safetensors":
        save_file(full_masks(model), path)
    elif kind == "old version":  # as the first release wrote it
        save_file(full_masks(model), path, {"format": "lthlab-masks", "names": "[]"})
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
    for load in (load_masks, read_metadata):
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
    masks = {
        "a.weight": torch.tensor([[True, False, True]]),
        "b.weight": torch.tensor([[False, True]]),
    }
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


def test_a_file_with_anything_behind_it_is_one_clear_error(small_file):
    small_file.write_bytes(small_file.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"m\.safetensors"):
        load_masks(small_file)


@contextmanager
def full_disk():
    """No file may grow beyond a hundred bytes for the length of a block."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, model):
    path, masks = tmp_path / "m.safetensors", some_masks(model)
    save_masks(masks, path)
    with full_disk(), pytest.raises(OSError, match="large"):
        save_masks(full_masks(model), path)
    assert same_masks(load_masks(path), masks)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(tmp_path, model, monkeypatch):
    """The user presses Ctrl-C when all is written, just before it takes the old file's place."""
    path, masks = tmp_path / "m.safetensors", some_masks(model)
    save_masks(masks, path)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_masks(full_masks(model), path)
    assert same_masks(load_masks(path), masks)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


CHANGED_BENEATH = """
import sys
import torch
from lthlab import load_masks, save_masks

path, size = sys.argv[1], 1_000_000
saved = {"fc.weight": torch.arange(size).view(1000, 1000) % 3 == 0}
for change in ("truncated", "overwritten", "saved again", "removed"):
    save_masks(saved, path)
    loaded = load_masks(path)
    if change == "truncated":
        open(path, "r+b").truncate(10)
    elif change == "overwritten":
        with open(path, "r+b") as file:
            file.write(bytes(size + 2000))
    elif change == "saved again":
        save_masks({"fc.weight": ~saved["fc.weight"]}, path)
    else:
        import os
        os.remove(path)
    print(change, torch.equal(loaded["fc.weight"], saved["fc.weight"]), flush=True)
"""


def test_loaded_masks_do_not_follow_what_happens_to_the_file(tmp_path):
    """In a process of its own: to read a mapped file that was cut short ends the process."""
    command = [sys.executable, "-c", CHANGED_BENEATH, str(tmp_path / "m.safetensors")]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.stdout.splitlines() == [
        "truncated True",
        "overwritten True",
        "saved again True",
        "removed True",
    ]
    assert said.returncode == 0, said.stderr


def test_saving_again_replaces_the_file(tmp_path, model):
    path = tmp_path / "m.safetensors"
    save_masks(some_masks(model), path)
    save_masks(full_masks(model), path)
    assert same_masks(load_masks(path), full_masks(model))


def test_saved_masks_come_back_in_their_order(tmp_path):
    """Safetensors sorts its names, and 'classifier' comes before 'features'."""
    masks = {
        name: torch.ones(3, 2, dtype=torch.bool)
        for name in ("features.0.weight", "block.weight", "a.weight")
    }
    save_masks(masks, tmp_path / "masks.safetensors")
    assert list(load_masks(tmp_path / "masks.safetensors")) == list(masks)


@pytest.fixture(params=["mlp-8-6", "resnet-8", "conv-2"])
def masked(request, tiny, cifar_shaped):
    dataset = tiny if request.param == "mlp-8-6" else cifar_shaped
    model = build_model(request.param, dataset)
    masks = some_masks(model, 0.3)
    return apply_masks_(model, masks), masks, dataset.test.x[:4]


def test_csr_goes_out_and_comes_back(masked, tmp_path):
    model, masks, _ = masked
    save_file(csr_state(model, masks), tmp_path / "ticket.safetensors")
    state, found = from_csr_state(load_file(tmp_path / "ticket.safetensors"), model)
    assert [*state] == [*model.state_dict()]
    assert all(state[name].equal(tensor) for name, tensor in model.state_dict().items())
    assert [*found] == [*masks] and all(found[name].equal(masks[name]) for name in masks)


def test_csr_is_pytorchs_own(masked):
    model, masks, _ = masked
    state = csr_state(model, masks)
    for name in masks:
        weight = model.state_dict()[name].flatten(1)
        expected = weight.to_sparse_csr()
        assert state[f"{name}.crow_indices"].equal(expected.crow_indices().int())
        assert state[f"{name}.col_indices"].equal(expected.col_indices().int())
        assert state[f"{name}.values"].equal(expected.values())
        parts = (state[f"{name}.{part}"] for part in ("crow_indices", "col_indices", "values"))
        made = torch.sparse_csr_tensor(*parts, weight.shape, check_invariants=True)
        assert made.to_dense().equal(weight)


def test_a_kept_weight_that_is_zero_stays_in_the_mask(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model, 0.3)
    apply_masks_(model, masks)
    with torch.no_grad():
        model.fc1.weight[masks["fc1.weight"]] = 0.0
    assert from_csr_state(csr_state(model, masks), model)[1]["fc1.weight"].equal(
        masks["fc1.weight"]
    )


def test_a_broken_csr_state_is_said(tiny):
    model = build_model("mlp-8-6", tiny)
    state = csr_state(model, some_masks(model))
    with pytest.raises(ValueError, match=r"fc1.weight.values are missing"):
        from_csr_state({name: t for name, t in state.items() if name != "fc1.weight.values"}, model)
    with pytest.raises(ValueError, match=r"parts of 'fc2.weight' do not fit"):
        from_csr_state(state | {"fc2.weight.values": state["fc2.weight.values"][1:]}, model)
    with pytest.raises(ValueError, match="made for another model"):
        from_csr_state(state, build_model("mlp-8-7", tiny))


def as_loops_read_it(crow, column, values, width):
    """The dense rows of compressed ones, or None if they are none: the definition, spelled out."""
    if crow[0] != 0 or crow[-1] != len(column) or len(column) != len(values):
        return None
    rows = []
    for begin, end in zip(crow, crow[1:], strict=False):
        columns = column[begin:end]
        if not 0 <= begin <= end <= len(column) or columns != sorted(set(columns)):
            return None
        if any(not 0 <= place < width for place in columns):
            return None
        row = [0.0] * width
        for place, value in zip(columns, values[begin:end], strict=True):
            row[place] = value
        rows.append(row)
    return rows


@given(
    crow=st.lists(st.integers(-1, 5), min_size=3, max_size=3).map(lambda ends: [0, *ends]),
    column=st.lists(st.integers(-2, 5), max_size=5),
    spare=st.sampled_from([0, 0, 0, 1, -1]),
)
@example([0, 1, 2, 2], [3, 0], 0)
@example([0, 1, 2, 2], [-1, 0], 0)
@example([0, 1, 2, 2], [4, 0], 0)
@example([0, 2, 1, 2], [0, 1], 0)
@example([0, 1, 1, 1], [0, 1], 0)
@example([0, 2, 2, 2], [1, 0], 0)
@example([0, 2, 2, 2], [1, 1], 0)
@example([0, 2, 3, 0], [], 0)
@example([0, 4, -1, 0], [], 0)
def test_compressed_rows_are_read_as_loops_read_them_or_refused(crow, column, spare):
    model = nn.Linear(4, 3)
    values = [float(number + 1) for number in range(max(0, len(column) + spare))]
    state = {
        "weight.crow_indices": torch.tensor(crow, dtype=torch.int32),
        "weight.col_indices": torch.tensor(column, dtype=torch.int32),
        "weight.values": torch.tensor(values),
        "weight.shape": torch.tensor([3, 4]),
        "bias": torch.zeros(3),
    }
    expected = as_loops_read_it(crow, column, values, width=4)
    if expected is None:
        with pytest.raises(ValueError, match="parts of 'weight' do not fit each other"):
            from_csr_state(state, model)
    else:
        found, masks = from_csr_state(state, model)
        assert found["weight"].tolist() == expected
        assert masks["weight"].tolist() == [[value != 0 for value in row] for row in expected]


@pytest.mark.parametrize(
    "change",
    [
        {"col_indices": lambda t: -t - 1},
        {"col_indices": lambda t: t + 16},
        {"col_indices": lambda t: t[1:]},
        {"values": lambda t: t[1:]},
        {"values": lambda t: torch.cat([t, t[:1]])},
        {"crow_indices": lambda t: t + 1},
        {"crow_indices": lambda t: t[:-1]},
        {"crow_indices": lambda t: -t},
        {"crow_indices": lambda t: t.flip(0)},
        {"shape": lambda t: t.flip(0)},
        {"shape": lambda t: t - 1},
        {"shape": lambda t: -t},
        {"shape": lambda t: t[:1]},
        {"shape": lambda t: t[:0]},
        {"crow_indices": lambda t: t[:0]},
        {"crow_indices": lambda t: t.float()},
        {"col_indices": lambda t: t.view(1, -1)},
        {"values": lambda t: t[0]},
    ],
)
def test_a_changed_part_of_a_csr_state_is_a_value_error(change, tiny):
    model = build_model("mlp-8-6", tiny)
    state = csr_state(model, some_masks(model))
    ((part, function),) = change.items()
    state[f"fc1.weight.{part}"] = function(state[f"fc1.weight.{part}"])
    with pytest.raises(ValueError):
        from_csr_state(state, model)


def test_masks_come_back_in_the_models_order_whatever_the_file_does(tiny, tmp_path):
    model = nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(), layer=nn.Linear(16, 8), relu=nn.ReLU(), head=nn.Linear(8, 4)
        )
    )
    save_file(csr_state(model, full_masks(model)), tmp_path / "csr.safetensors")
    _, masks = from_csr_state(load_file(tmp_path / "csr.safetensors"), model)
    assert [*masks] == ["layer.weight", "head.weight"]


def test_torch_prune_gets_the_same_network_and_gives_the_masks_back(masked):
    model, masks, x = masked
    before = copy.deepcopy(model)
    to_torch_prune_(model, masks)
    assert torch_prune.is_pruned(model)
    assert torch.equal(model.eval()(x), before.eval()(x))
    found = from_torch_prune_(model)
    assert not torch_prune.is_pruned(model)
    assert [*found] == [*masks] and all(found[name].equal(masks[name]) for name in masks)
    # Not in their old order: torch.nn.utils.prune.remove puts a weight behind its bias.
    assert {n for n, _ in model.named_parameters()} == {n for n, _ in before.named_parameters()}
    assert states_equal(model.state_dict(), before.state_dict())


def test_what_comes_from_torch_prune_trains_sparse_and_rewinds(tiny):
    recipe = Recipe(
        "sgd", 0.05, 0.9, batch_size=20, duration="12it", fractions={"fc": 0.7, "output": 0.7}
    )
    plain, model = (build_model("mlp-8-6", tiny) for _ in range(2))
    from_torch_prune_(to_torch_prune_(model, full_masks(model)))
    expected, found = (
        find_ticket(net, tiny, recipe, levels=2, rewind_to="4it") for net in (plain, model)
    )
    assert states_equal(expected.model.state_dict(), found.model.state_dict())


def test_a_buffer_that_is_called_mask_is_no_mask_of_torch_prune(tiny):
    model = build_model("mlp-8-6", tiny)
    model.register_buffer("causal_mask", torch.ones(3))
    with pytest.raises(ValueError, match="must hold masks"):
        from_torch_prune_(model)


def test_what_torch_prune_pruned_comes_in(tiny):
    model = build_model("mlp-8-6", tiny)
    torch_prune.l1_unstructured(model.fc1, "weight", 0.6)
    expected = model.fc1.weight_mask.bool().clone()
    masks = from_torch_prune_(model)
    assert (
        masks["fc1.weight"].equal(expected)
        and masks["out.weight"].all()
        and [*masks] == [*full_masks(model)]
    )
    assert bool((model.fc1.weight[~expected] == 0).all()) and isinstance(
        model.fc1.weight, nn.Parameter
    )
    with pytest.raises(ValueError, match=r"model must hold masks of torch.nn.utils.prune"):
        from_torch_prune_(model)
    torch_prune.l1_unstructured(model.fc1, "bias", 0.5)
    with pytest.raises(ValueError, match=r"fc1.bias was pruned, too"):
        from_torch_prune_(model)


READER = """
import sys
sys.modules["lthlab"] = None  # importing it would fail
import torch
from collections import OrderedDict
from safetensors.torch import load_file
from torch import nn

layers = OrderedDict(flatten=nn.Flatten(), fc1=nn.Linear(16, 8), relu1=nn.ReLU())
layers |= OrderedDict(fc2=nn.Linear(8, 6), relu2=nn.ReLU(), out=nn.Linear(6, 4))
model = nn.Sequential(layers)
model.load_state_dict(load_file(sys.argv[1]))
print(model(torch.ones(1, 1, 4, 4)).tolist(), int((model.fc1.weight == 0).sum()))
state = load_file(sys.argv[2])
parts = [state["fc1.weight." + part] for part in ("crow_indices", "col_indices", "values")]
weight = torch.sparse_csr_tensor(*parts, state["fc1.weight.shape"].tolist())
print(torch.equal(weight.to_dense(), model.fc1.weight))
"""


def test_a_program_without_lthlab_reads_both_files(tiny, tmp_path):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model, 0.3)
    apply_masks_(model, masks)
    save_model(model, tmp_path / "plain.safetensors")
    save_file(csr_state(model, masks), tmp_path / "csr.safetensors")
    files = [str(tmp_path / f"{name}.safetensors") for name in ("plain", "csr")]
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, *files], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    zeros = int((~masks["fc1.weight"]).sum())
    assert answer.stdout.splitlines() == [
        f"{model(torch.ones(1, 1, 4, 4)).tolist()} {zeros}",
        "True",
    ]
