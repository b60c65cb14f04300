//! Rust's QMP clients against qmp-server; see `tests/`.
