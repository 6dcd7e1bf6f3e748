# Two commands matter to a newcomer: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install demo test test-all lint pictures bench bench-nearest bench-beyond bench-rate bench-ask bench-export bench-paired bench-peers bench-drift bench-shadow bench-learned bench-plant bench-hired bench-fleet bench-sizes everyday docs reference figures fuzz results chaos soak kills schedules explore faults cover mutants words mistakes lock offline-bundle offline-documents bare-root clean

# Not compiled beforehand: of what is installed a small part is ever imported, and compiled then.
install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "edge-agent needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python has no venv module. On Debian: apt-get install python3-venv"; exit 69; }
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing into $(VENV): what is fetched is some hundred MB, torch most of it. This takes minutes; pip shows how far it is.'
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e '.[calibrate,dev]'
	@touch $(STAMP)
	@echo 'Installed: $(BIN)/edge-agent. Next: make demo, or docs/first-morning.md.'

demo: install
	$(BIN)/edge-agent demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# As many tests at a time as there are cores (pytest-xdist). The tests of one file stay together: they share what they made.
TOGETHER := -n auto --dist loadfile

# A minute on two cores: no calibration, no installation, no drawing of reports, no process of its own, no peer that fails in
# real time.
test: lint
	$(BIN)/python -m pytest $(TOGETHER) -m "not slow"

# Everything: what continuous integration runs. A few tests that fail beside others run once more, alone, and are named.
test-all: lint
	$(BIN)/python -m tests.all_tests

# The documents as a site, into dist/docs: dist/docs/index.html opens in a browser, also without a network. A link or an anchor
# that leads nowhere fails.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo 'built: dist/docs/index.html'

# The pages and tables that are made of the code (docs/reference, docs/metrics.md, the index of docs/decisions), written anew.
reference: install
	$(BIN)/python -m tests.documents

# docs/pictures: the operator's page as it is, of a simulated line, looked at by Chromium. KEEP= a calibrated line's folder.
pictures: install
	$(BIN)/python -m tests.pictures $(if $(KEEP),--keep $(KEEP))

bench: install
	$(BIN)/python -m tests.benchmark

# What a part costs beside its inspection, step by step. BEYOND= further options, for example BEYOND='--bundle FOLDER'.
bench-beyond: install
	$(BIN)/python -m tests.benchmark.beyond $(BEYOND)

# First sign to verdict at 1 to 12 parts a second. RATE= further options, for example RATE='--minutes 10 --rate 10'.
bench-rate: install
	$(BIN)/python -m tests.benchmark.rate $(RATE)

# One inspection today and at an older commit, in turn, image by image. BASE= another commit; KEEP= a folder that keeps the
# bundles, so that a second run takes a minute (docs/figures.md, Time).
bench-paired: install
	$(BIN)/python -m tests.benchmark.paired $(if $(BASE),--base $(BASE)) $(if $(KEEP),--keep $(KEEP))

# The time of other detectors' networks beside that of ours, in turn.
bench-peers: install
	$(BIN)/python -m tests.benchmark.peers

# False alarms and delays of the control charts, and real inspections with a slow change laid over them (docs/decisions/0094).
# DATA= a folder of data sets in MVTec's layout adds those; half an hour.
bench-drift: install
	$(BIN)/python -m tests.benchmark.drift $(if $(DATA),--sets $(DATA))

# The ready questions on a store of 50 lines and 10^8 rows, which takes some 7 GB and a quarter of an hour to write. KEEP= a folder
# that keeps it; ASK= further options, for example ASK='--parts 5000000'.
bench-ask: install
	$(BIN)/python -m tests.benchmark.ask $(if $(KEEP),--keep $(KEEP)) $(ASK)

# A million parts into a store. EXPORT= further options; EXPORT='--beside BUNDLE' measures what it costs an inspection, in turn.
bench-export: install
	$(BIN)/python -m tests.benchmark.export $(EXPORT)

# What a candidate bundle beside the line costs a part. BUNDLE= a bundle of 1600 x 1200 px of the tests' camera.
bench-shadow: install
	$(BIN)/python -m tests.benchmark.shadow --bundle $(BUNDLE)

# What learning from overturned rejects is worth on real images, before and after. DATA= a folder of data sets in MVTec's layout.
bench-learned: install
	$(BIN)/python -m tests.benchmark.learned $(DATA)

# A replay by one and by two workers, in turn: images a second, memory over time, the same bits. PLANT= further options, for
# example PLANT='--images 10000 --rounds 3'.
bench-plant: install
	$(BIN)/python -m tests.benchmark.plant $(PLANT)

# A calibration by one process, one worker and two, in turn: how long, and the same bundle. HIRED= further options.
bench-hired: install
	$(BIN)/python -m tests.benchmark.hired $(HIRED)

# Fifty lines and one fleet on this machine, ten minutes. FLEET= other options, for example FLEET='--lines 10 --minutes 2'.
bench-fleet: install
	$(BIN)/python -m tests.benchmark.fleet $(FLEET)

