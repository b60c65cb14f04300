//! Drives a real QEMU through as many kinds of events as can be had without a guest.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    path::Path,
};

use anyhow::{Context as _, ensure};

use super::vm::Vm;

/// Lines of one kind of event that are kept.
const PER_EVENT: usize = 16;

/// Event lines of real QEMUs, a few for each kind of event, sorted by kind.
pub(crate) fn record() -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for part in [run_state, hardware, jobs, disk_errors, exports_and_trays, migration, network, vnc, spice] {
        match part(folder) {
            Ok(more) => lines.extend(more),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let kind: serde_json::Value = serde_json::from_str(&line)?;
        let kind = kind["event"].as_str().context("an event has a name")?.to_owned();
        let same = kinds.entry(kind).or_default();
        // Lines that differ in their numbers only say the same.
        let shape = |line: &str| line.chars().filter(|char| !char.is_ascii_digit()).collect::<String>();
        if same.len() < PER_EVENT && same.iter().all(|other| shape(other) != shape(&line)) {
            same.push(line);
        }
    }
    Ok(kinds.into_values().flatten().collect())
}

fn run_state(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut vm = Vm::start(folder, "-M pc -m 32 -device qemu-xhci,id=usb")?;
    vm.run(r#"{"execute": "device_add", "arguments": {"driver": "usb-tablet", "id": "tablet", "bus": "usb.0"}}"#)?;
    vm.run(r#"{"execute": "device_del", "arguments": {"id": "tablet"}}"#)?;
    vm.wait("DEVICE_DELETED")?;
    vm.execute("stop")?;
    vm.execute("cont")?;
    vm.execute("system_reset")?;
    vm.wait("RESET")?;
    vm.execute("system_powerdown")?;
    vm.wait("POWERDOWN")?;
    vm.run(
        r#"{"execute": "dump-guest-memory", "arguments": {"paging": false, "protocol": "file:dump", "detach": true}}"#,
    )?;
    vm.wait("DUMP_COMPLETED")?;
    vm.run(r#"{"execute": "dump-guest-memory", "arguments": {"paging": false, "protocol": "file:/dev/full", "detach": true}}"#)?;
    vm.wait("DUMP_COMPLETED")?;
    vm.quit()
}

/// What a guest would do to the hardware, done by hand through QEMU's test interface. The firmware runs, and sets up PCI
/// and ACPI; it finds nothing to boot.
fn hardware(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut vm = Vm::start(
        folder,
        "-M pc -m 32,slots=2,maxmem=128M -qtest unix:qtest,server=on,wait=off -qtest-log /dev/null -device ib700 -device pvpanic \
         -device virtio-balloon-pci,addr=4,disable-modern=on \
         -global PIIX4_PM.disable_s3=0 -global PIIX4_PM.disable_s4=0 -action watchdog=none,panic=none",
    )?;
    let ports = balloon_ports(&mut vm)?;
    // `actual` is behind 20 bytes of registers that all virtio devices have; it counts pages of 4 KiB.
    vm.hardware(&format!("outl {:#x} 0x100", ports + 24))?;
    vm.wait("BALLOON_CHANGE")?;
    // The real-time clock's hours.
    vm.hardware("outb 0x70 0x04")?;
    vm.hardware("outb 0x71 0x11")?;
    vm.wait("RTC_CHANGE")?;
    // pvpanic: a crash that the guest deals with itself, and one that it does not.
    vm.hardware("outb 0x505 0x2")?;
    vm.wait("GUEST_CRASHLOADED")?;
    vm.hardware("outb 0x505 0x1")?;
    vm.wait("GUEST_PANICKED")?;
    // The watchdog, set to its shortest time.
    vm.hardware("outb 0x443 0xf")?;
    vm.wait("WATCHDOG")?;
    // ACPI's memory slots: what became of a plug request.
    for register in ["outl 0xa00 0x1", "outl 0xa04 0x1", "outl 0xa08 0x2"] {
        vm.hardware(register)?;
    }
    vm.wait("ACPI_DEVICE_OST")?;
    // ACPI's power management: sleep types S3 and S4.
    vm.hardware("outw 0x604 0x2400")?;
    vm.wait("SUSPEND")?;
    vm.execute("system_wakeup")?;
    vm.wait("WAKEUP")?;
    vm.hardware("outb 0x64 0xfe")?;
    vm.wait("\"guest-reset\"")?;
    balloon_ports(&mut vm)?;
    vm.hardware("outw 0x604 0x2800")?;
    vm.wait("SUSPEND_DISK")?;
    vm.quit()
}

/// Waits until the firmware has given the device in slot 4 its ports, and tells the first.
fn balloon_ports(vm: &mut Vm) -> anyhow::Result<u32> {
    for _ in 0..200 {
        vm.hardware("outl 0xcf8 0x80002004")?;
        let command = vm.hardware("inl 0xcfc")?;
        vm.hardware("outl 0xcf8 0x80002010")?;
        let ports = vm.hardware("inl 0xcfc")?;
        let number = |answer: &str| u32::from_str_radix(answer.rsplit_once("0x").map_or("", |(_, hex)| hex), 16);
        let (command, ports) = (number(&command)?, number(&ports)? & !3);
        if command & 1 == 1 && ports != 0 {
            return Ok(ports);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    anyhow::bail!("the firmware does not set up PCI")
}

/// An empty raw image.
fn raw(folder: &Path, name: &str) -> anyhow::Result<()> {
    Ok(std::fs::File::create(folder.join(name))?.set_len(4 << 20)?)
}

/// Empty qcow2 images, which QEMU itself makes.
fn qcow2(folder: &Path, names: &[&str]) -> anyhow::Result<()> {
    let mut vm = Vm::start(folder, "-M none")?;
    for name in names {
        std::fs::File::create(folder.join(name))?;
        vm.run(&format!(
            r#"{{"execute": "blockdev-add", "arguments": {{"driver": "file", "node-name": "{name}", "filename": "{name}"}}}}"#
        ))?;
        vm.run(&format!(
            r#"{{"execute": "blockdev-create", "arguments": {{"job-id": "make-{name}", "options": {{"driver": "qcow2", "file": "{name}", "size": 8388608}}}}}}"#
        ))?;
        vm.wait("concluded")?;
    }
    vm.quit().map(drop)
}

fn jobs(folder: &Path) -> anyhow::Result<Vec<String>> {
    qcow2(folder, &["a.qcow2", "b.qcow2", "c.qcow2"])?;
    let mut vm = Vm::start(
        folder,
        "-M pc -m 32 -blockdev driver=qcow2,node-name=a,file.driver=file,file.filename=a.qcow2 \
         -blockdev driver=qcow2,node-name=b,file.driver=file,file.filename=b.qcow2 \
         -blockdev driver=qcow2,node-name=c,file.driver=file,file.filename=c.qcow2 \
         -device virtio-blk-pci,drive=a,id=disk",
    )?;
    let mirror = r#"{"execute": "blockdev-mirror", "arguments": {"job-id": "mirror", "device": "a", "target": "b", "sync": "full"}}"#;
    vm.run(mirror)?;
    vm.wait("BLOCK_JOB_READY")?;
    vm.run(r#"{"execute": "block-job-cancel", "arguments": {"device": "mirror", "force": true}}"#)?;
    vm.wait("BLOCK_JOB_CANCELLED")?;
    vm.wait("\"null\"")?;
    vm.run(
        r#"{"execute": "blockdev-backup", "arguments": {"job-id": "backup", "device": "a", "target": "b", "sync": "full", "auto-finalize": false, "auto-dismiss": false}}"#,
    )?;
    vm.wait("BLOCK_JOB_PENDING")?;
    vm.run(r#"{"execute": "job-finalize", "arguments": {"id": "backup"}}"#)?;
    vm.wait("BLOCK_JOB_COMPLETED")?;
    vm.wait("concluded")?;
    vm.run(r#"{"execute": "job-dismiss", "arguments": {"id": "backup"}}"#)?;
    vm.wait("\"null\"")?;
    vm.run(
        r#"{"execute": "snapshot-save", "arguments": {"job-id": "save", "tag": "one", "vmstate": "a", "devices": ["a"]}}"#,
    )?;
    vm.wait("concluded")?;
    vm.run(
        r#"{"execute": "snapshot-load", "arguments": {"job-id": "load", "tag": "one", "vmstate": "a", "devices": ["a"]}}"#,
    )?;
    vm.wait("concluded")?;
    vm.run(r#"{"execute": "block-set-write-threshold", "arguments": {"node-name": "c", "write-threshold": 1048576}}"#)?;
    monitor(&mut vm, "qemu-io c \\\"write 1M 64k\\\"")?;
    vm.wait("BLOCK_WRITE_THRESHOLD")?;
    vm.quit()
}

/// Runs a command of the human monitor.
fn monitor(vm: &mut Vm, line: &str) -> anyhow::Result<()> {
    vm.run(&format!(r#"{{"execute": "human-monitor-command", "arguments": {{"command-line": "{line}"}}}}"#)).map(drop)
}

fn disk_errors(folder: &Path) -> anyhow::Result<Vec<String>> {
    raw(folder, "one.raw")?;
    raw(folder, "two.raw")?;
    raw(folder, "three.raw")?;
    // Where there are no data, a job does not read.
    std::fs::write(folder.join("bad.raw"), vec![1; 4 << 20])?;
    qcow2(folder, &["broken.qcow2"])?;
    // The boot sector can't be read: the firmware tries, and the machine stops.
    let error = r#"{"driver": "blkdebug", "node-name": "bad", "image": {"driver": "file", "filename": "bad.raw"}, "inject-error": [{"event": "none", "iotype": "read", "errno": 5}]}"#;
    std::fs::write(folder.join("bad.json"), error)?;
    let mut vm = Vm::start(folder, "-M pc -m 32 -S -device ide-cd,id=cd,bus=ide.1")?;
    vm.run(&format!(r#"{{"execute": "blockdev-add", "arguments": {error}}}"#))?;
    vm.run(
        r#"{"execute": "blockdev-add", "arguments": {"driver": "quorum", "node-name": "quorum", "vote-threshold": 2, "children": [{"driver": "blkdebug", "node-name": "bad-one", "image": {"driver": "file", "filename": "one.raw"}, "inject-error": [{"event": "none", "iotype": "read", "errno": 5}]}, {"driver": "file", "node-name": "two", "filename": "two.raw"}, {"driver": "file", "node-name": "three", "filename": "three.raw"}]}}"#,
    )?;
    monitor(&mut vm, "qemu-io quorum \\\"read 0 4k\\\"")?;
    vm.wait("QUORUM_REPORT_BAD")?;
    // Two of three differ: no two agree.
    std::fs::write(folder.join("two.raw"), vec![1; 4 << 20])?;
    monitor(&mut vm, "qemu-io quorum \\\"read 64k 4k\\\"")?;
    vm.wait("QUORUM_FAILURE")?;
    vm.run(
        r#"{"execute": "blockdev-add", "arguments": {"driver": "null-co", "node-name": "sink", "size": 4194304, "read-zeroes": true}}"#,
    )?;
    vm.run(
        r#"{"execute": "blockdev-mirror", "arguments": {"job-id": "fails", "device": "bad", "target": "sink", "sync": "full", "on-source-error": "report"}}"#,
    )?;
    vm.wait("BLOCK_JOB_ERROR")?;
    vm.wait("BLOCK_JOB_COMPLETED")?;
    vm.run(
        r#"{"execute": "blockdev-add", "arguments": {"driver": "qcow2", "node-name": "broken", "file": {"driver": "file", "filename": "broken.qcow2"}}}"#,
    )?;
    monitor(&mut vm, "qemu-io broken \\\"write 0 64k\\\"")?;
    vm.run(r#"{"execute": "blockdev-del", "arguments": {"node-name": "broken"}}"#)?;
    corrupt(&folder.join("broken.qcow2"))?;
    vm.run(
        r#"{"execute": "blockdev-add", "arguments": {"driver": "qcow2", "node-name": "broken", "file": {"driver": "file", "filename": "broken.qcow2"}}}"#,
    )?;
    monitor(&mut vm, "qemu-io broken \\\"read 0 64k\\\"")?;
    vm.wait("BLOCK_IMAGE_CORRUPTED")?;
    let mut lines = vm.quit()?;
    for action in ["stop", "report"] {
        let mut vm = Vm::start(
            folder,
            &format!(
                "-M pc -m 32 -blockdev driver=blkdebug,node-name=bad,image.driver=file,image.filename=bad.raw,\
                 inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.errno=5 \
                 -device ide-hd,drive=bad,id=disk,rerror={action},bootindex=0"
            ),
        )?;
        vm.wait("BLOCK_IO_ERROR")?;
        lines.extend(vm.quit()?);
    }
    Ok(lines)
}

/// Makes the first second-level table's first entry point where no cluster can be.
fn corrupt(image: &Path) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(image)?;
    let number =
        |bytes: &[u8], at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    let first_level = usize::try_from(number(&bytes, 40).context("an image has a header")?)?;
    let entry = number(&bytes, first_level).context("an image has a first-level table")?;
    let second_level = usize::try_from(entry & 0x00ff_ffff_ffff_fe00)?;
    let entry = bytes.get_mut(second_level..second_level + 8).context("an image has a second-level table")?;
    entry.copy_from_slice(&0x8000_0000_0000_1200_u64.to_be_bytes());
    Ok(std::fs::write(image, bytes)?)
}

fn exports_and_trays(folder: &Path) -> anyhow::Result<Vec<String>> {
    raw(folder, "cd.raw")?;
    let mut vm = Vm::start(
        folder,
        "-M pc -m 32 -blockdev driver=file,node-name=cd0,filename=cd.raw,read-only=on -device ide-cd,drive=cd0,id=cd \
         -blockdev driver=null-co,node-name=nothing,size=1048576",
    )?;
    vm.run(r#"{"execute": "blockdev-open-tray", "arguments": {"id": "cd"}}"#)?;
    vm.run(r#"{"execute": "blockdev-close-tray", "arguments": {"id": "cd"}}"#)?;
    vm.run(r#"{"execute": "nbd-server-start", "arguments": {"addr": {"type": "unix", "data": {"path": "nbd"}}}}"#)?;
    vm.run(r#"{"execute": "block-export-add", "arguments": {"type": "nbd", "id": "export", "node-name": "nothing"}}"#)?;
    vm.run(r#"{"execute": "block-export-del", "arguments": {"id": "export"}}"#)?;
    vm.wait("BLOCK_EXPORT_DELETED")?;
    vm.quit()
}

fn migration(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut vm = Vm::start(folder, "-M pc -m 32")?;
    let events = r#"{"execute": "migrate-set-capabilities", "arguments": {"capabilities": [{"capability": "events", "state": true}]}}"#;
    vm.run(events)?;
    vm.run(r#"{"execute": "migrate", "arguments": {"uri": "exec:cat >/dev/null"}}"#)?;
    vm.wait("\"completed\"")?;
    let mut lines = vm.quit()?;
    let mut vm = Vm::start(folder, "-M pc -m 32")?;
    vm.run(events)?;
    vm.run(r#"{"execute": "migrate-set-parameters", "arguments": {"max-bandwidth": 4096}}"#)?;
    vm.run(r#"{"execute": "migrate", "arguments": {"uri": "exec:cat >/dev/null"}}"#)?;
    vm.wait("\"active\"")?;
    vm.execute("migrate_cancel")?;
    vm.wait("\"cancelled\"")?;
    vm.run(r#"{"execute": "migrate", "arguments": {"uri": "exec:exit 1"}}"#)?;
    vm.wait("\"failed\"")?;
    lines.extend(vm.quit()?);
    Ok(lines)
}

fn network(folder: &Path) -> anyhow::Result<Vec<String>> {
    let tcp = TcpListener::bind(("127.0.0.1", 0))?;
    let path = folder.join("peer");
    let _ = std::fs::remove_file(&path);
    let unix = UnixListener::bind(&path)?;
    let mut vm = Vm::start(folder, "-M pc -m 32 -device e1000,id=card")?;
    let port = tcp.local_addr()?.port();
    vm.run(&format!(
        r#"{{"execute": "netdev_add", "arguments": {{"type": "stream", "id": "net0", "server": false, "addr": {{"type": "inet", "host": "127.0.0.1", "port": "{port}"}}}}}}"#
    ))?;
    let peer = tcp.accept()?;
    vm.wait("NETDEV_STREAM_CONNECTED")?;
    drop(peer);
    vm.wait("NETDEV_STREAM_DISCONNECTED")?;
    vm.run(
        r#"{"execute": "netdev_add", "arguments": {"type": "stream", "id": "net1", "server": false, "addr": {"type": "unix", "path": "peer"}}}"#,
    )?;
    let peer = unix.accept()?;
    vm.wait("NETDEV_STREAM_CONNECTED")?;
    drop(peer);
    vm.wait("NETDEV_STREAM_DISCONNECTED")?;
    vm.quit()
}

/// A VNC client by hand: version, no authentication, shared.
fn vnc(folder: &Path) -> anyhow::Result<Vec<String>> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let Some(display) = port.checked_sub(5900) else { anyhow::bail!("port {port} is no VNC display") };
    let mut vm = Vm::start(folder, &format!("-M pc -m 32 -vga std -vnc 127.0.0.1:{display}"))?;
    let mut client = TcpStream::connect(("127.0.0.1", port))?;
    let mut buffer = [0; 64];
    client.read_exact(&mut buffer[..12])?;
    client.write_all(b"RFB 003.008\n")?;
    client.read_exact(&mut buffer[..2])?;
    client.write_all(&[1])?;
    client.read_exact(&mut buffer[..4])?;
    client.write_all(&[1])?;
    vm.wait("VNC_INITIALIZED")?;
    drop(client);
    vm.wait("VNC_DISCONNECTED")?;
    vm.quit()
}

/// Connections that come to nothing; channels are in the captures of spice-testkit.
fn spice(folder: &Path) -> anyhow::Result<Vec<String>> {
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut vm = Vm::start(folder, &format!("-M pc -m 32 -spice port={port},addr=127.0.0.1,disable-ticketing=on"))?;
    drop(TcpStream::connect(("127.0.0.1", port))?);
    vm.wait("SPICE_DISCONNECTED")?;
    vm.run(
        r#"{"execute": "client_migrate_info", "arguments": {"protocol": "spice", "hostname": "127.0.0.1", "port": 1}}"#,
    )?;
    vm.run(r#"{"execute": "migrate", "arguments": {"uri": "exec:cat >/dev/null"}}"#)?;
    vm.wait("SPICE_MIGRATE_COMPLETED")?;
    vm.quit()
}
