//! The kernel's filter: a classic BPF program that passes on only packets which can be of interest.

use socket2::SockFilter;

// Instruction codes and the offsets of what Linux adds to a packet: linux/bpf_common.h, linux/filter.h.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDEXED: u16 = 0x48;
/// The length of an IPv4 header into the index register.
const LOAD_IPV4_LENGTH: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;
const KERNEL: u32 = 0xffff_f000;
const PROTOCOL: u32 = KERNEL;
const PACKET_TYPE: u32 = KERNEL + 4;
const INTERFACE: u32 = KERNEL + 8;
const HARDWARE: u32 = KERNEL + 28;

/// `PACKET_OUTGOING`: linux/if_packet.h
const OUTGOING: u32 = 4;
/// `ARPHRD_LOOPBACK`: linux/if_arp.h
const LOOPBACK: u32 = 772;
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TCP: u32 = 6;

/// Ports, and interfaces, that a filter compares: a jump of classic BPF reaches 255 instructions.
pub(super) const MAX_NAMES: usize = 32;

/// An instruction: its code, how many instructions to skip if a comparison holds and if it does not, and its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    operand: u32,
}

impl From<Instruction> for SockFilter {
    fn from(Instruction { code, yes, no, operand }: Instruction) -> Self {
        Self::new(code, yes, no, operand)
    }
}

/// Where a jump goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    Pass,
    Drop,
    Label(usize),
}

/// A program whose jumps have names until they are numbers.
#[derive(Default)]
struct Program {
    instructions: Vec<(u16, u32, To, To)>,
    /// For each label, the instruction that it stands before.
    labels: Vec<usize>,
}

/// Drops every packet: for the time until the real filter is there.
pub(super) const NOTHING: [Instruction; 1] = [Instruction { code: RETURN, yes: 0, no: 0, operand: 0 }];

/// For a socket whose packets begin with the network header (`SOCK_DGRAM`).
///
/// It drops the second copy of each packet on a loopback interface, which is there once as sent and once as received. With `interfaces`
/// (their numbers) it drops the packets of all others. With `ports` it drops TCP and UDP packets that are not TCP of one of them; but
/// fragments, IPv6 with extension headers, and whatever is not plain IP passes, because it may have such a packet inside.
pub(super) fn packets(interfaces: &[u32], ports: &[u16]) -> Vec<Instruction> {
    let mut program = Program::default();
    let rest = program.label();
    program.load(LOAD_WORD, HARDWARE);
    program.jump(JUMP_EQUAL, LOOPBACK, To::Next, To::Label(rest));
    program.load(LOAD_WORD, PACKET_TYPE);
    program.jump(JUMP_EQUAL, OUTGOING, To::Drop, To::Next);
    program.place(rest);
    if !interfaces.is_empty() {
        let ports = program.label();
        program.load(LOAD_WORD, INTERFACE);
        for interface in interfaces {
            program.jump(JUMP_EQUAL, *interface, To::Label(ports), To::Next);
        }
        program.instructions.push((RETURN, 0, To::Next, To::Next));
        program.place(ports);
    }
    if !ports.is_empty() {
        program.ports(ports);
    }
    program.finish()
}

impl Program {
    fn label(&mut self) -> usize {
        self.labels.push(0);
        self.labels.len() - 1
    }

    fn place(&mut self, label: usize) {
        self.labels[label] = self.instructions.len();
    }

    fn load(&mut self, code: u16, from: u32) {
        self.instructions.push((code, from, To::Next, To::Next));
    }

    fn jump(&mut self, code: u16, value: u32, yes: To, no: To) {
        self.instructions.push((code, value, yes, no));
    }

