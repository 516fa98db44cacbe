"""The parts of `scripts/gpu_check.sh`: each section runs in a process of its own and reports as it goes."""
