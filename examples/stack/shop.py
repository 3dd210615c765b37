"""What all parts of the shop need: a connection to redis, without a library."""

import os
import socket


class Redis:
    """Speaks as much of the protocol of redis as a shop needs."""

    def __init__(self):
        address = ("127.0.0.1", int(os.environ["REDIS_PORT"]))
        self.socket = socket.create_connection(address, timeout=30)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        data = [str(word).encode() for word in words]
        lines = [b"*%d" % len(data)]
        for word in data:
            lines += [b"$%d" % len(word), word]
        self.socket.sendall(b"\r\n".join(lines) + b"\r\n")
        return self.answer()

    def answer(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("redis has closed the connection")
        kind, rest = line[:1], line[1:].strip()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.file.read(length + 2)[:-2].decode()
        if kind == b"*":
            return None if int(rest) < 0 else [self.answer() for _ in range(int(rest))]
        return int(rest) if kind == b":" else rest.decode()
