"""What every page must be like, in every standing, by day and by night, on a wide screen and on a narrow one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.chromium import UNPAINTED
from tests.pages.house import WITHDRAWAL, House
from tests.pages.noise import Noise
from tests.pages.reading import KEY_PAGES, agreed, masked
from tests.pages.sitemap import OURS, STANDINGS, Place, named
from tests.pages.survey import WIDE, Survey, Surveyor

pytestmark = pytest.mark.browser
# To paint each page in every light took a third of all the time of the looks, and nobody sees it.
BROWSER = UNPAINTED
Look = Callable[[Place], Survey]
SETTINGS = {place.settings for place in OURS}
# What axe can't decide by itself, looked at by a person: the rule, and why it is right.
REVIEWED: dict[str, str] = {
    "frame-tested": "a mail in its frame runs no script, so axe can’t look in; tests/pages/test_mails.py does",
}
# What a field is for, so that browsers fill it in: type, autocomplete, inputmode. Any other field is "off".
FIELDS = {
    "email": ("email", "email", ""),
    "password": ("password", "new-password", ""),
    "code": ("text", "one-time-code", "numeric"),
    "name": ("text", "name", ""),
    "current_password": ("password", "current-password", ""),
    "new_password": ("password", "new-password", ""),
    "username": ("text", "username", ""),
    "": ("email", "username", ""),  # shown to password managers, and not sent
}
# At these addresses the same name asks for what is known already.
KNOWN = {
    ("sign-in", "email"): ("email", "username", ""),
    ("sign-in", "password"): ("password", "current-password", ""),
    ("reset", "email"): ("email", "username", ""),
    ("gone", "email"): ("email", "username", ""),
}


@pytest.fixture(scope="module")
def look(home: House, chromium: Browser) -> Iterator[Look]:
    """Looks at a page once, when the first test asks about it."""
    context = chromium.new_context(locale="en-IE", viewport=WIDE)
    context.set_default_timeout(10_000)
    noise = Noise(context, *(url for _, url in home.apps.values()))
    surveyor = Surveyor(home, context.new_page(), noise, "Dunlin")
    known: dict[str, Survey | None] = {}

    def at(place: Place) -> Survey:
        if place.name not in known:
            known[place.name] = None
            known[place.name] = surveyor.look(place)
        found = known[place.name]
        assert found is not None, "the page could not be brought about"
        return found

    yield at
    context.close()


# What must hold of every page, by the subject of the survey that complains where it does not.
RULES = {
    "axe": "axe finds nothing wrong in any light at any width",
    "structure": "one h1, no skipped level, one main, named navs, and its own title",
    "stops": "every stop of the tab key has a ring and nothing above it",
    "targets": "everything that is pressed is large enough",
    "overflow": "no width, zoom or spacing pushes anything out or cuts it off",
    "borders": "forced colours leave every button, tag and field its border",
    "secondary": "who wants more contrast reads everything in ink",
    "motion": "nothing moves for who wants no motion",
    "tables": "tables have a caption, and their heads a scope",
    "painted": "only glyphs are said by the style sheet alone",
    "noise": "no browser complains, and nobody else is asked for anything",
}


def broken(place: Place, found: Survey) -> dict[str, object]:
    """Each rule that the page breaks, and what breaks it."""
    said: dict[str, object] = {RULES[name]: found.wrong[name] for name in RULES if found.wrong[name]}
    facts = found.facts
    if undecided := {one.split(" ")[2] for one in found.wrong["undecided"]} - set(REVIEWED):
        said["what axe could not decide was looked at"] = undecided
    # where the form had mistakes, the cursor is on the list of them
    if not place.alone and place.status != 422 and facts["first_stop"] != "#main":
        said["the first tab leads past the head of the page"] = facts["first_stop"]
    if facts["any"] < 1:
        said["a page has a way on"] = facts["any"]
    if len(facts["primary"]) > 1:
        said["a page has at most one primary action"] = facts["primary"]
    if not place.alone and facts["mode"] != "Test mode. No real money moves.":
        said["every page says first that no real money moves"] = facts["mode"]
    if unfit := list(unfit_fields(place, found)):
        said["a field says what browsers may fill in"] = unfit
    return said


def unfit_fields(place: Place, found: Survey) -> Iterator[tuple[str, list[str]]]:
    for name, *kind in found.facts["fields"]:
        if place.name == "too-old-a-form" or kind[0].startswith("select"):
            continue  # the first gives back whatever was sent; the second is chosen, not typed
        wanted = KNOWN.get((place.name.removesuffix("-mistake"), name)) or FIELDS.get(name)
        if not (tuple(kind) == wanted if wanted else kind[1] == "off"):
            yield name, kind


@pytest.mark.parametrize("place", OURS, ids=lambda place: place.name)
def test_a_page_is_the_one_that_was_meant_and_as_every_page_must_be(look: Look, place: Place) -> None:
    """One test of each page asks everything: two thousand of them would cost more than the looks."""
    found = look(place)
    assert found.status == place.status
    assert broken(place, found) == {}


def test_every_address_that_shows_a_page_is_on_the_list(home: House) -> None:
    rules = home.app.url_map
    names = home.values.keys() | {name for rule in rules.iter_rules() for name in rule.arguments}
    filled = {name: home.values.get(name, "1") for name in names}
    reached = {
        rules.bind("").match(place.address.format(**filled).partition("?")[0], method="GET")[0]
        for place in OURS
        if place.name not in ("not-found", "not-allowed", "our-fault", "no-database")
    }
    pages = {rule.endpoint for rule in rules.iter_rules() if "GET" in (rule.methods or ())}
    no_pages = {
        "purchases.returned",  # on to the order's page
        "static",
        "health.shallow",
        "health.deep",
        "arrival.state",
        "_fault",
        "_no_database",
        "mail_pages.looks",
    }
    assert pages - reached <= no_pages


def test_help_is_last_and_in_the_same_place_on_every_page(look: Look) -> None:
    """Strangers choose their language there; who is signed in is led to where they chose it."""
    feet: dict[bool, set[tuple[str, ...]]] = {True: set(), False: set()}
    for place in OURS:
        if not place.alone and place.settings != WITHDRAWAL:
            feet[place.who in ("stranger", "newcomer")].add(tuple(look(place).facts["foot"]))
    [strangers], [ours] = feet[True], feet[False]
    assert strangers[:2] == ours[:2]
    assert strangers[-1] == ours[-1]
    assert ours[-1].startswith("Help: ")
    offered = {tuple(look(place).facts["foot"]) for place in OURS if place.settings == WITHDRAWAL}
    assert {foot[-1] for foot in offered} == {ours[-1]}


def test_one_word_of_a_tag_never_has_two_tones_and_always_a_glyph(look: Look) -> None:
    tones: dict[str, set[str]] = defaultdict(set)
    for place in OURS:
        for word, glyph, tone in look(place).facts["tags"]:
            assert word, place.name
            assert glyph, (place.name, word)
            tones[word].add(tone)
    assert {word: found for word, found in tones.items() if len(found) > 1} == {}


def test_no_two_addresses_have_the_same_title(look: Look) -> None:
    addresses: dict[str, set[str]] = defaultdict(set)
    for place in OURS:
        if place.status == 200 and not place.address.startswith("/checkout/return"):  # it says the standing
            addresses[look(place).facts["title"]].add(place.address.partition("?")[0].replace("/plans", "/"))
    assert {title: found for title, found in addresses.items() if len(found) > 1} == {}


def test_each_standing_has_its_own_sentence(look: Look) -> None:
    titles = [look(place).facts["title"] for place in STANDINGS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", KEY_PAGES)
def test_a_page_is_read_in_the_order_that_was_agreed(look: Look, name: str) -> None:
    read = masked(look(named(name)).facts["read"], name)
    assert read == agreed(name, read)


def test_the_survey_notices_what_is_wrong(home: House, chromium: Browser) -> None:
    """A page with one of each fault: whoever weakens a check hears of it here."""
    context = chromium.new_context(locale="en-IE", viewport=WIDE)
    noise = Noise(context, home.url())
    page = context.new_page()
    page.route("**/billing", lambda route: route.fulfill(content_type="text/html", body=BROKEN))
    found = Surveyor(home, page, noise, "Dunlin").look(named("billing-active"))
    context.close()
    silent = {subject for subject, complaints in found.wrong.items() if not complaints}
    assert silent == set()
    said_of_facts = {
        "what axe could not decide was looked at",
        "the first tab leads past the head of the page",
        "a page has at most one primary action",
        "every page says first that no real money moves",
        "a field says what browsers may fill in",
    }
    assert broken(named("billing-active"), found).keys() == {*RULES.values(), *said_of_facts}
    said = " ".join(found.wrong["axe"])
    assert all(rule in said for rule in ("color-contrast", "label", "heading-order", "image-alt")), said


BROKEN = """<!doctype html><html><title>Something else</title><style>
.pale { color: #bbb; background: #fff } .cut { overflow: hidden; width: 3em; white-space: nowrap }
.wide { width: 1400px } .small { color: #777 } a { outline: none !important; font-size: 8px }
.spin { animation: turn 1s infinite } @keyframes turn { to { opacity: 0.5 } } .said::before { content: "said" }
.btn { border: 0 }</style>
<h1>One</h1><h3>Skipped</h3><nav>unnamed</nav><table><tr><th>head</th></tr></table><img src="/nothing.png">
<main><p class="pale">pale</p><p class="small">grey</p><p class="cut">what is cut off here</p>
<p class="wide said">wide</p><p class="spin">spin</p>
<a href="/a">x</a><a href="/b">y</a><input name="unlabelled" type="text">
<a class="btn">One</a><a class="btn">Two</a></main>"""
