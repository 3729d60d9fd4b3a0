"""Very many rows at once, as events that were applied would have left them."""

from __future__ import annotations

import psycopg

# Of a hundred subscribers; the rest pay.
STATUSES = "case when n %% 100 < 3 then 'past_due' when n %% 100 < 40 then 'canceled' else 'active' end"


def subscribers(rows: psycopg.Connection, count: int) -> None:
    """So many people with a subscription each, numbered from 1: ``person1@example.com``."""
    rows.execute(
        "insert into stripe_events (event_id, type, livemode, stripe_created, payload, source, state)"
        " values ('evt_cause', 'customer.subscription.created', false, now(), '{}', 'webhook', 'applied')"
    )
    rows.execute(
        "insert into users (id, email, password_hash, email_confirmed_at, is_admin, stripe_customer_id)"
        " select n, 'person' || n || '@example.com', '', now(), false, 'cus_' || n from generate_series(1, %s) n",
        [count],
    )
    rows.execute(
        "insert into subscriptions (stripe_id, user_id, status, plan, price_id, amount, currency, interval, quantity,"
        " created, current_period_start, current_period_end, cancel_at_period_end, collection_method, card_brand,"
        " card_last4, livemode, fetch_no, fetched_at, cause_event_id, ended_at)"
        f" select 'sub_' || n, n, {STATUSES}, 'pro', 'price_pro', 2900, 'eur', 'month', 1, now() - interval '10 days',"
        " now() - interval '10 days', now() + interval '20 days', false, 'charge_automatically', 'visa', '4242',"
        f" false, 1, now(), 'evt_cause', case when {STATUSES} = 'canceled' then now() end"
        " from generate_series(1, %s) n",
        [count],
    )
    rows.execute("select setval(pg_get_serial_sequence('users', 'id'), %s)", [count])
    rows.execute("vacuum analyze users, subscriptions")