    fn ports(&mut self, ports: &[u16]) {
        let (ipv4, ipv6) = (self.label(), self.label());
        self.load(LOAD_WORD, PROTOCOL);
        self.jump(JUMP_EQUAL, IPV4, To::Label(ipv4), To::Next);
        self.jump(JUMP_EQUAL, IPV6, To::Label(ipv6), To::Pass);
        self.place(ipv4);
        // reserved 1 bit + don't fragment 1 + more fragments 1 + offset 13
        self.load(LOAD_HALF, 6);
        self.jump(JUMP_SET, 0x3fff, To::Pass, To::Next);
        self.load(LOAD_BYTE, 9);
        self.transport();
        self.load(LOAD_IPV4_LENGTH, 0);
        for offset in [0, 2] {
            self.load(LOAD_HALF_INDEXED, offset);
            self.any(ports);
        }
        self.instructions.push((RETURN, 0, To::Next, To::Next));
        self.place(ipv6);
        self.load(LOAD_BYTE, 6);
        self.transport();
        for offset in [40, 42] {
            self.load(LOAD_HALF, offset);
            self.any(ports);
        }
        self.instructions.push((RETURN, 0, To::Next, To::Next));
    }

    /// TCP goes on to its ports. Other protocols than UDP and ICMP may carry TCP.
    fn transport(&mut self) {
        const UDP: u32 = 17;
        const ICMP: u32 = 1;
        const ICMP6: u32 = 58;
        let tcp = self.label();
        self.jump(JUMP_EQUAL, TCP, To::Label(tcp), To::Next);
        for other in [UDP, ICMP] {
            self.jump(JUMP_EQUAL, other, To::Drop, To::Next);
        }
        self.jump(JUMP_EQUAL, ICMP6, To::Drop, To::Pass);
        self.place(tcp);
    }

    fn any(&mut self, ports: &[u16]) {
        for port in ports {
            self.jump(JUMP_EQUAL, u32::from(*port), To::Pass, To::Next);
        }
    }

    /// Two returns stand at the end: pass, then drop.
    fn finish(self) -> Vec<Instruction> {
        let pass = self.instructions.len();
        let (labels, count) = (self.labels, pass);
        let target = |at: usize, to: To| {
            let to = match to {
                To::Next => at + 1,
                To::Pass => count,
                To::Drop => count + 1,
                To::Label(label) => labels[label],
            };
            // MAX_NAMES keeps every jump short.
            u8::try_from(to - at - 1).unwrap_or(u8::MAX)
        };
        let jumps = |code: u16| code == JUMP_EQUAL || code == JUMP_SET;
        let mut program: Vec<_> = self
            .instructions
            .into_iter()
            .enumerate()
            .map(|(at, (code, operand, yes, no))| {
                let (yes, no) = if jumps(code) { (target(at, yes), target(at, no)) } else { (0, 0) };
                Instruction { code, yes, no, operand }
            })
            .collect();
        program.extend([u32::MAX, 0].map(|operand| Instruction { code: RETURN, yes: 0, no: 0, operand }));
        program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet as the kernel shows it to a filter.
    struct Shown<'a> {
        hardware: u32,
        kind: u32,
        interface: u32,
        protocol: u32,
        data: &'a [u8],
    }

    /// What the kernel does with a program; a load behind the packet's end drops it.
    fn passes(program: &[Instruction], packet: &Shown<'_>) -> bool {
        let (mut a, mut x, mut at) = (0, 0, 0);
        let byte = |at: u32| packet.data.get(at as usize).copied().map(u32::from);
        loop {
            let Instruction { code, yes, no, operand } = program[at];
            at += 1;
            let loaded = match (code, operand) {
                (RETURN, _) => return operand > 0,
                (JUMP_EQUAL, _) => {
                    at += usize::from(if a == operand { yes } else { no });
                    continue;
                }
                (JUMP_SET, _) => {
                    at += usize::from(if a & operand == 0 { no } else { yes });
                    continue;
                }
                (LOAD_WORD, PROTOCOL) => Some(packet.protocol),
                (LOAD_WORD, PACKET_TYPE) => Some(packet.kind),
                (LOAD_WORD, INTERFACE) => Some(packet.interface),
                (LOAD_WORD, HARDWARE) => Some(packet.hardware),
                (LOAD_BYTE, _) => byte(operand),
                (LOAD_HALF, _) => byte(operand).zip(byte(operand + 1)).map(|(high, low)| high << 8 | low),
                (LOAD_HALF_INDEXED, _) => {
                    byte(x + operand).zip(byte(x + operand + 1)).map(|(high, low)| high << 8 | low)
                }
                (LOAD_IPV4_LENGTH, _) => {
                    let Some(first) = byte(operand) else { return false };
                    x = (first & 15) * 4;
                    continue;
                }
                _ => panic!("{code:#x} is no instruction of ours"),
            };
            match loaded {
                Some(value) => a = value,
                None => return false,
            }
        }
    }

