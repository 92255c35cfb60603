"""Networks and data that lthlab has never seen: attention, tokens, what torchvision brings."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from helpers import some_masks
from torch import nn
from torch.nn.utils import prune as torch_prune

from lthlab import (
    Recipe,
    apply_masks_,
    build_model,
    count_kept,
    find_ticket,
    full_masks,
    grasp,
    list_parameters,
    make_dataset,
    prunable_weights,
    prune,
    run_experiment,
    snip,
    synflow,
    train,
)
from lthlab.cost import inference_flops, training_flops
from lthlab.folder import Folder
from lthlab.pruning import random

GLOBAL = Recipe(
    "adam", 1e-2, batch_size=10, duration="12it", fractions={"all": 0.3}, scope="global"
)


class Transformer(nn.Module):
    """Tokens or pieces of a signal, one attention layer, the mean, classes."""

    def __init__(self, tokens=0, width=16, classes=4):
        super().__init__()
        self.embed = nn.Embedding(tokens, width) if tokens else nn.Linear(3, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        pieces = x if x.dim() == 2 else x.unflatten(2, (-1, 3)).squeeze(1)
        return self.head(self.layer(self.embed(pieces)).mean(1))


@pytest.fixture(scope="module")
def sentences():
    """Twelve tokens each; the class is the one of the first four that occurs most often."""
    draw = np.random.default_rng(0).integers(0, 4, (160, 12))
    labels = np.apply_along_axis(lambda row: np.bincount(row, minlength=4).argmax(), 1, draw)
    return make_dataset(
        "sentences", draw[:130], labels[:130], draw[130:], labels[130:], "abcd", 30, tokens=True
    )


def some_transformer(dataset, seed):
    return Transformer()


def of_tokens(dataset, seed):
    return Transformer(tokens=4)


def some_torchvision_net(dataset, seed):
    return torchvision.models.squeezenet1_1(num_classes=10)


def test_tokens_stay_tokens(sentences):
    assert sentences.train.x.dtype == torch.int64 and sentences.train.x.unique().tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert sentences.pictures(sentences.test.x).equal(sentences.test.x)


def test_a_transformer_finds_a_ticket_among_tokens(sentences):
    model = build_model(of_tokens, sentences)
    recipe = replace(GLOBAL, lr=5e-3, duration="12ep")
    ticket = find_ticket(model, sentences, recipe, levels=2)
    assert count_kept(ticket.masks) == round(round(count_kept(full_masks(model)) * 0.7) * 0.7)
    assert ticket.levels[-1].history.value() > 0.6, "chance is 0.25"
    for name, mask in ticket.masks.items():
        pruned = ticket.model.get_parameter(name)[~mask]
        assert pruned.equal(torch.zeros_like(pruned))
    assert "layer.self_attn.in_proj_weight" in ticket.masks and "embed.weight" not in ticket.masks


def test_attention_is_masked_as_torch_prune_does_it(tiny_signals):
    model, oracle = (build_model(some_transformer, tiny_signals, 1) for _ in range(2))
    masks = some_masks(model, 0.5)
    apply_masks_(model, masks)
    for name, mask in masks.items():
        path, _, own = name.rpartition(".")
        torch_prune.custom_from_mask(oracle.get_submodule(path), own, mask)
        torch_prune.remove(oracle.get_submodule(path), own)
    x = tiny_signals.test.x
    assert torch.equal(model(x), oracle(x))


def test_attention_with_inputs_of_different_size_has_three_projections():
    attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=4)
    assert [*prunable_weights(attention)] == [
        "q_proj_weight",
        "k_proj_weight",
        "v_proj_weight",
        "out_proj.weight",
    ]


def test_flops_of_attention_fall_with_its_masks(tiny_signals):
    model = build_model(some_transformer, tiny_signals)
    full = full_masks(model)
    dense = inference_flops(model, tiny_signals, full)
    assert dense.total == dense.nonzero
    one = full | {"layer.self_attn.in_proj_weight": torch.zeros(48, 16, dtype=torch.bool)}
    assert (
        dense.total - inference_flops(model, tiny_signals, one).nonzero == 2 * 4 * 48 * 16
    )  # four pieces a signal
    one = full | {"layer.self_attn.out_proj.weight": torch.zeros(16, 16, dtype=torch.bool)}
    assert dense.total - inference_flops(model, tiny_signals, one).nonzero == 2 * 4 * 16 * 16
    none = {name: torch.zeros_like(mask) for name, mask in full.items()}
    # Two heads of width 8, each with two products (queries times keys, weights times values).
    assert inference_flops(model, tiny_signals, none).nonzero == 2 * 2 * 2 * 4 * 4 * 8
    left = training_flops(model, tiny_signals, GLOBAL, none)
    assert 0 < left.nonzero < 0.2 * left.total, (
        "queries times keys, weights times values: nothing of it is pruned"
    )


def test_without_the_word_whole_numbers_are_values():
    x = np.arange(48).reshape(12, 1, 4)
    dataset = make_dataset("numbers", x[:8], np.arange(8) % 2, x[8:], np.arange(4) % 2, "ab", 2)
    assert dataset.train.x.dtype == torch.float32 and abs(float(dataset.train.x.mean())) < 1e-5


class Cross(nn.Module):
    """Attention of one query to ten places of another size, called by keyword."""

    def __init__(self):
        super().__init__()
        self.query, self.attention = (
            nn.Parameter(torch.ones(1, 1, 8)),
            nn.MultiheadAttention(8, 2, kdim=4, vdim=4),
        )
        self.out = nn.Linear(8, 4)

    def forward(self, x):
        places = x.unflatten(2, (3, 4)).squeeze(1).transpose(0, 1)
        query = self.query.expand(1, len(x), 8)
        return self.out(self.attention(query=query, key=places, value=places)[0][0])


def test_flops_of_attention_to_something_else_count_each_projection_by_its_input(tiny_signals):
    model = Cross()
    dense = inference_flops(model, tiny_signals, full := full_masks(model))
    for name, tokens in (("q", 1), ("k", 3), ("v", 3)):
        weight = f"attention.{name}_proj_weight"
        none = inference_flops(model, tiny_signals, full | {weight: torch.zeros_like(full[weight])})
        assert dense.total - none.nonzero == 2 * tokens * full[weight].numel()


def test_scores_before_training_on_tokens(sentences):
    model = build_model(of_tokens, sentences)
    batch = sentences.train.x[:20], sentences.train.y[:20]
    for score in (snip, grasp):
        assert all(
            values.isfinite().all() and values.any() for values in score(model, batch).values()
        )
    with pytest.raises(ValueError, match=r"SynFlow sends ones .* tokens cannot be ones"):
        synflow(model, batch)


def test_scores_before_training_work_on_attention(tiny_signals):
    model = build_model(some_transformer, tiny_signals)
    batch = tiny_signals.train.x[:20], tiny_signals.train.y[:20]
    for score in (snip, grasp, synflow):
        scores = score(model, batch)
        assert scores.keys() == full_masks(model).keys()
        assert all(values.isfinite().all() and values.any() for values in scores.values())


@pytest.mark.parametrize("build", [some_transformer, some_torchvision_net])
def test_a_function_that_builds_a_network_is_all_an_experiment_needs(
    build, tiny_signals, cifar_shaped
):
    dataset = tiny_signals if build is some_transformer else cifar_shaped
    setting = {
        "arms": ["dense", "ticket", "reinitialised"],
        "seeds": [0, 1],
        "levels": 1,
        "n_jobs": 1,
    }
    recipe = replace(GLOBAL, lr=1e-3, duration="2it")
    table = run_experiment(build, dataset, recipe, **setting, progress=False)
    assert table["value"].notna().all() and len(table.query("split == 'test'")) == 6
    again = run_experiment(build, dataset, recipe, **setting, progress=False)
    assert again.equals(table), "what the function draws depends on the seed alone"
    losses = table.query("arm == 'dense' and step == 0 and metric == 'loss'")["value"]
    assert losses.nunique() == 2, "and every seed draws something else"


def test_the_control_is_drawn_as_the_function_draws(tiny_signals, tmp_path):
    def small(dataset, seed):
        model = Transformer()
        nn.init.uniform_(model.head.weight, 7, 8)
        return model

    setting = {"seeds": [0], "levels": 1, "n_jobs": 1, "evaluate_every": 0, "progress": False}
    arms = ["ticket", "reinitialised"]
    run_experiment(small, tiny_signals, GLOBAL, arms=arms, folder=tmp_path, **setting)
    (run,) = tmp_path.iterdir()
    ticket, control = (Folder(run)[arm, 0, 1] for arm in arms)
    mask = control.masks["head.weight"]
    assert mask.equal(ticket.masks["head.weight"])
    kept, before = (level.start.model["head.weight"][mask] for level in (control, ticket))
    assert len(kept) and bool(((kept >= 7) & (kept <= 8)).all()), "not PyTorch's default for Linear"
    assert not (kept == before).any(), "all of them drawn anew"


def test_a_network_whose_values_are_fixed_cannot_be_redrawn(tiny_signals):
    """A control that starts from the ticket's own values would be the ticket once more."""

    def fixed(dataset, seed):
        model = Transformer()
        generator = torch.Generator().manual_seed(1)
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -0.3, 0.3, generator=generator)
        return model

    one, other = (build_model(fixed, tiny_signals, seed) for seed in (0, 1))
    assert all(map(torch.equal, one.parameters(), other.parameters()))
    recipe = replace(GLOBAL, duration="1it")
    setting = {"seeds": [0], "levels": 1, "n_jobs": 1, "progress": False}
    table = run_experiment(fixed, tiny_signals, recipe, arms=["ticket"], **setting)
    assert table["value"].notna().all()
    with pytest.raises(ValueError, match="the same weights, so there is nothing to redraw"):
        run_experiment(fixed, tiny_signals, recipe, arms=["reinitialised"], **setting)


