# Dunlin. `make help` lists what you can do here.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test demo lint clean venv pictures mails lighthouse bench simulation chaos

VENV := .venv/bin/python
# Without what Python keeps of its compiling, every process compiles all of it anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

run: venv ## start everything here: portal, sandbox Stripe, mail inbox; PORT=8100 for other ports
	@exec $(VENV) -m local.run

# Three processes: on two cores one of them always waits, for a browser or for a server that it has killed; a fourth
# would only make the others late. A file's tests stay together, and share its servers; tests/conftest.py says in what
# order the files come.
test: venv ## check style and types, run every test, in a real browser too
	@$(VENV) -m local.browser & browser=$$!; \
	  $(VENV) -m local.stripe_cli & cli=$$!; \
	  $(VENV) -m mypy & types=$$!; \
	  $(VENV) -m ruff check . && wait $$browser && wait $$cli && \
	  $(VENV) -m pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0; tests=$$?; \
	  wait $$types && exit $$tests

demo: venv ## tell the whole story in the terminal, step by step
	@exec $(VENV) -m local.demo

lint: venv ## check style and types only
	@$(VENV) -m ruff check .
	@$(VENV) -m mypy

simulation: venv ## live SEEDS histories with faults (200), in JOBS processes (2), and ask every oracle
	@exec $(VENV) -m tests.simulation --seeds $(or $(SEEDS),200) --jobs $(or $(JOBS),2) \
	  --first $(or $(FIRST),1) $(if $(KEEP),--keep $(KEEP)) $(if $(REPORT),--report $(REPORT))

chaos: venv ## kill everything, KILLS times (200), under DELIVERIES deliveries (20000), and ask every oracle
	@exec $(VENV) -m tests.chaos --kills $(or $(KILLS),200) --deliveries $(or $(DELIVERIES),20000) \
	  $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT))

pictures: venv ## photograph every standing into docs/pictures, by day and by night, wide and narrow
	@$(VENV) -m local.browser
	@exec $(VENV) -m tests.pages.pictures

mails: venv ## photograph every mail into FOLDER, light and dark, narrow and wide
	@$(VENV) -m local.browser
	@exec $(VENV) -m tests.pages.mail_pictures $(or $(FOLDER),.data/mail-pictures)

lighthouse: venv ## have the main pages judged by Lighthouse, which npm installs into .venv
	@$(VENV) -m local.browser
	@exec $(VENV) -m benchmarks.lighthouse

bench: venv ## measure speed beside its baselines, half an hour; QUICK=--quick for a look (docs/performance.md)
	@exec $(VENV) -m benchmarks $(QUICK)

clean: ## remove .venv and caches; your data in .data stay
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis test-results
	@find . -name __pycache__ -type d -not -path './.data/*' -prune -exec rm -rf {} +

# With the first Python of this machine that is new enough, or the one named by PYTHON=…
venv:
	@for python in $${PYTHON:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  exec "$$python" local/bootstrap.py; \
	done; \
	echo 'Dunlin needs Python 3.11 or newer; install it (Debian 12 and later: apt install python3 python3-venv),' >&2; \
	echo 'or name one that is there with PYTHON=/path/to/python3, and run again.' >&2; exit 1