    fn ethernet(protocol: u32, data: &[u8]) -> Shown<'_> {
        Shown { hardware: 1, kind: 0, interface: 2, protocol, data }
    }

    /// An IPv4 header of this length, and the ports.
    fn ipv4(words: u8, protocol: u8, fragment: u8, from: u16, to: u16) -> Vec<u8> {
        let mut packet = vec![0; usize::from(words) * 4];
        (packet[0], packet[7], packet[9]) = (0x40 | words, fragment, protocol);
        packet.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
        packet
    }

    fn ipv6(next: u8, from: u16, to: u16) -> Vec<u8> {
        let mut packet = vec![0; 40];
        (packet[0], packet[6]) = (0x60, next);
        packet.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
        packet
    }

    #[test]
    fn ports_are_compared_in_both_families() {
        let most: Vec<u16> = (5900..5900 + u16::try_from(MAX_NAMES).unwrap()).collect();
        for ports in [&most[..1], &most[..2], &most] {
            let program = packets(&[], ports);
            let (first, last) = (ports[0], *ports.last().unwrap());
            for (protocol, packet, expected) in [
                (IPV4, ipv4(5, 6, 0, 40_000, first), true),
                (IPV4, ipv4(5, 6, 0, last, 40_000), true),
                (IPV4, ipv4(15, 6, 0, 40_000, last), true),
                (IPV4, ipv4(5, 6, 0, 40_000, 22), false),
                (IPV4, ipv4(5, 17, 0, 40_000, first), false),
                (IPV4, ipv4(5, 6, 1, 0, 0), true),
                (IPV4, ipv4(5, 47, 0, 0, 0), true),
                (IPV6, ipv6(6, 40_000, last), true),
                (IPV6, ipv6(6, first, 40_000), true),
                (IPV6, ipv6(6, 40_000, 22), false),
                (IPV6, ipv6(58, first, first), false),
                (IPV6, ipv6(44, 0, 0), true),
                (0x8847, vec![], true),
                (IPV4, vec![0x45], false),
            ] {
                let passed = passes(&program, &ethernet(protocol, &packet));
                assert_eq!(passed, expected, "{} ports, {protocol:#x} {packet:x?}", ports.len());
            }
        }
    }

    #[test]
    fn loopback_packets_pass_once() {
        let packet = ipv4(5, 6, 0, 1, 2);
        let program = packets(&[], &[]);
        for (hardware, kind, expected) in
            [(LOOPBACK, OUTGOING, false), (LOOPBACK, 0, true), (1, OUTGOING, true), (1, 0, true)]
        {
            let shown = Shown { hardware, kind, interface: 1, protocol: IPV4, data: &packet };
            assert_eq!(passes(&program, &shown), expected);
        }
    }

    #[test]
    fn other_interfaces_are_left_out() {
        let packet = ipv4(5, 6, 0, 1, 5900);
        let most: Vec<u32> = (2..2 + u32::try_from(MAX_NAMES).unwrap()).collect();
        for (interfaces, expected) in [(&most[..], true), (&most[1..], false), (&most[..1], true)] {
            for ports in [&[][..], &[5900]] {
                assert_eq!(passes(&packets(interfaces, ports), &ethernet(IPV4, &packet)), expected);
            }
        }
        assert!(!passes(&NOTHING, &ethernet(IPV4, &packet)));
    }
}
