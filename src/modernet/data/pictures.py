"""The old place of `modernet.data.images.decoding.read_image`, for scripts written before version 0.1."""

from modernet.data.images.decoding import read_image as read_picture

__all__ = ["read_picture"]
