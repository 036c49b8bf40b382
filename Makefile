# tollstream. `make` lists the targets. Everything they need is installed by name, pinned:
# Go modules (go.sum), the embedded ClickHouse (deploy/embedded/package-lock.json), the Apache Kafka
# of test-kafka (deploy/apachekafka/pom.xml, libs.sha256).

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PROGRAM  := build/tollstream
BENCH    := build/tollbench
ENGINE   := deploy/embedded/node_modules/.package-lock.json
PREVIEW  := deploy/grafana/preview
APACHE   := deploy/apachekafka
BROKER   := $(APACHE)/target/clock/.installed
GO_FILES := $(shell find cmd pipeline sinks schemas deploy \( -name node_modules -o -name target \) -prune -o -type f -print)
# The race detector needs a C compiler; the tests run without it where there is none.
RACE     := $(shell command -v gcc >/dev/null 2>&1 && echo -race)
# Libchdb cannot live in a process with the race detector, and CGO is not needed otherwise.

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build $(ENGINE) ## From nothing to closed, explained bills (ONCE=1 exits after the bills)
	$(PROGRAM) demo $(if $(ONCE),--once)

.PHONY: test
test: $(ENGINE) ## All tests: unit, stories, golden, fuzz seeds, end to end (with -race where it can)
	go vet ./...
	TOLLSTREAM_REQUIRE_EMBEDDED=1 go test $(RACE) -timeout 60m ./...

.PHONY: test-kafka
test-kafka: $(ENGINE) $(BROKER) ## The tests that need a real Apache Kafka; wants Maven and a JDK, 17 or later
	TOLLSTREAM_REQUIRE_EMBEDDED=1 TOLLSTREAM_TEST_APACHE_KAFKA=$(CURDIR)/$(APACHE)/target \
		go test -count=1 -p 1 -timeout 40m -run Apache ./$(APACHE) ./pipeline/kafkalog ./cmd/tollstream

.PHONY: alerts-test
alerts-test: $(ENGINE) ## The alerts by Prometheus' own engine: rules_test.yml, and a pipeline whose servers are taken away
	cd deploy/prometheus && go vet ./...
	if command -v promtool >/dev/null; then cd deploy/prometheus && promtool check rules rules.yml && promtool test rules rules_test.yml; fi
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
		TOLLSTREAM_REQUIRE_EMBEDDED=1 go test -count=1 -timeout 20m -run TestTroubleShows ./cmd/tollstream -args -scrapes="$$folder" && \
		cd deploy/prometheus && go test -count=1 -v ./... -args -scrapes="$$folder"

# The pictures lie in build/preview: a file for each dashboard, of the Pipeline one for each trouble,
# and a file for each panel in panels/.
.PHONY: dashboards-preview
dashboards-preview: $(ENGINE) $(PREVIEW)/node_modules/.package-lock.json ## Pictures of the dashboards: the demo's month, and a pipeline whose servers are taken away
	rm -rf build/preview && mkdir -p build/preview/data/scrapes
	TOLLSTREAM_REQUIRE_EMBEDDED=1 go test -count=1 -timeout 30m -run '^(TestDemo|TestTroubleShows)$$' ./cmd/tollstream \
		-args -panels=$(CURDIR)/build/preview/data -scrapes=$(CURDIR)/build/preview/data/scrapes
	cd deploy/prometheus && go test -count=1 -run TestPanels ./... \
		-args -panels=$(CURDIR)/build/preview/data -scrapes=$(CURDIR)/build/preview/data/scrapes
	node $(PREVIEW)/draw.js build/preview

.PHONY: chart-test
chart-test: ## The Helm chart by Helm's own engine, and what it renders to against the program
	cd deploy/helm && go vet ./...
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
		(cd deploy/helm && go test -count=1 ./... -args -rendered="$$folder") && \
		go test -count=1 -run TestChart ./cmd/tollstream -args -chart="$$folder"

.PHONY: build
build: $(PROGRAM) ## Build the one binary into build/

$(PROGRAM): go.mod go.sum $(GO_FILES)
	CGO_ENABLED=0 go build -trimpath -o $(PROGRAM) ./cmd/tollstream

$(BENCH): go.mod go.sum $(GO_FILES)
	CGO_ENABLED=0 go build -trimpath -o $(BENCH) ./cmd/tollbench

# npm writes this file last, so that an install cut short is done again.
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	npm ci --prefix $* --no-audit --no-fund
	@touch $@

# Every jar has to be the one that libs.sha256 names, and there may be no other.
$(BROKER): $(shell find $(APACHE)/clock -name '*.java') $(APACHE)/pom.xml $(APACHE)/libs.sha256
	@command -v mvn >/dev/null && command -v javac >/dev/null || { echo "test-kafka needs Maven and a JDK, 17 or later; on Debian: apt-get install maven default-jdk-headless"; exit 1; }
	rm -rf $(APACHE)/target
	mvn --batch-mode --quiet --strict-checksums --file $(APACHE)/pom.xml dependency:copy-dependencies
	cd $(APACHE)/target/libs && sha256sum *.jar | diff ../../libs.sha256 -
	javac --release 17 -cp '$(APACHE)/target/libs/*' -d $(dir $@) $(filter %.java,$^)
	@touch $@

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l $(filter %.go,$(GO_FILES)))" || { gofmt -l $(filter %.go,$(GO_FILES)); exit 1; }
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck ./...

