"""The plan: what is to be sent, found by comparing the valid items with what Amazon holds. Tables in, a table out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from jwo_catalog_pipeline.catalog_api.requests import MAX_ITEMS, document_sql
from jwo_catalog_pipeline.engine import quoted, tables, view
from jwo_catalog_pipeline.table_file import TableFile, TableWriter, of_equal_length
from jwo_catalog_pipeline.upload.tables import PlanRow, arrow_schema, columns
from jwo_catalog_pipeline.work_folder import new_path

# Every kind of change, in the order in which people want to read them.
INSERT, UPDATE, UNCHANGED, IN_FLIGHT, HELD, ARCHIVE, ABSENT = (
    "insert",
    "update",
    "unchanged",
    "in_flight",
    "held",
    "archive",
    "absent",
)
KINDS = (INSERT, UPDATE, UNCHANGED, IN_FLIGHT, HELD, ARCHIVE, ABSENT)
SENT_KINDS = (INSERT, UPDATE)


@dataclass(frozen=True)
class PlanRules:
    """What a comparison may conclude; times are epoch seconds.

    Attributes:
        waiting_since: an ingestion that was sent before and still has no outcome is no longer waited for.
        doubted_since: a call that was made before and had no answer is no longer waited for.
        archive: whether SKUs that are gone from the source in all stores are archived.
        archive_again_before: a rejected archive that was sent before is tried again; a later one is held.
        retry_rejected: whether rejected items are sent again though they have not changed.
    """

    waiting_since: int
    doubted_since: int
    archive: bool = False
    archive_again_before: int = 0
    retry_rejected: bool = False


def plan_changes(
    db: duckdb.DuckDBPyConnection,
    items: TableFile,
    published: TableFile,
    quarantined: TableFile,
    fields: Sequence[str],
    rules: PlanRules,
    folder: Path,
) -> TableFile:
    """Compare the valid items with the published state.

    Args:
        db: of `engine.connect`; afterwards it has the views `items`, `quarantined` and `changes`, the plan.
        items: the valid items with the `fields`, keys unique.
        published: `Published`, keys unique; a missing `content_hash` means that what Amazon holds is unknown.
            `doubted_at` is when the item may have been sent once more than is known, 0 for never.
        quarantined: `store_id`, `item_sku`, `external_product_id` of quarantined rows; they count as present, and a
            SKU that is quarantined in any store is not archived.
        fields: the item's fields.
        rules: what may be concluded.
        folder: where the plan is written.

    Returns:
        `PlanRow`, and the other `fields` in the rows that are uploaded; one row per item that is valid or published,
        not quarantined, and not unchanged; ordered by store and SKU.
        An item in flight waits, and so does one whose SKU is being archived (an archive acts on every store); one that
        was rejected and has not changed since is held; everything else follows from its hash. An absent item is only
        named, unless its SKU is gone from all stores and archiving is on.
    """
    for name, table in {"items": items, "every_published": published, "quarantined": quarantined}.items():
        view(db, name, table)
    unidentified = _count(db, "quarantined WHERE item_sku IS NULL AND external_product_id IS NOT NULL")
    _look_up_skus(db, rules, archive=rules.archive and not unidentified)
    others = [field for field in fields if field not in columns(PlanRow)]
    # What no item has need not be written, compared, or sorted.
    given = [field for field in fields if items.has_values(field)] or fields
    sent = "".join(
        f', CASE WHEN change IN {SENT_KINDS} THEN d."{field}" END AS "{field}"' for field in others if field in given
    )
    compared = _COMPARED.format(document=document_sql(given), others=sent, retry=rules.retry_rejected)
    db.execute(f"CREATE TEMP VIEW comparison AS {compared}")
    query, parameters = _FIRST_PLAN, dict[str, object]()
    if published.rows:
        path = new_path(folder, "compared")
        db.execute(f"COPY (FROM comparison) TO '{quoted(path)}' (FORMAT parquet)")
        view(db, "comparison", TableFile(path))
        query = _PLAN
        parameters = {"archive": rules.archive and not unidentified, "why_absent": _why_absent(rules, unidentified)}
    query = query.format(others="".join(f', c."{field}"' for field in others if field in given))
    schema = pa.schema([*arrow_schema(PlanRow), *(pa.field(field, pa.large_string()) for field in others)])
    # A batch's items are read by themselves, so the file's parts are as large as a batch.
    with TableWriter(new_path(folder, "changes"), schema, group_rows=MAX_ITEMS) as writer:
        for piece in of_equal_length(tables(db, query, parameters, MAX_ITEMS), MAX_ITEMS):
            writer.write(_completed(piece, schema))
    view(db, "changes", writer.table)
    return writer.table


def _completed(piece: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows with the columns that are empty."""
    for column in schema:
        if column.name not in piece.column_names:
            piece = piece.append_column(column, pa.nulls(len(piece), column.type))
    return piece


