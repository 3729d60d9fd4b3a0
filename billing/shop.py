"""What is bought once: the shop, the check page of a product, and the two ways to pay for it.

Whoever has a card saved at Stripe pays with one press; everybody else, and whoever wants to, goes to Checkout.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from billing import (
    checkout,
    currencies,
    declines,
    grants,
    guards,
    leaving,
    offers,
    one_click,
    orders,
    prices,
    running,
    writes,
)
from billing.access import person
from billing.errors import StripeDeclined, StripeError, StripeRefused, WriteUnknown
from billing.extensions import db
from billing.installation import public_id
from billing.language import _, locale
from billing.models import Payment, StripeWrite
from billing.money import format_money
from billing.one_click import SavedCard, Stop
from billing.plans import Price, Product
from billing.write_request import WriteRequest

bp = Blueprint("shop", __name__)


@bp.get("/shop")
def shop() -> ResponseReturnValue:
    """The one-off products, in the person's currency where they are sold in it."""
    catalogue, currency = running.catalogue().products, request.args.get("currency")
    sold = [(one, prices.at_stripe(db.session(), _price(one, currency))) for one in catalogue]
    products = [
        {"name": one.name, "title": one.title, "sentence": one.sentence, "price": price, "href": f"/buy/{one.name}"}
        for one, price in sold
    ]  # fmt: skip
    return render_template("billing/shop.html", products=products)


@bp.get("/buy/<name>")
def check(name: str) -> ResponseReturnValue:
    """The check page of a one-off product. ``declined``: the write by which their card was tried in vain."""
    product = running.catalogue().product(name)
    if product is None:
        return orders.gone(name)
    left = orders.session_left()  # it may look at Stripe, so it comes before what is read here
    chosen, declined = orders.chosen_price(left, name), _refusal()
    asked = request.args.get("currency") or (chosen.currency if chosen else None)
    return _stopped(product) or _page(product, asked, orders.kept(left), declined)


@bp.post("/buy/<name>")
def buy(name: str) -> ResponseReturnValue:
    """To Stripe's page for a one-off product."""
    product = running.catalogue().product(name)
    if product is None:
        return orders.gone(name)
    token, session = orders.once(request.form), db.session()
    sent = one_click.of_form(session, person().id, token)
    if sent is not None and sent.state not in one_click.NOT_DONE:
        return redirect(f"/orders/{token}", 303)
    price = _price(product, _currency())
    stop = _stopped(product) or _moved(product, price)
    if stop is not None:
        return stop
    known = prices.sold(session, price)
    if known is None:
        return guards.not_on_sale_yet()
    waits = one_click.under_way(session, person().id, waiting=False)
    if waits is not None:
        return guards.purchase_under_way(_of(waits))
    promise = grants.Promise.of(product)
    order = checkout.Order(
        "payment", product.name, product.title, known.price_id, once=token, locale=locale(),
        credits=promise.credits, gives=promise.gives,
    )  # fmt: skip
    return leaving.to_stripe(person(), order, price, f"/buy/{name}") or abort(404)


@bp.post("/buy/<name>/card")
def pay(name: str) -> ResponseReturnValue:
    """Take the price from the card that is saved: once for each form, and never beside a payment without an end."""
    product, session, user = running.catalogue().product(name), db.session(), person()
    if product is None:
        return orders.gone(name)
    token = orders.once(request.form)
    if token is None:
        return _again(product, _("Nothing was charged. Check your order once more."))
    paid = checkout.paid_by_this_form(session, user.id, token)
    if paid is not None:
        return redirect(f"/checkout/return?session_id={paid}", 303)
    sent = one_click.of_form(session, user.id, token)
    if sent is not None:
        return _drive(sent, name, token)
    price, card = _price(product, _currency()), one_click.card_of(session, user.id)
    stop = _stopped(product) or _moved(product, price, card)
    if stop is not None:
        return stop
    known = prices.sold(session, price)
    if known is None or card is None:
        return guards.not_on_sale_yet()
    wanted = one_click.request(user, product, known, card.method, token, running.config(), public_id(session))
    stopped = one_click.stopped(session, user.id, product.name, _number(request.form, "last"))
    sent = one_click.of_form(
        session, user.id, token
    )  # another press of this form, while we waited for the lock
    if stopped is not None and sent is None:
        session.rollback()
        return _told(product, stopped)
    writes.record(session, wanted)
    session.commit()
    return _drive(wanted, name, token)


