"""Every kind of network fault, at the first, a middle and the last call of every operation: is anything lost?

python -m jwo_catalog_pipeline_tests.chaos.network
"""

import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from jwo_catalog_pipeline_tests.chaos.figures import Figure, report
from jwo_catalog_pipeline_tests.chaos.network_history import CALLS, OPERATIONS, History, Scenario
from jwo_catalog_pipeline_tests.chaos.network_kinds import KINDS, Kind
from jwo_catalog_pipeline_tests.chaos.network_parts import Shop
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

PROCESSES = 2  # each with a sandbox of its own; as many as the smallest machine has cores

Failures = list[tuple[str, list[str]]]


def all_scenarios() -> list[Scenario]:
    """Every kind at every place: each call is struck at its first try, in one history where the proxy can tell them."""
    return [Scenario(kind, places) for kind in KINDS for places in _places(kind)]


def _places(kind: Kind) -> list[tuple[int, ...]]:
    """The places of each history: one where a call cannot be known from one that is made again, else all."""
    places = tuple(range(1, CALLS + 1))
    return [(place,) for place in places] if kind.at != "call" or kind.before_body else [places]


def run_scenario(shop: Shop, scenario: Scenario) -> list[str]:
    """What does not hold after a scenario; an error that nobody foresaw does not, either."""
    try:
        return History(shop, scenario).run()
    except Exception:  # noqa: BLE001 one scenario must not hide the others
        return [f"crashed: {traceback.format_exc()}"]


def run_share(scenarios: Sequence[Scenario]) -> Failures:
    """Run these, in a process of their own; gives those that failed."""
    logging.getLogger("jwo_catalog_pipeline").addHandler(logging.NullHandler())  # warnings of what is done on purpose
    sandbox = RunningSandbox("--requests-per-second", "0")
    try:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update({name: value for name, value in sandbox.environment.items() if name.startswith("AWS_")})
        os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
        shop = Shop(sandbox)
        results = [(str(scenario), run_scenario(shop, scenario)) for scenario in scenarios]
    finally:
        sandbox.stop()
    return [(name, problems) for name, problems in results if problems]


def network_figures(scenarios: Sequence[Scenario] = (), processes: int = PROCESSES) -> list[Figure]:
    """Run the scenarios, all of them where none are given, and count; what failed is printed to standard error."""
    chosen = [*(scenarios or all_scenarios())]
    # Shares by turns, so that none gets all of the time-outs.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        shares = [pool.submit(run_share, chosen[share::processes]) for share in range(processes)]
        failures = [failure for share in shares for failure in share.result()]
    for name, problems in failures:
        sys.stderr.write(f"{name}\n" + "".join(f"    {problem}\n" for problem in problems))
    return figures(chosen, failures)


def figures(scenarios: Sequence[Scenario], failures: Failures) -> list[Figure]:
    """Count what failed, by guarantee."""
    problems = [problem for _, found in failures for problem in found]

    def count(*words: str) -> int:
        return sum(problem.startswith(words) for problem in problems)

    kinds, places = len({s.kind.name for s in scenarios}), len({place for s in scenarios for place in s.places})
    faults = sum(scenario.faults for scenario in scenarios)
    redirects = sum(scenario.faults for scenario in scenarios if scenario.kind.name.startswith("30"))
    borne = sum(scenario.faults for scenario in scenarios if scenario.kind.borne)
    lost, stale, unaccounted = count("lost"), count("stale"), count("unaccounted")
    other = len([problem for problem in problems if problem.startswith(("the fault", "does not", "crashed"))])
    foreign, at_once = count("foreign bytes"), count("in flight at once")
    return [
        Figure(
            "Network faults: Amazon holds the newest source in the end",
            f"{kinds} kinds x {len(OPERATIONS)} operations x {places} places: {faults:,}",
            f"{lost} lost, {stale} stale, {unaccounted} unaccounted" + (f", {other} otherwise failed" if other else ""),
            not lost + stale + unaccounted + other,
        ),
        Figure(
            "Network faults: only recorded bytes are sent, and no item is in two different ingestions at once",
            f"{faults:,} faults",
            f"{foreign} foreign bodies, {at_once} at once",
            not foreign + at_once,
        ),
        Figure(
            "Redirects are not followed",
            f"{redirects} redirects",
            f"{count('redirected')} followed",
            not count("redirected"),
        ),
        Figure(
            "A slow or odd but complete response is used at the first attempt",
            f"{borne} responses",
            f"{count('not borne')} not used",
            not count("not borne"),
        ),
    ]


if __name__ == "__main__":
    sys.exit(report(network_figures(processes=1)))