def _count(db: duckdb.DuckDBPyConnection, rows: str) -> int:
    return int(db.sql(f"SELECT count(*) FROM {rows}").fetchall()[0][0])  # noqa: S608 (the text is ours)


def _look_up_skus(db: duckdb.DuckDBPyConnection, rules: PlanRules, *, archive: bool) -> None:
    """Make what the comparison looks up by SKU: an archive acts on a SKU in every store.

    Amazon may still be at an item that is in flight, or in doubt.
    """
    db.execute(
        f"""CREATE TEMP VIEW published AS
        SELECT *, state = 'in_flight' AND sent_at >= {rules.waiting_since} AS in_flight,
               doubted_at >= {rules.doubted_since} AS in_doubt
        FROM every_published"""  # noqa: S608 (numbers)
    )
    db.execute(
        """CREATE TEMP TABLE busy AS
        SELECT item_sku, max(upload) AS upload, bool_or(operation = 'archive') AS archiving
        FROM published WHERE in_flight OR in_doubt GROUP BY item_sku"""
    )
    db.execute(
        """CREATE TEMP TABLE no_archive AS
        SELECT item_sku, max(reason) AS reason FROM published
        WHERE state = 'rejected' AND operation = 'archive' AND sent_at >= $again AND NOT $retry GROUP BY item_sku""",
        {"again": rules.archive_again_before, "retry": rules.retry_rejected},
    )
    gone = """SELECT DISTINCT item_sku FROM published
              ANTI JOIN items USING (item_sku) ANTI JOIN quarantined USING (item_sku)"""
    db.execute(f"CREATE TEMP TABLE gone AS {gone if archive else 'SELECT NULL::VARCHAR AS item_sku LIMIT 0'}")
    db.execute("CREATE TEMP TABLE set_aside AS SELECT DISTINCT store_id, item_sku FROM quarantined")


