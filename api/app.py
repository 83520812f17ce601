"""The read-only API: serves the tables that the worker fills over HTTP."""

import functools

from flask import Flask

from api.dashboard.pages import bp as dashboard
from api.database.cache import Cache, RecentValues
from api.database.pool import Database, find_url
from api.metrics.registry import make_registry
from api.middleware.cors import allow_origins
from api.middleware.keys import identify_clients, require_keys
from api.middleware.limits import limit_requests
from api.middleware.paths import require_canonical_paths
from api.middleware.proxies import apply_proxy_headers, trust_proxies
from api.openapi import describe
from api.request.access import observe_requests
from api.request.negotiation import require_acceptable_format
from api.request.problems import answer_errors_as_problems
from api.request.process_metrics import Instruments
from api.responses.cache_hits import serve_cache_hits
from api.responses.cached import SHARED_SECONDS
from api.responses.export import Exports
from api.responses.past_limit import make_slots
from api.responses.staleness import Staleness
from api.routes import changes, data, docs, health, history, index, metrics, raw, trends
from api.routes.operations import drift, rejects, reviews, runs, stats
from shared.settings import Settings

SHARED_PAGES = 32
"""Number of pages that change without a commit and that each process shares among its clients."""

TOTALS = 1000
"""Number of filters whose count of matching assets each process caches."""


def make_cache(settings: Settings) -> Cache | None:
    """Make the cache of responses; None if it is disabled, or with several database servers.

    The server that notifies of a change may be ahead of the server that is read.
    """
    url = settings.api_database_url
    several = url is not None and isinstance(url.query.get("host"), tuple)
    return None if several or not settings.api_cache_mb else Cache(settings.api_cache_mb * 2**20)


def create_app(settings: Settings) -> Flask:
    """Create the application. It connects to the database with the first request that needs it."""
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # it would redirect, with an HTML body
    app.extensions["settings"] = settings
    app.extensions["database"] = Database(find_url(settings))
    app.extensions["staleness"] = Staleness(settings)
    app.extensions["cache"] = make_cache(settings)
    app.extensions["shared_pages"] = RecentValues(SHARED_PAGES, SHARED_SECONDS)
    app.extensions["totals"] = RecentValues(TOTALS)
    app.extensions["exports"] = Exports(
        settings.api_export_seconds, settings.api_export_min_kib_per_second * 1024
    )
    app.extensions["past"] = make_slots(settings.api_past_at_once)
    app.extensions["instruments"] = instruments = Instruments()
    instruments.time_statements(app.extensions["database"].engine)
    app.extensions["metrics"] = make_registry(instruments)
    observe_requests(app)
    answer_errors_as_problems(app)
    require_canonical_paths(app)
    apply_proxy_headers(app)
    allow_origins(app, settings.api_cors_origins)
    identify_clients(app, settings)
    limit_requests(app, settings)
    require_keys(app, settings)
    require_acceptable_format(app)
    serve_cache_hits(app, settings)
    trust_proxies(app, settings.api_trusted_proxies, with_prefix=settings.api_trusted_prefix)
    for module in (
        index,
        docs,
        data,
        history,
        raw,
        trends,
        changes,
        health,
        metrics,
        stats,
        runs,
        rejects,
        drift,
        reviews,
    ):
        app.register_blueprint(module.bp)
    app.register_blueprint(dashboard)
    app.extensions["openapi"] = functools.cache(functools.partial(describe, app))
    return app
