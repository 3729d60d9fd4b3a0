"""Complete shapes at 2026-10-28.endive, one module per noun. Constructors only: no rules, no storage.

Fields that Stripe sends only on `expand` are absent here; `sandbox.api.expanding` adds them.
"""
