"""/v1/billing_portal/configurations: what customers may do in the portal."""

from __future__ import annotations

from typing import Any

from sandbox import clock
from sandbox.api import listing
from sandbox.api.form import Params
from sandbox.api.operation import LISTED, Call, Operation
from sandbox.errors import missing, not_built, request_error, required
from sandbox.events import change, emit
from sandbox.house import db, house
from sandbox.objects import portal as shapes

Json = dict[str, Any]

KIND = "billing_portal.configuration"
_FEATURES = (
    "customer_update.enabled customer_update.allowed_updates customer_update.allowed_updates.#"
    " invoice_history.enabled payment_method_update.enabled subscription_cancel.enabled"
    " payment_method_update.payment_method_configuration subscription_cancel.mode"
    " subscription_cancel.proration_behavior subscription_cancel.cancellation_reason.enabled"
    " subscription_cancel.cancellation_reason.options subscription_cancel.cancellation_reason.options.#"
    " subscription_cancel.cancellation_reason.feedback_options.# subscription_pause.enabled"
    " subscription_pause.duration.type subscription_pause.duration.interval_options.#.interval"
    " subscription_pause.duration.interval_options.#.interval_count subscription_update.enabled"
    " subscription_update.billing_cycle_anchor subscription_update.default_allowed_updates"
    " subscription_update.default_allowed_updates.# subscription_update.proration_behavior"
    " subscription_update.trial_update_behavior subscription_update.products"
    " subscription_update.products.#.product subscription_update.products.#.prices.#"
    " subscription_update.products.#.adjustable_quantity.enabled"
    " subscription_update.products.#.adjustable_quantity.minimum"
    " subscription_update.products.#.adjustable_quantity.maximum"
    " subscription_update.schedule_at_period_end.conditions.#.type"
)
ACCEPTED = (
    "business_profile.headline business_profile.privacy_policy_url business_profile.terms_of_service_url"
    " default_return_url login_page.enabled metadata.* name "
) + " ".join(f"features.{name}" for name in _FEATURES.split())
PRORATION = ("always_invoice", "create_prorations", "none")


def create(call: Call) -> Json:
    params = call.params
    if not params.child("features").tree:
        raise required("features")
    made = shapes.configuration(clock.wall(), params.metadata(), shapes.off())
    _write(made, params)
    db().put(made)
    emit(f"{KIND}.created", made)
    return made


def retrieve(call: Call) -> Json:
    return call.subject(KIND, "configuration")


def update(call: Call) -> Json:
    found, params = retrieve(call), call.params
    active = params.flag("active")
    if active is False and found["is_default"]:
        raise request_error("You can't deactivate the default configuration.", param="active")

    def edit(obj: Json) -> None:
        _write(obj, params)
        obj["metadata"] = params.metadata(obj["metadata"])
        obj["active"] = obj["active"] if active is None else active
        obj["updated"] = clock.wall()

    return change(found, f"{KIND}.updated", edit)


def list_(call: Call) -> Json:
    with db().transaction():
        default()
    where = {"active": call.params.flag("active"), "is_default": call.params.flag("is_default")}
    return listing.page(call, KIND, "/v1/billing_portal/configurations", where)


def default() -> Json | None:
    """The account's saved portal settings: there from the start, unless the setting `portal_default` says none."""
    if house().settings()["portal_default"] == "none":
        return None
    found = db().all(KIND, is_default=True)
    return (
        found[0] if found else db().put(shapes.configuration(clock.wall(), {}, shapes.usual(), default=True))
    )


def _write(obj: Json, params: Params) -> None:
    profile = params.child("business_profile")
    obj["business_profile"] |= profile.words("headline", "privacy_policy_url", "terms_of_service_url")
    if len(obj["business_profile"]["headline"] or "") > 60:
        raise request_error("A headline may have up to 60 characters.", param=profile.name("headline"))
    obj |= params.words("default_return_url", "name")
    if params.child("login_page").flag("enabled"):
        raise not_built("the portal's login page", "login_page[enabled]")
    features, read = params.child("features"), {
        "customer_update": _customer_update,
        "invoice_history": _enabled,
        "payment_method_update": _enabled,
        "subscription_cancel": _cancel,
        "subscription_pause": _pause,
        "subscription_update": _update,
    }  # fmt: skip
    for name, reader in read.items():
        if features.has(name):
            reader(obj["features"][name], features.child(name))


def _enabled(feature: Json, params: Params) -> None:
    enabled = params.flag("enabled")
    if enabled is not None:
        feature["enabled"] = enabled
    if params.text("payment_method_configuration"):
        name = "payment_method_configuration"
        raise not_built("payment method configurations", params.name(name))


