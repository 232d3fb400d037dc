import pytest

from modernet.errors import InputError
from modernet.registry import Registry


def registry_of(*names: str) -> Registry[int]:
    registry: Registry[int] = Registry("model")
    for index, name in enumerate(names):
        registry.add(name, index)
    return registry


def test_entries_are_found_by_name_and_listed_in_order() -> None:
    registry = registry_of("b", "a")

    assert registry["a"] == 1
    assert list(registry) == ["b", "a"]
    assert len(registry) == 2
    assert "a" in registry
    assert "c" not in registry


def test_names_are_unique() -> None:
    with pytest.raises(KeyError, match="model 'a' is registered twice"):
        registry_of("a", "a")


def test_an_unknown_name_suggests_similar_ones() -> None:
    with pytest.raises(InputError, match="no model is called 'resnet5'; did you mean resnet50"):
        registry_of("resnet50", "vit")["resnet5"]


def test_names_are_filtered_by_a_pattern() -> None:
    assert registry_of("resnet18", "convnext_tiny", "resnet50").names("resnet*") == ["resnet18", "resnet50"]
