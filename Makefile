# The commands of this repository. "make" alone lists them.
#
# The root is the module that people import. testbed is a module of its own for
# what is heavy: real servers, faults, the comparison. Every target runs both.

SHELL := /bin/sh
.DEFAULT_GOAL := help

GO ?= go
# How many packages are tested at a time: the suite measures time against real
# servers, so that a machine that does too much at once gives false alarms.
PARALLEL ?= 1

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.8.0

# The race detector needs a C compiler on most systems.
CC_FOUND := $(shell command -v $$($(GO) env CC | cut -d' ' -f1) 2>/dev/null)
RACE := $(if $(CC_FOUND),-race,)

# Builds a command of the testbed into bin.
BUILD := mkdir -p bin && $(GO) -C testbed build

# Runs a command with an etcd and a Redis in its environment.
WITH_SERVERS := $(GO) run ./cmd/servers --

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: compare
compare: deps ## show what each backend guarantees: a matrix here, report.html and report.json
	@$(BUILD) -o ../bin/compare ./cmd/compare
	@exec bin/compare $(ARGS)

.PHONY: compare-foreign
compare-foreign: deps ## show the same of four other lock libraries, as their documentation uses them
	@$(BUILD) -o ../bin/compare ./cmd/compare
	@exec bin/compare -foreign -out foreign-out $(ARGS)

.PHONY: faults
faults: deps ## show what a fault of the server costs: pause, kill, partition, failover, lost data
	@$(BUILD) -o ../bin/compare ./cmd/compare
	@exec bin/compare -faults -out faults-out $(ARGS)

.PHONY: compare-all
compare-all: deps ## all of these in one report: every backend, every way to run its server, every library
	@$(BUILD) -o ../bin/compare ./cmd/compare
	@exec bin/compare -all -out all-out $(ARGS)

.PHONY: guarantees
guarantees: deps ## write docs/guarantees.md from a run, and docs/broken-lockers.md
	@$(BUILD) -o ../bin/compare ./cmd/compare
	@bin/compare -all -backends own -out all-out -guarantees docs/guarantees.md $(ARGS)
	$(GO) test ./conformance/broken -run '^TestTable$$' -update

.PHONY: broken-matrix
broken-matrix: ## write docs/broken-lockers-matrix.md from a run of every broken locker against every check
	$(GO) test ./conformance/broken -count=1 -timeout 30m -run '^TestMatrix$$' -update $(ARGS)

.PHONY: foreign
foreign: ## write docs/foreign.md from a run
	@$(MAKE) compare-foreign ARGS='-guarantees docs/foreign.md $(ARGS)'

# Which backends make soak takes, one after the other, and for how long each.
SOAK ?= memory etcd-session etcd-lease redis
FOR  ?= 10m

.PHONY: soak
soak: deps ## let random faults loose on each of our backends, FOR=10m each; SOAK="redis" for some only
	@$(BUILD) -o ../bin/soak ./cmd/soak
	@set -e; for b in $(SOAK); do bin/soak -backend $$b -for $(FOR) -out soak-out/$$b $(ARGS); done

.PHONY: test
test: deps race ## test both modules with real servers and the race detector
	$(GO) test -run '^TestAlone$$' $(ARGS) ./conformance/broken
	cd testbed && $(WITH_SERVERS) sh -c ' \
		(cd .. && $(GO) test $(RACE) -p $(PARALLEL) -timeout 20m $(ARGS) ./...); root=$$?; \
		$(GO) test $(RACE) -p $(PARALLEL) -timeout 30m $(ARGS) ./... && exit $$root'

# The race detector is a part of the promise, so that its absence is said, and
# is a failure where it must not be missing.
.PHONY: race
race:
	@if [ -z "$(RACE)" ]; then \
		echo "race: no C compiler was found, so the tests run without the race detector (install gcc or clang)"; \
		[ "$$CI" != true ] && [ "$$CI" != 1 ]; \
	fi

.PHONY: check
check: format vet lint vuln ## format, vet, lint, and known vulnerabilities

.PHONY: format
format:
	@echo "check: gofmt"
	@files=$$(gofmt -l $$(find . -name '*.go' -not -path './.git/*')) && \
		if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi

.PHONY: vet
vet:
	@echo "check: go vet"
	@$(GO) vet ./...
	@cd testbed && $(GO) vet ./...

.PHONY: lint
lint:
	@echo "check: golangci-lint"
	@$(GO) run $(GOLANGCI_LINT) run ./...
	@cd testbed && $(GO) run $(GOLANGCI_LINT) run --config ../.golangci.yml ./...

# Status 3 says that a vulnerability was found. Any other failure is that of
# the database or of the way to it: then the check has not been done, which is
# said, and which is a failure with LOCKER_REQUIRE_VULN=true.
.PHONY: vuln
vuln:
	@echo "check: govulncheck"
	@for module in . testbed; do \
		(cd $$module && $(GO) run $(GOVULNCHECK) ./...) >.vuln.out 2>&1; code=$$?; \
		if grep -q 'exit status 3' .vuln.out; then cat .vuln.out; rm -f .vuln.out; exit 1; fi; \
		if [ $$code -ne 0 ]; then \
			echo "check: govulncheck did NOT run in $$module, it or its database cannot be had here:"; \
			grep -v '^$$' .vuln.out | head -3; rm -f .vuln.out; \
			if [ "$$LOCKER_REQUIRE_VULN" = true ]; then exit 1; fi; \
		else rm -f .vuln.out; fi; \
	done

.PHONY: bench
bench: deps ## run the benchmarks of both modules with real servers
	cd testbed && $(WITH_SERVERS) sh -ec ' \
		(cd .. && $(GO) test -run "^$$" -bench . -benchmem -p 1 $(ARGS) ./...) && \
		$(GO) test -run "^$$" -bench . -benchmem -p 1 $(ARGS) ./...'

.PHONY: deps
deps: ## install a Redis where none can be had otherwise and we may
	@sh testbed/deps.sh

.PHONY: clean
clean: ## remove what the other commands wrote here
	rm -rf bin compare-out compare-again faults-out foreign-out all-out soak-out soak-again testbed/soak-out .vuln.out
