"""Networks that take no images, by name. Their registries need torch; a test compares these names with them."""

from __future__ import annotations

from collections.abc import Mapping

_SEQUENCES = (
    *("transformer", "bigbird", "bigbird_lra", "fnet", "linear", "linformer"),
    *("linformer_lra", "local", "local_lra", "longformer", "longformer_lra", "luna"),
    *("nystromformer", "performer", "performer_lra", "performer_lra_listops", "reformer", "reformer_lra"),
    *("s4", "s4_fout", "s4d_legs", "s4d_lin", "s4d_inv", "s4d_minimal"),
    *("sinkhorn", "sinkhorn_lra", "sparse", "sparse_lra", "synthesizer", "synthesizer_dense"),
    *("synthesizer_lra",),
)
_POINT_CLOUDS = (*("ascn", "ascn_nano", "pointnet", "pointnet_vanilla", "pointnet2", "scn"),)
OTHER_MODELS: Mapping[str, str] = {
    **dict.fromkeys(_SEQUENCES, "sequences"),
    **dict.fromkeys(_POINT_CLOUDS, "point clouds"),
}
"""Name -> what it takes."""