def _choices(params: Params, name: str, allowed: tuple[str, ...]) -> list[str]:
    chosen = params.texts(name)
    for each in chosen:
        if each not in allowed:
            raise request_error(
                f"Invalid {params.name(name)}: must be one of {', '.join(allowed)}", param=params.name(name)
            )
    return chosen


def _customer_update(feature: Json, params: Params) -> None:
    _enabled(feature, params)
    if params.has("allowed_updates"):
        allowed = ("address", "email", "name", "phone", "shipping", "tax_id")
        feature["allowed_updates"] = _choices(params, "allowed_updates", allowed)
    for name in ("shipping", "tax_id"):
        if name in feature["allowed_updates"]:
            raise not_built(f"changes of {name} in the portal", params.name("allowed_updates"))
    if feature["enabled"] and not feature["allowed_updates"]:
        raise required(params.name("allowed_updates"))


def _cancel(feature: Json, params: Params) -> None:
    _enabled(feature, params)
    feature["mode"] = params.choice("mode", "at_period_end", "immediately") or feature["mode"]
    behavior = params.choice("proration_behavior", *PRORATION) or feature["proration_behavior"]
    if behavior != "none" and feature["mode"] == "at_period_end":
        raise request_error(
            "`proration_behavior` must be none when the mode is at_period_end.",
            param=params.name("proration_behavior"),
        )
    feature["proration_behavior"] = behavior
    reason = params.child("cancellation_reason")
    if reason.has("feedback_options"):
        raise not_built("feedback options", reason.name("feedback_options"))
    _enabled(feature["cancellation_reason"], reason)
    if reason.has("options"):
        options = _choices(reason, "options", tuple(shapes.REASONS.split()))
        feature["cancellation_reason"]["options"] = options


def _pause(feature: Json, params: Params) -> None:
    _enabled(feature, params)
    duration = params.child("duration")
    if duration.choice("type", "indefinite", "interval_options") == "interval_options":
        raise not_built("pauses of a chosen length", duration.name("type"))


def _update(feature: Json, params: Params) -> None:
    _enabled(feature, params)
    anchor = params.choice("billing_cycle_anchor", "now", "unchanged")
    feature["billing_cycle_anchor"] = anchor or feature["billing_cycle_anchor"]
    for name, allowed in (
        ("proration_behavior", PRORATION),
        ("trial_update_behavior", ("continue_trial", "end_trial")),
    ):
        feature[name] = params.choice(name, *allowed) or feature[name]
    if params.has("default_allowed_updates"):
        updates = _choices(params, "default_allowed_updates", ("price", "promotion_code", "quantity"))
        feature["default_allowed_updates"] = updates
    if params.has("products"):
        feature["products"] = _products(params)
    ending = params.child("schedule_at_period_end")
    if ending.has("conditions"):
        conditions = ("decreasing_item_amount", "shortening_interval")
        kinds = [row.choice("type", *conditions) for row in ending.rows("conditions")]
        feature["schedule_at_period_end"] = {"conditions": [{"type": kind} for kind in kinds]}
    if feature["enabled"] and not (feature["products"] and feature["default_allowed_updates"]):
        lacking = "default_allowed_updates" if feature["products"] else "products"
        raise required(params.name(lacking))


def _products(params: Params) -> list[Json]:
    rows = params.rows("products")
    if len(rows) > 10:
        raise request_error("You can list up to 10 products.", param=params.name("products"))
    return [_product(row) for row in rows]


def _product(row: Params) -> Json:
    product, prices = row.need("product"), row.texts("prices")
    if db().find("product", product) is None:
        raise missing("product", product, row.name("product"), 400)
    if not prices:
        raise required(row.name("prices"))
    seen = set()
    for id_ in prices:
        price = db().find("price", id_)
        if price is None or price["product"] != product or not price["recurring"]:
            raise missing("price", id_, row.name("prices"), 400)
        every = (price["currency"], price["recurring"]["interval"], price["recurring"]["interval_count"])
        if every in seen:
            raise request_error(
                "Each price of a product needs an interval of its own.", param=row.name("prices")
            )
        seen.add(every)
    adjustable = row.child("adjustable_quantity")
    return {
        "adjustable_quantity": {
            "enabled": bool(adjustable.flag("enabled")),
            "maximum": adjustable.integer("maximum", least=1),
            "minimum": adjustable.integer("minimum", least=1) or 1,
        },
        "prices": prices,
        "product": product,
    }


OPERATIONS = (
    Operation("POST", "/v1/billing_portal/configurations", create, ACCEPTED),
    Operation("GET", "/v1/billing_portal/configurations", list_, f"{LISTED} active is_default"),
    Operation("GET", "/v1/billing_portal/configurations/<id>", retrieve),
    Operation("POST", "/v1/billing_portal/configurations/<id>", update, f"active {ACCEPTED}"),
)
