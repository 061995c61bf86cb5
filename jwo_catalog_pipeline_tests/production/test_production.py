"""The deployment of deploy/ for real: services and runs as tasks of their own, PostgreSQL, a gRPC code location.

The tests are one story, in the order of this file: 100,000 items are uploaded while everything around them is killed.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import boto3
import pytest

from jwo_catalog_pipeline.storage import Bucket
from jwo_catalog_pipeline_tests.chaos.checker import inspect, look
from jwo_catalog_pipeline_tests.production.deployment import Deployment, deployment
from jwo_catalog_pipeline_tests.production.fargate import BIN
from jwo_catalog_pipeline_tests.production.shop import CHANGED, ITEMS, KEY, Shop
from jwo_catalog_pipeline_tests.support.mailbox import Mailbox
from jwo_catalog_pipeline_tests.support.project import MAPPING
from jwo_catalog_pipeline_tests.support.templates import allowed_statements, ecs

DOWN = 60  # seconds for which everything is gone


@pytest.fixture(scope="module")
def world() -> Iterator[Deployment]:
    # Not pytest's folder: another run of pytest closes that to the user of PostgreSQL.
    with tempfile.TemporaryDirectory(prefix="production-") as name:
        folder = Path(name)
        (folder / "mapping.yaml").write_text(MAPPING)
        yield from _world(folder)


def _world(folder: Path) -> Iterator[Deployment]:
    with deployment(folder, folder / "mapping.yaml", KEY) as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.sandbox.environment.items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        boto3.setup_default_session()
        found.serve("code", "daemon", "webserver")
        query = "query { repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
        found.until("the UI", lambda: found.ask(query)["repositoriesOrError"].get("nodes"))
        yield found
    boto3.setup_default_session()


@pytest.fixture(scope="module")
def shop(world: Deployment) -> Shop:
    return Shop(world)


@pytest.fixture(scope="module")
def mailbox(world: Deployment) -> Mailbox:
    """What people get of the deployment's alerts."""
    return Mailbox(output(world, "AlertTopicArn"))


def output(world: Deployment, name: str) -> str:
    """What the stack of resources says."""
    (stack,) = world.sandbox.client("cloudformation").describe_stacks(StackName="jwo-sandbox")["Stacks"]
    return next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == name)


def test_daemon_code_server_and_database_are_killed_in_an_upload_and_nothing_is_lost(
    world: Deployment, shop: Shop
) -> None:
    """They are gone for a minute, the run's own records with them."""
    shop.export()
    world.settings["JWO_API_REQUESTS_PER_SECOND"] = "1"  # so that the upload has a middle
    world.launch("catalog_upload_job", "u1")
    shop.until_sent(2)
    world.kill("daemon")
    shop.until_sent(4)
    world.kill("code")
    shop.until_sent(6)
    world.postgres.kill()
    time.sleep(DOWN)
    world.postgres.start()
    world.serve("code", "daemon")
    assert shop.until_settled("u1") == ITEMS
    found = inspect(look(world.sandbox), shop.expected())
    assert found.clean, found
    assert found.duplicates == 0  # for the run's task was not killed
    world.until("the run's end", lambda: world.status_of("u1")[-1:] == ["SUCCESS"])


def test_a_run_whose_task_is_lost_is_started_again_and_waits_for_what_the_lost_one_held(
    world: Deployment, shop: Shop
) -> None:
    shop.export(changed=CHANGED, price="2.99")
    world.settings["JWO_LEASE_SECONDS"] = "10"
    before, runs = shop.sent(), len(world.runs())
    world.launch("catalog_upload_job", "u2")
    shop.until_sent(before + 2)
    (task,) = world.runs()[runs:]
    world.tasks.kill(task)
    assert shop.until_settled("u2") == CHANGED
    world.until("the retry's end", lambda: world.status_of("u2") == ["FAILURE", "SUCCESS"])
    found = inspect(look(world.sandbox), shop.expected())
    assert found.clean, found
    assert found.duplicates <= 2  # of what was under way when the task was lost


