use std::{
    env,
    ffi::OsString,
    io,
    path::Path,
    process::{Command, Stdio},
};

use super::Vm;

/// A QEMU that the lab can boot: the one of this machine, or a newer one that `cargo xtask setup` installs beside it.
///
/// ```no_run
/// use spice_testkit::lab::Vm;
///
/// # fn main() -> std::io::Result<()> {
/// let vm = Vm::qemu("11.1").boot("port=5930,addr=127.0.0.1,disable-ticketing=on")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    program: OsString,
}

impl Qemu {
    /// The environment variable that chooses the QEMU of a whole test run by its version, for example `11.1`. Without it, tests use
    /// the QEMU of this machine.
    pub const VARIABLE: &str = "LAB_QEMU";

    /// Where `cargo xtask setup` puts `qemu-VERSION`.
    const FOLDER: &str = "/var/cache/spicewatch";

    /// The QEMU of this machine: `qemu-system-x86_64` of its `PATH`.
    pub fn of_this_machine() -> Self {
        Self { program: "qemu-system-x86_64".into() }
    }

    /// The QEMU that `cargo xtask setup` installs with this version.
    pub fn of_version(version: &str) -> Self {
        Self { program: Path::new(Self::FOLDER).join(format!("qemu-{version}")).into() }
    }

    /// The QEMU that [`VARIABLE`](Self::VARIABLE) names, or the one of this machine.
    pub fn chosen() -> Self {
        match env::var(Self::VARIABLE) {
            Ok(version) if !version.is_empty() => Self::of_version(&version),
            _ => Self::of_this_machine(),
        }
    }

    /// A command that runs it.
    pub fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Whether it is installed, found out by running it.
    pub fn is_here(&self) -> bool {
        let mut command = self.command();
        command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Boots it with these options of `-spice`. See [`Vm::boot`].
    pub fn boot(&self, spice: &str) -> io::Result<Vm> {
        self.boot_with(spice, |_| {})
    }

    /// Boots it with more arguments or environment.
    pub fn boot_with(&self, spice: &str, more: impl FnOnce(&mut Command)) -> io::Result<Vm> {
        Vm::boot_qemu(self, spice, more)
    }
}
