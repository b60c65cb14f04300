//! The facts of qmp-schema: code from them, and a real QEMU beside them.

pub mod codegen;
pub mod schema;
