"""Data sets: sizes, splits and normalisation, and what happens when files or networks fail."""

import gzip
import http.client
import io
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zlib
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torchvision.datasets import utils as torchvision_files

from lthlab.data import (
    DATASETS,
    Dataset,
    Split,
    default_device,
    load_dataset,
    make_dataset,
)

EMBEDDED = ["fashion-mini", "mnist1d", "words"]  # without download
FULL = [name for name in DATASETS if name not in EMBEDDED]
IDX_FILES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def packaged_arrays() -> dict[str, np.ndarray]:
    with resources.files("lthlab").joinpath("assets/fashion_mini.npz").open("rb") as file:
        return dict(np.load(file, allow_pickle=False))


def as_pixels(dataset, x) -> np.ndarray:
    return (dataset.pictures(x) * 255).round().to(torch.uint8).numpy()


def sorted_rows(images: np.ndarray, labels) -> list[bytes]:
    return sorted(
        image.tobytes() + bytes([int(label)])
        for image, label in zip(images, np.asarray(labels), strict=True)
    )


def write_idx(path, array) -> None:
    array = np.asarray(array, np.uint8)
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    path.write_bytes(header + array.tobytes())


def write_small_mnist(root, train=5_020, test=20):
    """Data in MNIST's own format: 4x4 pixels, all of them ten times the label."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", train), ("t10k", test)):
        labels = np.arange(count) % 10
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)
        write_idx(
            raw / f"{part}-images-idx3-ubyte",
            np.broadcast_to(labels[:, None, None] * 10, (count, 4, 4)),
        )
    return raw


def cifar_records(labels) -> np.ndarray:
    """CIFAR-10's binary records: red rises along rows, green along columns, blue is 10 x label."""
    rows, columns = np.mgrid[:32, :32].astype(np.uint8)
    records = np.empty((len(labels), 3073), np.uint8)
    records[:, 0] = labels
    records[:, 1:1025] = 7 * rows.ravel()
    records[:, 1025:2049] = 5 * columns.ravel()
    records[:, 2049:] = 10 * np.asarray(labels)[:, None]
    return records


def write_small_cifar(root, per_file=1_004, test=20):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for number in range(1, 6):
        cifar_records((np.arange(per_file) + number) % 10).tofile(
            folder / f"data_batch_{number}.bin"
        )
    cifar_records(np.arange(test) % 10).tofile(folder / "test_batch.bin")
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(socket.socket, "connect", unreachable)


class Response(io.BytesIO):
    """What urlopen returns, as far as a download looks at it."""

    url, length, headers = None, None, {}


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_fashion_mini_has_the_promised_sizes_and_balanced_splits(fashion_mini):
    assert [
        len(part) for part in (fashion_mini.train, fashion_mini.validation, fashion_mini.test)
    ] == [
        8_000,
        2_000,
        2_000,
    ]
    assert fashion_mini.input_shape == (1, 28, 28)
    assert len(fashion_mini.classes) == 10
    for part, of_each in (
        (fashion_mini.train, 800),
        (fashion_mini.validation, 200),
        (fashion_mini.test, 200),
    ):
        assert part.x.dtype == torch.float32
        assert part.y.dtype == torch.int64
        assert part.y.bincount().tolist() == [of_each] * 10


def test_fashion_mini_uses_every_packaged_image_once_with_its_label(fashion_mini):
    packaged = packaged_arrays()
    train, validation, test = (
        as_pixels(fashion_mini, part.x)[:, 0]
        for part in (fashion_mini.train, fashion_mini.validation, fashion_mini.test)
    )
    labels = torch.cat([fashion_mini.train.y, fashion_mini.validation.y])
    assert sorted_rows(np.concatenate([train, validation]), labels) == sorted_rows(
        packaged["x_train"], packaged["y_train"]
    )
    assert np.array_equal(test, packaged["x_test"])
    assert np.array_equal(fashion_mini.test.y.numpy(), packaged["y_test"])


@pytest.mark.parametrize("name", [name for name in EMBEDDED if name != "words"])  # tokens
def test_training_inputs_have_mean_0_and_deviation_1(name, request):
    dataset = request.getfixturevalue(name.replace("-", "_"))
    assert abs(float(dataset.train.x.double().mean())) < 1e-4
    assert float(dataset.train.x.double().std()) == pytest.approx(1, abs=1e-4)


