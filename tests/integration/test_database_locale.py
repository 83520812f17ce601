"""Databases with other locales and encodings than the embedded one's."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.engine import URL

from shared.embedded.server import RunningServer
from shared.errors import ConfigurationError
from shared.schema.market import assets
from tests.fakes.batches import COINGECKO, LATER, load, market
from tests.fakes.databases import drop_database, engine_on
from worker.identity.former_names import WHITE_SPACE
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
    with engine_on(url) as engine:
        spaced = f"Bit{NO_BREAK_SPACE}Coin"
        load(engine, COINGECKO, market("bit", "bit", "Bit Coin"), market("alpha", "a", "Alpha"))
        load(engine, COINGECKO, market("bit", "Bit", spaced, at=LATER))
        load(engine, COINGECKO, market("alpha", "a", f"Alpha{NO_BREAK_SPACE}Net", at=LATER))
        load(engine, COINGECKO, market("alpha", "a", "Beta", at="2026-01-02T12:10:00.000Z"))
        load(engine, COINGECKO, market("gamma", "g", "Gamma"))
        names = select(assets.c.slug, assets.c.former_names).order_by(assets.c.slug)
        versions = select(assets.c.slug, assets.c.version).order_by(assets.c.slug)
        with engine.connect() as conn:
            found = conn.execute(names).all()
            before = dict(conn.execute(versions).all())
        assert found == [("alpha", "Alpha\nAlpha Net"), ("bit-coin", ""), ("gamma", "")]

        downgrade(url, "0014")
        with engine.begin() as conn:  # as the previous release did where `\s` does not match it
            written = {"alpha": f"Alpha\nAlpha{NO_BREAK_SPACE}Net", "bit-coin": "Bit Coin"}
            for slug, former in written.items():
                is_it = assets.c.slug == slug
                conn.execute(update(assets).values(former_names=former).where(is_it))
        upgrade(url)
        with engine.connect() as conn:
            assert conn.execute(names).all() == found
            after = dict(conn.execute(versions).all())
        assert after["alpha"] > before["gamma"]
        assert after["bit-coin"] > before["gamma"]
        assert after["gamma"] == before["gamma"]
        assert not verify(engine).findings


@pytest.mark.parametrize("url", ["UTF8"], indirect=True)
def test_white_space_is_what_python_splits_at(url: URL):
    matches = text(
        "SELECT array_agg(n ORDER BY n) FROM generate_series(1, 65535) AS n "
        "WHERE n NOT BETWEEN 55296 AND 57343 AND chr(n) ~ :white_space"
    )
    expected = [n for n in range(1, 65536) if chr(n).isspace()]
    with engine_on(url) as engine, engine.connect() as conn:
        assert conn.scalar(matches, {"white_space": WHITE_SPACE}) == expected


@pytest.mark.parametrize("url", ["SQL_ASCII"], indirect=True)
def test_a_database_that_cannot_store_every_character_is_refused(url: URL):
    with pytest.raises(ConfigurationError, match=f"'{NAME}' has the encoding SQL_ASCII"):
        upgrade(url)
