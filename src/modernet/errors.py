"""Errors of users in one line: what was given, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 500  # characters; compilers put whole programs into their messages


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what was given, what is allowed, how to fix it. The command line prints it without a
    traceback and exits with code 2; every other exception is a bug and keeps its traceback.
    """


class RunStopped(Exception):
    """A run ended early, but not because of a bug; what it had done is kept.

    The command line prints the message as one line and exits with `exit_code`.
    """

    exit_code = 1


def one_line(error: BaseException, *, with_type: bool = False) -> str:
    """Return the message of an exception on one line of at most 500 characters; its type where it has no message.

    Args:
        with_type: begin with the type, for messages that would be obscure without it; those of an `InputError` are not.

    >>> one_line(ValueError("first\\n  second")), one_line(KeyError("a"), with_type=True), one_line(TimeoutError())
    ('first second', "KeyError: 'a'", 'TimeoutError')
    """
    name, message = type(error).__name__, " ".join(str(error).split())
    line = f"{name}: {message}" if with_type and message and not isinstance(error, InputError) else message or name
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def root_cause(error: BaseException) -> BaseException:
    """Return the exception at the end of a chain of `raise ... from ...`; for `URLError`, the one that it wraps."""
    while True:
        reason = getattr(error, "reason", None)
        cause = error.__cause__ or (reason if isinstance(reason, BaseException) else None)
        if cause is None or cause is error:
            return error
        error = cause


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Make the error for a name that does not exist, with the closest ones that do.

    Args:
        kind: what is named, as a noun: `"model"`.
        name: the name given.
        known: every accepted name.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif len(names) <= 12:
        hint = f"there is: {', '.join(names) or 'none'}"
    else:
        hint = f"there are {len(names)}, such as {', '.join(names[:3])}"
    return InputError(f"no {kind} is called {name!r}; {hint}")
