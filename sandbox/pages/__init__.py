"""The pages a person meets at Stripe, drawn by the sandbox, and the control panel.

Reading order: guards.py (who may call, which headers go out), cards.py (the card form), answers.py (what
follows a submitted form), then one module per page. Pages know HTTP and HTML; what a button does is decided
in ``sandbox.actions`` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint

from sandbox import actions
from sandbox.pages import (
    answers,
    challenge,
    checkout,
    guards,
    invoice,
    panel,
    panel_wire,
    portal,
    portal_plans,
    wording,
)

bp = Blueprint(
    "pages",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/sandbox-static",
)

View = Callable[..., Any]
ROUTES: tuple[tuple[str, str, View, str], ...] = (
    ("GET", "/c/pay/<session_id>", checkout.show, "checkout"),
    ("POST", "/c/pay/<session_id>", checkout.submit, "checkout_pay"),
    ("POST", "/c/pay/<session_id>/expire", checkout.expire, "checkout_expire"),
    ("GET", "/r/<token>", checkout.recover, "checkout_recover"),
    ("GET", "/3ds/<token>", challenge.show, "challenge"),
    ("POST", "/3ds/<token>", challenge.answer, "challenge_answer"),
    ("GET", "/p/session/<token>", portal.show, "portal"),
    ("GET", "/p/session/<token>/home", portal.home, "portal_home"),
    ("GET", "/p/session/<token>/card", portal.card_form, "portal_card"),
    ("POST", "/p/session/<token>/card", portal.update_card, "portal_update_card"),
    ("POST", "/p/session/<token>/revive", portal.revive, "portal_revive"),
    ("POST", "/p/session/<token>/methods/<method_id>/default", portal.set_default, "portal_default"),
    ("POST", "/p/session/<token>/methods/<method_id>/remove", portal.remove_method, "portal_remove"),
    ("GET", "/p/session/<token>/details", portal.details, "portal_details"),
    ("POST", "/p/session/<token>/details", portal.update_details, "portal_update_details"),
    ("GET", "/p/session/<token>/cancel/<subscription_id>", portal_plans.cancel_form, "portal_cancel"),
    ("POST", "/p/session/<token>/cancel/<subscription_id>", portal_plans.cancel, "portal_cancel_plan"),
    ("POST", "/p/session/<token>/keep/<subscription_id>", portal_plans.keep, "portal_keep"),
    ("POST", "/p/session/<token>/resume/<subscription_id>", portal_plans.resume, "portal_resume"),
    ("GET", "/p/session/<token>/pause/<subscription_id>", portal_plans.pause_form, "portal_pause"),
    ("POST", "/p/session/<token>/pause/<subscription_id>", portal_plans.pause, "portal_pause_plan"),
    ("GET", "/p/session/<token>/change/<subscription_id>", portal_plans.change_form, "portal_change"),
    ("POST", "/p/session/<token>/change/<subscription_id>", portal_plans.change, "portal_change_plan"),
    ("GET", "/i/<token>", invoice.show, "invoice"),
    ("POST", "/i/<token>", invoice.pay, "invoice_pay"),
    ("GET", "/i/<token>/pdf", invoice.pdf, "invoice_pdf"),
    ("GET", "/receipts/<token>", invoice.receipt, "receipt"),
    ("GET", "/", panel.hub, "hub"),
    ("GET", "/clock", panel.clock, "clock"),
    ("POST", "/clock/advance", panel.advance, "clock_advance"),
    ("POST", "/clock/card", panel.use_card, "clock_card"),
    ("POST", "/clock/everybody", panel_wire.advance, "clock_everybody"),
    ("GET", "/deliveries", panel_wire.deliveries, "deliveries"),
    ("POST", "/deliveries/flush", panel_wire.flush, "deliveries_flush"),
    ("POST", "/deliveries/resend", panel_wire.resend, "deliveries_resend"),
    ("POST", "/deliveries/roll", panel_wire.roll, "deliveries_roll"),
    ("GET", "/trouble", panel_wire.trouble, "trouble"),
    ("POST", "/trouble", panel_wire.set_trouble, "trouble_set"),
    ("POST", "/trouble/settings", panel_wire.set_settings, "settings_set"),
    ("GET", "/state", panel_wire.state, "state"),
    ("POST", "/state", panel_wire.change_state, "state_change"),
)

for _method, _path, _view, _name in ROUTES:
    bp.add_url_rule(_path, _name, _view, methods=[_method])

# For the whole process: the control API changes state without a key, so no foreign page may reach it.
bp.before_app_request(guards.refuse_foreign_host)
bp.before_app_request(guards.refuse_foreign_origin)
bp.after_request(guards.set_headers)
bp.register_error_handler(actions.NotFound, answers.not_found)
bp.app_errorhandler(404)(answers.not_found)
bp.app_errorhandler(405)(answers.not_a_page)
for _filter in (wording.money, wording.moment, wording.day, wording.card_words, wording.every):
    bp.add_app_template_filter(_filter)
bp.add_app_template_filter(guards.web_link)
