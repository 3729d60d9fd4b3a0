"""Is everything set up: what ``flask doctor`` asks, as far as it costs little, and who sends which mail."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from billing import checks, running, senders
from billing.admin import bp
from billing.extensions import db

TAGS = {
    "ok": ("Right", "good", "●"),
    "note": ("Compare", "rest", "○"),
    "warn": ("Look at it", "look", "▲"),
    "wrong": ("Wrong", "stop", "■"),
}
WORST_FIRST = ("wrong", "warn", "note", "ok")
TURN = {"on": "switch it on", "off": "switch it off", None: "as you like: Dunlin has no such mail"}


@bp.get("/ready")
def ready() -> ResponseReturnValue:
    """Our own parts; with ``?stripe=1`` also what Stripe says, which takes a moment. Looking changes nothing."""
    session, config = db.session(), running.config()
    asked = "stripe" in request.args
    findings = list(checks.here(session, config))
    if asked:
        findings += checks.stripes(session, config)
    return render_template(
        "admin/ready.html",
        rows=[_row(one) for one in sorted(findings, key=lambda one: WORST_FIRST.index(one.level))],
        counted=Counter(one.level for one in findings),
        asked=asked,
        again={
            "label": "Check again" if asked else "Check at Stripe too",
            "href": url_for("admin.ready", stripe=1),
        },
        chosen=config.billing_emails,
        switches=[_switch(one) for one in senders.switches(config.billing_emails)],
    )


def _row(finding: checks.Finding) -> dict[str, Any]:
    tag, tone, glyph = TAGS[finding.level]
    return {
        "about": finding.about[:1].upper() + finding.about[1:],
        "tag": tag,
        "tone": tone,
        "glyph": glyph,
        "says": finding.says,
        "fix": finding.fix,
    }


def _switch(one: senders.Switch) -> dict[str, str]:
    return {"name": one.name, "where": one.where, "kinds": ", ".join(one.kinds), "turn": TURN[one.turn]}
