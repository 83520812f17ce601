"""Sources that answer JSON over HTTP: one response is a page, its records are in one list."""

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
from worker.sources.json.paging import Step, Walk
from worker.sources.json.records import Recognise, split_records


@dataclass(frozen=True, kw_only=True)
class JsonApi(Source):
    """A source whose pages are JSON lists, each element one record."""

    page_size: ClassVar[int | None] = None
    """How many records a page is asked to hold; None where one answer holds all."""
    base_url: str
    requests_per_minute: int
    requests_per_month: int
    api_key: str | None = field(default=None, repr=False)
    recognise: Recognise | None = field(default=None, repr=False, compare=False)

    def recognising(self, recognise: Recognise) -> "JsonApi":
        return replace(self, recognise=recognise)

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
        """Ask for page after page, until an empty one, or what `Walk` says is the end.

        Raises:
            SourceError: `not_json`, `not_a_list`; `paging_loop` for a page with the same records as
                an earlier one of this run; `not_modified_unasked`; and whatever `fetch` raises.
        """
        walk = Walk(self.page_size)
        walk.resume(cursor)
        while True:
            page = self.page(fetch, cursor, validators)
            number, count = self.page_number(cursor), len(page.records) + page.known_count
            step = walk.step(number, count, page.digest)
            if step is Step.GO_ON:
                yield replace(page, notice=walk.notice(number, count))
            elif step is Step.RESTART:
                yield Page([], cursor, None, restarts=True, notice=_restarted(number, count))
                # What is stored of these pages is of this walk, not of the answers known before.
                walk, cursor, validators = Walk(self.page_size), None, {}
                continue
            elif step is Step.END:
                yield Page([], cursor, None, notice=_repeated(number, count))
                return
            else:
                # What the pages before brought is not their own: begin anew.
                yield Page([], cursor, None)
                raise self._loop(number, walk.seen[page.digest or ""])
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
        if known is None:
            raise SourceError(
                f"{self.name}: {where}: HTTP 304 to a request without If-None-Match; check"
                f" {self.provider.upper()}_BASE_URL, and what stands between (a proxy, a cache)",
                code="not_modified_unasked",
            )
        following = self.next_cursor(cursor, known.count)
        return Page(
            [],
            cursor,
            following,
            validator_key=key,
            not_modified=True,
            known_count=known.count,
            digest=known.digest,
        )

    def records(
        self,
        response: Response,
        cursor: Cursor | None,  # noqa: ARG002
        where: str,
    ) -> list[RawRecord]:
        """Cut the answer for the page at the cursor into its records."""
        try:
            return split_records(response.body, self.name, where, self.recognise)
        except SourceError as exc:
            raise self.unlike_before(str(exc), exc.code) from exc

    def unlike_before(self, what: str, code: str) -> SourceError:
        """Say of an answer what it is instead of what it should be."""
        return SourceError(
            f"{what}; check {self.provider.upper()}_BASE_URL, and whether the provider changed its"
            " answer",
            code=code,
        )

    def _loop(self, number: int, earlier: int) -> SourceError:
        """Say of a page that it brings what an earlier one did: the source ignores the cursor."""
        return SourceError(
            f"{self.name}: page {number} has the same records as page {earlier}; the source"
            f" does not page: check {self.provider.upper()}_BASE_URL",
            code="paging_loop",
        )

    def _digest(self, records: Sequence[RawRecord]) -> str:
        """Condense whose records these are: by id, since prices move while a loop goes round."""
        id_field = self.schema.fields.get("external_id")
        id_key = (id_field.data_key if id_field else None) or "external_id"
        digest = sha256()
        for record in records:
            own = record.document.get(id_key) if record.document else None
            if record.newest:
                own = record.newest.external_id
            is_id = isinstance(own, str)
            digest.update(str(own).strip().encode(errors="replace") if is_id else record.payload)
            digest.update(b"\n")
        return digest.hexdigest()[:DIGEST_LENGTH]

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
        yield Page(split_records(body, self.name, name, self.recognise), None, None)


def _repeated(number: int, count: int) -> str:
    return (
        f"page {number} repeats the {count} records of the page before it, and is taken for the"
        " end; the provider may ignore page numbers"
    )


def _restarted(number: int, count: int) -> str:
    return (
        f"page {number} holds {count} records, and pages had another size when this pass began:"
        " read from the first page again, since records may lie between"
    )


DIGEST_LENGTH = 16
_DIGEST = re.compile(f"[0-9a-f]{{{DIGEST_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Validator:
    """A page's `ETag`, how many records the page held, and a digest of their ids.

    A 304 tells only the first. What 0.1.0 stored has no digest.
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
