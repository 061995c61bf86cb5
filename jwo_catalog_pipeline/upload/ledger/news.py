"""The ledger's verbs for news about ingestions, and for ingestions of batches that another worker took over."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline.upload.ledger.messages import MessagesLedger
from jwo_catalog_pipeline.upload.ledger.writes import LATE_NEWS_SECONDS, Part, attributes, pointed, pointer, read
from jwo_catalog_pipeline.upload.model import Batch
from jwo_catalog_pipeline.upload.notices import News, Orphan

# A presigned link lives for 60 minutes (documented); twice that, for clocks and late readers.
LINK_SECONDS = 2 * 3600
FOR_EVER = 10**11  # epoch seconds


class NewsLedger(MessagesLedger):
    """What is known of ingestions. A verb is one write and one failpoint."""

    # -- news about ingestions ---------------------------------------------------------------------------------

    def keep_news(self, ingestion_id: str, source: str, status: str | None, url: str | None, ended_by: int = 0) -> None:
        """Keep the news that an ingestion has ended; its link in a write before, for only news makes anyone look.

        What the ledger does not know may be another installation's, and there may be any number of it: it is kept
        apart, so that looking at our own news costs the same whatever lies there.

        Args:
            ingestion_id: the ingestion.
            source: `queue` or `status`.
            status: as Amazon gave it.
            url: the presigned URL of the report.
            ended_by: when Amazon published this, epoch seconds by the ledger's clock; 0 where it is not known.
        """
        if url:
            self.keep_link(ingestion_id, url)
        now = self.now()
        news = News(ingestion_id, source, status or "", now, ended_by, due_at=now)
        known = (keys.ingestion, keys.former_duplicate, keys.orphan, keys.unknown)
        unheard_of = [self._must_not_exist(key(ingestion_id)) for key in known]
        if not self._try(keys.UNCLAIMED, self._put_any(_unclaimed(news)), *unheard_of):
            self._put(_known(news))

    def keep_link(self, ingestion_id: str, url: str) -> None:
        """Keep the newest presigned URL of a report until it expires."""
        self._put({**keys.link(ingestion_id), "url": url, "expires_at": self.now() + LINK_SECONDS})

    def forget_news(self, news: News) -> None:
        """The batch of an ingestion knows already that it has ended, or it is put aside already."""
        self._delete(_key_of(news))

    def look_later(self, news: News, due_at: int) -> bool:
        """Let news whose batch is not known wait until `due_at`, where others are not behind it; whether that was done.

        It was not if the ledger has come to know the ingestion meanwhile.
        """
        later = replace(news, due_at=due_at, looks=news.looks + (1 if news.due_at else 0))
        return self._try(
            keys.UNCLAIMED,
            self._put_any(_unclaimed(later)),
            self._must_not_exist(keys.ingestion(news.ingestion_id)),
            self._must_not_exist(keys.orphan(news.ingestion_id)),
            self._delete_any(_key_of(news)),
        )

    def claim_news(self, news: News) -> None:
        """The ledger knows the ingestion by now: the news of it is of a batch."""
        if claimed := self._claim(news):
            self._transact(keys.NEWS, *claimed)

    def _claim(self, news: News) -> list[Part]:
        return [self._put_any(_known(news)), self._forget(news)] if news.due_at else []

    def _forget(self, news: News) -> Part:
        return self._delete_any(_key_of(news))

    def put_aside(self, news: News, why: str) -> None:
        """Put aside the news of an ingestion that is not ours, or of no batch: it is not looked at again."""
        kept = attributes(replace(news, why=why, due_at=0), "ingestion_id")
        unknown = {**keys.unknown(news.ingestion_id), **kept, "expires_at": self.now() + LATE_NEWS_SECONDS}
        self._transact(keys.UNKNOWN, self._put_any(unknown), self._delete_any(_key_of(news)))

    def news(self) -> list[News]:
        """News whose batches are not marked as reported yet, or not known; there may be any number."""
        return [*self.news_of_batches(None), *self._unclaimed_of_all()]

    def _unclaimed_of_all(self) -> list[News]:
        partitions = (keys.UNCLAIMED, keys.LOOK_LATER)
        return [_read_unclaimed(item) for partition in partitions for item in self._query(partition)]

    def news_of_batches(self, limit: int | None) -> list[News]:
        """News of ingestions that the ledger knew, at most so many. Each leaves this list when it was looked at."""
        return [read(News, item, ingestion_id=keys.name(item)) for item in self._query(keys.NEWS, limit=limit)]

    def unclaimed_news(self, since: int, limit: int, *, newest_first: bool) -> list[News]:
        """News of ingestions that the ledger does not know, due from `since` until now, epoch seconds."""
        # What was just heard counts, even if the clock of the machine that heard it is ahead of this one's.
        between = keys.unclaimed_between(since, FOR_EVER)
        items = self._query(keys.UNCLAIMED, between=between, newest_first=newest_first, limit=limit)
        return [_read_unclaimed(item) for item in items]

    def looked_at_news(self, limit: int) -> list[News]:
        """News that `look_later` has postponed until now or before, the longest due first."""
        between = keys.unclaimed_between(0, self.now())
        return [_read_unclaimed(item) for item in self._query(keys.LOOK_LATER, between=between, limit=limit)]

    def is_put_aside(self, ingestion_id: str) -> bool:
        """Whether an ingestion was put aside."""
        return self._get(keys.unknown(ingestion_id)) is not None

    def unknown_ingestions(self) -> list[News]:
        """Ingestions that have ended and are of no batch that is known; those that were put aside say why."""
        aside = [read(News, item, ingestion_id=keys.name(item)) for item in self._query(keys.UNKNOWN)]
        return [*aside, *self._unclaimed_of_all()]

    def link(self, ingestion_id: str) -> str | None:
        """The presigned URL of a report, a secret; None where there is none or it has expired."""
        item = self._get(keys.link(ingestion_id))
        return item["url"] if item and item["expires_at"] > self.now() else None

    # -- orphans: ingestions of batches that another worker took over ------------------------------------------

    def keep_orphan(self, ingestion_id: str, batch: Batch) -> None:
        """Keep an ingestion of a batch that another worker has taken over: else nothing could match it."""
        self._put({**keys.orphan(ingestion_id), "seen_at": self.now(), **pointer(batch)})

    def note_orphan_asked(self, orphan: Orphan, asked_at: int) -> None:
        """Note when the status API was asked about an orphan."""
        self._put({**keys.orphan(orphan.ingestion_id), **attributes(orphan, "ingestion_id"), "seen_at": asked_at})

    def orphan(self, ingestion_id: str) -> Orphan | None:
        """The orphan of an ingestion id."""
        item = self._get(keys.orphan(ingestion_id))
        return _orphan(item, ingestion_id) if item else None

    def orphans(self, limit: int | None = None) -> list[Orphan]:
        """The orphans, at most so many."""
        return [_orphan(item, keys.name(item)) for item in self._query(keys.UNMATCHED, limit=limit)]


def _key_of(news: News) -> keys.Key:
    """Where the news is."""
    return keys.unclaimed(news.due_at, news.ingestion_id, news.looks) if news.due_at else keys.news(news.ingestion_id)


def _known(news: News) -> dict[str, Any]:
    return {**keys.news(news.ingestion_id), **attributes(news, "ingestion_id", "due_at")}


def _unclaimed(news: News) -> dict[str, Any]:
    expires_at = news.received_at + LATE_NEWS_SECONDS
    return {**_key_of(news), **attributes(news, "ingestion_id", "due_at"), "expires_at": expires_at}


def _read_unclaimed(item: Mapping[str, Any]) -> News:
    due_at, ingestion_id = keys.due(item)
    return read(News, item, due_at=due_at, ingestion_id=ingestion_id)


def _orphan(item: Mapping[str, Any], ingestion_id: str) -> Orphan:
    return Orphan(ingestion_id, *pointed(item), seen_at=item["seen_at"])
