"""API keys: created by the worker, required by the API, never shown."""

import json
import re
import time
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import event, text, update

from api.middleware.keys import OPEN, PAGES, SCOPE_BY_BEGINNING, is_page, scope_of
from api.middleware.limits import Limiter
from shared.model.keys import KEY, SCOPES, hash_key, make_key
from shared.schema.operations import api_keys
from tests.fakes.api import add_asset, api_on
from tests.fakes.processes import PROJECT
from worker.cli.main import main
from worker.maintenance.keys import insert_key, revoke_key

REQUIRED = {"API_KEYS_REQUIRED": "true"}


@pytest.fixture
def client(reader_url):
    with api_on(reader_url, **REQUIRED) as client:
        yield client


@pytest.fixture
def add_key(engine):
    def add(*scopes, name="reader", lifetime=None):
        key = make_key()
        with engine.begin() as conn:
            assert insert_key(conn, name, key, scopes, lifetime)
        return key

    return add


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def worker(database_url, *arguments):
    env = {"DATABASE_URL": database_url.render_as_string(hide_password=False)}
    return CliRunner(env=env).invoke(main, ["api-keys", *arguments])


def test_every_route_is_open_or_has_a_scope(client):
    for rule in client.application.url_map.iter_rules():
        beginning = rule.rule.split("/")[1]
        assert rule.rule in OPEN or beginning in {"docs", *SCOPE_BY_BEGINNING, PAGES[1:]}, rule
    assert set(SCOPE_BY_BEGINNING.values()) | {"export"} == set(SCOPES)
    assert scope_of("/data/export") == "export"
    assert scope_of("/data/<asset>") == "data"
    assert scope_of("/health") == "operations"
    assert scope_of("/nobody/thought/of/it") == "operations"


def test_the_guide_says_of_every_route_which_scope_opens_it(client):
    text = (PROJECT / "api" / "deployment.md").read_text(encoding="utf-8")
    table = text.split("\n| scope | opens |\n")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))

    assert rows.keys() == SCOPES.keys()
    for rule in client.application.url_map.iter_rules():
        scope = scope_of(rule.rule)
        if scope is None or is_page(rule.rule):
            continue
        path = re.sub("<(.*?)>", r"{\1}", rule.rule)
        below = scope == "operations" and f"`/{path.split('/')[1]}`" in rows[scope]
        assert f"`{path}`" in rows[scope] or below, path


def test_without_a_key_only_the_open_routes_answer(client):
    for rule in client.application.url_map.iter_rules():
        if is_page(rule.rule):
            continue
        path = re.sub("<.*?>", "1", rule.rule)
        answer = client.get(path)
        if scope_of(rule.rule) is None:
            assert answer.status_code == (200 if path == rule.rule else 404), path
        else:
            assert answer.status_code == 401, path
            assert answer.json["code"] == "api_key_missing"
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/nowhere").status_code == 404


def test_a_key_opens_what_its_scopes_say(client, add_key):
    key = add_key("data")

    for headers in (bearer(key), {"Authorization": f"bearer  {key}"}, {"X-API-Key": key}):
        assert client.get("/data", headers=headers).status_code == 200
    refused = client.get("/stats", headers=bearer(key))
    assert refused.status_code == 403
    assert refused.json["code"] == "scope_missing"
    assert "'operations'" in refused.json["detail"]
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert client.get("/stats", headers=bearer(add_key("operations", name="b"))).status_code == 200


@pytest.mark.parametrize("settings", [REQUIRED, {}], ids=["required", "optional"])
@pytest.mark.parametrize(
    "wrong", ["", "kasparro_", make_key(), "kasparro_" + "ü" * 43, "x" * 5000], ids=range(5)
)
def test_a_wrong_key_is_refused_whether_one_is_required_or_not(reader_url, wrong, settings):
    with api_on(reader_url, **settings) as client:
        refused = client.get("/data", headers=bearer(wrong))

    assert refused.status_code == 401
    assert refused.json["code"] == "api_key_unknown"
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


