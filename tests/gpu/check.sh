#!/usr/bin/env bash
# check.sh BUILD: runs what `make gpu-check` built: every kernel against the reference, the golden
# sentences, then both again under compute-sanitizer. Where there is none, or it refuses the card or
# takes too long, the programs with guards around each block run instead, and a word says so.
# BUILD/gpu-emulated runs on the emulator, which watches by itself.
set -u
build=$1
log=$build/log
python=${GPU_PYTHON:-python3}
sanitizer_s=45 # for each program and tool
whole_s=390    # for all programs: with the build gpu-check has 8 minutes
guards_s=90    # of that, kept for the programs with guards
[ "$build" = build/gpu ] || whole_s=2400 # the emulator's

fail() {
    cat "$log"
    echo "gpu-check: $1"
    exit 1
}

# run NAME COMMAND...
run() {
    local name=$1 begin=$SECONDS left=$((whole_s - SECONDS))
    shift
    [ $left -gt 0 ] || { : > "$log"; fail "$name: no time left of $whole_s s"; }
    timeout -k 5 $left "$@" > "$log" 2>&1
    local ended=$?
    [ $ended = 124 ] || [ $ended = 137 ] && fail "$name: not done after $left s"
    [ $ended = 0 ] || fail "$name failed"
    echo "== $name: passed in $((SECONDS - begin)) s$(grep -h 'tokens equal' "$log" | sed 's/^/; /')"
}

# watch TOOL PROGRAM: under compute-sanitizer; 1 when that could not be done, and says why.
watch() {
    local tool=$1 program=$2 begin=$SECONDS most_s=$((whole_s - guards_s - SECONDS)) option=()
    # Calls' results are looked at by the device; what cuBLASLt asks in vain is no fault.
    [ "$tool" = memcheck ] && option=(--report-api-errors no)
    [ $most_s -lt $sanitizer_s ] || most_s=$sanitizer_s
    if [ $most_s -lt 10 ]; then
        echo "== $program under $tool: left out, no time"
        return 1
    fi
    timeout -k 5 $most_s compute-sanitizer --tool "$tool" "${option[@]}" --error-exitcode 77 \
        "$build/plain/$program" > "$log" 2>&1
    local ended=$?
    if [ $ended = 124 ] || [ $ended = 137 ]; then
        grep -qi '^=* *\(invalid\|misaligned\|error: *race\)' "$log" && fail "$program under $tool failed"
        echo "== $program under $tool: no fault in $most_s s, then it was stopped"
    elif ! grep -q ' SUMMARY: ' "$log" || grep -qi 'not supported\|internal sanitizer error\|before first instrumented' "$log"; then
        echo "== compute-sanitizer $tool refuses: $(grep -m1 -i 'error\|not supported\|fail' "$log" | sed 's/^=* *//')"
    elif [ $ended != 0 ]; then
        fail "$program under $tool failed"
    else
        echo "== $program under $tool: passed in $((SECONDS - begin)) s"
        return 0
    fi
    return 1
}

watched=1
if [ "$build" = build/gpu ]; then
    echo "gpu-check: $("$python" tests/gpu/card.py), $(date +%F)"
    run "kernels against the reference" env HYDRAGLOT_LONG=1 "$build/plain/kernels"
    run "whole chunks of prompts" env HYDRAGLOT_LONG=1 "$build/plain/chunks"
    run "golden sentences" "$build/plain/goldens"
    if command -v compute-sanitizer > /dev/null; then
        for tool in memcheck racecheck; do
            for program in kernels chunks goldens; do watch $tool $program || watched=0; done
        done
    else
        echo "== compute-sanitizer is not installed"
        watched=0
    fi
else
    run "kernels against the reference" "$build/plain/kernels"
    run "whole chunks of prompts" "$build/plain/chunks"
    run "golden sentences" "$build/plain/goldens"
    watched=0
fi
if [ $watched = 0 ]; then
    for program in guard kernels chunks goldens; do
        run "$program with guards around each block" "$build/guarded/$program"
    done
    echo "== guards see writes beside a block; wrong reads and races are what the emulator sees (make unit)"
fi
echo "gpu-check: all passed"
