"""A proxy on the loopback address that commits a network fault at chosen calls (`network_kinds.py` says which).

It takes origin-form requests, which it passes on to the Catalog API with the Host header as it came, so that signatures
stay valid; and absolute-form ones for the download of reports. Plain sockets and threads, for
it must be able to break what any HTTP library would keep whole.
"""

import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from jwo_catalog_pipeline_tests.chaos.exchange import PATIENCE, Exchange
from jwo_catalog_pipeline_tests.chaos.network_kinds import Kind


class Trap:
    """A place that must never be contacted; counts who does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.contacts = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.contacts += 1  # before the client can know
                connection.close()

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@dataclass
class _Fault:
    """`left` are the places at which it has yet to happen; `seen` are the different calls so far."""

    kind: Kind
    operation: str
    left: set[int]
    seen: set[object] = field(default_factory=set)

    @property
    def next_connection_bites(self) -> bool:
        return self.kind.at != "call" and len(self.seen) + 1 in self.left

    def bite(self) -> Kind:
        """Happen to the next connection."""
        self.left.discard(len(self.seen) + 1)
        return self.kind

    def take(self, call: object) -> Kind | None:
        """Happen to this call, if it is one of those to which it must, and the first try at it."""
        if call in self.seen:
            return None
        self.seen.add(call)
        if self.kind.at != "call" or len(self.seen) not in self.left:
            return None
        self.left.discard(len(self.seen))
        return self.kind


@dataclass
class _State:
    """What threads share; guarded by `changed`."""

    fault: _Fault | None = None
    busy: int = 0  # exchanges that are not over
    waiting: set[Exchange] = field(default_factory=set)  # connections between two requests
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)


class Proxy:
    """The proxy; commits the fault that it was armed with, once at each place."""

    def __init__(self, upstream: str):
        """Listen.

        Args:
            upstream: address of the Catalog API, such as http://127.0.0.1:8000.
        """
        url = urlsplit(upstream)
        self._upstream = (url.hostname or "", url.port or 80)
        self.trap = Trap()
        self._state = _State()
        self._port = 0
        self._stopped = False
        self._listener: socket.socket | None = None
        self._listen()
        self.url = f"http://127.0.0.1:{self._port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, kind: Kind, operation: str, places: Sequence[int]) -> None:
        """Commit this fault at the first try of these calls of an operation, counted from now on and from 1.

        Args:
            kind: what happens; one that is not at a `call` can happen at one place only.
            operation: `upload`, `archive`, `status` or `report`.
            places: which calls, not counting those that are made again.
        """
        with self._state.changed:
            self._state.fault = _Fault(kind, operation, set(places))
            for waiting in self._state.waiting:  # so that the next call is a new connection, should that be what breaks
                with suppress(OSError):
                    waiting.client.shutdown(socket.SHUT_RDWR)
            self._refuse_if_due()

    def heal(self) -> None:
        """Take connections again, once everything that is going on has ended."""
        deadline = time.monotonic() + PATIENCE
        with self._state.changed:
            self._state.changed.wait_for(lambda: not self._state.busy, max(0.0, deadline - time.monotonic()))
            if self._listener is None:
                self._listen()

    @property
    def fired(self) -> bool:
        """Whether the fault has been committed everywhere."""
        return self._state.fault is not None and not self._state.fault.left

    @property
    def bodies(self) -> list[tuple[str, bytes]]:
        """Operation and content of every body that was read to its end, whether it was passed on or not."""
        with self._state.changed:
            return list(self._state.bodies)

    def stop(self) -> None:
        """Listen no more."""
        self._stopped = True
        self._close_listener()
        self.trap.stop()

    def _listen(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
            except OSError:  # while it was free, another process took the port for a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)  # the other process frees it by itself
                continue
            self._listener.settimeout(0.05)
            self._port = self._listener.getsockname()[1]
            return

    def _close_listener(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # at once, though another thread may be waiting in accept
            listener.close()

    def _refuse_if_due(self) -> None:
        fault = self._state.fault
        if fault and fault.kind.at == "refuse" and fault.next_connection_bites:
            self._close_listener()
            fault.bite()

    def _accept(self) -> None:
        while not self._stopped:
            listener = self._listener
            if listener is None:
                time.sleep(0.002)  # until the listener is there again: nothing says so
                continue
            with suppress(OSError):
                client, _ = listener.accept()
                client.settimeout(PATIENCE)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        exchange = Exchange(client, self._upstream, self.trap.url)
        state = self._state
        with suppress(OSError, ValueError):  # the client, or a fault, has closed the connection
            if kind := self._take_connection():
                kind.act(exchange)
                return
            while self._serve_one(exchange):
                pass
        with state.changed:
            state.waiting.discard(exchange)
        exchange.close()

    def _serve_one(self, exchange: Exchange) -> bool:
        """Serve a request; whether there may be another on this connection."""
        state = self._state
        with state.changed:
            state.waiting.add(exchange)
        if not exchange.read_head():
            return False
        with state.changed:
            state.waiting.discard(exchange)
            state.busy += 1
        try:
            kind = self._take(exchange)
            if not kind:
                exchange.body()
            self._note(exchange)
            if kind:
                kind.act(exchange)
                return False
            reply = exchange.forward()
            with state.changed:
                last = bool(state.fault and state.fault.next_connection_bites)
                self._refuse_if_due()
            exchange.send(reply.bytes("Connection: close") if last else reply.bytes())
            return not last
        finally:
            with state.changed:
                state.busy -= 1
                state.changed.notify_all()

    def _take(self, exchange: Exchange) -> Kind | None:
        """The fault to commit to this call. Its body is read only where that does not get in the fault's way."""
        fault = self._state.fault
        if fault is None or exchange.operation != fault.operation:
            return None
        call = object() if fault.kind.before_body else exchange.subject
        with self._state.changed:
            return fault.take(call)

    def _take_connection(self) -> Kind | None:
        with self._state.changed:
            fault = self._state.fault
            if fault is None or fault.kind.at != "connection" or not fault.next_connection_bites:
                return None
            return fault.bite()

    def _note(self, exchange: Exchange) -> None:
        if exchange.content:
            with self._state.changed:
                self._state.bodies.append((exchange.operation, exchange.content))