def test_two_replicas_and_several_runs_at_once_are_one_uploader_with_one_budget(world: Deployment, shop: Shop) -> None:
    # Others than before: those that were under way with a lost task wait until it is known what became of them.
    shop.export(first=CHANGED, changed=CHANGED, price="3.99")
    del world.settings["JWO_API_REQUESTS_PER_SECOND"]
    first = world.services["code"]
    world.serve("code")  # beside the first, at the same address
    uploads = ("u3", "u4", "u5")
    for upload in uploads:
        world.launch("catalog_upload_job", upload)
    shop.until_settled("u3")
    world.tasks.kill(first)
    for upload in uploads:
        world.until(f"{upload}'s end", lambda of=upload: world.status_of(of) == ["SUCCESS"])
    mine = [run for run in world.run_records() if run["tags"].get("dagster/partition") in uploads]
    spans = sorted((run["startTime"], run["endTime"]) for run in mine if run["jobName"] == "catalog_upload_job")
    assert all(one[1] <= other[0] for one, other in pairwise(spans)), spans
    found = inspect(look(world.sandbox), shop.expected())
    assert found.clean, found
    times = [datetime.fromisoformat(call["time"]).timestamp() for call in world.sandbox.get("requests")]
    assert max(sum(start <= each < start + 1 for each in times) for start in times) <= 10


def test_nobody_is_published_of_a_run_that_is_started_again(world: Deployment, shop: Shop) -> None:
    """Two have failed by now, minutes ago; the sensor that tells people looks each minute."""
    assert [run["status"] for run in world.run_records()].count("FAILURE") >= 2
    assert {each.key for each in shop.ledger.alerts() if each.key.startswith("run/")} == set()


def test_what_runs_printed_is_in_the_bucket_and_in_the_ui(world: Deployment) -> None:
    run = next(each for each in world.run_records() if each["tags"].get("dagster/partition") == "u3")
    bucket = Bucket(boto3.client("s3"), world.sandbox.environment["JWO_BUCKET"])
    (key,) = [key for key, _ in bucket.list(f"dagster/storage/{run['runId']}/") if key.endswith(".err")]
    query = "query($key: [String!]!) { capturedLogs(logKey: $key) { stderr } }"
    shown = world.ask(query, key=[run["runId"], "compute_logs", Path(key).stem])["capturedLogs"]["stderr"]
    assert "RUN_SUCCESS" in shown or "ASSET_MATERIALIZATION" in shown


def test_a_run_that_is_terminated_in_the_ui_ends_within_seconds_and_nothing_revives_it(
    world: Deployment, shop: Shop
) -> None:
    """The step went up for retry, resumed after 20 s, sent everything, and the run ended in SUCCESS."""
    shop.export(first=CHANGED, changed=CHANGED, price="4.99")  # the first ones may wait for what a lost task sent
    world.settings["JWO_API_REQUESTS_PER_SECOND"] = "1"
    before, runs = shop.sent(), len(world.runs())
    run = world.launch("catalog_upload_job", "u6")
    shop.until_sent(before + 2)
    (task,) = world.runs()[runs:]
    world.terminate(run)
    time.sleep(2)  # the promise: after two seconds no batch is begun
    sent = shop.sent()
    world.until("the end", lambda: world.status_of("u6") == ["CANCELED"], 13)
    world.until("the task's end", lambda: world.tasks.processes[task].poll() is not None)
    stop = shop.ledger.stopped("u6")
    assert stop is not None
    assert stop.kind == "cancelled"
    time.sleep(45)  # the sensors look each half minute
    assert world.status_of("u6") == ["CANCELED"]
    assert shop.sent() == sent < before + 5
    assert {str(batch.state) for batch in shop.ledger.batches("u6")} <= {"submitted", "settled", "reported", "planned"}


