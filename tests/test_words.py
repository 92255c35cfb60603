"""Words as data, and the words that a model invents."""

import math
import random
import zlib
from itertools import takewhile

import numpy as np
import pytest
import torch
from better_profanity.utils import get_complete_path_of_file, read_wordlist
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lthlab.data import Dataset, Split, load_dataset
from lthlab.models import build_model
from lthlab.words import (
    CONTEXT,
    LETTERS,
    decode,
    encode,
    known_words,
    offensive_words,
    sample_words,
)

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
WORDS = st.text(ALPHABET, min_size=1, max_size=14)


def splits(dataset) -> list[Split]:
    return [dataset.train, dataset.validation, dataset.test]


# The data.


def test_every_word_of_the_list_is_in_exactly_one_split(words):
    lists = [decode(split.x) for split in splits(words)]
    assert [len(part) for part in lists] == [46_010, 5_751, 5_751]
    together = sum(lists, [])
    assert len(set(together)) == len(together) == 57_512
    assert sorted(together) == list(known_words())
    assert {len(word) for word in together} == set(range(3, 15))
    assert set("".join(together)) == set(ALPHABET)


def test_words_are_tokens_and_targets_of_27_classes(words):
    assert words.input_shape == (15,) and words.classes == (".", *ALPHABET) == tuple(LETTERS)
    for split in splits(words):
        assert split.x.shape == split.y.shape == (len(split), 15)
        assert split.x.dtype == split.y.dtype == torch.int64
        assert int(split.x.min()) == 0 and int(split.x.max()) == 26
        assert torch.equal(words.pictures(split.x), split.x.cpu())  # nothing was normalised


def test_targets_are_the_inputs_moved_by_one_and_padding_does_not_count(words):
    for split in splits(words):
        lengths = torch.tensor([len(word) for word in decode(split.x)], device=split.x.device)
        assert not split.x[:, 0].any()
        places = torch.arange(15, device=split.x.device)
        inside, after = places < lengths[:, None], places > lengths[:, None]
        assert torch.equal(split.y[:, :-1][inside[:, :-1]], split.x[:, 1:][inside[:, :-1]])
        assert not split.y[places == lengths[:, None]].any()  # the end, once
        assert (split.y[after] == -100).all() and (split.y[~after] >= 0).all()


def test_loading_words_again_gives_the_same_words_and_leaves_the_random_states_alone(words):
    torch.manual_seed(789)
    np.random.seed(456)
    random.seed(123)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    again = load_dataset("words")
    now = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == now
    for mine, other in zip(splits(words), splits(again), strict=True):
        assert torch.equal(mine.x, other.x) and torch.equal(mine.y, other.y)


def test_the_splits_of_words_are_those_that_they_always_were(words):
    """Results in the reference tables are by these words: another order would move them all."""
    found = [zlib.crc32(" ".join(decode(split.x)).encode()) for split in splits(words)]
    assert found == [1352233209, 634973810, 3434550659]


def test_the_splits_of_words_are_alike(words):
    """Each begins with every letter as often as the list does, within 4.5 standard errors."""
    firsts = [word[0] for word in known_words()]
    for split in splits(words):
        own = [word[0] for word in decode(split.x)]
        for letter in ALPHABET:
            share, error = firsts.count(letter) / len(firsts), 4.5 / math.sqrt(len(own))
            assert own.count(letter) / len(own) == pytest.approx(
                share, abs=error * math.sqrt(share * (1 - share))
            )


def test_no_word_is_on_better_profanitys_list(words):
    listed = set(read_wordlist(get_complete_path_of_file("profanity_wordlist.txt")))
    assert len(listed) > 800
    for split in splits(words):
        assert not listed & set(decode(split.x))
    assert {word.lower() for word in listed} <= offensive_words()


def test_a_language_models_targets_are_classes_or_ignored():
    x, y = encode(["cat", "dog"])
    scale = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.long)

    def made(y):
        return Dataset("by hand", *3 * [Split(x[: len(y)], y)], tuple(LETTERS), *scale)

    assert len(made(y).train) == 2
    for wrong, said in (
        (27, "0 to 26; got 0 to 27"),
        (-1, "0 to 26; got -1 to 20"),
        (-99, "got -99"),
    ):
        with pytest.raises(ValueError, match=said):
            made(y.masked_fill(y == 3, wrong))
    with pytest.raises(
        ValueError, match="0 to 26; got -100"
    ):  # one target an example always counts
        made(y[:, 14])
    with pytest.raises(ValueError, match="class numbers, whole"):
        made(y + 0.5)


