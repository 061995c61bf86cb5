"""A smaller round of the deliveries that `make chaos` makes."""

from jwo_catalog_pipeline_tests.chaos.messages import message_figures
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

# The others differ from these in the number of messages, or are in `mixed`.
SMOKE = ("duplicated", "13 days late", "lost altogether", "forged", "mixed")


def test_whatever_is_delivered_the_results_are_those_of_one_delivery_in_order(fresh: RunningSandbox) -> None:
    assert [figure for figure in message_figures(fresh, 200, SMOKE, uploads=4) if not figure.holds] == []
