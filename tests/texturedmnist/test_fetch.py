import gc
import hashlib
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from torchvision import datasets

from tests.texturedmnist.conftest import Trust
from tests.texturedmnist.tree import write_dtd, write_mnist
from texturedmnist.recipe import DTD_CLASSES, Recipe
from texturedmnist.sources import SourceError, download, load_digits, open_sources


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve tmp_path/served; yield the address."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    (tmp_path / "served").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


@pytest.fixture
def served_mnist(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, trust: Trust
) -> dict[str, str]:
    """Let torchvision find a fake MNIST on the server; return the md5 of its files."""
    md5 = write_mnist(tmp_path / "fake")
    for path in (tmp_path / "fake" / "MNIST" / "raw").iterdir():
        path.rename(tmp_path / "served" / path.name)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [server])
    monkeypatch.setattr(datasets.MNIST, "resources", list(md5.items()))
    trust(md5 | write_mnist(tmp_path / "fake", gz=False))
    return md5


@pytest.fixture
def served_dtd(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let torchvision find a fake DTD on the server; return the archive."""
    write_dtd(tmp_path / "fake", DTD_CLASSES, 3, (8, 8), labels=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tmp_path / "fake" / "dtd" / "dtd", "dtd")
    archive = tmp_path / "served" / "dtd-r1.0.1.tar.gz"
    archive.write_bytes(packed.getvalue())
    md5 = hashlib.md5(packed.getvalue()).hexdigest()
    monkeypatch.setattr(datasets.DTD, "_URL", f"{server}{archive.name}")
    monkeypatch.setattr(datasets.DTD, "_MD5", md5)
    return archive


def test_mnist_is_downloaded_and_read(
    tmp_path: Path, served_mnist: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    download("mnist", root)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in root.iterdir()] == ["MNIST"]
    assert served_mnist.keys() < {p.name for p in (root / "MNIST" / "raw").iterdir()}
    assert len(load_digits("mnist", root).labels) == 80


@pytest.mark.usefixtures("served_mnist")
def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    raw = tmp_path / "MNIST" / "raw"
    (raw / "train-images-idx3-ubyte.gz").write_bytes(b"one's own")
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    download("mnist", tmp_path)
    assert (raw / "train-images-idx3-ubyte.gz").read_bytes() == b"one's own"
    assert not (raw / "train-images-idx3-ubyte").exists()
    assert (raw / "t10k-labels-idx1-ubyte.gz").exists()


@pytest.mark.usefixtures("served_dtd")
def test_dtd_is_downloaded_and_read(tmp_path: Path) -> None:
    root = tmp_path / "data"
    recipe = Recipe(bg=0, tex=0, digits="embedded", image_size=28)
    opened = open_sources(
        recipe, data_root=root, cache_dir=tmp_path / "cache", download=True
    )
    assert opened.digit_textures.index.count.tolist() == [[1] * 10] * 3
    assert [path.name for path in root.iterdir()] == ["dtd"]
    assert [path.name for path in (root / "dtd").iterdir()] == ["dtd"]
    download("dtd", root)


@pytest.mark.parametrize(
    ("name", "file"),
    [("mnist", "t10k-labels-idx1-ubyte.gz"), ("dtd", "dtd-r1.0.1.tar.gz")],
)
def test_a_download_that_is_cut_leaves_nothing(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, file: str
) -> None:
    request.getfixturevalue(f"served_{name}")
    path = tmp_path / "served" / file
    path.write_bytes(path.read_bytes()[:-9])
    text = f"can't download {name} from http://127.*corrupted.*use --embedded"
    with pytest.raises(SourceError, match=text):
        download(name, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


# torchvision leaves the refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["mnist", "dtd"])
def test_a_server_that_lacks_the_files_or_is_gone_is_named(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    request.getfixturevalue(f"served_{name}")
    shutil.rmtree(tmp_path / "served")
    text = f"can't download {name} from http://127.*404"
    with pytest.raises(SourceError, match=text):
        download(name, tmp_path / "data")
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    monkeypatch.setattr(datasets.DTD, "_URL", "http://127.0.0.1:9/dtd.tar.gz")
    with pytest.raises(SourceError, match=f"can't download {name} from http.*refused"):
        download(name, tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
    gc.collect()


def test_what_can_not_be_downloaded_is_reported(tmp_path: Path) -> None:
    write_dtd(tmp_path, DTD_CLASSES[:40])
    (tmp_path / "file").touch()
    for name, root, text in (
        ("dtd", tmp_path, r"lacks 7 of DTD's 47 .*\(studded, .* won't be overwritten"),
        ("mnist", tmp_path / "file", r"can't download mnist .* to .*/file: .*exist"),
        ("svhn", tmp_path, "can't download 'svhn'; known: mnist, dtd"),
    ):
        with pytest.raises(SourceError, match=text):
            download(name, root)


def test_what_is_whole_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: Trust
) -> None:
    trust(write_mnist(tmp_path))
    write_dtd(tmp_path, DTD_CLASSES)
    monkeypatch.delattr("texturedmnist.sources.fetch.tempfile")
    download("mnist", tmp_path)
    download("dtd", tmp_path)
