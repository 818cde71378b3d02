"""A private Redis on a unix socket, without persistence, for as long as a benchmark runs."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Any


class RedisServer:
    """Ends with `close`."""

    def __init__(self, program: str) -> None:
        self._directory = tempfile.mkdtemp()
        self.path = f"{self._directory}/redis.sock"
        options = ["--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "no"]
        options += ["--dir", self._directory, "--bind", "127.0.0.1"]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(self.path)
                return
            if time.monotonic() > end or self._process.poll() is not None:
                self.close()
                raise RuntimeError("redis-server does not start")
            time.sleep(0.02)

    @classmethod
    def start(cls) -> RedisServer | None:
        """None when the server or its client is not installed."""
        program = shutil.which("redis-server")
        return cls(program) if program and importlib.util.find_spec("redis") else None

    def asyncio_client(self) -> Any:
        import redis.asyncio

        return redis.asyncio.Redis(unix_socket_path=self.path)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
