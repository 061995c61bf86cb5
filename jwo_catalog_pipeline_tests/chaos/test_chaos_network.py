"""Some of the network faults of `make chaos`, and that the harness would see what it is there to see."""

import dataclasses

import pytest
import urllib3

from jwo_catalog_pipeline_tests.chaos.network import all_scenarios, figures, run_scenario
from jwo_catalog_pipeline_tests.chaos.network_history import CALLS, OPERATIONS, History, Scenario
from jwo_catalog_pipeline_tests.chaos.network_kinds import KINDS, kind_named
from jwo_catalog_pipeline_tests.chaos.network_parts import Shop
from jwo_catalog_pipeline_tests.chaos.proxy import Proxy
from jwo_catalog_pipeline_tests.support.parts import items
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("no answer, delivered after the client gave up", (2,)),
        ("307", (1, 2, 3)),
        ("400 of a middlebox", (1, 2, 3)),
        ("504, delivered", (1, 3)),
    ],
)
def test_after_a_network_fault_amazon_holds_the_newest_source(
    sandbox: RunningSandbox, kind: str, places: tuple[int, ...]
) -> None:
    assert run_scenario(Shop(sandbox), Scenario(kind_named(kind), places)) == []


def test_every_kind_is_tried_at_every_place() -> None:
    places = {
        (s.kind.name, operation, place) for s in all_scenarios() for operation in s.operations for place in s.places
    }
    impossible = CALLS * sum(kind.needs_body for kind in KINDS)
    assert len(KINDS) >= 24
    assert len(places) == len(KINDS) * len(OPERATIONS) * CALLS - impossible
    assert sum(scenario.faults for scenario in all_scenarios()) == len(places)


def test_a_fault_happens_at_its_place_only_and_the_address_stays_when_connections_are_refused() -> None:
    """Nothing listens behind it, which a fault that does not forward need not know."""
    proxy = Proxy("http://127.0.0.1:9")
    http = urllib3.PoolManager(retries=False, timeout=1)
    proxy.arm(kind_named("503"), "upload", (1,))
    assert http.request("POST", proxy.url + "/v1/catalog/upload", body=b"{}").status == 503
    assert proxy.fired
    assert proxy.bodies == [("upload", b"{}")]
    proxy.arm(kind_named("connection refused"), "upload", (1,))
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        http.request("POST", proxy.url + "/v1/catalog/upload", body=b"{}")
    proxy.heal()
    proxy.arm(kind_named("307"), "archive", (1,))
    answer = http.request("POST", proxy.url + "/v1/catalog/archive", body=b"{}", redirect=False)
    assert answer.headers["Location"] == proxy.trap.url + "/v1/catalog/archive"
    with pytest.raises(urllib3.exceptions.HTTPError):
        http.request("GET", answer.headers["Location"])
    assert proxy.trap.contacts == 1
    proxy.stop()


def test_what_is_lost_stale_foreign_or_left_open_is_found(sandbox: RunningSandbox) -> None:
    """The catalog is changed behind the pipeline's back, after all has come to rest; until then an answer was odd."""
    history = History(Shop(sandbox), Scenario(kind_named("answer packed with gzip"), (2,)))
    assert history.run() == []
    stores = sandbox.environment["JWO_STORE_IDS"].split(",")
    item = {name: value for name, value in items("A").iloc[0].items() if isinstance(value, str)}
    assert sandbox.call("upload", {"catalogItems": [item]}).status == 201
    assert sandbox.call("archive", {"itemSkus": ["Z"], "allApplicableStores": stores}).status == 201
    sandbox.drain()
    found = sorted({problem.partition(":")[0] for problem in history._wrong()})
    assert found == ["foreign bytes", "lost", "stale"]
    history.source = items("A", "Y", "Z", standard_price="2.49")
    assert "unaccounted: ('JWO-STORE-01', 'Y') is None" in list(history._unaccounted({("JWO-STORE-01", "Y")}))


def test_a_figure_holds_only_if_nothing_failed() -> None:
    scenario = Scenario(kind_named("302"), (1, 3))
    assert all(figure.holds for figure in figures([scenario], []))
    for problem in ("lost: x", "stale: x", "unaccounted: x", "crashed: x", "foreign bytes: x", "in flight at once: x"):
        assert not all(figure.holds for figure in figures([scenario], [("", [problem])])), problem
    assert [dataclasses.astuple(f)[1] for f in figures([scenario], [])][2] == "8 redirects"
