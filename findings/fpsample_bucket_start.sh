#!/usr/bin/env bash
# fpsample's bucket functions, its fast ones, begin at another point than start_idx, and may leave it out.
#
# Versions: fpsample==1.0.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: bucket_fps_kdtree_sampling and bucket_fps_kdline_sampling are exact and take the same start_idx as fps_sampling,
#   so they give the same indices. Start indices "will all be present in the final samples".
# Seen: the first index is not start_idx but some other point (a place in the reordered tree); from there on sampling is
#   exact. Of 64 samples of 1000 points about a third are those of fps_sampling, and start_idx need not be among them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python fpsample==1.0.2 numpy==2.4.6
venv/bin/python -W error - <<'PY'
import fpsample
import numpy as np

points = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
fast = {
    "kdtree": lambda start: fpsample.bucket_fps_kdtree_sampling(points, 64, start_idx=start).tolist(),
    "kdline": lambda start: fpsample.bucket_fps_kdline_sampling(points, 64, h=5, start_idx=start).tolist(),
}
for start in (0, 5, 500):
    right = fpsample.fps_sampling(points, 64, start_idx=start).tolist()
    assert right[0] == start
    for name, sample in fast.items():
        indices = sample(start)
        common = len(set(indices) & set(right))
        print(f"{name}, start_idx={start}: begins at {indices[0]}, {common} of 64 as fps_sampling, has {start}: {start in indices}")
        assert indices[0] != start
        assert indices == fpsample.fps_sampling(points, 64, start_idx=indices[0]).tolist()
PY
