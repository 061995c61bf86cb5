"""Messages duplicated, reordered, late, lost, poisoned, forged and oversized: whatever is delivered, the same results.

By itself: `python -m jwo_catalog_pipeline_tests.chaos.messages`.
"""

import logging
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from jwo_catalog_pipeline_tests.chaos import poison
from jwo_catalog_pipeline_tests.chaos.figures import Figure, alone
from jwo_catalog_pipeline_tests.chaos.world import MINUTE, UPLOADS, World, make_world
from jwo_catalog_pipeline_tests.support.sandbox_fixture import RunningSandbox

DELIVERIES = 10_000
DAY = 86_400
SEED = 20_261_123

# -- scenarios: each delivers about so many messages, in any way but the right one ----------------------------------

Scenario = Callable[[World, int, random.Random], None]


def duplicated(world: World, count: int, chance: random.Random) -> None:
    bodies = world.bodies(world.told) * (count // len(world.told) + 1)
    chance.shuffle(bodies)
    world.deliver(bodies[: count // 2])
    world.settle()  # the rest comes when all is settled, copies together
    world.deliver(sorted(bodies[count // 2 :]))


def reordered(world: World, count: int, chance: random.Random) -> None:
    rounds = max(1, count // len(world.told))
    for number in range(rounds):
        bodies = world.bodies(world.told)
        chance.shuffle(bodies)
        for body in bodies[: len(world.told) // 2]:
            world.deliver([body])
        if number < rounds - 1:
            world.deliver(bodies[len(world.told) // 2 :])
            continue
        world.settle()
        world.deliver(bodies[len(world.told) // 2 :])


def late(seconds: int) -> Scenario:
    """After so long, with links whose time is over, and each ten times in a row."""

    def scenario(world: World, count: int, chance: random.Random) -> None:
        world.parts.clock.seconds += seconds
        bodies = world.bodies(world.expired)
        rounds = [body for _ in range(count // (10 * len(bodies)) + 1) for body in chance.sample(bodies, len(bodies))]
        world.deliver([body for body in rounds for _ in range(10)])

    return scenario


def lost(world: World, count: int, chance: random.Random) -> None:
    world.deliver(world.bodies(chance.sample(world.told, len(world.told) // 4)))
    world.settle()
    world.ask()


def lost_altogether(world: World, count: int, chance: random.Random) -> None:
    world.ask()


def poisoned(world: World, count: int, chance: random.Random) -> None:
    _among(world, poison.unreadable_bodies(world.topic), count, chance)


def forged(world: World, count: int, chance: random.Random) -> None:
    ids = [each["ingestionId"] for each in world.told]
    bodies = poison.forged_bodies(world.topic, ids, "http://127.0.0.1:9/evil.json")
    world.deliver(chance.choices(bodies, k=max(100, count // 2)))  # at least a few of each kind
    world.settle()  # before any genuine message: nothing may come of them
    _among(world, bodies, count // 2, chance)


def oversized(world: World, count: int, chance: random.Random) -> None:
    bodies = poison.oversized_bodies(world.topic, world.told)
    chance.shuffle(bodies)
    world.deliver(bodies)


def mixed(world: World, count: int, chance: random.Random) -> None:
    """Half of the ingestions are told of, some twice, between everything else; the others are asked for."""
    half = world.bodies(chance.sample(world.told, len(world.told) // 2))
    ids = [each["ingestionId"] for each in world.told]
    others = poison.unreadable_bodies(world.topic) + poison.forged_bodies(world.topic, ids, "http://127.0.0.1:9/evil")
    bodies = [*half, *half, *chance.choices(others, k=count // 2), *chance.choices(half, k=count // 2)]
    chance.shuffle(bodies)
    for start in range(0, len(bodies), len(bodies) // 4 + 1):
        world.deliver(bodies[start : start + len(bodies) // 4 + 1])
        world.settle()
    world.ask()
    world.settle()
    world.parts.clock.seconds += 3 * DAY
    world.deliver(world.bodies(world.expired))


def _among(world: World, others: list[str], count: int, chance: random.Random) -> None:
    bodies = [*chance.choices(others, k=max(0, count - len(world.told))), *world.bodies(world.told)]
    chance.shuffle(bodies)
    world.deliver(bodies)


# The share of all deliveries that each makes.
SCENARIOS: dict[str, tuple[float, Scenario]] = {
    "duplicated": (0.45, duplicated),
    "reordered": (0.02, reordered),
    "61 minutes late": (0.11, late(61 * MINUTE)),
    "3 days late": (0.11, late(3 * DAY)),
    "13 days late": (0.11, late(13 * DAY)),
    "partly lost": (0.0, lost),
    "lost altogether": (0.0, lost_altogether),
    "poisoned": (0.07, poisoned),
    "forged": (0.07, forged),
    "oversized": (0.0, oversized),
    "mixed": (0.07, mixed),
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Thousands of warnings about messages would hide the figures."""
    logger = logging.getLogger("jwo_catalog_pipeline")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def message_figures(
    sandbox: RunningSandbox,
    deliveries: int = DELIVERIES,
    scenarios: Iterable[str] = SCENARIOS,
    uploads: int = UPLOADS,
) -> list[Figure]:
    """Deliver in every way, and compare the results with those of one delivery in order.

    Args:
        sandbox: loses what it holds.
        deliveries: messages in all, shared out as `SCENARIOS` says.
        scenarios: the names of those to run.
        uploads: how many uploads they are about.
    """
    chance, figures, total = random.Random(SEED), [], 0
    with _quiet():
        world = make_world(sandbox, uploads)
        world.deliver(world.bodies(world.told))
        world.settle()
        expected = world.results()
        for name in scenarios:
            share, scenario = SCENARIOS[name]
            world.restore()
            world.delivered = 0
            scenario(world, int(share * deliveries), chance)
            world.settle()
            found = world.results()
            different = {key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)}
            total += world.delivered
            figures.append(
                Figure(
                    f"Messages {name}: the results of a single delivery",
                    f"{world.delivered:,} deliveries about {uploads} ingestions",
                    f"{len(different)} of {len(expected)} results differ",
                    not different and len(expected) > 3 * uploads,
                )
            )
    if set(scenarios) == set(SCENARIOS):
        figures.append(Figure("Deliveries in all", f"at least {deliveries:,}", f"{total:,}", total >= deliveries))
    return figures


if __name__ == "__main__":
    sys.exit(alone(message_figures))
