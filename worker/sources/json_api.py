"""Sources that answer JSON over HTTP: one response is a page, its records are in one list."""

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from shared.errors import SourceError
from shared.records import Cursor, Page, RawRecord
from worker.sources.base import Fetch, Request, Response, Source
from worker.sources.json_records import split_records


@dataclass(frozen=True, kw_only=True)
class JsonApi(Source):
    """A source whose pages are JSON lists, each element one record."""

    base_url: str
    requests_per_minute: int
    requests_per_month: int
    api_key: str | None = field(default=None, repr=False)

    @property
    def provider(self) -> str:
        """Whose requests these are: feeds of one provider share its budget and settings."""
        return self.name

    @abstractmethod
    def request(self, cursor: Cursor | None) -> Request:
        """Say what to ask for the page at the cursor; None is the first page."""

    @abstractmethod
    def next_cursor(self, cursor: Cursor | None, count: int) -> Cursor | None:
        """Say where the next page starts, after one of `count` records; None after the last."""

    def requests_a_pass(self, records: int) -> int:  # noqa: ARG002
        """Estimate the requests of one pass over so many records; 0 is how many are not known."""
        return 1

    def url(self, path: str) -> str:
        """Put a path after the base URL, which people write with and without a slash at its end."""
        return self.base_url.rstrip("/") + path

    def page_number(self, cursor: Cursor | None) -> int:
        """Number the page for a person, from 1."""
        return int((cursor or {}).get("page", 1))

    def place(self, cursor: Cursor | None) -> str:
        """Say which page that is."""
        return f"page {self.page_number(cursor)}"

    def pages(
        self, fetch: Fetch, cursor: Cursor | None, validators: Mapping[str, str]
    ) -> Iterator[Page]:
        """Ask for page after page.

        Raises:
            SourceError: `not_json`, `not_a_list`; `paging_loop` for a page with the same records as
                an earlier one of this run; `not_modified_unasked`; and whatever `fetch` raises.
        """
        seen: dict[bytes, int] = {}
        while True:
            page = self.page(fetch, cursor, validators)
            if loop := self._loop(page, seen):
                # What the pages before brought is none of theirs: begin anew next time.
                yield Page([], cursor, None)
                raise loop
            yield page
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    def page(self, fetch: Fetch, cursor: Cursor | None, validators: Mapping[str, str]) -> Page:
        """Ask for the page at the cursor; see `pages`."""
        request = self.request(cursor)
        where = self.place(cursor)
        key = self.validator_key(cursor)
        known = Validator.parse(validators.get(key))
        response = fetch(request, known.etag if known else None)
        if not response.not_modified:
            records = self.records(response, cursor, where)
            following = self.next_cursor(cursor, len(records))
            etag = Validator(response.etag, len(records)).dump() if response.etag else None
            return Page(records, cursor, following, validator_key=key, validator=etag)
        if known is None:
            raise SourceError(
                f"{self.name}: {where}: HTTP 304 to a request without If-None-Match; check"
                f" {self.provider.upper()}_BASE_URL, and what stands between (a proxy, a cache)",
                code="not_modified_unasked",
            )
        following = self.next_cursor(cursor, known.count)
        return Page([], cursor, following, not_modified=True, known_count=known.count)

    def records(
        self,
        response: Response,
        cursor: Cursor | None,  # noqa: ARG002
        where: str,
    ) -> list[RawRecord]:
        """Cut the answer for the page at the cursor into its records."""
        try:
            return split_records(response.body, self.name, where)
        except SourceError as exc:
            raise self.unlike_before(str(exc), exc.code) from exc

    def unlike_before(self, what: str, code: str) -> SourceError:
        """Say of an answer what it is instead of what it should be."""
        return SourceError(
            f"{what}; check {self.provider.upper()}_BASE_URL, and whether the provider changed its"
            " answer",
            code=code,
        )

    def _loop(self, page: Page, seen: dict[bytes, int]) -> SourceError | None:
        """Tell a page that brings what an earlier one brought: the source ignores the cursor."""
        if not page.records:
            return None
        number = self.page_number(page.cursor)
        earlier = seen.setdefault(self._digest(page.records), number)
        if earlier == number:
            return None
        return SourceError(
            f"{self.name}: page {number} has the same records as page {earlier}; the source"
            f" does not page: check {self.provider.upper()}_BASE_URL",
            code="paging_loop",
        )

    def _digest(self, records: Sequence[RawRecord]) -> bytes:
        """Condense whose records these are: by id, since prices move while a loop goes round."""
        id_key = self.schema.fields["external_id"].data_key or "external_id"
        digest = sha256()
        for record in records:
            own = record.document.get(id_key) if record.document else None
            digest.update(own.encode(errors="replace") if isinstance(own, str) else record.payload)
            digest.update(b"\n")
        return digest.digest()

    def validator_key(self, cursor: Cursor | None) -> str:
        """Name the page among the checkpoint's validators: what was asked, apart from the key."""
        request = self.request(cursor)
        return "&".join([request.url, *(f"{k}={v}" for k, v in request.params.items())])

    def saved_pages(self, path: Path) -> Iterator[Page]:
        """Yield the one page that a saved response is, of any length.

        Raises:
            SourceError: `unreadable`, `not_json`, `not_a_list`.
        """
        try:
            body = path.read_bytes()
        except OSError as exc:
            raise SourceError(f"{path}: {exc.strerror or exc}", code="unreadable") from exc
        name = os.fsencode(path.name).decode(errors="backslashreplace")
        yield Page(split_records(body, self.name, name), None, None)


@dataclass(frozen=True, slots=True)
class Validator:
    """A page's `ETag`, and how many records the page held: a 304 tells only the first."""

    etag: str
    count: int

    def dump(self) -> str:
        return f"{self.count} {self.etag}"

    @classmethod
    def parse(cls, text: str | None) -> "Validator | None":
        if text is None:
            return None
        count, etag = text.split(" ", 1)
        return cls(etag, int(count))
