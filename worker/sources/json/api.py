"""Base class of sources with JSON responses: a response is a page, with its records in one list."""

import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from shared.errors import SourceError
from shared.model.records import Cursor, Page, RawRecord
from worker.sources.base import Fetch, Request, Response, Source
from worker.sources.json.paging import NextStep, Paging
from worker.sources.json.records import Recognise, split_records


@dataclass(frozen=True, kw_only=True)
class JsonApi(Source):
    """A source whose pages are JSON lists, each element one record."""

    page_size: ClassVar[int | None] = None
    """The requested number of records on a page; None if one response has all records."""
    base_url: str
    requests_per_minute: int
    requests_per_month: int
    api_key: str | None = field(default=None, repr=False)
    recognise: Recognise | None = field(default=None, repr=False, compare=False)

    def with_recognition(self, recognise: Recognise) -> "JsonApi":
        return replace(self, recognise=recognise)

    @property
    def provider(self) -> str:
        """The provider of the source; sources of one provider share its budget and settings."""
        return self.name

    @abstractmethod
    def request(self, cursor: Cursor | None) -> Request:
        """Return the request for the page at the cursor; None is the first page."""

    @abstractmethod
    def next_cursor(self, cursor: Cursor | None, count: int) -> Cursor | None:
        """Return the cursor after a page of `count` records; None after the last page."""

    def requests_a_pass(self, records: int) -> int:  # noqa: ARG002
        """Estimate the requests of one pass over `records` records; 0 if the number is unknown."""
        return 1

    def url(self, path: str) -> str:
        """Append a path to the base URL, which may end with a slash."""
        return self.base_url.rstrip("/") + path

    def page_number(self, cursor: Cursor | None) -> int:
        """Return the number of the page for messages, from 1."""
        return int((cursor or {}).get("page", 1))

    def place(self, cursor: Cursor | None) -> str:
        """Name the page for messages."""
        return f"page {self.page_number(cursor)}"

    def pages(
        self, fetch: Fetch, cursor: Cursor | None, validators: Mapping[str, str]
    ) -> Iterator[Page]:
        """Request the pages from the cursor to an empty page, or to the end that `Paging` detects.

        Raises:
            SourceError: `not_json`, `not_a_list`; `paging_loop` for a page with the same records as
                an earlier one of this run; `not_modified_unasked`; and the errors of `fetch`.
        """
        paging = Paging(self.page_size)
        paging.resume(cursor)
        while True:
            page = self.page(fetch, cursor, validators)
            number, count = self.page_number(cursor), len(page.records) + page.known_count
            step = paging.next_step(number, count, page.digest)
            if step is NextStep.CONTINUE:
                yield replace(page, notice=paging.describe_short_page(number, count))
            elif step is NextStep.RESTART:
                yield Page([], cursor, None, restarts=True, notice=_restarted(number, count))
                # The stored validators belong to pages of another size.
                paging, cursor, validators = Paging(self.page_size), None, {}
                continue
            elif step is NextStep.END:
                yield Page([], cursor, None, notice=_repeated(number, count))
                return
            else:
                # The earlier pages are not reliable either: the next run starts without a cursor.
                yield Page([], cursor, None)
                raise self._loop(number, paging.seen[page.digest or ""])
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    def page(self, fetch: Fetch, cursor: Cursor | None, validators: Mapping[str, str]) -> Page:
        """Request the page at the cursor; see `pages`."""
        request = self.request(cursor)
        where = self.place(cursor)
        key = self.validator_key(cursor)
        stored = Validator.parse(validators.get(key))
        response = fetch(request, stored.etag if stored else None)
        if not response.not_modified:
            records = self.records(response, cursor, where)
            following = self.next_cursor(cursor, len(records))
            digest = self._digest(records)
            etag = Validator(response.etag, len(records), digest) if response.etag else None
            return Page(
                records,
                cursor,
                following,
                validator_key=key,
                validator=etag.dump() if etag else None,
                digest=digest,
            )
        if stored is None:
            raise SourceError(
                f"{self.name}: {where}: HTTP 304 to a request without If-None-Match; check"
                f" {self.provider.upper()}_BASE_URL, and proxies or caches in between",
                code="not_modified_unasked",
            )
        following = self.next_cursor(cursor, stored.count)
        return Page(
            [],
            cursor,
            following,
            validator_key=key,
            not_modified=True,
            known_count=stored.count,
            digest=stored.digest,
        )

    def records(
        self,
        response: Response,
        cursor: Cursor | None,  # noqa: ARG002
        where: str,
    ) -> list[RawRecord]:
        """Split the response for the page at the cursor into its records."""
        try:
            return split_records(response.body, self.name, where, self.recognise)
        except SourceError as exc:
            raise self.unexpected_response(str(exc), exc.code) from exc

    def unexpected_response(self, problem: str, code: str) -> SourceError:
        """Return the error for a response of another format than expected."""
        return SourceError(
            f"{problem}; check {self.provider.upper()}_BASE_URL, and whether the provider changed"
            " its response",
            code=code,
        )

    def _loop(self, number: int, earlier: int) -> SourceError:
        """Return the error for a page that repeats an earlier one."""
        return SourceError(
            f"{self.name}: page {number} has the same records as page {earlier}; the source"
            f" ignores the page number: check {self.provider.upper()}_BASE_URL",
            code="paging_loop",
        )

    def _digest(self, records: Sequence[RawRecord]) -> str:
        """Digest the ids of the records. Other fields may change while a page is repeated."""
        id_field = self.schema.fields.get("external_id")
        id_key = (id_field.data_key if id_field else None) or "external_id"
        digest = sha256()
        for record in records:
            record_id = record.document.get(id_key) if record.document else None
            if record.newest:
                record_id = record.newest.external_id
            if isinstance(record_id, str):
                digest.update(record_id.strip().encode(errors="replace"))
            else:
                digest.update(record.payload)
            digest.update(b"\n")
        return digest.hexdigest()[:DIGEST_LENGTH]

    def validator_key(self, cursor: Cursor | None) -> str:
        """Return the key of the page's validator: its URL and parameters, without the API key."""
        request = self.request(cursor)
        return "&".join([request.url, *(f"{k}={v}" for k, v in request.params.items())])

    def saved_pages(self, path: Path) -> Iterator[Page]:
        """Yield the single page of a saved response, of any length.

        Raises:
            SourceError: `unreadable`, `not_json`, `not_a_list`.
        """
        try:
            body = path.read_bytes()
        except OSError as exc:
            raise SourceError(f"{path}: {exc.strerror or exc}", code="unreadable") from exc
        name = os.fsencode(path.name).decode(errors="backslashreplace")
        yield Page(split_records(body, self.name, name, self.recognise), None, None)


def _repeated(number: int, count: int) -> str:
    return (
        f"page {number} repeats the {count} records of the page before it, and is treated as the"
        " end; the provider may ignore page numbers"
    )


def _restarted(number: int, count: int) -> str:
    return (
        f"page {number} has {count} records, but pages had another size when this pass began:"
        " read from the first page again, because records may have been missed"
    )


DIGEST_LENGTH = 16
_DIGEST = re.compile(f"[0-9a-f]{{{DIGEST_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Validator:
    """A page's `ETag`, the number of its records, and a digest of their ids.

    The number and digest are needed after a 304. Validators of version 0.1.0 have no digest.
    """

    etag: str
    count: int
    digest: str | None = None

    def dump(self) -> str:
        return " ".join(filter(None, [str(self.count), self.etag, self.digest]))

    @classmethod
    def parse(cls, text: str | None) -> "Validator | None":
        if text is None:
            return None
        count, rest = text.split(" ", 1)
        etag, _, digest = rest.rpartition(" ")
        if etag and _DIGEST.fullmatch(digest):
            return cls(etag, int(count), digest)
        return cls(rest, int(count))
