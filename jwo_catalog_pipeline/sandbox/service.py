"""Amazon's side of the Catalog API: takes requests in, processes them later, keeps the catalog, reports and notifies.

Knows nothing of HTTP (`server.py`) nor of signatures. What is acceptable is in `rules.py`, what goes wrong in
`faults.py`. Accepting and ending are events in one sequence, so that which ingestions were in flight at once can be
told exactly.
"""

import hashlib
import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, Protocol, cast

from botocore.exceptions import BotoCoreError, ClientError

from jwo_catalog_pipeline.sandbox import faults, reports, rules
from jwo_catalog_pipeline.sandbox.answers import Answer, failure
from jwo_catalog_pipeline.sandbox.catalog import HeldCatalog
from jwo_catalog_pipeline.sandbox.ingestions import Ingestion, choose

logger = logging.getLogger(__name__)


class Outlet(Protocol):
    """Where reports and notifications go."""

    def put_report(self, key: str, content: bytes) -> None:
        """Store a report."""

    def report_link(self, key: str, *, expired: bool = False) -> str:
        """Make a link to it."""

    def publish(self, message: str) -> None:
        """Notify."""


class JwoService:
    """The service and everything that it remembers."""

    def __init__(
        self,
        outlet: Outlet,
        behaviour: faults.Faults,
        stores: list[str],
        clock: Callable[[], float] = time.monotonic,
    ):
        """Start the worker that processes what was accepted.

        Args:
            outlet: where reports and notifications go.
            behaviour: settings and faults.
            stores: ids of the retailer's stores.
            clock: seconds, for the rate limit and the delay.
        """
        self.faults = behaviour
        self._outlet = outlet
        self._initial_stores = stores
        self._clock = clock
        self._changed = threading.Condition()  # guards all that follows
        self._processing = threading.Lock()  # taken before _changed, never after it
        self._stopped = False
        self._forget()
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def _forget(self) -> None:
        self.stores = list(self._initial_stores)
        self.catalog = HeldCatalog()
        self._ingestions: dict[str, Ingestion] = {}
        self._waiting: list[Ingestion] = []
        self._held: list[str] = []
        self._recent: deque[float] = deque()
        self._events = count(1)

    def next_event(self) -> int:
        """The next position in the sequence of events; it only grows, until a reset."""
        return next(self._events)

    def call(self, operation: str, body: bytes) -> Answer:
        """Serve one authenticated call.

        Args:
            operation: `upload`, `archive` or `status`.
            body: the request body.

        Returns:
            The answer, or how to fail to give one.
        """
        fault = self.faults.take(faults.BEFORE, operation)
        if fault == "throttle" or self._too_fast():
            return Answer(429, {"message": "Too Many Requests"}, fault=fault)
        if fault is not None:
            return failure(fault)
        try:
            return self._status(body) if operation == "status" else self._accept(operation, body)
        except rules.RequestRefusedError as refusal:
            return Answer(400, {"errorMsg": str(refusal)})

    def _too_fast(self) -> bool:
        """Documented: at most 10 requests a second. Here: in any second, counting those let through."""
        limit = self.faults.settings.requests_per_second
        with self._changed:
            now = self._clock()
            while self._recent and now - self._recent[0] >= 1:
                self._recent.popleft()
            if limit and len(self._recent) >= limit:
                return True
            self._recent.append(now)
            return False

    def _accept(self, operation: str, body: bytes) -> Answer:
        stores = set(self.stores)
        settings = self.faults.settings
        content: list[Any] | bytes
        if operation == "upload" and settings.read_late:
            content, different = body, body.count(b'"item_sku":')
        elif operation == "upload":
            content = rules.read_upload(body, stores)
            different = len({(item["store_id"], item["item_sku"]) for item in content})
        else:
            content = rules.read_archive(body, stores)
            different = len(set(content))
        size = different
        if not isinstance(content, bytes):
            rules.check_none_of(content, settings.refuse_skus, settings.refuse_text)
            size = len(content)
        with self._changed:
            ingestion = Ingestion(
                id=str(uuid.uuid4()),
                number=len(self._ingestions),
                operation=operation,
                content=content,
                due=self._clock() + settings.delay,
                items=size,
                body_sha256=hashlib.sha256(body).hexdigest(),
                accepted_at=self.next_event(),
            )
            self._ingestions[ingestion.id] = ingestion
            self._waiting.append(ingestion)
            self._changed.notify_all()
        fault = self.faults.take(faults.AFTER, operation)
        answer = {} if fault == "no_ingestion_id" else {"ingestionId": ingestion.id}
        if fault in (None, "no_ingestion_id"):
            said = Answer(settings.success_code, answer, fault=fault)
        else:
            said = failure(fault)
        return replace(
            said,
            ingestion_id=ingestion.id,
            items=size,
            duplicates=size - different,
            sequence=ingestion.accepted_at,
        )

    def _status(self, body: bytes) -> Answer:
        ingestion_id = rules.read_object(body).get("ingestionId")
        if not isinstance(ingestion_id, str) or not ingestion_id:
            raise rules.RequestRefusedError(rules.INVALID_BODY)
        with self._changed:
            ingestion = self._ingestions.get(ingestion_id)
            status = ingestion.status if ingestion else ""
        if ingestion is None:
            raise rules.RequestRefusedError(rules.UNKNOWN_INGESTION)
        fault = self.faults.take(("unknown_status",), "status")
        if fault:
            return Answer(200, {"processingStatus": "POSTPROCESSING"}, ingestion_id, fault=fault)
        answer = {"processingStatus": status}
        if status == "DONE":
            fault = self.faults.take(("expire_links",), "status")
            answer["reportDownloadLink"] = self._outlet.report_link(ingestion.report_key, expired=bool(fault))
        return Answer(200, answer, ingestion_id, fault=fault)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and self._seconds_to_next() != 0:
                    self._changed.wait(self._seconds_to_next())
                if self._stopped:
                    return
            self._process_next(now_only=True)

    def _seconds_to_next(self) -> float | None:
        """Seconds until something is due, 0 if it is, None if nothing waits."""
        if not self._waiting:
            return None
        return max(0.0, min(one.due for one in self._waiting) - self._clock())

    def _process_next(self, *, now_only: bool) -> bool:
        """Process the next ingestion, if there is one; `now_only` leaves those whose delay is not over."""
        with self._processing:
            with self._changed:
                left = self._seconds_to_next()
                if left is None or (now_only and left > 0):
                    return False
                ready = [one for one in self._waiting if not now_only or one.due <= self._clock()]
                ingestion = choose(ready, self.faults.settings.order)
                self._waiting.remove(ingestion)
                ingestion.status = "INPROGRESS"
            try:
                self._process(ingestion)
            except (BotoCoreError, ClientError):
                logger.exception("ingestion %s: the report or the notification failed", ingestion.id)
            return True

    def _process(self, ingestion: Ingestion) -> None:
        final = self.faults.take(faults.FINAL_STATUS, ingestion.operation)
        content, ingestion.content = ingestion.content, []
        if isinstance(content, bytes):
            content = cast(list[Any], rules.read_upload(content, set(self.stores)))
        if final is None:
            settings = self.faults.settings
            with self._changed:
                outcomes = (
                    self.catalog.upload(content, settings.rejects)
                    if ingestion.operation == "upload"
                    else self.catalog.archive(content, settings.still_on_planogram)
                )
            for outcome in outcomes:
                key = outcome.code or "SUCCESS"
                ingestion.outcomes[key] = ingestion.outcomes.get(key, 0) + 1
            shape = reports.shape_of(settings.report_shape, ingestion.number)
            self._outlet.put_report(ingestion.report_key, reports.render(shape, ingestion.id, outcomes))
        with self._changed:
            ingestion.status = {None: "DONE", "cancel": "CANCELLED", "fatal": "FATAL"}[final]
            ingestion.ended_at = self.next_event()
        self._notify(ingestion)

    def _notify(self, ingestion: Ingestion) -> None:
        message = {"ingestionId": ingestion.id, "processingStatus": ingestion.status}
        if ingestion.status == "DONE":
            expired = self.faults.take(("expire_links",), ingestion.operation) is not None
            message["reportDownloadLink"] = self._outlet.report_link(ingestion.report_key, expired=expired)
        fault = self.faults.take(faults.NOTIFYING, ingestion.operation)
        copies = {"drop_notifications": 0, "duplicate_notifications": 2}.get(fault or "", 1)
        text = "not JSON {" if fault == "unreadable_notifications" else json.dumps(message)
        ingestion.notifications = copies
        for _ in range(copies):
            if self.faults.settings.reorder_notifications:
                self._held.append(text)
            else:
                self._outlet.publish(text)

    def drain(self) -> dict[str, int]:
        """Process all that was accepted, whatever its delay, and publish what was held, the last one first.

        Returns:
            `processed` and `published`: how many ingestions, and how many held notifications.
        """
        processed = 0
        while self._process_next(now_only=False):
            processed += 1
        with self._processing:
            held, self._held = self._held, []
            for text in reversed(held):
                self._outlet.publish(text)
        return {"processed": processed, "published": len(held)}

    def ingestions(self) -> list[dict[str, Any]]:
        """Every accepted request in order, as `Ingestion.describe` tells it."""
        with self._changed:
            return [one.describe() for one in self._ingestions.values()]

    def items(self) -> list[rules.Item]:
        """The catalog as held, by store and SKU, without what is archived."""
        with self._changed:
            return self.catalog.items()

    def reset(self, meanwhile: Callable[[], None]) -> None:
        """Forget everything.

        Args:
            meanwhile: called while nothing is being processed.
        """
        with self._processing, self._changed:
            self._forget()
            self.faults.reset()
            meanwhile()

    def stop(self) -> None:
        """End the worker."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._worker.join(timeout=10)
