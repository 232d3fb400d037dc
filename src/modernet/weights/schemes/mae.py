"""The masked autoencoder of ViTs under the names of other projects."""

from __future__ import annotations

from dataclasses import replace

from modernet.weights.schemes.in_memory import in_memory
from modernet.weights.schemes.scheme import Scheme
from modernet.weights.schemes.vit import TRANSFORMERS_VIT

_TRANSFORMERS = replace(
    TRANSFORMERS_VIT,
    names=[
        (r"^encoder\.", ""),
        (r"^decoder_blocks\.", "decoder_layers."),
        (r"^(decoder_|mask_token$)", r"decoder.\1"),
        *TRANSFORMERS_VIT.names,
    ],
    ignored=(),
    body="",
)
# transformers 5 itself writes the decoder's blocks under names that no other version has, and reads both
_WRITTEN_BY_TRANSFORMERS_5 = replace(
    _TRANSFORMERS,
    names=[*_TRANSFORMERS.names, (r"^decoder\.decoder_layers\.", "decoder.decoder_encoder.layer.")],
    writable=False,
)

MAE = (
    Scheme("modernet"),
    Scheme("original", names=[(r"^encoder\.", "")]),
    _TRANSFORMERS,
    _WRITTEN_BY_TRANSFORMERS_5,
    in_memory(_TRANSFORMERS),
)