# Letters to tokens and back.


def test_cat_by_hand():
    x, y = encode(["cat"])
    assert x.tolist() == [[0, 3, 1, 20] + 11 * [0]]
    assert y.tolist() == [[3, 1, 20, 0] + 11 * [-100]]
    assert decode(x) == ["cat"]
    x, y = encode(["abcdefghijklmn"])  # the longest leaves no padding
    assert x.tolist() == [[*range(15)]] and y.tolist() == [[*range(1, 15), 0]]


@given(st.lists(WORDS, max_size=6))
def test_what_was_encoded_is_decoded_to_the_same_words(given_words):
    x, y = encode(iter(given_words))
    assert x.shape == y.shape == (len(given_words), 15) and x.dtype == y.dtype == torch.int64
    assert decode(x) == given_words
    for word, inputs, targets in zip(given_words, x.tolist(), y.tolist(), strict=True):
        text = f".{word}."
        for place in range(15):
            if place < len(word) + 1:
                assert LETTERS[inputs[place]] == text[place]
                assert LETTERS[targets[place]] == text[place + 1]
            else:
                assert inputs[place] == 0 and targets[place] == -100


@pytest.mark.parametrize(
    "wrong", ["", "abcdefghijklmno", "Cat", "naïve", "two words", "a.b", ".", "it's", "cat\n"]
)
def test_what_is_no_word_of_1_to_14_letters_is_refused(wrong):
    with pytest.raises(ValueError, match="1 to 14 letters a to z, in lower case; got") as error:
        encode(["fine", wrong])
    assert repr(wrong) in str(error.value)


# Invented words.


class Speller(nn.Module):
    """Spells one word, whatever it has read: all the chance is on its next letter."""

    def __init__(self, word: str):
        super().__init__()
        tokens = [LETTERS.index(letter) for letter in word.ljust(CONTEXT, ".")]
        self.logits = nn.Parameter(60.0 * F.one_hot(torch.tensor(tokens), len(LETTERS)))

    def forward(self, x):
        return self.logits[: x.shape[1]].expand(len(x), -1, -1)


class Counter(nn.Module):
    """Begins with a letter by the given logits, and goes on with the two after it in the alphabet.

    So it must be given what it wrote before.
    """

    def __init__(self, first):
        super().__init__()
        self.first = nn.Parameter(first)

    def forward(self, x):
        following = 60.0 * F.one_hot(torch.where(x < 26, x + 1, 0), len(LETTERS))
        end = torch.zeros(len(LETTERS))
        end[0] = 60.0
        logits = torch.where(torch.arange(x.shape[1])[:, None] < 3, following, end)
        logits[:, 0] = self.first
        return logits


def first_letters(seed: int = 0) -> torch.Tensor:
    logits = torch.randn(len(LETTERS), generator=torch.Generator().manual_seed(seed))
    logits[0] = -torch.inf  # no empty words
    return logits


def test_a_model_that_spells_one_word_invents_that_word():
    for word in ("cat", "z", "abcdefghijklmn"):
        assert sample_words(Speller(word), 7, seed=3) == 7 * [word]


def test_words_of_the_list_are_never_shown_and_neither_is_nothing():
    spelled = [word for word in offensive_words() if set(word) <= set(ALPHABET)]
    spelled = sorted(word for word in spelled if 0 < len(word) < CONTEXT)
    assert len(spelled) > 400
    for word in spelled:
        assert sample_words(Speller(word), 2) == []
    assert sample_words(Speller(""), 5) == []


