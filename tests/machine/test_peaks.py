from __future__ import annotations

import pytest
import torch

from modernet.machine.peaks import copy_gb_per_second, measure_peaks, product_tflops

CPU = torch.device("cpu")


def test_products_and_copies_have_plausible_speeds() -> None:
    tflops, bandwidth = product_tflops(CPU, "float32", sides=(64, 128)), copy_gb_per_second(CPU, size=2**20)
    assert tflops is not None
    assert 1e-4 < tflops < 100
    assert bandwidth is not None
    assert 0.1 < bandwidth < 10_000


@pytest.mark.medium
def test_a_dtype_without_a_matrix_product_has_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    def mm(a: torch.Tensor, *_: object, **__: object) -> None:
        if a.dtype == torch.float16:
            raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")

    monkeypatch.setattr(torch, "mm", mm)
    found = measure_peaks(CPU, ["float16", "float32"])
    assert list(found.tflops) == ["float32"]
    assert found.gb_per_second is not None
