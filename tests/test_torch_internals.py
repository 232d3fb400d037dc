"""What the package relies on beyond PyTorch's public API. A test that fails here names what a new release changed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from modernet.torch_internals import (
    compile_ahead,
    constant_when_compiled,
    has_bfloat16,
    has_forward_hooks,
    has_vnni,
    in_place_version,
    mark_batch_dynamic,
    open_compiled,
    structure_from_json,
    structure_to_json,
    tensors_in,
    traced_for_any_batch,
    tree_leaves,
    tree_map,
    tree_unflatten,
    with_frozen_weights,
    with_own_code,
    with_recompile_limit,
)


class Compilations:
    """A backend for `torch.compile` that runs the graph eagerly and counts how often it was asked for a program."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.count += 1
        return graph.forward


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch.compiler.reset()


def test_leaves_of_a_tree_come_in_order() -> None:
    a, b = torch.zeros(1), torch.zeros(2)
    tree = (a, {"x": [b, 3]}, None)
    assert [leaf for leaf in tree_leaves(tree) if not isinstance(leaf, Tensor)] == [3, None]
    assert [len(tensor) for tensor in tensors_in(tree)] == [1, 2]


def test_a_function_is_mapped_over_trees_of_one_structure() -> None:
    assert tree_map(lambda a, b: a + b, (1, {"x": [2]}), (10, {"x": [20]})) == (11, {"x": [22]})


def test_a_structure_goes_through_json() -> None:
    program = torch.export.export(Nested(), (torch.ones(2),))
    structure = structure_from_json(structure_to_json(program.call_spec.out_spec))
    assert tree_unflatten([1, 2, 3], structure) == {"a": [1, (2,)], "b": 3}


class Nested(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"a": [x + 1, (x + 2,)], "b": x + 3}


def test_a_change_through_a_view_raises_the_version_of_its_base() -> None:
    x = torch.zeros(4)
    before = in_place_version(x)
    x[:2].add_(1)
    assert in_place_version(x) > before


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_forward_hooks_are_seen(register: str) -> None:
    module = nn.Linear(2, 2)
    assert not has_forward_hooks(module)
    handle = getattr(module, register)(lambda *_: None)
    assert has_forward_hooks(module)
    handle.remove()
    assert not has_forward_hooks(module)


def test_what_a_processor_multiplies_is_known_by_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert set(torch.cpu.get_capabilities()) >= {"architecture"}
    for name, has in [("avx512_bf16", True), ("amx_bf16", True), ("bf16", True), ("avx2", False)]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {name: True})
        assert has_bfloat16(cpu) is has
    for name, has in [("avx512_vnni", True), ("avx_vnni", True), ("dot", True), ("avx512_f", False)]:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {name: True})
        assert has_vnni() is has


@pytest.mark.medium
def test_a_marked_function_is_called_while_compiling_and_its_result_is_constant() -> None:
    @constant_when_compiled
    def num_entries() -> int:
        return sum(1 for _ in Path("/").iterdir())  # the compiler cannot trace this

    def double(x: Tensor) -> Tensor:
        return x * num_entries()

    compiled = torch.compile(double, backend="eager", fullgraph=True)
    assert torch.equal(compiled(torch.ones(2)), torch.full((2,), float(num_entries())))


@pytest.mark.parametrize(("mark", "programs"), [(True, 1), (False, 2)])
def test_one_program_serves_every_batch_size_where_the_batch_is_marked(mark: bool, programs: int) -> None:
    backend = Compilations()
    network = torch.compile(nn.Linear(3, 3), backend=backend)
    for batch in (2, 4, 7):
        x = torch.zeros(batch, 3)
        if mark:
            mark_batch_dynamic(x)
        network(x)
    assert backend.count == programs


def test_a_marked_batch_is_no_error_where_the_network_fixes_its_size() -> None:
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(4, 3)

    x = torch.zeros(4, 3)
    mark_batch_dynamic(x)
    assert torch.compile(Fixed(), backend="eager")(x).shape == (4, 3)