def test_a_task_that_the_platform_stops_ends_as_quickly_and_the_upload_goes_on_by_itself(
    world: Deployment, shop: Shop
) -> None:
    before, runs = shop.sent(), len(world.runs())
    world.launch("catalog_upload_job", "u6", only=["ingestion_record"])
    shop.until_sent(before + 1)
    (task,) = world.runs()[runs:]
    world.sandbox.client("ecs").stop_task(cluster=world.tasks.cluster, task=task, reason="the host is replaced")
    world.until("the task's end", lambda: world.tasks.processes[task].poll() is not None, 15)
    assert shop.until_settled("u6") == CHANGED
    found = inspect(look(world.sandbox), shop.expected())
    assert found.clean, found
    assert found.duplicates == 0
    del world.settings["JWO_API_REQUESTS_PER_SECOND"]


@pytest.mark.thorough
def test_an_outage_at_night_heals_by_itself_without_an_alert(world: Deployment, shop: Shop, mailbox: Mailbox) -> None:
    """Five tries lasted for 11 s, then the upload had failed, and no sensor resumed it."""
    shop.export(first=CHANGED, changed=CHANGED, price="5.99")
    world.sandbox.misbehave(error_retry=10_000)
    world.launch("catalog_upload_job", "u7")
    world.until("the failure", lambda: world.status_of("u7") == ["FAILURE"])
    stop = shop.ledger.stopped("u7")
    assert stop is not None
    assert stop.kind == "outage"
    world.sandbox.misbehave(error_retry=0)
    assert shop.until_settled("u7") == CHANGED
    world.until("the end", lambda: world.status_of("u7")[-1:] == ["SUCCESS"])
    found = inspect(look(world.sandbox), shop.expected())
    assert found.clean, found
    assert mailbox.take() == []


def test_daemon_and_webserver_may_do_what_they_were_seen_to_do(world: Deployment) -> None:
    """Runs, which take the pipeline's own role, ask nothing of ECS."""
    not_seen = {
        "daemon": {
            "ecs:StopTask",  # of a run that takes longer than max_runtime_seconds
            "ecs:TagResource",  # ECS asks for it where RunTask has tags
            "iam:PassRole",  # ECS asks for it with RunTask
            "logs:GetLogEvents",  # moto keeps no logs of tasks
        },
        "webserver": {
            "s3:GetObject",  # S3 is not listened to; the test before the last saw what it is for
            "s3:ListBucket",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        },
    }
    for task, role in (("daemon", "DaemonRole"), ("webserver", "WebserverRole")):
        (policy,) = ecs()[role]["Properties"]["Policies"]
        actions = [each["Action"] for each in allowed_statements(policy["PolicyDocument"])]
        allowed = {action for each in actions for action in ([each] if isinstance(each, str) else each)}
        assert {action for by, action in world.tasks.seen if by == task} == allowed - not_seen[task]
    assert {by for by, _ in world.tasks.seen} == {"daemon", "webserver"}


def test_doctor_finds_nothing_to_mend(world: Deployment) -> None:
    environment = world.tasks.environment("prod-run")
    done = subprocess.run(
        [BIN / "jwo-catalog", "doctor", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=world.tasks.folder,
    )
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0, found
    assert "PostgresRunStorage" in found["Dagster"]["found"]
    assert found["Dagster"]["status"] == "ok"
    assert {name for name, each in found.items() if each["status"] == "problem"} == set()


@pytest.mark.thorough
def test_without_a_dead_letter_queue_people_still_hear_of_what_a_guard_stopped(
    world: Deployment, shop: Shop, mailbox: Mailbox
) -> None:
    """With that queue deleted, no alert of any kind was published any more."""
    world.sandbox.client("sqs").delete_queue(QueueUrl=output(world, "DeadLetterQueueUrl"))
    shop.prices = dict(list(shop.prices.items())[:10])
    shop.export()
    world.launch("catalog_upload_job", "u8")
    world.until("the failure", lambda: world.status_of("u8") == ["FAILURE"])
    subjects: list[str] = []

    def of_upload() -> list[str]:
        subjects.extend(subject for subject, _ in mailbox.take())
        return [subject for subject in subjects if "u8" in subject]

    world.until("the alert", of_upload)
    assert len(of_upload()) == 1, subjects
    assert sorted(subjects)[0] == "JWO catalog: the dead-letter queue cannot be looked at"
    assert len(subjects) == 2
