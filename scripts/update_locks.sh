#!/usr/bin/env bash
# Writes requirements/*.txt from the dependencies in pyproject.toml. Needs uv on PATH and a network.
# Arguments go to `uv pip compile`:
#
#   scripts/update_locks.sh              changes only what pyproject.toml forces to change
#   scripts/update_locks.sh -P wandb     also brings wandb up to date
#   scripts/update_locks.sh --upgrade    brings everything up to date
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v uv >/dev/null || {
    echo "update_locks: uv is not on PATH; install it first, for instance with 'pipx install uv'" >&2
    exit 1
}

# One release of each package for every Python and system (fewest): results must not turn on which of them ran a study.
lock() {
    local output=requirements/$1.txt
    shift
    uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
        --no-emit-index-url --no-header --no-annotate --output-file "$output" "$@" >/dev/null
    echo "$output: $(grep -c '==' "$output") packages"
}

mkdir -p requirements
sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml | grep . | lock build "$@" -
lock cpu "$@" --extra dev --constraint requirements/build.txt pyproject.toml
# The locks of the accelerators add packages to the CPU's and change none of them.
for device in cuda tpu; do
    lock "$device" "$@" --extra dev --extra "$device" --constraint requirements/cpu.txt pyproject.toml
done
