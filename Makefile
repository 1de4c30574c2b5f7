# Sets MeshInsight up on a Debian-like machine, runs it and tests it. `make help` lists the targets.
#
# Everything but the Debian packages and the tracefs mount lives in .venv/ and, of some tests, .venv-*/, so `make clean`
# removes it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= python3
OUT ?= profile-out
ARGS ?= --quick
PYTEST_ARGS ?=
EXPERIMENT ?=
PROFILE ?=
N ?= 300
SEED ?= 1
PARSER ?=
MUTANT ?=
UPGRADE ?=
# nghttp2-client brings h2load, nghttp2-server the gRPC server, haproxy the other one and a sidecar, as nginx is one.
SERVERS := haproxy nginx libnginx-mod-stream nghttp2-server
APT_PACKAGES ?= binutils ca-certificates iproute2 iptables linux-headers-$(shell dpkg --print-architecture 2>/dev/null) \
	linux-perf nghttp2-client procps python3 python3-bpfcc python3-venv util-linux $(SERVERS)

VENV := .venv
BIN := $(VENV)/bin
HEADERS := $(VENV)/kernel-headers
# The environment's scripts hold its absolute path: the stamp's name holds it too, so a moved checkout gets a new one.
VENV_STAMP := $(VENV)/.stamps/venv$(subst /,_,$(CURDIR))
PIP_STAMP := $(VENV)/.stamps/pip
VENV_WORKS := $(shell $(BIN)/python -c '' 2>/dev/null && echo yes)

# $(call fail,message) ends a recipe with one line.
fail = { echo "make $(firstword $(MAKECMDGOALS)): $(1)" >&2; exit 1; }

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: packages $(PIP_STAMP) bcc headers tracefs ## prepare this machine; does nothing the second time
	@echo "setup: ready; try $(BIN)/meshinsight doctor"

.PHONY: profile
profile: setup ## measure a sidecar here (ARGS="--quick", OUT=profile-out)
	@if [ -e '$(OUT)/profile.json' ]; then
	  earlier='$(OUT)'-$$(date -r '$(OUT)/profile.json' +%Y%m%d-%H%M%S)
	  mv '$(OUT)' "$$earlier" && echo "profile: the earlier one is now in $$earlier"
	fi
	$(BIN)/meshinsight profile $(ARGS) --out '$(OUT)'
	$(BIN)/meshinsight report '$(OUT)/profile.json' --out '$(OUT)/report.html'

.PHONY: experiments
experiments: setup ## measure what experiments/ shows (EXPERIMENT=name for one, PROFILE=DIR for those that need one)
	@cd experiments
	all=$$(for file in */run.py; do echo "$${file%/run.py}"; done)
	cd ..
	for name in $(or $(EXPERIMENT),$$all); do
	  run=experiments/$$name/run.py given=()
	  [ -f "$$run" ] || $(call fail,no experiment is called $$name; there are: $$(echo $$all))
	  option=$$(sed -nE 's/.*add_argument\("((--)?profile)", type=Path\)$$/\1/p' "$$run")
	  if [ -n "$$option" ]; then
	    if [ -z '$(PROFILE)' ]; then
	      [ -z '$(EXPERIMENT)' ] || $(call fail,$$name needs the profile that its README.md names; give PROFILE=DIR)
	      echo "experiments: $$name is left out: it needs a profile; give PROFILE=DIR"
	      continue
	    fi
	    given=('$(PROFILE)')
	    [ "$$option" = profile ] || given=("$$option" '$(PROFILE)')
	  fi
	  echo "experiments: $$name"
	  $(BIN)/python "$$run" "$${given[@]}"
	done

.PHONY: test
test: setup ## run every test this machine can run; a skipped one that could run is a failure (PYTEST_ARGS=...)
	@export MESHINSIGHT_REQUIRE_TIERS=1
	$(if $(PYTEST_ARGS),$(BIN)/python -m pytest $(PYTEST_ARGS),$(BIN)/python -m pytest -m '$(UNIT_TESTS)' $(SIDE_BY_SIDE)
	$(BIN)/python -m pytest -m 'not ($(UNIT_TESTS))')

.PHONY: test-cluster
test-cluster: setup ## run the tests that need Kubernetes: on that of KUBECONFIG, else on one started here and stopped again
	@cluster="$(BIN)/python -m tests.cluster.local_cluster"
	if [ -z "$${KUBECONFIG:-}" ]; then
	  folder=$$(mktemp -d)
	  trap "rm -rf $$folder; $$cluster down" EXIT
	  $$cluster up --nodes 2
	  export KUBECONFIG=/var/lib/meshinsight-cluster/kubeconfig
	  export MESHINSIGHT_TEST_IMAGE=localhost/meshinsight:test
	  $(BIN)/python -m tests.cluster.image build --tag $$MESHINSIGHT_TEST_IMAGE --out $$folder/image.tar
	  $$cluster image import $$folder/image.tar
	fi
	MESHINSIGHT_REQUIRE_TIERS=1 $(BIN)/python -m pytest -m cluster $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: $(PIP_STAMP) ## try mutated inputs on all parsers (N=10000 SEED=7 PARSER=name; MUTANT=n tries one again)
	@$(BIN)/python -m tests.fuzz $(PARSER) --count '$(N)' --seed '$(SEED)' $(if $(MUTANT),--mutant '$(MUTANT)')

