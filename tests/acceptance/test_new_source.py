"""What a fourth provider takes: a file, a payload, a migration, and an entry in the catalogue."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from shared.schema.base import SCHEMA_REVISION
from tests.fakes.databases import engine_on

PROJECT = Path(__file__).resolve().parent.parent.parent
PARTS = ("api", "data", "migrations", "shared", "tests", "worker")

SOURCE = '''
"""Examplecap's markets, in US dollars.

Docs: https://docs.examplecap.test/markets (one answer holds all).
"""

from dataclasses import dataclass
from typing import ClassVar

from shared.model.records import Cursor
from shared.settings import Settings
from worker.sources.base import Request
from worker.sources.fields import NOT_EMPTY, Amount, Instant, RecordSchema, StrippedString
from worker.sources.json.api import JsonApi


class MarketSchema(RecordSchema):
    """One element of `/markets`."""

    external_id = StrippedString(data_key="id", required=True, validate=NOT_EMPTY)
    symbol = StrippedString(required=True, validate=NOT_EMPTY)
    name = StrippedString(required=True, validate=NOT_EMPTY)
    observed_at = Instant(data_key="at", required=True)
    price_usd = Amount(data_key="price", required=True)
    market_cap_usd = Amount(data_key="cap", is_optional=True)
    volume_24h_usd = Amount(data_key="volume", is_optional=True)
    circulating_supply = Amount(data_key="circulating", is_optional=True)
    total_supply = Amount(data_key="total", is_optional=True)
    max_supply = Amount(data_key="max", is_optional=True)


@dataclass(frozen=True, kw_only=True)
class Examplecap(JsonApi):
    name = "examplecap"
    schema: ClassVar = MarketSchema()

    @classmethod
    def from_settings(cls, settings: Settings) -> "Examplecap":
        provider = settings.providers["examplecap"]
        return cls(
            base_url=provider.base_url or "https://api.examplecap.test",
            requests_per_minute=provider.requests_per_minute,
            requests_per_month=provider.requests_per_month,
        )

    def request(self, cursor: Cursor | None) -> Request:
        return Request(self.url("/markets"))

    def next_cursor(self, cursor: Cursor | None, count: int) -> Cursor | None:
        return None
'''

AT = "2026-01-01T12:00:00Z"
SUPPLIES = {"circulating": 19, "total": 20, "max": 21}
MARKETS = [
    {"id": "btc", "symbol": "BTC", "name": "Bitcoin", "at": AT, "price": 64000, "cap": 1216000}
    | SUPPLIES,
    {"id": "eth", "symbol": "ETH", "name": "Ethereum", "at": AT, "price": 1.5, "volume": 7},
    {"id": "sol", "symbol": "SOL", "name": "Solana", "at": AT, "price": 0.25},
]

MIGRATION = f'''
from alembic import op

revision = "9999"
down_revision = "{SCHEMA_REVISION}"


def upgrade() -> None:
    op.execute(
        "CREATE TABLE raw_examplecap (LIKE raw_coingecko INCLUDING ALL) "
        "PARTITION BY RANGE (observed_at)"
    )
    op.execute("GRANT SELECT ON raw_examplecap TO kasparro_reader")


def downgrade() -> None:
    op.drop_table("raw_examplecap")
'''

ENTRY = """
    Entry(
        name="examplecap",
        kind=Kind.MARKET,
        provider=Provider(name="examplecap", requests_per_minute=10, requests_per_month=1000),
        expectations=Expectations(
            fresh_for=timedelta(minutes=15),
            min_snapshot_share=Decimal("0.90"),
            max_reject_share=Decimal("0.10"),
            max_reject_rise=None,
            max_unchanged_for=None,
        ),
    ),
)

SOURCES = """

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with a provider more."""
    for part in PARTS:
        shutil.copytree(PROJECT / part, tmp_path / part)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    (tmp_path / "worker/sources/examplecap.py").write_text(SOURCE)
    (tmp_path / "tests/payloads/examplecap.json").write_text(json.dumps(MARKETS))
    (tmp_path / "migrations/versions/9999_examplecap.py").write_text(MIGRATION)
    replace(tmp_path / "shared/model/catalogue.py", "\n)\n\nSOURCES = ", ENTRY)
    replace(tmp_path / "shared/schema/base.py", f'"{SCHEMA_REVISION}"', '"9999"')
    return tmp_path


def replace(file: Path, old: str, new: str) -> None:
    content = file.read_text()
    assert content.count(old) == 1
    file.write_text(content.replace(old, new))


def run(project: Path, *arguments: str, **environ: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_new_source_keeps_the_contract_and_is_loaded(project: Path, empty_database_url: URL):
    tests = run(project, "pytest", "-q", "tests/unit/test_sources.py", "-k", "examplecap")
    assert " passed" in tests

    database = {"DATABASE_URL": empty_database_url.render_as_string(hide_password=False)}
    run(project, "worker", "migrate", **database)
    run(project, "worker", "import", "examplecap", "tests/payloads/examplecap.json", **database)
    assert "checks found nothing wrong" in run(project, "worker", "verify", **database)
    with engine_on(empty_database_url) as engine, engine.connect() as conn:
        assets = conn.execute(text("SELECT slug, price_usd, sources FROM assets ORDER BY slug"))
        assert [(row.slug, str(row.price_usd), row.sources) for row in assets] == [
            ("bitcoin", "64000", ["examplecap"]),
            ("ethereum", "1.5", ["examplecap"]),
            ("solana", "0.25", ["examplecap"]),
        ]
