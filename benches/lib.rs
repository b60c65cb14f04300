//! Scenarios that the benches share.
