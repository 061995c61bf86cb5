"""What must hold at the end of a week: at Amazon, in the ledger, and in people's mail.

Which alerts must have been published follows from what the simulation did, and not from the ledger.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from jwo_catalog_pipeline.catalog_api.requests import item_documents
from jwo_catalog_pipeline.table_file import table_of
from jwo_catalog_pipeline.upload.model import BatchState, utc
from jwo_catalog_pipeline.upload.plan.plan import PlanSettings, make_plan
from jwo_catalog_pipeline.work_folder import new_path
from jwo_catalog_pipeline_tests.chaos.checker import World, inspect, look
from jwo_catalog_pipeline_tests.chaos.life_events import Week
from jwo_catalog_pipeline_tests.chaos.life_pipeline import MINUTE
from jwo_catalog_pipeline_tests.support.parts import FIELDS

Key = tuple[str, str]
OUTAGE_SECONDS = 30 * MINUTE  # people hear of one that lasts longer


@dataclass
class Wrong:
    """What does not hold, by the kind of promise; see `ordinary_life.WRONG`."""

    amazon: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        return Counter({name: len(found) for name, found in vars(self).items()})


def check_amazon(week: Week, wrong: Wrong) -> None:
    """The sandbox's catalog is the newest export, item by item."""
    held, expected = catalog(week), expected_items(week)
    for key in sorted(held.keys() | expected.keys()):
        if held.get(key) != expected.get(key):
            have, want = (found.get(key, {}).get("standard_price") for found in (held, expected))
            wrong.amazon.append(f"{key} is {have} at Amazon, and {want} in the export")


def check_words(week: Week, wrong: Wrong) -> None:
    """What the ledger says is accepted is what the sandbox's catalog has; and replaying all reports says the same."""
    parts = week.parts
    state = parts.state()
    rebuilt = parts.rebuilt()
    if not state.equals(rebuilt):
        wrong.words.append(f"state rebuild differs:\n{state.compare(rebuilt) if len(state) == len(rebuilt) else ''}")
    said = state[(state["state"] == "accepted") & state["content_hash"].notna() & (state["doubted_at"] == 0)]
    held = catalog(week)
    rows = [{name: item.get(name) for name in FIELDS} for item in held.values()]
    hashes = item_documents(pd.DataFrame(rows, columns=FIELDS, dtype="str"), FIELDS)
    truth = dict(zip(zip(hashes["store_id"], hashes["item_sku"], strict=True), hashes["content_hash"], strict=True))
    for row in said.itertuples():
        if truth.get((row.store_id, row.item_sku)) != row.content_hash:
            price = held.get((row.store_id, row.item_sku), {}).get("standard_price")
            wrong.words.append(
                f"{row.item_sku} in {row.store_id}: the ledger has {row.standard_price} accepted (upload {row.upload}, "
                f"batch {row.batch}), Amazon holds {price}"
            )


def check_rest(week: Week, wrong: Wrong) -> None:
    """After one more schedule nothing is left to send, and nothing was sent more often than attempts say."""
    parts = week.parts
    newest = week.pipeline.newest_file().items
    settings = PlanSettings()
    given = [table_of(table, new_path(parts.folder, "given")) for table in (newest, newest.iloc[:0])]
    plan = make_plan(parts.ledger, parts.bucket, "the-end", *given, FIELDS, settings, parts.folder)
    left = {kind: number for kind, number in plan.counts.items() if number and kind != "unchanged"}
    if left:
        wrong.words.append(f"does not come to rest: the last plan has {left}")
    world = look(parts.sandbox)
    found = inspect(world, expected_items(week))
    wrong.sent += found.stale
    wrong.amazon += found.lost
    wrong.sent += _without_attempt(world, week) if week.restored else found.unrecorded
    if not week.restored and not week.closed:
        wrong.words += found.unaccounted


def _without_attempt(world: World, week: Week) -> list[str]:
    """Calls beyond the attempts that the ledger has, or had before it was restored."""
    recorded = Counter(week.lost_attempts)
    for upload, batches in world.batches.items():
        for batch in batches:
            recorded[batch["sha256"]] += max(
                batch["attempts"], len(world.attempts[f"{upload} {batch['plan']} {batch['id']}"])
            )
    calls = Counter(call["body_sha256"] for call in world.calls)
    return [f"bytes {sha[:12]} were sent {n} times" for sha, n in calls.items() if n > recorded[sha]]


