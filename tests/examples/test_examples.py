"""The examples run and reach the results in their docstrings."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from modernet.models import create_model
from modernet.models.tc import tc_problem

ROOT = Path(__file__).parents[2]


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- T and C ----------------------------------------------------------------------------------------------------------


def test_the_tc_example_classifies_every_image_correctly(capsys: pytest.CaptureFixture[str]) -> None:
    assert example("tc_problem").main([]) == 100.0
    printed = capsys.readouterr().out
    assert "100.0 % of 72 images are correct" in printed
    assert "hidden kernel 0" in printed
    assert "output weights: " in printed


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(1, 5))
def test_tc_is_learned_from_several_initial_weights(seed: int) -> None:
    torch.manual_seed(seed)
    images, labels = tc_problem(6)
    network = create_model("tc")
    assert example("tc_problem").train(network, images, labels, max_steps=1500) < 1500
    larger, larger_labels = tc_problem(9)  # the empty positions contribute the same to every image
    margin = (network(larger) @ torch.tensor([-1.0, 1.0])).detach()
    assert margin[larger_labels == 0].max() < margin[larger_labels == 1].min()


# --- LeNet on the digits of the US Postal Service ---------------------------------------------------------------------


def write_digits(folder: Path, count: int) -> None:
    """Write synthetic digits in the format of the files: class k is a bright row at height k + 3."""
    for name, seed in (("zip.train.gz", 0), ("zip.test.gz", 1)):
        generator = torch.Generator().manual_seed(seed)
        lines = []
        for number in range(count):
            image = 0.3 * torch.rand(16, 16, generator=generator) - 1
            image[number % 10 + 3] = 1.0
            values = " ".join(f"{value:.3f}" for value in image.flatten().tolist())
            lines.append(f"{number % 10}.0000 {values} \n")
        (folder / name).write_bytes(gzip.compress("".join(lines).encode()))


def test_the_lenet_example_reads_and_learns_synthetic_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_digits(tmp_path, 100)
    lenet_usps = example("lenet_usps")
    images, labels = lenet_usps.read_digits(tmp_path / "zip.train.gz")
    assert images.shape == (100, 1, 16, 16)
    assert labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert bool((images[7, 0, 10] == 1).all())
    assert lenet_usps.main([str(tmp_path), "--passes", "15", "--step", "0.3"]) == 0.0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 16
    assert printed[0].startswith("pass  1 of 15: training error")
    assert printed[0].endswith("s left")
    assert printed[-1] == "final: training error 0.00 % (n = 100), test error 0.00 % (n = 100)"


def test_the_handwritten_pass_equals_autograd(tmp_path: Path) -> None:
    write_digits(tmp_path, 12)
    lenet_usps = example("lenet_usps")
    images, labels = lenet_usps.read_digits(tmp_path / "zip.train.gz")
    torch.manual_seed(0)
    network, plain = create_model("lenet1989"), create_model("lenet1989")
    plain.load_state_dict(network.state_dict())
    lenet_usps.train_pass(network, images, labels, step=0.5)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.5)
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        optimizer.zero_grad()
        lenet_usps.squared_error(plain(image), label).backward()
        optimizer.step()
    torch.testing.assert_close(dict(network.named_parameters()), dict(plain.named_parameters()))


def test_missing_and_malformed_files_are_reported_in_one_line(tmp_path: Path) -> None:
    main = example("lenet_usps").main
    with pytest.raises(
        SystemExit, match=r"cannot read .*zip.train.gz: give a folder with zip.train.gz and zip.test.gz"
    ):
        main([str(tmp_path)])
    write_digits(tmp_path, 1)
    (tmp_path / "zip.test.gz").write_bytes(gzip.compress(b"1.0 2.0\n"))
    with pytest.raises(SystemExit, match=r"zip.test.gz has 2 numbers per line; a digit has 257"):
        main([str(tmp_path)])
    (tmp_path / "zip.test.gz").write_bytes(gzip.compress(b"one two\n"))
    with pytest.raises(SystemExit, match=r"zip.test.gz is not a table of numbers: .*one"):
        main([str(tmp_path)])


def test_zero_passes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        example("lenet_usps").main([str(tmp_path), "--passes", "0"])
    assert "--passes is 0; give 1 or more" in capsys.readouterr().err


@pytest.mark.medium
@pytest.mark.data("usps")
def test_lenet_learns_the_digits_of_its_time(data_folder: Path) -> None:
    """Two of the 23 passes; the test error is 7.4 to 8.1 % over four seeds."""
    assert example("lenet_usps").main([str(data_folder), "--passes", "2"]) < 9.0
