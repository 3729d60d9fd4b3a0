"""Reading ``plans.toml``: each mistake is refused with one sentence that names the entry. Prices come from here,
never from a form."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from billing.errors import ConfigError
from billing.money import check_amount
from billing.plans import Catalogue, Plan, Price, Product, Seats

INTERVALS = ("month", "year")
LONGEST_TRIAL = 730  # days; Stripe takes two years at most
MOST_SEATS = 999_999
MOST_CREDITS = 1_000_000_000
LONGEST_GIVES = 500  # what one value of Stripe's metadata may hold
LONGEST_NAME = 180  # a lookup key has up to 200 characters, and interval and currency follow the name
COLLECTIONS = ("always", "if_required")
ENDS_OF_A_TRIAL = ("cancel", "pause", "create_invoice")
KEYS = {
    "plans.toml": ("plan", "product"),
    "plan": (
        "name", "title", "sentence", "features", "gives", "trial_days", "payment_method_collection",
        "missing_payment_method", "seats", "price",
    ),
    "price": ("interval", "currency", "amount"),
    "product": ("name", "title", "sentence", "credits", "gives", "currency", "amount", "price"),
    "product.price": ("currency", "amount"),
    "seats": ("least", "most"),
}  # fmt: skip
Entry = dict[str, Any]


def load(path: Path) -> Catalogue:
    """Read and check ``plans.toml``. Raises ConfigError naming the entry that is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:  # no file, no text, no TOML
        raise ConfigError(f"plans.toml can't be read: {problem}.") from problem
    _only(data, "plans.toml", "")
    plans = tuple(_plan(entry) for entry in _tables(data, "plan", "plan"))
    products = tuple(_product(entry) for entry in _tables(data, "product", "product"))
    names = [plan.name for plan in plans] + [product.name for product in products]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"plans.toml has two entries of the same name, {twice}; names must differ.")
    return Catalogue(plans, products)


def _plan(entry: Entry) -> Plan:
    name = _name(entry)
    of = f"plan {name}: "
    _only(entry, "plan", of)
    prices = tuple(_plan_price(of, name, row) for row in _tables(entry, "price", "plan.price"))
    if not prices:
        raise ConfigError(
            f"plans.toml: plan {name} needs one price for each interval and currency that it offers."
        )
    keys = [price.lookup_key for price in prices]
    for price in prices:
        if keys.count(price.lookup_key) > 1:
            each = f"{price.currency.upper()} by the {price.interval}"
            raise ConfigError(
                f"plans.toml: {of}two prices in {each}; there is one for each interval and currency."
            )
    return Plan(
        name=name,
        title=_text(of, entry, "title", name),
        sentence=_text(of, entry, "sentence", ""),
        features=_texts(of, entry, "features"),
        gives=_texts(of, entry, "gives"),
        trial_days=_whole(of, entry, "trial_days", 0, LONGEST_TRIAL, default=0),
        prices=prices,
        payment_method_collection=_trial_term(of, entry, "payment_method_collection", COLLECTIONS),
        missing_payment_method=_trial_term(of, entry, "missing_payment_method", ENDS_OF_A_TRIAL),
        seats=_seats(of, entry),
    )


def _product(entry: Entry) -> Product:
    name = _name(entry)
    of = f"product {name}: "
    _only(entry, "product", of)
    first, *others = _product_prices(of, name, entry)
    return Product(
        name=name,
        title=_text(of, entry, "title", name),
        sentence=_text(of, entry, "sentence", ""),
        price=first,
        others=tuple(others),
        credits=_whole(of, entry, "credits", 1, MOST_CREDITS) if "credits" in entry else 0,
        gives=_features(of, entry),
    )


def _features(of: str, entry: Entry) -> tuple[str, ...]:
    """Names of features, which are kept in Stripe's metadata: a list of them, each once, in 500 characters at most."""
    found = _texts(of, entry, "gives")
    plain = all(one.isascii() and one.isprintable() and one and "," not in one for one in found)
    if not plain or len(set(found)) < len(found) or len(",".join(found)) > LONGEST_GIVES:
        raise ConfigError(f"plans.toml: {of}gives names features, each once, without commas.")
    return found


