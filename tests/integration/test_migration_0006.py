"""What revision 0006 makes of a database of the release before."""

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from worker.maintenance.migrate import downgrade, upgrade

A_PACE_AND_A_PAUSE = text("""
INSERT INTO request_budgets (source, month, requests, next_request_at) VALUES
  ('coinpaprika', date '2026-11-01', 7, now() + interval '1 second'),
  ('coingecko', date '2026-11-01', 9, now() + interval '400 days')
""")
SHOWN = text("""
SELECT source, requests, next_request_at < now() + interval '7 hours' AS is_soon,
       paused_until = next_request_at AS is_paused, pause_reason
FROM request_budgets ORDER BY source
""")


def test_a_pause_is_carried_over_and_believed_for_hours(empty_database_url: URL):
    upgrade(empty_database_url, "0005")
    engine = create_engine(empty_database_url, poolclass=NullPool)
    with engine.begin() as conn:
        conn.execute(A_PACE_AND_A_PAUSE)

    upgrade(empty_database_url, "0006")

    with engine.connect() as conn:
        gecko, paprika = conn.execute(SHOWN).all()
    assert gecko == ("coingecko", 9, True, True, "rate_limited")
    assert paprika == ("coinpaprika", 7, True, None, None)

    downgrade(empty_database_url, "0005")
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT sum(requests) FROM request_budgets")) == 16
    engine.dispose()
