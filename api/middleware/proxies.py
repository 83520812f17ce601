"""What proxies in front of the API say of the client, believed as far as they are declared."""

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest
from werkzeug.middleware.proxy_fix import ProxyFix

from api.middleware.paths import is_canonical

HSTS = "max-age=31536000"
"""Not for other hosts of the domain: they are not this program's to decide on."""


def trust_proxies(app: Flask, proxies: int, *, with_prefix: bool) -> None:
    """Take address and scheme of a request from the last so many proxies that added them.

    Whatever is put before the application later sees what the proxies see.

    The prefix of its path only where that is declared too: many proxies pass on what a client made
    up for it. The host is never taken, for no answer has it.
    """
    if proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_prefix=proxies if with_prefix else 0
        )


def heed_proxies(app: Flask) -> None:
    """Refuse prefixes that are no paths, and insist on HTTPS where clients come by it."""
    app.before_request(refuse_prefix_that_is_no_path)
    app.after_request(insist_on_https)


def refuse_prefix_that_is_no_path() -> None:
    """Refuse a prefix that would make the links of answers lead elsewhere.

    Raises:
        BadRequest: it is no canonical path.
    """
    prefix = request.script_root
    if prefix and not is_canonical(prefix):
        raise BadRequest(
            f"X-Forwarded-Prefix is {prefix[:80]!r}; expected a path as in '/market', "
            "which the proxy in front sets"
        )


def insist_on_https(response: Response) -> Response:
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = HSTS
    return response
