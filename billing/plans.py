"""The catalogue: plans and one-off products from ``plans.toml``. Prices come from here, never from a form."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing.errors import ConfigError
from billing.money import check_amount

INTERVALS = ("month", "year")
MOST_SEATS = 9999
LONGEST_TRIAL = 730  # days; Stripe takes two years at most


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
    """How many seats a plan may be had with."""

    least: int
    most: int


@dataclass(frozen=True)
class Plan:
    """A thing people subscribe to. ``gives`` are the features that access opens; ``seats`` None: it has none."""

    name: str
    title: str
    sentence: str
    features: tuple[str, ...]
    gives: tuple[str, ...]
    trial_days: int
    prices: tuple[Price, ...]
    seats: Seats | None = None

    def price(self, interval: str) -> Price | None:
        return next((price for price in self.prices if price.interval == interval), None)


@dataclass(frozen=True)
class Product:
    """A thing people buy once."""

    name: str
    title: str
    sentence: str
    price: Price


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
        return item.title if item else (name or "your plan")

    def prices(self) -> list[tuple[str, Price]]:
        """Every price with the title of its item, in the order of the file."""
        plans = [(plan.title, price) for plan in self.plans for price in plan.prices]
        return plans + [(product.title, product.price) for product in self.products]


def load(path: Path) -> Catalogue:
    """Read and check ``plans.toml``. Raises ConfigError naming the entry that is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:  # no file, no text, no TOML
        raise ConfigError(f"plans.toml can't be read: {problem}.") from problem
    plans = tuple(_plan(entry) for entry in _tables(data, "plan", "plan"))
    products = tuple(_product(entry) for entry in _tables(data, "product", "product"))
    names = [plan.name for plan in plans] + [product.name for product in products]
    if len(names) != len(set(names)):
        raise ConfigError("plans.toml has two entries of the same name; names must differ.")
    return Catalogue(plans, products)


def _tables(entry: dict[str, Any], key: str, header: str) -> list[dict[str, Any]]:
    """The tables under ``key``; one pair of brackets too few makes something else of them."""
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        of = f"plan {entry['name']}: " if "name" in entry else ""
        raise ConfigError(f"plans.toml: {of}each {key} needs a header of its own, [[{header}]].")
    return found


def _plan(entry: dict[str, Any]) -> Plan:
    name = _name(entry)
    rows = _tables(entry, "price", "plan.price")
    prices = tuple(_price(name, price, recurring=True) for price in rows)
    if not prices or len({price.interval for price in prices}) != len(prices):
        raise ConfigError(f"plans.toml: plan {name} needs one price for each interval that it offers.")
    return Plan(
        name=name,
        title=str(entry.get("title", name)),
        sentence=str(entry.get("sentence", "")),
        features=_texts(name, entry, "features"),
        gives=_texts(name, entry, "gives"),
        trial_days=_trial_days(name, entry),
        prices=prices,
        seats=_seats(name, entry),
    )


def _seats(name: str, entry: dict[str, Any]) -> Seats | None:
    found = entry.get("seats")
    if found is None:
        return None
    numbers = [found.get(key) for key in ("least", "most")] if isinstance(found, dict) else []
    least, most = [one if type(one) is int else 0 for one in numbers] or [0, 0]
    if not 1 <= least <= most <= MOST_SEATS:
        raise ConfigError(f"plans.toml: plan {name}: seats needs least and most, from 1 to {MOST_SEATS}.")
    return Seats(least, most)


def _product(entry: dict[str, Any]) -> Product:
    name = _name(entry)
    title, sentence = str(entry.get("title", name)), str(entry.get("sentence", ""))
    return Product(name, title, sentence, _price(name, entry, recurring=False))


def _texts(plan: str, entry: dict[str, Any], key: str) -> tuple[str, ...]:
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ConfigError(f"plans.toml: plan {plan}: {key} is a list of texts.")
    return tuple(found)


def _trial_days(plan: str, entry: dict[str, Any]) -> int:
    days = entry.get("trial_days", 0)
    if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= LONGEST_TRIAL:
        raise ConfigError(f"plans.toml: plan {plan}: trial_days is a whole number from 0 to {LONGEST_TRIAL}.")
    return days


def _name(entry: dict[str, Any]) -> str:
    name = str(entry.get("name", ""))
    if not name or not all(part.isalnum() for part in name.split("-")):
        raise ConfigError("plans.toml: each entry needs a name of letters, digits and hyphens.")
    return name


def _price(item: str, entry: dict[str, Any], *, recurring: bool) -> Price:
    interval = entry.get("interval")
    if recurring and interval not in INTERVALS:
        raise ConfigError(f"plans.toml: {item} has a price whose interval is not month or year.")
    currency, amount = str(entry.get("currency", "")).lower(), entry.get("amount")
    problem = check_amount(amount, currency)
    if problem:
        raise ConfigError(f"plans.toml: {item}: {problem}")
    return Price(item, int(str(amount)), currency, interval if recurring else None)
