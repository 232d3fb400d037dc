"""Comparisons of networks on the user's images: a section for each."""
