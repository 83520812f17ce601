"""A request for assets, and the form of its statement."""

from dataclasses import dataclass, field, replace
from typing import Any

from api.queries.assets.columns import ASSET_COLUMNS
from api.queries.assets.filters import Filters
from api.queries.assets.keyset import BY_MARKET_CAP, Sort
from api.queries.assets.past import Moment
from api.queries.assets.statements import Form


@dataclass(frozen=True, slots=True)
class AssetQuery:
    """The filters, order, columns and format of a request for assets."""

    filters: Filters = field(default_factory=Filters)
    sort: Sort = BY_MARKET_CAP
    columns: tuple[str, ...] = ASSET_COLUMNS
    csv: bool = False
    strings: bool = False
    bom: bool = False
    """Whether CSV begins with a byte order mark."""
    moment: Moment | None = None
    """A past time; None for the present."""

    @property
    def form(self) -> Form:
        past = self.moment is not None
        return Form(self.filters.shape, self.sort, self.columns, self.csv, self.strings, past=past)

    def form_of(self, page_size: int, *, skips: bool) -> Form:
        """Return the form of a page. It is prepared if the best plan is the same for all values."""
        form = self.form
        if form.past or skips or form.shape.is_selective:
            return form
        return replace(form, most=1 << page_size.bit_length())

    def bind(self) -> dict[str, Any]:
        """Return the values for the parameters of the form's statements."""
        return {**self.filters.bind(), **(self.moment.bind() if self.moment else {})}