def test_mnist1d_has_the_promised_sizes(mnist1d):
    assert [len(part) for part in (mnist1d.train, mnist1d.validation, mnist1d.test)] == [
        8_000,
        2_000,
        2_000,
    ]
    assert mnist1d.input_shape == (1, 40)
    assert len(mnist1d.classes) == 10
    assert mnist1d.validation.y.bincount().tolist() == [200] * 10


def test_loading_mnist1d_is_deterministic_and_leaves_all_global_random_states_alone(mnist1d):
    random.seed(123)
    np.random.seed(456)
    torch.manual_seed(789)
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    again = load_dataset("mnist1d")
    assert random.getstate() == python
    assert np.array_equal(np.random.get_state()[1], numpy[1])
    assert np.random.get_state()[2:] == numpy[2:]
    assert torch.equal(torch.get_rng_state(), torch_state)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(again, part).x, getattr(mnist1d, part).x)
        assert torch.equal(getattr(again, part).y, getattr(mnist1d, part).y)


TWO_AT_ONCE = """
import random, sys, threading, time
import numpy as np
import torch
from lthlab import load_dataset

def seed():
    random.seed(1), np.random.seed(2), torch.manual_seed(3)

def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))

def load(number):
    loaded[number] = load_dataset("mnist1d", device="cpu")

loaded, drawn = {}, []
threads = [threading.Thread(target=load, args=(number,)) for number in range(2)]
seed()
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    drawn.append(draw())
    time.sleep(0.001)
drawn.append(draw())
seed()
print(len(drawn), drawn == [draw() for _ in drawn])
arrays = {
    f"{number} {name} {part}": getattr(getattr(data, name), part).numpy()
    for number, data in loaded.items()
    for name in ("train", "validation", "test")
    for part in "xy"
}
import mnist1d.data  # only now: its generator seeds the global states
args = mnist1d.data.get_dataset_args()
args.num_samples, args.train_split = 12_000, 10 / 12
made = mnist1d.data.make_dataset(args)
np.savez(sys.argv[1], **arrays, **{name: made[name] for name in ("x", "y", "x_test", "y_test")})
"""


@pytest.fixture(scope="module")
def loaded_twice_at_once(tmp_path_factory):
    """What a fresh process says and finds in which two threads load mnist1d for the first time."""
    file = tmp_path_factory.mktemp("mnist1d") / "found.npz"
    command = [sys.executable, "-c", TWO_AT_ONCE, str(file)]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout.split(), dict(np.load(file))


def test_random_numbers_drawn_while_mnist1d_is_generated_are_undisturbed(loaded_twice_at_once):
    (count, undisturbed), _ = loaded_twice_at_once
    assert int(count) > 50, "too few numbers were drawn in the meantime to tell"
    assert undisturbed == "True"


def test_two_threads_that_load_mnist1d_at_once_both_get_the_right_data(
    loaded_twice_at_once, mnist1d
):
    _, found = loaded_twice_at_once
    for number in range(2):
        for name in ("train", "validation", "test"):
            for part in "xy":
                expected = getattr(getattr(mnist1d, name), part).cpu().numpy()
                assert np.array_equal(found[f"{number} {name} {part}"], expected)


def test_mnist1d_is_what_its_authors_generator_makes(loaded_twice_at_once, mnist1d):
    _, made = loaded_twice_at_once
    parts = mnist1d.train, mnist1d.validation
    x, y = torch.cat([part.x for part in parts]), torch.cat([part.y for part in parts]).cpu()
    for signals, labels, inputs, classes in (
        (mnist1d.pictures(x)[:, 0].numpy(), y.numpy(), made["x"], made["y"]),
        (
            mnist1d.pictures(mnist1d.test.x)[:, 0].numpy(),
            mnist1d.test.y.cpu().numpy(),
            made["x_test"],
            made["y_test"],
        ),
    ):
        mine, theirs = np.argsort(signals[:, 0]), np.argsort(inputs[:, 0])
        assert np.abs(signals[mine] - inputs[theirs]).max() < 1e-5
        assert np.array_equal(labels[mine], classes[theirs])


def test_embedded_sets_need_no_network_and_no_folder(no_network, tmp_path, monkeypatch):
    monkeypatch.setenv("LTHLAB_DATA", str(tmp_path / "absent"))
    assert len(load_dataset("fashion-mini").train) == 8_000
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("given", "meant"),
    [("fashion_mini", "fashion-mini"), ("minst", "mnist"), ("cifar-10", "cifar10")],
)
def test_unknown_name_gets_the_nearest_match_and_the_known_names(given, meant):
    with pytest.raises(ValueError, match="name is one of") as error:
        load_dataset(given)
    text = one_line(error)
    assert f"Did you mean {meant!r}?" in text
    assert all(name in text for name in DATASETS)


