from modernet.errors import InputError, unknown_name


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
