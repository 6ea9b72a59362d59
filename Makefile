# Everything a newcomer runs. Each target sets up what it needs in .venv; a second call reuses it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

BIN := .venv/bin
READY := .venv/ready
# The oldest Airflow that is supported; it has no Python 3.13.
OLD := .venv-2.11
OLD_NEEDS := pytest pytest-asyncio pytest-timeout pytest-xdist
# Without bytecode files Airflow's processes start two to three times slower, and they start all the time.
unexport PYTHONDONTWRITEBYTECODE
# A Python that the caller has active must not reach into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help demo ui test test-matrix lint bench clean constraints

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: $(READY)  ## four nights on a real Airflow and the embedded PAI (2 to 3 minutes)
	@$(BIN)/python -m demo

ui: $(READY)  ## the same with the Airflow UI; stays up until Ctrl-C
	@$(BIN)/python -m demo --ui

test: lint  ## lint, then the test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The slowest file first, and three at a time: they mostly wait.
test-matrix: $(OLD)/ready  ## the suite and a real scheduler on Airflow 2.11 (three minutes)
	$(OLD)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests/system2 tests \
	  --ignore tests/system --ignore tests/emulator --ignore tests/demo --ignore tests/test_docs.py

lint: $(READY)  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## what we cost, beside what peers cost: small runs, one JSON line each (three minutes)
	@$(BIN)/python benchmarks/parse.py --runs 3
	@$(BIN)/python benchmarks/polling.py --jobs 100 --interval 2 --seconds 8
	@$(BIN)/python benchmarks/exactly_once.py --kills 10
	@$(BIN)/python benchmarks/canary.py --only 'bad crash_50' 'bad hang' 'good 1' 'killed 2' 'clean 1' 2> /dev/null
	@$(BIN)/python benchmarks/oss.py --size 128 --files 200 --runs 1

clean:  ## remove the virtual environment, the demo's files and caches
	rm -rf .venv $(OLD) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt demo/setup.sh
	@bash demo/setup.sh

$(OLD)/ready: pyproject.toml constraints-2.11.txt | $(READY)
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python '>=3.11,<3.13' $(OLD)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(OLD)/bin/python \
	  --constraint constraints-2.11.txt --editable '.[emulator]' $(OLD_NEEDS)
	@touch $@

# The first version that fits a package on the oldest Python wins; newer Pythons add only what the older lack.
constraints: $(READY)  ## resolve both constraints files anew
	@$(call resolve,constraints.txt,3.11 3.12 3.13,apache-airflow==3.3.2,dev,uv)
	@$(call resolve,constraints-2.11.txt,3.11 3.12,apache-airflow==2.11.2,emulator,$(OLD_NEEDS))

# File, Pythons, constraint, extra and further packages.
define resolve
for python in $(2); do \
  printf '%s\n' $(5) | $(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --no-emit-index-url \
    --python-version $$python --extra $(4) --constraint <(echo '$(3)') pyproject.toml - || exit; \
done | sort --stable --unique --field-separator== --key=1,1 > build/constraints.new
{ sed -n '/^#/p' $(1); cat build/constraints.new; } > build/constraints.txt
mv build/constraints.txt $(1) && rm build/constraints.new
endef
