from __future__ import annotations

from airflow_provider_pai.cli.table import table


def test_columns_are_as_wide_as_their_widest_cell_and_no_line_ends_in_blanks():
    assert table([("name", "hours"), ("ecs.g6.large", "1"), ("x", "")]) == [
        "name          hours",
        "ecs.g6.large  1",
        "x",
    ]
