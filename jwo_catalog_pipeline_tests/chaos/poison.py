"""Message bodies that are meant to break their reader, or to be believed by mistake: the corpora, no tests."""

import json
from typing import Any

from jwo_catalog_pipeline_tests.chaos.envelopes import another_key, confirmation, notification, signed
from jwo_catalog_pipeline_tests.chaos.urls import HOSTILE_CERTIFICATE_URLS

MIB = 1_048_576  # what SQS takes at most
_ODD_IDS: list[Any] = [
    *(7, 7.5, -1, 10**400, True, None, "", [], {}, ["i"], {"ingestionId": 7}, "x" * 257, "x" * 100_000),
    *("a\0b", "\0", "\ud83d", "\udc00\ud83d", "a\nb", "\u2028", "\x1b[31m", "\u202e"),
]


def unreadable_bodies(topic: str) -> list[str]:
    """Bodies that say nothing about any ingestion, bare and in signed envelopes."""
    texts = [
        *("", "hello", "null", "7", '"text"', "[]", "{}", "[1]", "{", "}", "{]", "\ufeff{}", "{'ingestionId': 'i'}"),
        *("NaN", "[Infinity]", "1e999", "-", "9" * 5_000, "[" * 100_000, '{"a":' * 100_000, "[" * 900 + "]" * 900),
        '{"ingestionId": "\\ud83d", "url": "\\u0000"}',
        '{"": {"": {"": ""}}}',
        "\u2028\u2029",
        "<Error/>",
        *(json.dumps({"ingestionId": odd, "processingStatus": "FATAL"}) for odd in _ODD_IDS),
    ]
    bodies = [json.dumps(notification(text, topic)) for text in texts]
    bodies += [text for text in texts if text]
    whole = notification("{}", topic)
    for name in ("Type", "TopicArn", "Message", "MessageId", "Signature", "SignatureVersion", "SigningCertURL"):
        for odd in (None, 7, [], {}, [[["deep"]]], "", "\ud83d", "\0", "x" * 10_000):
            bodies.append(json.dumps({**whole, name: odd}))
    return bodies


def forged_bodies(topic: str, ingestion_ids: list[str], evil_link: str) -> list[str]:
    """Bodies that claim that genuine ingestions have failed, or lead to a report that says so."""
    account, region = topic.split(":")[4], topic.split(":")[3]
    bodies = []
    for number, ingestion_id in enumerate(ingestion_ids):
        claims = ({"processingStatus": "FATAL"}, {"processingStatus": "DONE", "reportDownloadLink": evil_link})
        for claim in ({"ingestionId": ingestion_id, **each} for each in claims):
            genuine = notification(claim, topic)
            bodies += [
                json.dumps(each)
                for each in (
                    claim,
                    signed(genuine, another_key()),
                    notification(claim, topic.replace(account, "999999999999")),
                    notification(claim, topic + "2"),
                    notification(claim, topic.replace(region, "eu-west-1")),
                    {**genuine, "TopicArn": topic.replace(account, "999999999999")},
                    {**notification(claim, topic.replace(account, "999999999999")), "TopicArn": topic},
                    {**notification({"ingestionId": "other"}, topic), "Message": json.dumps(claim)},
                    {**genuine, "Signature": genuine["Signature"][:-8] + "AAAAAAA="},
                    {**genuine, "SignatureVersion": "1"},
                    {**genuine, "SignatureVersion": "3"},
                    {key: value for key, value in genuine.items() if key != "Signature"},
                    {**signed(genuine, another_key()), "SigningCertURL": HOSTILE_CERTIFICATE_URLS[number]},
                    {**genuine, "Timestamp": "2026-11-23T19:07:01.000Z"},
                    confirmation(topic.replace(account, "999999999999")),
                    {**confirmation(topic), "Token": "f" * 256},
                )
            ]
    return bodies


def oversized_bodies(topic: str, told: list[dict[str, Any]]) -> list[str]:
    """Bodies of about 1 MiB: those that tell of ingestions, and some that say nothing."""
    room = MIB - 10_000
    bodies = [json.dumps(notification({**each, "padding": "x" * (room - 5_000)}, topic)) for each in told]
    nothing = ["x" * room, "[" * room, "[]," * (room // 3), '{"a":"' + "\u00e9" * (room // 2 - 10) + '"}', '"' * room]
    nothing += ["[" + "{}," * (room // 3) + "{}]", json.dumps({"ingestionId": "i" * room})]
    return bodies + nothing
