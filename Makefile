# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip -q --disable-pip-version-check
PYTHON ?= python3
TOOLS := build/tools
INSTALLED := $(VENV)/.installed
CATALOGUES := $(wildcard wardnet/locale/*/LC_MESSAGES/wardnet.po)
AGENT_SOURCES := $(wildcard exporters/*.py exporters/*/*.py wardnet/model/*.py wardnet/runs/*.py wardnet/locale/*.py wardnet/__init__.py packaging/*) docs/exporters.md
PULL_SOURCES := $(wildcard plugins/module_utils/*.py packaging/*.py packaging/pull/*) pyproject.toml docs/pull.md
CHECKED := build/checked
sources = $(shell find $(addprefix $(CURDIR)/,$(1)) -not -name __pycache__ -not -name '*.pyc' 2>/dev/null)
PYTHON_SOURCES = $(call sources,wardnet lab collectors exporters plugins bench packaging tests)
ANSIBLE_SOURCES = $(call sources,roles playbooks plugins bench/plain .ansible-lint ansible.cfg)
N ?= 16
UPGRADE ?= --upgrade
PACKAGE_LISTS := lab/packages.txt
# Tests without a lab run side by side, those of a file in one process; those with a lab share it and run one by one.
BESIDE := -n auto --dist loadfile
LOCK = build/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(UPGRADE)

# Debian's promtool, amtool and prometheus, unpacked beside the code: installing them would start their services.
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/$(TOOLS)/usr/bin:$(PATH)

.PHONY: help demo test test-slow drill-lockout check lint bench bench-audit bench-probes bench-provision dist clean lock install messages system

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16

demo: system install dist ## the main job on the lab district (root; WARDS=8: all wards, KEEP=1: leaves it running, WORKPLACES=1: PCs, scanner, citizen point)
	$(BIN)/python -m lab.demo $(if $(WARDS),--wards $(WARDS)) $(if $(filter-out 0,$(WORKPLACES)),--workplaces) $(if $(filter-out 0,$(KEEP)),--keep)

test: system install dist lint ## install what it needs and pass all tests (root: it boots the lab)
	$(BIN)/pytest $(BESIDE) -m 'not slow and not lab'
	$(BIN)/pytest -m 'lab and not slow'

test-slow: PACKAGE_LISTS += lab/packages-slow.txt
test-slow: system install dist ## the tests that take long, some in emulated guests (root)
	$(BIN)/pytest -m slow

drill-lockout: system install dist ## cut the manager off from gateways in many ways; all must come back by themselves (root; N=100 for all)
	$(BIN)/python -m lab.drill --number $(N) $(if $(JSON),--json $(JSON))

check: install $(TOOLS) lint ## lint, types, import rules, the unit tests that are not long: no root, some five minutes on two processors
	$(BIN)/pytest $(BESIDE) -m 'not slow and not lab and not long' tests/unit tests/golden

# What passed, and has not changed since, passes still: each folder is among them, so that a file that goes counts too.
lint: install $(CHECKED)/python $(CHECKED)/ansible

$(CHECKED)/python: $(PYTHON_SOURCES) pyproject.toml $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	mkdir -p $(CHECKED) && touch $@

$(CHECKED)/ansible: $(ANSIBLE_SOURCES) $(INSTALLED)
	$(BIN)/ansible-lint --offline -q
	mkdir -p $(CHECKED) && touch $@

bench: bench-audit bench-probes bench-provision ## all benchmarks; results in bench/results

bench-audit: install
	$(BIN)/python -m bench.audit

bench-probes: install
	$(BIN)/python -m bench.probes

bench-provision: system install dist ## a converge with nothing to do beside a plain baseline, 2 and 8 wards (root; three hours or more; QUICK=1: 2 wards)
	$(BIN)/python -m bench.provision

dist: install dist/.agent dist/.pull ## the agents, and what hosts pull with, as Debian packages that install offline, in dist/

dist/.agent: $(AGENT_SOURCES) requirements/dev.txt pyproject.toml | $(INSTALLED)
	$(BIN)/python packaging/build_agent.py --output dist
	touch $@

dist/.pull: $(PULL_SOURCES) | $(INSTALLED)
	$(BIN)/python packaging/build_pull.py --output dist
	touch $@

clean: ## take back all that this checkout's labs changed, and what was built here (CACHE=1: the cached base image too)
	if [ -x $(BIN)/python ]; then $(BIN)/python -m lab down --here $(if $(CACHE),--cache); fi
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .ansible
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

lock: ## renew the lock file of Python packages
	$(PYTHON) -m venv build/lock && build/lock/bin/pip -q install uv
	$(LOCK) --group build -o requirements/build.txt
	$(LOCK) --all-extras --group dev pyproject.toml -o requirements/dev.txt

install: $(INSTALLED) $(CATALOGUES:.po=.mo) ## the Python environment in .venv

$(INSTALLED): requirements/build.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV) || { [ "$$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq install -y python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(PIP) install --require-hashes -r requirements/build.txt
	$(PIP) install --no-build-isolation --require-hashes -r requirements/dev.txt
	$(PIP) install --no-build-isolation --no-deps -e .
	touch $@

messages: install ## gather the texts that people read into the catalogues, for translation
	mkdir -p build
	$(BIN)/pybabel -q extract -F babel.cfg -k N_ --no-location --sort-output --project=wardnet -o build/wardnet.pot wardnet collectors exporters lab
	$(BIN)/pybabel -q update -i build/wardnet.pot -d wardnet/locale -D wardnet -w 120 --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date

%.mo: %.po | $(INSTALLED)
	$(BIN)/pybabel -q compile -i $< -o $@

system: $(TOOLS) ## Debian's packages that the lab needs (root)
	@missing=""; for package in $$(grep -vh '^#' $(PACKAGE_LISTS)); do \
	    dpkg-query -W -f '$${Status}' "$$package" 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	    [ "$$(id -u)" = 0 ] || { echo "the lab needs root to install:$$missing" >&2; exit 1; }; \
	    echo "installing$$missing"; apt-get -qq update; \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing >/dev/null; fi

$(TOOLS):
	mkdir -p $(TOOLS).new
	cd $(TOOLS).new && apt-get -qq download prometheus prometheus-alertmanager || { apt-get -qq update && apt-get -qq download prometheus prometheus-alertmanager; }
	for package in $(TOOLS).new/*.deb; do dpkg-deb -x "$$package" $(TOOLS).new; done
	rm $(TOOLS).new/*.deb && mv $(TOOLS).new $(TOOLS)
