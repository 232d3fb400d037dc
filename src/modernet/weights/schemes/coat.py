"""CoaT, as its authors and timm save it: layers that several blocks share are stored once per block."""

from __future__ import annotations

from modernet.weights.schemes.scheme import Scheme

_SHARED = [r"^serial_blocks\d\.\d+\.cpe\.", r"\.factoratt_crpe\d?\.crpe\."]

COAT_LITE = (Scheme("original", ignored=[*_SHARED, r"^norm[123]\."]),)
COAT = (Scheme("original", ignored=[*_SHARED, r"\.mlp[34]\.", r"^norm1\."]),)
