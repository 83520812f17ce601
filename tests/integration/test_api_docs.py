"""`/docs`: every part of the page is served here, and none asks another host."""

import re
from html.parser import HTMLParser
from importlib.resources import files
from urllib.parse import urljoin, urlsplit

HERE = "http://localhost"


class References(HTMLParser):
    """The URLs that a page makes a browser load, and what is written into the page."""

    def __init__(self, page):
        super().__init__()
        self.loaded, self.inline = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in {"script", "img", "iframe", "link"}:
            self.loaded.append(attributes.get("src") or attributes.get("href"))
        self.inline += [name for name in attributes if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and "src" not in attributes):
            self.inline.append(tag)


def test_the_page_and_every_file_that_it_needs_are_served_here(client):
    page = client.get("/docs")
    references = References(page.text)

    assert page.content_type == "text/html; charset=utf-8"
    assert len(references.loaded) == 4
    assert references.inline == []
    for reference in references.loaded:
        url = urljoin(f"{HERE}/docs", reference)
        assert url.startswith(f"{HERE}/docs/")
        response = client.get(urlsplit(url).path)
        assert response.status_code == 200
        assert (
            response.content_type.partition(";")[0]
            == {
                "js": "text/javascript",
                "css": "text/css",
                "png": "image/png",
            }[url.rpartition(".")[2]]
        )
        assert response.headers["Cache-Control"] == "public, max-age=86400"
        assert response.headers["ETag"]
        again = client.get(urlsplit(url).path, headers={"If-None-Match": response.headers["ETag"]})
        assert again.status_code == 304


def test_nothing_in_the_page_names_another_host(client):
    ours = [client.get(path).text for path in ("/docs", "/docs/docs.js")]
    style = client.get("/docs/swagger-ui.css").text

    assert not [text for text in ours if re.search(r"\b[a-z]+://|[\"'(]//", text)]
    assert re.findall(r"""(?:url\((?!["']?data:)|@import)""", style) == []


def test_the_browser_is_told_to_load_from_here_alone(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]

    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert {*" ".join(rules.values()).split()} == {"'none'", "'self'", "data:"}
    assert rules["script-src"] == rules["connect-src"] == "'self'"


def test_nothing_else_of_the_package_is_served(client):
    shipped = {path.name for path in (files("flask_swagger_ui") / "dist").iterdir()}

    assert "oauth2-redirect.html" in shipped
    served = {name for name in shipped if client.get(f"/docs/{name}").status_code == 200}
    assert served == {"swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"}
    for path in ("/docs/", "/docs/docs.html", "/docs/..%2f__init__.py", "/docs/%2e%2e/wsgi.py"):
        assert client.get(path).json["code"] == "not_found"
