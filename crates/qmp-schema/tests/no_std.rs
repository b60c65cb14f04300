//! Checks that the crate needs `alloc`, but not `std`: builds a static library on top of it that has its own panic handler and
//! allocator. With the feature `std` the build would fail because of the second panic handler.
#![allow(clippy::unwrap_used, reason = "a helper's panic fails the test, too")]

use std::{fs, path::Path, process::Command};

const FREESTANDING: &str = r#"
#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
ALLOCATOR
#[unsafe(no_mangle)]
pub extern "C" fn is_event(bytes: *const u8, len: usize) -> bool {
    let bytes = unsafe { core::slice::from_raw_parts(bytes, len) };
    qmp_schema::from_slice::<qmp_schema::EventMessage<'_>>(bytes).is_ok()
}
"#;
const ALLOCATOR: &str = r"
struct None;
unsafe impl core::alloc::GlobalAlloc for None {
    unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 { core::ptr::null_mut() }
    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}
#[global_allocator]
static NONE: None = None;
";

fn build(name: &str, allocator: &str, features: &str) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"freestanding\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"staticlib\"]\n\
         [dependencies]\nqmp-schema = {{ path = {:?}, default-features = false, features = [{features}] }}\n\
         [profile.dev]\npanic = \"abort\"\n[workspace]\n",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), FREESTANDING.replace("ALLOCATOR", allocator)).unwrap();
    // The lock file of the workspace, so that no other versions are needed.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    if lock.exists() {
        fs::copy(lock, folder.join("Cargo.lock")).unwrap();
    }
    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--target-dir"])
        .arg(folder.join("target"))
        .current_dir(&folder)
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn crate_builds_without_std() {
    build("alloc-only", ALLOCATOR, "").unwrap();
    build("with-serde", ALLOCATOR, "\"serde\"").unwrap();
    let with_std = build("with-std", ALLOCATOR, "\"std\"").unwrap_err();
    assert!(with_std.contains("panic_impl"), "{with_std}");
    let without_allocator = build("core-only", "", "").unwrap_err();
    assert!(without_allocator.contains("no global memory allocator"), "{without_allocator}");
}
