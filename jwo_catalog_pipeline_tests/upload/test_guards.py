"""Guards: each stops the plan that it is for, says the numbers and the way out, and lets ordinary days pass."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest

from jwo_catalog_pipeline.engine import connect, view
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.table_file import table_of
from jwo_catalog_pipeline.upload.plan.figures import PlanFigures, count_plan
from jwo_catalog_pipeline.upload.plan.guards import (
    GUARDS,
    OLDER_EXPORT,
    AcknowledgedGaps,
    GuardLimits,
    Verdict,
    check_plan,
    parse_limits,
)
from jwo_catalog_pipeline.upload.tables import PlanRow, columns


def plan(
    *groups: tuple[str, int], store: str = "S1", prices: tuple[str, str] = ("1.00", "1.10"), code: str = "4006381333931"
) -> pd.DataFrame:
    """A plan with so many items of each kind; what is gone has no content."""
    rows = [
        {
            **dict.fromkeys(columns(PlanRow)),
            "change": change,
            "store_id": store,
            "item_sku": f"{change}-{i}",
            "content_hash": None if change in ("absent", "archive") else "new" if change == "update" else "same",
            "published_hash": None if change == "insert" else "same",
            "published_price": None if change == "insert" else prices[0],
            "standard_price": prices[1] if change in ("insert", "update") else None,
            "external_product_id": code if change in ("insert", "update") else None,
            "external_product_id_type": None,
        }
        for change, count in groups
        for i in range(count)
    ]
    added = ["standard_price", "external_product_id", "external_product_id_type"]
    return pd.DataFrame(rows, columns=[*columns(PlanRow), *added])


def nothing() -> pd.DataFrame:
    return pd.DataFrame({"store_id": pd.Series(dtype="str")})


def figures(plan: pd.DataFrame, quarantined: pd.DataFrame) -> PlanFigures:
    """What is counted of a plan, which has no row of an unchanged item: that is a valid item without one."""
    changes = plan[plan["change"] != "unchanged"]
    with TemporaryDirectory() as folder, connect(Path(folder)) as db:
        valid = plan[plan["content_hash"].notna()]
        for name, rows in {"items": valid, "changes": changes, "quarantined": quarantined}.items():
            view(db, name, table_of(rows.astype("str"), Path(folder, f"{name}.parquet")))
        return count_plan(db, GuardLimits().price_factor)


def verdicts(plan: pd.DataFrame, **options: Any) -> dict[str, Verdict]:
    values = {"quarantined": nothing(), "limits": GuardLimits(), "seen": AcknowledgedGaps(), **options}
    found = check_plan(figures(plan, values.pop("quarantined")), **values)
    assert [each.guard for each in found] == list(GUARDS)
    return {each.guard: each for each in found}


def stopped(plan: pd.DataFrame, **options: Any) -> dict[str, str]:
    return {name: each.message for name, each in verdicts(plan, **options).items() if not each.passed}


PLANS = {
    "archive_share": (plan(("unchanged", 94), ("archive", 6)), plan(("unchanged", 95), ("archive", 5)), "6 of 100"),
    "changed_share": (plan(("unchanged", 49), ("update", 51)), plan(("unchanged", 50), ("update", 50)), "51 of 100"),
    "price_jumps": (
        plan(("unchanged", 589), ("update", 13), prices=("1.00", "3.01")),
        plan(("unchanged", 589), ("update", 13), prices=("1.00", "3.00")),
        "13 of 602",
    ),
    "store_missing": (
        pd.concat([plan(("unchanged", 9)), plan(("absent", 1), store="S2")]),
        pd.concat([plan(("unchanged", 9)), plan(("absent", 1), ("unchanged", 1), store="S2")]),
        "S2",
    ),
    "source_truncated": (plan(("unchanged", 69), ("absent", 31)), plan(("unchanged", 70), ("absent", 30)), "31 of 100"),
    "unknown_barcodes": (
        pd.concat([plan(("insert", 189)), plan(("insert", 11), code="123456789", store="S2")]),
        pd.concat([plan(("insert", 209)), plan(("insert", 11), code="123456789", store="S2")]),
        "11 of 200",
    ),
}


def test_every_guard_is_tested_here_or_with_whole_uploads() -> None:
    assert {*PLANS, OLDER_EXPORT} == set(GUARDS)  # test_older_export


@pytest.mark.parametrize("guard", PLANS)
def test_a_guard_stops_its_plan_with_numbers_and_override_and_passes_the_one_beside_it(guard: str) -> None:
    bad, good, numbers = PLANS[guard]
    found = stopped(bad)
    assert list(found) == [guard]
    assert numbers in found[guard]
    assert f"jwo-catalog upload --allow {guard}" in found[guard]
    assert stopped(good) == {}
    allowed = verdicts(bad, allow=[guard])[guard]
    assert (allowed.passed, allowed.allowed) == (True, True)
    assert "allowed for this upload" in allowed.message


def test_a_price_that_falls_by_the_factor_has_jumped_too() -> None:
    assert "price_jumps" in stopped(plan(("unchanged", 100), ("update", 11), prices=("3.01", "1.00")))


def test_ten_changed_items_never_stop_an_upload_but_one_archived_of_few_does() -> None:
    assert stopped(plan(("update", 10), prices=("1.00", "9.00"))) == {}
    assert list(stopped(plan(("unchanged", 10), ("archive", 1)))) == ["archive_share"]


def test_a_first_upload_meets_no_guard() -> None:
    assert stopped(plan(("insert", 1000))) == {}


def test_what_amazon_holds_is_unknown_of_a_refused_batch_so_nothing_is_known_to_change() -> None:
    assert stopped(plan(("update", 100)).assign(published_hash=None)) == {}


def test_a_store_whose_rows_are_all_quarantined_is_not_missing() -> None:
    bad, _, _ = PLANS["store_missing"]
    assert stopped(bad, quarantined=pd.DataFrame({"store_id": ["S2"]})) == {}


def test_what_an_upload_was_allowed_to_leave_missing_is_not_complained_of_again() -> None:
    bad = pd.concat([plan(("unchanged", 30)), plan(("absent", 70), store="S2")])
    assert list(stopped(bad)) == ["store_missing", "source_truncated"]
    assert stopped(bad, seen=AcknowledgedGaps(frozenset({"S2"}), 70)) == {}


def test_limits_are_read_from_one_setting() -> None:
    assert parse_limits("") == GuardLimits()
    assert parse_limits("archive_share=0.2, price_factor=5") == GuardLimits(archive_share=0.2, price_factor=5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("archive=1", "JWO_GUARDS: 'archive' is not a limit; use one of archive_share, changed_share"),
        ("archive_share=x", "a number"),
        ("price_share=-1", "0 or"),
    ],
)
def test_a_limit_that_cannot_be_read_says_what_there_is(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_limits(text)
