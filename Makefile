PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Every process keeps the bytecode of tests and package, also where the shell says not to: each test process, and each
# command that a test starts, would compile all of it anew.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test fast-tests docs coverage test-all test-slurm test-nnunet lint types bench gpu-check

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# pip compiles all that it installs, in half of its time; here what rwseg imports is, also where the shell says not to.
# Made again when the requirements change; touched last, so that an install that broke off is repeated.
$(VENV)/installed: pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import rwseg.commands.report, rwseg.experiments.run'
	@touch $@

install: $(VENV)/installed ## Make .venv with rwseg and everything the tests need

demo: install ## Train and validate RRW on the built-in phantom (a minute or two on two cores)
	$(BIN)/python train.py

test: install ## Lint, types, layers, the site and the tests that CI runs
	$(MAKE) --no-print-directory -j3 lint types docs fast-tests

# The others are checked beside the tests, which leave a core idle now and then.
fast-tests: install
	$(PYTEST) -n auto --dist loadgroup -m 'not slow'

coverage: install ## The same tests, and how much of rwseg/ they reach
	$(PYTEST) -n auto --dist loadgroup -m 'not slow' --cov --cov-fail-under=90

test-all: install ## All tests, also those that take minutes
	$(PYTEST) -n auto --dist loadgroup

test-slurm: install ## A sweep on a SLURM that is started for it (root; Debian's slurm-wlm, slurmdbd, munge, mariadb-server): a quarter of an hour
	RWSEG_TEST_SLURM=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 -s tests/integration/slurm

test-nnunet: ## The trainers for nnU-Net in nnU-Net itself, in an environment of their own (.venv-nnunet)
	$(PYTHON) -m venv .venv-nnunet
	.venv-nnunet/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[nnunet]' pytest pytest-xdist setuptools
	cp tests/experiments/nnunet/torchvision_of_cuda.py "$$(.venv-nnunet/bin/python -c 'import site; print(*site.getsitepackages())')/sitecustomize.py"
	OMP_NUM_THREADS=1 .venv-nnunet/bin/python -m pytest tests/experiments/nnunet tests/integration/test_wheel.py -k nnunet

# The variable is against a banner of mkdocs-material, on versions that constraints.txt does not take.
docs: install ## The documents, commands and API as a site, build/site/index.html; a dead link or a bad docstring fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: install ## Style, complexity, and imports that point down only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install ## Static types, strict
	$(BIN)/mypy

# data=FOLDER: take the volumes of FOLDER/acdc instead of the built-in phantom
BENCH := $(if $(data),RWSEG_DATA=$(data)) $(BIN)/python -m benchmarks --out docs/results/benchmarks

bench: install ## Time ours and the peers side by side (data=FOLDER: on real volumes), write docs/benchmarks.md
	$(BENCH)
	$(BIN)/python -m benchmarks.document

gpu-check: install ## Whoever has a GPU: its tests, benchmarks and a study in nine minutes (data=FOLDER), and docs/gpu.md
	$(if $(data),RWSEG_DATA=$(data)) $(BIN)/python -m benchmarks.gpu_check
