"""The CloudFormation template: clean, deployable with no parameter given, and as tight as it claims to be.

moto leaves out some properties (queue policy, versioning, TTL, point-in-time recovery, public access); those are read
in the template itself.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from jwo_catalog_pipeline.upload.alert_publishing import METRICS, OVERDUE
from jwo_catalog_pipeline.upload.ledger import keys
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox
from jwo_catalog_pipeline_tests.support.templates import (
    TEMPLATE,
    TemplateLoader,
    allowed_statements,
    template_resources,
)

OUTPUTS = {"BucketName", "LedgerTableName", "QueueUrl", "DeadLetterQueueUrl", "PipelineRoleArn"}
MORE_OUTPUTS = {"QueueArn", "AlertTopicArn"}
KEY = "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-3333-4444-555555555555"
TOPIC = "arn:aws:sns:us-east-1:111122223333:jwo"
ROLE = "arn:aws:iam::111122223333:role/jwo"


@pytest.fixture
def outputs(fresh: RunningSandbox) -> dict[str, str]:
    """Outputs of the template deployed into the local AWS, with no parameter given."""
    client = fresh.client("cloudformation")
    client.create_stack(StackName="plain", TemplateBody=TEMPLATE.read_text(), Capabilities=["CAPABILITY_IAM"])
    (stack,) = client.describe_stacks(StackName="plain")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_the_templates_are_clean_under_cfn_lint():
    linter = Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run([linter, TEMPLATE, TEMPLATE.with_name("ecs.yaml")], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_outputs_have_the_names_that_the_design_fixes(outputs: dict[str, str]):
    assert set(outputs) == OUTPUTS | MORE_OUTPUTS
    assert all(outputs.values())


def test_the_bucket_is_encrypted(fresh: RunningSandbox, outputs: dict[str, str]):
    s3, bucket = fresh.client("s3"), {"Bucket": outputs["BucketName"]}
    rules = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_the_bucket_keeps_versions_and_is_not_public():
    bucket = template_resources()["Bucket"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    blocks = bucket["PublicAccessBlockConfiguration"]
    assert sorted(blocks) == ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]
    assert all(blocks.values())


def test_the_table_has_the_keys_of_the_ledger(fresh: RunningSandbox, outputs: dict[str, str]):
    table = fresh.client("dynamodb").describe_table(TableName=outputs["LedgerTableName"])["Table"]
    found = [(key["AttributeName"], key["KeyType"]) for key in table["KeySchema"]]
    assert found == [(name, kind) for name, (kind, _) in keys.KEY_TYPES.items()]
    assert {one["AttributeType"] for one in table["AttributeDefinitions"]} == {"S"}
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_the_table_forgets_links_and_can_be_brought_back():
    table = template_resources()["LedgerTable"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["SSESpecification"] == {"SSEEnabled": True}


@pytest.mark.parametrize("name", ["Bucket", "LedgerTable"])
def test_what_holds_data_outlives_the_stack(name: str):
    resource = yaml.load(TEMPLATE.read_text(), TemplateLoader)["Resources"][name]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_queue_keeps_messages_for_14_days_and_sets_bad_ones_aside(fresh: RunningSandbox, outputs: dict[str, str]):
    sqs = fresh.client("sqs")
    for url in (outputs["QueueUrl"], outputs["DeadLetterQueueUrl"]):
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert found["MessageRetentionPeriod"] == str(14 * 24 * 3600)
        assert found["SqsManagedSseEnabled"] == "true"
    redrive = sqs.get_queue_attributes(QueueUrl=outputs["QueueUrl"], AttributeNames=["All"])["Attributes"][
        "RedrivePolicy"
    ]
    assert outputs["DeadLetterQueueUrl"].rsplit("/", 1)[1] in redrive


def test_the_queue_admits_amazons_topic_and_nobody_else():
    (allowed,) = allowed_statements(template_resources(JwoTopicArn=TOPIC)["QueuePolicy"]["PolicyDocument"])
    assert allowed["Principal"] == {"Service": "sns.amazonaws.com"}
    assert allowed["Action"] == "sqs:SendMessage"
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": TOPIC}}


def test_without_a_topic_the_queue_admits_nobody():
    assert allowed_statements(template_resources()["QueuePolicy"]["PolicyDocument"]) == []


@pytest.mark.parametrize("name", ["QueuePolicy", "BucketPolicy"])
def test_what_does_not_come_over_tls_is_denied(name: str):
    denied = template_resources()[name]["PolicyDocument"]["Statement"][0]
    assert (denied["Effect"], denied["Principal"]) == ("Deny", "*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def _role(**parameters: str) -> list[dict[str, Any]]:
    """What the pipeline's role is allowed."""
    (policy,) = template_resources(**parameters)["PipelineRole"]["Policies"]
    return allowed_statements(policy["PolicyDocument"])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"JwoTopicArn": TOPIC, "SourceBucketName": "export", "KmsKeyArn": KEY, "JwoApiRoleArn": ROLE}],
    ids=["nothing given", "everything given"],
)
def test_the_role_names_its_actions_and_resources_but_for_metrics_which_have_a_namespace(
    parameters: dict[str, str],
) -> None:
    statements = _role(**parameters)
    assert not [each["Sid"] for each in statements if {"NotAction", "NotResource"} & set(each)]
    assert [action for each in statements for action in _listed(each["Action"]) if "*" in action] == []
    for_all = [each for each in statements if "*" in _listed(each["Resource"])]
    assert [each["Action"] for each in for_all] == ["cloudwatch:PutMetricData"]
    assert for_all[0]["Condition"] == {"StringEquals": {"cloudwatch:namespace": METRICS}}


