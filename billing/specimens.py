"""Every mail there is, written from samples as it would leave: for previews, pictures, tests. Nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.message import EmailMessage

from billing import language, mailer, outbox, samples, voice
from billing.config import Config
from billing.models import Notice
from billing.premises import Policy
from billing.samples import Sample

LANGUAGES = ("en", "de")
READER = "ana@example.com"
LIVE = "live"


@dataclass(frozen=True)
class Specimen:
    """One mail in one language. ``name`` is good for a file or an address: ``dun1-2.de``."""

    kind: str
    variant: str
    locale: str
    message: EmailMessage

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.variant}.{self.locale}"

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        found = self.message.get_body((kind,))
        return "" if found is None else str(found.get_content())


def every(config: Config, only: str | None = None) -> Iterator[Specimen]:
    """Each sample in each language, as this installation writes it; the first of each kind as in live mode too.

    ``only``: of one kind. What goes to admins is in English alone. It asks neither the database nor Stripe.
    """
    live = replace(config, stripe_secret_key="sk_live_preview")  # noqa: S106 - only says the mode
    for sample in samples.every():
        if only not in (None, sample.kind):
            continue
        for locale in languages(sample.kind):
            yield write(sample, locale, config)
            if sample.variant == "1" and not config.livemode:
                yield write(sample._replace(variant=LIVE), locale, live)


def languages(kind: str) -> tuple[str, ...]:
    """In which languages mails of this kind are written."""
    return LANGUAGES[:1] if kind.startswith("admin_") else LANGUAGES


def write(sample: Sample, locale: str, config: Config) -> Specimen:
    """The mail of this sample, by the code that writes every mail."""
    with language.speaking(locale, config.display_tz):
        facts = samples.spoken(sample.facts)
        stands = None
        if sample.kind in outbox.OF_A_PLAN:
            stands = voice.sentence(samples.standing_for(sample.kind, facts, Policy.of(config)))
    notice = Notice(
        kind=sample.kind,
        facts=facts,
        locale=locale,
        secret=facts.get("secret", "sample"),
        created_at=samples.NOW,
        message_id=f"<{sample.kind}.{sample.variant}@example.com>",
    )
    return Specimen(
        sample.kind, sample.variant, locale, mailer.compose(notice, READER, config, lambda: stands)
    )