@pytest.mark.parametrize("name", FULL)
def test_no_network_and_no_cache_is_one_error_that_names_the_embedded_sets(
    name, tmp_path, no_network
):
    with pytest.raises(OSError, match="could not be downloaded") as error:
        load_dataset(name, root=tmp_path)
    text = one_line(error)
    assert type(error.value) is OSError
    assert text.startswith(f"{name} is not in {tmp_path}")
    assert all(embedded in text for embedded in EMBEDDED)
    assert error.value.__suppress_context__, "the reader should see one error, not a chain"
    assert list(tmp_path.iterdir()) == []


def test_the_environment_variable_names_the_folder_of_the_full_sets(
    tmp_path, monkeypatch, no_network
):
    monkeypatch.setenv("LTHLAB_DATA", str(tmp_path))
    write_small_mnist(tmp_path)
    assert len(load_dataset("mnist").test) == 20


def check_it_says_what_to_do(error, name, root) -> None:
    text = one_line(error)
    assert type(error.value) is OSError, "not the bare error of the system call"
    assert text.startswith(f"{name} is not in {root} and could not be downloaded")
    assert "$LTHLAB_DATA" in text and all(embedded in text for embedded in EMBEDDED)


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_the_way_of_the_folder_is_one_clear_error(name, below, tmp_path, no_network):
    (tmp_path / "file").write_text("in the way")
    root = tmp_path / "file" / below
    with pytest.raises(OSError) as error:
        load_dataset(name, root=root)
    check_it_says_what_to_do(error, name, root)
    assert (tmp_path / "file").read_text() == "in the way"


@contextmanager
def ordinary_user():
    """For root every folder is open, so root is nobody for the length of a block."""
    if not hasattr(os, "seteuid"):
        pytest.skip("This system has no user ids.")
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read-only", "closed"])
def test_a_folder_that_cannot_be_written_is_one_clear_error(name, mode, no_network):
    with tempfile.TemporaryDirectory() as above:  # not in tmp_path, which nobody else may enter
        os.chmod(above, 0o755)
        root = Path(above) / "data"
        root.mkdir(mode=mode)
        with ordinary_user(), pytest.raises(OSError) as error:
            load_dataset(name, root=root)
    check_it_says_what_to_do(error, name, root)


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("failure", ["wrong bytes", "cut off"])
def test_a_download_that_breaks_leaves_nothing_behind(name, failure, tmp_path, monkeypatch):
    class CutOff(Response):
        def read(self, *_):
            raise http.client.IncompleteRead(b"", 1_000)

    kind = CutOff if failure == "cut off" else Response
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: kind(b"not an archive"))
    with pytest.raises(OSError, match="could not be downloaded") as error:
        load_dataset(name, root=tmp_path)
    one_line(error)
    assert list(tmp_path.iterdir()) == []


def test_small_set_in_mnists_own_format_is_read_with_its_labels(tmp_path):
    write_small_mnist(tmp_path)
    dataset = load_dataset("mnist", root=tmp_path)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [
        20,
        5_000,
        20,
    ]
    for part in (dataset.train, dataset.validation, dataset.test):
        assert np.array_equal(as_pixels(dataset, part.x)[:, 0, 0, 0], 10 * part.y.numpy())


DAMAGES = {
    "empty": lambda content: b"",
    "cut to half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "one byte too many": lambda content: content + b"x",
    "only a header": lambda content: content[:8],
    "text": lambda content: b"<html>404 Not Found</html>" * 20,
    "still packed": lambda content: gzip.compress(content),
    "unknown type byte": lambda content: content[:2] + b"\x0a" + content[3:],
    "signed type byte": lambda content: content[:2] + b"\x09" + content[3:],
    "other number of axes": lambda content: content[:3] + b"\x02" + content[4:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_idx_files_give_one_clear_error(damage, tmp_path):
    raw = write_small_mnist(tmp_path)
    for name in IDX_FILES:
        whole = (raw / name).read_bytes()
        (raw / name).write_bytes(DAMAGES[damage](whole))
        with pytest.raises(OSError, match="damaged or incomplete") as error:
            load_dataset("mnist", root=tmp_path)
        assert str(tmp_path / "MNIST") in one_line(error)
        (raw / name).write_bytes(whole)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_label_files_with_impossible_labels_are_damaged_files(part, tmp_path):
    raw = write_small_mnist(tmp_path)
    labels = raw / f"{part}-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\xc8")
    with pytest.raises(OSError, match="damaged or incomplete"):
        load_dataset("mnist", root=tmp_path)


@pytest.mark.parametrize("part", ["train", "t10k"])
def test_label_files_shorter_than_the_images_are_damaged_files(part, tmp_path):
    raw = write_small_mnist(tmp_path)
    write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(10))
    with pytest.raises(OSError, match="damaged or incomplete"):
        load_dataset("mnist", root=tmp_path)


