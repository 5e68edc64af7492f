import gzip
import hashlib
import os
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets

from tests.texturedmnist.conftest import Trust
from tests.texturedmnist.tree import REAL_DATA, idx, needs_real_data, write_mnist
from texturedmnist.draws import hash_order
from texturedmnist.sources import SourceError, load_digits
from texturedmnist.sources.digits import MNIST_MD5, enlarge

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
RAW = Path("MNIST", "raw")
EMBEDDED_DIGEST = "4413f26c8635689bc57a90a648475d74b869b7c2c1fab26c2b1ded08ca412c50"


def test_mnist_is_read_plain_or_packed(tmp_path: Path, trust: Trust) -> None:
    packed = write_mnist(tmp_path / "a", 30, 10)
    trust(packed | write_mnist(tmp_path / "b", 30, 10, gz=False))
    one, other = (load_digits("mnist", tmp_path / name) for name in "ab")
    for digits in (one, other):
        assert digits.images.shape == (40, 28, 28)
        assert digits.images.dtype == digits.labels.dtype == np.uint8
        assert digits.development == 30
        assert digits.labels.tolist() == [*range(10)] * 4
        assert digits.images[3, 7].max() == digits.images[33, 7].max() == 252
    trust(write_mnist(tmp_path / "c", 50, 30))
    assert one.digest == other.digest != load_digits("mnist", tmp_path / "c").digest


def test_the_plain_file_is_preferred(tmp_path: Path, trust: Trust) -> None:
    write_mnist(tmp_path, gz=True)
    trust(write_mnist(tmp_path, gz=False))
    (tmp_path / RAW / IMAGES).write_bytes(b"never read")
    assert len(load_digits("mnist", tmp_path).labels) == 80


@pytest.mark.parametrize("pipe", [False, True])
def test_missing_files_are_named(tmp_path: Path, pipe: bool) -> None:
    write_mnist(tmp_path)
    path = tmp_path / RAW / IMAGES
    path.unlink()
    if pipe:  # it is not waited for
        os.mkfifo(path)
    text = f"MNIST is not in {path.parent}: missing train-images-idx3-ubyte"
    with pytest.raises(SourceError, match=text) as caught:
        load_digits("mnist", tmp_path)
    assert "t10k" not in str(caught.value)


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / RAW / IMAGES).mkdir(parents=True)
    with pytest.raises(SourceError, match=f"{IMAGES} is a folder, not that file; "):
        load_digits("mnist", tmp_path)


SOUND = idx(np.zeros((60, 28, 28), np.uint8))
HUGE = struct.pack(">4I", 2051, 0, 2**31, 2**31)  # no image, of a size no array has
BROKEN = [
    (gzip.compress(SOUND)[:-20], "is truncated; "),
    (b"<html>not found</html>", "is not a sound gzip file"),
    *(
        (gzip.compress(data), text)
        for data, text in (
            (SOUND[:-1], "truncated: 47039 values for 470"),
            (SOUND + b"0", "too long: 47041 values for 47"),
            (b"\0\0\x08\x03\0", "truncated: only 5 bytes"),
            (b"", "truncated: only 0 bytes"),
            (idx(np.zeros(60, np.uint8)), "wrong magic number 2049, not 2051"),
            (b"\xff" * 16, "wrong magic number 4294967295, not 2051"),
            (b"\0\0\x08\x03" + b"\xff" * 12, "truncated: 0 values for 7922816245"),
            (HUGE, "images of 2147483648 x 2147483648 px, not"),
        )
    ),
]


