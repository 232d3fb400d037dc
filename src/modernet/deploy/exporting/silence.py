"""Other libraries without their chatter and their telemetry."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator

_TELEMETRY = "openvino_telemetry"
_TALKATIVE = ("", "torch.utils.cpp_extension")  # the root logger; NNCF imports what looks for CUDA


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Let other libraries print nothing, warn of nothing, and log nothing below an error where they are known to.

    Nor do those of OpenVINO that are imported here report to its makers: they take a missing package for a refusal.
    All of it holds for the whole process: what other threads print or warn of meanwhile is lost as well. Undone are the
    class of new loggers, filters, and a handler of the root logger; a library that is first imported here may keep
    standard output as it is here, and with it lose what it logs there later.
    """
    loggers, nobody, kind = list(map(logging.getLogger, _TALKATIVE)), logging.NullHandler(), logging.getLoggerClass()
    logging.getLogger().addHandler(nobody)  # without any, `logging.warning` would add one
    for logger in loggers:
        logger.addFilter(_is_error)
    sends = _TELEMETRY not in sys.modules
    if sends:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # documented: the import then fails
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        if sends:
            del sys.modules[_TELEMETRY]
        logging.setLoggerClass(kind)
        for logger in loggers:
            logger.removeFilter(_is_error)
        logging.getLogger().removeHandler(nobody)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
