"""A server on loopback that answers as CoinGecko and CoinPaprika do, and misbehaves on command.

    with Upstream(assets=600) as upstream:
        upstream.answers(rate_limited(seconds=1)).then(real())
        ...
        assert upstream.asked[0].params["page"] == "1"

By hand: `python -m tests.fakes.upstream --assets 17000` prints what to set and serves until Ctrl-C.
"""

import argparse
import gzip as gzip_codec
import json
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.answers import KEY_MISSING, Answer, Asked, listed, real, status
from tests.fakes.market import PLATFORMS, Market
from worker.stopping import StopEvent, stop_on_signals


class Upstream:
    """The server; a `with` block starts and stops it.

    `market` is what it sells. What `answers` and `then` say is used up one answer a request, then
    it behaves again; `always` lasts. `requires` names headers without which it answers 401.
    """

    def __init__(
        self,
        assets: int = 100,
        seed: int = 1,
        port: int = 0,
        *,
        etags: bool = True,
        page_cap: int = 250,
    ) -> None:
        self.market = Market(assets, seed)
        self.asked: deque[Asked] = deque(maxlen=100_000)
        self.requires: dict[str, str] = {}
        self.etags = etags
        self.page_cap = page_cap
        self.empty_platforms: list[str] = []
        self.closing = threading.Event()
        self._lock = threading.Condition()
        self._script: deque[Answer] = deque()
        self._by_page: dict[str, deque[Answer]] = {}
        self._always: Answer | None = None
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def coingecko_url(self) -> str:
        return f"{self.base_url}/api/v3"

    @property
    def coinpaprika_url(self) -> str:
        return f"{self.base_url}/v1"

    def answers(self, *answers: Answer, page: int | None = None) -> Self:
        """Say how the next requests are answered, or the next ones for that page."""
        with self._lock:
            if page is None:
                self._script = deque(answers)
            else:
                self._by_page[str(page)] = deque(answers)
        return self

    def then(self, *answers: Answer) -> Self:
        with self._lock:
            self._script.extend(answers)
        return self

    def always(self, answer: Answer | None) -> Self:
        """Answer every request so from now on; None ends it."""
        with self._lock:
            self._always = answer
        return self

    def wait_until_asked(self, count: int, seconds: float = 60) -> None:
        """Return once so many requests have arrived.

        Raises:
            TimeoutError: they did not within the time.
        """
        with self._lock:
            if not self._lock.wait_for(lambda: len(self.asked) >= count, seconds):
                raise TimeoutError(f"{len(self.asked)} requests after {seconds} s, not {count}")

    def next_answer(self, asked: Asked) -> Answer:
        """Note a request, and find what it is answered."""
        with self._lock:
            self.asked.append(asked)
            self._lock.notify_all()
            own = self._by_page.get(asked.params.get("page", "1"))
            if own:
                return own.popleft()
            if self._script:
                return self._script.popleft()
            return self._always or real()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def say(self, asked: Asked) -> Answer:
        """Answer a request as the real thing would."""
        if any(asked.headers.get(name) != value for name, value in self.requires.items()):
            return status(401, KEY_MISSING)
        if asked.path == "/api/v3/coins/markets":
            answer = self._markets(asked.params)
        elif asked.path == "/v1/tickers":
            answer = listed(map(self.market.ticker, self.market.coins))
        elif asked.path == "/api/v3/coins/list":
            answer = listed(map(self.market.listed, self.market.coins))
        elif asked.path == "/v1/contracts":
            answer = Answer(body=json.dumps([*PLATFORMS, *self.empty_platforms]).encode())
        elif (name := asked.path.removeprefix("/v1/contracts/")) in PLATFORMS:
            answer = listed(self.market.platform(name))
        else:
            return status(404, {"error": "not found"})
        if not self.etags or answer.status != HTTPStatus.OK:
            return answer
        etag = f'W/"{sha256(answer.body or b"").hexdigest()[:32]}"'
        if asked.headers.get("if-none-match") == etag:
            return Answer(status=304, body=b"", headers={"ETag": etag})
        return replace(answer, headers={"ETag": etag})

    def _markets(self, params: Mapping[str, str]) -> Answer:
        if "vs_currency" not in params:
            return status(422, {"error": "Missing parameter vs_currency"})
        size = min(int(params.get("per_page", "100")), self.page_cap)
        start = (int(params.get("page", "1")) - 1) * size
        coins = self.market.markets(params.get("order", "market_cap_desc"))[start : start + size]
        return Answer(body=b"[" + b",".join(map(self.market.market, coins)) + b"]")


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], upstream: Upstream) -> None:
        self.upstream = upstream
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open, so that their threads end."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up: some are killed on purpose."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        upstream = self.server.upstream
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers)
        answer = upstream.next_answer(asked)
        if answer.body is None and answer.status == HTTPStatus.OK:
            said = upstream.say(asked)
            answer = replace(
                answer,
                status=said.status,
                body=said.body,
                headers={**said.headers, **answer.headers},
            )
            if answer.edited:
                plain = {k: v for k, v in answer.headers.items() if k != "ETag"}
                answer = replace(answer, body=answer.edited(answer.body or b""), headers=plain)
        while answer.after and not answer.after.wait(0.05) and not upstream.closing.is_set():
            pass
        if answer.late_by:
            upstream.closing.wait(answer.late_by)
        if answer.resets:
            self._reset()
        else:
            self._send(answer)

    def _reset(self) -> None:
        """Close with RST instead of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _send(self, answer: Answer) -> None:
        content = answer.body or b""
        if answer.gzip:
            content = gzip_codec.compress(content, 1)
        length = len(content) * answer.repeat
        declared = answer.declared_length
        if declared is not None:
            declared = length + declared if declared < 0 else declared
        headers = {"Date": self.date_time_string(), **answer.headers}
        if answer.content_type and answer.status != HTTPStatus.NOT_MODIFIED:
            headers["Content-Type"] = answer.content_type
        if answer.gzip:
            headers["Content-Encoding"] = "gzip"
        if not answer.lengthless:
            headers["Content-Length"] = str(length if declared is None else declared)
        if answer.lengthless or declared is not None or answer.cut_at is not None:
            headers["Connection"] = "close"
            self.close_connection = True
        self.send_response_only(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self._end_headers(answer)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self._write(content[: answer.cut_at], answer)
        if answer.stalls:
            self.server.upstream.closing.wait(60)

    def _end_headers(self, answer: Answer) -> None:
        if answer.slow_headers:
            self._trickle(b"".join(self._headers_buffer))
            self._headers_buffer = []
        self.end_headers()

    def _write(self, content: bytes, answer: Answer) -> None:
        if not answer.trickles:
            for _ in range(answer.repeat):
                self.wfile.write(content)
            return
        self._trickle(content)

    def _trickle(self, content: bytes) -> None:
        for byte in content:
            self.wfile.write(bytes([byte]))
            if self.server.upstream.closing.wait(0.05):
                return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Be quiet: `asked` is the log."""


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tick", type=float, default=0, help="move the market every SECONDS")
    options = parser.parse_args()
    over = StopEvent()
    with (
        stop_on_signals(over),
        Upstream(options.assets, options.seed, options.port) as upstream,
    ):
        sys.stdout.write(
            f"COINGECKO_BASE_URL={upstream.coingecko_url}\n"
            f"COINPAPRIKA_BASE_URL={upstream.coinpaprika_url}\n"
        )
        sys.stdout.flush()
        upstream.market.tick((datetime.now(UTC) - upstream.market.at).total_seconds())
        while not over.wait(options.tick or 60):
            if options.tick:
                upstream.market.tick(options.tick)


if __name__ == "__main__":
    main()
