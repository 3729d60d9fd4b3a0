"""The naive receiver, as tutorials have it: the SDK builds the event, the ORM updates a row, all in the request.

It is the baseline of `benchmarks/intake.py`, not a way to do it: it trusts the order in which events come.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import stripe
from flask import Flask, request
from flask.typing import ResponseReturnValue
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Plan(db.Model):  # type: ignore[name-defined,misc]
    __tablename__ = "plans"

    id: Mapped[int] = mapped_column(primary_key=True)
    stripe_id: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str | None]
    until: Mapped[datetime | None]
    last_event: Mapped[str | None]


def create_app(database: str | None = None, secret: str | None = None) -> Flask:
    app, secret = Flask("naive"), secret or os.environ.get("NAIVE_SECRET", "")
    app.config["SQLALCHEMY_DATABASE_URI"] = database or os.environ["NAIVE_DATABASE_URL"]
    db.init_app(app)

    @app.post("/webhook")
    def webhook() -> ResponseReturnValue:
        try:
            event: Any = stripe.Webhook.construct_event(
                request.data, request.headers.get("Stripe-Signature"), secret
            )
        except (ValueError, stripe.SignatureVerificationError):
            return {"error": "not Stripe's"}, 400
        if event.type == "customer.subscription.updated":
            thing = event.data.object
            plan = db.session.execute(db.select(Plan).filter_by(stripe_id=thing.id)).scalar_one()
            plan.status = thing.status
            plan.until = datetime.fromtimestamp(thing["items"].data[0].current_period_end, UTC)
            plan.last_event = event.id
            db.session.commit()
        return {"received": True}

    return app


def make_tables(database: str, subjects: list[str]) -> None:
    """A row for each subscription that events will be about."""
    with create_app(database).app_context():
        db.create_all()
        db.session.add_all(Plan(stripe_id=each) for each in subjects)
        db.session.commit()
        db.engine.dispose()
