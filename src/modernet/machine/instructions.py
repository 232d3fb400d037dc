"""The classes of processors that differ in reduced precision, by their instructions."""

from __future__ import annotations

CLASSES = {
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX-512 with bf16",
    "avx512_vnni": "AVX-512 with VNNI",
    "avx512_f": "AVX-512",
    "avx_vnni": "AVX2 with VNNI",
    "avx2": "AVX2",
}
"""An instruction, as torch calls it -> the class of the x86 processors that have it, and none before it."""


def processor_class() -> str:
    """Return the class of this processor, of `CLASSES`; its architecture if it is none of them."""
    import torch  # late: the classes are listed without it

    capabilities = torch.cpu.get_capabilities()
    found = (name for instruction, name in CLASSES.items() if capabilities.get(instruction))
    return next(found, str(capabilities["architecture"]))
