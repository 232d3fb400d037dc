"""Advice on which network to use: a section for each."""
