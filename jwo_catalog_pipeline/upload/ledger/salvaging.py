"""The ledger's verbs for salvage: what was lost is written again."""

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.pruning import PruningLedger
from jwo_catalog_pipeline.upload.ledger.writes import FENCE, Part, attributes, batch_item
from jwo_catalog_pipeline.upload.model import Batch, BatchState, PlanRecord, UploadRecord

ONLY_LATER = ("settled_at", "closed_at", "closed_by", "close_reason")  # attributes that an upload gets at its end


class SalvagingLedger(PruningLedger):
    """Writes records as a bucket shows them. A verb is one transaction and one failpoint."""

    def salvage_batch(self, batch: Batch) -> None:
        """Write a batch that the ledger had lost."""
        others: list[Part] = []
        if batch.state is BatchState.IN_DOUBT:
            others = [self._note_doubt(batch), self._put_any(keys.open_upload(batch.upload))]
        elif batch.state is BatchState.CLOSED:
            others = [self._give_up_doubt(batch)]
        self._transact("batch salvaged", self._put_any(batch_item(batch)), *others)

    def salvage_plan(self, upload: str, plan: PlanRecord) -> None:
        """Write the plan of an upload that the ledger had lost."""
        self._put({**keys.plan(upload), **attributes(plan)})

    def salvage_upload(self, upload: str, record: UploadRecord) -> None:
        """Write an upload that the ledger had lost."""
        unset = [name for name in ONLY_LATER if not getattr(record, name)]
        self._put({**keys.upload(upload), **attributes(record, *unset)})

    def salvage_head(self, upload: str, fence: int) -> None:
        """Write the head that the ledger had lost."""
        self._put({**keys.head(), "upload": upload, FENCE: fence})
