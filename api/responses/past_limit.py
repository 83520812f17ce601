"""A limit on concurrent lists of the past: each reads observations of every asset."""

from contextlib import AbstractContextManager, nullcontext

from flask import current_app

from api.middleware.limits import client
from api.queries.assets.past import Moment
from api.request.problems import PastBusyError, TooManyAtOnceError
from api.responses.concurrency import Slots


def make_slots(total: int) -> Slots:
    """Make the slots. One client has at most half of them, so that it cannot block others."""
    return Slots(total, max(1, total // 2))


def slot_for(moment: Moment | None) -> AbstractContextManager[None]:
    """Occupy a slot for one `with` block. A list of the present needs none.

    Raises:
        TooManyAtOnceError: this client occupies as many slots as it may.
        PastBusyError: no slot is free.
    """
    if moment is None:
        return nullcontext()
    slots: Slots = current_app.extensions["past"]
    return slots.slot(
        client(),
        client_full=TooManyAtOnceError(
            "too many lists of the past are running for this client; send fewer requests at once"
        ),
        all_full=PastBusyError(),
    )
