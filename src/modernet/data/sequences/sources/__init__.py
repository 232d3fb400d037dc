"""Readers: files of text and of sound, and images -> sequences with a class each."""
