# Everything a newcomer runs. Each target sets up what it needs in .venv; a second call reuses it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

BIN := .venv/bin
READY := .venv/ready
# Without bytecode files Airflow's processes start two to three times slower, and they start all the time.
unexport PYTHONDONTWRITEBYTECODE
# A Python that the caller has active must not reach into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help demo ui test lint bench clean constraints

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: $(READY)  ## four nights on a real Airflow and the embedded PAI (2 to 3 minutes)
	@$(BIN)/python -m demo

ui: $(READY)  ## the same with the Airflow UI; stays up until Ctrl-C
	@$(BIN)/python -m demo --ui

test: lint  ## lint, then the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## what we cost, beside what peers cost: small runs, one JSON line each (two minutes)
	@$(BIN)/python benchmarks/parse.py --runs 3
	@$(BIN)/python benchmarks/polling.py --jobs 100 --interval 2 --seconds 6
	@$(BIN)/python benchmarks/exactly_once.py --kills 10

clean:  ## remove the virtual environment, the demo's files and caches
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt demo/setup.sh
	@bash demo/setup.sh

# The first version that fits a package on the oldest Python wins; newer Pythons add only what the older lack.
constraints: $(READY)  ## resolve constraints.txt anew
	@for python in 3.11 3.12 3.13; do \
	  echo uv | $(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --no-emit-index-url \
	    --python-version $$python --extra dev --constraint <(echo 'apache-airflow==3.3.2') pyproject.toml -; \
	done | sort --stable --unique --field-separator== --key=1,1 > build/constraints.new
	@{ sed -n '/^#/p' constraints.txt; cat build/constraints.new; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm build/constraints.new
