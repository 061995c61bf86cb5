"""What the columns of the stored tables mean: a name means the same wherever it stands. Shown in Dagster's UI."""

from jwo_catalog_pipeline.catalog.schema import ITEM_FIELDS

COLUMNS: dict[str, str] = {
    **ITEM_FIELDS,
    "source_row": "The number of the record in the export, from 1; header and blank lines do not count.",
    "reasons": "The rules that the row breaks, each with what is wrong.",
    "change": "insert, update, unchanged, in_flight, held, archive or absent; the first two are uploaded.",
    "content_hash": "SHA-256 of the item as it is sent; equal content, equal hash.",
    "published_hash": "The content hash that was sent last; missing where what Amazon holds is not known.",
    "published_price": "The price that was sent last.",
    "published_upload": "The upload in which the item was sent last.",
    "published_batch": "The batch of that upload, 0 for none.",
    "waits_for": "The upload whose outcome the item waits for.",
    "reason": "Why the item is not sent now, or why it is sent again.",
    "upload": "The upload: the UTC time at which it began, and its partition.",
    "batch": "The number of the batch in its upload, from 1: one call to Amazon.",
    "operation": "upload or archive.",
    "refusal": "Of a refused batch: split (its items are in two parts), one_item, one_store, or not_cut",
    "part_of": "The refused batch that this is a part of; 0: none",
    "state": "Where the batch is: planned, sending, accepted, in_doubt, refused, reported, settled, ...",
    "items": "How many items the batch holds.",
    "bytes": "The size of the batch's body.",
    "attempts": "How often the batch was sent, or might have been.",
    "sent_at": "When it was last sent, UTC.",
    "ingestion_id": "What Amazon calls the batch.",
    "http_status": "Amazon's last answer.",
    "request_id": "Amazon's id of the last call, for their support.",
    "message": "What Amazon said, or why nothing is known.",
    "sha256": "Of the batch's bytes.",
    "outcome": "accepted, rejected or unreported by Amazon's report; until then where the item is.",
    "code": "Amazon's code for a rejection.",
}
