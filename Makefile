# Everything a newcomer runs. Each target sets up what it needs in .venv; a second call reuses it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

BIN := .venv/bin
READY := .venv/ready
# Environments beside it: what the benchmarks measure against, a deployment's, and the oldest Airflow, which has no Python 3.13.
BENCH := .venv-bench
DISTRIBUTED := .venv-distributed
OLD := .venv-2.11
OLD_PYTHON := >=3.11,<3.13
OLD_NEEDS := hypothesis pytest pytest-asyncio pytest-timeout pytest-xdist
# Without bytecode files Airflow's processes start two to three times slower, and they start all the time.
unexport PYTHONDONTWRITEBYTECODE
# A Python that the caller has active must not reach into ours.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help demo ui pictures test test-fast test-system test-distributed test-matrix test-all test-wheel test-versions \
  trials fuzz wheel docs release-check lint fmt bench clean constraints pins

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

demo: $(READY)  ## five nights on a real Airflow and the embedded PAI (2 to 3 minutes)
	@$(BIN)/python -m demo

ui: $(READY)  ## the same with the Airflow UI; stays up until Ctrl-C
	@$(BIN)/python -m demo --ui

# What draws and photographs is no part of .venv: Airflow's processes, which drop PYTHONPATH, do not see it.
pictures: $(READY)  ## the pictures of docs/, of a real run, by headless Chromium (5 minutes; needs chromium)
	@$(BIN)/uv pip install --quiet --constraint constraints.txt --target build/pictures playwright pillow
	@PYTHONPATH=build/pictures $(BIN)/python -m demo.pictures

# Four at a time on two cores: they mostly wait. Who is done first takes over what another has left.
test: lint  ## lint, and all tests but those on a real Airflow
	$(BIN)/python -m pytest -m "not system" -n 4 --dist worksteal

test-fast: $(READY)  ## the tests that need no emulator, without lint: under a minute
	$(BIN)/python -m pytest -m "not system and not emulator" -n 2 --dist worksteal

trials: $(READY)  ## what people did with it, a story of a few lines each: under a minute
	$(BIN)/python -m pytest tests/trials -n 2

# Whatever takes how long: twenty thousand examples of a property are no test that hangs.
fuzz: $(READY)  ## twenty thousand random examples of each property marked `fuzz`
	$(BIN)/python -m pytest -m fuzz --hypothesis-profile fuzz --timeout 0 -n 2 --dist worksteal

# One worker: each would start an Airflow of its own, four processes on the same cores.
test-system: $(READY)  ## the tests on a real Airflow 3
	$(BIN)/python -m pytest -m system

# By hand: ten minutes, and servers that not every machine has.
test-distributed: $(DISTRIBUTED)/ready  ## PostgreSQL, Redis, Celery, two of each part, one of each killed (ARGS="--jobs 40 --nights 5")
	$(DISTRIBUTED)/bin/python -m pytest -q tests/ledger/test_servers.py
	$(DISTRIBUTED)/bin/python -m tests.distributed $(ARGS)

# The slowest file first, and three at a time: they mostly wait.
test-matrix: $(OLD)/ready  ## the tests and a real scheduler on Airflow 2.11
	$(OLD)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder tests/system2 tests \
	  --ignore tests/system --ignore tests/emulator --ignore tests/demo --ignore tests/docs --ignore tests/test_recipe.py

test-all: test test-wheel test-system test-matrix  ## all four: what CI runs, before the demo

