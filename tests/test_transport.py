"""Where people reach us by https: cookies and headers that insist on it, redirects, and hosts that are only claimed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import pytest
from flask.testing import FlaskClient

from billing import outbox
from billing.extensions import db
from local.mailsink import MailSink
from tests.conftest import WEBHOOK_SECRET, dispose, make_app, make_config
from tests.support import PASSWORD, Databases, csrf_of, make_event, signed
from tests.walk import EVERYBODY, STRANGER, World, world

PUBLIC_URL = "https://billing.example.com"
EVIL = "evil.example"
LIVE = {
    "APP_ENV": "production",
    "STRIPE_SECRET_KEY": "sk_live_0123456789abcdefghij",
    "STRIPE_API_BASE": "",  # nothing here asks Stripe anything
    "PROXY_HOPS": "1",
}
FORMS = (
    "form-action 'self' https://checkout.stripe.com https://billing.stripe.com https://invoice.stripe.com "
    "https://pay.stripe.com https://hooks.stripe.com"
)


@pytest.fixture(scope="module")
def house(databases: Databases, mail_sink: MailSink) -> Iterator[World]:
    """The application as it runs in production, behind one proxy."""
    with databases.copy_of("dunlin_template") as url:
        config = make_config(url, smtp_port=mail_sink.port, public_url=PUBLIC_URL, **LIVE)
        with world(config) as found:
            yield found


def by_https(client: FlaskClient) -> FlaskClient:
    """What the proxy says of a request that came encrypted."""
    client.environ_base.update({"HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "billing.example.com"})
    return client


def test_the_session_cookie_is_bound_to_https_and_this_host(house: World) -> None:
    client = by_https(house.app.test_client())
    form = {"csrf_token": csrf_of(client, "/login"), "email": "alice@example.com", "password": PASSWORD}
    answer = client.post("/login", data=form)
    assert answer.status_code == 303
    (cookie,) = answer.headers.getlist("Set-Cookie")
    value, *attributes = cookie.split("; ")
    assert value.startswith("__Host-dunlin=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert not [one for one in attributes if one.startswith("Domain")]
    assert client.get("/account").status_code == 200
    assert client.get("/account").headers.getlist("Set-Cookie") == []


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_answer_insists_on_https(house: World, who: str) -> None:
    client = house.browser(who)
    for address in (*map(house.address, house.rules()), "/nothing"):
        for method in ("GET", "POST"):
            for headers in ({}, {"X-Forwarded-Proto": "https"}):
                answer = client.open(address, method=method, headers=headers, buffered=True)
                insists = answer.headers["Strict-Transport-Security"]
                assert insists == "max-age=31536000; includeSubDomains", address
                assert answer.headers["Content-Security-Policy"].endswith(FORMS), address


def test_plain_http_does_not_insist_where_there_is_no_https(databases: Databases) -> None:
    with databases.copy_of("dunlin_template") as url, world(make_config(url)) as plain:
        answer = plain.app.test_client().get("/plans")
        assert answer.status_code == 200
        assert "Strict-Transport-Security" not in answer.headers


ASKED = {
    "/": "/",
    "/plans?interval=year": "/plans?interval=year",
    "/billing?": "/billing",
    "/a%20b/%E2%82%AC?q=%20%26": "/a%20b/%E2%82%AC?q=%20%26",
    "/a%3Fb%23c%25d": "/a%3Fb%23c%25d",
    "/line%0D%0ASet-Cookie:x=1": "/line%0D%0ASet-Cookie:x=1",
    "//evil.example/x": "/evil.example/x",
    "/https://evil.example": "/https://evil.example",
    "/@evil.example": "/@evil.example",
}


def test_a_page_asked_for_by_http_is_asked_for_again_by_https_at_our_own_address(house: World) -> None:
    client = house.app.test_client()
    for asked, there in ASKED.items():
        for method in ("GET", "HEAD"):
            answer = client.open(environ_overrides=raw(asked), method=method, headers={"Host": EVIL})
            assert (answer.status_code, answer.location) == (301, PUBLIC_URL + there), asked
    forged = client.get("/plans", headers={"X-Forwarded-Proto": "https, http"})
    assert forged.location == f"{PUBLIC_URL}/plans"


def raw(address: str) -> dict[str, str]:
    """The address as it came over the wire, with nothing made tidy by a client."""
    path, _, query = address.partition("?")
    return {
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": address,
    }


def test_what_is_sent_by_http_is_refused_and_not_redirected(house: World) -> None:
    client = house.app.test_client()
    token = csrf_of(by_https(house.app.test_client()), "/login")
    for method in ("POST", "PUT", "DELETE"):
        answer = client.open("/login", method=method, data={"csrf_token": token})
        assert (answer.status_code, answer.location) == (403, None)
        assert "Set-Cookie" not in answer.headers or "Secure" in answer.headers["Set-Cookie"]


def test_webhooks_and_health_checks_are_answered_where_they_are(house: World) -> None:
    client = house.app.test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/healthz/deep").status_code in (200, 503)
    event = make_event("customer.created", {"id": "cus_1", "object": "customer"}, livemode=True)
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": signed(body, WEBHOOK_SECRET)}
    assert client.post("/webhooks/stripe", data=body, headers=headers).status_code == 200
    assert client.post("/webhooks/stripe", data=body).status_code == 400


def test_a_claim_of_https_is_believed_from_a_proxy_only(house: World) -> None:
    config = house.app.extensions["config"]
    alone = make_app(make_config(config.database_url, public_url=PUBLIC_URL, **{**LIVE, "PROXY_HOPS": "0"}))
    answer = alone.test_client().get("/plans", headers={"X-Forwarded-Proto": "https"})
    with alone.app_context():
        dispose()
    assert (answer.status_code, answer.location) == (301, f"{PUBLIC_URL}/plans")


@pytest.mark.parametrize("who", EVERYBODY)
def test_a_host_that_is_only_claimed_reaches_no_page_and_no_redirect(house: World, who: str) -> None:
    cookie = house.browser(who).get_cookie("__Host-dunlin")
    client = house.app.test_client(use_cookies=False)  # it would keep the cookie from another host
    claims = {
        "HTTP_COOKIE": f"__Host-dunlin={cookie.value if cookie else ''}",
        "HTTP_HOST": EVIL,
        "HTTP_X_FORWARDED_HOST": EVIL,
        "HTTP_X_FORWARDED_SERVER": EVIL,
        "HTTP_X_FORWARDED_PORT": "666",
        "HTTP_X_FORWARDED_PREFIX": "/666",
        "HTTP_FORWARDED": f"host={EVIL}",
        "HTTP_X_ORIGINAL_URL": f"//{EVIL}/",
        "HTTP_X_FORWARDED_PROTO": "https",
    }
    paths = [house.address(rule) for rule in house.rules()]
    for path in (*paths, "//login", "//admin//", "/admin", "/billing/", "/nothing"):
        for method in ("GET", "POST"):
            answer = client.open(
                path="/", method=method, environ_overrides={**raw(path), **claims}, buffered=True
            )
            assert EVIL not in answer.text, path
            assert EVIL not in str(answer.headers), path
            assert "666" not in (answer.location or ""), path
            if (path, method) == ("/account", "GET"):
                assert answer.status_code == (303 if who == STRANGER else 200)


def test_a_host_that_is_only_claimed_makes_no_other_site_ours(house: World) -> None:
    client = by_https(house.app.test_client())
    form = {"csrf_token": csrf_of(client, "/login"), "email": "", "password": ""}
    for origin, status in ((f"https://{EVIL}", 403), (PUBLIC_URL, 422)):
        headers = {"Origin": origin, "X-Forwarded-Host": EVIL}
        assert client.post("/login", data=form, headers=headers).status_code == status, origin


def test_a_host_that_is_only_claimed_reaches_no_mail(house: World, mails: MailSink) -> None:
    client = house.app.test_client()
    client.environ_base.update(
        {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_HOST": EVIL, "HTTP_HOST": f"{EVIL}:443"}
    )
    forms = {"/signup": "ana@example.com", "/reset": "alice@example.com"}
    for path, email in forms.items():
        form = {"csrf_token": csrf_of(client, path), "email": email, "password": "four cold clear words"}
        assert client.post(path, data=form).status_code in (200, 303)
    outbox.send_due(db.session(), house.app.extensions["config"])
    got = [message.data.decode() for email in forms.values() for message in mails.to(email)]
    assert len(got) >= 2
    assert not [data for data in got if EVIL in data]
    assert f"{PUBLIC_URL}/reset/" in mails.to("alice@example.com")[-1].text
