# `make` or `make help` says what there is. Everything here is thin: the work is in local/, infra/ and fleet.

ENV ?= dev
UV := uv==0.13.8
BIN := .venv/bin
SETUP_LOG := build/setup.log

export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export NODE_NO_WARNINGS := 1
export CDK_DISABLE_CLI_TELEMETRY := 1
# Where a machine says that no bytecode is written, each of a fleet's processes and each synth would compile it anew.
export PYTHONDONTWRITEBYTECODE :=

READY := .venv/.ready node_modules/.ready
CONTEXT = -c env=$(ENV) $(if $(RELEASE),-c release=$(RELEASE)) $(if $(BREAKS),-c breaks=$(BREAKS))
# ENV=local is the account that `make up` started; every other is AWS, with the credentials of your shell.
ACCOUNT = $(if $(filter local,$(ENV)),$(OF_THIS_MACHINE))
OF_THIS_MACHINE = test -f "$(LOCAL)/env" || { echo "the local fleet is not up: make up"; exit 1; }; . "$(LOCAL)/env";
LOCAL := $(or $(TASKFLEET_LOCAL_DIR),$(CURDIR)/build/local)
CDK = $(ACCOUNT) node_modules/.bin/cdk

.DEFAULT_GOAL := help
.PHONY: help up down try status logs observe picture fleet synth diff preflight policies deploy destroy cost ledger drill bench fuzz compat test test-quick test-clone test-image-python check lint lock docs image setup

help: ## this list
	@awk -F ':.*## ' '/^##: / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##: on this machine

up: setup ## a whole fleet on this machine, deployed by the CDK; again after a change
	@$(BIN)/python -m local up

down: ## end every process of it, and forget its account and data
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local down; else echo "  nothing is set up here"; fi

try: setup ## submit a few hundred tasks to every queue of it, and watch them
	@$(BIN)/python -m local.try_it

status: setup ## its processes, how often each was started again, and which containers do not stay up
	@$(BIN)/python -m local status

logs: setup ## what its processes and containers write: make logs SERVICE=low; ARGS=--json for whole lines
	@$(BIN)/python -m local logs $(SERVICE) $(ARGS)

fleet: setup ## the operators' command on it: make fleet ARGS="status"
	@$(OF_THIS_MACHINE) $(BIN)/fleet $(ARGS)

observe: setup ## a Prometheus on it, with the rules, until Ctrl-C: needs Debian's package prometheus
	@$(BIN)/python -m local observe

picture: setup ## the first screen of the dashboard, of what that Prometheus has seen, as docs/dashboard.svg
	@$(BIN)/python -m observe.picture docs/dashboard.svg

drill: setup ## a fault on purpose: make drill DRILL=broker-kill TIMES=1; without DRILL, the list
	@$(BIN)/python -m drills $(DRILL) --times $(or $(TIMES),1) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) \
		$(if $(RIGS),--rigs $(RIGS)) $(if $(SHRINK),--shrink $(SHRINK)) $(if $(MANY),--many $(MANY))

bench: setup ## a comparison with plain Celery: make bench BENCH=publish; without BENCH, the list
	@$(BIN)/python -m benchmarks $(BENCH)

fuzz: setup ## messages that are wrong at any place meet real workers: make fuzz MANY=10000 SEED=1
	@TASKFLEET_TEST_MUTATIONS=$(or $(MANY),10000) TASKFLEET_TEST_SEED=$(or $(SEED),1) \
		$(BIN)/pytest -q tests/taskfleet/dead_letters/test_mutations.py

compat: setup ## each feature of Celery's guide on stock and on the fleet; make compat ARGS="sqs/threads --only canvas"
	@$(BIN)/python -m tests.compat $(ARGS)

##: an environment: ENV=dev (the default), staging, prod or local; RELEASE=… names the release

synth: setup ## templates of ENV in cdk.out, without an account or a network
	@node_modules/.bin/cdk synth "$(ENV)/*" $(CONTEXT) -c placeholder-account=allowed --quiet && echo "templates: cdk.out/"

