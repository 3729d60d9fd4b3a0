"""Thirty bugs that others had, each put into our code by hand and noticed by a test.

``catalogue.toml`` has the bugs, ``swap`` puts one into the running program, ``plugin`` runs the tests that must
notice, and ``tests/test_mutants.py`` tells what became of each. The table for people is docs/mutants.md.
"""
