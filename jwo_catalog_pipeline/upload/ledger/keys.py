"""The keys of the ledger's items, and what each item means. No other module writes a key.

| pk                | sk                      | what                                                                |
|-------------------|-------------------------|---------------------------------------------------------------------|
| HEAD              | HEAD                    | the newest applied upload, and how often anything was sent under it |
| OPEN              | <upload>                | an upload with batches that are not final: the worklist             |
| UPLOAD#<upload>   | PLAN                    | the newest plan, and the head it was made against                   |
| UPLOAD#<upload>   | UPLOAD                  | the applied upload; its existence means: all batches recorded       |
| UPLOAD#<upload>   | BATCH#<plan>#<batch>    | a batch and its state                                               |
| UPLOAD#<upload>   | ATTEMPT#<plan>#<batch>#<attempt> | one try at sending it                                     |
| INGESTION#<id>    | BATCH                   | the batch that it came of, as that batch's own or one more          |
| INGESTION#<id>    | DUPLICATE               | up to schema 2: the batch of which it is one more                   |
| INGESTION#<id>    | LINK                    | presigned URL of its report; expires from the table                 |
| NEWS              | <id>                    | an ingestion has ended, and its batch is not marked as reported yet |
| UNCLAIMED         | <due time>#<id>         | an ingestion has ended that the ledger does not know; expires       |
| DOUBT             | <batch>                 | a batch that has more attempts than responses; expires when given up |
| UNMATCHED         | <id>                    | an orphan: an ingestion of a batch that another worker took over    |
| LOOK_LATER        | <due time>#<id>         | the same, after Amazon was asked about it without a final answer    |
| UNKNOWN           | <id>                    | an ingestion that is put aside: not ours, or of no batch; expires   |
| UNREADABLE        | <message id>            | a message that cannot be read; its text is in the bucket            |
| UNVERIFIED        | <message id>            | a message whose signature could not be checked yet: the worklist    |
| UNVERIFIED#<message id> | TEXT              | its text, compressed; expires                                       |
| INBOX             | PAUSE                   | when such messages are verified again, and why it waits             |
| INBOX             | NEWEST                  | when a result last came through the queue                           |
| STOPPED           | <upload>                | why an upload does not go on, until it does or another is applied   |
| PAUSE             | PAUSE                   | all sending is held, by whom, since when and why                    |
| SETTLED           | <upload>                | an upload has settled, and the alerts have not taken it up yet      |
| PRUNED            | <upload>                | an old upload was removed, and something may be left of it          |
| ALERT             | <what it is about>      | an alert that was published, or is being published; expires         |
| OUTAGE            | <what>                  | since when something cannot be done, such as reading the export     |
| EXPORT            | <sha256>                | an export that was applied, and by which upload last; expires       |
| RATE              | RATE                    | when the newest call may be made, over all processes (rate_limiter) |
| DOCTOR            | CHECK                   | written by `jwo-catalog doctor`; expires                            |
"""

from collections.abc import Mapping
from typing import Any

from jwo_catalog_pipeline.upload.model import Batch

Key = dict[str, str]

PK, SK = "pk", "sk"  # the attributes of the primary key
KEY_TYPES = {PK: ("HASH", "S"), SK: ("RANGE", "S")}
IS_NEW, IS_THERE = f"attribute_not_exists({PK})", f"attribute_exists({PK})"  # conditions

HEAD, OPEN, UPLOAD, PLAN, BATCH, ATTEMPT = "HEAD", "OPEN", "UPLOAD", "PLAN", "BATCH", "ATTEMPT"
INGESTION, DUPLICATE, LINK = "INGESTION", "DUPLICATE", "LINK"
NEWS, UNCLAIMED, LOOK_LATER, UNKNOWN = "NEWS", "UNCLAIMED", "LOOK_LATER", "UNKNOWN"
DOUBT, UNMATCHED = "DOUBT", "UNMATCHED"
STOPPED, PAUSE = "STOPPED", "PAUSE"
UNVERIFIED, TEXT = "UNVERIFIED", "TEXT"
UNREADABLE, INBOX, SETTLED, ALERT, RATE, DOCTOR = "UNREADABLE", "INBOX", "SETTLED", "ALERT", "RATE", "DOCTOR"
EXPORT, OUTAGE, PRUNED = "EXPORT", "OUTAGE", "PRUNED"


def head() -> Key:
    return _key(HEAD, HEAD)


def open_upload(upload: str) -> Key:
    return _key(OPEN, upload)


def plan(upload: str) -> Key:
    return _key(f"{UPLOAD}#{upload}", PLAN)


def upload(upload: str) -> Key:
    return _key(f"{UPLOAD}#{upload}", UPLOAD)


def batch(upload: str, plan: str, batch: str) -> Key:
    return _key(f"{UPLOAD}#{upload}", f"{BATCH}#{plan}#{batch}")