def test_whatever_a_function_draws_from_torch_is_fixed_by_the_experiments_seed(tiny_signals):
    """The same table whatever was drawn before, and the caller's generator is left alone."""

    def drawn(dataset, seed):
        model = Transformer()
        model.embed.weight.data = torch.randn(16, 3) * torch.rand(16, 1)
        return model

    recipe = replace(GLOBAL, duration="2it")
    setting = {"arms": ["ticket", "reinitialised"], "seeds": [3, 4], "levels": 1}
    tables = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        before = torch.get_rng_state()
        options = setting | {"n_jobs": 1, "progress": False}
        tables.append(run_experiment(drawn, tiny_signals, recipe, **options))
        assert torch.get_rng_state().equal(before)
    assert tables[0].equals(tables[1])
    losses = tables[0].query("arm == 'ticket' and step == 0 and metric == 'loss'")["value"]
    assert losses.nunique() == 2, "and every seed draws something else"


def test_a_torchvision_data_set_enters_as_its_arrays(tmp_path):
    fake = torchvision.datasets.FakeData(
        60, (3, 8, 8), num_classes=3, transform=torchvision.transforms.PILToTensor()
    )
    x, y = (np.stack([np.asarray(example[part]) for example in fake]) for part in (0, 1))
    dataset = make_dataset("fake", x[:50], y[:50], x[50:], y[50:], "abc", 10)
    assert dataset.input_shape == (3, 8, 8) and abs(float(dataset.train.x.mean())) < 1e-4
    train(
        build_model("mlp-8", dataset),
        dataset,
        replace(GLOBAL, scope="layer", fractions={"fc": 0.2}),
    )


