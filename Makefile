# Each target makes what it needs: .venv/ with everything pyproject.toml names, then its own work.
# `make demo ARGS=--serve` passes arguments on; `make test ARGS="-k protocol"` too.

PYTHON ?= python3
ARGS   ?=
# One test process a core; the suites wait for sockets and processes more than they compute.
JOBS   ?= auto

VENV  := .venv
PY    := $(VENV)/bin/python
STAMP := $(VENV)/with-test+lint

.PHONY: demo test scenarios bench bundle lint format settings clean

# What a visitor runs first, so it waits for little.
demo: $(VENV)/with-demo
	$(PY) -m scenarios demo $(ARGS)

test: $(STAMP)
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

# Every way of breaking the queue at full size: kills, failing system calls, power loss, seeded bugs.
.PHONY: crash
crash: $(STAMP)
	$(PY) -m tests.crash $(ARGS)

scenarios: $(STAMP)
	@mkdir -p build
	$(PY) -m scenarios run --junit build/scenarios.xml --html build/scenarios.html --json build/scenarios.json $(ARGS)

# Three reports in one file; `make bench ARGS=--full` sweeps 100,000 scenes too. Fails when a promise is missed.
bench: $(STAMP)
	@rm -f build/bench.json; status=0; \
	$(PY) tools/bench.py --json build/bench.json || status=1; \
	$(PY) tools/bench_engine.py --json build/bench.json $(ARGS) || status=1; \
	$(PY) -m benchmarks.queue --json build/bench.json || status=1; \
	exit $$status

bundle: $(STAMP)
	$(PY) tools/bundle.py $(ARGS)

lint: $(STAMP)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

format: $(STAMP)
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

# PlexSync.yml and README.md say what plexsync/core/settings.py says.
settings: $(STAMP)
	$(PY) tools/settings.py

# docs/architecture.svg is drawn from the imports of plexsync/.
.PHONY: architecture coverage
architecture: $(STAMP)
	$(PY) tools/architecture.py

# Of what runs in the tests' own process; hooks, workers and commands are processes of their own.
coverage: $(STAMP)
	$(PY) -m pytest -n $(JOBS) --cov=plexsync --cov-report=term-missing:skip-covered tests/unit tests/property $(ARGS)

clean:
	rm -rf build dist $(VENV)

# Everything the extras named behind "with-" need. Made again when pyproject.toml changes. The mark comes last, so an
# attempt that was cut short is made again too.
$(VENV)/with-%: pyproject.toml tools/requirements.py
	@$(PYTHON) -c 'import sys; sys.exit("PlexSync needs Python 3.11 or newer; try PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(PY) -c pass 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(PY) tools/requirements.py $(subst +, ,$*) > $@.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-compile -r $@.txt
	@touch $@
