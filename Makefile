# Every target sets up what it needs. `make help` lists them.
# PROFILE=quick|short|paper|smoke (chosen by the hardware when not given), SEEDS=n, TRACKING=wandb|none, CONTROL=0, ADD=column, LAUNCHER=cores|ray|..., PYTHON=python3.12

VENV ?= .venv
PYTHON ?= $(firstword $(foreach v,python3.13 python3.12 python3.11 python3,$(if $(shell $(v) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo yes),$(v))))
RUN := $(VENV)/bin/python
comma := ,
EXTRAS := experiments,dev$(if $(shell command -v nvidia-smi 2>/dev/null),$(comma)gpu)
OPTIONS := $(if $(PROFILE),--profile $(PROFILE)) $(if $(SEEDS),--set seeds=$(SEEDS)) $(if $(TRACKING),--tracking $(TRACKING)) $(if $(filter 0,$(CONTROL)),--no-control) $(if $(ADD),--columns $(ADD)) $(if $(LAUNCHER),--launcher $(LAUNCHER)) $(ARGS)
REPRODUCE := $(RUN) -m experiments.reproduce $(OPTIONS)
# The figures drawn from the very runs of Table 1.
TABLE1 := table_1 $(foreach n,3 4 5 7 8 10 11 13 14 15 19 20 21,figure_$(n))

.DEFAULT_GOAL := help
.PHONY: help reproduce-table1 reproduce plan-table1 study-fair report data test test-all lint format benchmark publish readme docs docs-site faults setup clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9%-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reproduce-table1: $(VENV)/ready ## train what Table 1 needs and print it, with the figures of the same runs
	$(REPRODUCE) $(TABLE1)

reproduce: $(VENV)/ready ## every table and figure of the paper: a plan first, then what is missing
	$(REPRODUCE) all

plan-table1: $(VENV)/ready ## what reproduce-table1 would run, and how long it may take
	$(REPRODUCE) $(TABLE1) --dry-run

table-%: $(VENV)/ready ## one table, such as table-6
	$(REPRODUCE) table_$*

figure-%: $(VENV)/ready ## one figure, such as figure-9
	$(REPRODUCE) figure_$*

study-fair: $(VENV)/ready ## every method at the learning rate that suits it (docs/fair_comparison.md), in pieces that resume
	$(RUN) -m experiments.fair $(if $(PROFILE),--profile $(PROFILE)) $(if $(TRACKING),--tracking $(TRACKING)) $(ARGS)

study-%: $(VENV)/ready ## one choice the paper leaves open, such as study-depth (docs/reproduction.md lists them)
	$(REPRODUCE) study_$(subst -,_,$*)

report: $(VENV)/ready ## your results and the published ones as HTML pages, in report/
	$(RUN) -m experiments.report $(ARGS)

data: $(VENV)/ready ## download the real data, or say where to get what cannot be downloaded
	$(RUN) -m scripts.download_data

test: lint ## formatting, lint, types, and all fast tests
	$(RUN) -m pytest -m "not slow" -n auto --dist worksteal

test-all: lint ## the slow tests too
	$(RUN) -m pytest -n auto --dist worksteal

lint: $(VENV)/ready ## formatting, lint and types alone
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(VENV)/bin/basedpyright --pythonpath $(RUN)
	$(VENV)/bin/basedpyright --pythonpath $(RUN) --project pyrightconfig.experiments.json

format: $(VENV)/ready ## format the code
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

benchmark: $(VENV)/ready ## training steps per second of the four parameterizations
	$(RUN) -m scripts.benchmark $(ARGS)

publish: $(VENV)/ready ## put finished runs into results/: make publish RUNS="runs/darcy/*"; without RUNS, render results/ anew
	$(RUN) -m scripts.publish $(RUNS) $(ARGS)
	$(RUN) -m scripts.update_readme
	$(RUN) -m scripts.update_docs

readme: $(VENV)/ready ## put Table 1, as results/ has it, into the README
	$(RUN) -m scripts.update_readme

docs: $(VENV)/ready ## put the studies' conclusions, as results/ has them, into docs/reproduction.md
	$(RUN) -m scripts.update_docs

docs-site: $(VENV)/ready ## the documentation with a reference of the library as a site, in site/
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	$(RUN) -m mkdocs build --strict --quiet

faults: $(VENV)/ready ## what runs survive: kills, full disks, damaged files and more (half an hour); writes docs/reliability.md
	$(RUN) -m pytest tests -m reliability --write-page $(ARGS)

setup: $(VENV)/ready ## the virtual environment alone

$(VENV)/ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found: install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) lacks the venv module: install it (on Debian and Ubuntu: python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRAS)]"
	@touch $@

clean: ## remove caches and the virtual environment; runs, output and results stay
	rm -rf $(VENV) .pytest_cache .ruff_cache build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