def _drive(write: StripeWrite | WriteRequest, name: str, token: str) -> ResponseReturnValue:
    """Send it, whoever else does, and lead on: to the bank that has to be asked, or to what became of it."""
    page = redirect(f"/orders/{token}", 303)
    if isinstance(write, StripeWrite) and write.state == "done":
        return page  # its answer of then may name a bank's page that is over
    wanted = one_click.once_more(write) if isinstance(write, StripeWrite) else write
    try:
        answer = writes.perform(db.session(), wanted)
    except (StripeDeclined, StripeRefused):
        return (
            page
            if (number := _refused_write(token)) is None
            else redirect(f"/buy/{name}?declined={number}", 303)
        )
    except (StripeError, WriteUnknown):
        return page  # nobody knows yet; the completer finds out, and that page says so
    bank = (answer.get("next_action") or {}).get("redirect_to_url") or {}
    return redirect(bank["url"], 303) if bank.get("url") else redirect(f"/orders/{answer['id']}", 303)


def _refused_write(token: str) -> int | None:
    db.session.rollback()
    sent = one_click.of_form(db.session(), person().id, token)
    return sent.id if sent is not None and sent.state in one_click.NOT_DONE else None


def _told(product: Product, stop: Stop) -> ResponseReturnValue:
    if stop.code == "too_many":
        return guards.too_many(stop.minutes, f"/buy/{product.name}")
    if stop.write is not None:
        return guards.purchase_under_way(_of(stop.write))
    bought = _("You bought this in another window a moment ago. Pay again only if you want it twice.")
    return _again(product, bought)


def _of(write: StripeWrite) -> str:
    """The address that tells what became of this purchase."""
    return f"/orders/{write.stripe_object_id or write.name.rpartition(':')[2]}"


def _moved(product: Product, price: Price, card: SavedCard | None = None) -> ResponseReturnValue | None:
    """The page anew, where the form promised something else than is so now: another price, or another card."""
    seal, named = offers.product_seal(db.session(), product, price), request.form.get("card")
    same_card = named is None if card is None else named == card.method
    if request.form.get("offer") in (None, seal) and same_card:
        return None
    return _again(product, _("The offer has changed since you opened this page. Check it again."))


def _stopped(product: Product) -> ResponseReturnValue | None:
    """What is theirs for life is not sold to them again, nor while its payment is on its way."""
    if not product.gives or product.credits:
        return None
    session, user_id = db.session(), person().id
    if grants.owns(product, grants.held(session, user_id)):
        return guards.owned(product)
    coming = select(Payment.payment_intent).where(
        Payment.user_id == user_id, Payment.product == product.name, Payment.status == "processing"
    )
    intent = session.execute(coming.limit(1)).scalar()
    return guards.purchase_under_way(f"/orders/{intent}") if intent else None


def _price(product: Product, asked: str | None) -> Price:
    lock, languages = currencies.locked(db.session(), person().id), request.accept_languages.values()
    return currencies.price_of(product, lock, asked, languages)


def _currency() -> str | None:
    return request.form.get("currency")


def _again(product: Product, notice: str) -> ResponseReturnValue:
    """The page anew, to somebody whose form is not carried out."""
    return _page(product, _currency(), notice), 409


def _page(product: Product, currency: str | None, notice: str | None, declined: str | None = None) -> str:
    """``declined``: what became of the card that they tried; it isn't offered again."""
    session, user = db.session(), person()
    price = prices.at_stripe(session, _price(product, currency))
    card = one_click.card_of(session, user.id) if declined is None and prices.sold(session, price) else None
    return render_template(
        "billing/buy.html",
        product=product,
        price=price,
        card=card,
        last=one_click.last_bought(session, user.id, product.name) if card else 0,
        seal=offers.product_seal(session, product, price),
        terms=_("{amount} today, once. Nothing renews.", amount=format_money(price.amount, price.currency)),
        terms_url=running.config().terms_url,
        email=user.email,
        once=orders.once_token(),
        notice=declined or notice,
        tone="look" if declined else "good",
    )


def _refusal() -> str | None:
    """What to say of a card that was tried in vain, from our row of it."""
    number = _number(request.args, "declined")
    write = one_click.refused(db.session(), person().id, number) if number else None
    if write is None:
        return None
    if write.state == "declined":
        return _(
            "{reason} You haven’t been charged. You can pay another way.", reason=declines.reason(write.error)
        )
    return _("Stripe couldn’t take this card. You haven’t been charged. You can pay another way.")


def _number(given: Mapping[str, str], name: str) -> int:
    """A number of a row of ours; 0 for what is none."""
    text = given.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
