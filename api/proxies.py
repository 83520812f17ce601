"""What proxies in front of the API say of the client, believed as far as they are declared."""

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

HSTS = "max-age=31536000"
"""Not for other hosts of the domain: they are not this program's to decide on."""


def trust_proxies(app: Flask, proxies: int) -> None:
    """Take address, scheme and prefix of a request from the last so many proxies that added them.

    Without any, `X-Forwarded-…` is what a client made up. The host is never taken, for no
    answer has it.
    """
    if proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=proxies, x_proto=proxies, x_prefix=proxies
        )
    app.after_request(insist_on_https)


def insist_on_https(response: Response) -> Response:
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = HSTS
    return response