diff: setup ## what a deploy of ENV would change
	@$(CDK) diff "$(ENV)/*" $(CONTEXT)

preflight: setup ## whether a deploy of ENV can succeed, and how to get what is missing
	@$(ACCOUNT) $(BIN)/python -m infra.preflight $(ENV) $(if $(RELEASE),--release $(RELEASE))

policies: setup ## the policies of who deploys ENV, and of what CloudFormation may do for it, in build/policies
	@$(BIN)/python -m infra.policies $(ENV)

deploy: setup ## deploy ENV, if it can succeed
	@$(ACCOUNT) $(BIN)/python -m infra.deploy $(ENV) $(if $(RELEASE),--release $(RELEASE)) -- node_modules/.bin/cdk deploy "$(ENV)/*" $(CONTEXT)

ledger: setup ## the findings of cdk-nag that your environments live with, in build/ledger.md
	@mkdir -p build && $(BIN)/python -m infra.checks.ledger

cost: setup ## what ENV costs a month at rest
	@$(BIN)/python -m infra.cost $(ENV)

destroy: setup ## delete ENV, all its releases included; it asks first, but with YES=1
	@$(ACCOUNT) $(BIN)/python -m infra.destroy $(ENV) $(if $(YES),--yes) -- node_modules/.bin/cdk destroy "$(ENV)/*" $(CONTEXT) --force

##: the code

TESTS_AT_ONCE ?= 5

test: setup ## all tests; make test ARGS="tests/local -k front" for some
	@$(BIN)/python -m pytest --numprocesses=$(TESTS_AT_ONCE) $(ARGS)

test-quick: setup ## what needs no servers, in a minute
	@$(BIN)/python -m pytest --numprocesses=2 -m "not slow" $(ARGS)

test-clone: setup ## a clone with another team's settings and tasks, and lint and the quick tests there
	@TASKFLEET_TEST_CLONE=full $(BIN)/python -m pytest -q tests/clone $(ARGS)

test-image-python: setup ## the package's quick tests on the image's Python, if this machine has it (IMAGE_PYTHON=… says where)
	@$(BIN)/python -m infra.checks.image_python $(ARGS)

check: lint test ## what CI runs: style and types, then all tests

lint: setup ## style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

lock: setup ## write the locks anew after a change of a pyproject.toml: uv.lock, and the image's requirements
	@$(BIN)/uv lock
	@$(BIN)/uv export --quiet --frozen --package taskfleet --all-extras --no-dev --no-emit-workspace \
		--no-annotate --no-header --output-file worker_image/requirements.txt
	@$(BIN)/python -m infra.checks.wheels

docs: setup ## write the documentation's generated pages anew, from the code
	@$(BIN)/python -m docs.pages
	@$(BIN)/python -m observe
	@TASKFLEET_ENVIRONMENTS=tests.support.reference $(BIN)/python -m infra.checks.ledger infra/checks/ledger.md

image: setup ## build the worker image without a Docker engine and look inside (buildah, debootstrap, root)
	@sh worker_image/prove_build.sh

setup: $(READY) ## Python packages and the CDK's command line, as locked

.venv/.ready: pyproject.toml uv.lock worker_image/pyproject.toml
	@mkdir -p build
	@python=$$(sh local/check_machine.sh) && echo "  Setting up Python packages (log: $(SETUP_LOG)) …" && \
	{ { test -x $(BIN)/python || $$python -m venv .venv; } && \
	  { $(BIN)/uv --version 2>/dev/null | grep -q "^uv $(UV:uv==%=%)" || $(BIN)/python -m pip install $(UV); } && \
	  $(BIN)/uv sync --frozen --all-packages --inexact; } >$(SETUP_LOG) 2>&1 || \
	{ test ! -s $(SETUP_LOG) || tail -n 20 $(SETUP_LOG); exit 1; }
	@touch $@

node_modules/.ready: package.json package-lock.json .venv/.ready
	@echo "  Setting up the CDK's command line (log: $(SETUP_LOG)) …"
	@npm ci >>$(SETUP_LOG) 2>&1 || { tail -n 20 $(SETUP_LOG); exit 1; }
	@touch $@
