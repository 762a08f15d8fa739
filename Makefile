# make setup       an environment in .venv with the pinned versions; does nothing when it is up to date
# make quickstart  the recipe `quickstart`, from nothing to its table
# make test        linter, type checker and tests
# make lint        the first two alone
# make browser     Chromium, by which the tests look at MLflow's pages: Debian's, where this is root and it is not there
# make screenshots those of the README, from a new run of the recipe `quickstart-search`
# make test-slow   every recipe at toy size through Ray and MLflow, and what the search is worth (half an hour)
# make test-faults processes killed, disks filled, a soak of 200 trials; every table must come out the same
# make test-cluster  a study on three hosts in network namespaces; needs root and iproute2 (minutes, so not part of CI)
# make docs        the site, in build/docs
# make audit       the pinned versions against the known vulnerabilities (asks PyPI, or SERVICE=osv)
# make docker-smoke  the image built, a study run in it, the stack of compose.yaml started (docker, or root and buildah)
# make bench       what docs/performance.md says, measured here (on a quiet machine); or python -m benchmarks.NAME

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# By default, pip asks an index for its newest version; this turns that off. Its cache makes a second environment quick.
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: setup quickstart test test-slow test-faults test-cluster lint browser screenshots docs audit docker-smoke bench clean
.DELETE_ON_ERROR:

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

# Without a browser, its tests are skipped with a message. Users without root install a browser in their system's own way.
browser:
	@command -v chromium >/dev/null || { \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then apt-get update --quiet --quiet && \
	     DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends chromium >/dev/null; \
	else false; fi; } || echo 'no chromium: the tests that look at pages in a browser are skipped'

screenshots: setup browser
	PYTHONPATH=tests $(BIN)/python tests/browser/screenshots.py docs/images

# Data sets that lie beside the checkout are what the tests on real pictures take; without, those are skipped.
test: export NOISY_STUDY_DATA ?= $(abspath $(firstword $(wildcard ../data ../shared/data)))
# Three processes for two cores, because many tests wait for a server or for Ray.
test: lint browser
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-slow: setup
	$(BIN)/pytest -m slow

test-faults: setup
	$(BIN)/pytest -m faults --numprocesses 2 --dist loadfile

test-cluster: setup
	$(BIN)/pytest -m cluster

docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs

# Strict: a package that the service knows nothing of is an error and not a pass.
SERVICE ?= pypi
audit: setup
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --vulnerability-service $(SERVICE)

docker-smoke: setup
	docker/smoke-test.sh

# Each writes benchmarks/NAME.json and its block of docs/performance.md.
BENCHMARKS := throughput steps profile memory checkpoints overhead history tables ceiling
bench: setup
	$(PIP) install --constraint constraints.txt --editable '.[bench]'
	@for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

clean:
	rm -rf $(VENV) build *.egg-info