def _product_prices(of: str, name: str, entry: Entry) -> list[Price]:
    """One for each currency: a table each, or where there is one alone, its two keys in the product's own."""
    tables = _tables(entry, "price", "product.price")
    if tables and ("currency" in entry or "amount" in entry):
        raise ConfigError(f"plans.toml: {of}its price is named twice; keep each [[product.price]].")
    for table in tables:
        _only(table, "product.price", of)
    prices = [_price(of, name, table, None) for table in tables or [entry]]
    currencies = [price.currency for price in prices]
    twice = next((one for one in currencies if currencies.count(one) > 1), None)
    if twice:
        raise ConfigError(f"plans.toml: {of}two prices in {twice.upper()}; there is one for each currency.")
    return prices


def _plan_price(of: str, name: str, entry: Entry) -> Price:
    _only(entry, "price", of)
    interval = entry.get("interval")
    if interval not in INTERVALS:
        raise ConfigError(f"plans.toml: {of}a price whose interval is not month or year.")
    return _price(of, name, entry, interval)


def _price(of: str, name: str, entry: Entry, interval: str | None) -> Price:
    currency, amount = str(entry.get("currency", "")).lower(), entry.get("amount")
    problem = check_amount(amount, currency)
    if problem:
        raise ConfigError(f"plans.toml: {of}{problem}")
    return Price(name, int(str(amount)), currency, interval)


def _seats(of: str, entry: Entry) -> Seats | None:
    if "seats" not in entry:
        return None
    table = entry["seats"]
    if not isinstance(table, dict):
        raise ConfigError(f"plans.toml: {of}seats is a table, {{ least = 1, most = 50 }}.")
    _only(table, "seats", f"{of}seats: ")
    least = _whole(f"{of}seats: ", table, "least", 1, MOST_SEATS, default=1)
    return Seats(least, _whole(f"{of}seats: ", table, "most", least, MOST_SEATS))


def _trial_term(of: str, entry: Entry, key: str, allowed: tuple[str, ...]) -> str:
    """One of Stripe's words; the first is what is meant where the file says nothing."""
    if key not in entry:
        return allowed[0]
    if entry[key] not in allowed:
        raise ConfigError(f"plans.toml: {of}{key} is one of {', '.join(allowed)}.")
    if not entry.get("trial_days"):
        raise ConfigError(f"plans.toml: {of}{key} is about a trial, so it needs trial_days.")
    return str(entry[key])


def _whole(of: str, entry: Entry, key: str, least: int, most: int, *, default: int | None = None) -> int:
    number = entry.get(key, default)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise ConfigError(f"plans.toml: {of}{key} is a whole number from {least} to {most}.")
    return number


def _text(of: str, entry: Entry, key: str, default: str) -> str:
    found = entry.get(key, default)
    if not isinstance(found, str):
        raise ConfigError(f"plans.toml: {of}{key} is a text in quotes.")
    return found


def _texts(of: str, entry: Entry, key: str) -> tuple[str, ...]:
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ConfigError(f"plans.toml: {of}{key} is a list of texts.")
    return tuple(found)


def _name(entry: Entry) -> str:
    name = str(entry.get("name", ""))
    if len(name) > LONGEST_NAME or not name.isascii() or not all(part.isalnum() for part in name.split("-")):
        raise ConfigError("plans.toml: each entry needs a name of letters, digits and hyphens.")
    return name


def _tables(entry: Entry, key: str, header: str) -> list[Entry]:
    """The tables under ``key``; one pair of brackets too few makes something else of them."""
    found = entry.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        of = f"{header.partition('.')[0]} {entry['name']}: " if "name" in entry else ""
        raise ConfigError(f"plans.toml: {of}each {key} needs a header of its own, [[{header}]].")
    return found


def _only(entry: Entry, kind: str, of: str) -> None:
    """Refuse what nobody would read: a slip in a key must not sell something else than was meant."""
    for key in entry:
        if key not in KEYS[kind]:
            raise ConfigError(f"plans.toml: {of}{key} is not known here; known are {', '.join(KEYS[kind])}.")
