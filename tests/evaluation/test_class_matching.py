from __future__ import annotations

import json
from pathlib import Path

import pytest

from modernet import progress
from modernet.catalogue import imagenet_classes, imagenet_synsets
from modernet.errors import InputError
from modernet.evaluation import ClassMatch, match_classes

IMAGENET = imagenet_classes()
PETS = ("cat", "Dog", "guinea_pig")


def test_synsets_are_matched_with_the_classes_of_imagenet() -> None:
    match = match_classes(IMAGENET, ("n02099601", "n01440764"), "photos")

    assert match == ClassMatch((207, 0), "by synset")
    assert match_classes(IMAGENET, ("n03126707", "tench"), "photos") == ClassMatch((517, 0), "by synset and by name")


def test_a_network_whose_classes_are_synsets_knows_their_names_and_places() -> None:
    assert match_classes(imagenet_synsets(), ("goldfish", "tench, Tinca tinca"), "photos").numbers == (1, 0)
    assert match_classes(imagenet_synsets()[200:210], ("golden retriever",), "photos").numbers == (7,)
    assert match_classes(imagenet_synsets()[200:210], ("n02099601",), "photos").numbers == (7,)
    assert match_classes(imagenet_synsets(), ("10", "2"), "photos") == ClassMatch((10, 2), "by index")


def test_a_network_that_learned_some_named_classes_of_imagenet_knows_their_synsets() -> None:
    assert match_classes((IMAGENET[207], IMAGENET[0]), ("n01440764",), "photos") == ClassMatch((1,), "by synset")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("tench, Tinca tinca", 0),
        ("Golden_Retriever", 207),
        ("man-eating shark", 2),
        ("Cardigan", 264),  # a dog
        ("cardigan", 474),
        ("tub", 876),  # the first name of this class, and the last one of the bathtub
        ("maillot,_tank_suit", 639),
    ],
)
def test_any_name_of_a_class_of_imagenet_will_do_and_the_first_goes_before_others(name: str, number: int) -> None:
    assert match_classes(IMAGENET, (name,), "photos") == ClassMatch((number,), "by name")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "crane",
            r"'crane', which could be n02012849 \(crane\) or n03126707 \(crane\); name it by its synset, or",
        ),
        ("maillot", r"could be n03710637 \(maillot\) or n03710721 \(maillot, tank suit\)"),
        ("panther", r"could be n02125311 .* or n02128925"),
        (
            "goldfsh",
            r"nearest being n01443537 \(goldfish, .*; rename it, leave those images out, or give a --class-map",
        ),
        (
            "retriever",
            r"nearest being n02099267 \(flat-coated retriever\), n02099429 .*, n02099601 \(golden retriever\);",
        ),
        ("golden retriever puppy", r"nearest being n02099601 \(golden retriever\)"),
        ("n01440764_tench", r"only n01440764 \(tench, Tinca tinca\); name it n01440764, or give a --class-map"),
        ("N01440764", "name it n01440764, or give"),
        ("n99999999", "'n99999999', a synset that the network does not have; leave those images out"),
        ("1000", "'1000', and the network has 0 to 999"),
    ],
)
def test_a_class_that_is_none_or_several_of_imagenets_is_an_error_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        match_classes(IMAGENET, (name,), "photos")


def test_all_classes_of_imagenet_in_order_tell_namesakes_apart() -> None:
    """The Hub's list numbers the second crane, as its names must differ."""
    names = list(IMAGENET)
    names[517] = "crane2"

    assert match_classes(IMAGENET, tuple(names), "imagenet").numbers == tuple(range(1000))


def test_folders_of_numbers_are_indices_and_not_in_the_order_of_their_names() -> None:
    """ImageNet-V2's folders, sorted as text: 0, 1, 10, 100, 101, ..."""
    folders = tuple(sorted(map(str, range(1000))))

    assert match_classes(IMAGENET, folders, "v2") == ClassMatch(tuple(map(int, folders)), "by index")
    with pytest.raises(InputError, match="class '7', and the network does not know it, only 3 others, such as 'cat'"):
        match_classes(PETS, ("7",), "v2")


