#!/bin/sh
# Seconds that a release build of qmp-schema takes, and of qapi-qmp: each as the only dependency of an empty program, with default
# features, from nothing, on as many cores as there are. Sources are fetched before.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() {
    mkdir -p "$work/$1/src"
    echo 'fn main() {}' > "$work/$1/src/main.rs"
    printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\n%s = %s\n[workspace]\n' "$1" "$2" > "$work/$1/Cargo.toml"
    (
        cd "$work/$1"
        cargo fetch --quiet
        start=$(date +%s%N)
        CARGO_TARGET_DIR="$work/$1/target" cargo build --release --offline --quiet
        end=$(date +%s%N)
        echo "$1: $(((end - start) / 1000000)) ms"
    )
}
build qmp-schema "{ path = \"$root/crates/qmp-schema\" }"
build qapi-qmp '"0.15"'
