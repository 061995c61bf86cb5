"""The ledger's verbs for a person's word that nothing more is waited for of an upload (`jwo-catalog close`)."""

from dataclasses import asdict, dataclass

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.stops import StopsLedger
from jwo_catalog_pipeline.upload.model import Batch, BatchState

NOT_CLOSED = "attribute_not_exists(closed_at)"  # a condition on an upload's record


@dataclass(frozen=True)
class Closing:
    """A person's word that nothing more is waited for of an upload."""

    closed_at: int
    closed_by: str
    close_reason: str

    @property
    def message(self) -> str:
        """As batches and items show it."""
        return f"closed by {self.closed_by}: {self.close_reason}"


class ClosingLedger(StopsLedger):
    """Closing an upload: first the upload, so that nothing of it is begun any more, then its batches."""

    def record_closing(self, upload: str, closing: Closing) -> bool:
        """No attempt of the upload begins from now on; False where it is closed already."""
        change = self._update(
            keys.upload(upload), asdict(closing), f"{keys.IS_THERE} AND {NOT_CLOSED}", values={}, names={}
        )
        return self._try("upload closed", change)

    def close_batch(self, batch: Batch, message: str) -> bool:
        """End the waiting for a batch: what became of it is not known, and late news may be about it."""
        change = self._change_batch(batch, **closed(batch, message, self.now()))
        doubtful = batch.doubts or batch.state is BatchState.SENDING  # a dead worker's try is a doubt, too
        return self._try("batch closed", change, *([self._give_up_doubt(batch)] if doubtful else []))


def closed(batch: Batch, message: str, now: int) -> dict[str, int | str]:
    """What changes of a batch when a person closes it at `now`; what is known of its items stays known."""
    changes: dict[str, int | str] = {"closed_at": now, "doubts": 0}
    if batch.state.final:
        return changes
    unsent = batch.state is BatchState.PLANNED and not batch.doubts
    return {**changes, "state": BatchState.SUPERSEDED if unsent else BatchState.CLOSED, "message": message}
