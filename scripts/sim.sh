#!/bin/bash
# sim.sh PROGRAM [SEED]: repeats one seed of the simulation, or runs SEEDS of them (100,000), as many
# programs at a time as there are processors.
set -u
if [ $# -gt 1 ]; then
	exec "$1" "$2" 1
fi
piece=1000
if seq 0 $piece $((${SEEDS:-100000} - 1)) | xargs -P "$(nproc)" -I{} "$1" {} $piece | { ! grep -v '^1\.\.1$\|^ok '; }; then
	echo "${SEEDS:-100000} seeds: all hold"
else
	echo "at least one seed has failed"
	exit 1
fi
