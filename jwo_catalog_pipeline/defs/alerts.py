"""The resource through which alerts reach people.

https://docs.dagster.io/guides/build/external-resources
"""

from typing import Any

import dagster as dg

from jwo_catalog_pipeline.aws import aws_client, caller
from jwo_catalog_pipeline.catalog_api.sns_signature import TOPIC_ARN
from jwo_catalog_pipeline.defs.resource_fields import region_of, resource_field, topic
from jwo_catalog_pipeline.upload.alert_messages import Alert, Place, send_alert
from jwo_catalog_pipeline.upload.alert_publishing import AlertPublisher
from jwo_catalog_pipeline.upload.ledger.ledger import Ledger


class AlertsResource(dg.ConfigurableResource[None]):
    """The topic through which alerts reach people."""

    topic_arn: str = resource_field("alert_topic_arn")
    ledger_table: str = resource_field("ledger_table")
    ui_url: str = resource_field("ui_url")
    merchant: str = resource_field("merchant")

    def publisher(self, ledger: Ledger) -> AlertPublisher:
        """Publishes alerts, and the metric of stuck batches."""
        sns, topic_arn = self._topic()
        return AlertPublisher(ledger, sns, aws_client("cloudwatch"), topic_arn, self.place())

    def send(self, alert: Alert) -> None:
        """Send an alert without asking the ledger whether that was done before.

        Raises:
            ConfigurationError: the topic is not set, or invalid.
            AlertsUnavailable: it does not take the message.
        """
        sns, topic_arn = self._topic()
        send_alert(sns, topic_arn, alert, self.place())

    def place(self) -> Place:
        """The installation, for people; the account is the topic's where AWS does not say who the caller is."""
        account, region = caller().account, caller().region
        if not account and TOPIC_ARN.fullmatch(self.topic_arn):
            region, account = self.topic_arn.split(":")[3:5]
        return Place(self.ledger_table, account, region, self.ui_url, self.merchant)

    def _topic(self) -> tuple[Any, str]:
        topic_arn = topic(self.topic_arn, "JWO_ALERT_TOPIC_ARN")
        return aws_client("sns", region_of(topic_arn)), topic_arn
