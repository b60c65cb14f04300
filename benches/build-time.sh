#!/bin/sh
# How long a release build of qmp-schema takes, and of qapi-qmp: each as the only dependency of an empty program, with default
# features, from nothing, on as many cores as there are. By turns, ROUNDS times (3 unless told: `build-time.sh 5`); then both
# medians, and their ratio. Sources are fetched before, so that no network is in it.
set -eu
rounds=${1:-3}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# An empty program with this dependency.
program() {
    mkdir -p "$work/$1/src"
    echo 'fn main() {}' > "$work/$1/src/main.rs"
    printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\n%s = %s\n[workspace]\n' "$1" "$2" > "$work/$1/Cargo.toml"
    (cd "$work/$1" && cargo fetch --quiet)
}

# Milliseconds of its release build.
build() {
    cd "$work/$1"
    rm -rf target
    start=$(date +%s%N)
    CARGO_TARGET_DIR=target cargo build --release --offline --quiet
    end=$(date +%s%N)
    echo $(((end - start) / 1000000))
}

median() {
    sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"
}

program qmp-schema "{ path = \"$root/crates/qmp-schema\" }"
program qapi-qmp '"0.15"'
for round in $(seq "$rounds"); do
    for name in qmp-schema qapi-qmp; do
        (build "$name") >> "$work/$name.ms"
    done
    echo "round $round: qmp-schema $(tail -n 1 "$work/qmp-schema.ms") ms, qapi-qmp $(tail -n 1 "$work/qapi-qmp.ms") ms"
done
ours=$(median "$work/qmp-schema.ms")
theirs=$(median "$work/qapi-qmp.ms")
echo "median: qmp-schema $ours ms, qapi-qmp $theirs ms; 1 to $((theirs / ours)).$((theirs * 10 / ours % 10))"
