"""Headers of the proxies in front of the API, trusted only as configured."""

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest
from werkzeug.middleware.proxy_fix import ProxyFix

from api.middleware.paths import is_canonical

HSTS = "max-age=31536000"
"""Without `includeSubDomains`, because this program cannot decide for other hosts."""


def trust_proxies(app: Flask, proxies: int, *, with_prefix: bool) -> None:
    """Read the client's address and scheme from the headers of this many proxies.

    WSGI middleware that is added later runs before this one, and sees the unchanged values.

    The path prefix has to be enabled separately, because many proxies pass on the header of a
    client. The host is never read, because no response contains it.
    """
    if proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_prefix=proxies if with_prefix else 0
        )


def apply_proxy_headers(app: Flask) -> None:
    """Refuse invalid path prefixes, and require HTTPS from clients that use it (HSTS)."""
    app.before_request(check_prefix)
    app.after_request(add_hsts)


def check_prefix() -> None:
    """Refuse a prefix that would make links in responses point elsewhere.

    Raises:
        BadRequest: the prefix is not a canonical path.
    """
    prefix = request.script_root
    if prefix and not is_canonical(prefix):
        raise BadRequest(
            f"X-Forwarded-Prefix is {prefix[:80]!r}; expected a path such as '/market'; "
            "check the configuration of the proxy"
        )


def add_hsts(response: Response) -> Response:
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = HSTS
    return response
