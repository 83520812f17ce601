"""`/`, the list of routes, and `/openapi.json`, their description."""

from typing import cast

from flask import Blueprint, Response, current_app, redirect, request

from api.middleware.keys import PAGES
from api.openapi.contract import documented
from api.parameters import QueryString
from api.request.negotiation import HTML, JSON, choose
from api.responses.answers import document, json_response
from api.schemas.index import RouteSchema

bp = Blueprint("index", __name__)


@bp.get("/")
@documented(RouteSchema(many=True), media={JSON: None, HTML: "<!doctype html>…"})
def index() -> Response:
    """List the routes.

    A browser, which prefers `text/html`, is redirected to the dashboard.
    """
    if choose([JSON, HTML], request.headers.get("Accept")) == HTML:
        query = request.query_string.decode("latin-1")
        target = f"{request.script_root}{PAGES}" + (f"?{query}" if query else "")
        return cast("Response", redirect(target, 303))
    QueryString().load(request.args)
    paths = current_app.extensions["openapi"]()["paths"]
    routes = [{"path": path, "summary": paths[path]["get"]["summary"]} for path in paths]
    return document(RouteSchema(many=True), routes)


@bp.get("/openapi.json")
@documented(None)
def openapi() -> Response:
    """Describe this API as an OpenAPI 3.1 document."""
    QueryString().load(request.args)
    return json_response(current_app.extensions["openapi"]())
