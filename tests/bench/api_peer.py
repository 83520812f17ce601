"""The peer: the same pages from FastAPI, SQLAlchemy's ORM and Pydantic, as one would write it.

    BENCH_DATABASE=URL uvicorn tests.bench.api_peer:app --workers 2

It runs in an environment of its own. FastAPI calls it in threads: with asyncpg and `await` the same
answers a third fewer. Pages are offsets with a count beside them; Decimals go out as Pydantic
writes them, in strings, which keeps their digits and is its fastest way.
"""

import os
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    selectinload,
    sessionmaker,
)

engine = create_engine(os.environ["BENCH_DATABASE"])
new_session = sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSONB}  # noqa: RUF012  SQLAlchemy's way to say it


class Values:
    """The columns that assets and listings share."""

    symbol: Mapped[str]
    name: Mapped[str]
    price_usd: Mapped[Decimal | None]
    market_cap_usd: Mapped[Decimal | None]
    volume_24h_usd: Mapped[Decimal | None]
    circulating_supply: Mapped[Decimal | None]
    total_supply: Mapped[Decimal | None]
    max_supply: Mapped[Decimal | None]


class Asset(Values, Base):
    __tablename__ = "assets"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    observed_at: Mapped[datetime | None]
    source_count: Mapped[int]
    price_spread_percent: Mapped[Decimal | None]
    divergent: Mapped[bool]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    listings: Mapped[list["Listing"]] = relationship(order_by="Listing.source")


class Listing(Values, Base):
    __tablename__ = "listings"

    id: Mapped[int] = mapped_column(primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    source: Mapped[str]
    external_id: Mapped[str]
    observed_at: Mapped[datetime]
    run_id: Mapped[int]
    match_method: Mapped[str]
    match_score: Mapped[Decimal]
    match_evidence: Mapped[dict[str, Any]]


class ValuesOut(BaseModel):
    """The fields that assets and listings share."""

    model_config = ConfigDict(from_attributes=True)

    symbol: str
    name: str
    price_usd: Decimal | None
    market_cap_usd: Decimal | None
    volume_24h_usd: Decimal | None
    circulating_supply: Decimal | None
    total_supply: Decimal | None
    max_supply: Decimal | None


class AssetOut(ValuesOut):
    slug: str
    observed_at: datetime | None
    source_count: int
    price_spread_percent: Decimal | None
    divergent: bool
    version: int
    created_at: datetime
    updated_at: datetime


class ListingOut(ValuesOut):
    source: str
    external_id: str
    observed_at: datetime
    run_id: int
    match_method: str
    match_score: Decimal
    match_evidence: dict[str, Any]


class AssetDetailOut(AssetOut):
    listings: list[ListingOut]


class Meta(BaseModel):
    count: int
    total: int
    page: int
    page_size: int


class Assets(BaseModel):
    data: list[AssetOut]
    meta: Meta


class OneAsset(BaseModel):
    data: AssetDetailOut


def session() -> Iterator[Session]:
    with new_session() as opened:
        yield opened


OpenSession = Annotated[Session, Depends(session)]


@app.get("/data")
def list_assets(
    session: OpenSession,
    symbol: str | None = None,
    page: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Assets:
    """List assets, the largest first."""
    found = select(Asset)
    if symbol:
        found = found.where(Asset.symbol == symbol.upper())
    total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    ordered = found.order_by(Asset.market_cap_usd.desc().nulls_last(), Asset.id)
    rows = (session.scalars(ordered.limit(page_size).offset((page - 1) * page_size))).all()
    data = [AssetOut.model_validate(row) for row in rows]
    return Assets(
        data=data, meta=Meta(count=len(data), total=total, page=page, page_size=page_size)
    )


@app.get("/data/{slug}")
def show_asset(session: OpenSession, slug: str) -> OneAsset:
    """Show one asset and every source's listing of it."""
    found = select(Asset).where(Asset.slug == slug).options(selectinload(Asset.listings))
    asset = session.scalar(found)
    if asset is None:
        raise HTTPException(404, f"no asset {slug!r}")
    return OneAsset(data=AssetDetailOut.model_validate(asset))
