#!/usr/bin/env bash
# planted.sh [NAME...]: plants the defects of planted.tsv in the runtime's pool and wake-ups, one at a time and in a copy,
# and expects the models of loom, or the schedules of shuttle, to turn red.
set -uo pipefail
cd "$(dirname "$0")/../.."
missed=0
count=0
while IFS=$'\t' read -r name _ _ _ crate; do
    [ "$name" = name ] && continue
    [ $# -gt 0 ] && [[ " $* " != *" $name "* ]] && continue
    count=$((count + 1))
    export PLANTED=$name
    if ! cargo test --quiet --locked -p "libkarafka-$crate" --no-run >/dev/null 2>&1; then
        echo "does not compile: $name"
        missed=$((missed + 1))
        continue
    fi
    # A deadlock can end the whole process, so what has panicked is read off what it said.
    said=$(timeout 120 cargo test --quiet --locked -p "libkarafka-$crate" -- --nocapture --skip are_found --skip is_found 2>&1) && {
        echo "NOT FOUND by $crate: $name"
        missed=$((missed + 1))
        continue
    }
    found=$(sed -n "s/^thread '\(.*\)' .*panicked at.*/\1/p" <<<"$said" | sort -u)
    echo "found by $crate: $name (${found//$'\n'/, })"
done <tests/loom/planted.tsv
echo "$((count - missed)) of $count planted defects found"
[ "$missed" -eq 0 ]
