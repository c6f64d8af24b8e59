# Set-up is part of every target: python3 (3.11 or newer) and make are all it takes.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Heavy imports would compile at every start with the first; the other two would hide the installed wheel.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME

PYTHON ?= python3
ARGS ?=
DEMO := .venv
TEST := .venv-test
SOURCES := $(shell find mlmon_sidecar -name __pycache__ -prune -o -print 2>/dev/null)

.PHONY: help demo test test-compat check lint docs clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)$$/  make \1\t\2/' | expand -t 20

demo: $(DEMO)/.installed  ## Play the story against a real model server: make demo ARGS="--once --json".
	@exec $(DEMO)/bin/mlmon demo $(ARGS)

test: $(TEST)/.wheel  ## Every gate against the built wheel, as CI does; a part: make test ARGS="-k capture".
	@scripts/system-packages
	@MLMON_TEST_INSTALLED=1 PYTHONSAFEPATH=1 PYTHON=$(TEST)/bin/python scripts/check $(ARGS)

test-compat:  ## The wheel under each Starlette and in a real BentoML server: minutes, and much to install.
	@scripts/test-compat $(PYTHON)

check: $(TEST)/.tools  ## Every gate against the working tree: quicker while you edit.
	@PYTHONPATH=$(CURDIR) PYTHON=$(TEST)/bin/python scripts/check $(ARGS)

lint: $(TEST)/.tools  ## Only the linter, the formatter and the types.
	@PYTHON=$(TEST)/bin/python scripts/lint

docs: $(TEST)/.tools  ## Write the reference pages that come from the code.
	@PYTHONPATH=$(CURDIR) $(TEST)/bin/python scripts/generate_docs.py

clean:  ## Remove everything that was built or installed here.
	rm -rf $(DEMO) $(TEST) .venv-compat dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(DEMO)/.installed: pyproject.toml
	@scripts/new-venv $(DEMO) $(PYTHON)
	@echo "installing mlmon-sidecar and what the demo needs into $(DEMO)" >&2
	@$(DEMO)/bin/python -m pip install --quiet --editable '.[demo]' >&2
	@touch $@

$(TEST)/.tools: pyproject.toml
	@scripts/new-venv $(TEST) $(PYTHON)
	@echo "installing what the tests need into $(TEST)" >&2
	@$(TEST)/bin/python -m pip install --quiet --group test >&2
	@scripts/install-wheel $(TEST)
	@touch $@

# Not when .tools has just installed the wheel of these very sources.
$(TEST)/.wheel: $(SOURCES) README.md | $(TEST)/.tools
	@[ -z "$$(find $^ -maxdepth 0 -newer $(TEST)/.tools -print -quit)" ] || scripts/install-wheel $(TEST)
	@touch $@
