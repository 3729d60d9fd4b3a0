"""dj-stripe as a receiver to compare with, in an environment of its own: `.data/dj-stripe`, made by pip.

In its default mode it stores a delivery, asks Stripe for the object (here a stand-in that answers at once) and writes
it, all in the request. In its fastest it verifies and stores, and a callback would hand the work to a queue; the
callback here does nothing. Django keeps its connection to the database, and its cached endpoint is not asked anew by
anything of ours. Where it can't be installed, ``receivers`` says why and gives none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.ground import ROOT, Ground, served
from benchmarks.harness import say

DEFAULT, STORING = "dj-stripe", "dj-stripe, storing only"
FOLDER = ROOT / ".data" / "dj-stripe"
PYTHON = FOLDER / "bin" / "python"
WANTED = ("dj-stripe==2.11.0", "gunicorn==27.0.1", "psycopg[binary]==3.3.9")
ENDPOINT = "0b5e2b0e-7c55-4c37-9f0c-2f1a6f1d2a11"
PROJECT = '''
import os
from urllib.parse import urlsplit
import django
from django.conf import settings
from django.urls import include, path

where = urlsplit(os.environ["PEER_DATABASE_URL"])
settings.configure(
    SECRET_KEY="peer", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True, DEBUG=False,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djstripe"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": where.path[1:], "USER": where.username,
        "PASSWORD": where.password, "HOST": where.hostname, "PORT": where.port, "CONN_MAX_AGE": None,
    }},
    MIGRATION_MODULES={"djstripe": None, "auth": None, "contenttypes": None},
    STRIPE_TEST_SECRET_KEY="sk_test_0123456789abcdefghijklmn", STRIPE_LIVE_MODE=False,
    STRIPE_API_HOST=os.environ["PEER_STRIPE"], DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
    **({"DJSTRIPE_WEBHOOK_EVENT_CALLBACK": "peer.to_a_queue"} if os.environ["PEER_MODE"] == "storing" else {}),
)
django.setup()
urlpatterns = [path("stripe/", include("djstripe.urls", namespace="djstripe"))]


def to_a_queue(trigger, api_key=None):
    """Where the work would be handed to a queue."""


def prepare():
    from django.core.management import call_command
    from djstripe.models import WebhookEndpoint
    call_command("migrate", verbosity=0, run_syncdb=True)
    WebhookEndpoint.objects.create(
        id="we_bench", secret=os.environ["PEER_SECRET"], djstripe_uuid=os.environ["PEER_ENDPOINT"], livemode=False,
        url="http://127.0.0.1/stripe/webhook/", status="enabled", api_version="", enabled_events=["*"],
    )


from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
'''


@contextmanager
def receivers(base: Ground, stripe: str, secret: str) -> Iterator[dict[str, tuple[int, str, int]]]:
    """Port, path and process of each mode, behind the same server as ours; none where dj-stripe can't be had."""
    if not ensure():
        yield {}
        return
    (FOLDER / "peer.py").write_text(PROJECT)
    with ExitStack() as stack:
        found = {}
        for number, mode in enumerate((DEFAULT, STORING)):
            environ = {
                "PEER_DATABASE_URL": base.empty(f"peer_{number}"),
                "PEER_MODE": "storing" if mode == STORING else "whole",
                "PEER_STRIPE": stripe,
                "PEER_SECRET": secret,
                "PEER_ENDPOINT": ENDPOINT,
                "PYTHONPATH": os.pathsep.join((str(FOLDER), str(ROOT))),  # the server's class is ours
            }
            _run("-c", "import peer; peer.prepare()", environ=environ)
            port, pid = stack.enter_context(served(base, "peer:application", environ, python=str(PYTHON)))
            found[mode] = (port, f"/stripe/webhook/{ENDPOINT}/", pid)
        yield found


def ensure() -> bool:
    """Whether dj-stripe is there; it is installed first where that is possible."""
    if not PYTHON.exists():
        say("Installing dj-stripe with pip…")
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True, timeout=300)
        try:
            _run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *WANTED)
        except RuntimeError as problem:
            say(f"dj-stripe is left out, since pip did not install it: {str(problem)[-300:]}")
    return subprocess.run([PYTHON, "-c", "import djstripe"], check=False, capture_output=True).returncode == 0


def _run(*words: str, environ: dict[str, str] | None = None) -> None:
    """Raises RuntimeError with what it said where it fails."""
    done = subprocess.run(
        [str(Path(PYTHON)), *words],
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
