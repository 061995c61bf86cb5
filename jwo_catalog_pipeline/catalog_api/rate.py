"""The call budget as the client sees it; who keeps to it, and over how many processes, is not the client's matter."""

from typing import Protocol


class CallBudget(Protocol):
    """Hands out permission to call, over all operations: what Amazon's limit covers is unknown."""

    def take(self) -> None:
        """Wait until one more call is allowed, and count it."""

    def slow_down(self) -> None:
        """The service has answered 429: leave more time between calls for a while."""
