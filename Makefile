# The front door. `make` alone prints this help; targets call `lungct`, or a tool, and every command has --help.
PYTHON ?= python3
PY     := .venv/bin/python
LUNGCT := .venv/bin/lungct
SETUP  := $(PYTHON) scripts/setup.py --quiet
WORKERS ?= 2
IN     ?= $(or $(LUNG_CT_RUN),.run)/sample
OUT    ?= $(or $(LUNG_CT_RUN),.run)/scores
ARGS   ?=

# Two rooms of tests at a time; but where rates and times are measured, nothing runs beside.
BESIDE  := --numprocesses=2 --dist=loadscope --no-loadscope-reorder
MEASURED := tests/faults
# The core's tests that need neither torch nor a server.
CORE    := tests/exchange tests/pixels tests/test_pipeline.py tests/test_handler.py tests/test_settings.py

# One word for the shell, whatever is in it; nothing where it is empty.
quote = $(if $1,'$(subst ','\'',$1)')

# That some slices were refused (exit code 1) has been told, and is no error of the run; `lungct` itself keeps the code.
told = || test $$? -eq 1

# A target that reads a data set asks for it in a sentence, not by the command's usage error.
ask = $(if $(strip $(ARGS)),,$(error Where is the data? make $@ ARGS='$1'; what DIR and FILE are stands in docs/training.md))

.DEFAULT_GOAL := help
.NOTPARALLEL:  # targets named together follow each other: make -j stop serve
.PHONY: help setup archive serve gateway key stop status demo predict score ui viewer screenshots flow scale update bench bench-bulk footprint audit train quantize evaluate exporter image sbom lint test test-ops test-core test-ohif demo-testing faults soak lock clean findings

help:     ## this help
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup:    ## make .venv with what serves, from requirements.lock; more: make setup EXTRAS='bench ui'
	@$(PYTHON) scripts/setup.py $(EXTRAS)

# Targets install what they need over what serves, each in its own first line: those named together need different things.

# A target that needs the archive passes its own ARGS on to nobody.
archive:  ## pack handler, model folder and settings into model_store/lung_ct.mar
	@$(SETUP)
	@$(LUNGCT) archive $(if $(filter archive,$(MAKECMDGOALS)),$(ARGS))

demo:     ## build, start, wait until ready, score a synthetic slice with its heatmap; leaves the server running
	@$(SETUP)
	@$(LUNGCT) demo $(ARGS)

serve: archive  ## start TorchServe on loopback and wait until it is ready; adds torch where an NVIDIA GPU is
	@$(SETUP) --gpu
	@$(LUNGCT) serve $(ARGS)

stop:     ## drain the gateway if there is one, then stop the server
	@$(LUNGCT) stop $(ARGS)

gateway:  ## TLS, keys, limits and a watchdog before the server that runs, by nginx: https://127.0.0.1:8443
	@$(LUNGCT) gateway $(ARGS)

key:      ## a new key for a client of the gateway, shown once: make key NAME=alice
	@$(SETUP) >&2
	@$(LUNGCT) key add $(NAME) $(ARGS)

status:   ## the server's workers, engine and readiness
	@$(LUNGCT) status $(ARGS)

predict:  ## score a file or folder: make predict IN=slice.png ARGS='--overlay out.png'
	@$(LUNGCT) predict $(call quote,$(IN)) $(ARGS) $(told)

score:    ## score a folder, ZIP or list of any size: make score IN=scans OUT=scores ARGS=--resume
	@$(SETUP) parquet
	@$(LUNGCT) score $(call quote,$(IN)) $(call quote,$(OUT)) $(ARGS) $(told)

ui:       ## the page for people, on this machine only; needs `make serve`
	@$(SETUP) ui
	@$(LUNGCT) ui $(ARGS)

viewer:   ## the bundle of the page's viewer from scripts/page/front; needs node and npm
	@rm -rf .run/front && mkdir -p .run && cp -r scripts/page/front .run/front
	@cd .run/front && npm ci --no-audit --no-fund && npm run build
	@rm -rf scripts/page/front/built && cp -r .run/front/built scripts/page/front/built

screenshots:  ## README's pictures of the page, from synthetic slices; needs `make serve` and Chromium
	@$(SETUP) test
	@$(LUNGCT) screenshots $(ARGS)

flow:     ## docs/flow.svg, the way of a request, from the settings and the model
	@$(SETUP)
	@$(LUNGCT) flow > docs/flow.svg.new && mv docs/flow.svg.new docs/flow.svg

scale:    ## change the number of workers and wait for them: make scale WORKERS=2
	@$(LUNGCT) scale $(WORKERS) $(ARGS)

update:   ## serve another archive, tried beside the server first: make update MAR=new/lung_ct.mar; back: ARGS=--back
	@$(SETUP)
	@$(LUNGCT) update $(call quote,$(MAR)) $(ARGS)

bench: archive  ## served against in-process rates in one run
	@$(SETUP) bench
	@$(LUNGCT) bench $(ARGS)