def check_people(week: Week, wrong: Wrong) -> None:
    """There was one alert about what lasted, one when it was over, and no other."""
    if week.restored:
        return  # the record of alerts is lost with the table
    published, not_accepted = Counter[str](), Counter[str]()
    for at, subject, text in week.pipeline.mail.messages:
        kind = next((kind for kind, pattern in SUBJECTS.items() if re.search(pattern, subject)), "")
        if kind == "not accepted":
            not_accepted[text.split()[1]] += 1
        elif not kind:
            wrong.people.append(f"{at}: {subject}: {text[:300]}")
        published[kind] += 1
    for kind, number in expected_alerts(week).items():
        if published[kind] != number:
            wrong.people.append(f"{kind}: published {published[kind]} times, and it happened {number} times")
    bad, unknown = not_taken(week)
    wrong.people += [f"not accepted: published {n} times of {upload}" for upload, n in not_accepted.items() if n > 1]
    wrong.people += [f"not accepted: not published of {upload}" for upload in bad - not_accepted.keys()]
    wrong.people += [
        f"not accepted: published of {upload}, of which all was" for upload in not_accepted.keys() - bad - unknown
    ]


def not_taken(week: Week) -> tuple[set[str], set[str]]:
    """Uploads of which Amazon has not taken something, and those of which a person, or time, has ended the waiting."""
    ended = week.sandbox.get("ingestions")
    refused = {each["ingestion_id"] for each in ended if each["status"] in ("CANCELLED", "FATAL")}
    refused |= {each["ingestion_id"] for each in ended if set(each["outcomes"]) - {"SUCCESS"}}
    bad, unknown = set[str](), set(week.closed)
    ledger = week.parts.ledger
    for upload in {run.upload for run in week.pipeline.runs}:
        for batch in ledger.batches(upload):
            if batch.ingestion_id in refused:
                bad.add(upload)
            if batch.state in (BatchState.IN_DOUBT, BatchState.CLOSED):
                unknown.add(upload)
    return bad, unknown


SUBJECTS = {
    "outage": "cannot go on$",
    "outage over": "outage is over$",
    "pause": "all sending is held$",
    "pause over": "pause is over$",
    "dead letters": "dead-letter queue$",
    "unreadable": "unreadable message",
    "not accepted": "not accepted$",
}


def expected_alerts(week: Week) -> Counter[str]:
    """How often each alert must have been published."""
    ticks, expected = week.pipeline.ticks, Counter[str]()
    expected["outage"] = expected["outage over"] = len(
        [period for period in merged(week.pipeline.stuck_periods) if _seen(ticks, *period, OUTAGE_SECONDS)]
    )
    pauses = [period for period in week.pauses if _seen(ticks, *period)]
    expected["pause"] = expected["pause over"] = len(pauses)
    days = {(utc(message.received_at) or "")[:10] for message in week.parts.ledger.unreadable_messages()}
    expected["unreadable"] = len(days)
    expected["dead letters"] = len([period for period in week.burials if _seen(ticks, *period)])
    return expected


def _seen(ticks: list[int], since: int, until: int, after: int = 0) -> bool:
    return any(since + after <= tick < until for tick in ticks)


def merged(periods: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Periods of which none overlaps another."""
    found: list[tuple[int, int]] = []
    for since, until in sorted(periods):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(until, found[-1][1]))
        else:
            found.append((since, until))
    return found


def catalog(week: Week) -> dict[Key, dict[str, Any]]:
    """What the sandbox holds."""
    return {(each["store_id"], each["item_sku"]): each for each in week.sandbox.get("catalog")}


def expected_items(week: Week) -> dict[Key, dict[str, Any]]:
    """What Amazon must hold: the newest export."""
    rows = week.pipeline.newest_file().items.to_dict("records")
    return {
        (row["store_id"], row["item_sku"]): {str(name): value for name, value in row.items() if pd.notna(value)}
        for row in rows
    }
