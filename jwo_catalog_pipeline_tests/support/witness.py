"""The slow way: what Amazon holds, plans and their figures as plain loops and pandas. It is written to be read."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.catalog.rules.barcodes import barcode_facts
from jwo_catalog_pipeline.catalog_api.requests import item_documents
from jwo_catalog_pipeline.table_file import as_arrow
from jwo_catalog_pipeline.upload.plan.changes import KINDS, SENT_KINDS, PlanRules
from jwo_catalog_pipeline.upload.plan.figures import PlanFigures
from jwo_catalog_pipeline.upload.tables import PlanRow, Published, columns, conform, empty
from jwo_catalog_pipeline_tests.support.project import KEY

Row = dict[str, Any]


def fold_slowly(layers: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Lay tables of `Published` over each other, the newest last; by store and SKU."""
    table = pd.concat([empty(Published), *layers], ignore_index=True).drop_duplicates(KEY, keep="last")
    over = (table["state"] == "archived") & (table["doubted_at"] == 0)
    return conform(Published, table[~over].sort_values(KEY, ignore_index=True))


def rows_of(table: pd.DataFrame) -> list[Row]:
    """A table's rows as plain values, None for what is missing."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in table.to_dict("records")
    ]


class SlowPlan:
    """A plan, item by item."""

    def __init__(
        self,
        items: pd.DataFrame,
        published: pd.DataFrame,
        quarantined: pd.DataFrame,
        fields: Sequence[str],
        rules: PlanRules,
    ) -> None:
        self.rules, self.fields = rules, [field for field in fields if field not in KEY]
        documents = item_documents(items, fields).drop(columns=KEY[:0]).merge(items, on=KEY)
        self.items = {(row["store_id"], row["item_sku"]): row for row in rows_of(documents)}
        self.published = {(row["store_id"], row["item_sku"]): row for row in rows_of(published)}
        self.set_aside = {(row["store_id"], row["item_sku"]) for row in rows_of(quarantined)}
        self.unidentified = sum(
            row["item_sku"] is None and row["external_product_id"] is not None for row in rows_of(quarantined)
        )
        self.archive = rules.archive and not self.unidentified
        self.skus = {sku for _, sku in self.items} | {sku for _, sku in self.set_aside}
        self.of_sku = defaultdict[str, list[Row]](list)
        for (_, sku), row in self.published.items():
            self.of_sku[sku].append(row)

    def table(self) -> pd.DataFrame:
        """`PlanRow` with a row for each unchanged item, and the other fields in the rows that are sent."""
        keys = sorted({*self.items, *self.published}, key=lambda key: [part.encode() for part in key])
        rows = [row for key in keys if (row := self.row(*key))]
        others = [field for field in self.fields if field not in columns(PlanRow)]
        table = pd.DataFrame(rows, columns=[*columns(PlanRow), *others])
        return pd.concat([conform(PlanRow, table), table[others].astype("str")], axis="columns")

    def row(self, store: str, sku: str) -> Row | None:
        item, held = self.items.get((store, sku)), self.published.get((store, sku))
        if item is None and held and (held["state"] == "archived" or (store, sku) in self.set_aside):
            return None
        change, reason, waits_for = self.judge(sku, item, held)
        sent = {field: item[field] for field in self.fields} if item and change in SENT_KINDS else {}
        known = {"hash": "content_hash", "price": "standard_price", "upload": "upload", "batch": "batch"}
        return {
            "change": change,
            "store_id": store,
            "item_sku": sku,
            "content_hash": item and item["content_hash"],
            "document_bytes": len(item["document"].encode()) if item else 0,
            **{f"published_{name}": held and held[column] for name, column in known.items()},
            "waits_for": waits_for,
            "reason": reason,
            **sent,
        }

    def judge(self, sku: str, item: Row | None, held: Row | None) -> tuple[str, str | None, str | None]:
        """What is done with an item, why, and what it waits for."""
        busy = [row for row in self.of_sku[sku] if self.in_flight(row) or self.in_doubt(row)]
        archiving = any(row["operation"] == "archive" for row in busy)
        newest = max((row["upload"] for row in busy), default=None)
        change = self.change(sku, item, held, bool(busy), archiving)
        if change == "in_flight":
            mine = held is not None and (self.in_flight(held) or self.in_doubt(held))
            waits_for = held["upload"] if held and mine else newest
            if held and self.in_doubt(held) and not self.in_flight(held):
                return change, f"sent in upload {waits_for} more often than was answered", waits_for
            if held and waits_for == held["upload"] and held["state"] == "in_flight":
                return change, f"sent in upload {waits_for}, outcome open", waits_for
            if archiving:
                return change, f"its SKU is being archived by upload {newest}", waits_for
            return change, f"its SKU was sent for another store in upload {newest}", waits_for
        return change, self.reason(change, sku, item, held), None

    def change(self, sku: str, item: Row | None, held: Row | None, busy: bool, archiving: bool) -> str:
        if item is None:
            if not self.archive or sku in self.skus:
                return "absent"
            if busy:
                return "in_flight"
            return "held" if self.refused_archives(sku) else "archive"
        if archiving or (held and self.in_flight(held)):
            return "in_flight"
        if held is None:
            return "insert"
        same, retry = held["content_hash"] == item["content_hash"], self.rules.retry_rejected
        if self.in_doubt(held) and (not same or held["state"] == "in_flight" or retry):
            return "in_flight"
        if held["state"] == "archived":
            return "insert"
        if not same or held["state"] == "in_flight":
            return "update"
        if held["state"] == "rejected":
            return "update" if retry else "held"
        return "unchanged"

    def reason(self, change: str, sku: str, item: Row | None, held: Row | None) -> str | None:
        if held is None:
            return None
        upload = held["upload"]
        if change == "held":
            return (max(self.refused_archives(sku)) if item is None else None) or held["reason"]
        if change == "absent":
            if self.archive:
                return "its SKU is still in the source, for another store or quarantined"
            if not self.rules.archive:
                return "archiving is off (JWO_ARCHIVE)"
            rows = f"{self.unidentified} quarantined rows"
            return f"not archived: {rows} have a barcode but no SKU, and may be this item"
        if held["state"] == "in_flight" and change in ("update", "archive"):
            if held["sent_at"] == 0:
                return f"a person has closed upload {upload}: what Amazon holds is not known"
            return f"no news of upload {upload} for too long, no longer waited for"
        if held["state"] == "accepted" and held["content_hash"] is None and change == "update":
            return f"sent in upload {upload}, whose ingestion was found by its items alone: content not known"
        if item and held["state"] == "rejected" and held["content_hash"] == item["content_hash"]:
            return f"sent again as asked, was {held['reason']}"
        return None

    def refused_archives(self, sku: str) -> list[str]:
        if self.rules.retry_rejected:
            return []
        again = self.rules.archive_again_before
        return [
            row["reason"]
            for row in self.of_sku[sku]
            if row["state"] == "rejected" and row["operation"] == "archive" and row["sent_at"] >= again
        ]

    def in_flight(self, row: Row) -> bool:
        return row["state"] == "in_flight" and row["sent_at"] >= self.rules.waiting_since

    def in_doubt(self, row: Row) -> bool:
        return bool(row["doubted_at"] >= self.rules.doubted_since)


def figures_slowly(plan: pd.DataFrame, quarantined: pd.DataFrame, factor: float) -> PlanFigures:
    """What is counted of a plan that has a row for each unchanged item."""
    published = plan[plan["change"] != "insert"]
    present = published[published["content_hash"].notna()]
    updates = present[present["change"] == "update"]
    before, after = (pd.to_numeric(updates[name]) for name in ("published_price", "standard_price"))
    sent = plan[plan["change"].isin(SENT_KINDS)]
    known = barcode_facts(as_arrow(sent))["form_known"].to_pandas().astype(bool)
    differs = plan["content_hash"].fillna("") != plan["published_hash"].fillna("")
    waiting = plan[(plan["change"] == "in_flight") & differs]
    in_source = {*plan.loc[plan["content_hash"].notna(), "store_id"], *quarantined["store_id"]}
    counts = pd.crosstab(plan["store_id"], plan["change"]).reindex(columns=list(KINDS), fill_value=0)
    return PlanFigures(
        by_store=counts.rename_axis(columns=None).reset_index(),
        published_by_store=published["store_id"].value_counts().to_dict(),
        missing_stores=sorted(set(published["store_id"]) - in_source),
        present=len(present),
        skus=published["item_sku"].nunique(),
        archived_skus=plan.loc[plan["change"] == "archive", "item_sku"].nunique(),
        changed=int((updates["published_hash"].notna() & (updates["published_hash"] != updates["content_hash"])).sum()),
        price_jumps=int(((after > before * factor) | (after * factor < before)).sum()),
        unknown_barcodes=int((~known).sum()),
        waiting=len(waiting),
        waits_for=sorted(waiting["waits_for"].dropna().unique()),
    )
