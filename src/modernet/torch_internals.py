"""Every use of PyTorch that its public API does not cover, one function each.

Written against torch 2.15 and run with 2.11 to 2.15. Each function says what would replace it;
`tests/test_torch_internals.py` pins the behaviour, so a release of torch that changes one of them fails there, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.utils import _pytree

if TYPE_CHECKING:
    from torch.export import ExportedProgram  # takes seconds to import

F = TypeVar("F", bound=Callable[..., Any])


# --- nested containers: torch.utils._pytree has no public name; torch.func and torch.export document its behaviour ---


def tree_map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to every leaf of nested tuples, lists and dicts; `others` have the same structure."""
    return _pytree.tree_map(function, tree, *others)


def tree_leaves(tree: Any) -> list[Any]:
    """Return the leaves of nested tuples, lists and dicts, in order."""
    return _pytree.tree_leaves(tree)


def tensors_in(tree: Any) -> list[Tensor]:
    """Return the tensors among the leaves of nested tuples, lists and dicts, in order."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def tree_unflatten(leaves: Sequence[Any], structure: Any) -> Any:
    """Put leaves into a structure, such as the `out_spec` of an exported program."""
    return _pytree.tree_unflatten(leaves, structure)


def structure_to_json(structure: Any) -> str:
    """Return the structure of nested containers as JSON."""
    return _pytree.treespec_dumps(structure)


def structure_from_json(text: str) -> Any:
    """Return the structure that `structure_to_json` wrote."""
    return _pytree.treespec_loads(text)


# --- modules and tensors -------------------------------------------------------------------------------------------


def in_place_version(tensor: Tensor) -> int:
    """Return the number of in-place changes of a tensor, through any of its views; autograd keeps it for its checks."""
    return tensor._version


def has_forward_hooks(module: nn.Module) -> bool:
    """Return whether forward hooks or forward pre-hooks are registered on a module; torch offers no query."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies in bfloat16; others imitate it, slower than float32.

    The instructions of a CPU are public as `torch.cpu.get_capabilities` in recent releases.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    names = ("avx512_bf16", "amx_bf16", "bf16")  # the last is ARM's
    capabilities = torch.cpu.get_capabilities()
    return device.type != "cpu" or any(capabilities.get(name) for name in names)


def has_vnni() -> bool:
    """Return whether the processor sums products of 8-bit integers in 32 bits; without, AVX2 sums pairs in 16.

    The instructions of a CPU are public as `torch.cpu.get_capabilities` in recent releases.
    """
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "dot"))  # the last is ARM's


# --- torch.compile: torch._dynamo and torch._inductor take seconds to import, so only where they are needed ---------


def constant_when_compiled(function: F) -> F:
    """Let `torch.compile` call a function while tracing and take its result as a constant.

    The same as `torch.compiler.assume_constant_result`, which imports `torch._dynamo`. The mark must be on the function
    itself: under `functools.cache` the compiler does not see it.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def mark_batch_dynamic(tensor: Tensor) -> None:
    """Ask `torch.compile` for one program for every size of dimension 0, where the network allows it.

    Unlike `torch._dynamo.mark_dynamic`, which is public, it does not raise for a network that fixes the size.
    """
    import torch._dynamo

    torch._dynamo.maybe_mark_dynamic(tensor, 0)


def with_frozen_weights() -> AbstractContextManager[Any]:
    """Return a context in which inductor makes constants of a network's weights.

    As an entry of `torch.compile(options=...)`, `freezing` has no effect: it must hold when the weights are first seen.
    """
    import torch._inductor.config

    return cast(AbstractContextManager[Any], torch._inductor.config.patch(freezing=True))


def with_recompile_limit(programs: int) -> AbstractContextManager[Any]:
    """Return a context in which dynamo keeps so many programs for one code object, instead of 8.

    In torch 2.15 `torch.compiler.config.patch` does the same.
    """
    import torch._dynamo

    config = torch._dynamo.config
    return cast(
        AbstractContextManager[Any],
        config.patch(recompile_limit=programs, accumulated_recompile_limit=10 * programs),
    )


def with_own_code(function: F) -> F:
    """Give a function a code object of its own, and return it.

    Dynamo keys its programs by code object and keeps 8 for each; after that it silently runs eagerly. Functions that
    are made by one `def` share their code, and so do the forward passes of all modules of a class.
    """
    assert isinstance(function, FunctionType)
    function.__code__ = function.__code__.replace()
    return cast(F, function)


# --- 8-bit integers on x86 -----------------------------------------------------------------------------------------


class Int8Kernels(NamedTuple):
    """Operators of oneDNN for 8-bit integers, which PyTorch's own compiler calls; no public function does.

    Inputs are uint8 with one scale and one integer of 0, weights int8 with a scale per output channel.
    """

    pack_conv: Any
    conv: Any
    pack_linear: Any
    linear: Any


def int8_kernels() -> Int8Kernels:
    """Return the operators.

    Raises:
        AttributeError: this build of PyTorch does not have them.
    """
    ops = torch.ops.onednn
    return Int8Kernels(
        ops.qconv_prepack.default,
        ops.qconv_pointwise.default,
        ops.qlinear_prepack.default,
        ops.qlinear_pointwise.default,
    )


def traced_for_any_batch(network: nn.Module, images: Tensor) -> GraphModule:
    """Return a network's graph for any batch size without in-place operations, whose layers are single nodes.

    `torch.export.ExportedProgram.module` is public, but not what its checks of the batch size are.
    """
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (images,), dynamic_shapes=shapes, strict=False)
    return cast(GraphModule, program.run_decompositions({}).module(check_guards=False))


# --- programs compiled ahead of time: torch._inductor is documented for them, its options and its loader are not -----


def compile_ahead(program: ExportedProgram, path: Path) -> None:
    """Compile an exported program for this processor, and write it to a `.pt2` file.

    `torch._inductor.aoti_compile_and_package` with frozen weights, which holds under `torch.no_grad` alone, and for any
    number of threads: by default the number at compilation becomes part of the program.
    """
    import torch._inductor

    with torch.no_grad():
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(path), inductor_configs={"freezing": True, "cpp.dynamic_threads": True}
        )


def open_compiled(path: Path, threads: int) -> Any:
    """Load what `compile_ahead` wrote, for so many calls at a time; others wait.

    `torch._inductor.aoti_load_package` does the same, but imports the compiler, which takes seconds.
    """
    return torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, threads, -1)
