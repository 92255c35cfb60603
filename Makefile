# What people do with this repository. `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Three sizes of environment, each holds the one before: to learn, to teach, to develop.
LAB := $(VENV)/.lab
TEACH := $(VENV)/.teach
DEV := $(VENV)/.dev
LAB_ARGS ?=
TEST_ARGS ?=
WORKERS ?= 2
BROWSER ?= 1
REPO ?=
COURSE ?= build/course
ASSIGNMENT ?= week-1
# A .po file with the sheets in another language: `make strings FILE=strings.de.po` writes it.
export TRANSLATION ?=
# JupyterLab refuses to run as root (in a container, say) unless told that this is meant.
AS_ROOT := $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)

.DEFAULT_GOAL := help
.PHONY: help lab play app clean

help: ## List the tasks
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# The environment is made once, and again only when what it must hold has changed.
$(LAB): pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lthlab needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12 lab" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@

$(TEACH): $(LAB)
	$(BIN)/python -m pip install -e ".[fast,lab,teach]"
	@# The grading tool's menus would only puzzle learners; teachers switch them on with `enable`.
	$(BIN)/jupyter labextension disable --level=sys_prefix @jupyter/nbgrader
	@touch $@

$(DEV): $(TEACH)
	$(BIN)/python -m pip install -e ".[fast,lab,dev]"
	@touch $@

lab: $(LAB) ## Open JupyterLab on the first notebook (LAB_ARGS="--no-browser --port 8899" passes options on)
	$(BIN)/jupyter lab $(AS_ROOT) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(LAB_ARGS)

play: $(LAB) ## Open the ticket playground in a browser: train, prune and question a small network there
	$(BIN)/python docs/build_playground.py build/playground
	$(BIN)/python -m webbrowser build/playground/playground.html

app: $(LAB) ## Serve notebook 08 as an app without code (LAB_ARGS="--port 8899" passes options on)
	$(BIN)/python docs/app.py $(LAB_ARGS)

clean: ## Remove the environment and everything that can be made again
	rm -rf $(VENV) build *.egg-info .pytest_cache .hypothesis .ruff_cache test-artefacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What follows needs the whole repository: the students' archive of `make course` ends here.
.PHONY: test notebooks strings student assignment course grade pool site bench lint lock

test: $(DEV) ## Run all tests, the notebooks included (TEST_ARGS="-k masks" chooses, BROWSER=0: no browser, WORKERS=0: one by one)
	$(if $(filter 0,$(BROWSER)),@echo "BROWSER=0: the tests in a real browser are left out")
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(if $(filter 0,$(BROWSER)),-m "not browser") $(TEST_ARGS)

notebooks: $(DEV) ## Turn notebooks/source/*.py into executed notebooks, those that changed (FORCE=1: all)
	$(BIN)/python notebooks/claims.py
	$(BIN)/python notebooks/build.py $(if $(FORCE),--force)
	$(BIN)/python notebooks/claims.py

strings: $(TEACH) ## Write all words of the exercise sheets into one file to translate (FILE=strings.de.po)
	$(BIN)/python notebooks/exercises/translate.py $(or $(FILE),strings.po)

student: $(TEACH) ## Write the exercise sheets for learners into notebooks/student/
	$(BIN)/python notebooks/exercises/make.py student notebooks/student

assignment: $(TEACH) ## Make an nbgrader course in build/nbgrader, released by nbgrader
	$(BIN)/python notebooks/exercises/make.py assignment build/nbgrader

course: $(TEACH) ## A whole course in COURSE=build/course: HOURS=2, DAYS=2, WEEKS=4 or WEEKS=6 (START=2027-01-11 ZONE=Europe/Berlin)
	$(BIN)/python course/build_course.py $(if $(HOURS),--hours $(HOURS)) $(if $(DAYS),--days $(DAYS)) \
		$(if $(WEEKS),--weeks $(WEEKS)) $(if $(START),--start $(START)) $(if $(ZONE),--zone $(ZONE)) $(COURSE)

grade: $(TEACH) ## Grade what came back, in a sandbox (COURSE=build/course ASSIGNMENT=week-1)
	$(BIN)/python course/grade.py $(COURSE)/teacher/nbgrader $(ASSIGNMENT)

pool: $(LAB) ## Put the class's results together: forest plot and verdict (DIR=folder with one file a student)
	$(BIN)/python course/pool.py $(DIR)

site: $(DEV) ## Build the website in build/site (REPO=owner/name: with buttons that open each notebook)
	$(BIN)/python docs/build_site.py build/site $(if $(REPO),--repo $(REPO))

bench: $(DEV) ## Measure the training step on this machine
	$(BIN)/python benchmarks/speed.py

lint: $(DEV) ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lock: $(DEV) ## Write down the versions that are installed, as tested (requirements.lock)
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock
