"""Names of files as text: they need not be UTF-8, as those in an archive from another system."""

from __future__ import annotations


def valid_text(name: str) -> str:
    r"""Return a name as text that can be written and printed: a byte that is not UTF-8 is shown as an escape.

    Two names that differ still do.

    >>> print(valid_text("\udce9t\udce9"), valid_text("été"))
    \xe9t\xe9 été
    """
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
