"""What each merchant has of its own on a Dagster instance that several share: names of assets, partitions, pool, runs.

Each merchant is a code location with its own settings, bucket and ledger, so nothing in these is prefixed. Jobs,
schedules and sensors belong to their code location. Without a merchant (JWO_MERCHANT), no name has a prefix.
"""

from collections.abc import Sequence

import dagster as dg
from dagster_shared.record import copy

MERCHANT_TAG = "jwo_catalog/merchant"  # of the runs of the jobs
# deploy/dagster.yaml limits each pool to one run at a time. Without it, the ledger still lets only one upload send.
UPLOAD_POOL = "jwo_uploader"
_PAGE = 100
_MOST_PASSED_OVER = 1_000  # runs of merchants, where this code location has none: name each that shares an instance


def asset_key(merchant: str, name: str) -> dg.AssetKey:
    return dg.AssetKey([merchant, name] if merchant else [name])


def uploads_of(merchant: str) -> dg.DynamicPartitionsDefinition:
    """The partitions of a merchant's uploads."""
    return dg.DynamicPartitionsDefinition(name=_prefixed(merchant, "catalog_uploads"))


def upload_pool(merchant: str) -> str:
    return _prefixed(merchant, UPLOAD_POOL)


def merchant_tags(merchant: str) -> dict[str, str]:
    """The tags of the merchant's jobs."""
    return {MERCHANT_TAG: merchant} if merchant else {}


def _prefixed(merchant: str, name: str) -> str:
    return f"{merchant}_{name}" if merchant else name


def for_merchant(assets: Sequence[dg.AssetsDefinition], merchant: str) -> list[dg.AssetsDefinition]:
    """The assets with the merchant's keys and partitions. Names of ops stay, so that run configs do."""
    if not merchant:
        return list(assets)
    keys = {key: asset_key(merchant, key.path[-1]) for asset in assets for key in asset.keys}

    def partitioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(partitions_def=uploads_of(merchant)) if spec.partitions_def else spec

    return [asset.with_attributes(asset_key_replacements=keys).map_asset_specs(partitioned) for asset in assets]


def runs_of_merchant(
    instance: dg.DagsterInstance, merchant: str, filters: dg.RunsFilter, limit: int
) -> list[dg.RunRecord]:
    """The merchant's newest runs of those that a filter lets through, newest first.

    Only runs of the jobs carry the tag. Without a merchant, the runs without the tag: Dagster cannot ask for these.
    """
    if merchant:
        tagged = copy(filters, tags={**filters.tags, MERCHANT_TAG: merchant})
        return list(instance.get_run_records(tagged, limit=limit))
    found: list[dg.RunRecord] = []
    cursor, page, looked_at = None, limit, 0
    while looked_at < _MOST_PASSED_OVER:
        records = instance.get_run_records(filters, limit=page, cursor=cursor)
        found += [record for record in records if MERCHANT_TAG not in record.dagster_run.tags]
        if len(found) >= limit or len(records) < page:
            break
        cursor, looked_at, page = records[-1].dagster_run.run_id, looked_at + len(records), _PAGE
    return found[:limit]
