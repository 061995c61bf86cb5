# Start with `make demo` and `make test`; each sets up .venv the first time.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

# Tests that need a PostgreSQL server, their own environment, or outages of minutes.
PRODUCTION := jwo_catalog_pipeline_tests/production jwo_catalog_pipeline_tests/doctor

.PHONY: demo test test-thorough test-production seeded-bugs chaos bench lint screenshots lock clean

demo: .venv/installed
	$(BIN)/jwo-catalog demo $(ARGS)

PYTEST := $(BIN)/pytest --numprocesses auto --dist loadfile
# Keeps the order of conftest.py: the longest files first. xdist would leave some of them to the end.
HERE := $(PYTEST) --no-loadscope-reorder $(PRODUCTION:%=--ignore=%)

# The whole flow, the UI and a small part of each chaos test, within five minutes on two cores.
test: .venv/installed
	$(HERE) -m "not thorough" $(ARGS)

# The long searches, and tests that take seconds each.
test-thorough: .venv/installed
	$(HERE) -m thorough $(ARGS)

# The deployment of deploy/ on this machine: PostgreSQL, runs as ECS tasks, doctor. Needs Debian's postgresql.
test-production: .venv/installed
	$(PYTEST) $(PRODUCTION) $(ARGS)

# Puts one bug for each guarantee into a copy of the project, and runs the test that must fail.
seeded-bugs: .venv/installed
	$(BIN)/python -m jwo_catalog_pipeline_tests.seeding $(ARGS)

# Kills, races, network faults, hostile messages and reports: the figures of docs/reliability.md (with ARGS=--write they are written there).
chaos: .venv/installed
	$(BIN)/python -m jwo_catalog_pipeline_tests.chaos $(ARGS)

# The figures of docs/performance.md; ARGS=--write writes them into it.
bench: .venv/bench
	$(BIN)/python -m benchmarks $(ARGS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint deploy/cloudformation.yaml deploy/ecs.yaml

# Installs the locked versions from the index that pip is configured for.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Dependencies that only the benchmarks need.
.venv/bench: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable .[bench]
	touch $@

# The screenshots in docs/; needs chromium.
screenshots: .venv/installed
	SCREENSHOTS=docs $(BIN)/pytest jwo_catalog_pipeline_tests/defs/test_dagster_dev.py jwo_catalog_pipeline_tests/catalog/test_review.py

# Exact versions for every Python from 3.11 on, for the project and for its image; commit the result.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-emit-index-url --no-emit-find-links \
	  --no-annotate --no-header pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --extra production --constraint requirements.lock \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header pyproject.toml --output-file deploy/requirements.lock

clean:
	rm -rf .venv .demo
