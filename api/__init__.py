"""The read-only API: answers HTTP queries from the tables that the worker fills."""

from flask import Flask

from api.access import watch_requests
from api.db import Database, find_url
from api.openapi import describe
from api.problems import answer_errors_as_problems
from api.routes import data, health, index, stats
from shared.settings import Settings


def create_app(settings: Settings) -> Flask:
    """Join the parts. Nothing is connected to before the first request asks for it."""
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # it redirects, and with HTML
    app.extensions["settings"] = settings
    app.extensions["database"] = Database(find_url(settings))
    watch_requests(app)
    answer_errors_as_problems(app)
    for module in (index, data, health, stats):
        app.register_blueprint(module.bp)
    app.extensions["openapi"] = describe(app)
    return app
