"""An adb server that answers what it is told to: what a real one, or a phone, cannot be made to do at will."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable

from edgewright.devices.adb.shell_v2 import STDERR, STDOUT, packet

Answer = bytes | Callable[[socket.socket], None] | None


def okay(text: str | None = None) -> bytes:
    return b"OKAY" if text is None else b"OKAY%04x" % len(text.encode()) + text.encode()


def fail(text: str) -> bytes:
    return b"FAIL%04x" % len(text) + text.encode()


class PretendServer:
    """Answers each service with bytes, with a function that takes over the connection, or with silence (None)."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.answers: dict[str, Answer] = {"host:transport:A": okay(), "host:features": okay("shell_v2,cmd")}
        self.asked: list[str] = []
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.attach("A\tdevice\n")

    def attach(self, devices: str, long: str = "") -> None:
        self.answers |= {"host:devices": okay(devices), "host:devices-l": okay(long)}

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            while length := take(sock, 4):
                service = take(sock, int(length, 16)).decode()
                self.asked.append(service)
                kind = service.partition(",raw:")[0]
                answer = self.answers.get(service, self.answers.get(kind, fail(f"unknown host service {kind}")))
                if callable(answer):
                    sock.sendall(okay())
                    return answer(sock)
                if answer is not None:
                    sock.sendall(answer)
        except (OSError, EOFError):
            pass

    def begun(self) -> bytes:
        """What the phone's shell says before the command that was asked for last: the marks."""
        mark = self.mark
        return packet(STDOUT, mark + b"\n") + packet(STDERR, mark + b" 99\n")

    @property
    def mark(self) -> bytes:
        return re.findall(r"echo (\S+);", self.asked[-1])[0].encode()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(timeout=5)
        for sock in self._open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(timeout=5)
            assert not thread.is_alive()
        for sock in self._open:
            sock.close()


def take(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        if not part:
            if data:
                raise EOFError
            return b""
        data += part
    return data
