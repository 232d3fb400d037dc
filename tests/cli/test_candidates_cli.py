"""Names of candidates are checked before the seconds of importing torch, and before any image is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

MISTAKES = {
    "resnet_tst": "no model is called 'resnet_tst'; did you mean resnet_test",
    "resnet18:width": "no model is called 'resnet18:width'",
    "resnet18:width=8,depth": "resnet18:width=8,depth got 'depth'; give name=value",
    "convnext_tiny.fb_in2k": "no set of weights for convnext_tiny is called 'convnext_tiny.fb_in2k'",
    "s4": "s4 takes sequences",
    "convnext_test": "convnext_test is given twice; give each network once",
}
PROGRAM = f"""
import sys
from modernet.cli import main
codes = [main([*sys.argv[1:], "convnext_test", name]) for name in {list(MISTAKES)}]
print(codes, "torch" in sys.modules)
"""


@pytest.mark.parametrize("command", [["compare"], ["advise", "--candidates"]], ids=["compare", "advise"])
def test_a_wrong_candidate_is_reported_without_torch(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True)
    assert done.stdout == f"{[2] * len(MISTAKES)} False\n"
    for line, message in zip(done.stderr.splitlines(), MISTAKES.values(), strict=True):
        assert message in line


@pytest.mark.parametrize("names", [[], ["convnext_test"]])
def test_fewer_than_two_networks_are_nothing_to_compare_which_is_said_without_torch(names: list[str]) -> None:
    program = "import sys; from modernet.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, "compare", *names], capture_output=True, text=True)
    assert done.stdout == "2 False\n"
    assert done.stderr.startswith("modernet: there is nothing to compare; give two networks or more")
