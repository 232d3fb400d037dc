"""The command line, one verb per file. A verb parses its options, calls one documented function, and prints.

Verbs import nothing heavy at module level, so that `--help` is instant.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

from modernet.errors import InputError, RunStopped, unknown_name

_VERBS = {
    "roadmap": "walk the road from ResNet to ConvNeXt on real images; `roadmap show` prints its steps",
    "compare": "train networks alike on your images, and tell which differences are more than chance",
    "advise": "tell which network to use for your images and this machine, within a time, and how sure that is",
    "arena": "run the Long Range Arena: sequence models by tasks, next to the published table",
    "models": "list the networks",
    "show": "describe a network, stage by stage",
    "weights": "list published weights and their licences",
    "convert": "write weights under another project's names",
    "recipes": "list training recipes with their sources and results",
    "data": "check a data set, pack it into shards, or corrupt its images",
    "train": "train a network on your images",
    "evaluate": "test a trained network on a data set",
    "probe": "tell what the features of a network are worth: logistic regression and nearest neighbours on them",
    "predict": "predict what is in images",
    "robustness": "measure how a network answers for corrupted images, a classifier also for shifted and moved ones",
    "optimize": "find the fastest way to run a classifier on this processor, and keep it in a folder",
    "export": "write a trained network to a file that runs without modernet: torch.export, ONNX or OpenVINO",
    "benchmark": "measure networks side by side on this device: speed, memory, share of its peak",
    "report": "make an HTML page from a folder of runs",
    "card": "write the model card of a run for the Hugging Face Hub",
}

_HELP = """\
modernet: which design decisions matter, and which backbone should I use?

Example:
  modernet roadmap                       the whole road on real digits: minutes on a laptop
  modernet roadmap show --size tiny      its steps, with the published figures
  modernet train --data my_photos        my_photos/CLASS/*.jpg

Verbs (see modernet VERB --help):
{verbs}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: those after the program's name; None: this process's.

    Returns:
        The exit code: 0; 1 for a failure; 2 for a user's mistake, reported in one line; 130 when stopped.
    """
    code: int | None = None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    verb, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        if verb in ("-h", "--help", "help"):
            print(_HELP.format(verbs="\n".join(f"  {name:10s} {line}" for name, line in _VERBS.items())), end="")
        elif verb == "--version":
            from importlib.metadata import version

            print(f"modernet {version('modernet')}")
        elif verb in _VERBS:
            code = importlib.import_module(f"modernet.cli.{verb}").main(rest)
        else:
            raise unknown_name("verb", verb, _VERBS)
        sys.stdout.flush()
    except InputError as error:
        return _fail(str(error), 2)
    except RunStopped as stopped:
        return _fail(str(stopped), stopped.exit_code)
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except BrokenPipeError:
        # the reader of our output has exited (`| head`); Python must not report it again when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _fail(str(error), 1)
    return code or 0


def _fail(message: str, code: int) -> int:
    if message:
        print(f"modernet: {message}", file=sys.stderr)
    return code
