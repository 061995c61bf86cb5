"""What a call of the Catalog API is answered with, and how one fails on purpose."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a call is answered with; `disconnect` is `close` or `hang` where there is no answer at all.

    `sequence` is the position of an accepted request in the service's sequence of events.
    """

    status: int
    body: dict[str, Any]
    ingestion_id: str | None = None
    items: int = 0
    duplicates: int = 0
    disconnect: str = ""
    fault: str | None = None
    sequence: int | None = None


def failure(fault: str) -> Answer:
    """How a call ends that fails on purpose."""
    if fault.startswith(("close", "hang")):
        return Answer(0, {}, disconnect=fault.partition("_")[0], fault=fault)
    if fault == "forbid":
        message = "User is not authorized to access this resource"
        return Answer(403, {"message": message}, fault=fault)
    again = "no retry is possible" if fault == "error_no_retry" else "retry recommended"
    return Answer(500, {"errorMsg": f"Internal server error, {again}"}, fault=fault)
