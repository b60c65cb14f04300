//! A Debian 13 in a folder, for its QEMU 11.1, spice-server 0.15.2 and libvirt, next to the ones of this machine.
//!
//! Programs of that folder run without chroot, through its own dynamic loader. So they see the paths of this machine: sockets,
//! certificates, the SASL configuration. Two scripts beside the folder do that:
//!
//! - `in-debian-13 PROGRAM ARGUMENTS` runs any program with the libraries of the folder.
//! - `qemu-11.1 ARGUMENTS` runs its QEMU. `spice_testkit::lab::Qemu` boots it.

use std::{
    env,
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};

/// Where the folder and the scripts are. `spice_testkit::lab::Qemu` and the tests of qmp-server look there.
const CACHE: &str = "/var/cache/spicewatch";
const ROOT: &str = "/var/cache/spicewatch/debian-13";
/// Runs a program with the libraries of the folder.
pub(crate) const RUNNER: &str = "/var/cache/spicewatch/in-debian-13";
const QEMU: &str = "/var/cache/spicewatch/qemu-11.1";

/// The release, and its packages. The newest QEMU is in the backports.
const RELEASE: &str = "trixie";
const PACKAGES: [&str; 3] = ["qemu-system-x86", "qemu-system-modules-spice", "libsasl2-modules"];

/// libvirt's daemon with its QEMU driver, and `virsh`, for a test of qmp-server's peers.
const LIBVIRT: [&str; 3] = ["libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients"];

/// Forbids packages to start services: they would run on this machine.
const POLICY: &str = "#!/bin/sh\nexit 101\n";

const RUNNER_SCRIPT: &str = r#"#!/bin/sh
# Made by `cargo xtask setup`; do not edit. Runs a program with the libraries of a Debian 13.
root=/var/cache/spicewatch/debian-13
export SASL_PATH="$root/usr/lib/x86_64-linux-gnu/sasl2"
exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$@"
"#;

const QEMU_SCRIPT: &str = r#"#!/bin/sh
# Made by `cargo xtask setup`; do not edit. Runs the QEMU of a Debian 13.
root=/var/cache/spicewatch/debian-13
export QEMU_MODULE_DIR="$root/usr/lib/x86_64-linux-gnu/qemu"
exec /var/cache/spicewatch/in-debian-13 --argv0 qemu-system-x86_64 "$root/usr/bin/qemu-system-x86_64" \
  -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
"#;

/// Whether QEMU 11.1 and libvirt are here.
pub(crate) fn is_complete() -> bool {
    is_here() && ["usr/sbin/libvirtd", "usr/bin/virsh"].iter().all(|program| Path::new(ROOT).join(program).exists())
}

/// Whether QEMU 11.1 runs here.
pub(crate) fn is_here() -> bool {
    let version = Command::new(QEMU).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    version.is_ok_and(|output| output.stdout.starts_with(b"QEMU emulator version 11.1"))
}

/// Makes the folder if it is missing or broken. Needs root, Debian, and x86-64.
pub(crate) fn make() -> Result<()> {
    ensure!(env::consts::ARCH == "x86_64", "QEMU 11.1 is only set up on x86-64");
    fs::create_dir_all(CACHE).with_context(|| format!("can't make {CACHE}"))?;
    // Only one setup at a time makes the folder. The lock ends with this file.
    let lock = File::create(Path::new(CACHE).join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    write_script(RUNNER, RUNNER_SCRIPT)?;
    write_script(QEMU, QEMU_SCRIPT)?;
    if is_here() {
        return install_libvirt(ROOT);
    }
    let new = format!("{ROOT}.new");
    for folder in [ROOT, &new] {
        remove(folder)?;
    }
    install(&new)?;
    fs::rename(&new, ROOT)?;
    ensure!(is_complete(), "{QEMU} does not run after its installation");
    Ok(())
}

fn write_script(path: &str, text: &str) -> Result<()> {
    // A test may be running the script: replace the file instead of writing into it.
    let new = format!("{path}.new");
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(new, path).with_context(|| format!("can't write {path}"))
}

/// Removes what an earlier run left, unless something is mounted there.
fn remove(folder: &str) -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").context("/proc/mounts")?;
    if let Some(mount) = mounts.lines().filter_map(|line| line.split(' ').nth(1)).find(|at| at.starts_with(folder)) {
        bail!("{mount} is mounted; unmount it, then run this again");
    }
    if Path::new(folder).exists() {
        fs::remove_dir_all(folder).with_context(|| format!("can't remove {folder}"))?;
    }
    Ok(())
}

/// Installs a minimal Debian and the packages, from the mirror and with the settings of this machine's apt.
fn install(folder: &str) -> Result<()> {
    let mirror = mirror()?;
    shell::run(
        Command::new("debootstrap").args(["--variant=minbase", RELEASE, folder, &mirror]).stdout(Stdio::null()),
    )?;
    let sources = format!("deb {mirror} {RELEASE} main\ndeb {mirror} {RELEASE}-backports main\n");
    fs::write(Path::new(folder).join("etc/apt/sources.list"), sources)?;
    for setting in fs::read_dir("/etc/apt/apt.conf.d").into_iter().flatten().flatten() {
        let copy = Path::new(folder).join("etc/apt/apt.conf.d").join(setting.file_name());
        if !copy.exists() {
            fs::copy(setting.path(), copy)?;
        }
    }
    apt(folder, &["update"])?;
    let backports = format!("{RELEASE}-backports");
    apt(folder, &[&["install", "-y", "--no-install-recommends", "-t", &backports], &PACKAGES[..]].concat())?;
    install_libvirt(folder)
}

/// Adds libvirt. No package of QEMU changes.
fn install_libvirt(folder: &str) -> Result<()> {
    write_script(&format!("{folder}/usr/sbin/policy-rc.d"), POLICY)?;
    apt(folder, &["update"])?;
    apt(folder, &[&["install", "-y", "--no-install-recommends", "--no-upgrade"], &LIBVIRT[..]].concat())?;
    apt(folder, &["clean"])
}

/// Runs apt in the folder.
fn apt(folder: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("chroot");
    command.args([folder, "apt-get", "-q"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(command.stdout(Stdio::null()))
}

/// The mirror from which this machine's apt gets Debian.
fn mirror() -> Result<String> {
    let output = Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]).output()?;
    let all = String::from_utf8_lossy(&output.stdout);
    let found = all.lines().find(|line| line.trim_end_matches('/').ends_with("/debian"));
    found.map(str::to_owned).context("apt has no mirror of Debian (`apt-get indextargets` lists them)")
}
