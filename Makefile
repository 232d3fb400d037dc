.PHONY: check test format docs

check:  ## what CI checks besides the tests: format, lint, types, order of parts
	.ci/check

test:  ## what CI tests
	uv run pytest

format:
	uv run ruff format .
	uv run ruff check --fix .

docs:  ## the pages of the zoo, from the registry; the chart of the README, from its records
	uv run python docs/make_zoo.py
	uv run modernet report docs/results/roadmap-nano-digit_scenes
