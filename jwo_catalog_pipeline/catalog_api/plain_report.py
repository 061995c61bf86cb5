"""Reading a report as it most likely looks, without a Python object for each of its values.

Whatever is unusual about a report is left to `report.py`, which is slower, and whose answers these are. So this reader
has to know for sure when it must not answer, and no more.
"""

import io
from typing import Any

import pyarrow as pa
import pyarrow.json as pj

# The first field of each pair that holds a text counts.
SKU_NAMES, STORE_NAMES = ("item_sku", "itemSku", "sku"), ("store_id", "storeId")
CODE_NAMES, MESSAGE_NAMES = ("code", "errorCode"), ("message", "errorMessage", "errorMsg")
# More brackets than the entries account for may be values of any depth, which Python's parser refuses.
OTHER_BRACKETS = 500
# Python's parser takes the half of a surrogate pair, Arrow's takes infinity by other names, and its end is a null byte.
_READ_OTHERWISE = (b"\\ud", b"\\uD", b"Inf", b"\0")


def _texts(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.string()) for name in names]


_CAUSES = _texts(*CODE_NAMES, *MESSAGE_NAMES)
_ENTRY = pa.struct(
    [
        *_texts(*SKU_NAMES, *STORE_NAMES, "status"),
        pa.field("errors", pa.list_(pa.struct(_CAUSES))),
        *_CAUSES,
    ]
)


def plain_entries(content: bytes, id_names: tuple[str, ...]) -> tuple[dict[str, Any], pa.StructArray] | None:
    """The entries of a report with `itemResults`; None where it is not as plain as that.

    Args:
        content: JSON.
        id_names: under which the report may name its ingestion.

    Returns:
        What is under these names, and the entries: each an object, in which what matters is text, and has a `status`.
    """
    if not content.startswith(b"{") or any(mark in content for mark in _READ_OTHERWISE):
        return None
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    schema = pa.schema([*_texts(*id_names), pa.field("itemResults", pa.list_(_ENTRY))])
    try:
        table = pj.read_json(
            io.BytesIO(content),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(content) + 1),
            parse_options=pj.ParseOptions(
                explicit_schema=schema, newlines_in_values=True, unexpected_field_behavior="ignore"
            ),
        )
    except pa.ArrowException:
        return None
    listed = table["itemResults"]
    if len(listed) != 1 or listed.null_count:
        return None
    entries = listed.chunk(0).flatten()
    errors = entries.field("errors")
    brackets = content.count(b"{") + content.count(b"[")
    if brackets > OTHER_BRACKETS + 2 * len(entries) + len(errors.flatten()):
        return None
    if entries.null_count or entries.field("status").null_count:
        return None
    return {name: table[name][0].as_py() for name in id_names}, entries
