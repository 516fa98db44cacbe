#!/usr/bin/env bash
#SBATCH --job-name=bn-ablate-finish
#SBATCH --time=01:00:00
#SBATCH --output=slurm-%x-%j.log
# When all parts are done: finish.sh STUDY N puts them together, writes the report, and sends the study to Weights & Biases.
set -euo pipefail
bn() { "${BN_ABLATE:-.venv/bin/bn-ablate}" "$@"; }
study=${RESULTS:-results}/$1
bn merge "$study".part-*-of-"$2" --into "$study"
bn report "$study"
if [ "${WANDB:-online}" != disabled ]; then
    bn sync "$study" --wandb "${WANDB:-online}"
fi
