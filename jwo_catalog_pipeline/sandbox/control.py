"""The control API below /sandbox: what a test or a person looks at and sets. Unsigned, on the loopback address only.

`misbehave` takes the settings and faults of `faults.py`; `expire_sessions` ends every session that STS has issued.
In `requests` and `ingestions`, `sequence`, `accepted_at` and `ended_at` are positions in one sequence of events.
"""

import json
from collections.abc import Callable
from typing import Any

from jwo_catalog_pipeline.sandbox.faults import STS_DOWN, UnknownKeyError
from jwo_catalog_pipeline.sandbox.service import JwoService


class Control:
    """Answers control calls."""

    def __init__(
        self,
        service: JwoService,
        requests: Callable[[], list[dict[str, Any]]],
        reset: Callable[[], dict[str, Any]],
        expire_sessions: Callable[[], None],
        break_sts: Callable[[int], None],
    ):
        """Bind the calls to what they act on.

        Args:
            service: the JWO service.
            requests: gives the log of calls.
            reset: forgets everything and gives the new environment.
            expire_sessions: ends every session that STS has issued so far.
            break_sts: has STS refuse the next n times.
        """
        self._break_sts = break_sts
        self._service = service
        self._calls: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "/sandbox/catalog"): lambda _: service.items(),
            ("GET", "/sandbox/requests"): lambda _: requests(),
            ("GET", "/sandbox/ingestions"): lambda _: service.ingestions(),
            ("POST", "/sandbox/misbehave"): self._misbehave,
            ("POST", "/sandbox/drain"): lambda _: service.drain(),
            ("POST", "/sandbox/reset"): lambda _: reset(),
            ("POST", "/sandbox/stores"): self._stores,
            ("POST", "/sandbox/expire_sessions"): lambda _: expire_sessions(),
        }

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Answer one control call.

        Args:
            method: HTTP method.
            path: path without query.
            body: JSON, or nothing.

        Returns:
            HTTP status and what to send as JSON; errors are `{"error": text}`.
        """
        call = self._calls.get((method, path))
        if call is None:
            known = ", ".join(" ".join(key) for key in self._calls)
            return 404, {"error": f"there is no {method} {path}; there is {known}"}
        try:
            return 200, call(json.loads(body or b"{}"))
        except json.JSONDecodeError as error:
            return 400, {"error": f"the body is not JSON: {error}"}
        except UnknownKeyError as error:
            return 400, {"error": str(error)}

    def _misbehave(self, wanted: Any) -> dict[str, Any]:
        if not isinstance(wanted, dict):
            raise UnknownKeyError("the body must be a JSON object")
        state = self._service.faults.set(wanted)
        if STS_DOWN in wanted:
            self._break_sts(wanted[STS_DOWN])
        return state

    def _stores(self, wanted: Any) -> dict[str, Any]:
        stores = wanted.get("stores") if isinstance(wanted, dict) else wanted
        if not isinstance(stores, list) or not stores or not all(isinstance(s, str) and s for s in stores):
            raise UnknownKeyError('the body must be {"stores": ["an id", ...]}')
        self._service.stores = list(stores)
        return {"stores": self._service.stores}
