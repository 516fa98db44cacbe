#!/usr/bin/env bash
#SBATCH --job-name=bn-ablate
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%A_%a.log
# One part of a study, as an array task: part.sh CONFIG N. Two minutes before its time is up it is stopped, which stores where it
# is, and queued again; so is a task that is preempted, by SLURM itself. A task that fails or is cancelled is not.
set -u
config=$1 parts=$2 again=
# shellcheck disable=SC2086 # ARGS are several words
"${BN_ABLATE:-.venv/bin/bn-ablate}" run "$config" --part "$SLURM_ARRAY_TASK_ID/$parts" --results "${RESULTS:-results}" ${ARGS:-} &
training=$!
trap 'again=yes; kill -TERM "$training"' USR1 # which comes to this script alone
trap : TERM                                     # which comes to all processes of the task, and a second would end it at once
wait "$training"
status=$?
while kill -0 "$training" 2>/dev/null; do # a signal has ended the wait, and not the training
    wait "$training"
    status=$?
done
if [ -n "$again" ] && [ "$status" -ne 0 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$status"
