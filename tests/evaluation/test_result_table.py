"""Results survive kills: a row is complete or missing, and is never computed twice."""

import pytest
from edgewright.errors import InputError
from edgewright.evaluation.result_table import ResultTable, number

COLUMNS = ("task", "limit", "accuracy")


def test_rows_are_found_again(tmp_path):
    table = ResultTable(tmp_path / "a" / "rows.csv", COLUMNS, 2)
    table.add({"task": "only two, 3", "limit": 0.05, "accuracy": 0.9875})
    table.add({"task": "has, 1", "limit": 0.05, "accuracy": None})
    again = ResultTable(tmp_path / "a" / "rows.csv", COLUMNS, 2)
    assert again.rows == table.rows
    assert again.has("only two, 3", 0.05) and not again.has("only two, 3", 0.1)
    assert [number(row["accuracy"]) for row in again.rows] == [0.9875, None]


@pytest.mark.parametrize("cut", [1, 3, 8])
def test_half_a_row_is_dropped(tmp_path, cut):
    path = tmp_path / "rows.csv"
    table = ResultTable(path, COLUMNS, 2)
    for task in ("a", "b"):
        table.add({"task": task, "limit": 0.5, "accuracy": 0.25})
    path.write_bytes(path.read_bytes()[:-cut])
    again = ResultTable(path, COLUMNS, 2)
    assert again.has("a", 0.5) and not again.has("b", 0.5)
    again.add({"task": "b", "limit": 0.5, "accuracy": 0.25})
    assert len(ResultTable(path, COLUMNS, 2).rows) == 2


def test_another_versions_table_is_refused(tmp_path):
    ResultTable(tmp_path / "rows.csv", ("task", "score"), 1)
    with pytest.raises(InputError, match=r"has columns of another version \(task, score\); choose another folder"):
        ResultTable(tmp_path / "rows.csv", COLUMNS, 2)
