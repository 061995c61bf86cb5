"""Whatever csv or a spreadsheet writes is read, every cell of it."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import xlsxwriter
from hypothesis import assume, example, given
from hypothesis import strategies as st

from jwo_catalog_pipeline.catalog.errors import SourceFileError
from jwo_catalog_pipeline_tests.support.source_files import read

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.tuples(
        st.lists(CELLS, min_size=width, max_size=width),
        st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6),
    )
)


def expected(rows: list[list[str]]) -> list[list[str]]:
    return [row for row in rows if any(cell.strip() for cell in row)]


def same_rows(header: list[str], rows: list[list[str]], reads: Callable[[], pd.DataFrame]) -> None:
    """Every cell that was written is there, in the columns that have a name or content."""
    try:
        frame = reads()
    except SourceFileError:
        # The only files that are refused: no names, a name that is the pipeline's, or one column that holds another
        # delimiter.
        assert (
            not any(name.strip() for name in header)
            or "source_row" in [name.casefold() for name in header]
            or len(header) == 1
        )
        return
    kept = [place for place, name in enumerate(header) if name.strip() or any(row[place].strip() for row in rows)]
    found = frame.drop(columns="source_row").fillna("").to_numpy().tolist()
    assert found == [[row[place] for place in kept] for row in expected(rows)]


@given(TABLES, st.sampled_from(["\r\n", "\n"]), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
@example((["a\nb", "c"], [["1\r\n2", '"']]), "\r\n", csv.QUOTE_ALL)
@example((["a", "\n"], []), "\n", csv.QUOTE_ALL)
@example((["a", "b"], [["\ufeff", "x"], ["'", '""']]), "\n", csv.QUOTE_MINIMAL)
def test_what_csv_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], list[list[str]]], end: str, quoting: Any
) -> None:
    header, rows = table
    # Python's csv leaves a lone \r unquoted, which its own reader then takes for the end of a line.
    assume(quoting == csv.QUOTE_ALL or not any("\r" in cell for row in (header, *rows) for cell in row))
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=end, quoting=quoting).writerows([header, *rows])
    folder = tmp_path_factory.mktemp("csv")
    same_rows(header, rows, lambda: read(folder, "x.csv", buffer.getvalue().encode()))


# XML cannot hold control characters, and a reader of XML makes one line end of \r\n.
PRINTED = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=8)


@given(
    st.integers(2, 4).flatmap(
        lambda width: st.tuples(
            st.lists(PRINTED.filter(str.strip), min_size=width, max_size=width),
            st.lists(st.lists(PRINTED, min_size=width, max_size=width), min_size=1, max_size=6),
        )
    )
)
@example((["a\nb", "c"], [["1\n2", "007"], ["", ""], ["=1", "TRUE"]]))
def test_what_a_spreadsheet_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], list[list[str]]]
) -> None:
    header, rows = table
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer)
    sheet = book.add_worksheet()
    for number, values in enumerate([header, *rows]):
        for column, value in enumerate(values):
            sheet.write_string(number, column, value)
    book.close()
    folder = tmp_path_factory.mktemp("xlsx")
    same_rows(header, rows, lambda: read(folder, "x.xlsx", buffer.getvalue()))
