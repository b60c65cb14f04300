//! Checks that the crate needs neither `std` nor `alloc`: the test builds a static library on top of it that has a panic handler
//! and no allocator. `std` would bring a second panic handler, and `alloc` would need an allocator. The test checks that both fail.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{fs, path::Path, process::Command};

const FREESTANDING: &str = "
#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
#[unsafe(no_mangle)]
pub extern \"C\" fn is_link(bytes: *const u8, len: usize) -> bool {
    let bytes = unsafe { core::slice::from_raw_parts(bytes, len) };
    USES
    spice_link::LinkMess::parse(bytes).is_ok()
}
";

/// Builds the library with one more statement in its function. An error is the compiler's output.
fn build(name: &str, uses: &str) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let package = env!("CARGO_MANIFEST_DIR");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"freestanding\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"staticlib\"]\n\
         [dependencies]\nspice-link = {{ path = {package:?} }}\n\
         [profile.dev]\npanic = \"abort\"\n[workspace]\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), FREESTANDING.replace("USES", uses)).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .current_dir(&folder)
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn needs_neither_std_nor_alloc() {
    build("core-only", "").unwrap();
    let with_alloc = build("with-alloc", "extern crate alloc; let _v = alloc::vec::Vec::<u8>::with_capacity(len);");
    assert!(with_alloc.unwrap_err().contains("no global memory allocator"));
    let with_std = build("with-std", "extern crate std; std::println!(\"{len}\");");
    assert!(with_std.unwrap_err().contains("panic_impl"));
}
