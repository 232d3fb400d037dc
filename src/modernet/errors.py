"""A user's mistake, said in one line: what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that says what was given, what is allowed and how to mend it. The command line prints it
    without a traceback and exits with code 2; every other exception is a defect of ours and keeps its traceback.
    """


class RunStopped(Exception):
    """A run ended before its end for a reason that is not a defect of the code; what it had done is kept.

    The command line prints the message as one line and exits with `exit_code`.
    """

    exit_code = 1


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that does not exist, with the closest ones that do.

    Args:
        kind: what is named, as a noun: `"model"`.
        name: what the user gave.
        known: every name that would have been accepted.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif len(names) <= 12:
        hint = f"there is: {', '.join(names) or 'none'}"
    else:
        hint = f"there are {len(names)}, such as {', '.join(names[:3])}"
    return InputError(f"no {kind} is called {name!r}; {hint}")
