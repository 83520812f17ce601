"""Answers that a source gives in place of its records, and what a run makes of each."""

from dataclasses import dataclass

from tests.fakes.answers import (
    Answer,
    body,
    edited,
    html,
    late,
    payment_required,
    rate_limited,
    rate_limited_with_200,
    redirect,
    reset,
    short_by,
    stalled,
    status,
    trickle,
    truncated,
)
from tests.fakes.runner import QUICK
from worker.fetch.client import Limits

FULL = 250
"""Records of a page of CoinGecko's."""

IMPATIENT = Limits(read=0.5, answer=1, backoff=0.001, longest_backoff=0.001, attempts=2)
FOR_EVER = 50
"""More answers than a run asks for."""

SOURCES = ["coinpaprika", "coingecko"]


@dataclass(frozen=True)
class Place:
    """Where a source is broken: in its only page, in its first, or in one in the middle."""

    source: str
    page: int

    @property
    def before(self) -> int:
        """How many records come before it."""
        return (self.page - 1) * FULL

    def __str__(self) -> str:
        return f"{self.source}-{self.page}"


FIRST_OF_MANY = Place("coingecko", 1)
PLACES = [Place("coinpaprika", 1), FIRST_OF_MANY, Place("coingecko", 2)]


@dataclass(frozen=True)
class Fault:
    """An answer that does not stop coming, the reason it gives a run, and advice for a person."""

    answer: Answer
    reason: str
    advice: str
    limits: Limits = QUICK


IF_IT_LASTS = "see the provider's status page and check {}_BASE_URL"
FAULTS = {
    "429": Fault(rate_limited(), "rate_limited", "lower {}_REQUESTS_PER_MINUTE"),
    "429-short": Fault(rate_limited(seconds=2), "rate_limited", "lower {}_REQUESTS_PER_MINUTE"),
    "429-long": Fault(rate_limited(seconds=4000), "rate_limited", "try again after 20"),
    "429-long-date": Fault(
        rate_limited(seconds=4000, as_date=True), "rate_limited", "try again after 20"
    ),
    "429-in-a-200": Fault(rate_limited_with_200(), "rate_limited", "lower {}_REQUESTS_PER_MINUTE"),
    "500": Fault(status(500), "http_500", IF_IT_LASTS),
    "502": Fault(html(502), "http_502", IF_IT_LASTS),
    "503": Fault(status(503), "http_503", IF_IT_LASTS),
    "503-long": Fault(status(503, Retry_After="4000"), "http_503", "try again after 20"),
    "400": Fault(status(400), "http_400", "check {}_BASE_URL"),
    "401": Fault(status(401), "unauthorized", "check {}_API_KEY"),
    "402": Fault(payment_required(), "payment_required", "plan does not cover this call"),
    "403": Fault(html(403), "forbidden", "check {}_API_KEY only if the reason is the key"),
    "403-without-a-reason": Fault(
        Answer(status=403, body=b""),
        "forbidden",
        "refused the key or this address: check {}_API_KEY",
    ),
    "404": Fault(status(404), "not_found", "check {}_BASE_URL"),
    "silent": Fault(late(60), "timeout", IF_IT_LASTS, IMPATIENT),
    "stalled": Fault(stalled(1000), "timeout", IF_IT_LASTS, IMPATIENT),
    "trickle": Fault(trickle(), "timeout", IF_IT_LASTS, IMPATIENT),
    "reset": Fault(reset(), "connection_lost", IF_IT_LASTS),
    "cut-off": Fault(truncated(1000), "truncated", IF_IT_LASTS),
    "length-too-small": Fault(short_by(50), "truncated", IF_IT_LASTS),
    "half-the-json": Fault(edited(lambda sent: sent[:-50]), "truncated", IF_IT_LASTS),
    "lacks-an-end": Fault(
        edited(lambda sent: sent[:-50] + b"]"), "not_json", "check {}_BASE_URL, and whether"
    ),
    "nothing": Fault(body(b""), "truncated", IF_IT_LASTS),
    "bad-gzip": Fault(
        Answer(body=b"[1, 2]", headers={"Content-Encoding": "gzip"}), "truncated", IF_IT_LASTS
    ),
    "html": Fault(html(), "not_json", "check {}_BASE_URL"),
    "html-called-json": Fault(
        body(b"<html>We are back soon</html>"), "not_json", "check {}_BASE_URL, and whether"
    ),
    "json-called-text": Fault(Answer(content_type="text/plain"), "not_json", "check {}_BASE_URL"),
    "json-called-csv": Fault(Answer(content_type="text/csv"), "not_json", "check {}_BASE_URL"),
    "error-in-a-200": Fault(body(b'{"error": "coin not found"}'), "error_answer", "check {}_API"),
    "object": Fault(body(b'{"coins": []}'), "not_a_list", "check {}_BASE_URL, and whether"),
    "null": Fault(body(b"null"), "not_a_list", "check {}_BASE_URL, and whether"),
    "redirect": Fault(redirect("http://127.0.0.2/"), "redirected", "set {}_BASE_URL"),
}