# What runs with little: no root, no tracefs, no cluster, no browser. Mutants are tried by `make test`.
UNIT_TESTS := not kernel and not cluster and not browser and not fuzz
# Tests that measure, or that use what there is once on a machine, are not among them: they run one after another.
SIDE_BY_SIDE := -n $(shell nproc 2>/dev/null || echo 2) --dist loadfile --maxprocesses 8
# Old releases use what new releases of their own dependencies deprecate; that says nothing of this project.
OLD_RELEASES := -W default::DeprecationWarning -W default::PendingDeprecationWarning -W default::FutureWarning

.PHONY: test-unit
test-unit: $(PIP_STAMP) ## run the unit tests, without root and Debian packages; what they lack is skipped
	@$(BIN)/python -m pytest -m '$(UNIT_TESTS)' $(SIDE_BY_SIDE) $(PYTEST_ARGS)

.PHONY: test-browser
test-browser: $(PIP_STAMP) ## run the tests of reports that need a headless browser
	@$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

.PHONY: test-lowest
test-lowest: setup ## run the unit tests with the distribution's own Python and the lowest versions that pyproject.toml allows
	@venv=.venv-lowest python=/usr/bin/python3
	[ -x $$python ] || $(call fail,$$python does not exist; install python3)
	$(BIN)/uv venv --quiet --clear --no-project --python $$python $$venv
	$(BIN)/uv pip install --quiet --python $$venv/bin/python --resolution lowest-direct --editable '.[all,dev]' \
	  || $(call fail,uv could not install the Python packages; it needs a package index it can reach)
	for bcc in $(VENV)/lib/python3*/site-packages/bcc; do ln -sfn "$$(readlink -f $$bcc)" $$venv/lib/python3*/site-packages/; done
	$$venv/bin/python -c 'import platform; print("test-lowest: Python", platform.python_version())'
	MESHINSIGHT_REQUIRE_TIERS=1 $$venv/bin/python -m pytest -m '$(UNIT_TESTS)' $(SIDE_BY_SIDE) $(OLD_RELEASES) $(PYTEST_ARGS)

.PHONY: lint
lint: $(PIP_STAMP) ## check style, format, types and the import contract
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: lock
lock: $(VENV_STAMP) ## write uv.lock again after a change of pyproject.toml (UPGRADE=1 takes newer versions)
	@[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13'
	$(BIN)/uv lock --quiet $(if $(UPGRADE),--upgrade)

.PHONY: sbom
sbom: $(PIP_STAMP) ## write the software bill of materials of uv.lock, as CycloneDX, to dist/sbom.cdx.json
	@mkdir -p dist
	$(BIN)/uv export --quiet --locked --all-extras --all-groups --preview-features sbom-export --format cyclonedx1.5 \
	  --output-file dist/sbom.cdx.json >/dev/null
	echo 'sbom: wrote dist/sbom.cdx.json'

.PHONY: schema
schema: $(PIP_STAMP) ## print the JSON Schema of profiles, which is generated from their types
	@$(BIN)/python -c 'import json; from profiler.profile.document import schema; print(json.dumps(schema(), indent=1))'

.PHONY: docs
docs: $(PIP_STAMP) ## build the documentation into site/; a broken link is a failure
	@UV_PROJECT_ENVIRONMENT=.venv-docs $(BIN)/uv sync --quiet --locked --group docs --no-python-downloads \
	  || $(call fail,uv could not install the packages of uv.lock; it needs a package index it can reach)
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --quiet --strict
	echo "docs: open site/index.html"

.PHONY: readme-figures
readme-figures: $(PIP_STAMP) ## draw the pictures of the README again, and its figures, from the sample profile
	@$(BIN)/python -m docs.tools.readme_figures

.PHONY: clean
clean: ## remove .venv and caches; profiles stay
	@rm -rf $(VENV) .venv-docs .venv-lowest dist site .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the steps of setup ------------------------------------------------------------------------------------------

.PHONY: FORCE
FORCE:

.PHONY: packages
packages:
	@[ "$$(uname -s)" = Linux ] || $(call fail,MeshInsight measures on Linux and this is $$(uname -s); \
	  to read profiles here: $(PYTHON) -m pip install .)
	[ -n "$(strip $(APT_PACKAGES))" ] || exit 0
	command -v apt-get dpkg-query >/dev/null || $(call fail,this is no Debian-like system; install iproute2 iptables \
	  haproxy nginx nghttpd h2load perf bcc for Python and kernel headers yourself and run: make setup APT_PACKAGES=)
	installed=$$(dpkg-query -W -f '$${db:Status-Status} $${Package}\n' $(APT_PACKAGES) 2>/dev/null | sed -n 's/^installed //p' || :)
	missing=$$(comm -23 <(printf '%s\n' $(APT_PACKAGES) | sort -u) <(sort -u <<<"$$installed") | xargs)
	[ -n "$$missing" ] || exit 0
	[ "$$(id -u)" = 0 ] || $(call fail,Debian packages are missing; as root: apt-get install $$missing)
	# Only the servers' programs are wanted, not the services: a policy keeps any from starting while packages install,
	# and what was not there before is not started at the next boot either.
	log=$$(mktemp) mine=
	trap 'rm -f $$log $$mine' EXIT
	policy=/usr/sbin/policy-rc.d mark='# by make setup of MeshInsight'
	if [ ! -e $$policy ] || grep -qxF "$$mark" $$policy; then
	  mine=$$policy
	  printf '#!/bin/sh\n%s\nexit 101\n' "$$mark" >$$policy
	  chmod 755 $$policy
	fi
	echo "setup: installing Debian packages: $$missing"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing; } >$$log 2>&1 || {
	  tail -n 20 $$log >&2
	  $(call fail,apt-get could not install: $$missing (its last lines are above))
	}
	for server in $(SERVERS); do
	  if [[ " $$missing " == *" $$server "* && -d /run/systemd/system ]]; then systemctl disable --quiet $$server; fi
	done