@pytest.mark.parametrize(("content", "text"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, text: str) -> None:
    write_mnist(tmp_path)
    (tmp_path / RAW / IMAGES).write_bytes(content)
    with pytest.raises(SourceError, match=f"{IMAGES} .*{text}.*download mnist"):
        load_digits("mnist", tmp_path)


def test_images_and_labels_must_be_as_many(tmp_path: Path) -> None:
    write_mnist(tmp_path, train=60)
    labels = gzip.compress(idx(np.zeros(59, np.uint8)))
    (tmp_path / RAW / LABELS).write_bytes(labels)
    with pytest.raises(SourceError, match=f"{IMAGES} has 60 images .* 59 labels"):
        load_digits("mnist", tmp_path)


@pytest.mark.parametrize("gz", [True, False])
def test_sound_files_that_are_not_mnist_are_refused(tmp_path: Path, gz: bool) -> None:
    md5 = write_mnist(tmp_path, gz=gz)
    name = IMAGES if gz else IMAGES.removesuffix(".gz")
    text = f"{name} is not MNIST's: its md5 is {md5[name]}, not {MNIST_MD5[name]}"
    with pytest.raises(SourceError, match=text):
        load_digits("mnist", tmp_path)


def test_embedded_digits_need_no_files() -> None:
    digits = load_digits("embedded", Path("nowhere"))
    assert digits.digest == EMBEDDED_DIGEST  # the same everywhere
    assert digits.images.shape == (1797, 28, 28)
    assert digits.images.dtype == digits.labels.dtype == np.uint8
    assert digits.development == 1797 - 256
    # Both pools hold every digit about equally often.
    for pool in (slice(None, digits.development), slice(digits.development, None)):
        counts = np.bincount(digits.labels[pool], minlength=10)
        assert counts.min() > 0.8 * counts.max() - 3


def test_embedded_digits_are_all_of_scikit_learns() -> None:
    bundled = sklearn.datasets.load_digits()
    digits = load_digits("embedded", Path("nowhere"))
    enlarged = enlarge(bundled.images.astype(np.int64))
    order = hash_order(0, "digit_partition", len(enlarged))
    assert np.array_equal(digits.images, enlarged[order])
    assert np.array_equal(digits.labels, bundled.target[order])


def test_absent_or_unknown_digits_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("texturedmnist.sources.digits.find_spec", lambda _: None)
    with pytest.raises(SourceError, match="no scikit-learn with them is installed"):
        load_digits("embedded", Path("nowhere"))
    with pytest.raises(SourceError, match="unknown digits 'svhn'; known: mnist, emb"):
        load_digits("svhn", Path("nowhere"))


def test_embedded_digits_fill_the_square_as_mnist_does() -> None:
    ink = load_digits("embedded", Path("nowhere")).images >= 128
    heights = ink.any(2).sum(1)
    assert 20 <= np.median(heights) <= 24
    assert heights.min() >= 14
    assert not ink[:, [0, -1]].any()
    assert not ink[:, :, [0, -1]].any()
    assert 0.1 < ink.mean() < 0.25


def test_enlarging_is_the_exact_bilinear_one() -> None:
    small = np.random.default_rng(0).integers(0, 17, (5, 8, 8))
    large = enlarge(small)
    # With half-pixel centers, pixel 3k + 3 has the very value of the k-th.
    expected = np.clip(2 * small / 16 - 0.5, 0, 1) * 255
    assert np.abs(large[:, 3:27:3, 3:27:3] - expected).max() <= 0.5
    between = (2 * small[:, 2, 4] + small[:, 2, 5]) / 3
    expected = np.clip(2 * between / 16 - 0.5, 0, 1) * 255
    assert np.abs(large[:, 9, 16] - expected).max() <= 0.5


@needs_real_data
def test_real_mnist_is_whole() -> None:
    digits = load_digits("mnist", REAL_DATA)
    assert digits.images.shape == (70_000, 28, 28)
    assert digits.development == 60_000
    assert digits.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert digits.labels[60_000:60_005].tolist() == [7, 2, 1, 0, 4]


@needs_real_data
def test_md5_of_plain_files_are_those_of_the_packed_ones_unpacked() -> None:
    for path in (REAL_DATA / RAW).glob("*.gz"):
        data = path.read_bytes()
        assert MNIST_MD5[path.name] == hashlib.md5(data).hexdigest()
        plain = hashlib.md5(gzip.decompress(data)).hexdigest()
        assert MNIST_MD5[path.stem] == plain


@pytest.mark.parametrize("beside", ["folder", "empty file"])
def test_what_is_no_file_beside_a_sound_gz_does_not_count(
    tmp_path: Path, trust: Trust, beside: str
) -> None:
    """Kaggle's archive has a folder of each file's name."""
    trust(write_mnist(tmp_path))
    path = tmp_path / RAW / IMAGES.removesuffix(".gz")
    path.mkdir() if beside == "folder" else path.touch()
    assert len(load_digits("mnist", tmp_path).images) == 80


@pytest.mark.parametrize(
    "place",
    [
        "train-images.idx3-ubyte",
        "train-images-idx3-ubyte/train-images-idx3-ubyte",
        "train-images-idx3-ubyte/train-images.idx3-ubyte",
    ],
)
def test_a_file_under_another_name_is_reported(tmp_path: Path, place: str) -> None:
    write_mnist(tmp_path, gz=False)
    path = tmp_path / RAW / IMAGES.removesuffix(".gz")
    data = path.read_bytes()
    path.unlink()
    other = tmp_path / RAW / place
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(data)
    with pytest.raises(SourceError, match=f"{place} must be {path}: move it there; "):
        load_digits("mnist", tmp_path)


def test_an_archive_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    block = gzip.compress(bytes(16 << 20), 1)
    (tmp_path / RAW / IMAGES).write_bytes(block * 100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match="holds more than 64 MiB, so it isn't MNIST"):
        load_digits("mnist", tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB
