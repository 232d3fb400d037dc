from __future__ import annotations

import io
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from modernet.data.points.inputs import PointInputs
from modernet.data.points.loading import parts_of_cloud
from modernet.data.points.ply import write_ply
from modernet.data.points.reading import read_cloud
from modernet.data.points.sources.arrays import read_arrays
from modernet.data.points.sources.clouds import UnreadableCloud, shuffled_once
from modernet.data.points.sources.files import read_file, read_whole
from modernet.errors import InputError

SQUARE = "4 2 0\n0 0 0\n2 0 0\n2 2 0\n0 2 0\n3 0 1 2\n3 0 2 3\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def inside_square(points: np.ndarray) -> bool:
    flat = (points[:, 2] == 0).all() and (points >= 0).all() and (points <= 2).all()
    return bool(flat) and points.mean(0) == pytest.approx([1, 1, 0], abs=0.1)


class TestMeshes:
    @pytest.mark.parametrize(
        "content",
        [
            f"OFF\n{SQUARE}",
            f"OFF{SQUARE}",  # the header of some files of ModelNet
            f"OFF # a square\n{SQUARE}",
            "OFF\n4 1 0\n0 0 0\n2 0 0\n2 2 0\n0 2 0\n4 0 1 2 3\n",  # a square of four corners
            "OFF\n5 3 0\n0 0 0\n2 0 0\n2 2 0\n0 2 0\n1 1 0\n3 0 1 2\n3 0 2 3\n3 0 4 2\n",  # one without area
        ],
        ids=["plain", "glued", "comment", "quad", "degenerate"],
    )
    def test_a_square_is_sampled_by_area(self, tmp_path: Path, content: str) -> None:
        cloud = read_whole(write(tmp_path / "square.off", content), 3000)
        assert cloud.points.shape == (3000, 3)
        assert cloud.points.dtype == np.float32
        assert inside_square(cloud.points)

    def test_a_triangle_is_a_mesh(self, tmp_path: Path) -> None:
        points = read_whole(write(tmp_path / "one.off", "OFF\n3 1 0\n0 0 0\n2 0 0\n0 2 0\n3 0 1 2\n"), 500).points
        assert (points[:, :2].sum(1) <= 2 + 1e-6).all()

    def test_the_name_of_a_file_is_the_seed(self, tmp_path: Path) -> None:
        (tmp_path / "below").mkdir()
        one, same, other = (
            read_whole(write(tmp_path / name, f"OFF\n{SQUARE}"), 50).points
            for name in ("a.off", "below/a.off", "b.off")
        )
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_other_formats_of_meshes(self, tmp_path: Path) -> None:
        obj = "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 0 2 0\no first\nf 1 2 3\no second\nf 1 3 4\n"
        assert inside_square(read_whole(write(tmp_path / "square.obj", obj), 3000).points)
        corners = "vertex 0 0 0\nvertex 2 0 0\nvertex 2 2 0", "vertex 0 0 0\nvertex 2 2 0\nvertex 0 2 0"
        facets = "".join(f"facet normal 0 0 1\nouter loop\n{each}\nendloop\nendfacet\n" for each in corners)
        stl = write(tmp_path / "square.stl", f"solid square\n{facets}endsolid square\n")
        assert inside_square(read_whole(stl, 3000).points)
        assert inside_square(read_whole(write(tmp_path / "square.ply", ply("ascii", faces=True)), 3000).points)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "has faces without area"),
            ("OFF\n3 1 0\n0 0 0\nnan 0 0\n0 1 0\n3 0 1 2\n", "has 1 of 3 points that are not finite"),
            ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "cannot be read|has faces of a corner 7, and 3 corners"),
            ("OFF\n3 1 0\n0 0 0\n1 0 0\n", "cannot be read"),
            ("OFF # cut\n4 2 0\n0 0 0\n2 0 0\n2 2 0\n0 2 0\n3 0 1 2\n", "is truncated: it has 1 of 2 faces"),
            ("OFF\n0 0 0\n", "cannot be read|has no "),
            ("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "cannot be read|has no faces"),
            ("", "cannot be read"),
            ("a picture", "cannot be read"),
        ],
    )
    def test_what_is_no_mesh_says_why(self, tmp_path: Path, content: str, message: str) -> None:
        with pytest.raises(UnreadableCloud, match=message):
            read_whole(write(tmp_path / "broken.off", content), 50)

    def test_without_trimesh_a_line_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "trimesh", None)
        with pytest.raises(InputError, match=r"reading .off files needs trimesh.* pip install 'modernet\[points\]'"):
            read_whole(write(tmp_path / "a.off", f"OFF\n{SQUARE}"), 50)
        assert len(read_whole(write(tmp_path / "a.xyz", "1 2 3\n"), 50).points) == 1