def test_where_no_key_is_required_other_credentials_and_scopes_do_not_matter(reader_url, add_key):
    with api_on(reader_url) as client:
        assert client.get("/data", headers={"Authorization": "Basic YTpi"}).status_code == 200
        assert client.get("/data", headers=bearer(add_key("export"))).status_code == 200


def test_a_key_in_the_query_string_is_no_key(client, add_key):
    key = add_key("data")

    assert client.get(f"/data?api_key={key}").status_code == 401
    assert client.get(f"/data?api_key={key}", headers=bearer(key)).status_code == 400


def test_an_expired_key_is_refused_as_such(client, engine, add_key):
    key = add_key("data", lifetime=timedelta(days=1))
    assert client.get("/data", headers=bearer(key)).status_code == 200

    with engine.begin() as conn:
        conn.execute(update(api_keys).values(expires_at=text("now() - interval '1 second'")))

    answers = iter(lambda: client.get("/data", headers=bearer(key)).status_code, 401)
    assert set(answers) <= {200}
    assert client.get("/data", headers=bearer(key)).json["code"] == "api_key_expired"


def test_a_revoked_key_is_refused_within_a_second(client, engine, add_key):
    key = add_key("data")
    assert client.get("/data", headers=bearer(key)).status_code == 200
    with engine.begin() as conn:
        assert revoke_key(conn, "reader")

    answers = iter(lambda: client.get("/data", headers=bearer(key)).status_code, 401)
    assert set(answers) <= {200}
    assert client.get("/data", headers=bearer(key)).json["code"] == "api_key_unknown"


def test_a_key_that_was_just_found_is_not_looked_up_again(client, add_key):
    key = add_key("data")
    keys = client.application.extensions["keys"]

    with client.application.test_request_context("/data"):
        assert keys.recently_found(key) is None
        assert keys.look_up(key).name == "reader"
        assert keys.recently_found(key).name == "reader"
        wrong = make_key()
        assert keys.look_up(wrong) is None
        assert keys.recently_found(wrong) is None


def test_without_a_database_there_is_no_telling_whether_a_key_is_one(reader_url, add_key):
    key = add_key("data")
    with api_on(reader_url.set(database="nowhere"), **REQUIRED) as client:
        refused = client.get("/data", headers=bearer(key))
        assert refused.status_code == 503
        assert refused.json["code"] == "database_unavailable"
        assert refused.headers["Retry-After"] == "1"
        assert client.get("/health/live", headers=bearer(key)).status_code == 200
        assert client.get("/data", headers=bearer("nonsense")).status_code == 401


def test_a_key_has_a_rate_limit_of_its_own_and_a_wrong_one_counts_for_its_address(
    reader_url, add_key
):
    a, b = add_key("data", name="a"), add_key("data", name="b")
    with api_on(reader_url, **REQUIRED, API_RATE_LIMIT="2/hour") as client:
        for key in (a, b):
            answers = [client.get("/data", headers=bearer(key)).status_code for _ in range(3)]
            assert answers == [200, 200, 429]
        wrong = [client.get("/data", headers=bearer(make_key())) for _ in range(4)]

    assert [answer.status_code for answer in wrong] == [401, 401, 429, 429]
    assert all("RateLimit" in answer.headers for answer in wrong)


def count_lookups(client):
    """Return a list to which each lookup of a key in the database adds an entry."""
    lookups = []
    own = client.application.extensions["database"].engine
    event.listen(
        own,
        "before_cursor_execute",
        lambda _conn, _cursor, statement, *_: "api_keys" in statement and lookups.append(statement),
    )
    return lookups


