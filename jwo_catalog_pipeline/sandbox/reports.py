"""Result reports, in each of the shapes that Amazon's may plausibly have, since the real one is unknown."""

import json
from typing import Any

from jwo_catalog_pipeline.sandbox.rules import Outcome

SHAPES = ("1", "2", "3", "mixed", "unknown")


def shape_of(setting: str, ingestion_number: int) -> str:
    """The shape for the n-th ingestion (from 0): the one that is set, or each in turn for `mixed`."""
    return "123"[ingestion_number % 3] if setting == "mixed" else setting


def render(shape: str, ingestion_id: str, outcomes: list[Outcome]) -> bytes:
    """Write a report.

    Args:
        shape: `1` (summary and a result for each item), `2` (errors only), `3` (a bare list) or `unknown` (unreadable).
        ingestion_id: what the report is about.
        outcomes: one for each item, in the order of the request.

    Returns:
        UTF-8 JSON.
    """
    results = [_result(outcome) for outcome in outcomes]
    failed = [outcome for outcome in outcomes if outcome.code is not None]
    report: Any
    if shape == "1":
        summary = {
            "total": len(outcomes),
            "succeeded": len(outcomes) - len(failed),
            "failed": len(failed),
        }
        report = {"ingestionId": ingestion_id, "summary": summary, "itemResults": results}
    elif shape == "2":
        errors = [{**_names(outcome), "errorCode": outcome.code, "errorMessage": outcome.message} for outcome in failed]
        report = {"ingestionId": ingestion_id, "processingStatus": "DONE", "errors": errors}
    elif shape == "3":
        report = results
    else:
        report = {"version": "2", "document": {"total": len(outcomes), "bad": len(failed)}}
    return json.dumps(report, ensure_ascii=False).encode()


def _names(outcome: Outcome) -> dict[str, str]:
    """An archived SKU is archived in every store, so it has no store id."""
    names = {"item_sku": outcome.item_sku}
    return names if outcome.store_id is None else {**names, "store_id": outcome.store_id}


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.code is None:
        return {**_names(outcome), "status": "SUCCESS", "errors": []}
    error = {"code": outcome.code, "message": outcome.message}
    return {**_names(outcome), "status": "FAILED", "errors": [error]}
