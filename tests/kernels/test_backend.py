"""The choice between plain PyTorch and a kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.kernels import backend
from modernet.kernels.backend import Measured, read_measured, set_measured, use_triton


@pytest.fixture
def _measured() -> Iterator[None]:
    set_measured(
        [
            Measured("some", "GPU", "float32", (6, 7), 2, False, 1.2),
            Measured("some", "GPU", "float32", (8, 7), 2, False, 0.9),
        ]
    )
    yield
    set_measured(read_measured())


@pytest.mark.usefixtures("_measured")
def test_the_choice_by_measurement_compiles_without_graph_breaks_for_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch.cuda, "get_device_name", lambda index: "GPU" if os.times().elapsed else ""
    )  # cannot be traced

    @torch.compile(fullgraph=True, dynamic=True, backend="eager")
    def tripled_where_it_wins(x: Tensor) -> Tensor:
        key = backend._key("some", backend._device_name(0), "float32", (x.shape[1], 7), False)
        return 3 * x if x.numel() // x.shape[1] >= backend._threshold(key) else x

    for batch, channels, factor in [(2, 6, 3), (3, 6, 3), (2, 8, 1), (2, 5, 1)]:
        assert tripled_where_it_wins(torch.ones(batch, channels)).unique().item() == factor


@pytest.mark.parametrize(
    ("measured", "fewest"),
    [
        ([(100, 1.2)], 100),
        ([(100, 1.2), (10, 1.1)], 10),
        ([(100, 1.2), (10, 0.9)], 100),
        ([(100, 0.9), (10, 1.2)], None),
        ([(1000, 1.5), (100, 0.9), (10, 1.2)], 1000),
    ],
)
def test_a_kernel_is_used_from_the_size_above_which_it_is_always_faster(
    measured: list[tuple[int, float]], fewest: int | None
) -> None:
    set_measured([Measured("some", "GPU", "float32", (6, 7), n, False, ratio) for n, ratio in measured])
    actual = backend._threshold(backend._key("some", "GPU", "float32", (6, 7), False))
    set_measured(read_measured())
    assert actual == (sys.maxsize if fewest is None else fewest)


@pytest.mark.medium
def test_importing_the_kernels_does_not_import_a_compiler() -> None:
    code = "import sys, modernet.kernels; sys.exit(bool({'triton', 'torch._dynamo'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_backend_raises() -> None:
    with pytest.raises(InputError, match="backend is 'cuda'; give auto, reference, triton"):
        use_triton("some", "cuda", torch.zeros(1), (1,), training=False)  # type: ignore[arg-type]


def test_requesting_a_kernel_on_a_cpu_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(backend, "find_spec", lambda name: object())
    with pytest.raises(InputError, match="this tensor is on 'cpu': use backend='auto'"):
        use_triton("some", "triton", torch.zeros(1), (1,), training=False)


def test_requesting_a_kernel_without_triton_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="triton, which is not installed: use backend='auto'"):
        use_triton("some", "triton", torch.zeros(1), (1,), training=False)


def test_a_cpu_uses_plain_pytorch() -> None:
    assert not use_triton("some", "auto", torch.zeros(1), (1,), training=False)
    assert not use_triton("some", "reference", torch.zeros(1), (1,), training=False)
