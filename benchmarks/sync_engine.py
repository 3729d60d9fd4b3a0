"""stripe/sync-engine as a receiver to compare with, in a folder of its own: `.data/sync-engine`, made by npm.

It verifies a delivery and writes its object to PostgreSQL, in the request. Node serves it by two processes, as ours
has two, and with nothing around it that it does not need. It trusts what the payload says (its default), and asks
Stripe for nothing. Where it can't be installed, ``receivers`` says why and gives none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks.ground import ROOT, Ground
from benchmarks.harness import say
from local import npm
from local.ports import answers, free_port
from local.waiting import until

NAME, PACKAGE = "stripe/sync-engine", "@supabase/stripe-sync-engine"
WANTED = (f"{PACKAGE}@0.48.5", "stripe@23.1.0")
FOLDER = ROOT / ".data" / "sync-engine"
# Its modules for `import` don't find their own migrations, those for `require` do. Its logger alone hears of a failure.
PREPARE = """
const { runMigrations } = require('@supabase/stripe-sync-engine')

const logger = { info() {}, error(problem) { console.error(problem); process.exit(1) } }
runMigrations({ databaseUrl: process.env.PEER_DATABASE_URL, schema: 'stripe', logger })
"""
SERVE = """
const cluster = require('node:cluster')
const http = require('node:http')
const { StripeSync } = require('@supabase/stripe-sync-engine')

async function taken(sync, request) {
  const parts = []
  for await (const part of request) parts.push(part)
  await sync.processWebhook(Buffer.concat(parts), request.headers['stripe-signature'])
}

if (cluster.isPrimary) {
  for (let each = 0; each < 2; each++) cluster.fork()
} else {
  const sync = new StripeSync({
    poolConfig: { connectionString: process.env.PEER_DATABASE_URL, max: 10 },
    stripeSecretKey: 'sk_test_0123456789abcdefghijklmn',
    stripeWebhookSecret: process.env.PEER_SECRET,
  })
  http.createServer(async (request, response) => {
    let status = 200
    try {
      await taken(sync, request)
    } catch (problem) {
      console.error(problem)
      status = 400
    }
    response.writeHead(status, { 'Content-Type': 'application/json' }).end('{"received":true}')
  }).listen(Number(process.env.PEER_PORT), '127.0.0.1')
}
"""


@contextmanager
def receivers(base: Ground, secret: str) -> Iterator[dict[str, tuple[int, str, int]]]:
    """Its port, path and process; nothing where it can't be had."""
    if not ensure():
        yield {}
        return
    for name, source in (("prepare", PREPARE), ("serve", SERVE)):
        (FOLDER / f"{name}.cjs").write_text(source)
    port = free_port()
    peer = {"PEER_DATABASE_URL": base.empty("sync_engine"), "PEER_SECRET": secret, "PEER_PORT": str(port)}
    environ = {**os.environ, **peer}
    with psycopg.connect(base.postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("create role postgres")  # whose tables they are to be
    subprocess.run(["node", "prepare.cjs"], cwd=FOLDER, env=environ, check=True, timeout=120)
    child = base.children.start("sync-engine", ["node", "serve.cjs"], env=environ, cwd=FOLDER)
    try:
        until(NAME, lambda: answers(port), base.children.check)
        yield {NAME: (port, "/", child.process.pid)}
    finally:
        base.children.stop([child], 5)


def ensure() -> bool:
    """Whether it is there; it is installed first where that is possible."""
    there = FOLDER / "node_modules" / PACKAGE
    if shutil.which("node") and not there.exists():
        say(f"Installing {PACKAGE} with npm…")
        npm.install(FOLDER, *WANTED)
    if not there.exists():
        say(f"{NAME} is left out: it needs Node.js, and npm with a network.")
    return there.exists()
