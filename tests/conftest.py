"""Small data sets that all tests share, made or loaded once per session."""

import gzip
import os
import shutil
from pathlib import Path

os.environ.setdefault("LTHLAB_DEVICE", "cpu")  # LTHLAB_DEVICE=cuda tests on a GPU
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest
import torch
from helpers import CASES
from hypothesis import settings

from lthlab.arms import ARMS
from lthlab.data import Dataset, Split, default_device, load_dataset, make_dataset
from lthlab.words import LETTERS, encode, known_words

torch.set_num_threads(1)
settings.register_profile("lthlab", deadline=None, max_examples=40, derandomize=True, database=None)
settings.load_profile("lthlab")


@pytest.fixture(autouse=True)
def same_draws():
    """Weights that a test draws are the same in each run, whichever test ran before it."""
    torch.manual_seed(0)


# What takes longest comes first: `make test` hands each test to the first of its workers that is
# free.
FIRST = ["test_notebooks", "test_browser", "test_runs", "test_exercises"]


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.module.__name__, len(FIRST)))


def pytest_terminal_summary(terminalreporter):
    """What tests measured (answer times, seconds of notebooks), whichever worker ran them."""
    reports = [
        report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)
    ]
    found = [
        value for report in reports for key, value in report.user_properties if key == "measured"
    ]
    if found:
        terminalreporter.section("measured")
        for value in found:
            terminalreporter.write_line(value)


DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def make_blobs(
    name: str, shape: tuple[int, ...], classes: int, train: int, held_out: int, test: int
) -> Dataset:
    """Gaussian blobs, one per class, that a small network can learn to tell apart."""
    draw = np.random.default_rng(7)
    centres = draw.normal(size=(classes, *shape))
    y, y_test = (np.arange(count) % classes for count in (train + held_out, test))
    x, x_test = (
        centres[labels] + 1.5 * draw.normal(size=(len(labels), *shape)) for labels in (y, y_test)
    )
    return make_dataset(name, x, y, x_test, y_test, tuple("abcdefghij"[:classes]), held_out)


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """100 / 30 / 30 images of 1x4x4 in 4 classes: 5 batches of 20 an epoch."""
    return make_blobs("tiny", (1, 4, 4), classes=4, train=100, held_out=30, test=30)


@pytest.fixture(scope="session")
def tiny_signals() -> Dataset:
    """100 / 30 / 30 signals of 1x12 in 4 classes, for the one-dimensional ResNet."""
    return make_blobs("tiny-signals", (1, 12), classes=4, train=100, held_out=30, test=30)


@pytest.fixture(scope="session")
def cifar_shaped() -> Dataset:
    """A few examples with CIFAR-10's shape and classes."""
    return make_blobs("cifar-shaped", (3, 32, 32), classes=10, train=20, held_out=10, test=10)


@pytest.fixture(scope="session")
def fashion_mini() -> Dataset:
    return load_dataset("fashion-mini")


@pytest.fixture(scope="session")
def mnist1d() -> Dataset:
    return load_dataset("mnist1d")


@pytest.fixture(scope="session")
def words() -> Dataset:
    return load_dataset("words")


@pytest.fixture(scope="session")
def tiny_words() -> Dataset:
    """200 / 60 / 60 words from all over the list, for a GPT: 10 batches of 20 an epoch."""
    x, y = encode(known_words()[::179][:320])
    parts = torch.randperm(320, generator=torch.Generator().manual_seed(7)).split([200, 60, 60])
    scale = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.long)
    splits = [Split(x[part], y[part]) for part in parts]
    return Dataset("tiny-words", *splits, tuple(LETTERS), *scale).to(default_device())


@pytest.fixture(scope="session")
def fashion_mnist_root(tmp_path_factory) -> Path:
    """A folder with the full Fashion-MNIST: the cache, else Debian's package, else a download."""
    cache = Path(os.environ.get("LTHLAB_DATA") or Path.home() / ".cache" / "lthlab").expanduser()
    if (cache / "FashionMNIST").exists():
        return cache
    archives = sorted(DEBIAN_FASHION_MNIST.glob("*-ubyte.gz"))
    if len(archives) == 4:
        root = tmp_path_factory.mktemp("fashion-mnist")
        raw = root / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for archive in archives:
            with gzip.open(archive) as packed, open(raw / archive.stem, "wb") as plain:
                shutil.copyfileobj(packed, plain)
        return root
    try:
        load_dataset("fashion-mnist", root=cache)
    except OSError as error:
        missing = (
            f"The full Fashion-MNIST is neither in {cache} nor in {DEBIAN_FASHION_MNIST} "
            f"(Debian's package dataset-fashion-mnist), and could not be downloaded: {error}"
        )
        if os.environ.get("LTHLAB_REQUIRE_FULL_DATA"):
            pytest.fail(missing)
        pytest.skip(missing)
    return cache


@pytest.fixture(scope="session")
def browser():
    """One real browser for all tests that need one."""
    from playwright.sync_api import sync_playwright
    from test_browser import ARGUMENTS, find_browser

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=find_browser(playwright), args=ARGUMENTS
        )
        yield launched
        launched.close()


@pytest.fixture
def declared():
    """Arms that a test declares are gone after it."""
    before = dict(ARMS)
    yield
    ARMS.clear()
    ARMS.update(before)


@pytest.fixture(params=CASES)
def case(request, tiny, tiny_signals):
    """A network, data and recipe: by layer with Adam, globally with momentum and BatchNorm."""
    name, recipe = CASES[request.param]
    return name, tiny if request.param == "layer" else tiny_signals, recipe
