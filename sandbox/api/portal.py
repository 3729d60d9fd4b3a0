"""/v1/billing_portal: sessions and the one default configuration."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import customers, listing
from sandbox.api.form import Params
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.errors import missing, not_built, request_error, required
from sandbox.events import emit
from sandbox.house import db, house
from sandbox.objects import portal as shapes

Json = dict[str, Any]

FLOW = (
    "flow_data.type flow_data.subscription_cancel.subscription flow_data.after_completion.type"
    " flow_data.after_completion.redirect.return_url"
    " flow_data.after_completion.hosted_confirmation.custom_message"
)


def create_session(call: Call) -> Json:
    params = call.params
    customer = customers.living(params.need("customer"))
    configuration = _configuration(params)
    given = {
        "base_url": house().base_url,
        "return_url": params.text("return_url") or configuration["default_return_url"],
        "locale": params.text("locale"),
        "flow": _flow(params.child("flow_data"), customer) if params.has("flow_data") else None,
    }
    session = shapes.session(clock.now(customer["id"]), customer["id"], configuration["id"], given)
    session["_opened_at"] = clock.wall()
    db().put(session)
    db().set_token(session["_token"], {"kind": "portal", "id": session["id"]})
    emit("billing_portal.session.created", session)
    return session


def _configuration(params: Params) -> Json:
    id_ = params.text("configuration")
    if id_ is None:
        return default_configuration()
    found = db().find("billing_portal.configuration", id_)
    if found is None:
        raise missing("configuration", id_, "configuration", 400)
    return found


def default_configuration() -> Json:
    """The account's saved portal settings; they are there from the start."""
    found = db().all("billing_portal.configuration")
    return found[0] if found else db().put(shapes.configuration(clock.wall()))


def _flow(params: Params, customer: Json) -> Json:
    kind = params.text("type")
    if kind is None:
        raise required("flow_data[type]")
    if kind not in ("payment_method_update", "subscription_cancel"):
        raise not_built(f"the portal flow {kind}", "flow_data[type]")
    subscription = None
    if kind == "subscription_cancel":
        subscription = _subscription(params.child("subscription_cancel"), customer)
    return shapes.flow(kind, subscription, _after(params.child("after_completion")))


def _subscription(params: Params, customer: Json) -> str:
    id_ = params.need("subscription")
    found = db().find("subscription", id_)
    if found is None or found["customer"] != customer["id"]:
        raise missing("subscription", id_, params.name("subscription"), 400)
    if found["status"] in ("canceled", "incomplete_expired") or found["cancel_at_period_end"]:
        raise request_error(
            "This subscription cannot be canceled: it is canceled already or set to cancel.",
            param=params.name("subscription"),
        )
    return id_


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


def configurations(call: Call) -> Json:
    with db().transaction():
        default_configuration()
    return listing.page(call, "billing_portal.configuration", "/v1/billing_portal/configurations")


def configuration(call: Call) -> Json:
    return call.subject("billing_portal.configuration", "configuration")


OPERATIONS = (
    Operation(
        "POST", "/v1/billing_portal/sessions", create_session,
        f"customer return_url locale configuration {FLOW}",
    ),
    Operation("GET", "/v1/billing_portal/configurations", configurations, f"{LISTED} active is_default"),
    Operation("GET", "/v1/billing_portal/configurations/<id>", configuration),
)  # fmt: skip
