"""Bugs put in on purpose, one for each guarantee, and the test that must notice it (`seeding.py` puts them in)."""

from dataclasses import dataclass

TESTS = "jwo_catalog_pipeline_tests"


@dataclass(frozen=True)
class Bug:
    """What is broken: in a function, named as it is called in its module, `old` becomes `new`; `test` then fails."""

    guarantee: str
    function: str
    old: str
    new: str
    test: str


BUGS = [
    Bug(
        "Recorded before done: the attempt is in the ledger before the call",
        "Sender._attempt",
        "        held = self._begin(batch)\n        try:\n"
        "            accepted = self.api.deliver(call, self.lease_seconds)\n",
        "        try:\n            accepted = self.api.deliver(call, self.lease_seconds)\n"
        "            held = self._begin(batch)\n",
        "upload/test_sending.py::test_bytes_and_attempt_are_recorded_before_the_call",
    ),
    Bug(
        "Recorded before done: the bytes are in the bucket before the attempt is in the ledger",
        "Sender._with_bytes",
        '        self.bucket.put(body_key(batch), body, "application/json")\n',
        "",
        "upload/test_sending.py::test_bytes_and_attempt_are_recorded_before_the_call",
    ),
    Bug(
        "Recorded before done: the content of a plan cannot be changed after it was made",
        "Payload.digest",
        'for name in [*self.fields, "content_hash"]',
        'for name in ["content_hash"]',
        "upload/test_sending.py::test_items_changed_after_planning_are_refused",
    ),
    Bug(
        "Recorded before done: a batch without an attempt is made from the recorded plan only",
        "planned_contents",
        "if contents.digest(recorded.base) != recorded.plan:",
        "if False:",
        "upload/test_sending_at_once.py::test_what_was_never_begun_is_made_of_the_recorded_plan_alone",
    ),
    Bug(
        "Nothing unaccounted: the items of a batch are in the bucket before it is in the ledger",
        "record_upload",
        "        list(threads.map(lambda batch: bucket.put_table(items_key(batch), contents.items(batch)), batches))\n",
        "",
        "upload/test_sending_at_once.py::test_after_an_error_none_is_begun_and_those_under_way_are_brought_to_their_end",
    ),
    Bug(
        "Nothing unaccounted: a batch that a killed worker was sending is in doubt",
        "Ledger.begin_attempt",
        '**({"doubts": batch.doubts + 1, "doubted_at": batch.sent_at} if abandoned else {}),',
        "",
        "upload/test_sending.py::test_a_worker_that_holds_a_batch_keeps_others_out_until_its_lease_ends",
    ),
    Bug(
        "Nothing stale: a call is sent only while its upload is the newest",
        "Ledger.begin_attempt",
        "            self._advance_fence(batch.upload),\n",
        "",
        "upload/test_matching.py::test_bytes_in_doubt_are_sent_again_only_while_their_upload_is_the_newest",
    ),
    Bug(
        "Nothing stale: newer content waits for a call whose response was lost",
        "outcomes_state",
        "of((batch.doubted_at if batch.doubts else 0 for batch in batches),",
        "of((0 for batch in batches),",
        "upload/test_matching.py::test_newer_content_waits_for_a_lost_call_though_the_batch_is_settled",
    ),
    Bug(
        "Nothing stale: an item is not sent again while its archive is in doubt",
        "_left_out",
        "l.state = 'archived' AND l.doubted_at = 0",
        "l.state = 'archived'",
        "upload/test_matching.py::test_an_item_waits_for_a_lost_archive_before_it_comes_back",
    ),
    Bug(
        "Nothing stale: the signature of a worker that was paused beyond its lease has expired",
        "CatalogApi._send",
        "response = self._exchange(call)",
        "response = self._exchange(self.sign(call.endpoint, call.body))",
        "chaos/test_chaos_kills.py::test_races_have_one_winner_and_a_paused_worker_changes_nothing",
    ),
    Bug(
        "Nothing stale: an export that was applied before and overtaken is not sent again",
        "_why_older",
        "    if before:\n",
        "    if before and export.modified < newest.export.modified:\n",
        "upload/test_older_export.py::test_an_export_that_was_applied_before_is_stopped_though_its_copy_is_new",
    ),
    Bug(
        "A call that was delayed for longer than its lease is not sent",
        "CatalogApi._send",
        "if not 0 <= (self.clock.now() - call.signed_at).total_seconds() < seconds:",
        "if False:",
        "catalog_api/test_credentials_and_clocks.py::test_a_call_that_was_held_up_for_longer_than_its_lease_is_not_sent",
    ),
    Bug(
        "Unknown is a state: a 5xx is never treated as a refusal",
        "classify",
        "return Outcome.IN_DOUBT if status >= 500 or status == 408 else Outcome.NO",
        "return Outcome.NO",
        "catalog_api/test_client.py::test_each_answer_has_its_cause",
    ),
    Bug(
        "Unknown is a state: an unknown ingestion is matched only by its items",
        "_fits",
        "reported <= sent if report.others_succeeded else reported == sent",
        "bool(reported & sent)",
        "upload/test_matching.py::test_news_that_fits_no_batch_is_kept_and_neither_guessed_about_nor_asked_for_again",
    ),
    Bug(
        "Each ingestion ends one doubt",
        "Writes._change_batch",
        " AND doubts = :doubts",
        " AND :doubts = :doubts",
        "upload/test_matching.py::test_a_doubt_that_two_would_end_at_once_is_ended_once",
    ),
    Bug(
        "One bad item does not make Amazon reject the others",
        "cut_refused",
        "    if len(rows) == 1:\n",
        "    if True:\n",
        "upload/test_splitting.py::test_one_bad_item_in_ten_thousand_stands_alone_after_at_most_thirty_calls",
    ),
    Bug(
        "An item is held only because of a message from Amazon itself",
        "cut_refused",
        "ONE_ITEM if error.explained else NOT_CUT",
        "ONE_ITEM",
        "chaos/test_chaos_network.py::test_after_a_network_fault_amazon_holds_the_newest_source",
    ),
    Bug(
        "Inbox before delete",
        "Inbox._take",
        "        failures.append(error)\n",
        "        failures.append(error)\n                kept.append(message)\n",
        "upload/test_inbox.py::test_a_ledger_that_is_down_ends_the_receiving_and_quarantines_nothing",
    ),
    Bug(
        "Only messages of Amazon's topic are accepted",
        "read_message",
        'if outer["TopicArn"] != topic_arn:',
        "if False:",
        "chaos/test_chaos_messages.py::test_whatever_is_delivered_the_results_are_those_of_one_delivery_in_order",
    ),
    Bug(
        "A certificate comes from SNS in the topic's region only",
        "SnsVerifier.__call__",
        "certificate_url(topic).fullmatch(url)",
        "certificate_url(topic).match(url)",
        "catalog_api/test_sns_signature.py::test_a_certificate_is_fetched_from_sns_in_the_topics_region_only",
    ),
    Bug(
        "A message with an invalid signature is rejected",
        "SnsVerifier.__call__",
        "            key.verify(signature, text, padding.PKCS1v15(), algorithm)\n",
        "            pass\n",
        "catalog_api/test_sns_signature.py",
    ),
    Bug(
        "A report is fetched from the address that was checked",
        "SafeHttp._connect",
        "create_connection((address, origin.port)",
        "create_connection((origin.host, origin.port)",
        "catalog_api/test_hostile.py::test_no_hostile_url_is_fetched_and_every_genuine_one_may_be",
    ),
    Bug(
        "A decompression bomb does no harm",
        "_gunzipped",
        "decoder.decompress(content, MAX_REPORT_BYTES + 1 - len(decoded))",
        "decoder.decompress(content)",
        "catalog_api/test_hostile.py::test_a_bomb_is_survived_within_the_bounds_of_memory",
    ),
    Bug(
        "A wrong clock is corrected once, and the correction is kept",
        "SigningClock.learn",
        "            self.offset = offset\n",
        "            pass\n",
        "catalog_api/test_credentials_and_clocks.py::test_a_clock_that_is_off_is_corrected_from_the_answer_and_remembered",
    ),
    Bug(
        "A session that ends during an upload is renewed",
        "CatalogApi._learn_from",
        "            self.credentials.renew()\n",
        "",
        "catalog_api/test_credentials_and_clocks.py::test_a_session_that_ends_during_an_upload_is_renewed_and_the_upload_goes_on",
    ),
    Bug(
        "What is pruned is needed by nothing that is kept, whenever the prune dies",
        "PruningLedger.prune_upload",
        '"upload pruned", relinked, gone,',
        '"upload pruned", gone,',
        "upload/test_pruning.py::test_killed_between_any_two_deletes_the_next_prune_finishes",
    ),
    Bug(
        "After an error no further batch is started",
        "send_at_once",
        "while waiting and not failed and len",
        "while waiting and len",
        "upload/test_sending_at_once.py::test_after_an_error_none_is_begun_and_those_under_way_are_brought_to_their_end",
    ),
    Bug(
        "The newest export wins: an older one is not applied after a newer one",
        "NewestFirst._check_newest",
        "if overtaken_by := newer_upload(self.sender.ledger, upload):",
        'if overtaken_by := "":',
        "upload/test_two_triggers.py::test_an_older_export_is_not_applied_after_a_newer_one",
    ),
    Bug(
        "A person's word counts: while sending is paused, no batch is begun",
        "Ledger.begin_attempt",
        "            self._not_paused(),\n",
        "",
        "upload/test_stopping.py::test_a_pause_holds_an_upload_that_is_being_sent",
    ),
    Bug(
        "A person's word counts: no sensor starts what a guard has stopped",
        "decided_reason",
        "    if stop is None or stop.kind.heals:\n        return None\n",
        "    return None\n",
        "defs/test_unfinished.py::test_what_a_guard_stopped_waits_for_something_new",
    ),
]
