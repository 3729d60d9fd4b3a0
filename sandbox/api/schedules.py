"""/v1/subscription_schedules."""

from __future__ import annotations

from typing import Any

from sandbox import clock, periods
from sandbox.api import listing
from sandbox.api import subscription_params as said
from sandbox.api.form import Params
from sandbox.api.operation import CREATED, LISTED, Call, Operation
from sandbox.engine import schedules
from sandbox.errors import missing, not_built, request_error, required
from sandbox.house import db
from sandbox.objects import schedule as shapes

Json = dict[str, Any]

PHASE = (
    f"{said.spell('items.#', said.ITEM)} duration.interval duration.interval_count end_date proration_behavior"
    " trial trial_end metadata.* discounts.#.coupon discounts.#.discount discounts.#.promotion_code description"
    " default_payment_method"
)
MOMENTS = ("canceled_at", "completed_at", "released_at")
FILTERS = " ".join(f"{name} {name}.gt {name}.gte {name}.lt {name}.lte" for name in MOMENTS)


def create(call: Call) -> Json:
    params = call.params
    given: Json = {"end_behavior": _end_behavior(params), "metadata": params.metadata()}
    if params.text("from_subscription"):
        return _from_subscription(params, given)
    id_ = params.need("customer")
    customer = db().find("customer", id_)
    if customer is None or customer.get("_deleted"):
        raise missing("customer", id_, "customer", 400)
    if not params.rows("phases"):
        raise required("phases")
    given["billing_mode"] = params.child("billing_mode").choice("type", "classic", "flexible")
    now = clock.now(id_)
    start = now if params.text("start_date") in (None, "now") else params.integer("start_date")
    if start is None or start < now:
        raise not_built("schedules that start in the past", "start_date")
    return schedules.create(customer, _phases(params, customer, start, None), given)


def _end_behavior(params: Params) -> str | None:
    chosen = params.choice("end_behavior", "cancel", "release", "none", "renew")
    if chosen in ("none", "renew"):
        raise not_built(f"the end_behavior {chosen}", "end_behavior")
    return chosen


def _from_subscription(params: Params, given: Json) -> Json:
    for name in ("phases", "customer", "start_date", "end_behavior"):
        if params.has(name):
            raise request_error(
                f"You cannot set `{name}` if `from_subscription` is set.", "parameters_exclusive", name
            )
    id_ = params.need("from_subscription")
    sub = db().find("subscription", id_)
    if sub is None:
        raise missing("subscription", id_, "from_subscription", 400)
    if sub["status"] not in ("active", "trialing", "past_due"):
        raise request_error(f"You cannot make a schedule from a subscription that is {sub['status']}.")
    return schedules.from_subscription(sub, given)


def _phases(params: Params, customer: Json, start: int, living: Json | None) -> list[Json]:
    """The phases of the request, one after the other. `living` is the schedule that they change."""
    made: list[Json] = []
    for row in params.rows("phases"):
        made.append(_phase(row, customer, start, first=not made and living is None))
        start = made[-1]["end_date"]
    if len({each["currency"] for each in made}) > 1:
        raise request_error("All phases must use one currency.", param="phases")
    return made


def _phase(row: Params, customer: Json, start: int, first: bool) -> Json:
    rows = row.rows("items")
    if not rows:
        raise required(row.name("items"))
    prices = [said.price(each, None) for each in rows]
    said.check_prices(prices, row.name("items"))
    items = [
        shapes.phase_item(price["id"], each.integer("quantity", least=0) or 1, each.metadata())
        for price, each in zip(prices, rows, strict=True)
    ]
    currency = prices[0]["currency"]
    end = _end(row, start, prices[0])
    trial = end if row.flag("trial") else row.integer("trial_end")
    if trial is not None and not first:
        raise not_built("trials in later phases", row.name("trial"))
    given = {
        "currency": currency,
        "description": row.text("description"),
        "default_payment_method": said.method(customer["id"], row),
        "discounts": _discounts(row, customer, currency),
        "metadata": row.metadata(),
        "proration_behavior": said.proration(row),
        "trial_end": trial,
    }
    return shapes.phase(start, end, items, given)