@pytest.mark.parametrize("name", IDX_FILES)
def test_missing_files_give_one_clear_error(name, tmp_path):
    raw = write_small_mnist(tmp_path)
    (raw / name).unlink()
    with pytest.raises(OSError, match="damaged or incomplete") as error:
        load_dataset("mnist", root=tmp_path)
    one_line(error)


def test_full_fashion_mnist_has_the_promised_sizes(fashion_mnist_root):
    dataset = load_dataset("fashion-mnist", root=fashion_mnist_root)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [
        55_000,
        5_000,
        10_000,
    ]
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.validation.y.bincount().tolist() == [500] * 10
    assert dataset.train.y.bincount().tolist() == [5_500] * 10


@pytest.mark.parametrize(
    ("part", "key", "of_each"), [("train", "train", 1_000), ("t10k", "test", 200)]
)
def test_fashion_mini_is_the_beginning_of_each_class_of_fashion_mnist(
    part, key, of_each, fashion_mnist_root
):
    raw, mini = fashion_mnist_root / "FashionMNIST" / "raw", packaged_arrays()
    images = np.frombuffer(
        (raw / f"{part}-images-idx3-ubyte").read_bytes(), np.uint8, offset=16
    ).reshape(-1, 28, 28)
    labels = np.frombuffer((raw / f"{part}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    for label in range(10):
        chosen = mini[f"x_{key}"][mini[f"y_{key}"] == label]
        assert len(chosen) == of_each
        assert np.array_equal(chosen, images[labels == label][:of_each])


def test_cifar10_is_read_from_its_binary_format(tmp_path):
    write_small_cifar(tmp_path)
    dataset = load_dataset("cifar10", root=tmp_path)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [
        20,
        5_000,
        20,
    ]
    assert dataset.input_shape == (3, 32, 32)
    rows, columns = np.mgrid[:32, :32]
    for part in (dataset.train, dataset.validation, dataset.test):
        pixels = as_pixels(dataset, part.x)
        assert (pixels[:, 0] == 7 * rows).all()
        assert (pixels[:, 1] == 5 * columns).all()
        assert (pixels[:, 2] == 10 * part.y.numpy()[:, None, None]).all()


def test_cifar10_is_downloaded_unpacked_and_then_found_again(tmp_path, monkeypatch, no_network):
    folder, root, packed = write_small_cifar(tmp_path / "served"), tmp_path / "root", io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    # The checksum that the data set's page prints (cs.toronto.edu/~kriz/cifar.html).
    printed = {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}

    def checksum(path, *_, **__):
        return printed[os.path.basename(path)]

    monkeypatch.setattr(torchvision_files, "calculate_md5", checksum)
    with monkeypatch.context() as online:
        online.setattr(urllib.request, "urlopen", lambda *_, **__: Response(packed.getvalue()))
        first = load_dataset("cifar10", root=root)
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-bin"]
    again = load_dataset("cifar10", root=root)
    assert torch.equal(first.train.x, again.train.x)
    assert len(again.train) == 20


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "impossible label"])
@pytest.mark.parametrize("name", ["data_batch_5.bin", "test_batch.bin"])
def test_damaged_cifar10_files_give_one_clear_error(name, damage, tmp_path):
    file = write_small_cifar(tmp_path) / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(
            {"cut": content[:-100], "empty": b"", "impossible label": b"\xc8" + content[1:]}[damage]
        )
    with pytest.raises(OSError, match="damaged or incomplete") as error:
        load_dataset("cifar10", root=tmp_path)
    assert "cifar-10-batches-bin" in one_line(error)


