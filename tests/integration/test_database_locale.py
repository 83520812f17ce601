"""Databases with other locales and encodings than the embedded one's."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, select, text, update
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded.server import RunningServer
from shared.errors import ConfigurationError
from shared.schema.market import assets
from tests.fakes.batches import COINGECKO, LATER, load, market
from tests.fakes.databases import drop_database
from worker.maintenance.migrate import downgrade, upgrade
from worker.maintenance.verify import verify

NAME = "of_another_locale"
NO_BREAK_SPACE = "\u00a0"


@pytest.fixture
def url(
    request: pytest.FixtureRequest, server: RunningServer, maintenance_engine: Engine
) -> Iterator[URL]:
    """An empty database with the encoding of the test's parameter, and the locale C of libc."""
    with maintenance_engine.connect() as conn:
        conn.execute(
            text(
                f"CREATE DATABASE {NAME} TEMPLATE template0 ENCODING '{request.param}' "
                "LOCALE_PROVIDER libc LOCALE 'C'"
            )
        )
    yield server.url.set(database=NAME)
    drop_database(maintenance_engine, NAME)


@pytest.mark.parametrize("url", ["UTF8"], indirect=True)
def test_names_that_differ_only_in_white_space_are_one_name_in_every_locale(url: URL):
    upgrade(url)
    engine = create_engine(url, poolclass=NullPool)
    spaced = f"Bit{NO_BREAK_SPACE}Coin"
    load(engine, COINGECKO, market("bit", "bit", "Bit Coin"), market("alpha", "a", "Alpha"))
    load(engine, COINGECKO, market("bit", "bit", spaced, at=LATER))
    load(engine, COINGECKO, market("alpha", "a", f"Alpha{NO_BREAK_SPACE}Net", at=LATER))
    load(engine, COINGECKO, market("alpha", "a", "Beta", at="2026-01-02T12:10:00.000Z"))
    former = select(assets.c.slug, assets.c.former_names).order_by(assets.c.slug)
    with engine.connect() as conn:
        found = conn.execute(former).all()
    assert found == [("alpha", "Alpha\nAlpha Net"), ("bit-coin", "")]

    downgrade(url, "0014")
    with engine.begin() as conn:  # as the previous release did where `\s` does not match the space
        written = {"alpha": f"Alpha\nAlpha{NO_BREAK_SPACE}Net", "bit-coin": "Bit Coin"}
        for slug, names in written.items():
            conn.execute(update(assets).values(former_names=names).where(assets.c.slug == slug))
    upgrade(url)
    with engine.connect() as conn:
        assert conn.execute(former).all() == found
    assert verify(engine).findings == ()
    engine.dispose()


@pytest.mark.parametrize("url", ["SQL_ASCII"], indirect=True)
def test_a_database_that_cannot_store_every_character_is_refused(url: URL):
    with pytest.raises(ConfigurationError, match=f"'{NAME}' has the encoding SQL_ASCII"):
        upgrade(url)