def test_what_cannot_be_pruned_is_said():
    model = nn.ModuleDict(
        {
            "embed": nn.Embedding(5, 4),
            "lstm": nn.LSTM(4, 3),
            "norm": nn.BatchNorm1d(3),
            "out": nn.Linear(3, 2),
            "head": nn.Linear(2, 2),
            "attention": nn.MultiheadAttention(4, 2),
        }
    )
    model.keep_dense = ("head",)
    torch_prune.random_unstructured(model["out"], "weight", 0.5)
    table = list_parameters(model).set_index("name")
    assert table["numbers"].sum() == sum(p.numel() for p in model.parameters())
    assert [*table.index[table["prunable"]]] == [
        "attention.in_proj_weight",
        "attention.out_proj.weight",
    ]
    why = table["why not"]
    assert why["embed.weight"] == "Embedding is not a Linear, Conv or attention layer"
    assert why["lstm.weight_ih_l0"].startswith("LSTM is not") and why["norm.weight"].startswith(
        "biases and norms"
    )
    assert (
        why["head.weight"] == "the model's keep_dense names it"
        and "from_torch_prune" in why["out.weight_orig"]
    )
    assert (why[table["prunable"]] == "").all()
    normed = list_parameters(
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), nn.Linear(2, 2))
    )
    assert (
        set(normed[normed["prunable"]]["name"]) == {"1.weight"}
        and not normed["why not"].str.contains("keep_").any()
    )
    with pytest.raises(
        TypeError, match=r"LSTM has no Linear, Conv or attention layer .*list_parameters"
    ):
        full_masks(nn.LSTM(4, 3))


def test_masks_of_attention_are_nested(tiny_signals):
    model = build_model(some_transformer, tiny_signals)
    masks = full_masks(model)
    for level in range(3):
        finer = prune(random(model, seed=level), masks, 0.4, "global")
        assert not any((finer[name] & ~masks[name]).any() for name in masks)
        masks = finer
