# Every target but `help`, `docs` and `clean` first makes sure of .venv; scripts/setup.py tells how.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

CONFIG  ?= configs/ablate.toml
RESULTS ?= results
WANDB   ?= auto
DEVICE  ?=
ON      ?= here
ARGS    ?=
PYTHON  ?=

BIN        := .venv/bin
# That of .venv comes first, so that a .venv made with another Python than the newest is kept.
PYTHONS    := $(BIN)/python python3.13 python3.12 python3.11 python3 python
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# a process runs all tests of a file: they share what takes long to make; and what one has compiled of Python, all use
PYTEST     := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile
RUN         = $(BIN)/bn-ablate run "$(CONFIG)" --results "$(RESULTS)" --wandb $(WANDB) --on $(ON) $(ARGS)
STUDY       = $(RESULTS)/$(basename $(notdir $(CONFIG)))

CLAIMS     := c1 c2 c3 c4 c5 c6 c7 c8
# a quick study has a folder of its own
OF_CLAIMS   = $(foreach study,$(basename $(notdir $(wildcard configs/c[1-8]_*.toml))),"$(RESULTS)/$(study)$(QUICK)")
WHY         = $(sort $(wildcard configs/why/*.toml))
# those that CPUs can train, and the studies of the atlas on digits and on 300 examples of MNIST; others by name
REPLICATIONS ?= p2_garbin_mlp_5 p4_ioffe_mnist
ATLAS       ?= $(sort $(basename $(notdir $(wildcard configs/atlas/*_300.toml))))
QUICK       = $(if $(filter --quick,$(ARGS)),-quick)

.PHONY: help setup ablate $(CLAIMS) claims why replications atlas smoke report paper sync bench test test-all test-matrix kill-test check lint types audit docs format clean

## Studies
ablate: setup # train, test and report the main study, or another CONFIG
	$(RUN)

$(CLAIMS): CONFIG = $(wildcard configs/$@_*.toml)
c1 c2 c3 c4 c5 c6 c7 c8: setup # put one of the eight claims to the test; ARGS=--quick to see that it goes through
	$(RUN)

claims: setup # all eight, one after the other, and then the verdicts over all of them; ARGS=--quick as well
	@for claim in $(CLAIMS); do $(MAKE) $$claim || exit; done
	$(BIN)/bn-ablate claims $(OF_CLAIMS) --output "$(RESULTS)/claims$(QUICK).json"

why: setup # seven studies of which part of BN does it, one after the other, and then the verdicts over all of them
	@for study in $(WHY); do $(MAKE) ablate CONFIG=$$study || exit; done
	$(BIN)/bn-ablate claims $(foreach study,$(basename $(notdir $(WHY))),"$(RESULTS)/$(study)$(QUICK)") --output "$(RESULTS)/why$(QUICK).json"

replications: setup # train what was published by others, and hold it to that; REPLICATIONS="p2_garbin_mlp_50 ..." for others
	@for study in $(REPLICATIONS); do $(MAKE) ablate CONFIG=configs/replications/$$study.toml && \
	    $(BIN)/bn-ablate replicate "$(RESULTS)/$$study" || exit; done

atlas: setup # the claims on digits and on MNIST, in a reduced form, and then where each holds; ATLAS="c1_mnist_5000 ..." for others
	@for study in $(ATLAS); do $(MAKE) ablate CONFIG=configs/atlas/$$study.toml || exit; done
	$(BIN)/bn-ablate atlas $(foreach study,$(ATLAS),"$(RESULTS)/$(study)") --output "$(RESULTS)/atlas.json"

smoke: CONFIG = configs/smoke.toml
smoke: setup # the same with a study of seconds
	$(RUN)

report: setup # draw the figures, tables and report of a finished study again
	$(BIN)/bn-ablate report "$(STUDY)" $(ARGS)

paper: setup # tables, figures, numbers and references for a paper: of the claims that have results, or of all there is
	$(BIN)/bn-ablate paper $(or $(patsubst %/manifest.json,"%",$(wildcard $(RESULTS)/c[1-8]_*/manifest.json)),"$(RESULTS)") --output paper

