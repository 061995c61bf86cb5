"""Tables as they are hashed and stored."""

import hashlib
import io
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwo_catalog_pipeline import table_file
from jwo_catalog_pipeline.storage import table_bytes
from jwo_catalog_pipeline.table_file import as_arrow, hash_table

TEXTS = st.lists(st.none() | st.text(max_size=9), max_size=40)


def hash_of(table) -> str:
    hashed = hashlib.sha256()
    hash_table(hashed, table)
    return hashed.hexdigest()


def a_table(texts: list[str | None]) -> pa.Table:
    numbers = [len(text or "-") for text in texts]
    return pa.table({"text": pa.array(texts, pa.large_string()), "number": pa.array(numbers, pa.int64())})


@pytest.fixture(autouse=True, scope="module")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_file, "HASHED_ROWS", 8)
        yield


@given(texts=TEXTS, before=TEXTS, after=TEXTS, cuts=st.lists(st.integers(0, 40), max_size=4))
def test_equal_tables_have_equal_hashes_however_they_were_put_together(texts, before, after, cuts):
    whole = a_table(texts)
    part_of_another = a_table([*before, *texts, *after]).slice(len(before), len(texts))
    edges = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
    pieces = [part_of_another.slice(start, end - start) for start, end in pairwise(edges)]
    stored = pq.read_table(io.BytesIO(table_bytes(whole)))
    for same in (part_of_another, pa.concat_tables(pieces), stored, as_arrow(whole.to_pandas().iloc[:])):
        same = same.cast(whole.schema)
        assert same.equals(whole)
        assert hash_of(same) == hash_of(whole)


@given(texts=TEXTS, others=TEXTS)
def test_other_tables_have_other_hashes(texts, others):
    assert (hash_of(a_table(texts)) == hash_of(a_table(others))) == (texts == others)


def test_names_and_types_count():
    table = a_table(["a", None])
    assert hash_of(table.rename_columns(["text", "count"])) != hash_of(table)
    assert hash_of(table.cast(pa.schema([("text", pa.string()), ("number", pa.int64())]))) != hash_of(table)
