import threading

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.schema.base import READER_ROLE, metadata
from worker.maintenance.migrate import alembic_config, downgrade, upgrade

PARTITIONS = text("SELECT relname FROM pg_class WHERE relispartition")


def tables(url: URL) -> set[str]:
    """Name the tables, without the partitions that some of them consist of."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        found = set(inspect(conn).get_table_names()) - set(conn.scalars(PARTITIONS))
    engine.dispose()
    return found


def test_the_migrations_build_exactly_what_the_tables_say(engine: Engine):
    with engine.connect() as conn:
        config = alembic_config()
        config.attributes["connection"] = conn

        command.check(config)


def test_storage_parameters_are_those_of_the_tables(engine: Engine):
    with engine.connect() as conn:
        options = conn.scalar(text("SELECT reloptions FROM pg_class WHERE relname = 'listings'"))

    assert options == ["fillfactor=50"]


@pytest.mark.slow
def test_down_leaves_no_table_and_up_again_builds_all(empty_database_url: URL):
    upgrade(empty_database_url)
    downgrade(empty_database_url, "base")
    assert tables(empty_database_url) == {"alembic_version"}

    upgrade(empty_database_url)
    assert tables(empty_database_url) == {"alembic_version", *metadata.tables}


def test_migrating_twice_at_once_waits_and_changes_nothing(empty_database_url: URL):
    threads = [threading.Thread(target=upgrade, args=(empty_database_url,)) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tables(empty_database_url) == {"alembic_version", *metadata.tables}


def test_the_reader_role_may_select_from_every_table_and_nothing_else(engine: Engine):
    with engine.connect() as conn:
        granted = conn.execute(
            text(
                "SELECT table_name, string_agg(privilege_type, ',') AS rights "
                "FROM information_schema.role_table_grants WHERE grantee = :role GROUP BY 1"
            ),
            {"role": READER_ROLE},
        ).all()

    assert {row.table_name for row in granted} >= set(metadata.tables)
    assert {row.rights for row in granted} == {"SELECT"}


def test_the_reader_role_may_use_no_sequence_not_even_one_created_later(engine: Engine):
    usable = text(
        "SELECT seqrelid::regclass::text FROM pg_sequence "
        "WHERE has_sequence_privilege(:role, seqrelid, 'USAGE, UPDATE')"
    )
    with engine.connect() as conn:
        conn.execute(text("CREATE SEQUENCE later"))
        assert conn.scalars(usable, {"role": READER_ROLE}).all() == []
        conn.rollback()
