"""What a tick of the sensors does with news, without Dagster."""

from typing import Any

from jwo_catalog_pipeline.upload.results.in_doubt import reconcile_orphans
from jwo_catalog_pipeline.upload.results.polling import mark_reported
from jwo_catalog_pipeline_tests.support.parts import Parts


def hear(parts: Parts) -> dict[str, str]:
    parts.inbox().receive(20)
    mark_reported(parts.ledger)
    matched = reconcile_orphans(parts.ledger, parts.bucket, parts.settler().fetch)
    mark_reported(parts.ledger)
    for upload in parts.ledger.open_uploads():
        parts.results(upload)
    return matched


def kinds(plan: Any) -> dict[str, str]:
    return dict(zip(plan["item_sku"], plan["change"], strict=True))
