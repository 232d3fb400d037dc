from __future__ import annotations

from urllib.error import URLError

from modernet.errors import InputError, one_line, root_cause, unknown_name


def test_a_message_of_several_lines_becomes_one() -> None:
    assert one_line(ValueError("  first\n\tsecond\n")) == "first second"
    assert one_line(KeyError("a"), with_type=True) == "KeyError: 'a'"


def test_an_exception_without_a_message_is_its_type() -> None:
    assert one_line(TimeoutError()) == one_line(TimeoutError(), with_type=True) == "TimeoutError"


def test_a_long_message_is_cut_at_500_characters() -> None:
    assert one_line(ValueError("x" * 500)) == "x" * 500
    assert one_line(ValueError("x" * 501)) == "x" * 497 + "..."


def test_the_root_cause_is_at_the_end_of_the_chain() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    error = InputError("outer")
    error.__cause__ = URLError(refused)
    assert root_cause(error) is refused
    assert root_cause(refused) is refused


def test_a_cause_that_is_itself_ends_the_chain() -> None:
    error = ValueError("a")
    error.__cause__ = error
    assert root_cause(error) is error


def test_an_unknown_name_suggests_its_neighbours() -> None:
    error = unknown_name("model", "convnet_tiny", ["convnext_tiny", "convnext_small", "resnet50"])

    assert isinstance(error, InputError)
    assert str(error).startswith("no model is called 'convnet_tiny'; did you mean convnext_tiny")


def test_an_unknown_name_without_neighbours_lists_what_there_is() -> None:
    assert str(unknown_name("size", "zzz", ["nano", "tiny"])) == "no size is called 'zzz'; there is: nano, tiny"


def test_an_unknown_name_among_many_names_a_few_of_them() -> None:
    known = [f"model_{index:02d}" for index in range(30)]

    assert str(unknown_name("model", "zzz", known)).endswith("there are 30, such as model_00, model_01, model_02")


def test_an_input_error_is_a_value_error() -> None:
    assert issubclass(InputError, ValueError)


def test_a_name_that_is_hardly_alike_is_not_suggested() -> None:
    assert str(unknown_name("verb", "explain", ["train", "show"])).endswith("there is: show, train")