bench-bulk:  ## cost of `lungct bulk` by files and shards, in hours: make bench-bulk ARGS='--files 200 2000 --out cost.json'
	@$(SETUP) parquet bench
	@$(PY) -P -m lungct_tools.bench.bulk $(ARGS)

footprint:  ## what set-up downloads, occupies and takes in a fresh clone, beside everything: make footprint ARGS=--all
	@$(SETUP)
	@$(LUNGCT) footprint $(ARGS)

audit:    ## copies, twins and short cuts in a data set: make audit ARGS='--data DIR'
	@$(call ask,--data DIR)$(SETUP) train
	@$(LUNGCT) audit $(ARGS)

train:    ## train, then write the model folder: make train ARGS='--data DIR --init FILE --version 3.0'
	@$(call ask,--data DIR --init FILE --version 3.0)$(SETUP) train
	@$(LUNGCT) train $(ARGS)

quantize: ## add the int8 graph to the model folder: make quantize ARGS='--data DIR'
	@$(call ask,--data DIR)$(SETUP) train
	@$(LUNGCT) quantize $(ARGS)

evaluate: ## every number of the model card again, with its figures: make evaluate ARGS='--data DIR'
	@$(call ask,--data DIR)$(SETUP) train
	@$(LUNGCT) evaluate $(ARGS)

exporter: ## export queue depth, READY workers and a timed canary for Prometheus until Ctrl-C; needs `make serve`
	@$(SETUP)
	@$(LUNGCT) exporter $(ARGS)

image:    ## build the container image with podman or docker: make image ARGS='--build-arg ACCELERATOR=cuda'
	@$(PYTHON) scripts/server/image.py $(ARGS)

sbom:     ## bill of materials of what is served, TorchServe's frozen jar included: .run/sbom.json
	@$(SETUP) sbom
	@$(LUNGCT) sbom $(ARGS)

lint:     ## ruff, ruff format, mypy --strict
	@$(SETUP) lint
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

test:     ## all tests that this machine can run, but those of test-ops; ARGS=--numprocesses=0: one by one
	@$(SETUP) test
	@$(PY) -m pytest -m "not ops" $(BESIDE) $(ARGS)

test-ops: ## the tests of what stands around the server: monitoring, gateway, faults, container
	@$(SETUP) test
	@$(PY) -m pytest -m ops $(addprefix --ignore=,$(MEASURED)) $(BESIDE) $(ARGS); first=$$?; \
	$(PY) -m pytest -m ops $(MEASURED) $(ARGS) && exit $$first

# Neither needs what `make test` installs: each has a clone of what is committed, with an environment of its own.
test-core:  ## the core's tests where no torch is, for another Python: make test-core PYTHON=python3.13
	@rm -rf .run/core && git clone --quiet . .run/core
	@cd .run/core && $(PYTHON) scripts/setup.py --quiet core && PYTHONPATH=$$PWD/scripts/standin $(PY) -m pytest -q $(BESIDE) $(CORE) $(ARGS)

demo-testing:  ## `make demo` on Debian testing's Python, as a user without home, in a chroot; needs root and mmdebstrap
	@rm -rf .run/testing && .ci/demo-testing .run/testing

test-ohif: ## OHIF's npm build in Chromium shows what we stored in an Orthanc; needs npm, pictures go to .run/ohif
	@$(SETUP) test
	@$(PY) -m pytest tests/ohif/viewer.py $(ARGS)

faults:   ## break the server under load, count what is lost, write the table in docs/operations.md; about 15 minutes
	@$(SETUP) test
	@$(PY) -m pytest tests/faults --faults docs/operations.md $(ARGS)

soak:     ## an hour of load through the gateway: no error, flat memory
	@$(SETUP) test
	@LUNG_CT_SOAK_S=3600 $(PY) -m pytest tests/faults -k soak --faults docs/operations.md $(ARGS)

lock:     ## pin the newest versions that pyproject.toml allows; make lock KEEP=1 keeps those that still fit
	@$(SETUP)
	@.venv/bin/uv pip compile --quiet $(if $(KEEP),,--upgrade) --universal --generate-hashes --all-extras --annotation-style line \
	    --no-header pyproject.toml -o requirements.lock

clean:    ## remove what was built and run here (stops the server first); .venv and .run/train, hours of work, stay
	@test ! -e $(LUNGCT) || $(LUNGCT) stop --quiet
	@test ! -d .run || find .run -mindepth 1 -maxdepth 1 ! -name train -exec rm -rf {} +
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis model_store/*.mar model_store/*.mar.sha256 scripts/client/build scripts/client/*.egg-info

findings: ## run every finding about other software (needs the package index; outside CI) and say which no longer hold
	@PATH="$$PATH:$(CURDIR)/.venv/bin"; failed=; for f in findings/*.sh; do echo "== $$f"; $$f || failed="$$failed $$f"; done; \
	if [ -n "$$failed" ]; then echo "no longer hold:$$failed"; exit 1; fi; echo "all hold"
