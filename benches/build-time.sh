#!/bin/sh
# Measures a release build of qmp-schema and of qapi-qmp: each is the only dependency of an empty program, with default features,
# from an empty target folder, on all cores. The builds take turns, ROUNDS times (`build-time.sh 5`; 3 by default). Prints both
# medians and their ratio. Sources are fetched before the measurement.
set -eu
rounds=${1:-3}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Makes an empty program with this dependency.
program() {
    mkdir -p "$work/$1/src"
    echo 'fn main() {}' > "$work/$1/src/main.rs"
    printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\n%s = %s\n[workspace]\n' "$1" "$2" > "$work/$1/Cargo.toml"
    (cd "$work/$1" && cargo fetch --quiet)
}

# Prints the milliseconds of its release build.
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
