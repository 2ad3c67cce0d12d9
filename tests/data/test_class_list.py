"""What a file of classes may say."""

import pytest

from engine.data.batch import VOID
from engine.data.class_list import CITYSCAPES, read_classes
from engine.errors import DataError


@pytest.fixture
def listed(tmp_path):
    def read(text, name="classes.csv"):
        (tmp_path / name).write_text(text)
        return read_classes(tmp_path)

    return read


def test_a_folder_without_a_list_has_none(tmp_path):
    assert read_classes(tmp_path) is None


def test_index_name_colour_and_ignore_are_read(listed):
    found = listed("index,name,r,g,b,ignore\n5,sky,1,2,3,0\n7,void stuff,0,0,0,1\n9,road,4,5,6,0\n")
    assert found.names == ("sky", "road")
    assert found.values == {5: 0, 7: VOID, 9: 1}
    assert found.colours == {(1, 2, 3): 0, (0, 0, 0): VOID, (4, 5, 6): 1}
    assert found.palette == ((1, 2, 3), (4, 5, 6))


@pytest.mark.parametrize(
    "text",
    [
        "name\nsky\nroad\n",
        "Class;Red;Green;Blue\nsky;1;2;3\nroad;4;5;6\n",
        "\ufeffid\tname\n0\tsky\n1\troad\n",
    ],
)
def test_columns_may_be_few_otherwise_named_or_otherwise_parted(listed, text):
    found = listed(text)
    assert found.names == ("sky", "road") and found.values == {0: 0, 1: 1}
    assert bool(found.palette) == ("Red" in text)


def test_a_text_has_one_name_a_line_and_some_mean_no_class(listed):
    found = listed("Sky\nRoad\n\nUnlabelled\n", "classes.txt")
    assert found.names == ("Sky", "Road") and found.values == {0: 0, 1: 1, 2: VOID}
    assert found.palette == () and not found.colours


def test_the_table_is_read_before_the_text(listed):
    listed("a\nb\nc\n", "classes.txt")
    assert listed("name\nsky\nroad\n").names == ("sky", "road")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("index,colour\n0,red\n", "no column `name` in its first line, but: index,colour"),
        ("index,name\nfirst,sky\n", "class 1 cannot be read"),
        ("name,r,g,b\nsky,1,2,3\nroad,1,2,300\n", "class 2 has no colour"),
        ("name,r,g,b\nsky,1,2,3\nroad,1,2\n", "class 2 has no colour"),
        (
            "name,r,g,b\nsky,1,2,3\nroad,1,2,3\n",
            r"class 2 \(road\) has an index or colour of another",
        ),
        ("index,name\n0,sky\n0,road\n", r"class 2 \(road\) has an index or colour of another"),
        ("name\nsky\nsky\n", "two classes of one name: sky"),
        ("name\nsky\n", "has 1 classes; 2 to 254"),
    ],
)
def test_nonsense_is_refused_with_its_line(listed, text, told):
    with pytest.raises(DataError, match=told):
        listed(text)


def test_cityscapes_tells_nineteen_classes_and_all_its_other_ids_apart():
    assert len(CITYSCAPES.names) == 19
    assert set(CITYSCAPES.values) == set(range(34))
    assert (CITYSCAPES.values[7], CITYSCAPES.values[33]) == (0, 18)
    assert sum(label == VOID for label in CITYSCAPES.values.values()) == 15
