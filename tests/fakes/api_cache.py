"""The cache of an application, a change for it to notice, and the statements that it saves."""

from contextlib import contextmanager

from sqlalchemy import event, update

from shared.schema.market import asset_version, assets
from tests.fakes.gunicorn import until

NEXT_VERSION = asset_version.next_value()


def change(conn, slug="asset-1", price=2):
    stmt = update(assets).where(assets.c.slug == slug)
    conn.execute(stmt.values(price_usd=price, version=NEXT_VERSION))


def watch_of(client):
    return client.application.extensions["database"].changes


def kept_from_now_on(client):
    """Return once the application hears of changes, and so keeps its answers."""
    until(lambda: watch_of(client).mark() is not None)


@contextmanager
def statements(client):
    """Note the statements that read assets."""
    ran = []

    def note(_conn, _cursor, statement, *_):
        if "assets" in statement:
            ran.append(statement)

    engine = client.application.extensions["database"].engine
    event.listen(engine, "before_cursor_execute", note)
    yield ran
    event.remove(engine, "before_cursor_execute", note)
