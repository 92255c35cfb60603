"""English words as tokens, one a letter: the data of a language model that trains in a minute."""

import functools
import lzma
from collections.abc import Iterable
from importlib import resources
from typing import Annotated

import torch
from torch import Tensor, nn

from lthlab._common import IGNORED, evaluation_mode, make_generator
from lthlab.checks import InputError, checked

# 0 starts a word, ends it and pads it; 1 to 26 are a to z.
LETTERS = ".abcdefghijklmnopqrstuvwxyz"
CONTEXT = 15  # a word of 14 letters, and its start
Word = Annotated[
    str,
    f"a word of 1 to {CONTEXT - 1} letters a to z, in lower case",
    lambda word: 0 < len(word) < CONTEXT and set(word) <= set(LETTERS[1:]),
]
Tokens = Annotated[
    Tensor,
    f"whole numbers from 0 to {len(LETTERS) - 1} of shape (words, letters)",
    lambda tokens: (
        tokens.dim() == 2 and {*range(len(LETTERS))}.issuperset(tokens.flatten().tolist())
    ),
]


@functools.cache
def known_words() -> tuple[str, ...]:
    """The 57,512 words of the list in alphabetical order (SCOWL; notice beside it)."""
    packed = resources.files("lthlab").joinpath("assets/words.txt.xz").read_bytes()
    return tuple(lzma.decompress(packed).decode().split())


@functools.cache
def offensive_words() -> frozenset[str]:
    """The words of better_profanity's list: none is in the data, and none is shown."""
    listed = resources.files("better_profanity").joinpath("profanity_wordlist.txt")
    return frozenset(listed.read_text(encoding="utf-8").lower().split("\n"))


@checked
def encode(words: Iterable[Word]) -> tuple[Tensor, Tensor]:
    """Inputs and targets of words, int64, both (words, 15): at each letter, the letter after it.

    "cat" is read as ". c a t" and answered with "c a t .". Raises ValueError for anything but words
    of 1 to 14 letters a to z.
    """
    words = list(words)
    x = torch.zeros(len(words), CONTEXT, dtype=torch.long)
    y = torch.full_like(x, IGNORED)
    for row, word in enumerate(words):
        letters = torch.tensor([LETTERS.index(letter) for letter in word])
        x[row, 1 : len(word) + 1] = y[row, : len(word)] = letters
        y[row, len(word)] = 0
    return x, y


@checked
def decode(tokens: Tokens) -> list[str]:
    """The words of rows of tokens: the letters after the start, up to the end."""
    texts = ("".join(LETTERS[token] for token in row) for row in tokens[:, 1:].tolist())
    return [text.partition(".")[0] for text in texts]


@checked
@torch.no_grad()
def sample_words(
    model: nn.Module, count: int = 20, seed: int = 0, temperature: float = 1.0
) -> list[str]:
    """Words that a language model over letters invents, letter by letter.

    The chances of the next letter are softmax(logits / `temperature`). The random numbers are of
    `seed` alone, one for each word and place, so two models differ by what they know, not by luck.
    Words of `offensive_words` are left out, so fewer than `count` may come. Raises ValueError for
    fewer than one word, or a temperature that is not positive.
    """
    device = next(model.parameters()).device
    chances = torch.rand(count, CONTEXT, generator=make_generator(seed, "invented words"))
    chances = chances.to(device)
    tokens = torch.zeros(count, CONTEXT + 1, dtype=torch.long, device=device)
    try:
        with evaluation_mode(model):
            answer = model(tokens[:, :1])
    except Exception as error:  # whatever a network of the reader's raises
        answer = error
    if getattr(answer, "shape", ()) != (count, 1, len(LETTERS)):
        raise InputError(
            f"model must answer letters with {len(LETTERS)} logits each, as build_model"
            f'("gpt-3x64", load_dataset("words")) does; {type(model).__name__} does not.'
        )
    with evaluation_mode(model):
        for place in range(CONTEXT):
            logits = model(tokens[:, : place + 1])[:, -1]
            reached = (logits / temperature).softmax(-1).cumsum(-1)
            drawn = torch.searchsorted(reached, chances[:, place, None].contiguous())
            tokens[:, place + 1] = drawn[:, 0].clamp(max=len(LETTERS) - 1)
    return [word for word in decode(tokens.cpu()) if word not in offensive_words()]
