from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.subject.table import read_table

CSV = "arm,converted\nA,0\nB,1\nA,true\n"
ROWS = [{"arm": "A", "converted": 0}, {"arm": "B", "converted": 1}, {"arm": "A", "converted": True}]


def write(folder: Path, text: str | bytes, name: str = "t") -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        CSV.replace("\n", "\r\n"),
        "\ufeff" + CSV,
        CSV.replace("A,0", '"A","0"').replace("A,true", "A,true\n\n"),
        "\n".join(json.dumps(row) for row in ROWS),
        json.dumps(ROWS),
    ],
)
def test_one_table_in_every_layout(tmp_path: Path, text: str) -> None:
    table = read_table(write(tmp_path, text))
    assert table.labels("arm", "--arm") == ["A", "B", "A"]
    assert table.numbers("converted", "--outcome").tolist() == [0.0, 1.0, 1.0]
    assert len(table) == 3


def test_rows_know_their_line_and_late_keys_were_empty(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, '{"id": 1}\n\n{"id": 2, "score": 0.5, "nested": {"x": 1}}\n'))
    assert list(table.lines) == [1, 3]
    assert table.columns == {"id": [1, 2], "score": [None, 0.5]}
    with pytest.raises(TollensError) as caught:
        table.numbers("score", "--score")
    assert caught.value.subject.endswith(":1: column score")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_file"),
        (" \n ", "empty_file"),
        ("arm,converted\n", "table_syntax"),
        ("arm,arm\nA,B\n", "table_syntax"),
        ("arm,\nA,1\n", "table_syntax"),
        ("arm,converted\nA\n", "table_syntax"),
        ('arm,converted\n"A,1\n', "table_syntax"),
        ('{"arm": "A"}\n[1]\n', "table_syntax"),
        ('{"arm": "A"\n', "table_syntax"),
        ("[1, 2]", "table_syntax"),
        ("[" * 100_000, "table_syntax"),
        ('{"x": ' + "9" * 5000 + "}", "table_syntax"),
        (b"\xff\xfe\x00", "table_syntax"),
        ("\n".join(f'{{"k{i}": 1}}' for i in range(1001)), "table_syntax"),  # a square of empty cells
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, text: str | bytes, code: str) -> None:
    with pytest.raises(TollensError) as caught:
        read_table(write(tmp_path, text))
    assert caught.value.code == code
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("cell", ["", "x", "nan", "inf", "1_000", "1e999", "0x1"])
def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path: Path, cell: str) -> None:
    table = read_table(write(tmp_path, f"id,score\n1,0.5\n2,{cell}\n"))
    with pytest.raises(TollensError) as caught:
        table.numbers("score", "--score")
    assert caught.value.code == "table_column"
    assert ":3: column score" in caught.value.subject


def test_a_missing_column_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(TollensError) as caught:
        read_table(write(tmp_path, CSV)).labels("group", "--arm")
    assert "arm, converted" in caught.value.found
    assert "--arm" in caught.value.fix


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TollensError) as caught:
        read_table(str(tmp_path / "none.csv"))
    assert caught.value.code == "path_missing"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_numbers_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("table")
    table = read_table(write(folder, "x\n" + "\n".join(map(repr, values))))
    assert np.array_equal(table.numbers("x", "--x"), np.array(values))


def test_half_a_character_is_no_label(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, '{"id": "a\\ud800", "x": "\\ud83d\\ude00"}'))
    with pytest.raises(TollensError) as caught:
        table.labels("id", "--id")
    assert caught.value.code == "table_column"
    assert table.labels("x", "--x") == ["\U0001f600"]