def test_other_words_stay_in_their_order_where_one_is_left_out():
    """One word in three, by chance, is on the list; the others come as before."""
    listed = next(word for word in sorted(offensive_words()) if word.isalpha() and len(word) == 3)

    class Sometimes(Counter):
        def forward(self, x):
            written = torch.tensor([LETTERS.index(letter) for letter in (*listed, ".")])
            spelled = 60.0 * F.one_hot(written.repeat(4)[: x.shape[1]], len(LETTERS))
            own = super().forward(x)
            return torch.where((x[:, :2] == written[0]).any(1)[:, None, None], spelled, own)

    first = torch.full((len(LETTERS),), -torch.inf)
    first[[LETTERS.index(listed[0]), 20, 21]] = 0.0
    usual, fewer = sample_words(Counter(first), 60), sample_words(Sometimes(first), 60)
    hidden = [word for word in usual if word[0] == listed[0]]
    assert 5 < len(hidden) < 35 and len(usual) == 60
    assert fewer == [word for word in usual if word not in hidden]


def test_each_letter_depends_on_those_before():
    invented = sample_words(Counter(first_letters()), 50)
    assert len(set(invented)) > 8
    for word in invented:
        assert word == LETTERS[LETTERS.index(word[0]) :][:3]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_first_letters_come_as_often_as_softmax_says(temperature):
    logits, count = first_letters(), 20_000
    invented = sample_words(Counter(logits), count, seed=2, temperature=temperature)
    assert len(invented) == count
    weights = [math.exp(float(value) / temperature) for value in logits]
    for number, letter in enumerate(LETTERS[1:], 1):
        share = weights[number] / sum(weights)
        found = sum(word[0] == letter for word in invented) / count
        assert found == pytest.approx(share, abs=4.5 * math.sqrt(share / count) + 1e-9), letter


@pytest.fixture(scope="module")
def gpt(words):
    return build_model("gpt-1x8", words, seed=1)


def test_words_depend_on_the_seed_alone_and_more_words_begin_with_the_same(gpt):
    torch.manual_seed(1)
    first = sample_words(gpt, 12, seed=3)
    torch.manual_seed(2)
    assert sample_words(gpt, 12, seed=3) == first
    assert sample_words(gpt, 40, seed=3)[: len(first)] == first
    assert len(set(first)) > 8, "every word has random numbers of its own"
    assert set(sample_words(gpt, 12, seed=4)) != set(first)


def test_two_models_that_know_nearly_the_same_invent_nearly_the_same(gpt):
    """The random numbers are of the seed, a word and a place, so models differ by knowledge."""
    logits = first_letters()
    nearly = logits.clone()
    nearly[5] += 0.1
    pairs = zip(*(sample_words(Counter(first), 200) for first in (logits, nearly)), strict=True)
    assert 180 < sum(one == other for one, other in pairs) < 200


def test_at_low_temperature_the_likeliest_letter_always_comes(gpt):
    tokens = [0]
    while len(tokens) < 16:
        seen = torch.tensor([tokens], device=next(gpt.parameters()).device)
        tokens.append(int(gpt(seen)[0, -1].argmax()))
    likeliest = "".join(
        takewhile(lambda letter: letter != ".", map(LETTERS.__getitem__, tokens[1:]))
    )
    assert likeliest and sample_words(gpt, 6, temperature=1e-5) == 6 * [likeliest]


def test_sampling_leaves_modes_gradients_and_random_states_alone(gpt):
    noisy = nn.Sequential(gpt, nn.Dropout(0.5)).train()
    gpt.norm.eval()
    modes = [module.training for module in noisy.modules()]
    assert len(set(modes)) == 2
    before = torch.get_rng_state()
    invented = sample_words(noisy, 10, seed=5)
    assert [module.training for module in noisy.modules()] == modes
    assert torch.equal(before, torch.get_rng_state())
    assert invented == sample_words(gpt, 10, seed=5), "no dropout while it invents"
    assert all(p.grad is None and p.requires_grad for p in gpt.parameters())


def test_sampling_puts_modes_back_after_an_error(tiny):
    model = build_model("mlp-8", tiny).train()
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        sample_words(model)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": -1},
        {"temperature": 0},
        {"temperature": -0.5},
        {"temperature": math.nan},
        {"seed": -1},
        {"seed": 0.5},
    ],
)
def test_wrong_counts_temperatures_and_seeds_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        sample_words(Speller("cat"), **wrong)
