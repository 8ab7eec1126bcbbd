PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.ready-docs
PEERS_READY := $(VENV)/.ready-peers
FIGURES_READY := $(VENV)/.ready-figures
SCORERS := src/ainerd_xpcs/technique/weights/scorers

.PHONY: help package sizes lock lowest serve demo demo-xtec figures figures-check test soak faults scorers ipython ioc lint bench docs site structure tutorial clean

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# Bytecode is written when a module is imported. Modules that no session imports get none, which saves half a gigabyte.
# Numba compiles the functions of a session, in half a minute.
# xpcs-viewer reads our exports in a test, without its windows and most of what it depends on. Another test makes an
# instrument of BITS.
$(READY): pyproject.toml constraints.txt tests/cli/bits.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "ainerd needs Python 3.11 or newer: make PYTHON=python3.12 ..."'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing 2.7 GB of packages into $(VENV), with no line of progress: some minutes ..."
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[agent,dev]'
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --no-deps xpcs-viewer
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --upgrade --target $(VENV)/bits --requirement tests/cli/bits.txt
	@echo "Compiling: half a minute on an idle machine ..."
	$(BIN)/python -W ignore -m agents.demo.warm_up
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[docs]'
	@touch $@

$(PEERS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[peers]'
	@touch $@

$(FIGURES_READY): $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[figures]'
	@touch $@

demo: $(READY) ## the whole loop on an embedded Tiled server with the simulated instrument (1.5 GB in output/demo)
	$(BIN)/python -m agents.demo

demo-xtec: $(READY) ## X-TEC: two ramps of a simulated crystal, in output/demo-xtec
	$(BIN)/python -m agents.xtec_demo

figures: $(FIGURES_READY) ## the figures of the paper, from Tiled alone, in output/figures
	$(BIN)/python -m studies.paper campaigns

test: lint ## lint, types, import contracts, the whole suite
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

soak: $(READY) ## 100 kills while a campaign measures, runs back to back at 2 kHz
	$(BIN)/python -m studies.chaos --kills 100 --minutes 30
	$(BIN)/python -m studies.sustained

faults: $(READY) ## the faults that tests try, as the table in tests/faults.md
	$(BIN)/python -m pytest -m fault -n auto --dist loadfile --fault-table=tests/faults.md

serve: $(READY) ## the Tiled server of the session alone, until Ctrl-C; sessions find it
	$(BIN)/ainerd serve --config profiles/rheo_xpcs/agent.toml

ipython: $(READY) ## the session with the agent loaded
	$(BIN)/ipython --profile-dir=profiles/rheo_xpcs

ioc: $(READY) ## the simulated instrument as an EPICS IOC on this machine, until Ctrl-C
	$(BIN)/python -m sim_devices.ioc --hardware profiles/rheo_xpcs/agent.instrument.toml --directory output/epics/frames

# The wheel is installed into an environment of its own, and run from another folder than this one.
package: $(READY) ## wheel and sdist in dist/, checked, and the first session with the wheel alone
	rm -rf dist output/package
	$(BIN)/python -m build --outdir dist
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv output/package
	output/package/bin/pip install --quiet --constraint constraints.txt "ainerd[demo] @ file://$$(echo $(CURDIR)/dist/*.whl)"
	cd output/package && bin/ainerd demo --replay --no-browser --output replay
	cd output/package && bin/python -W ignore $(CURDIR)/.ci/first_session.py

sizes: ## how much an environment with the wheel in dist/ takes in MiB, alone, with [agent] and with [demo]; installed by uv
	$(PYTHON) -m venv output/sizes
	output/sizes/bin/pip install --quiet uv
	for extra in "" "[agent]" "[demo]"; do \
		output/sizes/bin/uv venv --quiet --clear --python $(PYTHON) output/sizes/fresh && \
		output/sizes/bin/uv pip install --quiet --python output/sizes/fresh/bin/python --constraint constraints.txt \
			"ainerd$$extra @ file://$$(echo $(CURDIR)/dist/*.whl)" && \
		echo "ainerd$$extra: $$(du -sm output/sizes/fresh | cut -f1) MiB"; done

lock: ## what a beamline installs, `ainerd[agent]`, exactly and with hashes: requirements-agent.txt
	$(PYTHON) -m venv output/lock
	output/lock/bin/pip install --quiet uv
	output/lock/bin/uv pip compile pyproject.toml --extra agent --constraint constraints.txt --generate-hashes \
		--universal --python-version 3.11 --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--quiet --output-file requirements-agent.txt

# The folders whose tests need nothing but the extra `demo`, without the tests of what other packages make of it.
lowest: ## the tests of what computes and of the store, with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv output/lowest
	output/lowest/bin/pip install --quiet uv
	output/lowest/bin/uv pip install --quiet --python output/lowest/bin/python --resolution lowest-direct --editable '.[demo]'
	output/lowest/bin/uv pip install --quiet --python output/lowest/bin/python pytest pytest-timeout hypothesis scikit-image ipython
	output/lowest/bin/python -m pytest -q -W default tests/novelty tests/xpcs/dynamics tests/steering tests/results tests/campaign \
		--ignore tests/campaign/test_own_optimizer.py --ignore tests/results/test_databroker_users.py \
		--deselect tests/results/test_export.py::test_an_export_is_valid \
		--deselect tests/results/test_export.py::test_the_viewer_opens_it

# The simulated instrument has about 250 photons per pixel in an exposure.
scorers: $(READY) ## the calibrations of the simulated instrument that are shipped, after a change of what makes them
	rm -rf $(SCORERS)
	$(BIN)/ainerd calibrate --config profiles/rheo_xpcs/agent.toml --photons 250 --out $(SCORERS)

lint: $(READY) ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

tutorial: $(READY) ## the output and the pictures of the tutorial, from sessions that it types, and the output of other examples in pages
	$(BIN)/python -m agents.demo.tutorial
	AINERD_WRITE_PAGES=1 $(BIN)/python -m pytest -q tests/docs/test_docs.py

bench: $(PEERS_READY) ## the studies that take no night, each a table and a JSON in output/studies
	$(BIN)/python -m studies.two_time all
	$(BIN)/python -m studies.scale query
	$(BIN)/python -m studies.scale reading
	$(BIN)/python -m studies.numbers all
	$(BIN)/python -m studies.latency all
	$(BIN)/python -m studies.prompt
	$(BIN)/python -m studies.latent runs
	$(BIN)/python -m studies.latent maps
	$(BIN)/python -m studies.page
	$(BIN)/python -m studies.novelty all
	$(BIN)/python -m studies.campaign
	$(BIN)/python -m studies.discovery all
	$(BIN)/python -m studies.xtec all

figures-check: $(READY) ## figures in the pages that are not as measured, and studies whose code is not that which was measured
	$(BIN)/python docs/figures.py

docs: $(DOCS_READY) ## the documentation in docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

site: $(DOCS_READY) ## the documentation of all releases with a menu of versions, in docs/_build/site
	$(BIN)/python docs/versions.py

structure: $(READY) ## the import graph of the folders, printed, and drawn for docs/explanation/architecture.md
	$(BIN)/python docs/structure.py --write

clean: ## remove what demo, tests and docs left; .venv stays (rm -r .venv)
	rm -rf output build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
