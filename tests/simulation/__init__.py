"""A deterministic simulation: one seed is one history, with faults that come and go, and then a calm.

Real PostgreSQL, our own code and the sandbox's, in one process and one thread. Whatever could differ between two runs
is ours: the time (``hours``; the database's too), the dice (``dice``), who goes on next (``crowd``), and what Stripe,
Redis and SMTP answer (``doors``). Reading order: ``__main__``, ``history``, ``world``, ``people``, ``staff``, ``calm``,
``leavers``, ``probes``; then the parts that they stand on.
"""
