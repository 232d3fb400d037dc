#!/usr/bin/env bash
# wids drops samples without a word where an index counts too few, and fails late where it counts too many.
#
# Versions: wids==0.1.11 webdataset==1.0.2 torch==2.15.0 numpy==2.4.6 setuptools==84.2.1 (Python 3.11, CPU)
# Expected: ShardListDataset compares `nsamples` of the index with the samples of the shard, at the latest when it
#   opens the shard, and names the shard that differs.
# Seen: the length of the data set is that of the index. Samples beyond it are never read; where the index counts too
#   many, reading one is an IndexError without the shard's name. Files of one sample that are not neighbours in the tar
#   are silently separate samples, of which the last ones are dropped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python wids==0.1.11 webdataset==1.0.2 torch==2.15.0 numpy==2.4.6 setuptools==84.2.1
venv/bin/python - <<'PY'
import contextlib
import io
import tarfile

from wids import ShardListDataset


def dataset(shard, nsamples, *names):
    with tarfile.open(shard, "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = ShardListDataset([{"url": shard, "nsamples": nsamples}], transformations=[], cache_dir="cache")
        return [sorted(key for key in found[index] if key.startswith(".")) for index in range(len(found))]


PAIRS = ("a.jpg", "a.cls", "b.jpg", "b.cls")
fewer, apart = dataset("one.tar", 1, *PAIRS), dataset("two.tar", 2, "a.jpg", "b.jpg", "a.cls", "b.cls")
print("index of 1, shard of 2:", fewer)
print("index of 2, files of a sample apart:", apart)
assert fewer == [[".cls", ".jpg"]]
assert apart == [[".jpg"], [".jpg"]]
try:
    dataset("three.tar", 3, *PAIRS)
except IndexError as error:
    print("index of 3, shard of 2: IndexError:", error)
    assert "three.tar" not in str(error)
else:
    raise SystemExit("an index that counts too many is no error any more")
PY