def test_weights_are_frozen_inside_the_context_only() -> None:
    import torch._inductor.config as config

    assert not config.freezing
    with with_frozen_weights():
        assert config.freezing
    assert not config.freezing


LIMIT = 8  # torch's default, which an import of timm.optim lifts to a million for the whole process


def programs_of(functions: list[Callable[[Tensor], Tensor]]) -> int:
    """Return how many programs are compiled when each function is compiled and called once."""
    backend = Compilations()
    for function in functions:
        torch.compile(function, backend=backend)(torch.ones(2))
    return backend.count


def multiples(count: int) -> list[Callable[[Tensor], Tensor]]:
    """Return functions that share one code object; each needs a program of its own."""

    def times(factor: int) -> Callable[[Tensor], Tensor]:
        def multiply(x: Tensor) -> Tensor:
            return x * factor

        return multiply

    return [times(factor) for factor in range(2, count + 2)]


def test_functions_that_share_code_run_eagerly_beyond_the_limit() -> None:
    with torch._dynamo.config.patch(automatic_dynamic_shapes=False, recompile_limit=LIMIT):
        assert programs_of(multiples(LIMIT + 4)) == LIMIT


def test_functions_with_code_of_their_own_are_all_compiled() -> None:
    with torch._dynamo.config.patch(automatic_dynamic_shapes=False, recompile_limit=LIMIT):
        assert programs_of([with_own_code(function) for function in multiples(LIMIT + 4)]) == LIMIT + 4


def test_a_higher_limit_compiles_functions_that_share_code() -> None:
    with torch._dynamo.config.patch(automatic_dynamic_shapes=False, recompile_limit=LIMIT):
        with with_recompile_limit(LIMIT + 4):
            assert programs_of(multiples(LIMIT + 4)) == LIMIT + 4
        assert torch._dynamo.config.recompile_limit == LIMIT


def test_the_processor_says_whether_it_sums_products_of_8_bit_integers_in_32_bits() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists() or "flags" not in cpuinfo.read_text():
        pytest.skip("needs the flags of an x86 processor in /proc/cpuinfo")
    flags = set(cpuinfo.read_text().split())
    assert has_vnni() == bool(flags & {"avx512_vnni", "avx_vnni"})


def test_layers_of_a_traced_network_are_single_nodes_for_any_batch_size() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 2)).eval()
    program = traced_for_any_batch(network, torch.zeros(2, 3, 2, 2))
    targets = [node.target for node in program.graph.nodes if node.op == "call_function"]
    aten = torch.ops.aten
    assert {aten.conv2d.default, aten.relu.default, aten.linear.default} < set(targets)
    for batch in (1, 5):
        x = torch.rand(batch, 3, 2, 2)
        torch.testing.assert_close(program(x), network(x))


@pytest.mark.slow
@torch.no_grad()
def test_a_program_compiled_ahead_has_frozen_weights_and_takes_any_batch_and_any_threads(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network.eval(), (torch.randn(2, 3, 16, 16),), dynamic_shapes=shapes)
    compile_ahead(program, tmp_path / "program.pt2")

    expected = {batch: network(torch.full((batch, 3, 16, 16), 0.5)) for batch in (1, 2, 5)}
    network[0].weight.zero_()
    loaded = open_compiled(tmp_path / "program.pt2", threads=2)
    structure = structure_from_json(loaded.get_call_spec()[1])
    before = torch.get_num_threads()
    try:
        for threads, (batch, scores) in zip((1, 2, 1), expected.items(), strict=True):
            torch.set_num_threads(threads)
            found = tree_unflatten(loaded.boxed_run([torch.full((batch, 3, 16, 16), 0.5)]), structure)
            torch.testing.assert_close(found, scores)
    finally:
        torch.set_num_threads(before)
    source = zipfile.ZipFile(tmp_path / "program.pt2")
    (text,) = (source.read(name).decode() for name in source.namelist() if name.endswith("wrapper.cpp"))
    assert "_frozen_param" in text, "weights are constants, packed as the operators want them"
    assert "num_threads(1)" not in text, "the number of threads at compilation is not part of the program"
