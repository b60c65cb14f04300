#!/bin/bash -eu
# Licensed under the Apache License, Version 2.0, or under the MIT licence, at your option.
# The former: http://www.apache.org/licenses/LICENSE-2.0

# Builds every target, and puts its seeds and its dictionary beside it.
cd "$SRC/spicewatch/fuzz"
# -O alone would disable the overflow checks; --debug-assertions keeps them.
cargo fuzz build -O --debug-assertions
built=${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/release
for source in fuzz_targets/*.rs; do
  target=$(basename "$source" .rs)
  cp "$built/$target" "$OUT/"
  # A target without crashes has no folder of regressions, so find looks for it.
  zip -qjr "$OUT/${target}_seed_corpus.zip" "seeds/$target" $(find regressions -maxdepth 1 -name "$target")
  case $target in
    qmp_*) cp dictionaries/qmp.dict "$OUT/$target.dict" ;;
    *) cp dictionaries/link.dict "$OUT/$target.dict" ;;
  esac
done
