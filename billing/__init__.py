"""The billing desk of Dunlin, in five layers; imports point down only.

Follow one webhook from HTTP to a row and a mail in five files:

1. ``webhooks.py``       verify, record, ring the bell, answer
2. ``jobs.py``           claim what is due, hand it to its handler
3. ``subscriptions.py``  fetch Stripe's object under a lease and write it onto our row
4. ``dunning.py``        decide which notice that state owes, once
5. ``mailer.py``         turn the notice into a message and hand it to SMTP

Layers, top to bottom (``tests/test_layers.py`` keeps the law):

* edge:   auth, pricing, portal, ledger, orders, switching, arrival, access, account, webhooks, front, health, admin,
          forms, cli, cli_sync, web, server, locales, trouble, cli_plans, leaving, guards, canceling, pausing,
          new_card, receipts, looking, agreements, outcomes, seats, seat_form, withdrawing, withdraw_forms,
          packing, cli_doctor, shop, purchases, paying, banner, email_change, deleting, mail_pages, cli_mails
* work:   boot, jobs, claims, writes, sightings, registry, resolutions, closing, outbox, lights, timetable, refresh,
          sweep, healing, rehearsal, catalogue, catalogue_writes, comparison, turns, checks, exports, removing, ahead,
          specimens, practice
* domain: subscriptions, plan_change, second, invoices, payments, checkout, clocks, standing, voice, tags,
          facts, dunning, notices, labels, still, plan_news, payment_news, declines, mailer, bounces, people,
          accounts, reconcile, comparing, mirrors, syncing, write_request, readers, premises, reasons,
          sentences, actions, line, particulars, comps, means, novelties, currencies, offers, plan_cards,
          opening, became, cards, customers, pauses, breaks, ending, bills, obstacles, previews, quoting,
          quote_words, seals, next_steps, withdrawals, senders, grants, one_click, purchase_words, ladder,
          reminders, pay_links, refunds, refunding, contested, fraud_warnings, addresses, exporting, deletions,
          erasing, samples
* nouns:  models, plans, running, money, stripe_client, stripe_reads, queues, payloads, inbox, leases, installation,
          schema, roles, audit, throttle, refusals, passwords, words, plan_file, prices, diagnosis, key_rights
* ground: config, environment, signing, extensions, errors, clock, deadline, logs, pace, hands, language
"""