$(VENV_STAMP): $(if $(VENV_WORKS),,FORCE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || $(call fail,$(PYTHON) is missing or older than Python 3.11; name a newer one: make setup PYTHON=...)
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV) || $(call fail,$(PYTHON) -m venv failed; install python3-venv)
	mkdir -p $(@D)
	touch $@

# What uv.lock names, and nothing newer; `--inexact` keeps pip. uv comes first, in any version: the lock has its own.
$(PIP_STAMP): $(VENV_STAMP) pyproject.toml uv.lock
	@echo "setup: installing Python packages into $(VENV)"
	[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13' \
	  || $(call fail,pip could not install uv; it needs a package index it can reach)
	UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --quiet --locked --inexact --all-extras --no-python-downloads \
	  || $(call fail,uv could not install the packages of uv.lock; it needs a package index it can reach; \
	  after a change of pyproject.toml: make lock)
	touch $@

# bcc comes from the distribution. Only this one package is linked in: all of dist-packages would shadow the environment.
.PHONY: bcc
bcc: $(PIP_STAMP)
	@site=$$(echo $(VENV)/lib/python3*/site-packages)
	if [ ! -e $$site/bcc ]; then
	  from=$$(cd / && /usr/bin/python3 -c 'import bcc; print(bcc.__path__[0])' 2>/dev/null) \
	    || $(call fail,the system Python has no bcc; install python3-bpfcc)
	  ln -sfn "$$from" $$site/bcc
	fi
	grep -q '^class BPF\b' $$site/bcc/__init__.py || $(call fail,the bcc in $(VENV) is not the BPF compiler collection \
	  but the PyPI package of that name; run: $(BIN)/python -m pip uninstall -y bcc && make setup)
	[ -e $(VENV)/.stamps/bcc ] || $(BIN)/python -c 'from bcc import BPF' \
	  || $(call fail,bcc does not import; the line above says why)
	touch $(VENV)/.stamps/bcc 2>/dev/null || :

# bcc wants one tree. Debian splits its headers in two packages: a tree of links merges them without touching system paths.
# Programs that read no kernel structures compile with any recent headers, so another kernel's will do.
.PHONY: headers
headers: $(PIP_STAMP)
	@[ ! -e $(HEADERS)/include/linux/kconfig.h ] || [ ! -e $(HEADERS)/include/generated/autoconf.h ] || exit 0
	tree=$$(readlink -f /lib/modules/$$(uname -r)/build || :)
	[ -e "$$tree/include/generated/autoconf.h" ] \
	  || tree=$$(ls -d /usr/src/linux-headers-*/include/generated/autoconf.h 2>/dev/null | sort -V | tail -n 1)
	tree=$${tree%/include/generated/autoconf.h}
	[ -n "$$tree" ] || $(call fail,no kernel headers in /usr/src; install linux-headers-$$(uname -r) or another version)
	rm -rf $(HEADERS)
	if [ -e $$tree/include/linux/kconfig.h ]; then
	  ln -s $$tree $(HEADERS)
	else
	  common=$$(sed -n 's/^include \(.*\)\/Makefile$$/\1/p' $$tree/Makefile)
	  [ -e "$$common/include/linux/kconfig.h" ] || $(call fail,$$tree has no common headers beside it; reinstall linux-headers)
	  mkdir $(HEADERS)
	  for part in $$common $$tree; do cp -rs $$part/arch $$part/include $(HEADERS)/; done
	fi
	echo "setup: kernel headers for bcc from $$tree"

.PHONY: tracefs
tracefs:
	@! grep -qs ' tracefs ' /proc/mounts || exit 0
	if [ "$$(id -u)" = 0 ] && mount -t tracefs nodev /sys/kernel/tracing; then
	  echo "setup: mounted tracefs at /sys/kernel/tracing (until the next reboot)"
	else
	  echo "setup: tracefs is not mounted, so nothing can be traced; as root: mount -t tracefs nodev /sys/kernel/tracing" >&2
	fi