@pytest.mark.parametrize(("given", "sids"), [({}, []), ({"SourceBucketName": "export"}, ["ListSource", "ReadSource"])])
def test_the_role_reads_the_source_bucket_where_one_is_given(given: dict[str, str], sids: list[str]) -> None:
    assert [each["Sid"] for each in _role(**given) if each["Sid"].endswith("Source")] == sids


def test_every_alarm_tells_people_and_what_to_do() -> None:
    alarms = {name: found for name, found in template_resources().items() if "AlarmActions" in found}
    assert sorted(alarms) == ["DeadLetters", "NobodyLooks", "QueueNotRead", "StuckIngestions"]
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlertTopic"}]
        assert "jwo-catalog" in alarm["AlarmDescription"] or "docs/runbook.md" in alarm["AlarmDescription"]


def test_the_alarms_watch_the_metric_that_the_pipeline_sends() -> None:
    for name in ("StuckIngestions", "NobodyLooks"):
        alarm = template_resources()[name]
        assert (alarm["Namespace"], alarm["MetricName"]) == (METRICS, OVERDUE)
        assert alarm["Dimensions"] == [{"Name": "Ledger", "Value": {"Ref": "LedgerTable"}}]
    assert template_resources()["NobodyLooks"]["TreatMissingData"] == "breaching"


def test_only_alarms_of_the_account_may_publish_beside_the_pipeline() -> None:
    (allowed,) = allowed_statements(template_resources()["AlertTopicPolicy"]["PolicyDocument"])
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_nothing_current_expires_in_the_bucket_but_what_runs_printed() -> None:
    rules = {rule["Id"]: rule for rule in template_resources()["Bucket"]["LifecycleConfiguration"]["Rules"]}
    assert rules.pop("PrintedByRuns")["Prefix"] == "dagster/"  # as deploy/dagster.yaml has it
    assert set(rules) == {"OverwrittenTables", "OldUploads", "UnfinishedWrites"}
    for rule in rules.values():
        assert not {"ExpirationInDays", "ExpirationDate", "NoncurrentVersionExpirationInDays"} & set(rule)


def test_a_key_of_ones_own_is_used_for_everything_and_by_the_role() -> None:
    found = template_resources(KmsKeyArn=KEY)
    for name in ("Queue", "DeadLetterQueue", "AlertTopic"):
        assert found[name]["KmsMasterKeyId"] == KEY
        assert "SqsManagedSseEnabled" not in found[name]
    assert found["LedgerTable"]["SSESpecification"]["KMSMasterKeyId"] == KEY
    (rule,) = found["Bucket"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"] == KEY
    (policy,) = found["PipelineRole"]["Policies"]
    (statement,) = [each for each in allowed_statements(policy["PolicyDocument"]) if each["Sid"] == "Key"]
    assert statement["Resource"] == KEY
    assert KEY not in str(template_resources())


def test_an_address_is_subscribed_where_one_is_given() -> None:
    assert "AlertSubscription" not in template_resources()
    assert template_resources(AlertEmail="a@b.example")["AlertSubscription"]["Endpoint"] == "a@b.example"


def test_the_template_deploys_with_every_parameter(fresh: RunningSandbox) -> None:
    client = fresh.client("cloudformation")
    given = {
        **{"JwoTopicArn": TOPIC, "JwoApiRoleArn": ROLE, "SourceBucketName": "export", "KmsKeyArn": KEY},
        **{"AlertEmail": "a@b.example", "NoncurrentDays": "30", "PipelineService": "pods.eks.amazonaws.com"},
        "LedgerTableName": "restored-ledger",
    }
    assert given.keys() == yaml.load(TEMPLATE.read_text(), TemplateLoader)["Parameters"].keys()
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
    client.create_stack(
        StackName="full", TemplateBody=TEMPLATE.read_text(), Parameters=parameters, Capabilities=["CAPABILITY_IAM"]
    )
    (stack,) = client.describe_stacks(StackName="full")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
