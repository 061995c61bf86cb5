"""A day of the ordinary life of `make chaos`, and that its checker sees what it is there to see."""

import pytest

from jwo_catalog_pipeline.upload.send.newest import NewestFirst
from jwo_catalog_pipeline_tests.chaos.life_checker import Wrong, check_amazon, check_words
from jwo_catalog_pipeline_tests.chaos.life_pipeline import HOUR
from jwo_catalog_pipeline_tests.chaos.life_runs import APPLY, PLAN, READ
from jwo_catalog_pipeline_tests.chaos.ordinary_life import Installation, live, new_week
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox


class OlderToo(NewestFirst):
    """A seeded bug: it does not look whether a newer export was applied."""

    def _check_newest(self, upload: str) -> None:
        pass


@pytest.mark.thorough
def test_after_a_day_of_ordinary_life_amazon_ledger_and_people_know_the_same(fresh: RunningSandbox) -> None:
    week, wrong = live(Installation(fresh), seed=1, days=1, most_events=5)
    assert vars(wrong) == vars(Wrong()), week.pipeline.journal


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(3, 5))
def test_after_a_week_of_ordinary_life_amazon_ledger_and_people_know_the_same(fresh: RunningSandbox, seed: int) -> None:
    week, wrong = live(Installation(fresh), seed)
    assert vars(wrong) == vars(Wrong()), week.pipeline.journal


@pytest.mark.thorough
@pytest.mark.parametrize("newest_first", [NewestFirst, OlderToo])
def test_the_checker_sees_that_an_older_export_was_sent_last(
    fresh: RunningSandbox, newest_first: type[NewestFirst]
) -> None:
    week, wrong = new_week(Installation(fresh), 1), Wrong()
    week.pipeline.newest_first = newest_first
    week.write()
    slow = week.pipeline.start()
    slow.step(READ)
    week.write()
    week.pipeline.advance(HOUR)  # in which the sensor has the newer one sent
    slow.step(PLAN)
    slow.step(APPLY)
    week.pipeline.advance(2 * HOUR)
    check_amazon(week, wrong)
    assert bool(wrong.amazon) == (newest_first is OlderToo)


def test_the_checker_sees_that_the_ledger_calls_something_accepted_that_amazon_does_not_hold(
    fresh: RunningSandbox,
) -> None:
    week, wrong = new_week(Installation(fresh), 1), Wrong()
    week.write()
    week.pipeline.advance(2 * HOUR)
    check_words(week, wrong)
    assert wrong.words == []
    item = dict(fresh.get("catalog")[0], standard_price="0.99")
    fresh.upload(item)  # by somebody else
    fresh.drain()
    check_words(week, wrong)
    assert len(wrong.words) == 1
