"""The whole house under load, and everything in it killed again and again; then a calm, and every oracle.

The processes are those of the Procfile, with a PostgreSQL, a Redis and an SMTP server of their own, and the sandbox as
Stripe over HTTP. Whatever died is started again, as a platform does it, and nothing else is done by hand. The plan of
all blows comes from one seed; when exactly the processes meet them is left to the machine. Reading order: ``__main__``,
``run``, ``plan``, ``storm``, ``calm``, ``oracles``, ``report``; then the parts that they stand on: ``stack``, ``load``,
``crowd``, ``people``, ``memory``, ``post``, ``watch``.
"""
