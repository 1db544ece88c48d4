#!/bin/sh
# gpu_check: every spec on a GPU against the float64 reference, then times; bench/gpu_check.py says how.
#   TRIKL=build/compiler/cli/trikl bench/gpu_check.sh [--device cuda:0] [--only NAME]... [--quick] [--cuda] [--no-times]
exec python3 "$(dirname "$0")/gpu_check.py" "$@"
