# Everything a developer or a user needs; each target installs what it uses.
PYTHON ?= python3
BIN := .venv/bin
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help run test test-faults lint types format test-live bench screenshots clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/uv-stamp: uv.lock
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	@touch $@

.venv/run-stamp: .venv/uv-stamp
	@$(BIN)/uv sync --quiet --frozen --inexact --no-dev --extra postgresql
	@touch $@

.venv/dev-stamp: .venv/run-stamp
	@$(BIN)/uv sync --quiet --frozen --inexact --all-extras
	@touch $@

run: .venv/run-stamp  ## Waitdesk on this machine; ARGO_SERVER=host:port for a real Argo
	@exec $(BIN)/python manage.py run

test: .venv/dev-stamp  ## every test but the live, fault-marathon and benchmark ones
	@sh tests/need_chromium.sh
	$(BIN)/python -m tests.postgres $(BIN)/python -m pytest tests/dashboard -n 2
	$(BIN)/python -m pytest -n 2

test-faults: .venv/dev-stamp  ## the long fault tests
	$(BIN)/python -m pytest -m marathon -o addopts="--strict-markers --strict-config"

lint: .venv/dev-stamp  ## ruff, djlint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --quiet --lint templates

types: .venv/dev-stamp  ## mypy
	$(BIN)/mypy

format: .venv/dev-stamp  ## in place
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

test-live: .venv/dev-stamp  ## the pattern on a real Argo: ARGO_SERVER, ARGO_TOKEN, ARGO_NAMESPACE
	$(BIN)/python -m pytest tests/live -m live -o addopts="--strict-markers --strict-config" -p no:randomly

bench: .venv/dev-stamp  ## ratios, each from one run
	$(BIN)/python -m bench

screenshots: .venv/dev-stamp  ## the pictures of README and docs
	$(BIN)/python docs/make_screenshots.py

clean:  ## all that the other targets made, but not ./data
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
