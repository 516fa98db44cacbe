#!/bin/sh
# Check and measure this project on a GPU, in one command of under eight minutes, and what it has no time for in two more:
#
#   scripts/gpu_check.sh [--minutes 7.5] [--output DIR] [--tiny]
#   scripts/gpu_check.sh --sections second --output OTHER_DIR
#   scripts/gpu_check.sh --sections third --output A_THIRD_DIR
#   scripts/gpu_check.sh --sections images --images cifar10.npz --set train.steps=8000 --output A_FOURTH_DIR
#
# `--sections limits,numerics,…` runs some; `--help` names them all. XLA_FLAGS are handed on, and written down.
# What was measured is in DIR/gpu_check.json after every single measurement, so that a run may be ended at any time.
# The interpreter is PYTHON, by default that of .venv, or else python3; it must be the one whose packages (JAX for this GPU, and
# what the project needs) are installed, which `python3` need not be. `--tiny` goes through all of it on a CPU.
here=$(cd "$(dirname "$0")" && pwd) || exit
if [ -z "$PYTHON" ] && [ -x "$here/../.venv/bin/python" ]; then
    PYTHON=$here/../.venv/bin/python
fi
exec "${PYTHON:-python3}" "$here/gpu_check.py" "$@"
