"""A stateful stand-in for Stripe on loopback: development and tests only. Start at `app.py`."""
