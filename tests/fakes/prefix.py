"""A proxy that shows a server under a path of its own, takes that path off, and names it."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

GIVE_UP = 60
HOP = {"connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length"}


@contextlib.contextmanager
def under_a_prefix(server: str, prefix: str) -> Iterator[str]:
    """Give the URL under which the server is seen; without a prefix, its own."""
    if not prefix:
        yield server
        return

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            headers = {name: value for name, value in self.headers.items() if name != "Connection"}
            answer = requests.get(
                server + self.path.removeprefix(prefix),
                headers={**headers, "X-Forwarded-Prefix": prefix},
                timeout=GIVE_UP,
                allow_redirects=False,
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}{prefix}"
        finally:
            proxy.shutdown()
            thread.join()
