"""The whole product on one machine, offline: what `make run`, `make test` and `make demo` stand on.

Development and tests only; nothing in `billing` knows that this package exists. Reading order:

* ``bootstrap``    makes ``.venv`` before anything is installed (standard library only)
* ``run``          `make run`: one Stack on the wanted ports, until Ctrl-C
* ``stack``        the parts in their order, started and stopped; also used by the demo and browser tests
* ``environment``  which values the operator gave, and which we make up and keep in ``.data/env``
* ``processes``    children that always end: own groups, a leash, records for the next run
* ``postgres``, ``redis``, ``inbox``, ``stripe_sandbox``   one part each
* ``browser``      finds the browser of the end-to-end tests
* ``npm``          installs what is npm’s, each thing into a folder of its own
* ``stripe_cli``   finds the official Stripe CLI that is let loose on the sandbox, or says why it is not here
"""
