"""/v1/billing_portal/sessions."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import customers, portal_configurations
from sandbox.api.form import Params
from sandbox.api.operation import Call, Operation
from sandbox.engine import amounts, discounts
from sandbox.errors import missing, request_error, required
from sandbox.events import emit
from sandbox.house import db, house
from sandbox.objects import portal as shapes

Json = dict[str, Any]

FLOW = (
    "flow_data.type flow_data.subscription_cancel.subscription flow_data.subscription_cancel.retention.type"
    " flow_data.subscription_cancel.retention.coupon_offer.coupon flow_data.subscription_pause.subscription"
    " flow_data.subscription_update.subscription flow_data.subscription_update_confirm.subscription"
    " flow_data.subscription_update_confirm.items.#.id flow_data.subscription_update_confirm.items.#.price"
    " flow_data.subscription_update_confirm.items.#.quantity"
    " flow_data.subscription_update_confirm.discounts.#.coupon"
    " flow_data.subscription_update_confirm.discounts.#.promotion_code flow_data.after_completion.type"
    " flow_data.after_completion.redirect.return_url"
    " flow_data.after_completion.hosted_confirmation.custom_message"
)
# The feature of a configuration that a flow needs.
FEATURES = {
    "payment_method_update": "payment_method_update",
    "subscription_cancel": "subscription_cancel",
    "subscription_update": "subscription_update",
    "subscription_update_confirm": "subscription_update",
    "customer_update": "customer_update",
    "subscription_pause": "subscription_pause",
}
SETTINGS_PAGE = "https://dashboard.stripe.com/test/settings/billing/portal"


def create_session(call: Call) -> Json:
    params = call.params
    customer = customers.living(params.need("customer"))
    configuration = _configuration(params)
    flow = None
    if params.has("flow_data"):
        flow = _flow(params.child("flow_data"), customer, configuration["features"])
    given = {
        "base_url": house().base_url,
        "return_url": params.text("return_url") or configuration["default_return_url"],
        "locale": params.text("locale"),
        "flow": flow,
        "after_expiration": _after_expiration(params, clock.now(customer["id"])),
    }
    session = shapes.session(clock.now(customer["id"]), customer["id"], configuration["id"], given)
    session["_opened_at"] = clock.wall()
    db().put(session)
    db().set_token(session["_token"], {"kind": "portal", "id": session["id"]})
    emit("billing_portal.session.created", session)
    return session


def _configuration(params: Params) -> Json:
    id_ = params.text("configuration")
    if id_ is not None:
        found = db().find(portal_configurations.KIND, id_)
        if found is None or not found["active"]:
            raise missing("configuration", id_, "configuration", 400)
        return found
    default = portal_configurations.default()
    if default is None:
        raise request_error(
            "No configuration provided and your test mode default configuration has not been created. Provide a"
            " configuration or create your default by saving your customer portal settings in test mode at"
            f" {SETTINGS_PAGE}."
        )
    return default


def _after_expiration(params: Params, now: int) -> Json | None:
    given = params.child("after_expiration")
    if not given.tree:
        return None
    if given.choice("type", "customer_login") is None:
        raise required(given.name("type"))
    expires_at = given.child("customer_login").integer("expires_at")
    if expires_at is not None and expires_at <= now:
        raise request_error(
            "`expires_at` must be in the future.", param="after_expiration[customer_login][expires_at]"
        )
    return {"customer_login": {"expires_at": expires_at}, "type": "customer_login"}


def _flow(params: Params, customer: Json, features: Json) -> Json:
    kind = params.choice("type", *FEATURES)
    if kind is None:
        raise required("flow_data[type]")
    if not features[FEATURES[kind]]["enabled"]:
        raise request_error(
            f"This flow needs the feature `{FEATURES[kind]}` enabled in the portal configuration.",
            param="flow_data[type]",
        )
    about = params.child(kind)
    data: Json = {}
    if kind.startswith("subscription"):
        sub = _subscription(about, customer, kind)
        data["subscription"] = sub["id"]
    if kind == "subscription_cancel":
        data["retention"] = _retention(about.child("retention"))
    if kind == "subscription_update_confirm":
        data |= _confirmed(about, sub)
    return shapes.flow(kind, data, _after(params.child("after_completion")))


def _subscription(params: Params, customer: Json, kind: str) -> Json:
    id_ = params.need("subscription")
    found = db().find("subscription", id_)
    if found is None or found["customer"] != customer["id"]:
        raise missing("subscription", id_, params.name("subscription"), 400)
    over = found["status"] in ("canceled", "incomplete_expired")
    if over or (kind == "subscription_cancel" and found["cancel_at_period_end"]):
        raise request_error(
            "This subscription cannot be canceled: it is canceled already or set to cancel.",
            param=params.name("subscription"),
        )
    if kind.startswith("subscription_update") and (
        len(found["items"]["data"]) > 1 or found["schedule"] is not None
    ):
        raise request_error(
            "Subscriptions with several items or a schedule cannot be updated in the portal.",
            param=params.name("subscription"),
        )
    return found


def _retention(params: Params) -> Json | None:
    if not params.tree:
        return None
    if params.choice("type", "coupon_offer") is None:
        raise required(params.name("type"))
    offer = params.child("coupon_offer")
    coupon = offer.need("coupon")
    if db().find("coupon", coupon) is None:
        raise missing("coupon", coupon, offer.name("coupon"), 400)
    return {"coupon_offer": {"coupon": coupon}, "type": "coupon_offer"}


def _confirmed(params: Params, sub: Json) -> Json:
    rows = params.rows("items")
    if len(rows) != 1:
        raise request_error("You must pass exactly one item.", param=params.name("items"))
    row, known = rows[0], sub["items"]["data"][0]
    if row.need("id") != known["id"]:
        raise missing("subscription item", row.need("id"), row.name("id"), 400)
    price_id = row.text("price") or known["price"]["id"]
    price = db().find("price", price_id)
    if price is None or not price["recurring"] or amounts.unit_amount(price, sub["currency"]) is None:
        raise missing("price", price_id, row.name("price"), 400)
    offers = [_offer(each) for each in params.rows("discounts")]
    if len(offers) > 1:
        raise request_error("You can only apply one discount.", param=params.name("discounts"))
    return {
        "discounts": offers or None,
        "items": [{"id": known["id"], "price": price_id, "quantity": row.integer("quantity", least=1) or 1}],
    }


def _offer(row: Params) -> Json:
    coupon, code = row.text("coupon"), row.text("promotion_code")
    discounts.offer(coupon, code, row.name("")[:-2])
    return {"coupon": coupon, "promotion_code": code}


def _after(params: Params) -> Json:
    kind = params.choice("type", "portal_homepage", "redirect", "hosted_confirmation")
    after: Json = {"type": kind or "portal_homepage"}
    if kind == "redirect":
        after["redirect"] = {"return_url": params.child("redirect").need("return_url")}
    if kind == "hosted_confirmation":
        after["hosted_confirmation"] = {
            "custom_message": params.child("hosted_confirmation").text("custom_message")
        }
    return after


OPERATIONS = (
    Operation(
        "POST",
        "/v1/billing_portal/sessions",
        create_session,
        "customer return_url locale configuration after_expiration.type"
        f" after_expiration.customer_login.expires_at {FLOW}",
    ),
    *portal_configurations.OPERATIONS,
)