def _end(row: Params, start: int, price: Json) -> int:
    """Its end_date, its duration after the start, or one interval of its price."""
    end = row.integer("end_date")
    duration = row.child("duration")
    if end is not None and duration.tree:
        raise request_error(
            "You may only specify one of these parameters: end_date, duration.", "parameters_exclusive"
        )
    if duration.tree:
        interval = duration.choice("interval", "day", "week", "month", "year")
        if interval is None:
            raise required(duration.name("interval"))
        count = duration.integer("interval_count", least=1) or 1
        return periods.boundary(start, {"interval": interval, "interval_count": count}, 1)
    if end is None:
        return periods.boundary(start, price["recurring"], 1)
    if end <= start:
        raise request_error("A phase must end after it starts.", param=row.name("end_date"))
    return end


def _discounts(row: Params, customer: Json, currency: str) -> list[Json]:
    said.offers(row, customer, currency)  # each must be good
    return [
        {
            "coupon": each.text("coupon"),
            "discount": each.text("discount"),
            "promotion_code": each.text("promotion_code"),
        }
        for each in row.rows("discounts")
    ]


def retrieve(call: Call) -> Json:
    return call.subject("subscription_schedule")


def list_(call: Call) -> Json:
    params = call.params
    conditions: list[str] = []
    args: list[Any] = []
    for name in MOMENTS:
        for sign, moment in listing.bounds(call.params, name):
            conditions.append(f"json_extract(body, '$.{name}') {sign} ?")
            args.append(moment)
    where: Json = {"customer": params.text("customer")}
    if params.flag("scheduled"):
        where["status"] = "not_started"
    extra = (" AND ".join(conditions), args)
    return listing.page(call, "subscription_schedule", "/v1/subscription_schedules", where, extra)


def update(call: Call) -> Json:
    schedule, params = retrieve(call), call.params
    fields: Json = {}
    if params.has("metadata"):
        fields["metadata"] = params.metadata(schedule["metadata"])
    if params.has("end_behavior"):
        fields["end_behavior"] = _end_behavior(params)
    if params.has("phases"):
        fields["phases"] = _changed_phases(schedule, params)
    return schedules.update(schedule, fields, said.proration(params))


def _changed_phases(schedule: Json, params: Params) -> list[Json]:
    """All that is not over yet: the first must be the current phase, or where none has begun may start later."""
    customer = db().get("customer", schedule["customer"])
    rows = params.rows("phases")
    if not rows:
        raise required("phases")
    current = schedule["current_phase"]
    start = current["start_date"] if current else schedule["phases"][0]["start_date"]
    asked = rows[0].text("start_date")
    if asked not in (None, "now", str(start)):
        if current is not None:
            raise request_error("The first phase must be the current one.", param=rows[0].name("start_date"))
        start = rows[0].integer("start_date") or start
    over = [each for each in schedule["phases"] if each["end_date"] <= start]
    return [*over, *_phases(params, customer, start, schedule if current else None)]


def release(call: Call) -> Json:
    return schedules.release(retrieve(call), call.params.flag("preserve_cancel_date") or False)


def cancel(call: Call) -> Json:
    params = call.params
    prorate, invoice_now = params.flag("prorate"), params.flag("invoice_now")
    return schedules.cancel(retrieve(call), prorate is not False, invoice_now is not False)


OPERATIONS = (
    Operation(
        "POST", "/v1/subscription_schedules", create,
        f"customer from_subscription start_date end_behavior metadata.* billing_mode.type"
        f" {said.spell('phases.#', PHASE)}",
    ),
    Operation(
        "GET", "/v1/subscription_schedules", list_, f"{LISTED} {CREATED} {FILTERS} customer scheduled"
    ),
    Operation("GET", "/v1/subscription_schedules/<id>", retrieve),
    Operation(
        "POST", "/v1/subscription_schedules/<id>", update,
        f"end_behavior metadata.* proration_behavior {said.spell('phases.#', PHASE + ' start_date')}",
    ),
    Operation("POST", "/v1/subscription_schedules/<id>/release", release, "preserve_cancel_date"),
    Operation("POST", "/v1/subscription_schedules/<id>/cancel", cancel, "invoice_now prorate"),
)  # fmt: skip
