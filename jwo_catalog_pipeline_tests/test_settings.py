"""The settings: each is read once, from what is handed in, and README says the same of them."""

import re

import pytest

from jwo_catalog_pipeline.defs.resources import resources_from
from jwo_catalog_pipeline.errors import ConfigurationError
from jwo_catalog_pipeline.settings import VARIABLES, read_settings, readable_settings, unset_advised, unset_needed
from jwo_catalog_pipeline.upload.plan.guards import GuardLimits, parse_limits
from jwo_catalog_pipeline_tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

UI_ADDRESS = "http:// or https:// with a host and at most a path"


def _table() -> dict[str, str]:
    """What README's table says of each variable."""
    rows = re.findall(r"^\| (`JWO_.*?) \| (.*) \|$", README, re.MULTILINE)
    return {name: meaning for names, meaning in rows for name in re.findall(r"`(\w+)`", names)}


def test_readme_names_every_setting_and_no_other() -> None:
    assert _table().keys() == VARIABLES.keys()


@pytest.mark.parametrize("name", [name for name, variable in VARIABLES.items() if variable.default])
def test_readme_gives_the_default(name: str) -> None:
    default, meaning = VARIABLES[name].default, _table()[name].replace("`", "")
    assert f"default {default}:" in meaning or f"default {default}," in meaning or f"{default} (default)" in meaning


def test_readme_gives_the_guards_thresholds() -> None:
    (limits,) = re.findall(r"`(\w+=[^`]*)`", _table()["JWO_GUARDS"])
    assert parse_limits(limits) == GuardLimits()
    assert {pair.partition("=")[0] for pair in limits.split(",")} == set(GuardLimits.__dataclass_fields__)


def test_a_needed_setting_has_no_default_and_every_setting_a_meaning() -> None:
    assert all(not variable.default for variable in VARIABLES.values() if variable.needed)
    assert all(variable.description for variable in VARIABLES.values())


def test_a_default_is_read_as_what_an_unset_variable_gives() -> None:
    assert read_settings({name: variable.default for name, variable in VARIABLES.items()}) == read_settings({})


def test_only_what_is_handed_in_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWO_BUCKET", "of-the-caller")
    assert read_settings({}).bucket == ""
    assert read_settings({"jwo_bucket": "another"}).bucket == ""
    assert read_settings({"JWO_BUCKET": "mine"}).bucket == "mine"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("JWO_API_REQUESTS_PER_SECOND", "0.5", "a whole number, 0 or more"),
        ("JWO_API_REQUESTS_PER_SECOND", "-1", "a whole number, 0 or more"),
        ("JWO_LEASE_SECONDS", "0", "a whole number, above 0"),
        ("JWO_OVERDUE_MINUTES", "nan", "a number, 0 or more"),
        ("JWO_IN_FLIGHT_HOURS", "inf", "a number, above 0"),
        ("JWO_ARCHIVE", "yes", "on or off"),
        ("JWO_UI_URL", "javascript:alert(1)", UI_ADDRESS),
        ("JWO_UI_URL", "dagster.example.com", UI_ADDRESS),
        ("JWO_UI_URL", "https://", UI_ADDRESS),
        ("JWO_UI_URL", "https://user:pw@ui.example.com", UI_ADDRESS),
        ("JWO_UI_URL", "https://ui.example.com/?a=b", UI_ADDRESS),
        ("JWO_UI_URL", "https://ui.example.com/<b>", UI_ADDRESS),
        ("JWO_UI_URL", "ftp://ui", UI_ADDRESS),
        ("JWO_UI_URL", "https://ui:x", UI_ADDRESS),
    ],
)
def test_an_unreadable_setting_is_an_error_that_names_it_its_value_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resources_from({name: value})
    error = caught.value
    assert (error.variable, error.problem, error.remedy) == (name, f"{name} is {value!r}", f"it must be {allowed}")


def test_all_unreadable_settings_are_complained_of_and_the_others_read() -> None:
    settings, complaints = readable_settings(
        {"JWO_LEASE_SECONDS": "soon", "JWO_ARCHIVE": "yes", "JWO_BUCKET": "b", "JWO_OVERDUE_MINUTES": "0"}
    )
    assert {error.variable for error in complaints} == {"JWO_LEASE_SECONDS", "JWO_ARCHIVE"}
    assert (settings.lease_seconds, settings.archive) == (300, False)
    assert (settings.bucket, settings.overdue_minutes) == ("b", 0)


def test_switches_and_lists_are_read_as_people_write_them() -> None:
    settings = read_settings({"JWO_ARCHIVE": "ON", "JWO_VERIFY_SIGNATURES": "Off", "JWO_STORE_IDS": " a, b ,,"})
    assert (settings.archive, settings.verify_signatures, settings.store_ids) == (True, False, ("a", "b"))


def test_an_empty_needed_or_advised_setting_counts_as_unset() -> None:
    full = dict.fromkeys(VARIABLES, "x")
    assert (unset_needed(full), unset_advised(full)) == ([], {})
    assert unset_needed({**full, "JWO_BUCKET": ""}) == ["JWO_BUCKET"]
    assert list(unset_advised({**full, "JWO_STORE_IDS": ""})) == ["JWO_STORE_IDS"]


def test_the_uis_address_is_read_without_its_last_slash() -> None:
    for address in ("https://ui.example.com", "http://10.0.0.7:3000", "http://[::1]:3000/jwo"):
        assert read_settings({"JWO_UI_URL": f"{address}/"}).ui_url == address