@pytest.mark.parametrize("elsewhere", [False, True], ids=["counted here", "counted elsewhere"])
def test_wrong_keys_of_an_address_cost_few_lookups_and_refuse_no_valid_key(
    reader_url, add_key, elsewhere
):
    key = add_key("data")
    with api_on(reader_url, **REQUIRED, API_RATE_LIMIT="2/hour") as client:
        if elsewhere:
            client.application.extensions["limiter"] = Limiter("2/hour", "memory://")
        wrong = [client.get("/data", headers=bearer(make_key())) for _ in range(3)]
        lookups, begun = count_lookups(client), time.monotonic()
        refused = [client.get("/data", headers=bearer(make_key())) for _ in range(20)]
        seconds = time.monotonic() - begun
        valid = [client.get("/data", headers=bearer(key)) for _ in range(3)]

    assert [answer.status_code for answer in wrong] == [401, 401, 429]
    assert {answer.status_code for answer in refused} == {429}
    assert len(lookups) <= 2 + seconds
    assert valid[0].status_code == 200
    assert elsewhere or [answer.status_code for answer in valid] == [200, 200, 429]


def test_what_a_key_opened_is_kept_by_no_shared_cache(client, reader_url, add_key):
    private = client.get("/data", headers=bearer(add_key("data")))
    with api_on(reader_url) as open_client:
        public = open_client.get("/data")

    assert "public" not in private.headers["Cache-Control"]
    assert {"Authorization", "X-API-Key"} <= {*private.vary.as_set(preserve_casing=True)}
    assert "Authorization" not in public.headers.get("Vary", "")


def test_a_key_is_in_no_log_and_no_answer(client, engine, add_key, caplog):
    caplog.set_level("DEBUG")
    key, wrong = add_key("data"), make_key()
    with engine.begin() as conn:
        add_asset(conn, "bitcoin")

    answers = [
        client.get(path, headers=bearer(k)) for path in ("/data", "/stats") for k in (key, wrong)
    ]

    for secret in (key, wrong):
        assert secret not in caplog.text
        assert all(secret not in str(vars(record)) for record in caplog.records)
        assert all(secret not in answer.text + str(answer.headers) for answer in answers)


def test_the_worker_makes_lists_and_revokes_keys(database_url, engine, client):
    made = worker(database_url, "create", "grafana", "--scope", "operations", "--scope", "data")
    key = made.stdout.strip()

    assert made.exit_code == 0, made.output
    assert KEY.fullmatch(key)
    assert "grafana: created, scopes: data, operations; valid until it is revoked" in made.stderr
    assert client.get("/stats", headers=bearer(key)).status_code == 200
    with engine.connect() as conn:
        [row] = conn.execute(api_keys.select()).all()
    assert bytes(row.key_hash) == hash_key(key)
    assert key not in str(row)

    again = worker(database_url, "create", "grafana")
    assert again.exit_code == 1
    assert "key 'grafana' already exists" in again.output

    soon = worker(database_url, "create", "guest", "--expires-in-days", "7")
    assert "guest: created, scopes: data; valid for 7 days" in soon.stderr
    revoked = worker(database_url, "revoke", "grafana")
    assert revoked.stdout == "grafana: revoked\n"
    assert worker(database_url, "revoke", "grafana").exit_code == 1
    listed = json.loads(worker(database_url, "list", "--json").stdout)
    assert [(key["name"], key["state"], key["scopes"]) for key in listed] == [
        ("grafana", "revoked", ["data", "operations"]),
        ("guest", "valid", ["data"]),
    ]
    assert "key_hash" not in listed[0]
    table = worker(database_url, "list").stdout
    assert re.search(r"grafana +revoked", table)


def test_a_dry_run_makes_and_revokes_nothing(database_url, engine, add_key):
    add_key("data")

    made = worker(database_url, "create", "other", "--dry-run")
    revoked = worker(database_url, "revoke", "reader", "--dry-run")

    assert (made.exit_code, made.stdout) == (0, "")
    assert revoked.stdout == "reader: would be revoked\n"
    with engine.connect() as conn:
        [row] = conn.execute(api_keys.select()).all()
    assert (row.name, row.revoked_at) == ("reader", None)


@pytest.mark.parametrize(
    "arguments",
    [["create", "a b"], ["create", ""], ["create", "a", "--scope", "all"], ["create", "[red]a"]],
)
def test_a_name_or_scope_that_is_none_is_wrong_usage(arguments):
    assert CliRunner().invoke(main, ["api-keys", *arguments]).exit_code == 2
