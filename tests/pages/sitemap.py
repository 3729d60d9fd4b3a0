"""Every page there is: its name, whose it is, its address, and how to bring it about. A new page is one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, Response

from tests.doors import enter
from tests.pages.house import AS_IS, NO_STRIPE, ORDERS, WITHDRAWAL, House, Settings
from tests.pages.standings import WAYS
from tests.support import PASSWORD

Step = Callable[[House, Page], None]


@dataclass(frozen=True)
class Place:
    """One page. ``address``: a path, with ``{names}`` of the house's values.

    ``who``: a person of the house, or a stranger. ``then``: what is done after it was opened, such as sending its
    form with mistakes. ``settings``: what the operator chose. ``alone``: it has no layout around it, so that it
    needs no database. ``queries``: how many it may ask of the database; ``weight``: the bytes of a first visit.
    """

    name: str
    who: str
    address: str
    status: int = 200
    then: Step | None = None
    before: Step | None = None
    settings: Settings = AS_IS
    alone: bool = False
    weight: int = 60_000
    queries: int = 8

    def url(self, house: House) -> str:
        return house.url(self.settings) + self.address.format(**house.values)

    def opened(self, house: House, page: Page) -> int:
        """Open it, signed in as whose it is; the status of the page that is shown in the end."""
        house.let_in(page.context, self.who)
        if self.before is not None:
            self.before(house, page)
        statuses: list[int] = []

        def answered(one: Response) -> None:
            if one.request.is_navigation_request():
                statuses.append(one.status)

        page.on("response", answered)
        page.goto(self.url(house))
        if self.then is not None:
            self.then(house, page)
            page.wait_for_load_state("load")
        page.remove_listener("response", answered)
        return statuses[-1]


def sends(**fields: str) -> Step:
    """Fill in these fields by name and press the form's button."""

    def step(house: House, page: Page) -> None:
        for name, value in fields.items():
            page.locator(f"main [name={name}]").first.fill(value)
        presses(next(iter(fields)))(house, page)

    return step


def presses(field: str) -> Step:
    """Press the button of the form that has this field. No mouse does: where nothing is painted, it would wait for the
    button to stand still."""

    def step(_house: House, page: Page) -> None:
        form = page.locator(f"main form:has([name={field}])").first
        with page.expect_navigation():
            form.locator("button:not([type=button])").first.dispatch_event("click")

    return step


def without_its_cookie(_house: House, page: Page) -> None:
    """The browser forgot us while the page was open."""
    page.context.clear_cookies()
    sends(email="ana@example.com", password="three warm words")(_house, page)


def tried_too_often(house: House, _page: Page) -> None:
    with house.app.app_context():
        client = house.app.test_client()
        for _ in range(6):
            enter(client, "guessed@example.com", "wrong words again")


