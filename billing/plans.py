"""The catalogue: what is sold, at which prices and on which terms. ``plan_file`` reads it from ``plans.toml``."""

from __future__ import annotations

from dataclasses import dataclass

from billing.language import _


@dataclass(frozen=True)
class Price:
    """What is charged: ``amount`` in minor units of ``currency``, each ``interval``; None means once."""

    item: str
    amount: int
    currency: str
    interval: str | None

    @property
    def lookup_key(self) -> str:
        """The name under which Stripe knows this price; it stays when the amount changes."""
        return "_".join(part for part in (self.item, self.interval, self.currency) if part)


@dataclass(frozen=True)
class Seats:
    """How many of a plan one subscription may have (Stripe's ``quantity``), both ends included."""

    least: int
    most: int


@dataclass(frozen=True)
class Plan:
    """A thing people subscribe to. ``gives`` are the features that access opens.

    The terms of a trial are in Stripe's words. ``payment_method_collection``: ``always`` asks for a card when the
    trial begins, ``if_required`` does not. ``missing_payment_method``: what Stripe does when a trial ends and there
    is no card: ``cancel``, ``pause`` or ``create_invoice``. ``seats`` None: always one.
    """

    name: str
    title: str
    sentence: str
    features: tuple[str, ...]
    gives: tuple[str, ...]
    trial_days: int
    prices: tuple[Price, ...]
    payment_method_collection: str = "always"
    missing_payment_method: str = "cancel"
    seats: Seats | None = None

    def price(self, interval: str, currency: str | None = None) -> Price | None:
        """Its price for an interval in a currency, by default in the one that the file names first."""
        fitting = (one for one in self.prices if one.interval == interval)
        return next((one for one in fitting if currency in (None, one.currency)), None)


@dataclass(frozen=True)
class Product:
    """A thing people buy once. ``price``: in the currency that the file names first; ``others``: in each other one.

    ``credits``: how many it adds to what the buyer has. ``gives``: the features that it opens for life.
    """

    name: str
    title: str
    sentence: str
    price: Price
    others: tuple[Price, ...] = ()
    credits: int = 0
    gives: tuple[str, ...] = ()

    @property
    def prices(self) -> tuple[Price, ...]:
        return (self.price, *self.others)

    def price_in(self, currency: str | None) -> Price | None:
        """Its price in this currency; None where it isn't sold in it."""
        return next((price for price in self.prices if price.currency == currency), None)


@dataclass(frozen=True)
class Catalogue:
    plans: tuple[Plan, ...]
    products: tuple[Product, ...]

    def plan(self, name: str) -> Plan | None:
        return next((plan for plan in self.plans if plan.name == name), None)

    def product(self, name: str) -> Product | None:
        return next((product for product in self.products if product.name == name), None)

    def title(self, name: str | None) -> str:
        """The name that people see; an item that is no longer sold keeps its own."""
        item = (self.plan(name) or self.product(name)) if name else None
        return item.title if item else (name or _("your plan"))

    def prices(self) -> list[tuple[str, Price]]:
        """Every price with the title of its item, in the order of the file."""
        plans = [(plan.title, price) for plan in self.plans for price in plan.prices]
        return plans + [(product.title, price) for product in self.products for price in product.prices]