def test_the_own_classes_of_a_network_match_by_name_in_any_case() -> None:
    assert match_classes(PETS, ("Guinea Pig", "dog"), "photos").numbers == (2, 1)
    assert match_classes(("a", "A"), ("A", "a"), "photos").numbers == (1, 0)
    assert match_classes(("dog", "dog, big"), ("dog",), "photos").numbers == (0,)
    assert match_classes(("0", "1", "2"), ("2",), "digits") == ClassMatch((2,), "by name")


def test_two_classes_are_one_only_by_a_class_map(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="class 'CAT', and 'cat' too is the network's 'cat'; rename one, or give a --cl"
    ):
        match_classes(PETS, ("cat", "CAT"), "photos")

    (tmp_path / "my map.csv").write_text("tabby,cat\n")
    match = match_classes(PETS, ("tabby", "cat"), "photos", tmp_path / "my map.csv")
    assert match == ClassMatch((0, 0), "by my map.csv and by name")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".CSV"])
def test_a_class_map_names_classes_by_name_synset_or_index(suffix: str, tmp_path: Path) -> None:
    rows = {"my fish": "tench, Tinca tinca", "bird": "n02012849", "dog": "207", "not here": "nothing"}
    path = tmp_path / f"map{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps({**rows, "dog": 207}))
    else:
        comma = "\t" if suffix == ".tsv" else ","
        path.write_text("\n\n".join(f'{name}{comma} "{meant}"' for name, meant in rows.items()))

    match = match_classes(IMAGENET, ("bird", "dog", "my fish", "goldfish"), "photos", path)
    assert match.numbers == (134, 207, 0, 1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "cat,cat\ndog\n", "a.csv, line 2, is 'dog'; write a class of the data and its class of the network"),
        ("a.csv", "dog,tench, Tinca tinca\n", "line 1, is 'dog,tench,Tinca tinca'; write"),
        ("a.csv", "dog,cat\ndog,Dog\n", "line 2, has 'dog' again, as another class; keep one"),
        ("a.csv", "dog,cta\n", r"line 1, names the class 'cta', .*the nearest being 'cat'; correct it"),
        ("a.csv", "dog,9\n", "line 1, names the class '9', and the network has 0 to 2; correct it"),
        ("a.csv", "bird,cat\n", "has none of the classes of photos, such as 'dog'; correct it"),
        ("a.csv", "\n", "is empty"),
        ("a.json", "{", "is broken"),
        ("a.json", "[]", "is no object"),
        ("a.json", '{"dog": [1]}', r"has \[1\] for 'dog'; give a name, a synset or an index"),
        ("a.txt", "dog,cat\n", r"is neither .csv, .tsv nor .json; rename it"),
        ("a.json", '{"dog": "cat", "dog": "Dog"}', "has 'dog' again, as another class; keep one"),
        ("b.csv", None, "cannot read the class map .*b.csv: No such file or directory; give a file that exists"),
    ],
)
def test_a_broken_class_map_is_named_with_its_line(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        match_classes(PETS, ("dog",), "photos", tmp_path / name)


def test_what_was_matched_is_said_unless_all_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown(progress.LineDisplay()):
        match_classes(PETS, ("Dog", "cat", "guinea_pig"), "photos")
        assert capsys.readouterr().err == ""
        match_classes(PETS, ("dog", "cat"), "photos")
        match_classes(IMAGENET, ("n01440764",), "fish")

    assert capsys.readouterr().err == (
        "photos: 2 of the network's 3 classes, matched by name\n"
        "fish: 1 of the network's 1000 classes, matched by synset\n"
    )


def test_a_class_map_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes("Bär,cat\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"map\.csv is not UTF-8: .*; save it as UTF-8"):
        match_classes(PETS, ("dog",), "photos", path)


def test_classes_of_a_class_map_without_images_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.csv"
    path.write_text("tabby,cat\nTaby,cat\nwolf,Dog\n")
    with progress.shown(progress.LineDisplay()):
        match_classes(PETS, ("tabby", "dog"), "photos", path)
    assert capsys.readouterr().err.startswith(f"{path}: 2 of its 3 classes not in photos, such as 'Taby'\n")