# One of which Amazon holds this very content need not wait for a doubt. An archived item is published only while it is
# in doubt. Of the published state only what is compared goes along: a million items take 100 MB that way.
_COMPARED = """
WITH documents AS NOT MATERIALIZED (
  SELECT *, sha256(document) AS content_hash, strlen(document) AS document_bytes
  FROM (SELECT *, {document} AS document FROM items)
), held AS NOT MATERIALIZED (
  SELECT store_id, item_sku, content_hash, state, in_flight, in_doubt, file_row_number FROM published
)
SELECT CASE
         WHEN d.content_hash IS NULL THEN CASE
           WHEN gone.item_sku IS NULL THEN 'absent'
           WHEN busy.item_sku IS NOT NULL THEN 'in_flight'
           WHEN no_archive.item_sku IS NOT NULL THEN 'held'
           ELSE 'archive' END
         WHEN busy.archiving OR p.in_flight THEN 'in_flight'
         WHEN p.in_doubt AND (p.content_hash IS DISTINCT FROM d.content_hash OR p.state = 'in_flight' OR {retry})
           THEN 'in_flight'
         WHEN p.state IS NULL OR p.state = 'archived' THEN 'insert'
         WHEN p.content_hash IS DISTINCT FROM d.content_hash OR p.state = 'in_flight' THEN 'update'
         WHEN p.state = 'rejected' THEN CASE WHEN {retry} THEN 'update' ELSE 'held' END
         ELSE 'unchanged'
       END AS change,
       coalesce(d.store_id, p.store_id) AS store_id, coalesce(d.item_sku, p.item_sku) AS item_sku,
       d.content_hash, coalesce(d.document_bytes, 0) AS document_bytes,
       busy.upload AS busy_upload, busy.archiving, no_archive.reason AS no_archive_reason,
       coalesce(p.file_row_number, -1) AS published_row{others}
FROM documents d
FULL JOIN held p ON d.store_id = p.store_id AND d.item_sku = p.item_sku
LEFT JOIN busy ON busy.item_sku = coalesce(d.item_sku, p.item_sku)
LEFT JOIN no_archive ON no_archive.item_sku = p.item_sku
LEFT JOIN gone ON gone.item_sku = p.item_sku
LEFT JOIN set_aside ON set_aside.store_id = p.store_id AND set_aside.item_sku = p.item_sku
WHERE change <> 'unchanged' AND (d.content_hash IS NOT NULL OR (p.state <> 'archived' AND set_aside.item_sku IS NULL))
"""

_PLAN = """
SELECT c.change, c.store_id, c.item_sku, c.content_hash, c.document_bytes,
       p.content_hash AS published_hash, p.standard_price AS published_price, p.upload AS published_upload,
       p.batch AS published_batch,
       CASE WHEN c.change = 'in_flight' THEN
         CASE WHEN p.in_flight OR p.in_doubt THEN p.upload ELSE c.busy_upload END
       END AS waits_for,
       CASE
         WHEN c.change = 'in_flight' AND p.in_doubt AND NOT p.in_flight
           THEN 'sent in upload ' || waits_for || ' more often than was answered'
         WHEN waits_for = p.upload AND p.state = 'in_flight' THEN 'sent in upload ' || waits_for || ', outcome open'
         WHEN c.change = 'in_flight' AND c.archiving THEN 'its SKU is being archived by upload ' || c.busy_upload
         WHEN c.change = 'in_flight' THEN 'its SKU was sent for another store in upload ' || c.busy_upload
         WHEN c.change = 'held' THEN coalesce(CASE WHEN c.content_hash IS NULL THEN c.no_archive_reason END, p.reason)
         WHEN c.change = 'absent' AND $archive THEN 'its SKU is still in the source, for another store or quarantined'
         WHEN c.change = 'absent' THEN $why_absent
         WHEN p.state = 'in_flight' AND p.sent_at = 0 AND c.change IN ('update', 'archive')
           THEN 'a person has closed upload ' || p.upload || ': what Amazon holds is not known'
         WHEN p.state = 'in_flight' AND c.change IN ('update', 'archive')
           THEN 'no news of upload ' || p.upload || ' for too long, no longer waited for'
         WHEN p.state = 'accepted' AND p.content_hash IS NULL AND c.change = 'update'
           THEN 'sent in upload ' || p.upload || ', whose ingestion was found by its items alone: content not known'
         WHEN p.state = 'rejected' AND p.content_hash = c.content_hash THEN 'sent again as asked, was ' || p.reason
       END AS reason{others}
FROM comparison c LEFT JOIN published p ON p.file_row_number = c.published_row
ORDER BY store_id, item_sku
"""


_FIRST_PLAN = """
SELECT c.change, c.store_id, c.item_sku, c.content_hash, c.document_bytes{others}
FROM comparison c ORDER BY store_id, item_sku"""


def _why_absent(rules: PlanRules, unidentified: int) -> str:
    if not rules.archive:
        return "archiving is off (JWO_ARCHIVE)"
    return f"not archived: {unidentified} quarantined rows have a barcode but no SKU, and may be this item"
