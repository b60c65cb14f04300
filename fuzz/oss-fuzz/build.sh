#!/bin/bash -eu
# Builds every target, with its seeds and its dictionary beside it.
cd "$SRC/spicewatch/fuzz"
cargo fuzz build -O
for source in fuzz_targets/*.rs; do
  target=$(basename "$source" .rs)
  cp "target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
  [ -d "seeds/$target" ] && zip -qj "$OUT/${target}_seed_corpus.zip" "seeds/$target"/*
  case $target in
    qmp_*) cp dictionaries/qmp.dict "$OUT/$target.dict" ;;
    *) cp dictionaries/link.dict "$OUT/$target.dict" ;;
  esac
done