sync: setup # send a finished study to Weights & Biases
	$(BIN)/bn-ablate sync "$(STUDY)" $(ARGS)

bench: setup # hold this project against other ways to train the same networks
	$(BIN)/python scripts/bench.py $(ARGS)

## Development
test: setup # run the fast tests
	$(PYTEST) $(ARGS)

test-all: setup # run the slow ones too, compiled as for a run, and the studies of the claims in their quick form
	XLA_FLAGS= $(PYTEST) -m "" --hypothesis-profile=many $(ARGS)
	results=$$(mktemp -d) && trap 'rm -rf "$$results"' EXIT && \
	    $(MAKE) claims ARGS=--quick RESULTS="$$results" WANDB=disabled

test-matrix: setup # run the fast tests on each Python that is found, with the oldest packages allowed and the newest
	$(BIN)/python scripts/matrix.py $(ARGS)

kill-test: setup # kill a run 25 times, also in the middle of writes, and compare its end with that of one left alone
	$(BIN)/python scripts/kill_test.py $(ARGS)

lint: setup # check style, format, the direction of imports, and the declared dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .

types: setup # check the types
	$(BIN)/mypy

audit: setup # look the locked releases up among known vulnerabilities; says so where there is no network
	$(BIN)/python scripts/audit.py $(ARGS)

docs: # build the documentation site in build/docs, in an environment of its own; ARGS=serve shows it
	@$(or $(PYTHON),$(firstword $(wildcard $(BIN)/python) python3)) scripts/docs.py $(ARGS)

check: lint types test # all three

format: setup # rewrite the code in the project's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

## Housekeeping
setup: # make .venv from the lock of DEVICE; takes no time when it is there already
	@for python in $(or $(if $(PYTHON),"$(PYTHON)"),$(PYTHONS)); do "$$python" -c '$(NEW_ENOUGH)' 2>/dev/null && \
	    exec "$$python" scripts/setup.py $(addprefix --device ,$(DEVICE)) $(if $(PYTHON),--this-python); done; \
	python="$(or $(PYTHON),python3)"; \
	echo "make: bn_ablate needs Python 3.11 or later; '$$python' is not: $$("$$python" -V 2>&1 | head -n 1)" >&2; \
	echo "      Install one, or say where it is: make PYTHON=/path/to/python3.12" >&2; exit 2

clean: # remove .venv, those of test-matrix and docs, caches and build output; results stay
	rm -rf .venv .venv-matrix .venv-docs build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: # this list
	@bold= plain=; if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then bold=$$(printf '\033[1m') plain=$$(printf '\033[0m'); fi; \
	echo "make TARGET [NAME=value ...]"; \
	awk -v b="$$bold" -v p="$$plain" 'BEGIN { FS = ":.*# " } /^## / { printf "\n%s%s%s\n", b, substr($$0, 4), p } \
	    /^[a-z0-9 -]+:.*# / { sub("c2 .* c8", "to c8", $$1); printf "  %-14s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST)); \
	printf '\n%sSettings%s\n' "$$bold" "$$plain"; \
	printf '  %-14s%s\n' \
	    CONFIG= "the study [$(CONFIG)]" \
	    RESULTS= "the folder that results go to, and come from [$(RESULTS)]" \
	    WANDB= "auto, online, offline or disabled [$(WANDB)]" \
	    ON= "here, or ray: who trains, docs/scaling.md says how [$(ON)]" \
	    DEVICE= "cpu, cuda or tpu [what .venv is set up for, at first cpu]" \
	    PYTHON= "a Python of version 3.11 or later, for cuda 3.12 [found by itself]" \
	    ARGS= "further arguments of the command behind a target"