ROWS = np.array(
    [
        (0, 0, 0, 0, 0, 1, 255, 0, 0, 1),
        (2, 0, 0, 0, 0, 1, 0, 255, 0, 0),
        (2, 2, 0, 0, 1, 0, 0, 0, 51, 2),
        (0, 2, 0, 1, 0, 0, 0, 0, 0, 0),
    ]
)
NAMES = ("x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "label")


def test_faces_of_an_obj_may_count_back_from_their_line(tmp_path: Path) -> None:
    pytest.importorskip("trimesh")
    parts = "v 0 0 0\nv 1 0 0\nvn 0 0 1\nv 0 1 0\nf -3//-1 -2//-1 -1//-1\nv 9 0 0\nv 10 0 0\nv 9 1 0\nf -3 -2 -1\n"
    points = read_whole(write(tmp_path / "two.obj", parts), 1000).points
    assert 0.4 < (points[:, 0] < 5).mean() < 0.6
    (tmp_path / "there").mkdir()
    absolute = parts.replace("-3//-1 -2//-1 -1//-1", "1//1 2//1 3//1").replace("-3 -2 -1", "4 5 6")
    assert np.array_equal(points, read_whole(write(tmp_path / "there" / "two.obj", absolute), 1000).points)


def ply(kind: str, faces: bool = False) -> bytes:
    """Return a file of four points: positions, normals, colours and classes."""
    types = dict.fromkeys(NAMES[:6], "float") | dict.fromkeys(NAMES[6:9], "uchar") | {"label": "int"}
    header = f"ply\nformat {kind} 1.0\ncomment four points\nelement vertex 4\n"
    header += "".join(f"property {types[name]} {name}\n" for name in NAMES)
    header += "element face 2\nproperty list uchar int vertex_indices\n" if faces else ""
    header += "end_header\n"
    if kind == "ascii":
        lines = [" ".join(map(str, row)) for row in ROWS.tolist()] + (["3 0 1 2", "3 0 2 3"] if faces else [])
        return (header + "\n".join(lines) + "\n").encode()
    end = {"binary_little_endian": "<", "binary_big_endian": ">"}[kind]
    codes = {"float": "f4", "uchar": "u1", "int": "i4"}
    packed = np.array([tuple(row) for row in ROWS.tolist()], [(name, end + codes[types[name]]) for name in NAMES])
    return header.encode() + packed.tobytes()


class TestPoints:
    @pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
    def test_a_ply_has_normals_colours_and_classes(self, tmp_path: Path, kind: str) -> None:
        cloud = read_whole(write(tmp_path / "four.ply", ply(kind)), 50)
        assert cloud.points == pytest.approx(np.concatenate([ROWS[:, :6], ROWS[:, 6:9] / 255], 1))
        assert cloud.labels is not None
        assert cloud.labels.tolist() == [1, 0, 2, 0]

    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        points = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
        colours, labels = np.arange(300, dtype=np.int64).reshape(100, 3) % 256, np.arange(100) % 7
        write_ply(tmp_path / "some.ply", points, colours.astype(np.uint8), labels)
        cloud = read_whole(tmp_path / "some.ply", 50)
        assert np.array_equal(cloud.points[:, :3], points)
        assert cloud.points[:, 3:] == pytest.approx(colours / 255)
        assert cloud.labels is not None
        assert np.array_equal(cloud.labels, labels)
        write_ply(tmp_path / "bare.ply", points)
        assert np.array_equal(read_whole(tmp_path / "bare.ply", 50).points, points)

    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("a.xyz", "0 1 2\n3 4 5\n", [[0, 1, 2], [3, 4, 5]]),
            ("a.txt", "0,1,2,-1,0,0\n3,4,5,0,1e-1,0\n", [[0, 1, 2, -1, 0, 0], [3, 4, 5, 0, 0.1, 0]]),
            ("a.pts", "2\n0 1 2\n3 4 5\n", [[0, 1, 2], [3, 4, 5]]),
            ("a.txt", "\ufeff# scanned\nX, Y, Z\n0, 1, 2\n", [[0, 1, 2]]),
            ("a.xyz", "\r\n0\t1\t2 # first\r\n\r\n3\t4\t5\r\n", [[0, 1, 2], [3, 4, 5]]),
        ],
    )
    def test_lines_of_numbers(self, tmp_path: Path, name: str, content: str, expected: list[list[float]]) -> None:
        cloud = read_whole(write(tmp_path / name, content), 50)
        assert cloud.points == pytest.approx(np.array(expected))
        assert cloud.labels is None

    def test_a_column_of_text_may_have_the_classes(self, tmp_path: Path) -> None:
        cloud = read_whole(write(tmp_path / "a.txt", "x y z label nx\n0 1 2 3 4\n5 6 7 0 9\n"), 50)
        assert cloud.points.tolist() == [[0, 1, 2, 4], [5, 6, 7, 9]]
        assert cloud.labels is not None
        assert cloud.labels.tolist() == [3, 0]

    def test_arrays(self, tmp_path: Path) -> None:
        points = np.arange(12.0).reshape(3, 4)
        np.save(tmp_path / "a.npy", points)
        np.savez(tmp_path / "a.npz", cloud=points)
        np.savez(tmp_path / "b.npz", points=points, labels=np.array([1, 0, 1]))
        for name in ("a.npy", "a.npz", "b.npz"):
            assert np.array_equal(read_whole(tmp_path / name, 50).points, points)
        labels = read_whole(tmp_path / "b.npz", 50).labels
        assert labels is not None
        assert labels.tolist() == [1, 0, 1]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.xyz", "", "has no points"),
            ("a.xyz", "# nothing\n", "has no points"),
            ("a.xyz", "1 2\n3 4\n", "has 2 numbers a point, and a point has at least x, y and z"),
            ("a.xyz", "1 2 3\nnan 4 5\n6 inf 1\n", "has 2 of 3 points that are not finite"),
            ("a.xyz", "1 2 3\n4 5\n", "has something else than lines of numbers"),
            ("a.xyz", "some\nother text\n", "has something else than lines of numbers"),
            ("a.xyz", b"\xff\xfe\x00\x01" * 9, "has something else than lines of numbers"),
            ("a.txt", "x y z label\n0 1 2 0.5\n", "has labels that are no numbers of classes"),
            ("a.txt", "x y z label\n0 1 2 99999\n", "has the label 99999; number classes from 0, below 10,000"),
            ("a.xyz", "1 2 3\n-1e30 4 5\n", r"has coordinates up to 1e\+30, which are no places"),
            ("a.npy", "no array", "cannot be read"),
            ("a.npz", "PK", "cannot be read"),
            ("a.ply", ply("binary_little_endian")[:-9], "cannot be read"),
            ("a.ply", ply("ascii")[:40], "cannot be read"),
        ],
    )
    def test_what_is_no_cloud_says_why(self, tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
        with pytest.raises(UnreadableCloud, match=message):
            read_whole(write(tmp_path / name, content), 50)

    def test_places_on_a_map_keep_their_digits(self, tmp_path: Path) -> None:
        """A metre across, 5,400 km north of the equator, where float32 has steps of half a metre."""
        shape, place = np.random.default_rng(0).uniform(-1, 1, (200, 3)), np.array([512_345.6, 5_412_345.6, 300.2])
        np.savetxt(tmp_path / "a.xyz", shape + place, "%.6f")
        np.savez(tmp_path / "a.npz", points=shape + place)
        np.save(tmp_path / "millimetres.npy", (1000 * (shape + place)).round().astype(np.int64))
        write_ply(tmp_path / "a.ply", shape.astype(np.float32), origin=place)
        for name, unit in (("a.xyz", 1), ("a.npz", 1), ("millimetres.npy", 1000), ("a.ply", 1)):
            cloud = read_whole(tmp_path / name, 50)
            assert cloud.origin is not None
            assert cloud.points + cloud.origin == pytest.approx(unit * (shape + place), rel=0, abs=unit * 1e-3)

    def test_a_cloud_near_the_origin_for_its_size_is_read_as_it_is(self, tmp_path: Path) -> None:
        near = np.random.default_rng(0).uniform(-1, 1, (200, 3)) + np.array([90, 0, 0])
        far = near.astype(np.float32) + np.float32(1e5)  # has lost its digits elsewhere
        for points in (near, far, far[:1].astype(np.float64)):
            np.save(tmp_path / "a.npy", points)
            cloud = read_whole(tmp_path / "a.npy", 50)
            assert cloud.origin is None
            assert np.array_equal(cloud.points, points.astype(np.float32))

    @pytest.mark.parametrize(("old", "new"), [(b"(500", b"((00"), (b"500, 3), }", b"9" * 12 + b", 3), }")])
    def test_an_array_with_a_damaged_header_says_so(self, tmp_path: Path, old: bytes, new: bytes) -> None:
        """Numpy's own errors for these are those of Python's tokenizer and of memory."""
        np.save(tmp_path / "a.npy", np.zeros((500, 3)))
        content = (tmp_path / "a.npy").read_bytes()
        file = write(tmp_path / "b.npy", content.replace(old + b" " * (len(new) - len(old)), new))
        assert file.read_bytes() != content
        with pytest.raises(UnreadableCloud, match="cannot be read"):
            read_whole(file, 50)

    def test_damaged_compressed_arrays_say_so(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "a.npz", points=np.random.default_rng(0).normal(size=(500, 3)))
        content = bytearray((tmp_path / "a.npz").read_bytes())
        name, extra = (int.from_bytes(content[at : at + 2], "little") for at in (26, 28))
        content[30 + name + extra] = 0xFF  # the first block of a kind that there is not
        with pytest.raises(zlib.error):
            np.load(io.BytesIO(content))["points"]
        file = write(tmp_path / "b.npz", bytes(content))
        with pytest.raises(UnreadableCloud, match="cannot be read"):
            read_whole(file, 50)
        with pytest.raises(InputError, match=r"cannot read .*b.npz: .*; it must have points"):
            read_arrays(file)

    def test_a_missing_file_says_so(self, tmp_path: Path) -> None:
        for suffix in (".xyz", ".npy", ".off"):
            with pytest.raises(UnreadableCloud, match="cannot be read"):
                read_whole(tmp_path / f"none{suffix}", 50)

    def test_points_are_kept_in_an_order_that_is_always_the_same(self, tmp_path: Path) -> None:
        points = np.arange(300.0).reshape(100, 3)
        np.save(tmp_path / "a.npy", points)
        kept = read_file(tmp_path / "a.npy", 20).points
        assert np.array_equal(kept, points[shuffled_once(100)[:20]])
        assert sorted(shuffled_once(100)) == list(range(100))


class TestReadCloud:
    def test_all_points_come_in_their_order(self, tmp_path: Path) -> None:
        points = np.random.default_rng(0).normal(size=(5000, 6)).astype(np.float32)
        np.save(tmp_path / "a.npy", points)
        assert np.array_equal(read_cloud(tmp_path / "a.npy", PointInputs(64)).points, points[:, :3])

    def test_of_a_mesh_the_first_part_is_what_a_data_set_shows(self, tmp_path: Path) -> None:
        file, inputs = write(tmp_path / "a.off", f"OFF\n{SQUARE}"), PointInputs(64, scaled=False, centred=False)
        cloud = read_cloud(file, inputs).points
        assert cloud.shape == (2048, 3)
        shown, _ = parts_of_cloud(cloud, inputs)
        assert np.array_equal(shown[0].numpy(), read_file(file, 2048).points[:64])

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.xyz", "1 2\n", r"a.xyz has 2 numbers a point, .*; repair it, or leave it out"),
            ("a.xyz", "1 2 3\n", "has 3 numbers a point, and the network has learned from 6"),
            ("a.jpg", "", "a.jpg is no cloud or mesh that is read; give .npy, .npz, .obj"),
        ],
    )
    def test_mistakes_are_one_line(self, tmp_path: Path, name: str, content: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            read_cloud(write(tmp_path / name, content), PointInputs(64, channels=6))
