"""What the pages are registered on, and what applies to all of them."""

from datetime import UTC, datetime
from typing import cast

from flask import Blueprint, Response, redirect, request

from api.dashboard.links import here
from api.dashboard.parameters import MOMENT
from api.middleware.keys import PAGES

bp = Blueprint("dashboard", __name__, url_prefix=PAGES)


@bp.before_request
def show_the_present_for_today() -> Response | None:
    """Redirect from today without a time, whose end is in the future, to the present."""
    today = datetime.now(UTC).date().isoformat()
    args = request.args
    names = [
        each
        for each in MOMENT
        if args.getlist(each) == [today] and not any(args.getlist(f"{each}_time"))
    ]
    if not names or request.method not in {"GET", "HEAD"}:
        return None
    return cast("Response", redirect(here("", **dict.fromkeys(names)), 303))
