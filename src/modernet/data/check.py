"""The old place of `modernet.data.check_images`, for scripts written before version 0.1."""

from modernet.data.checking.check import check_images as check_pictures

__all__ = ["check_pictures"]
