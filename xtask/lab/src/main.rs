//! Chores that need real peers: the demonstration, and recordings.

mod demo;
mod record_captures;
mod record_qmp;

use clap::Parser;

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Boot a real QEMU, put the relay in front of it, connect real clients, and print the events of both side by side.
    Demo,
    /// Record the committed captures again, from a real QEMU and real clients.
    RecordCaptures(record_captures::Args),
    /// Record again what a real QEMU answers to the table of good and bad QMP input.
    RecordQmp,
}

fn main() -> anyhow::Result<()> {
    shell::enter_workspace()?;
    match Task::parse() {
        Task::Demo => demo::run(),
        Task::RecordCaptures(args) => record_captures::run(&args),
        Task::RecordQmp => record_qmp::run(),
    }
}

#[cfg(test)]
mod tests {
    use spice_testkit::lab::Peer;

    #[test]
    fn setup_installs_the_packages_of_every_peer() {
        let listed = include_str!("../../debian-packages.txt");
        for package in Peer::ALL.iter().flat_map(|peer| peer.packages()) {
            assert!(listed.lines().any(|line| line == *package), "xtask/debian-packages.txt lacks {package}");
        }
    }
}
