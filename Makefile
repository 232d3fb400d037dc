.PHONY: check test bench format docs

check:  ## what CI checks besides the tests: format, lint, types, order of parts
	.ci/check

test:  ## what CI tests
	uv run pytest

bench:  ## speed on this machine: optimized networks beside other runtimes on a CPU; on a GPU: benchmarks/gpu_session.py
	uv run --group neighbours python benchmarks/bench_cpu.py --out benchmarks/results/cpu

format:
	uv run ruff format .
	uv run ruff check --fix .

docs:  ## the pages of the zoo, from the registry; charts and tables of results and speed, from their records
	uv run python docs/make_zoo.py
	uv run python docs/make_speed.py
	uv run python docs/make_results.py
