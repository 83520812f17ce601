"""The stable codes of problems: what each means, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of problem, as `api/README.md` and `/openapi.json` list it."""

    status: int
    meaning: str
    advice: str


CODES = {
    "bad_request": Code(400, "not a well-formed HTTP request", "mend the client"),
    "invalid_parameter": Code(
        400, "a parameter is unknown, malformed or given twice", "see `errors`, one entry for each"
    ),
    "api_key_missing": Code(401, "the route wants an API key", "send `Authorization: Bearer …`"),
    "api_key_unknown": Code(401, "the key is none of ours, or was revoked", "use another"),
    "api_key_expired": Code(401, "the key's time is over", "ask for a new one"),
    "scope_missing": Code(403, "the key is for other routes", "ask for one with the scope"),
    "not_found": Code(404, "no such route", "`/` lists them"),
    "asset_not_found": Code(
        404,
        "no asset has this slug, or any more, or it was not observed by then",
        "follow the asset that `detail` names, or search: `/data?q=`",
    ),
    "run_not_found": Code(404, "no run has this id", "`/runs` lists them"),
    "reject_not_found": Code(404, "no reject has this id", "`/rejects` lists them"),
    "listing_not_found": Code(
        404, "the asset has no listing of this source or id", "take one that `detail` names"
    ),
    "raw_not_found": Code(
        404, "the asset has no such raw record", "`/data/{asset}` lists its listings"
    ),
    "raw_pruned": Code(
        404,
        "the raw record was pruned; what was observed by it is there",
        "see `/data/{asset}/history`; the record may be in the archive that `worker prune` wrote",
    ),
    "method_not_allowed": Code(405, "not `GET` or `HEAD`", "the API only reads; see `Allow`"),
    "not_acceptable": Code(
        406, "the route has no format that `Accept` takes", "accept one that `detail` names"
    ),
    "request_timeout": Code(408, "the request came too slowly", "send it at once"),
    "cursor_expired": Code(
        410, "the walk's first page is too long ago", "start again without `cursor`"
    ),
    "request_entity_too_large": Code(413, "the request has a long body", "send none"),
    "request_uri_too_long": Code(414, "the URL is too long", "ask for fewer things at once"),
    "expectation_failed": Code(417, "an `Expect` other than `100-continue`", "leave it out"),
    "rate_limited": Code(429, "too many requests", "wait for `Retry-After`; mind `RateLimit`"),
    "too_many_at_once": Code(
        429,
        "more of your requests at once than one client may have under way or waiting",
        "wait for `Retry-After`, and send fewer at once",
    ),
    "request_header_fields_too_large": Code(
        431, "the headers are too many or too long", "send fewer cookies"
    ),
    "internal_server_error": Code(
        500, "an error that is not the request's", "report it with its `request_id`"
    ),
    "not_implemented": Code(
        501, "a transfer coding that is not known", "send the request without a body"
    ),
    "database_unavailable": Code(503, "the database is away", "wait for `Retry-After`"),
    "schema_not_ready": Code(
        503, "the database is not at the schema of this release", "run `worker migrate`"
    ),
    "data_behind": Code(
        503,
        "the cursor is of data that this server has not, or not yet",
        "wait for `Retry-After`; where it stays so, start again without `cursor`",
    ),
    "exports_busy": Code(
        503, "too many exports at once, or one of yours is under way", "wait for `Retry-After`"
    ),
    "past_busy": Code(
        503, "too many lists of the past (`as_of`, `known_at`) at once", "wait for `Retry-After`"
    ),
    "query_timeout": Code(503, "the query took too long", "narrow it, or try again"),
}


def codes_of(status: int) -> list[str]:
    """Return the codes that come with a status, the general one first."""
    return [name for name, code in CODES.items() if code.status == status]