# Left out: unsafe (the C interface of libchdb), files and programs that the operator names, and
# random numbers that have to be the same for the same seed.
.PHONY: gosec
gosec: ## Code that is known to be dangerous
	go tool -modfile=tools/go.mod gosec -quiet -confidence=medium -exclude=G103,G204,G304,G404 -exclude-dir=node_modules ./...

.PHONY: vuln
vuln: ## Known vulnerabilities of what is built; asks vuln.go.dev, so CI does not run it
	go tool -modfile=tools/go.mod govulncheck ./...

.PHONY: stories
stories: ## Run the stories of pipeline/stories (UPDATE=1 writes what came out)
	go test ./pipeline/stories $(if $(UPDATE),-update)

.PHONY: props
props: ## Random worlds: engine against the naive biller, and laws (N=10000 worlds, SEED=1)
	go test -count=1 -timeout 60m ./pipeline/props -args $(if $(N),-worlds=$(N)) $(if $(SEED),-seed=$(SEED))

.PHONY: sim
sim: ## The stream in simulated worlds with faults at every edge (N=10000 worlds, SEED=1)
	go test -count=1 -timeout 120m -run 'TestWorlds|TestTheSameAgain' -v ./pipeline/simulation -args $(if $(N),-worlds=$(N)) $(if $(SEED),-seed=$(SEED))

.PHONY: mutants
mutants: ## Break engine and loops in some seventy small ways; the worlds must notice each
	go test -count=1 -timeout 60m -run TestMutants -v ./pipeline/props -args -mutants
	go test -count=1 -timeout 60m -run TestMutants -v ./pipeline/simulation -args -mutants

.PHONY: fuzz
fuzz: ## Fuzz every decoder and parser for TIME=30s each
	@grep -rHo --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z]*' cmd deploy pipeline sinks | \
		sed 's|/[^/]*:func | |' | sort | while read -r package target; do \
			go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(TIME),30s) -fuzzminimizetime 10x ./$$package; done

.PHONY: bench
bench: build $(BENCH) $(ENGINE) ## tollstream beside other ways from Kafka to ClickHouse: docs/benchmarks.md (ROUNDS=3 RECORDS=2000000)
	$(BENCH) ingest --rounds $(or $(ROUNDS),3) $(if $(RECORDS),--records $(RECORDS))

.PHONY: bench-query
bench-query: build $(BENCH) $(ENGINE) ## Dashboards, bills and explanations over CALLS calls (default 100000000; DATA=folder keeps them)
	$(BENCH) query $(if $(CALLS),--calls $(CALLS)) $(if $(DATA),--data $(DATA))

.PHONY: bench-seal
bench-seal: $(BENCH) $(ENGINE) ## What a closing asks of a day of DAY calls and of an index of INDEX (10000000, 100000000)
	$(BENCH) seal $(if $(INDEX),--index $(INDEX)) $(if $(DAY),--day $(DAY))

.PHONY: bench-scale
bench-scale: build $(BENCH) $(ENGINE) ## One ingest process beside two in one group: CPU a record (ROUNDS=5 RECORDS=2000000)
	$(BENCH) scale --rounds $(or $(ROUNDS),5) $(if $(RECORDS),--records $(RECORDS))

.PHONY: bench-rebuild
bench-rebuild: build $(BENCH) $(ENGINE) ## How fast ClickHouse is made again from Kafka alone, at two sizes, and what tables take on disk
	$(BENCH) rebuild --rounds $(or $(ROUNDS),3) $(if $(RECORDS),--records $(RECORDS))

.PHONY: bench-accounts
bench-accounts: build $(BENCH) $(ENGINE) ## What memory an ingest process takes for the accounts that it knows
	$(BENCH) accounts

.PHONY: bench-close
bench-close: build $(BENCH) $(ENGINE) ## What it takes to close a day of ACCOUNTS accounts (default 100000): docs/benchmarks.md
	$(BENCH) close --accounts $(or $(ACCOUNTS),100000)

.PHONY: microbench
microbench: ## The packages' own benchmarks; compare ratios within one run, the machine is noisy
	go test -run '^$$' -bench . -benchmem ./pipeline/... ./sinks/...

.PHONY: million
million: build $(ENGINE) ## A million records through the stream, compared with the same in memory
	go test -timeout 60m -run TestMillion -v ./cmd/tollstream -args -million

.PHONY: rebuild-year
rebuild-year: build $(ENGINE) ## A year through the stream, and the database made again from the topics
	go test -timeout 60m -run TestRebuildYear -v ./cmd/tollstream -args -rebuild-year

.PHONY: chaos
chaos: build $(ENGINE) ## Kill, stop and cut off everything while records flow: docs/chaos.md (KILLS=8 SEED=1 MILLION=1 MUTANT=all)
	go test -count=1 -timeout 150m -run '$(if $(MUTANT),TestMutants$$,TestChaos)' -v ./deploy/chaos -args -program=$(CURDIR)/$(PROGRAM) \
		$(if $(KILLS),-kills=$(KILLS)) $(if $(SEED),-seed=$(SEED)) $(if $(MILLION),-million) $(if $(MUTANT),-mutant=$(MUTANT))

.PHONY: up
up: ## Everything in containers, with producers, alerts and dashboards (needs Docker)
	docker compose up -d --wait

.PHONY: down
down: ## Stop the containers; the data stays in their volumes
	docker compose down

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf build deploy/embedded/node_modules $(PREVIEW)/node_modules $(APACHE)/target
