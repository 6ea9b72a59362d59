"""A line between a client and a server that may change what passes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Change = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    """Change nothing."""
    return data


@contextlib.contextmanager
def relay(target: str, up: Change = same, down: Change = same) -> Iterator[str]:
    """Yield the URL of a relay to a URL; `up` sees what clients send, `down` what they get, piece by piece."""
    host, _, port = target.removeprefix("http://").partition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, (host, int(port)), up, down), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def _accept(listener: socket.socket, target: tuple[str, int], up: Change, down: Change) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(target)
            for source, sink, change in ((client, server, up), (server, client, down)):
                threading.Thread(target=_pump, args=(source, sink, change), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, change: Change) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(change(data))
    for side in (source, sink):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)
