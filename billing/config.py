"""The environment, read once, checked, and frozen.

A setting that is missing, weak or mixed stops the program with one sentence that names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from urllib.parse import SplitResult, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from billing import language, signing
from billing.environment import Reader
from billing.errors import ConfigError

SECOND = ("tell", "refund")
SENDERS = ("portal", "stripe", "off")
DISPUTE_LOST = ("tell", "end")
FRAUD_WARNING = ("tell", "refund")
ENVIRONMENTS = ("development", "staging", "production")
MIN_SECRET_LENGTH = 32


@dataclass(frozen=True)
class Config:
    """What the program needs to know of its surroundings. ``repr`` shows no secret."""

    app_env: str
    secret_key: str
    secret_key_fallbacks: tuple[str, ...]
    database_url: str
    migration_database_url: str | None
    redis_url: str
    stripe_secret_key: str
    stripe_publishable_key: str
    stripe_webhook_secrets: tuple[signing.Secret, ...]
    stripe_api_base: str | None
    public_url: str
    smtp_url: str
    mail_from: str
    brand_name: str
    support_email: str
    seller_name: str
    seller_address: tuple[str, ...]
    seller_tax_id: str
    proxy_hops: int
    grace_days: int
    access_while_disputed: bool
    access_while_paused: bool
    access_while_processing: bool
    access_while_collection_paused: bool
    keep_data_days: int
    fresh_hours: int
    fail_open_hours: int
    pause_months: int
    second_subscription: str
    on_dispute_lost: str
    on_fraud_warning: str
    eu_withdrawal: bool
    billing_emails: str
    password_min_length: int
    stripe_account: str | None
    default_locale: str
    display_tz: str
    terms_url: str | None
    promotion_codes: bool

    def __repr__(self) -> str:
        return f"Config(app_env={self.app_env!r}, livemode={self.livemode}, public_url={self.public_url!r})"

    @property
    def livemode(self) -> bool:
        """True when the secret key moves real money."""
        return is_live(self.stripe_secret_key)

    @property
    def production(self) -> bool:
        return self.app_env == "production"

    @property
    def secure_cookies(self) -> bool:
        """Cookies are marked Secure wherever people reach us by https."""
        return self.public_url.startswith("https://")


def load(environ: Mapping[str, str]) -> Config:
    """Read and check every setting. Raises ConfigError, one sentence, at the first that is wrong."""
    read = Reader(environ)
    secret = read("STRIPE_SECRET_KEY", required=True)
    config = Config(
        app_env=read("APP_ENV", "development"),
        secret_key=read("SECRET_KEY", required=True),
        secret_key_fallbacks=tuple(_split(read("SECRET_KEY_FALLBACKS", ""))),
        database_url=database_url(read("DATABASE_URL", required=True)),
        migration_database_url=_optional_database(read("MIGRATION_DATABASE_URL", "")),
        redis_url=read("REDIS_URL", required=True),
        stripe_secret_key=secret,
        stripe_publishable_key=read("STRIPE_PUBLISHABLE_KEY", ""),
        stripe_webhook_secrets=signing.read(_split(read("STRIPE_WEBHOOK_SECRET", required=True))),
        stripe_api_base=read("STRIPE_API_BASE", "").rstrip("/") or None,
        public_url=read("PUBLIC_URL", required=True).rstrip("/"),
        smtp_url=read("SMTP_URL", required=True),
        mail_from=read("MAIL_FROM", required=True),
        brand_name=read("BRAND_NAME", "Dunlin"),
        support_email=_bare(read("SUPPORT_EMAIL", "") or read("MAIL_FROM", required=True)),
        seller_name=read("SELLER_NAME", "") or read("BRAND_NAME", "Dunlin"),
        seller_address=tuple(_split(read("SELLER_ADDRESS", ""), "|")),
        seller_tax_id=read("SELLER_TAX_ID", ""),
        proxy_hops=read.number("PROXY_HOPS", 0, 0, 5),
        grace_days=read.number("GRACE_DAYS", 14, 0, 90),
        access_while_disputed=read.yes("ACCESS_WHILE_DISPUTED", "yes"),
        access_while_paused=read.yes("ACCESS_WHILE_PAUSED", "no"),
        access_while_processing=read.yes("ACCESS_WHILE_PROCESSING", "no"),
        access_while_collection_paused=read.yes("ACCESS_WHILE_COLLECTION_PAUSED", "yes"),
        keep_data_days=read.number("KEEP_DATA_DAYS", 90, 0, 3650),
        fresh_hours=read.number("FRESH_HOURS", 24, 1, 168),
        fail_open_hours=read.number("FAIL_OPEN_HOURS", 72, 1, 720),
        pause_months=read.number("PAUSE_MONTHS", 3, 0, 12),
        second_subscription=read("SECOND_SUBSCRIPTION", "tell"),
        on_dispute_lost=read("ON_DISPUTE_LOST", "tell"),
        on_fraud_warning=read("ON_FRAUD_WARNING", "tell"),
        eu_withdrawal=read.yes("EU_WITHDRAWAL", "no"),
        billing_emails=read("BILLING_EMAILS", "portal"),
        password_min_length=read.number("PASSWORD_MIN_LENGTH", 12, 8, 64),
        stripe_account=read("STRIPE_ACCOUNT", "") or None,
        default_locale=read("DEFAULT_LOCALE", "en"),
        display_tz=read("DISPLAY_TZ", "UTC"),
        terms_url=_terms_url(read("TERMS_URL", "")),
        promotion_codes=read.yes("PROMOTION_CODES", "no"),
    )
    _check_environment(config)
    _check_stripe_keys(config, allow_test=read("ALLOW_TEST_KEY_IN_PRODUCTION", "") == "yes")
    if config.production and read("STRIPE_LOG", ""):
        raise ConfigError("STRIPE_LOG writes request bodies to the log; remove it where APP_ENV=production.")
    return config


def database_url(url: str, name: str = "DATABASE_URL") -> str:
    """The URL with the driver we ship. Heroku still says ``postgres://``."""
    for scheme in ("postgres://", "postgresql://", "postgresql+psycopg://"):
        if url.startswith(scheme):
            url = "postgresql+psycopg://" + url[len(scheme) :]
            try:
                make_url(url)
            except (ArgumentError, ValueError) as problem:
                raise ConfigError(f"{name} is not an address; check its host and port.") from problem
            return url
    raise ConfigError(f"{name} must begin with postgres:// or postgresql://; Dunlin runs on PostgreSQL only.")


