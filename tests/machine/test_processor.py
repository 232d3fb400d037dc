import sys
from pathlib import Path

import pytest
import torch

from modernet.machine import processor
from modernet.machine.processor import processor_features

X86 = """processor\t: 0
model name\t: AMD EPYC
flags\t\t: fpu vme sse sse2 ht syscall nx rdtscp avx2 avx512_bf16 amx_tile hypervisor sha_ni ibpb

processor\t: 1
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd evtstrm sve bf16 cpuid\n"


@pytest.mark.parametrize(
    ("text", "features"),
    [
        (X86, ("here", "amx_tile", "avx2", "avx512_bf16", "sha_ni", "sse", "sse2")),
        (ARM, ("here", "asimd", "bf16", "fp", "sve")),
        (None, ("here", "avx2", "sha")),
    ],
    ids=["x86", "ARM", "not Linux"],
)
def test_instructions_of_programs_are_listed(
    text: str | None, features: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(processor, "_INFO", tmp_path / "cpuinfo")
    found = {"avx2": True, "avx512_f": False, "sha": True, "num_sockets": 1, "cpu_name": "AMD EPYC"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    monkeypatch.setattr(processor.platform, "machine", lambda: "here")
    assert processor_features() == features


def test_torch_is_not_imported_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "machine", lambda: "here")
    monkeypatch.delitem(sys.modules, "torch")
    assert processor_features() == ("here",)
    assert "torch" not in sys.modules
