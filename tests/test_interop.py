"""Tickets out of lthlab and back: plain files, CSR, torch.nn.utils.prune; the oracle is PyTorch itself."""

import copy
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from helpers import some_masks, states_equal
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import prune as torch_prune

from lthlab import (
    Recipe,
    apply_masks_,
    build_model,
    csr_state,
    find_ticket,
    from_csr_state,
    from_torch_prune_,
    full_masks,
    layer_fractions,
    save_weights,
    to_torch_prune_,
)


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
        made = torch.sparse_csr_tensor(
            *(state[f"{name}.{part}"] for part in ("crow_indices", "col_indices", "values")), weight.shape
        )
        assert made.to_dense().equal(weight)


def test_a_kept_weight_that_is_zero_stays_in_the_mask(tiny):
    model = build_model("mlp-8-6", tiny)
    masks = some_masks(model, 0.3)
    apply_masks_(model, masks)
    with torch.no_grad():
        model.fc1.weight[masks["fc1.weight"]] = 0.0
    assert from_csr_state(csr_state(model, masks), model)[1]["fc1.weight"].equal(masks["fc1.weight"])


def test_a_broken_csr_state_is_said(tiny):
    model = build_model("mlp-8-6", tiny)
    state = csr_state(model, some_masks(model))
    with pytest.raises(ValueError, match=r"fc1.weight.values are missing"):
        from_csr_state({name: t for name, t in state.items() if name != "fc1.weight.values"}, model)
    with pytest.raises(ValueError, match=r"parts of 'fc2.weight' do not fit"):
        from_csr_state(state | {"fc2.weight.values": state["fc2.weight.values"][1:]}, model)
    with pytest.raises(ValueError, match="made for another model"):
        from_csr_state(state, build_model("mlp-8-7", tiny))


def test_masks_come_back_in_the_models_order_whatever_the_file_does(tiny, tmp_path):
    model = nn.Sequential(
        OrderedDict(flatten=nn.Flatten(), layer=nn.Linear(16, 8), relu=nn.ReLU(), head=nn.Linear(8, 4))
    )
    save_file(csr_state(model, full_masks(model)), tmp_path / "csr.safetensors")
    _, masks = from_csr_state(load_file(tmp_path / "csr.safetensors"), model)
    assert layer_fractions(masks, 0.2, 0.2, 0.1) == {"layer.weight": 0.2, "head.weight": 0.1}


def test_torch_prune_gets_the_same_network_and_gives_the_masks_back(masked):
    model, masks, x = masked
    before = copy.deepcopy(model)
    to_torch_prune_(model, masks)
    assert torch_prune.is_pruned(model)
    assert torch.equal(model.eval()(x), before.eval()(x))
    found = from_torch_prune_(model)
    assert not torch_prune.is_pruned(model)
    assert [*found] == [*masks] and all(found[name].equal(masks[name]) for name in masks)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in before.named_parameters()]
    assert states_equal(model.state_dict(), before.state_dict())


def test_what_comes_from_torch_prune_trains_sparse_and_rewinds(tiny):
    recipe = Recipe("sgd", 0.05, 0.9, batch_size=20, duration="12it", fractions={"fc": 0.7, "output": 0.7})
    plain, model = (build_model("mlp-8-6", tiny) for _ in range(2))
    from_torch_prune_(to_torch_prune_(model, full_masks(model)))
    expected, found = (find_ticket(net, tiny, recipe, levels=2, rewind_to="4it") for net in (plain, model))
    assert states_equal(expected.model.state_dict(), found.model.state_dict())


def test_a_buffer_that_is_called_mask_is_no_mask_of_torch_prune(tiny):
    model = build_model("mlp-8-6", tiny)
    model.register_buffer("causal_mask", torch.ones(3))
    with pytest.raises(ValueError, match="holds no masks"):
        from_torch_prune_(model)


def test_what_torch_prune_pruned_comes_in(tiny):
    model = build_model("mlp-8-6", tiny)
    torch_prune.l1_unstructured(model.fc1, "weight", 0.6)
    expected = model.fc1.weight_mask.bool().clone()
    masks = from_torch_prune_(model)
    assert masks["fc1.weight"].equal(expected) and masks["out.weight"].all() and [*masks] == [*full_masks(model)]
    assert bool((model.fc1.weight[~expected] == 0).all()) and isinstance(model.fc1.weight, nn.Parameter)
    with pytest.raises(ValueError, match=r"holds no masks of torch.nn.utils.prune"):
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

model = nn.Sequential(OrderedDict(flatten=nn.Flatten(), fc1=nn.Linear(16, 8), relu1=nn.ReLU(), fc2=nn.Linear(8, 6),
                                  relu2=nn.ReLU(), out=nn.Linear(6, 4)))
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
    save_weights(model, tmp_path / "plain.safetensors")
    save_file(csr_state(model, masks), tmp_path / "csr.safetensors")
    files = [str(tmp_path / f"{name}.safetensors") for name in ("plain", "csr")]
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", READER, *files], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    zeros = int((~masks["fc1.weight"]).sum())
    assert answer.stdout.splitlines() == [f"{model(torch.ones(1, 1, 4, 4)).tolist()} {zeros}", "True"]
