from __future__ import annotations

from modernet.data import check, pictures
from modernet.data.checking.check import check_images
from modernet.data.images.decoding import read_image


def test_scripts_that_use_the_old_names_still_run() -> None:
    assert check.check_pictures is check_images
    assert pictures.read_picture is read_image
