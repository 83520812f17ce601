"""How many lists of the past are worked out at once; each reads observations of every asset."""

from contextlib import AbstractContextManager, nullcontext

from flask import current_app

from api.middleware.limits import client
from api.queries.assets.past import Moment
from api.request.problems import PastBusyError, TooManyAtOnceError
from api.responses.places import Places


def make_places(at_once: int) -> Places:
    """Let one client have half of them, so that no client keeps the past from the others."""
    return Places(at_once, max(1, at_once // 2))


def place_for(moment: Moment | None) -> AbstractContextManager[None]:
    """Take a place for a list of that time, for one `with` block; the present needs none.

    Raises:
        TooManyAtOnceError: this client has as many under way as it may have.
        PastBusyError: there is no place.
    """
    if moment is None:
        return nullcontext()
    places: Places = current_app.extensions["past"]
    return places.place(
        client(),
        own=TooManyAtOnceError("lists of the past for you are under way; ask for fewer at once"),
        all_=PastBusyError(),
    )