def _optional_database(url: str) -> str | None:
    return database_url(url, "MIGRATION_DATABASE_URL") if url else None


def is_live(key: str) -> bool:
    """Whether a Stripe key (secret, restricted or publishable) belongs to live mode."""
    return key.startswith(("sk_live_", "rk_live_", "pk_live_"))


def _terms_url(url: str) -> str | None:
    parts = _parts("TERMS_URL", url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ConfigError("TERMS_URL must be the address of your terms, like https://example.com/terms.")
    return url or None


def _bare(address: str) -> str:
    """Without the name that MAIL_FROM may have: a mailto link takes the address alone."""
    return parseaddr(address)[1] or address


def _split(value: str, by: str = ",") -> list[str]:
    return [part.strip() for part in value.split(by) if part.strip()]


def _check_environment(config: Config) -> None:
    if config.app_env not in ENVIRONMENTS:
        raise ConfigError(f"APP_ENV must be one of {', '.join(ENVIRONMENTS)}.")
    if config.second_subscription not in SECOND:
        raise ConfigError(f"SECOND_SUBSCRIPTION must be one of {', '.join(SECOND)}.")
    if config.billing_emails not in SENDERS:
        raise ConfigError(f"BILLING_EMAILS must be one of {', '.join(SENDERS)}.")
    if config.on_dispute_lost not in DISPUTE_LOST:
        raise ConfigError(f"ON_DISPUTE_LOST must be one of {', '.join(DISPUTE_LOST)}.")
    if config.on_fraud_warning not in FRAUD_WARNING:
        raise ConfigError(f"ON_FRAUD_WARNING must be one of {', '.join(FRAUD_WARNING)}.")
    if config.default_locale not in language.LOCALES:
        raise ConfigError(f"DEFAULT_LOCALE must be one of {', '.join(language.LOCALES)}.")
    if config.display_tz not in language.zones():
        raise ConfigError("DISPLAY_TZ must be UTC or the name of a time zone, like Europe/Berlin.")
    if config.fail_open_hours < config.fresh_hours:
        raise ConfigError("FAIL_OPEN_HOURS must not be less than FRESH_HOURS.")
    for key in (config.secret_key, *config.secret_key_fallbacks):
        if len(key) < MIN_SECRET_LENGTH:
            raise ConfigError(
                f"SECRET_KEY must have at least {MIN_SECRET_LENGTH} characters; `openssl rand -hex 32` makes one."
            )
    url = _parts("PUBLIC_URL", config.public_url)
    if url.scheme not in ("http", "https") or not url.hostname or url.path or url.query or url.fragment:
        raise ConfigError(
            "PUBLIC_URL must be the address people use, like https://billing.example.com, without a path."
        )
    if config.production and url.scheme != "https":
        raise ConfigError("PUBLIC_URL must begin with https:// where APP_ENV=production.")
    if _parts("REDIS_URL", config.redis_url).scheme not in ("redis", "rediss"):
        raise ConfigError("REDIS_URL must begin with redis:// or rediss://.")
    if _parts("SMTP_URL", config.smtp_url).scheme not in ("smtp", "smtps"):
        raise ConfigError("SMTP_URL must begin with smtp:// or smtps://, like smtp://user:password@host:587.")
    base = _parts("STRIPE_API_BASE", config.stripe_api_base or "http://-")
    if base.scheme not in ("http", "https") or not base.hostname:
        raise ConfigError("STRIPE_API_BASE must be an address like http://127.0.0.1:8001.")


def _parts(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number is found only here
    except ValueError as problem:
        raise ConfigError(f"{name} is not an address; check its host and port.") from problem
    return parts


def _check_stripe_keys(config: Config, *, allow_test: bool) -> None:
    secret, publishable = config.stripe_secret_key, config.stripe_publishable_key
    if secret.startswith(("pk_", "whsec_")):
        what = "a publishable key" if secret.startswith("pk_") else "a webhook's signing secret"
        raise ConfigError(
            f"STRIPE_SECRET_KEY holds {what}; it must be the API key that begins with sk_ or rk_."
        )
    if not secret.startswith(("sk_test_", "rk_test_", "sk_live_", "rk_live_")):
        raise ConfigError("STRIPE_SECRET_KEY must begin with sk_test_, rk_test_, sk_live_ or rk_live_.")
    if publishable and not publishable.startswith(("pk_test_", "pk_live_")):
        raise ConfigError("STRIPE_PUBLISHABLE_KEY must begin with pk_test_ or pk_live_.")
    if publishable and is_live(publishable) != config.livemode:
        raise ConfigError(
            "STRIPE_PUBLISHABLE_KEY and STRIPE_SECRET_KEY are of different modes; use two test or two live keys."
        )
    if config.livemode and not config.production:
        raise ConfigError(
            f"STRIPE_SECRET_KEY is a live key, and APP_ENV={config.app_env}; "
            "live keys run only where APP_ENV=production."
        )
    if config.livemode and config.stripe_api_base:
        raise ConfigError(
            "STRIPE_API_BASE points away from Stripe, and STRIPE_SECRET_KEY is a live key; remove STRIPE_API_BASE."
        )
    if config.production and not config.livemode and not allow_test:
        raise ConfigError(
            "STRIPE_SECRET_KEY is a test key and APP_ENV=production; "
            "use a live key or set ALLOW_TEST_KEY_IN_PRODUCTION=yes."
        )
