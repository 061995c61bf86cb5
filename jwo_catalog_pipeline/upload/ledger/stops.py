"""The ledger's verbs for what keeps an upload from going on: stops, the pause, outages, and exports applied before."""

from dataclasses import replace

from jwo_catalog_pipeline.upload.errors import Conflict, SendingPaused
from jwo_catalog_pipeline.upload.exports import AppliedExport
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.outgoing import OutgoingLedger
from jwo_catalog_pipeline.upload.ledger.writes import Part, attributes, read, read_with_export
from jwo_catalog_pipeline.upload.model import utc
from jwo_catalog_pipeline.upload.stops import Pause, Stop, StopKind


class StopsLedger(OutgoingLedger):
    """Stops and the pause. A verb is one write and one failpoint."""

    def note_stopped(self, stop: Stop) -> None:
        """Note why an upload does not go on; a cause that lasts keeps the time when it began."""
        before = self.stopped(stop.upload)
        if before and before.kind.heals and stop.kind.heals:
            stop = replace(stop, since=before.since)
        self._put({**keys.stopped(stop.upload), **attributes(stop, "upload"), "kind": str(stop.kind)})

    def forget_stopped(self, upload: str) -> None:
        """The upload goes on, or nothing is left of it to send."""
        self._delete(keys.stopped(upload))

    def stopped(self, upload: str) -> Stop | None:
        """Why an upload does not go on; None if nothing stopped it."""
        item = self._get(keys.stopped(upload))
        return read(Stop, {**item, "kind": StopKind(item["kind"])}, upload=upload) if item else None

    def stops(self) -> list[Stop]:
        """The uploads that do not go on, the newest stop last."""
        stops = [
            read(Stop, {**item, "kind": StopKind(item["kind"])}, upload=keys.name(item))
            for item in self._query(keys.STOPPED)
        ]
        return sorted(stops, key=lambda stop: stop.stopped_at)

    # -- the switch --------------------------------------------------------------------------------------------

    def pause(self, by: str, reason: str) -> Pause:
        """Hold all sending: once this returns, no batch is begun. A pause that is there already stays as it is."""
        pause = Pause(by, reason, self.now())
        try:
            self._transact("pause", self._put_new({**keys.pause(), **attributes(pause)}))
        except Conflict:
            return self.paused() or pause
        return pause

    def end_pause(self) -> None:
        """Let batches be sent again."""
        self._delete(keys.pause())

    def paused(self) -> Pause | None:
        """The pause that holds all sending; None if none does."""
        item = self._get(keys.pause())
        return read(Pause, item) if item else None

    def check_not_paused(self) -> None:
        """Raise `SendingPaused` while all sending is held."""
        if pause := self.paused():
            raise SendingPaused(
                f"all sending has been held since {utc(pause.since)} by {pause.by}: {pause.reason}",
                "jwo-catalog resume ends this, and what was stopped goes on by itself",
            )

    # -- exports -----------------------------------------------------------------------------------------------

    def applied_export(self, sha256: str) -> AppliedExport | None:
        """When an export of this content was applied last."""
        item = self._get(keys.export(sha256))
        return read_with_export(AppliedExport, item) if item else None

    # -- outages -----------------------------------------------------------------------------------------------

    def begin_outage(self, what: str) -> int:
        """Note that something cannot be done; since when, epoch seconds."""
        item = self._get(keys.outage(what)) or {"since": self.now()}
        if keys.PK not in item:
            self._put({**keys.outage(what), **item})
        return int(item["since"])

    def end_outage(self, what: str) -> int:
        """Note that it can be done; since when it could not, 0 where it could."""
        item = self._get(keys.outage(what))
        if item is None:
            return 0
        self._delete(keys.outage(what))
        return int(item["since"])

    def _not_paused(self) -> Part:
        """Write nothing, but only while sending is not held."""
        return self._must_not_exist(keys.pause())