def batches(upload: str, plan: str) -> tuple[str, str]:
    """Partition and prefix of an upload's batches."""
    return f"{UPLOAD}#{upload}", f"{BATCH}#{plan}#"


def attempt(batch: Batch, attempt: int) -> Key:
    partition, prefix = attempts(batch)
    return _key(partition, f"{prefix}{attempt:04}")


def attempts(batch: Batch) -> tuple[str, str]:
    """Partition and prefix of a batch's attempts."""
    return f"{UPLOAD}#{batch.upload}", f"{ATTEMPT}#{batch.plan}#{batch.id}#"


def ingestion(ingestion_id: str) -> Key:
    return _key(f"{INGESTION}#{ingestion_id}", BATCH)


def former_duplicate(ingestion_id: str) -> Key:
    """Where schema 2 kept the batch of which an ingestion is one more."""
    return _key(f"{INGESTION}#{ingestion_id}", DUPLICATE)


def link(ingestion_id: str) -> Key:
    return _key(f"{INGESTION}#{ingestion_id}", LINK)


def news(ingestion_id: str) -> Key:
    return _key(NEWS, ingestion_id)


def unclaimed(due_at: int, ingestion_id: str, looks: int = 0) -> Key:
    return _key(LOOK_LATER if looks else UNCLAIMED, f"{due_at:012}#{ingestion_id}")


def unclaimed_between(first: int, last: int) -> tuple[str, str]:
    """Bounds of the sort keys of news that is due from `first` to `last`, epoch seconds."""
    return f"{max(first, 0):012}", f"{last + 1:012}"


def doubt(batch: Batch) -> Key:
    return _key(DOUBT, f"{batch.upload}#{batch.plan}#{batch.id}")


def orphan(ingestion_id: str) -> Key:
    return _key(UNMATCHED, ingestion_id)


def unknown(ingestion_id: str) -> Key:
    return _key(UNKNOWN, ingestion_id)


def unreadable(message_id: str) -> Key:
    return _key(UNREADABLE, message_id)


def unverified(message_id: str) -> Key:
    return _key(UNVERIFIED, message_id)


def unverified_text(message_id: str) -> Key:
    return _key(f"{UNVERIFIED}#{message_id}", TEXT)


def verify_pause() -> Key:
    return _key(INBOX, "PAUSE")


def inbox() -> Key:
    return _key(INBOX, "NEWEST")


def stopped(upload: str) -> Key:
    return _key(STOPPED, upload)


def pause() -> Key:
    return _key(PAUSE, PAUSE)


def settled(upload: str) -> Key:
    return _key(SETTLED, upload)


def pruned(upload: str) -> Key:
    return _key(PRUNED, upload)


def all_of(upload: str) -> tuple[str, str]:
    """Partition and prefix of everything of an upload."""
    return f"{UPLOAD}#{upload}", ""


def alert(about: str) -> Key:
    return _key(ALERT, about)


def export(sha256: str) -> Key:
    return _key(EXPORT, sha256)


def outage(what: str) -> Key:
    return _key(OUTAGE, what)


def rate() -> Key:
    return _key(RATE, RATE)


def doctor() -> Key:
    return _key(DOCTOR, "CHECK")


# -- reading keys ------------------------------------------------------------------------------------------------------


def key_of(item: Mapping[str, Any]) -> Key:
    """The primary key of an item."""
    return _key(item[PK], item[SK])


def kind(item: Mapping[str, Any]) -> str:
    """What an item is: in the partition of one upload or ingestion its sort key says so."""
    return str(item[SK]).partition("#")[0] if "#" in item[PK] else str(item[PK])


def owner(item: Mapping[str, Any]) -> str:
    """The upload, or the id of the ingestion, in whose partition an item is."""
    return str(item[PK]).partition("#")[2]


def is_ingestion(item: Mapping[str, Any]) -> bool:
    """Whether an item is about one ingestion that the ledger knows."""
    return str(item[PK]).startswith(f"{INGESTION}#")


def name(item: Mapping[str, Any]) -> str:
    """What the item names within its kind, such as an upload or an ingestion id."""
    return str(item[SK])


def due(item: Mapping[str, Any]) -> tuple[int, str]:
    """When news that no batch has claimed is due to be looked at, epoch seconds, and its ingestion id."""
    due_at, _, ingestion_id = name(item).partition("#")
    return int(due_at), ingestion_id


def attempted(item: Mapping[str, Any]) -> tuple[str, str, int]:
    """Plan, batch, and number of the attempt, of an attempt."""
    _, plan, batch, attempt = name(item).split("#")
    return plan, batch, int(attempt)


def _key(pk: str, sk: str) -> Key:
    return {PK: pk, SK: sk}
