import signal
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from tests.fakes.processes import environ, run_worker
from worker.maintenance.verify import verify

ROWS = """id,symbol,name,price_usd,last_updated
bitcoin,BTC,Bitcoin,770,2016-12-31T00:00:00Z
bitcoin,BTC,Bitcoin,1000,2017-01-01T00:00:00Z
"""

TABLES = text("SELECT count(*) FROM pg_class WHERE relname ~ '^(raw_csv|observations)_201[67]$'")
LOOSE = text("""
SELECT count(*) FROM pg_class
WHERE relname ~ '^(raw_csv|observations)_20' AND relkind = 'r' AND NOT relispartition
""")


def test_killed_before_a_partition_is_one_the_next_run_makes_it(
    engine: Engine, database_url: URL, tmp_path: Path
):
    file = tmp_path / "closes.csv"
    file.write_text(ROWS)
    for made, point in enumerate(("before_attach", "before_attach:2")):
        env = environ(database_url, FAULT=point, CSV_PATH=str(file))

        killed = run_worker("run --once --source csv", env, tmp_path)

        assert killed.returncode == -signal.SIGKILL
        with engine.connect() as conn:
            assert (conn.scalar(TABLES), conn.scalar(LOOSE)) == (0, 0), made

    env = environ(database_url, CSV_PATH=str(file))
    assert run_worker("run --once --source csv", env, tmp_path).returncode == 0

    with engine.connect() as conn:
        assert (conn.scalar(TABLES), conn.scalar(LOOSE)) == (4, 0)
        assert conn.scalar(text("SELECT count(*) FROM raw_csv")) == 2
    assert not verify(engine).findings
