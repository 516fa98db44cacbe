#!/bin/sh
# Check and measure this project on a GPU, in one command of under eight minutes:
#
#   scripts/gpu_check.sh [--minutes 7.5] [--sections limits,numerics,…] [--output DIR] [--tiny]
#
# What was measured is in DIR/gpu_check.json after every single measurement, so that a run may be ended at any time.
# The interpreter is PYTHON, by default that of .venv, or else python3. `--tiny` goes through all of it on a CPU.
here=$(cd "$(dirname "$0")" && pwd) || exit
if [ -z "$PYTHON" ] && [ -x "$here/../.venv/bin/python" ]; then
    PYTHON=$here/../.venv/bin/python
fi
exec "${PYTHON:-python3}" "$here/gpu_check.py" "$@"
