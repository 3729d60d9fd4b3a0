"""The catalogue as it is in ``plans.toml``: what is read, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing import plan_file
from billing.errors import ConfigError
from billing.plans import Catalogue, Price, Seats

ROOT = Path(__file__).parent.parent
PRO = """
[[plan]]
name = "pro"
title = "Pro"
sentence = "For every day."
features = ["3 seats"]
gives = ["reports"]
trial_days = 14
payment_method_collection = "if_required"
missing_payment_method = "pause"
seats = { least = 2, most = 50 }

[[plan.price]]
interval = "month"
currency = "EUR"
amount = 2900

[[plan.price]]
interval = "year"
currency = "eur"
amount = 29000

[[plan.price]]
interval = "month"
currency = "jpy"
amount = 4600
"""
CREDITS = """
[[product]]
name = "credits-100"
title = "100 credits"
currency = "jpy"
amount = 1500
"""


def load(tmp_path: Path, text: str | bytes) -> Catalogue:
    path = tmp_path / "plans.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return plan_file.load(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    catalogue = load(tmp_path, PRO + CREDITS)
    plan, product = catalogue.plan("pro"), catalogue.product("credits-100")
    assert plan is not None
    assert product is not None
    assert (plan.title, plan.features, plan.gives, plan.trial_days) == ("Pro", ("3 seats",), ("reports",), 14)
    assert plan.price("year") == plan.price("year", "eur") == Price("pro", 29000, "eur", "year")
    assert plan.price("month", "jpy") == Price("pro", 4600, "jpy", "month")
    assert [plan.price("week"), plan.price("year", "jpy"), plan.price("month", "usd")] == [None] * 3
    assert (plan.payment_method_collection, plan.missing_payment_method) == ("if_required", "pause")
    assert plan.seats == Seats(2, 50)
    assert product.price == Price("credits-100", 1500, "jpy", None)
    assert (catalogue.plan("credits-100"), catalogue.product("pro")) == (None, None)


def test_a_price_is_known_by_item_interval_and_currency_whatever_its_amount(tmp_path: Path) -> None:
    keys = [price.lookup_key for _, price in load(tmp_path, PRO + CREDITS).prices()]
    assert keys == ["pro_month_eur", "pro_year_eur", "pro_month_jpy", "credits-100_jpy"]
    dearer = load(tmp_path, (PRO + CREDITS).replace("amount = 1500", "amount = 1800"))
    assert [price.lookup_key for _, price in dearer.prices()] == keys


def test_a_product_has_a_price_for_each_currency_and_says_what_it_gives(tmp_path: Path) -> None:
    prices = "".join(f'[[product.price]]\ncurrency = "{one}"\namount = 5000\n' for one in ("eur", "kwd"))
    text = f'[[product]]\nname = "pack"\ncredits = 500\ngives = ["reports", "api"]\n{prices}'
    product = load(tmp_path, text).product("pack")
    assert product is not None
    assert [price.lookup_key for price in product.prices] == ["pack_eur", "pack_kwd"]
    assert (product.price_in("kwd"), product.price_in("jpy")) == (Price("pack", 5000, "kwd", None), None)
    assert (product.credits, product.gives, product.price.currency) == (500, ("reports", "api"), "eur")


def test_an_item_that_is_no_longer_sold_keeps_its_name(tmp_path: Path) -> None:
    catalogue = load(tmp_path, PRO)
    assert [catalogue.title(name) for name in ("pro", "gold", None)] == ["Pro", "gold", "your plan"]


def test_the_catalogue_that_we_ship_is_sound() -> None:
    catalogue = plan_file.load(ROOT / "plans.toml")
    assert [plan.name for plan in catalogue.plans] == ["basic", "pro", "team"]
    sold = [
        ("month", "eur"),
        ("year", "eur"),
        ("month", "usd"),
        ("year", "usd"),
        ("month", "jpy"),
        ("year", "jpy"),
    ]
    assert [[(one.interval, one.currency) for one in plan.prices] for plan in catalogue.plans] == [sold] * 3
    keys = [price.lookup_key for _, price in catalogue.prices()]
    assert len(keys) == len(set(keys))


# A mistake, made by replacing some words of the catalogue above, and what its sentence must name.
MISTAKES = [
    ("[[plan]]", "[[plan]", ["plans.toml", "line 2"]),
    ("[[plan]]", "[plan]", ["plans.toml", "[[plan]]"]),
    ("[[product]]", "[product]", ["plans.toml", "[[product]]"]),
    ('interval = "year"', 'interval = "month"', ["plan pro", "two prices", "EUR by the month"]),
    (
        'interval = "month"\ncurrency = "jpy"',
        'interval = "year"\ncurrency = "EUR"',
        ["plan pro", "EUR by the year"],
    ),
    ('interval = "year"', 'interval = "week"', ["pro", "month or year"]),
    ('interval = "year"\n', "", ["pro", "month or year"]),
    ("amount = 29000", "amount = 290.0", ["pro", "amount", "minor units"]),
    ("amount = 29000", 'amount = "29000"', ["pro", "amount", "minor units"]),
    ("amount = 29000", "amount = 0", ["pro", "amount"]),
    ("amount = 29000", "amount = 100000000", ["pro", "amount"]),
    ("amount = 29000", "amount = true", ["pro", "amount"]),
    ("amount = 29000", "", ["pro", "amount"]),
    ('currency = "EUR"', 'currency = "euro"', ["pro", "currency of three letters"]),
    ('currency = "EUR"\n', "", ["pro", "currency of three letters"]),
    ('currency = "EUR"\namount = 2900', 'currency = "kwd"\namount = 2501', ["pro", "KWD", "end in 0"]),
    (
        'currency = "EUR"\namount = 2900',
        'currency = "isk"\namount = 2950',
        ["pro", "ISK", "multiples of 100"],
    ),
    ('currency = "EUR"', 'currency = "eud"', ["plan pro", "EUD"]),
    ("amount = 29000", "amount = 29", ["plan pro", "€0.50", "€0.29"]),
    ("amount = 1500", "amount = -1500", ["credits-100", "amount"]),
    ('name = "credits-100"', 'name = "pro"', ["two entries of the same name", "pro"]),
    ('name = "credits-100"\n', "", ["name"]),
    ('name = "pro"', 'name = "pro_plan"', ["letters, digits and hyphens"]),
    ('name = "pro"', 'name = "../pro"', ["letters, digits and hyphens"]),
    ("trial_days = 14", 'trial_days = "two weeks"', ["plan pro", "trial_days"]),
    ("trial_days = 14", "trial_days = -1", ["plan pro", "trial_days"]),
    ("trial_days = 14", "trial_days = 731", ["plan pro", "trial_days"]),
    ("trial_days = 14", "trial_days = true", ["plan pro", "trial_days"]),
    ("trial_days = 14", "trial_days = 0", ["plan pro", "payment_method_collection", "needs trial_days"]),
    ('"if_required"', '"never"', ["plan pro", "payment_method_collection", "always, if_required"]),
    ('"pause"', '"pay"', ["plan pro", "missing_payment_method", "cancel, pause, create_invoice"]),
    ("{ least = 2, most = 50 }", "50", ["plan pro", "seats is a table"]),
    ("{ least = 2, most = 50 }", "{ least = 2 }", ["plan pro", "seats", "most", "from 2"]),
    ("{ least = 2, most = 50 }", "{ least = 0, most = 50 }", ["plan pro", "seats", "least", "from 1"]),
    ("{ least = 2, most = 50 }", "{ least = 9, most = 8 }", ["plan pro", "seats", "most", "from 9"]),
    ("{ least = 2, most = 50 }", "{ min = 2, most = 8 }", ["plan pro", "seats", "min is not known"]),
    ('title = "Pro"', "title = 7", ["plan pro", "title", "text"]),
    ('title = "Pro"', 'tilte = "Pro"', ["plan pro", "tilte is not known", "title"]),
    ("amount = 29000", "amount = 29000\nunit_amount = 1", ["plan pro", "unit_amount is not known"]),
    ('title = "100 credits"', 'interval = "month"', ["product credits-100", "interval is not known"]),
    ("[[product]]", "[[products]]", ["products is not known"]),
    ('features = ["3 seats"]', 'features = "3 seats"', ["plan pro", "features", "list"]),
    ('gives = ["reports"]', "gives = [1]", ["plan pro", "gives", "list"]),
    ("amount = 1500", "amount = 1500\ncredits = 0", ["product credits-100", "credits", "from 1"]),
    ("amount = 1500", "amount = 1500\ncredits = 1.5", ["product credits-100", "credits", "whole number"]),
    ("amount = 1500", 'amount = 1500\ngives = "api"', ["product credits-100", "gives", "list"]),
    ("amount = 1500", 'amount = 1500\ngives = ["a,b"]', ["product credits-100", "gives", "without commas"]),
    ("amount = 1500", 'amount = 1500\ngives = ["a", "a"]', ["product credits-100", "gives", "each once"]),
    ("amount = 1500", "amount = 1500\n[product.price]\n", ["product credits-100", "[[product.price]]"]),
    ("amount = 1500", "amount = 1500\n[[product.price]]\n", ["product credits-100", "named twice"]),
    (
        'currency = "jpy"\namount = 1500',
        '[[product.price]]\ncurrency = "jpy"\namount = 1500\n[[product.price]]\ncurrency = "JPY"\namount = 900',
        ["product credits-100", "two prices in JPY"],
    ),
    (
        'currency = "jpy"\namount = 1500',
        '[[product.price]]\ncurrency = "jpy"\namount = 1500\ninterval = "month"',
        ["product credits-100", "interval is not known"],
    ),
    (
        'currency = "jpy"\namount = 1500',
        '[[product.price]]\ncurrency = "isk"\namount = 1550',
        ["product credits-100", "ISK", "multiples of 100"],
    ),
]


@pytest.mark.parametrize(("words", "mistake", "named"), MISTAKES)
def test_a_mistake_is_told_in_a_sentence_that_names_it(
    tmp_path: Path, words: str, mistake: str, named: list[str]
) -> None:
    assert words in PRO + CREDITS
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, (PRO + CREDITS).replace(words, mistake, 1))
    said = str(caught.value)
    assert not [part for part in named if part not in said], said
    assert said.startswith("plans.toml")
    assert said.endswith(".")


def test_a_plan_without_a_price_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plan free needs one price"):
        load(tmp_path, '[[plan]]\nname = "free"\n')
    with pytest.raises(ConfigError, match=r"pro.*\[\[plan\.price\]\]"):
        load(tmp_path, '[[plan]]\nname = "pro"\n[plan.price]\ninterval = "month"\n')


def test_a_file_that_is_missing_or_is_no_text_is_told_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"plans\.toml can’t be read|plans\.toml can't be read"):
        plan_file.load(tmp_path / "plans.toml")
    with pytest.raises(ConfigError, match=r"plans\.toml can"):
        load(tmp_path, b"\xff\xfe[[plan]]")