@given(
    labels=st.lists(st.integers(0, 3), min_size=3, max_size=60),
    share=st.floats(0, 1),
    global_seed=st.integers(0, 2**32 - 1),
)
def test_every_training_example_lands_in_exactly_one_split_whatever_the_global_seed(
    labels, share, global_seed
):
    held_out = 1 + round(share * (len(labels) - 3))  # at least two stay, for a deviation
    identity = np.arange(len(labels), dtype=np.float64)
    arguments = (
        identity[:, None],
        np.array(labels),
        np.zeros((1, 1)),
        np.zeros(1),
        "abcd",
        held_out,
        "cpu",
    )
    torch.manual_seed(global_seed)
    dataset = make_dataset("ids", *arguments)
    ids = [
        dataset.pictures(part.x)[:, 0].round().long()
        for part in (dataset.train, dataset.validation)
    ]
    assert len(ids[1]) == held_out
    assert sorted(torch.cat(ids).tolist()) == list(range(len(labels)))
    for part, chosen in zip((dataset.train, dataset.validation), ids, strict=True):
        assert part.y.tolist() == [labels[i] for i in chosen]
    torch.manual_seed(global_seed + 1)
    assert torch.equal(make_dataset("ids", *arguments).validation.x, dataset.validation.x)


@given(of_each=st.integers(3, 12), held_out_of_each=st.integers(1, 11), extra=st.integers(0, 2))
def test_validation_is_balanced_over_classes_as_far_as_that_divides(
    of_each, held_out_of_each, extra
):
    held_out = 3 * min(held_out_of_each, of_each - 2) + extra
    labels = np.repeat([0, 1, 2], of_each)
    dataset = make_dataset(
        "x", np.zeros((len(labels), 1)), labels, np.zeros((1, 1)), [0], "abc", held_out
    )
    counts = dataset.validation.y.bincount(minlength=3)
    assert int(counts.sum()) == held_out
    assert int(counts.max() - counts.min()) == (1 if extra else 0)