# The bytes of a part, on each wire and where it is kept (docs/plant-sizes.md). A quarter of an hour at most.
bench-sizes: install
	$(BIN)/python -m tests.benchmark.sizes $(SIZES)

# The seconds of docs/everyday-questions.md: each command on a journal of a million parts, which takes minutes to write.
everyday: install
	$(BIN)/python -m tests.benchmark.everyday

bench-nearest: install
	$(BIN)/python -m tests.benchmark.nearest

# The tables of docs/figures.md anew, from the data sets in the folder DATA=: hours; broken off, the same command goes on.
# FIGURES= further options, for example FIGURES='--tables promise --again'.
figures: install
	$(BIN)/python -m tests.benchmark.figures $(if $(DATA),$(DATA),$(error say where the data sets are: make figures DATA=FOLDER)) $(FIGURES)

# The wire alone, in full (20 minutes), into tests/RESULTS.md.
WIRE := tests/fault/test_wire_figures.py tests/fault/test_folder_backlog.py tests/fault/test_keyence_away.py \
  tests/contract/test_controller_link.py tests/security/test_ftp.py tests/security/test_command_port.py
fuzz: install
	EDGE_AGENT_CHAOS=1 $(BIN)/python -m pytest $(WIRE) -m promise --results --timeout=7200

# What the suite measured, into tests/RESULTS.md: the short forms, which leave the row of a whole run as it is; then every
# operation and every schedule.
results: install
	$(BIN)/python -m pytest -m promise --results

chaos: install
	EDGE_AGENT_CHAOS=1 $(BIN)/python -m pytest -m promise --results --timeout=7200

# 100,000 parts of the whole agent in virtual time, everything going wrong; as many small ones over real sockets; an hour
# at full size. PARTS=, MINUTES=, SEED= choose others. About three hours, on a quiet machine.
PARTS   ?= 100000
MINUTES ?= 60
SEED    ?= 1
soak: install
	EDGE_AGENT_SOAK_PARTS=$(PARTS) EDGE_AGENT_SOAK_SMALL=$(PARTS) EDGE_AGENT_SOAK_MINUTES=$(MINUTES) EDGE_AGENT_SEED=$(SEED) \
	  $(BIN)/python -m pytest -p no:randomly --results tests/simulated/test_virtual_line.py tests/simulated/test_soak.py

# A shard of kills at random instants; the shards of the same code add up in tests/RESULTS.md. Serial, on a quiet machine.
KILLS ?= 50
kills: install
	EDGE_AGENT_THUMBNAIL=$(CURDIR)/.shards/thumbnail EDGE_AGENT_FULL_SIZE=$(CURDIR)/.shards/full-size EDGE_AGENT_KILLS=$(KILLS) EDGE_AGENT_SEED=$(SEED) $(BIN)/python -m pytest -p no:randomly --results \
	  tests/simulated/test_killed_at_random.py

# Random schedules of what a part sends: ten minutes; other ones each time, and they add up in the same way.
SCHEDULES ?= 100000
schedules: install
	EDGE_AGENT_SCHEDULES=$(SCHEDULES) $(BIN)/python -m pytest -p no:randomly --results \
	  tests/unit/test_runtime_invariants.py

# Every schedule of the line and every run of the outputs within whole budgets (docs/decisions/0046), a few hours on two cores.
# BUDGET= a part of a budget's name takes those alone.
BUDGET ?=
explore: install
	EDGE_AGENT_EXPLORE=1 $(BIN)/python -m pytest -p no:randomly --results --timeout=36000 \
	  tests/unit/test_every_schedule.py tests/unit/test_explore_outputs.py $(if $(BUDGET),-k "$(BUDGET)")

# Faults in native code and SIGSTOP, ROUNDS times each; adds up in the same way.
ROUNDS ?= 10
faults: install
	EDGE_AGENT_THUMBNAIL=$(CURDIR)/.shards/thumbnail EDGE_AGENT_CHAOS=1 EDGE_AGENT_ROUNDS=$(ROUNDS) \
	  $(BIN)/python -m pytest -p no:randomly --results tests/simulated/test_failing_agent.py

# Every branch of what decides: 100 %, or the target fails.
RUNTIME := edge_agent/runtime
PAIRS   := $(RUNTIME)/pairing.py,$(RUNTIME)/decided.py,$(RUNTIME)/part.py,$(RUNTIME)/counter.py,$(RUNTIME)/sessions.py
DECIDES := $(RUNTIME)/interlock.py,$(PAIRS),$(RUNTIME)/verdict.py
cover: install
	$(BIN)/python -m coverage run --branch --include='$(DECIDES)' -m pytest -q tests/unit/test_runtime_interlock.py \
	  tests/unit/test_runtime_pairing.py tests/unit/test_runtime_decision.py tests/unit/test_runtime_invariants.py
	$(BIN)/python -m coverage report --show-missing --fail-under=100
	rm -f .coverage

mutants: install
	$(BIN)/python -m tests.mutate