DELETES = sends(current_password=PASSWORD, word="DELETE")
STANDINGS = [
    # one query more than others: what the person bought once
    Place(f"billing-{code}", code, "/billing", settings=frozenset(way.settings.items()))
    for code, way in WAYS.items()
]
# Whoever comes back has Stripe looked at, through the inbox and its lease.
RETURNS = [
    Place(f"return-{name}", name, f"/checkout/return?session_id=cs_{name}", queries=30) for name in ORDERS
]
DOORS = [
    Place("plans", "stranger", "/plans"),
    Place("plans-yearly", "stranger", "/?interval=year"),
    Place("sign-up", "stranger", "/signup"),
    Place("sign-up-mistakes", "stranger", "/signup", 422, sends(email="ana@", password="short")),
    Place("confirm", "newcomer", "/signup/confirm"),
    Place("confirm-mistake", "newcomer", "/signup/confirm", 422, sends(code="12")),
    Place("sign-in", "stranger", "/login"),
    Place(
        "sign-in-mistake", "stranger", "/login", 422, sends(email="ana@example.com", password="wrong words")
    ),
    Place("reset", "stranger", "/reset"),
    Place("reset-mistake", "stranger", "/reset", 422, sends(email="ana@")),
    Place("reset-new", "stranger", "/reset/{secret}"),
    Place("pay", "stranger", "/pay/{token}"),
    Place("pay-broken", "stranger", "/pay/not-a-link", 404),
    Place("reset-new-mistake", "stranger", "/reset/{secret}", 422, sends(new_password="short")),
]
TROUBLE = [
    Place("gone", "stranger", "/reset/not-a-link", 410),
    Place("not-found", "active", "/no/such/page", 404),
    Place("not-yours", "active", "/admin/", 403),
    Place("too-old-a-form", "stranger", "/login", 400, without_its_cookie),
    Place(
        "too-many-tries",
        "stranger",
        "/login",
        429,
        sends(email="guessed@example.com", password="wrong words"),
        before=tried_too_often,
    ),
    Place("our-fault", "stranger", "/fault", 500, alone=True),
    Place("no-database", "stranger", "/no-database", 503, alone=True),
    Place("not-understood", "active", "/checkout/return?session_id=%00", 400),
    Place("not-allowed", "stranger", "/logout", 405),
    Place("stripe-silent", "active", "/billing", 503, presses("csrf_token"), settings=NO_STRIPE),
    Place("stripe-away", "subscriber", "/billing/change/team", 503, settings=NO_STRIPE, queries=12),
]
PERSONS = [
    Place("plans-mine", "active", "/plans"),
    Place("check", "none", "/subscribe/pro"),
    Place("check-trial", "none", "/subscribe/team?interval=year", queries=9),
    Place("check-product", "none", "/buy/credits-100"),
    Place("shop", "none", "/shop"),
    Place("check-product-card", "subscriber", "/buy/credits-100"),
    Place("order", "subscriber", "/orders/pi_order"),
    Place("order-action", "subscriber", "/orders/{order_id}", queries=30),
    Place("order-unknown", "subscriber", "/orders/a-form-sent-in-vain"),
    Place("product", "active", "/app", queries=16),
    Place("mail-refused", "refusing", "/billing"),
    Place("change-now", "subscriber", "/billing/change/team", queries=12),
    Place("change-later", "subscriber", "/billing/change/basic", queries=12),
    Place("change-not", "subscriber", "/billing/change/pro", 409, queries=12),
    Place("check-seats-mistake", "none", "/subscribe/team?seats=0", 422, queries=9),
    Place("already-subscribed", "active", "/subscribe/pro"),
    Place("cancel", "active", "/billing/cancel"),
    Place("cancel-owing", "past_due", "/billing/cancel"),
    Place("pause", "active", "/billing/pause"),
    Place("pause-not", "trialing", "/billing/pause", 409),
    Place("unpause", "paused_asked", "/billing/unpause"),
    Place("card-return", "past_due", "/billing/card/return"),
    Place("seats-ask", "seated", "/billing/seats"),
    Place("seats-mistake", "seated", "/billing/seats?seats=0", 422),
    Place("seats", "seated", "/billing/seats?seats=3", queries=12),
    Place("seats-not", "active", "/billing/seats", 409, queries=12),
    Place("withdraw-sent", "stranger", "/billing/withdraw?sent=1", settings=WITHDRAWAL),
    Place(
        "withdraw-mistake",
        "stranger",
        "/billing/withdraw",
        422,
        sends(reference="", email="ana@"),
        settings=WITHDRAWAL,
    ),
    Place("withdraw", "active", "/billing/withdraw", settings=WITHDRAWAL),
    Place("withdraw-find", "stranger", "/billing/withdraw", settings=WITHDRAWAL),
    Place("invoice", "subscriber", "/invoices/{invoice_id}", queries=12),
    Place("invoices", "past_due", "/invoices"),
    Place("invoices-none", "none", "/invoices"),
    Place("account", "canceling", "/account", weight=66_000),
    Place("account-owing", "past_due", "/account", weight=66_000),
    Place("shop-on-hold", "unpaid", "/shop"),
    Place("account-waiting", "moving", "/account", weight=66_000),
    Place("account-copy", "copying", "/account", weight=66_000),
    Place("account-copy-ready", "copied", "/account", weight=66_000),
    Place("copy-over", "copied", "/account/export/{over_id}", 410),
    Place("email", "active", "/account/email"),
    Place(
        "email-mistake",
        "active",
        "/account/email",
        422,
        sends(email="ana@", current_password="three warm words"),
    ),
    Place("email-code", "moving", "/account/email"),
    Place("email-code-mistake", "moving", "/account/email", 422, sends(code="12")),
    Place("email-undo", "stranger", "/account/email/undo/{way_back}"),
    Place("email-undo-gone", "stranger", "/account/email/undo/not-a-link", 410),
    Place("email-undo-taken", "stranger", "/account/email/undo/{way_back_taken}", 409, presses("csrf_token")),
    Place("delete", "active", "/account/delete", queries=12),
    Place("delete-owing", "past_due", "/account/delete", queries=12),
    Place(
        "delete-mistake", "active", "/account/delete", 422, sends(current_password="x", word="no"), queries=12
    ),
    Place("delete-no-stripe", "active", "/account/delete", 503, DELETES, settings=NO_STRIPE, queries=12),
    Place("delete-waiting", "leaving", "/account/keep"),
    Place("delete-begun", "going", "/account/keep"),
    Place("account-mistake", "active", "/account", 422, sends(current_password="x", new_password="short")),
]
DESK = [
    Place("subscribers", "admin", "/admin/subscribers?q=trial"),
    Place("subscribers-none", "admin", "/admin/subscribers?q=nobody"),
    Place("subscriber", "admin", "/admin/subscribers/{user_id}", queries=15),
    Place("comp-give", "admin", "/admin/subscribers/{user_id}/comp", queries=20),
    Place("subscription", "admin", "/admin/subscriptions/{subscription_id}", queries=12),
    Place("refund", "admin", "/admin/payments/{payment_intent}/refund", queries=14),
    Place(
        "refund-confirm",
        "admin",
        "/admin/payments/{payment_intent}/refund?amount=5.00&reason=requested_by_customer",
        queries=14,
    ),
    Place(
        "refund-mistake",
        "admin",
        "/admin/payments/{payment_intent}/refund?amount=5.001&reason=",
        422,
        queries=14,
    ),
    Place("disputes", "admin", "/admin/disputes"),
    Place("disputes-none", "admin", "/admin/disputes?state=over"),
    Place("dispute", "admin", "/admin/disputes/{dispute_id}", queries=12),
    Place("events", "admin", "/admin/events?type=charge.dispute.created"),
    Place("event", "admin", "/admin/events/{event_id}", queries=12),
    Place("rehearsed", "admin", "/admin/events/{event_id}", 200, presses("csrf_token")),
    Place("reconciler", "admin", "/admin/reconciler"),
    Place("ready", "admin", "/admin/ready", queries=25),
    Place("ready-stripe", "admin", "/admin/ready?stripe=1", queries=28),
    Place("pass", "admin", "/admin/reconciler/{run_id}"),
]
IN_DEVELOPMENT = [
    Place("mails", "stranger", "/dev/mails"),
    Place("mail", "stranger", "/dev/mails/welcome"),
]
OURS = [*DOORS, *TROUBLE, *PERSONS, *RETURNS, *STANDINGS, *DESK, *IN_DEVELOPMENT]


def named(name: str) -> Place:
    return next(place for place in OURS if place.name == name)
