"""What every page must be like, in every standing, by day and by night, on a wide screen and on a narrow one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.pages.house import WITHDRAWAL, House
from tests.pages.noise import Noise
from tests.pages.reading import KEY_PAGES, agreed, masked
from tests.pages.sitemap import OURS, STANDINGS, Place, named
from tests.pages.survey import WIDE, Survey, Surveyor

pytestmark = pytest.mark.browser
Look = Callable[[Place], Survey]
every_page = pytest.mark.parametrize("place", OURS, ids=lambda place: place.name)
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


@every_page
def test_a_page_is_the_one_that_was_meant(look: Look, place: Place) -> None:
    assert look(place).status == place.status


@every_page
def test_axe_finds_nothing_wrong_in_any_light_at_any_width(look: Look, place: Place) -> None:
    assert look(place).wrong["axe"] == []


@every_page
def test_what_axe_could_not_decide_was_looked_at(look: Look, place: Place) -> None:
    undecided = {one.split(" ")[2] for one in look(place).wrong["undecided"]}
    assert undecided <= set(REVIEWED)


@every_page
def test_a_page_has_one_h1_no_skipped_level_one_main_named_navs_and_its_title(
    look: Look, place: Place
) -> None:
    assert look(place).wrong["structure"] == []


@every_page
def test_the_first_tab_leads_past_the_head_of_the_page(look: Look, place: Place) -> None:
    if not place.alone and place.status != 422:  # there the cursor is on the list of mistakes
        assert look(place).facts["first_stop"] == "#main"


@every_page
def test_every_stop_of_the_tab_key_has_a_ring_and_nothing_above_it(look: Look, place: Place) -> None:
    assert look(place).wrong["stops"] == []


@every_page
def test_everything_that_is_pressed_is_large_enough(look: Look, place: Place) -> None:
    assert look(place).wrong["targets"] == []


@every_page
def test_a_field_says_what_browsers_may_fill_in(look: Look, place: Place) -> None:
    for name, *found in look(place).facts["fields"]:
        wanted = KNOWN.get((place.name.removesuffix("-mistake"), name)) or FIELDS.get(name)
        if place.name == "too-old-a-form" or found[0].startswith("select"):
            continue  # the first gives back whatever was sent; the second is chosen, not typed
        assert tuple(found) == wanted if wanted else found[1] == "off", (name, found)


@every_page
def test_no_width_zoom_or_spacing_pushes_anything_out_or_cuts_it_off(look: Look, place: Place) -> None:
    assert look(place).wrong["overflow"] == []


@every_page
def test_forced_colours_leave_every_button_tag_and_field_its_border(look: Look, place: Place) -> None:
    assert look(place).wrong["borders"] == []


@every_page
def test_who_wants_more_contrast_reads_everything_in_ink(look: Look, place: Place) -> None:
    assert look(place).wrong["secondary"] == []


@every_page
def test_nothing_moves_for_who_wants_no_motion(look: Look, place: Place) -> None:
    assert look(place).wrong["motion"] == []


@every_page
def test_tables_have_a_caption_and_their_heads_a_scope(look: Look, place: Place) -> None:
    assert look(place).wrong["tables"] == []


@every_page
def test_only_glyphs_are_said_by_the_style_sheet_alone(look: Look, place: Place) -> None:
    assert look(place).wrong["painted"] == []


@every_page
def test_a_page_has_a_way_on_and_at_most_one_primary_action(look: Look, place: Place) -> None:
    facts = look(place).facts
    assert facts["any"] >= 1
    assert len(facts["primary"]) <= 1, facts["primary"]


@every_page
def test_every_page_says_first_that_no_real_money_moves(look: Look, place: Place) -> None:
    if not place.alone:
        assert look(place).facts["mode"] == "Test mode. No real money moves."


@every_page
def test_no_browser_complains_and_nobody_else_is_asked_for_anything(look: Look, place: Place) -> None:
    assert look(place).wrong["noise"] == []


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
    said = " ".join(found.wrong["axe"])
    assert all(rule in said for rule in ("color-contrast", "label", "heading-order", "image-alt")), said
    assert found.facts["first_stop"] != "#main"
    assert len(found.facts["primary"]) == 2


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
