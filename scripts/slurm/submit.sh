#!/usr/bin/env bash
# Train a study under SLURM in N parts, one GPU each, and put them together; from the root of the checkout:
#   scripts/slurm/submit.sh CONFIG N [options of sbatch for the parts, as --partition=gpu --time=02:00:00]
# RESULTS=, WANDB= (online, offline or disabled) and ARGS= are as with `make`. `bn-ablate plan CONFIG` says which N are good.
set -euo pipefail
[ $# -ge 2 ] || { sed -n 2,4p "$0" >&2; exit 2; }
here=$(dirname "$0") config=$1 parts=$2
shift 2
name=$("${BN_ABLATE:-.venv/bin/bn-ablate}" plan "$config" --device cpu | sed -n '1s/ .*//p') # a study that is wrong ends here
array=$(sbatch --parsable --array="1-$parts" "$@" "$here/part.sh" "$config" "$parts")
finish=$(sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes "$here/finish.sh" "$name" "$parts")
echo "parts: job $array, then merge, report and sync: job $finish; squeue --me shows them"
