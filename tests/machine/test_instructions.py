from __future__ import annotations

import pytest
import torch

from modernet.machine.instructions import processor_class


@pytest.mark.parametrize(
    ("instructions", "name"),
    [
        (("amx_bf16", "avx2", "avx512_f", "avx512_bf16", "avx512_vnni"), "AMX"),
        (("avx2", "avx512_bf16", "avx512_vnni", "avx512_f"), "AVX-512 with bf16"),
        (("avx2", "avx512_f", "avx512_vnni"), "AVX-512 with VNNI"),
        (("avx2", "avx_vnni"), "AVX2 with VNNI"),
        (("avx", "avx2"), "AVX2"),
        (("avx",), "x86_64"),
    ],
)
def test_the_class_is_that_of_the_fastest_instructions(
    instructions: tuple[str, ...], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"architecture": "x86_64", "avx512_f": False, **dict.fromkeys(instructions, True)}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert processor_class() == name
