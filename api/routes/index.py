"""`/`, the list of routes, and `/openapi.json`, their description."""

from flask import Blueprint, Response, current_app, request

from api.openapi.contract import documented
from api.parameters import QueryString
from api.responses.answers import document, json_response
from api.schemas.index import RouteSchema

bp = Blueprint("index", __name__)


@bp.get("/")
@documented(RouteSchema(many=True))
def index() -> Response:
    """List the routes."""
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
