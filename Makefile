# make setup         an environment in .venv with the pinned versions; does nothing if it is up to date
# make quickstart    installs the environment and runs the recipe `quickstart` to its table
# make test          linter, type checker and tests; installs nothing outside of .venv
# make lint          linter and type checker alone
# make docs          the site, in build/docs
# make reference     the pages of docs/reference, from the code
# make browser       installs Chromium with apt-get (root on Debian), so that tests can look at pages in a browser
# make test-pythons  many of the tests on Python 3.12 and 3.13, each in an environment of its own
# make test-lowest   many of the tests with the lowest versions that pyproject.toml admits
# make test-slow     every recipe at toy size, the quality of searches, 200 trials with killed workers (half an hour)
# make test-faults   kills processes, fills disks; every table must be the same as without faults
# make soak          200 random interleavings of faults, and 30 injections of each other fault (hours; a second call continues it)
# make test-cluster  a study on three hosts in network namespaces; needs root and iproute2 (minutes, so not part of CI)
# make screenshots   the pictures of the README, from a new run of the recipe `quickstart`
# make audit         the pinned versions against the known vulnerabilities (asks PyPI, or SERVICE=osv)
# make docker-smoke  builds the image, runs a study in it, starts the stack of compose.yaml (docker, or root and buildah)
# make bench         the measurements of docs/performance.md (stop other programs first); or python -m benchmarks.NAME
# make clean         removes .venv and build
# make help          this list

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# By default, pip asks an index for its newest version; this turns that off. Its cache makes a second environment quick.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help setup quickstart test test-pythons test-lowest test-slow test-faults soak test-cluster lint browser screenshots docs reference \
	audit docker-smoke bench clean
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	touch $@

# A second `make quickstart` resumes the study of the first one and prints its table again.
quickstart: setup
	@if [ -e .noisy-study/studies/quickstart/study.yaml ]; \
	then $(BIN)/noisy-study resume quickstart; \
	else $(BIN)/noisy-study run quickstart; fi

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Nothing else calls this but CI: a test run does not change the system. Without a browser its tests are skipped.
# Users without root install a browser in their system's own way.
browser:
	@command -v chromium >/dev/null || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then apt-get update --quiet --quiet && \
	     DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends chromium >/dev/null; \
	else false; fi; } || echo 'no chromium: the tests that look at pages in a browser are skipped'

screenshots: setup
	PYTHONPATH=tests $(BIN)/python tests/browser/screenshots.py docs/images

# Data sets that lie beside the checkout are what the tests on real pictures take; without, those are skipped.
test: export NOISY_STUDY_DATA ?= $(abspath $(firstword $(wildcard ../data ../shared/data)))
# Three processes for two cores, because many tests wait for a server or for Ray.
test: lint
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# Most rooms, and one study through Ray, Optuna and MLflow. Not the browser, the servers and the other whole studies.
ROOMS := config data distill export methods models noise planning results search_spaces
MANY_TESTS := $(ROOMS:%=tests/%) tests/terminal/test_cli.py tests/test_end_to_end.py
PYTHONS ?= 3.12 3.13
# uv finds an interpreter on this machine, or fetches it. Of pyenv's it finds those that are active:
# `PYENV_VERSION=3.12.1:3.13.0 make test-pythons`.
UV := $(BIN)/uv --quiet --no-progress
test-pythons: setup
	@for version in $(PYTHONS); do \
	at=build/python-$$version; echo "Python $$version in $$at"; \
	$(UV) venv --clear --python $$version $$at && \
	$(UV) pip install --python $$at --constraint constraints.txt --editable '.[dev]' && \
	$$at/bin/python -m pytest $(MANY_TESTS) || exit 1; done

# The lowest versions of the packages that pyproject.toml names, with the newest ones of what those need, and the test
# tools of constraints.txt.
LOWEST := build/lowest
TEST_TOOLS := pytest hypothesis jsonschema nbclient nbformat ipykernel moto[s3] playwright
test-lowest: setup
	@mkdir -p build
	$(UV) pip compile --resolution lowest-direct --only-binary :all: --python $(BIN)/python \
	--extra export --extra cluster --output-file $(LOWEST).txt pyproject.toml >/dev/null
	$(UV) venv --clear --python $(BIN)/python $(LOWEST)
	$(UV) pip install --python $(LOWEST) --requirement $(LOWEST).txt $(TEST_TOOLS) --editable .
	$(LOWEST)/bin/python -m pytest $(MANY_TESTS)

test-slow: setup
	$(BIN)/pytest -m slow

test-faults: setup
	$(BIN)/pytest -m faults --numprocesses 3 --dist worksteal --durations 15

# Both keep a line for each study at once, and continue with the studies that have none.
soak: setup
	@mkdir -p build
	PYTHONPATH=tests $(BIN)/python -m benchmarks.kills --without-interleaved --out build/kills.json
	PYTHONPATH=tests $(BIN)/python -m benchmarks.interleavings --out build/interleavings.json

test-cluster: setup
	$(BIN)/pytest -m cluster

reference: setup
	$(BIN)/python docs/references.py

docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

# Strict: a package that the service does not know is an error.
SERVICE ?= pypi
audit: setup
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --vulnerability-service $(SERVICE)

docker-smoke: setup
	docker/smoke-test.sh

# Each writes benchmarks/NAME.json and its block of docs/performance.md.
BENCHMARKS := throughput steps profile memory reading checkpoints overhead history tables ceiling
bench: setup
	$(PIP) install --constraint constraints.txt --editable '.[bench]'
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf $(VENV) build *.egg-info
