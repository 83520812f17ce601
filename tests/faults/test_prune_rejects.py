"""Old rejects out of the database: archived, read back, deleted; and a kill in between."""

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.engine import URL

from shared.errors import ArchiveError
from shared.schema.operations import pruned_rejects, rejects
from tests.fakes.batches import COINGECKO, load, market
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ
from worker.maintenance.prune.archive import REJECTS, read_archive
from worker.maintenance.prune.rejects import find_old_rejects, prune_rejects
from worker.maintenance.verify import verify

RETENTION = timedelta(days=30)
NOT_TEXT = b'{"id":"caf\xe9"}'


@pytest.fixture
def old(engine: Engine) -> list[bytes]:
    """Three old rejects and a new one; the payloads of the old ones."""
    payloads = [market("nameless", "x", ""), market("negative", "n", "Negative", -1), NOT_TEXT]
    load(engine, COINGECKO, *payloads, market("bitcoin", "btc", "Bitcoin"))
    with engine.begin() as conn:
        conn.execute(text("UPDATE rejects SET last_seen_at = now() - interval '31 days 1 hour'"))
    load(engine, COINGECKO, market("new", "", ""))
    return payloads


def stored(engine: Engine, table=rejects) -> list:
    with engine.connect() as conn:
        return list(conn.execute(select(table).order_by(table.c.id)))


def test_old_rejects_go_to_an_archive_and_are_still_counted(engine, old, tmp_path):
    before = stored(engine)

    found, archive = prune_rejects(engine, "coingecko", RETENTION, tmp_path)

    assert found.rejects == 3
    assert [bytes(row.payload) for row in stored(engine)] == [market("new", "", "")]
    archived = list(read_archive(archive, REJECTS))
    assert [row[REJECTS.names.index("payload")] for row in archived] == old
    assert [row[0] for row in archived] == [row.id for row in before[:3]]
    (noted,) = stored(engine, pruned_rejects)
    assert (noted.source, noted.rejects, noted.times_seen) == ("coingecko", 3, 3)
    assert noted.archive == str(archive)
    assert bytes(noted.digest) == sha256(archive.read_bytes()).digest()
    assert verify(engine).findings == ()


def test_finding_old_rejects_changes_nothing(engine, old):
    found = find_old_rejects(engine, "coingecko", RETENTION)

    assert (found.rejects, found.bytes) == (3, sum(map(len, old)))
    assert len(stored(engine)) == 4


@pytest.mark.usefixtures("old")
def test_they_can_be_dropped_without_a_copy(engine):
    _, archive = prune_rejects(engine, "coingecko", RETENTION, None)

    assert archive is None
    assert [row.archive for row in stored(engine, pruned_rejects)] == [None]
    assert prune_rejects(engine, "coingecko", RETENTION, None)[0].rejects == 0
    assert len(stored(engine, pruned_rejects)) == 1
    assert verify(engine).findings == ()


def test_what_was_pruned_is_a_new_reject_when_it_comes_again(engine, old):
    prune_rejects(engine, "coingecko", RETENTION, None)

    load(engine, COINGECKO, old[0])

    assert [row.times_seen for row in stored(engine)] == [1, 1]
    assert verify(engine).findings == ()


@pytest.mark.usefixtures("old")
def test_an_archive_that_cannot_be_written_keeps_the_rejects(engine, tmp_path):
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(ArchiveError):
        prune_rejects(engine, "coingecko", RETENTION, tmp_path / "file")

    assert len(stored(engine)) == 4


@pytest.mark.usefixtures("old")
def test_a_reject_that_is_in_no_archive_is_not_deleted(engine, tmp_path):
    def one_more_becomes_old(_: str) -> None:
        with engine.begin() as conn:
            conn.execute(text("UPDATE rejects SET last_seen_at = now() - interval '40 days'"))

    with pytest.raises(ArchiveError, match="expected to prune 3 rejects, but found 4"):
        prune_rejects(engine, "coingecko", RETENTION, tmp_path, one_more_becomes_old)

    assert len(stored(engine)) == 4


@pytest.mark.usefixtures("old")
def test_killed_before_the_deletion_nothing_is_lost_and_the_next_call_continues(
    engine: Engine, database_url: URL, tmp_path: Path
):
    command = f"prune --source coingecko --yes --archive {tmp_path / 'archive'}"
    env = environ(database_url, REJECT_RETENTION_DAYS="30")
    killed = WarmWorker(command, {**env, "FAULT": "before_drop"}, tmp_path)

    assert killed.wait() == -9
    assert len(stored(engine)) == 4

    again = WarmWorker(command, env, tmp_path)

    assert again.wait() == 0, again.out
    assert len(stored(engine)) == 1
    assert len(list((tmp_path / "archive").glob("*.parquet"))) == 1
    assert "coingecko: 3 rejects, " in again.out
    assert verify(engine).findings == ()
