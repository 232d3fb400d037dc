from __future__ import annotations

from pathlib import Path

import pytest

from modernet.data import find_images
from modernet.errors import InputError


def test_files_folders_and_patterns_are_found_sorted_and_once(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "deep/er/c.webp", "notes.txt", ".hidden.jpg", "__MACOSX/d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    every = [tmp_path / "a.PNG", tmp_path / "b.jpg", tmp_path / "deep/er/c.webp"]
    assert find_images([tmp_path]) == every
    assert find_images([tmp_path / "b.jpg", tmp_path / "*"]) == every[:2]
    assert find_images([str(tmp_path / "**" / "*.webp")]) == every[2:]
    assert find_images([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]  # named itself


@pytest.mark.parametrize("pattern", ["*.jpg", "no.jpg", "."])
def test_a_pattern_without_an_image_is_an_error(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(
        InputError, match=r"no image matches .*; give image files, folders that contain them, or a pattern"
    ):
        find_images([tmp_path / pattern])


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    for name in ("a/1.png", "pool/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "more").symlink_to(tmp_path / "pool")
    (tmp_path / "pool" / "loop").symlink_to(tmp_path / "pool")
    (tmp_path / "a" / "up").symlink_to("..")
    assert find_images([tmp_path / "a"]) == [tmp_path / "a" / "1.png", tmp_path / "a" / "more" / "2.png"]
