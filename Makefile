.PHONY: check test test-fast test-oldest bench format docs

check:  ## what CI checks besides the tests: format, lint, types, order of imports
	.ci/check

test:  ## what CI tests
	uv run pytest

test-fast:  ## the quick tests: under a minute on two cores
	uv run pytest -m "not slow and not medium"

test-oldest:  ## the tests with the oldest supported versions (torch 2.11, ...), in .venv-oldest
	.ci/oldest

bench:  ## speed on this machine: optimized networks beside other runtimes on a CPU; on a GPU: benchmarks/gpu_session.py
	uv run --group neighbours python benchmarks/cpu_precision.py --out runs/cpu-precision

format:
	uv run ruff format .
	uv run ruff check --fix .

docs:  ## the catalogue and the pages of the zoo, from the registry; charts and tables of results, speed and sequences, from their records
	uv run python tests/catalogue_files.py
	uv run python docs/make_zoo.py
	uv run python docs/make_speed.py
	uv run python docs/make_results.py
	uv run python docs/make_sequences.py