# Bring the catalogues of the other languages up to date with the words in the code; what they lack is empty then, and a test
# says so until somebody translates it.
WORDS := $(BIN)/pybabel -q
words: install
	mkdir -p dist
	$(WORDS) extract -F pyproject.toml -k tr -k trn:1,2 -k mark --no-default-keywords --no-location --sort-output -o dist/words.pot .
	for language in de ja zh; do $(WORDS) update -i dist/words.pot -o edge_agent/locale/$$language.po -l $$language \
	  --no-fuzzy-matching --ignore-obsolete --omit-header || exit; done

# docs/line-toml-mistakes.md: what the agent answers to each mistake of tests/mistakes.py.
mistakes: install
	$(BIN)/python -m tests.mistakes

# deploy/requirements.lock: everything that a line PC runs, by the sha256 of each of its files, for every Python and processor
# that the package index has them for. To be made anew when a version in constraints.txt or pyproject.toml changes; uv asks
# the index that UV_DEFAULT_INDEX names.
lock: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate -c constraints.txt \
	  --custom-compile-command 'make lock' --extra mqtt --extra sparkplug --extra xlsx -o deploy/requirements.lock pyproject.toml

# dist/edge-agent-offline: what a line PC without internet needs (same Python version and processor as this one).
# CALIBRATION=yes adds the folder calibration/ with torch and onnx, so that the line PC can calibrate by itself. Their wheels
# are at the versions of constraints.txt, and listed by the sha256 that they have here (docs/decisions/0065).
# PARQUET=yes adds pyarrow to its wheels, some 50 MB: the line can then export into a store of the plant (docs/ask.md).
OFFLINE := dist/edge-agent-offline
CALIBRATION ?=
PARQUET ?=
# The list that install.sh gives to pip, and the sums that prove the folder after it was carried.
LIST_WHEELS = sha256sum *.whl | awk -F '[ -]+' '{print $$2 "==" $$3 " --hash=sha256:" $$1}' > requirements.lock && \
  sha256sum *.whl requirements.lock > SHA256SUMS
offline-bundle: install
	rm -rf $(OFFLINE)
	mkdir -p $(OFFLINE)/wheels
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock \
	  -w $(OFFLINE)/wheels
	$(BIN)/python -m hatchling build -t wheel -d $(OFFLINE)/wheels
ifneq ($(PARQUET),)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check -c constraints.txt -w $(OFFLINE)/wheels pyarrow fsspec
endif
	cd $(OFFLINE)/wheels && $(LIST_WHEELS)
ifneq ($(CALIBRATION),)
	mkdir -p $(OFFLINE)/calibration
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check -c constraints.txt -w $(OFFLINE)/calibration '.[calibrate]'
	cd $(OFFLINE)/calibration && rm -f edge_agent-*.whl && for wheel in *.whl; do [ ! -e ../wheels/"$$wheel" ] || rm "$$wheel"; done
	cd $(OFFLINE)/calibration && $(LIST_WHEELS)
endif
	cp deploy/install.sh deploy/uninstall.sh deploy/state_of_line.py deploy/edge-agent.* deploy/edge-agent-backup.* deploy/edge-agent-export.* $(OFFLINE)/
	$(MAKE) --no-print-directory offline-documents docs
	cp -R dist/docs $(OFFLINE)/doc/site

# The documents of the folder, at their places to each other: install.sh puts them to /usr/share/doc/edge-agent.
DOCUMENTS := README.md ARCHITECTURE.md CHANGELOG.md LICENSE docs drivers/README.md $(wildcard drivers/*/PROTOCOL.md) \
  deploy/line.example.toml deploy/alerts.yml deploy/grafana-dashboard.json deploy/grafana-store.json deploy/edge-agent.nft deploy/nginx-edge-agent.conf \
  tests/RESULTS.md
offline-documents:
	rm -rf $(OFFLINE)/doc
	mkdir -p $(OFFLINE)/doc
	cp --parents -RL $(DOCUMENTS) $(OFFLINE)/doc

# From the offline folder to the first judged part, in a bare Debian root without network, both ways: the line PC collects
# alone, or calibrates as well. As root; about 15 minutes and 3 GB. Its figures go to tests/RESULTS.md.
BARE_ROOT ?= dist/bare-root
bare-root: install
	@[ "$$(id -u)" = 0 ] && command -v unshare > /dev/null || { echo 'This needs root and unshare (util-linux).'; exit 77; }
	$(MAKE) offline-bundle CALIBRATION=yes
	@[ -e $(BARE_ROOT)/usr/bin/python3 ] || command -v debootstrap > /dev/null || { echo 'On Debian: apt-get install debootstrap'; exit 69; }
	[ -e $(BARE_ROOT)/usr/bin/python3 ] || debootstrap --variant=minbase --include=python3-venv,systemd,iproute2 \
	  "$$(. /etc/os-release && echo "$$VERSION_CODENAME")" $(BARE_ROOT)
	EDGE_AGENT_BARE_ROOT=$(abspath $(BARE_ROOT)) $(BIN)/python -m pytest -p no:randomly --results tests/simulated/test_bare_root.py

clean:
	rm -rf $(VENV) demo-output dist
