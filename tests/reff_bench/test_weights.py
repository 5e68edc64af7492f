"""Files of weights, anyone's."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from reff_bench.models.backbone import build_backbone
from reff_bench.models.output import ModelError
from reff_bench.models.timm_network import TimmNetwork
from reff_bench.models.weights import read_weights
from tests.reff_bench.small import SHARED

NPZ = SHARED / "weights" / "resnet50_imagenet_pruned_int8.npz"


def write_state(kind: str, folder: Path, state: dict[str, Tensor]) -> Path:
    path = folder / f"weights{'.pt' if kind not in ('.safetensors', '.npz') else kind}"
    if kind == ".safetensors":
        save_file(state, path)
    elif kind == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})  # type: ignore[arg-type]
    elif kind == "half":
        halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        torch.save(halves, path)
    elif kind == "module.":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    elif kind == "lightning":
        nested = {f"network.{name}": value for name, value in state.items()}
        torch.save({"state_dict": nested, "epoch": 3}, path)
    else:
        torch.save({"model": state}, path)
    return path


@pytest.mark.parametrize(
    "kind", [".safetensors", ".npz", "half", "module.", "lightning", "model"]
)
def test_files_of_many_kinds_are_read(kind: str, tmp_path: Path) -> None:
    plain = timm.create_model("resnet18", num_classes=4)
    path = write_state(kind, tmp_path, plain.state_dict())
    network = build_backbone("timm/resnet18", 4, weights=str(path))
    assert isinstance(network, TimmNetwork)
    found = network.network.state_dict()
    rtol, atol = (1e-3, 1e-4) if kind == "half" else (0.0, 0.0)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=atol)


NOT_DENSE = "; weights are dense real numbers"
WRONG: dict[str, Callable[[Tensor], object]] = {
    "holds no state dict": lambda one: {},
    "weights.pt holds no state dict": lambda one: {"a": 3},
    f"a is sparse_coo float32{NOT_DENSE}": lambda one: {"a": one.to_sparse()},
    f"a is strided complex64{NOT_DENSE}": lambda one: {"a": one.to(torch.complex64)},
    f"a is strided float8_e4m3fn{NOT_DENSE}": (
        lambda one: {"a": one.to(torch.float8_e4m3fn)}
    ),
    f"a is on the device 'meta'{NOT_DENSE}": lambda one: {"a": one.to("meta")},
    f"a is nested{NOT_DENSE}": (
        lambda one: {"a": torch.nested.nested_tensor([one[0], one[0, :1]])}
    ),
    f"a is expanded{NOT_DENSE}": lambda one: {"a": one[0, 0].expand(10**13)},
    "a holds values that aren't finite; give those of a training that": (
        lambda one: {"a": one * float("nan")}
    ),
    "a holds values that aren't finite": lambda one: {"a": one.double() * 1e300},
    "bn.running_var holds variances below zero; give those of a tra": (
        lambda one: {"bn.running_var": -one}
    ),
    "has names twice, with and without 'module.'; give the weights of": (
        lambda one: {"a": one, "module.a": one}
    ),
}


@pytest.mark.parametrize("message", WRONG)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_no_weights_is_refused(message: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(WRONG[message](torch.ones(2, 2)), path)
    with pytest.raises(ModelError, match=message):
        read_weights(path)


@pytest.mark.parametrize("suffix", [".pt", ".npz", ".safetensors"])
def test_a_file_of_another_kind_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"hello, this is a text")
    with pytest.raises(ModelError, match=r"can't be read \(\w+\); give a state dict"):
        read_weights(path)


@pytest.mark.parametrize("values", [["text"], np.zeros(2, [("a", "f4")]), [{}]])
def test_an_npz_without_numbers_is_refused(values: object, tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", a=np.array(values))
    with pytest.raises(ModelError, match=r"can't be read \(\w+\); give a state dict"):
        read_weights(tmp_path / "weights.npz")


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused(
    suffix: str, tmp_path: Path
) -> None:
    plain, path = tmp_path / "plain", tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez_compressed(path, a=np.zeros(10_000_000))
    else:
        torch.save({"a": torch.zeros(10_000_000)}, plain)
        with ZipFile(plain) as source, ZipFile(path, "w", ZIP_DEFLATED) as packed:
            for name in source.namelist():
                packed.writestr(name, source.read(name))
    assert path.stat().st_size < 200_000
    with pytest.raises(ModelError, match=r"would unpack to [4-8]\d,\d{3},\d{3} bytes"):
        read_weights(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("kind", [".safetensors", ".npz", "model"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(kind: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are closed to others
        folder = Path(name)
        path = write_state(kind, folder, {"a": torch.ones(1)})
        folder.chmod(0o755)
        path.chmod(0)
        os.seteuid(54321)
        try:
            with pytest.raises(PermissionError, match=f"Permission denied: '{path}'"):
                read_weights(path)
        finally:
            os.seteuid(0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (torch.tensor(1.0), r"\(\) float32 instead"),
        (torch.ones(0, 64), r"\(0, 64\) float32 instead"),
        (torch.ones(4, 64, dtype=torch.int8), ".*int8"),
    ],
)
def test_a_head_without_classes_or_of_whole_numbers_is_refused(
    value: Tensor, shown: str, tmp_path: Path
) -> None:
    state = build_backbone("resnet_small", 4).state_dict()
    path = write_state("model", tmp_path, {**state, "fc.weight": value})
    message = f"0 unknown, 1 of another shape or type, such as fc.weight {shown}"
    with pytest.raises(ModelError, match=message):
        build_backbone("resnet_small", 4, weights=str(path))


def test_missing_weights_of_timm_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made = timm.create_model

    def offline(name: str, **options: Any) -> nn.Module:
        if options.get("pretrained"):
            raise FileNotFoundError("cannot find the requested files")
        return made(name, **options)

    monkeypatch.setattr("timm.create_model", offline)
    message = r"timm's weights of resnet18 could not be .*cannot find the req.*; give"
    with pytest.raises(ModelError, match=message):
        build_backbone("timm/resnet18", 10, weights="imagenet")


@pytest.mark.skipif(not NPZ.is_file(), reason="no ../shared/data/weights here")
def test_the_pruned_resnet50_is_read_from_its_npz() -> None:
    network = build_backbone("resnet50", 10, weights=str(NPZ))
    with np.load(NPZ) as file:
        first = torch.from_numpy(file["conv1.weight"])
    assert network.state_dict()["conv1.weight"].equal(first)