@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=5), share=st.floats(0, 1))
def test_validation_never_takes_every_example_of_a_rare_class(counts, share):
    most = sum(counts) - len(counts)  # one of each class can stay
    assume(most > 0)
    held_out, labels = 1 + round(share * (most - 1)), np.repeat(range(len(counts)), counts)
    x, classes = np.zeros((len(labels), 1)), ("abcde"[: len(counts)])
    dataset = make_dataset("x", x, labels, np.zeros((1, 1)), [0], classes, held_out)
    left = dataset.train.y.bincount(minlength=len(counts)).tolist()
    assert min(left) >= 1
    if held_out <= sum(count // 2 for count in counts):
        assert all(2 * stay >= count for stay, count in zip(left, counts, strict=True))


def test_the_validation_split_of_balanced_data_is_the_one_it_always_was(fashion_mini):
    """Results in the reference tables are by these examples: another choice would move them all."""
    draw = np.arange(12.0)[:, None], np.arange(12) % 3, np.zeros((1, 1)), [0], "abc", 6
    dataset = make_dataset("x", *draw)
    assert dataset.pictures(dataset.validation.x).flatten().round().tolist() == [0, 1, 11, 2, 7, 9]
    pixels = as_pixels(fashion_mini, fashion_mini.validation.x)
    assert zlib.crc32(pixels.tobytes()) == 2102606023


@given(
    constant=st.floats(-1e4, 1e4, width=32),
    shift=st.floats(-10, 10, width=32),
    examples=st.integers(6, 40),
)
def test_a_feature_that_is_constant_in_training_keeps_its_scale(constant, shift, examples):
    varying = np.random.default_rng(0).normal(size=examples)
    x = np.stack([np.full(examples, constant), varying], 1)
    x_test = np.array([[constant + shift, 0.0]])
    dataset = make_dataset("x", x, np.arange(examples) % 2, x_test, [0], "ab", examples // 3)
    assert float(dataset.test.x[0, 0]) == pytest.approx(shift, abs=2e-3)
    assert dataset.train.x[:, 0].abs().max() < 2e-3
    assert float(dataset.train.x[:, 1].std(correction=0)) == pytest.approx(1, rel=1e-4)
    assert np.allclose(dataset.pictures(dataset.test.x), x_test, atol=2e-3)


def test_mean_and_deviation_are_those_of_the_training_split_alone():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(60, 3, 5)) * [[1], [2], [3]], np.arange(60) % 2
    near, far = (
        make_dataset("x", x, y, x_test, [0], "ab", 20)
        for x_test in (np.zeros((1, 3, 5)), np.full((1, 3, 5), 1e6))
    )
    assert torch.equal(near.train.x, far.train.x)
    raw = near.pictures(near.train.x)
    for channel in range(3):
        assert float(near.mean[0, channel]) == pytest.approx(
            float(raw[:, channel].mean()), abs=1e-5
        )
        assert float(near.std[0, channel]) == pytest.approx(
            float(raw[:, channel].std(correction=0)), rel=1e-5
        )
        assert abs(float(near.train.x[:, channel].mean())) < 1e-5
    assert torch.allclose(near.test.x, -near.mean / near.std)
    assert float(far.test.x.min()) > 1e5


def test_bytes_are_pixels_from_0_to_1_and_a_constant_channel_does_no_harm():
    x = np.full((10, 1, 2, 2), 255, np.uint8)
    dataset = make_dataset("white", x, np.arange(10) % 2, x[:2], [0, 1], "ab", 4)
    assert torch.equal(dataset.pictures(dataset.test.x), torch.ones(2, 1, 2, 2))
    assert torch.equal(dataset.train.x, torch.zeros(6, 1, 2, 2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": np.arange(9) % 2}, "x and y must pair up"),
        ({"y_test": [0]}, "x_test and y_test must pair up"),
        ({"held_out": 0}, "held_out is a whole number from 1"),
        ({"held_out": 10}, "held_out leaves some of 10 examples"),
        ({"y": np.arange(10) % 3}, "from 0 to 1; got 0 to 2"),
        ({"y": np.arange(10) % 2 - 1}, "from 0 to 1; got -1"),
        ({"y_test": [0, 2]}, "from 0 to 1; got 0 to 2"),
        ({"y_test": [-1, 0]}, "from 0 to 1; got -1 to 0"),
        ({"y": np.arange(10) % 2 + 0.5}, "class numbers, whole"),
        ({"y": np.full(10, 1.7)}, "class numbers, whole"),
        ({"y": np.full(10, np.nan)}, "y is an array of finite numbers"),
        ({"y": np.arange(10) % 2 * (1 + 1j)}, "y is an array of finite numbers"),
        ({"y": np.eye(2)[np.arange(10) % 2]}, "x and y must pair up"),
        ({"y_test": [0.5, 1]}, "class numbers, whole"),
    ],
)
def test_make_dataset_refuses_arrays_that_do_not_fit(changes, said):
    fitting = {
        "x": np.zeros((10, 1, 3)),
        "y": np.arange(10) % 2,
        "x_test": np.zeros((2, 1, 3)),
        "y_test": [0, 1],
        "classes": "ab",
        "held_out": 4,
    }
    assert len(make_dataset("fits", **fitting).train) == 6
    with pytest.raises(ValueError, match=re.escape(said)):
        make_dataset("does not", **(fitting | changes))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: y + 1, "from 0 to 3; got 1 to 4"),
        (lambda y: y - 1, "from 0 to 3; got -1 to 2"),
        (lambda y: y + 0.5, "class numbers, whole"),
        (lambda y: y.float() * 1.7, "class numbers, whole"),
    ],
)
def test_a_dataset_made_by_hand_refuses_labels_that_are_no_classes(split, change, said, tiny):
    part = getattr(tiny, split)
    parts = {name: getattr(tiny, name) for name in ("train", "validation", "test")}
    parts[split] = Split(part.x, change(part.y))
    with pytest.raises(ValueError, match=re.escape(said)):
        Dataset("by hand", **parts, classes=tiny.classes, mean=tiny.mean, std=tiny.std)
    with pytest.raises(ValueError, match=re.escape(said)):
        replace(tiny, **{split: parts[split]})


def test_a_split_made_by_hand_refuses_labels_that_do_not_pair_up(tiny):
    with pytest.raises(ValueError, match="x and y must pair up"):
        Split(tiny.test.x, tiny.test.y[1:])


def test_moving_a_dataset_moves_every_tensor(tiny):
    moved = tiny.to("meta")
    tensors = [t for part in (moved.train, moved.validation, moved.test) for t in (part.x, part.y)]
    assert {t.device.type for t in [*tensors, moved.mean, moved.std]} == {"meta"}
    assert moved.device.type == "meta"
    assert tiny.device.type == "cpu"


def test_the_device_is_the_one_that_the_environment_names(monkeypatch):
    monkeypatch.setenv("LTHLAB_DEVICE", "meta")
    assert default_device() == torch.device("meta")
    monkeypatch.delenv("LTHLAB_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    if not torch.cuda.device_count():
        with pytest.raises(ValueError, match="LTHLAB_DEVICE is a device of this machine"):
            default_device()


def test_a_dataset_introduces_itself(tiny):
    assert (
        repr(tiny)
        == "Dataset(tiny: 100 train, 30 validation, 30 test; 4 classes, 1x4x4 inputs on cpu)"
    )
