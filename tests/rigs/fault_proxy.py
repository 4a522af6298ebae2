"""A TCP relay that misbehaves on demand: resets, swallows, cuts after a given number of bytes, delays."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

_CHUNK_BYTES = 65536
_QUEUE_BYTES = 1 << 20  # a side that does not read stops the other one, as a plain connection would


class Direction(Enum):
    UP = "towards the device"
    DOWN = "towards the host"


class _Flow:
    """One direction of one connection."""

    def __init__(self, source: socket.socket, sink: socket.socket, direction: Direction) -> None:
        self.source, self.sink, self.direction = source, sink, direction
        self.waiting: deque[tuple[float, bytes]] = deque()  # when it may leave, what
        self.ended = False

    @property
    def size(self) -> int:
        return sum(len(data) for _, data in self.waiting)


class FaultProxy:
    """Relays `127.0.0.1:port` to `host:port` of a rig. One thread does it all; every method may be called from any.

    Connections made after a `reset` or a cut are relayed as before.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self.relayed = dict.fromkeys(Direction, 0)
        self._flows: list[_Flow] = []
        self._hole = self._refusing = False
        self._delay_s = 0.0
        self._cuts: dict[Direction, int] = {}
        self._at_cut: Callable[[], None] = self._reset
        self._orders: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._wake_out, self._wake_in = socket.socketpair()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Break every connection with RST, on both sides; done when this returns."""
        self._order(self._reset)

    def blackhole(self, on: bool = True) -> None:
        """From now on nothing passes, and nobody is told; `False` lets everything pass again, what waited included."""
        self._order(lambda: setattr(self, "_hole", on))

    def refuse(self, on: bool = True) -> None:
        """From now on new connections are reset at once, as by a device without a server."""
        self._order(lambda: setattr(self, "_refusing", on))

    def cut_after(self, size: int, direction: Direction) -> None:
        """Let exactly `size` more bytes pass in `direction`, then `reset`, once."""
        self._at(size, direction, self._reset)

    def swallow_after(self, size: int, direction: Direction) -> None:
        """Let exactly `size` more bytes pass in `direction`, then `blackhole`."""
        self._at(size, direction, lambda: setattr(self, "_hole", True))

    def delay(self, seconds: float) -> None:
        """Hold back what arrives from now on by `seconds` in each direction."""
        self._order(lambda: setattr(self, "_delay_s", seconds))

    def heal(self) -> None:
        """No more faults; what is connected stays so."""

        def forget() -> None:
            self._hole = self._refusing = False
            self._delay_s = 0.0
            self._cuts.clear()

        self._order(forget)

    def close(self) -> None:
        """End every connection and the thread; may be called again."""
        if self._thread.is_alive():
            self._order(lambda: setattr(self, "_stopping", True))
            self._thread.join()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _at(self, size: int, direction: Direction, then: Callable[[], None]) -> None:
        def cut() -> None:
            self._cuts[direction], self._at_cut = size, then

        self._order(cut)

    def _order(self, action: Callable[[], None]) -> None:
        """Have the relay's thread do `action`; return when it is done."""
        done = threading.Event()
        self._orders.append((action, done))
        self._wake_in.send(b"!")
        while not done.wait(0.1):
            if not self._thread.is_alive():
                raise RuntimeError("the fault proxy is closed")

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._reset()
            for sock in (self._listener, self._wake_in, self._wake_out):
                sock.close()
            for _, done in self._orders:
                done.set()

    def _turn(self) -> None:
        with selectors.DefaultSelector() as ready:
            self._watch(ready)
            events = {key.fileobj: mask for key, mask in ready.select(self._pause_s())}
        if self._wake_out in events:
            self._obey()
            return  # an order may have closed what the events speak of
        if self._listener in events:
            self._accept()
        for flow in list(self._flows):
            if flow in self._flows and events.get(flow.source, 0) & selectors.EVENT_READ:
                self._receive(flow)
            if flow in self._flows:
                self._send(flow)

    def _watch(self, ready: selectors.BaseSelector) -> None:
        masks: dict[socket.socket, int] = {self._listener: selectors.EVENT_READ, self._wake_out: selectors.EVENT_READ}
        for flow in self._flows:
            if self._hole:
                break
            if not flow.ended and flow.size < _QUEUE_BYTES:
                masks[flow.source] = masks.get(flow.source, 0) | selectors.EVENT_READ
            if flow.waiting and flow.waiting[0][0] <= time.monotonic():
                masks[flow.sink] = masks.get(flow.sink, 0) | selectors.EVENT_WRITE
        for sock, mask in masks.items():
            ready.register(sock, mask)

    def _pause_s(self) -> float | None:
        """Until the next held-back bytes may leave."""
        due = [flow.waiting[0][0] for flow in self._flows if flow.waiting and not self._hole]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _obey(self) -> None:
        self._wake_out.recv(_CHUNK_BYTES)
        while self._orders:
            action, done = self._orders.popleft()
            action()
            done.set()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if self._refusing:
            _break(near)
            return
        try:
            far = socket.create_connection(self._target, timeout=5)
        except OSError:
            _break(near)
            return
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self._flows += [_Flow(near, far, Direction.UP), _Flow(far, near, Direction.DOWN)]

    def _receive(self, flow: _Flow) -> None:
        try:
            data = flow.source.recv(_CHUNK_BYTES)
        except OSError:
            self._drop(flow)
            return
        if not data:
            flow.ended = True
        flow.waiting.append((time.monotonic() + self._delay_s, data))

    def _send(self, flow: _Flow) -> None:
        """Pass on what is due; empty bytes stand for the end of the stream."""
        while flow.waiting and not self._hole and flow.waiting[0][0] <= time.monotonic():
            due, data = flow.waiting.popleft()
            left = self._cuts.get(flow.direction, len(data))
            try:
                sent = flow.sink.send(data[:left]) if data else 0
                if not data:
                    self._end(flow)
                    return
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(flow)
                return
            self.relayed[flow.direction] += sent
            if sent < len(data):
                flow.waiting.appendleft((due, data[sent:]))
            if flow.direction in self._cuts:
                self._cuts[flow.direction] -= sent
                if not self._cuts[flow.direction]:
                    del self._cuts[flow.direction]
                    self._at_cut()
                    return
            if sent < len(data):
                return

    def _end(self, flow: _Flow) -> None:
        """Pass on the end of one direction; the connection goes when both have ended."""
        try:
            flow.sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has already gone
        self._flows.remove(flow)
        if not any(other.source is flow.sink for other in self._flows):
            flow.source.close()
            flow.sink.close()

    def _drop(self, flow: _Flow) -> None:
        """One side broke the connection: break the other."""
        self._flows = [other for other in self._flows if other.source not in (flow.source, flow.sink)]
        _break(flow.source)
        _break(flow.sink)

    def _reset(self) -> None:
        for flow in self._flows:
            _break(flow.source)
            _break(flow.sink)
        self._flows = []


def _break(sock: socket.socket) -> None:
    """Close with RST."""
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
