"""Which assets a request asks for, and the statement that reads them."""

from dataclasses import dataclass, field, replace
from typing import Any

from api.queries.assets.columns import ASSET_COLUMNS
from api.queries.assets.filters import Filters
from api.queries.assets.forms import Form
from api.queries.assets.keyset import BY_MARKET_CAP, Sort
from api.queries.assets.past import Moment


@dataclass(frozen=True, slots=True)
class AssetQuery:
    """Which assets a request wants, in which order, which columns of them, written how."""

    filters: Filters = field(default_factory=Filters)
    sort: Sort = BY_MARKET_CAP
    columns: tuple[str, ...] = ASSET_COLUMNS
    csv: bool = False
    strings: bool = False
    bom: bool = False
    """Whether CSV begins with a byte order mark."""
    moment: Moment | None = None
    """As they were when; None for as they are."""

    @property
    def form(self) -> Form:
        past = self.moment is not None
        return Form(self.filters.shape, self.sort, self.columns, self.csv, self.strings, past=past)

    def form_of(self, page_size: int, *, skips: bool) -> Form:
        """Give the form of a page, which is planned once where its values do not decide on how."""
        form = self.form
        if form.past or skips or form.shape.is_selective:
            return form
        return replace(form, most=1 << page_size.bit_length())

    def bind(self) -> dict[str, Any]:
        """Give the values that the form's statements leave open."""
        return {**self.filters.bind(), **(self.moment.bind() if self.moment else {})}
