"""Text for error messages: the provider's own message, and URLs without secrets."""

import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urlsplit

from worker.sources.base import Request

LOWEST_ERROR = 400
MAX_EXCERPT = 300
"""Characters of a provider's message that our messages quote."""

SECRETS = ("key", "token", "secret", "auth", "password")
SILENT_TAGS = {"script", "style"}

_LIMIT = r"\b(?:limit|quota|requests|calls|credits)\b"
MONTHLY_LIMIT = re.compile(
    rf"\bmonth(?:ly)?\b.*{_LIMIT}|{_LIMIT}.*\bmonth(?:ly)?\b", re.IGNORECASE | re.DOTALL
)
RATE_LIMIT = re.compile(r"rate[ -]?limit|throttl|too many requests", re.IGNORECASE)
KEY_PROBLEM = re.compile(r"\bkey\b|\btoken\b|unauthori[sz]ed", re.IGNORECASE)
_HTML_START = re.compile(r"\s*<(?:!doctype|html)", re.IGNORECASE)


def readable_text(body: bytes, content_type: str = "") -> str:
    """Return the text of an error or of an HTML page in a body, or else the body's beginning."""
    _, text = parse_error(body)
    if not text:
        text = body[: 64 * 1024].decode(errors="replace")
        if "html" in content_type.lower() or _HTML_START.match(text):
            text = _page_text(text) or text
    return " ".join(text.split())


def _page_text(page: str) -> str:
    reader = _PageText()
    reader.feed(page)
    return " ".join(reader.parts)


class _PageText(HTMLParser):
    """Collects the text of an HTML page without scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self._silent += tag in SILENT_TAGS

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT_TAGS and self._silent:
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.parts.append(data.strip())


def parse_error(body: bytes) -> tuple[int | None, str | None]:
    """Return the code and the text of an error in a JSON body, in the forms that providers use.

    `{"error": "text"}`, `{"error": {"code": 429, "message": "text"}}`,
    `{"status": {"error_code": 429, "error_message": "text"}}`, `{"status": 400, "error": "text"}`,
    `{"code": 429, "message": "text"}`, `{"Response": "Error", "Message": "text"}`.
    """
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(document, dict):
        return None, None
    error, status = document.get("error"), document.get("status")
    if isinstance(status, dict):
        code, text = status.get("error_code"), status.get("error_message")
    elif isinstance(error, dict):
        code, text = error.get("code"), error.get("message")
    elif document.get("Response") == "Error":
        code, text = None, document.get("Message") or "error"
    else:
        code, text = document.get("code", status), error
    if not isinstance(code, int) or code < LOWEST_ERROR:
        return None, str(text) if text else None
    return code, str(text or document.get("message") or f"error {code}")


def redact_url(request: Request) -> str:
    """Return a request's URL without user and password; values that may be keys become `***`."""
    parts = urlsplit(request.url)
    host = parts.netloc.rpartition("@")[2]
    params = {
        name: "***" if any(word in name.lower() for word in SECRETS) else value
        for name, value in request.params.items()
    }
    query = f"?{urlencode(params, safe='*')}" if params else ""
    return f"{parts.scheme}://{host}{parts.path}{query}"
