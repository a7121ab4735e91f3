# `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
# More workers than cores: many tests wait, for deadlines and for child processes.
WORKERS ?= 4
# Bytecode is kept even where the environment asks for none: the tests start hundreds of interpreters.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

.PHONY: help demo demo-docker test prove check bench bench-agent bench-trainer promises mutants docs clean

help:            ## say what there is
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/  —/'

demo: venv-demo          ## one real training job through the bot, in a stand-in Slack; then the page
	@$(BIN)/hourglass demo $(ARGS)

demo-docker: venv-demo          ## the same in a container of this machine's engine
	@$(BIN)/hourglass demo --provider docker $(ARGS)

test: venv-dev          ## every test that this machine can run
	@$(PYTEST) -m "not promises" $(ARGS)

prove: venv-dev          ## small runs of the figures behind the promises, and the mutants that they must catch
	@$(PYTEST) -m promises

check: venv-dev          ## format, lint, types, layers, the fast tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(PYTEST) -m "not slow and not engine and not browser and not promises"

bench: venv-dev          ## latency, start-up and memory, printed as a table
	@$(BIN)/python -m tests.bench $(ARGS)

bench-trainer: venv-dev          ## the training loop: exact resume, one step on any number of GPUs, speed beside nanoGPT
	@$(BIN)/python -m tests.bench.trainer $(ARGS)

bench-agent: venv-dev          ## what runs beside a training, in figures: how progress is read, what it costs
	@$(BIN)/python -m tests.bench.agent $(ARGS)

promises: venv-dev          ## the two promises as figures, with counts and seeds (ARGS='--small' for a short run)
	@$(BIN)/python -m tests.promises $(ARGS)

mutants: venv-dev          ## would a test notice? (docs/mutation.md)
	@$(BIN)/pip install -q mutmut==3.8.1
	@$(BIN)/python -m tests.mutation $(ARGS)

docs: venv-dev          ## write docs/states.md anew from the life cycle's tables
	@$(BIN)/python -m jobs.diagram > docs/states.md

clean:          ## remove what was built; rentals and their files are in var/, which stays
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: venv-demo venv-dev
venv-demo:
	@$(PYTHON) .ci/bootstrap.py torch
venv-dev:
	@$(PYTHON) .ci/bootstrap.py torch dev