wheel: $(READY)  ## the wheel, built from the source archive beside it, in dist/
	@rm -rf dist
	@$(BIN)/uv build --quiet
	@ls dist/*.whl

test-wheel: wheel  ## what the wheel and the source archive hold and say, and what mypy --strict says to who uses them
	$(BIN)/python -m pytest release

test-versions: wheel  ## the wheel beside each Airflow of tests/constraints/, on each Python: pins and unit tests
	$(BIN)/python -m release.matrix

release-check: docs test-wheel test-versions  ## a dry run of a release: RELEASING.md

lint: $(READY)  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY)  ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Its own people's news of MkDocs 2 is no warning of ours.
docs: $(READY)  ## the documentation as a site, in build/docs; a warning fails it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(BENCH)/ready  ## what we cost, beside what peers cost: small runs, one JSON line each (eight minutes)
	@$(BENCH)/bin/python benchmarks/parse.py --runs 3
	@$(BENCH)/bin/python benchmarks/polling.py --jobs 100 --interval 2 --seconds 8
	@$(BENCH)/bin/python benchmarks/triggerer.py --waits 200 --interval 2 --seconds 8 --log-seconds 2 --run-mb 50 2> /dev/null
	@$(BENCH)/bin/python benchmarks/exactly_once.py --kills 10
	@$(BENCH)/bin/python benchmarks/canary.py --only 'bad crash_50' 'bad hang' 'good 1' 'killed 2' 'clean 1' 2> /dev/null
	@$(BENCH)/bin/python benchmarks/worlds.py --only default together 2> /dev/null
	@$(BENCH)/bin/python benchmarks/oss.py --size 128 --files 200 --many 1000 --runs 1
	@$(BIN)/python benchmarks/faults.py --cases 60 --at-once 3 --only train prepare_data upload_parts deploy ledger_down

freeze: $(READY)  ## write what this version leaves behind (tests/upgrades), before it is released
	@$(BIN)/python -m tests.upgrades

clean:  ## remove the virtual environments, the demo's files and caches
	rm -rf .venv $(BENCH) $(DISTRIBUTED) $(OLD) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt demo/setup.sh
	@bash demo/setup.sh

$(BENCH)/ready: pyproject.toml constraints.txt | $(READY)
	$(call environment,$(BENCH),$(BIN)/python,--constraint constraints.txt --editable '.[bench]')

$(DISTRIBUTED)/ready: pyproject.toml constraints.txt | $(READY)
	$(call environment,$(DISTRIBUTED),$(BIN)/python,--constraint constraints.txt --editable '.[distributed]')

$(OLD)/ready: pyproject.toml constraints-2.11.txt | $(READY)
	$(call environment,$(OLD),$(OLD_PYTHON),--constraint constraints-2.11.txt --editable '.[emulator]' $(OLD_NEEDS))

# Folder, Python and what to install.
define environment
$(BIN)/uv venv --quiet --clear --no-python-downloads --python '$(2)' $(1)
$(BIN)/uv pip install --quiet --compile-bytecode --python $(1)/bin/python $(3)
@touch $(1)/ready
endef

# The first version that fits a package on the oldest Python wins; newer Pythons add only what the older lack.
constraints: $(READY)  ## resolve both constraints files anew
	@mkdir -p build
	@$(call resolve,constraints.txt,3.11 3.12 3.13,apache-airflow==3.3.2,pyproject.toml --extra dev --extra bench --extra distributed,uv)
	@$(call resolve,constraints-2.11.txt,3.11 3.12,apache-airflow==2.11.2,pyproject.toml --extra emulator,$(OLD_NEEDS))

# Each Airflow, the first moment after its release, and provider packages that only Airflow 3 has.
pins: $(READY)  ## resolve anew what each Airflow pinned on the day of its release
	@mkdir -p build
	@$(call pinned,2.11.2,2026-03-14T18:08:00Z)
	@$(call pinned,3.1.8,2026-03-11T19:29:00Z,common-messaging git)
	@$(call pinned,3.2.2,2026-05-29T05:21:00Z,common-messaging git)
	@$(call pinned,3.3.2,2026-09-17T08:40:00Z,common-messaging git)

# The official image's and alibaba's.
PROVIDERS := alibaba amazon celery cncf-kubernetes docker elasticsearch fab ftp google grpc hashicorp http microsoft-azure \
  mysql odbc openlineage postgres redis sendgrid sftp slack snowflake sqlite ssh
pinned = $(call resolve,tests/constraints/airflow-$(1).txt,3.11,apache-airflow==$(1),--exclude-newer $(2),\
  apache-airflow $(addprefix apache-airflow-providers-,$(PROVIDERS) $(3)))

# File, Pythons, constraint, inputs and options, further packages.
define resolve
for python in $(2); do \
  printf '%s\n' $(5) | $(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --no-emit-index-url \
    --python-version $$python --constraint <(echo '$(3)') $(4) - || exit; \
done | sort --stable --unique --field-separator== --key=1,1 > build/constraints.new
{ sed -n '/^#/p' $(1); cat build/constraints.new; } > build/constraints.txt
mv build/constraints.txt $(1) && rm build/constraints.new
endef
