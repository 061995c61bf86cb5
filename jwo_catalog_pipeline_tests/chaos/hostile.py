"""Hostile URLs, addresses and answers, and the figures of what came of them.

By itself: `python -m jwo_catalog_pipeline_tests.chaos.hostile`.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jwo_catalog_pipeline.catalog_api.notification import InvalidSignature
from jwo_catalog_pipeline.catalog_api.sns_signature import SnsVerifier
from jwo_catalog_pipeline_tests.chaos import bombs, sockets
from jwo_catalog_pipeline_tests.chaos.envelopes import (
    REGIONS,
    certificate,
    certificate_url_of,
    confirmation,
    notification,
    topic_arn,
)
from jwo_catalog_pipeline_tests.chaos.figures import Figure, report
from jwo_catalog_pipeline_tests.chaos.urls import HOSTILE_CERTIFICATE_URLS, TOPIC

MOST_MEGABYTES = 512
FETCH_SECONDS = 5.0  # instead of the 60 s of production, so that a bomb is done with sooner
LYING_SECONDS = 2.0
# Beyond the time of the fetch: reading what was fetched, on a busy machine.
SLACK_SECONDS = 10.0
TEXTS = ("", '{"ingestionId": "i-1"}', "Crème brûlée חלב 🥛", "several\nlines\n", "\u2028\u0000", "x" * 250_000)
SUBJECTS = (None, "Catalog ingestion", "Subject")


def genuine_envelopes() -> list[dict[str, Any]]:
    """Envelopes that must be believed: every region, both signature versions, both types."""
    topics = [topic_arn(region, partition) for partition, regions in REGIONS.items() for region in regions]
    topics += [topic_arn("us-east-1", name="jwo.fifo"), topic_arn("us-east-1", name="a_b-C9")]
    made = []
    for topic in topics:
        for version in ("1", "2"):
            made += [notification({"ingestionId": "i-1"}, topic, version), confirmation(topic, version)]
    for text in TEXTS:
        for subject in SUBJECTS:
            made.append(notification(text, TOPIC, **({} if subject is None else {"Subject": subject})))
    return made


def tampered_envelopes() -> Iterable[tuple[str, dict[str, Any]]]:
    """Genuine envelopes with one thing changed, and what: none of them may be believed."""
    whole = {"Notification": notification("{}", TOPIC, Subject="s"), "SubscriptionConfirmation": confirmation(TOPIC)}
    for kind, envelope in whole.items():
        others = [name for name in envelope if name != "UnsubscribeURL"]
        for name in others:
            value = envelope[name]
            for other in (
                f"{value} ",
                value[:-1],
                value.swapcase() + "'",
                "",
                None,
                7,
                [value],
                {"a": value},
                "\ud83d",
            ):
                if not (name == "Subject" and other is None and "Subject" not in envelope):
                    yield f"{kind}.{name} = {str(other)[:20]!r}", {**envelope, name: other}
            yield f"{kind} without {name}", {key: each for key, each in envelope.items() if key != name}
    # A line moved from one value to the next leaves the signed text as it was.
    noted = whole["Notification"]
    moved = {key: value for key, value in noted.items() if key not in ("MessageId", "Subject")}
    yield (
        "the id within the message",
        {
            **{key: value for key, value in noted.items() if key != "MessageId"},
            "Message": f"{noted['Message']}\nMessageId\n{noted['MessageId']}",
        },
    )
    yield "the subject within the id", {**moved, "MessageId": f"{noted['MessageId']}\nSubject\n{noted['Subject']}"}
    yield "another version", {**noted, "SignatureVersion": "1"}
    yield "a later version", {**noted, "SignatureVersion": "3"}
    yield "another type", {**noted, "Type": "UnsubscribeConfirmation"}


def certificate_figures() -> list[Figure]:
    """Hostile certificate URLs, genuine messages and changed ones."""
    fetched: list[str] = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return certificate()

    verify, envelope = SnsVerifier(fetch), notification("{}", TOPIC)
    accepted = [url for url in HOSTILE_CERTIFICATE_URLS if _believed(verify, {**envelope, "SigningCertURL": url})]
    hostile_fetches = len(fetched)
    genuine = genuine_envelopes()
    refused = sum(not _believed(verify, each) for each in genuine)
    right = {certificate_url_of(each["TopicArn"]) for each in genuine}
    tampered = list(tampered_envelopes())
    believed = [what for what, each in tampered if _believed(verify, each)]
    return [
        Figure(
            "A certificate comes only from SNS in the topic's region",
            f"{len(HOSTILE_CERTIFICATE_URLS)} hostile certificate URLs",
            f"{len(accepted)} accepted, {hostile_fetches} fetched",
            not accepted and not hostile_fetches,
        ),
        Figure(
            "Genuine messages are accepted",
            f"{len(genuine)} signed messages, {len(right)} regions",
            f"{refused} rejected",
            not refused and set(fetched) == right,
        ),
        Figure(
            "An altered message is rejected",
            f"{len(tampered)} altered messages",
            f"{len(believed)} accepted{': ' if believed else ''}{'; '.join(believed[:3])}",
            not believed,
        ),
    ]


def _believed(verify: SnsVerifier, envelope: dict[str, Any]) -> bool:
    try:
        verify(envelope)
    except InvalidSignature:
        return False
    return True


def socket_figures() -> list[Figure]:
    """Hostile report links and name servers, observed at the socket."""
    seen = sockets.Seen(**_run(sockets.__name__))
    wrong = [*seen.fetched, *seen.other_errors, *seen.connections]
    tried = seen.tried
    proxied = seen.proxied == tried["genuine through a proxy"] >= 50
    works = seen.good_connections == tried["genuine"] and proxied and seen.own == 1 and tried.get("redirects") == 1
    return [
        Figure(
            "A report comes only from S3, or the endpoint in use",
            f"{tried['urls']} hostile links, {tried['genuine']} genuine",
            f"{len(wrong)} fetched or connected, {len(seen.resolved)} looked up",
            not wrong and not seen.resolved and tried["urls"] >= 150 and works,
        ),
        Figure(
            "A connection goes only to an address that was checked",
            f"{tried['addresses'] + tried['private addresses']} bad DNS answers, {tried['rebinding']} that change",
            f"{len(seen.connections)} wrong connections, {len(seen.lookups)} second look-ups",
            not seen.connections and not seen.lookups and works,
        ),
    ]


def bomb_figures(filling: Iterable[str] = bombs.FILLING, lying: Iterable[str] = bombs.LYING) -> list[Figure]:
    """Bombs, each filling one read by a process of its own, the others side by side."""
    filling, lying = list(filling), list(lying)
    groups = [[name] for name in [*filling, *bombs.GENUINE]]
    with bombs.serving() as url, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(_run, bombs.__name__, LYING_SECONDS, *map(url, lying)) if lying else None
        read = list(pool.map(lambda names: _run(bombs.__name__, FETCH_SECONDS, *map(url, names)), groups))
        lied = slow.result() if slow else {"outcomes": [], "megabytes": 0, "seconds": 0}
    genuine = read[len(filling) :]
    outcomes = [outcome for each in [*read[: len(filling)], lied] for outcome in each["outcomes"]]
    unexpected = [each for each in outcomes if each.startswith("UNEXPECTED")]
    most = max(each["megabytes"] for each in [*read, lied])
    longest = max(*(each["seconds"] - FETCH_SECONDS for each in read), lied["seconds"] - LYING_SECONDS)
    understood = sum(each["outcomes"] == ["results with 10000 items"] for each in genuine)
    return [
        Figure(
            "A response that is made to exhaust its reader does no harm",
            f"{len(filling)} that fill memory, {len(lying)} that lie or stall",
            f"at most {most:.0f} MB, {len(unexpected)} unexpected errors",
            not unexpected and most < MOST_MEGABYTES and longest < SLACK_SECONDS,
        ),
        Figure(
            "The largest genuine reports are read within the same bounds",
            f"{len(genuine)} reports of 10,000 items",
            f"{understood} understood",
            understood == len(genuine),
        ),
    ]


def hostile_figures() -> list[Figure]:
    """All figures of this part."""
    return [*certificate_figures(), *socket_figures(), *bomb_figures()]


def _run(module: str, *arguments: object) -> Any:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=120, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(report(hostile_figures()))
