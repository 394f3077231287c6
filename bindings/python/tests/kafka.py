"""A Kafka that runs elsewhere, named by ``BROKERS``: enough of its protocol to make a topic there."""

from __future__ import annotations

import socket
import struct

_CREATE_TOPICS, _VERSION = 19, 2
_TIMEOUT_MS = 10_000


class Kafka:
    """Takes the place of the embedded broker. It is not assumed to make topics that nobody created."""

    def __init__(self, address: str) -> None:
        self.address = address

    def create_topic(self, name: str, partitions: int = 4) -> None:
        """Makes a topic, as the embedded broker's method does, and returns once it is there."""
        assignments = settings = struct.pack(">i", 0)
        topic = _text(name) + struct.pack(">ih", partitions, 1) + assignments + settings
        answer = self._ask(struct.pack(">i", 1) + topic + struct.pack(">i?", _TIMEOUT_MS, False))
        # Throttle time and number of topics; then the name and an error.
        (length,) = struct.unpack_from(">h", answer, 8)
        (error,) = struct.unpack_from(">h", answer, 10 + length)
        assert error == 0, f"the broker refused topic {name}: error {error}"

    def _ask(self, body: bytes) -> bytes:
        host, port = self.address.split(",")[0].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=_TIMEOUT_MS / 1000) as connection:
            request = struct.pack(">hhi", _CREATE_TOPICS, _VERSION, 1) + _text("libkarafka-tests") + body
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as stream:
                (size,) = struct.unpack(">i", stream.read(4))
                answer: bytes = stream.read(size)
        # Without the correlation id.
        return answer[4:]


def _text(value: str) -> bytes:
    octets = value.encode()
    return struct.pack(">h", len(octets)) + octets
