"""The stable problem codes, with the meaning of each and the action to take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of problem, as `api/README.md` and `/openapi.json` list it."""

    status: int
    meaning: str
    advice: str


CODES = {
    "bad_request": Code(
        400,
        "The request is not well-formed HTTP",
        "Fix the request",
    ),
    "invalid_parameter": Code(
        400,
        "A parameter is unknown, malformed or repeated",
        "Fix the parameters that `errors` lists",
    ),
    "api_key_missing": Code(
        401,
        "The route requires an API key",
        "Send `Authorization: Bearer …`",
    ),
    "api_key_unknown": Code(
        401,
        "The API key does not exist or was revoked",
        "Use another key",
    ),
    "api_key_expired": Code(
        401,
        "The API key has expired",
        "Request a new key",
    ),
    "scope_missing": Code(
        403,
        "The API key lacks the scope of this route",
        "Request a key with this scope",
    ),
    "not_found": Code(
        404,
        "No route has this path",
        "See the list of routes at `/`",
    ),
    "asset_not_found": Code(
        404,
        "No asset has this slug; it may have been removed, or not yet observed at that time",
        "Use the asset that `detail` names, or search with `/data?q=`",
    ),
    "run_not_found": Code(
        404,
        "No run has this id",
        "See the list of runs at `/runs`",
    ),
    "reject_not_found": Code(
        404,
        "No reject has this id",
        "See the list of rejects at `/rejects`",
    ),
    "listing_not_found": Code(
        404,
        "The asset has no listing with this source or id",
        "Use a listing that `detail` names",
    ),
    "raw_not_found": Code(
        404,
        "The asset has no such raw record",
        "See the listings and hashes at `/data/{asset}`",
    ),
    "raw_pruned": Code(
        404,
        "The raw record was pruned; its observation was kept",
        "See `/data/{asset}/history`; `detail` names the archive, if one was kept",
    ),
    "method_not_allowed": Code(
        405,
        "The method is not `GET` or `HEAD`",
        "Use a method that `Allow` lists",
    ),
    "not_acceptable": Code(
        406,
        "The route has no format that `Accept` allows",
        "Accept a format that `detail` names",
    ),
    "request_timeout": Code(
        408,
        "The request took too long to arrive",
        "Send the whole request at once",
    ),
    "cursor_expired": Code(
        410,
        "The first page of this walk was requested too long ago",
        "Start again without `cursor`",
    ),
    "request_entity_too_large": Code(
        413,
        "The request body is too long",
        "Send no body",
    ),
    "request_uri_too_long": Code(
        414,
        "The URL is too long",
        "Split the request into several",
    ),
    "expectation_failed": Code(
        417,
        "The header `Expect` is not `100-continue`",
        "Omit the header",
    ),
    "rate_limited": Code(
        429,
        "The client sent too many requests",
        "Wait for `Retry-After`, and follow the `RateLimit` headers",
    ),
    "too_many_at_once": Code(
        429,
        "The client has too many requests running or waiting",
        "Wait for `Retry-After`, and send fewer requests at once",
    ),
    "request_header_fields_too_large": Code(
        431,
        "The headers are too many or too long",
        "Send fewer or shorter headers, such as cookies",
    ),
    "internal_server_error": Code(
        500,
        "The server failed",
        "Report the error with its `request_id`",
    ),
    "not_implemented": Code(
        501,
        "The transfer coding is not supported",
        "Send the request without a body",
    ),
    "database_unavailable": Code(
        503,
        "The database cannot be reached",
        "Wait for `Retry-After`",
    ),
    "schema_not_ready": Code(
        503,
        "The database schema does not match this release",
        "Run `worker migrate`",
    ),
    "data_behind": Code(
        503,
        "The cursor refers to data that this server does not have yet",
        "Wait for `Retry-After`; if the error persists, start again without `cursor`",
    ),
    "exports_busy": Code(
        503,
        "Too many exports are running, or the client already has one",
        "Wait for `Retry-After`",
    ),
    "past_busy": Code(
        503,
        "Too many lists of the past (`as_of`, `known_at`) are running",
        "Wait for `Retry-After`",
    ),
    "query_timeout": Code(
        503,
        "The query took too long",
        "Narrow the query, or try again",
    ),
}


def codes_of(status: int) -> list[str]:
    """Return the codes with a status, in the order of `CODES`: the general one is the first."""
    return [name for name, code in CODES.items() if code.status == status]
