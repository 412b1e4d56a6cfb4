#!/usr/bin/env bash
# bench.sh BUILD BEGUN: measures with what `make gpu-bench` built, which began at BEGUN (seconds of
# date +%s), and prints the tables. All of it, with the build, has 8 minutes: our own rows have what the
# build left of it but for PyTorch's part, which is stopped when its time is over; rows that there was
# no time for are named.
set -eu
build=$1 begun=$2
python=${GPU_PYTHON:-python3}
whole_s=460 # 8 minutes, less what ends slowly
peer_s=120  # of that, kept for PyTorch

left() { echo $((whole_s - $(date +%s) + begun)); }

ours_s=$(($(left) - peer_s))
[ $ours_s -gt 0 ] || { echo "gpu-bench: the build left no time of $whole_s s; run it again" >&2; exit 1; }
timeout -k 5 $((ours_s + 30)) "$build/bench" 8b 50 $ours_s > "$build/bench.tsv" ||
    echo "gpu-bench: our rows were not done after $ours_s s" >&2
timeout -k 5 "$(left)" "$python" tests/gpu/peer.py > "$build/peer.tsv" ||
    echo "gpu-bench: PyTorch's rows were not done in time, or failed" >&2
"$python" tests/gpu/report.py "$build/bench.tsv" "$build/peer.tsv"
