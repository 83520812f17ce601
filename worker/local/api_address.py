"""The address of the API on this machine: whether it can listen there, and whether it answers."""

import http.client
import socket

from shared.errors import ConfigurationError
from shared.settings import Settings

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def check_port(host: str, port: int) -> None:
    """Check that the API can listen on its port.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as exc:
        other = port + 1 if port >= 1024 else 8000  # noqa: PLR2004  below it only root may listen
        raise ConfigurationError(
            f"the API cannot listen on {host}:{port}: {exc.strerror}; stop the process that does, "
            f"or choose another port: API_PORT={other} make run"
        ) from exc


def api_url(settings: Settings) -> str:
    """Return the URL of the API for a browser on this machine."""
    host = _local_host(settings)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.api_port}"


def answers(settings: Settings) -> bool:
    """Whether the API answers."""
    connection = http.client.HTTPConnection(_local_host(settings), settings.api_port, timeout=5)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _local_host(settings: Settings) -> str:
    return ANY_ADDRESS.get(settings.api_host, settings.api_host)
