"""ListOps as published: trees by recursion, evaluated afterwards."""

from __future__ import annotations

import random

import numpy as np

Tree = int | tuple[str, list["Tree"]]
OPERATORS = ("[MIN", "[MAX", "[MED", "[SM")


def tree(rng: random.Random, depth: int = 1) -> Tree:
    if (rng.random() if depth < 10 else 1) > 0.25:
        return rng.choice(range(10))
    children = [tree(rng, depth + 1) for _ in range(rng.randint(2, 10))]
    return rng.choice(OPERATORS), children


def text(node: Tree) -> str:
    """Return an expression without parentheses."""
    return str(node) if isinstance(node, int) else " ".join([node[0], *map(text, node[1]), "]"])


def published_text(node: Tree) -> str:
    """Return an expression as in the published files: as left-nested pairs."""
    if isinstance(node, int):
        return str(node)
    pairs = node[0]
    for part in (*map(published_text, node[1]), "]"):
        pairs = f"( {pairs} {part} )"
    return pairs


def value(node: Tree) -> int:
    if isinstance(node, int):
        return node
    operator, values = node[0], [value(child) for child in node[1]]
    functions = {"[MIN": min, "[MAX": max, "[MED": lambda v: int(np.median(v)), "[SM": lambda v: sum(v) % 10}
    return functions[operator](values)


def deepest(node: Tree) -> int:
    return 1 if isinstance(node, int) else 1 + max(map(deepest, node[1]))
