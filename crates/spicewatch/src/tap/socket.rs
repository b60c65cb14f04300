//! A packet socket: each packet behind the header of a Linux cooked capture (version 2), with the kernel's time.

use super::filter::{self, Instruction};
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
        socket, sockopt,
    },
    sys::time::TimeSpec,
};
use socket2::{SockFilter, Socket};
use spice_capture::{file::Packet, link::LinkType};
use spice_events::Timestamp;
use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::SystemTime,
};

/// Bytes of a packet that are copied from the kernel. Link stages come in small packets, and of large ones after it only the headers count.
const SNAPLEN: usize = 1 << 14;
/// protocol 2 + reserved 2 + interface 4 + hardware 2 + packet type 1 + address length 1 + address 8: LINKTYPE_LINUX_SLL2
const HEADER: usize = 20;
/// `LINKTYPE_LINUX_SLL2`
const LINUX_SLL2: LinkType = LinkType::LINUX_SLL2;

/// Receives packets of all interfaces, or of some.
pub(super) struct PacketSocket {
    socket: Socket,
    buffer: Box<[u8]>,
    control: Vec<u8>,
    /// The kernel's count of packets that it had no room for.
    dropped: u32,
}

/// A packet, and how many were lost before it.
pub(super) struct Received<'a> {
    pub(super) packet: Packet<'a>,
    pub(super) dropped: u32,
}

impl PacketSocket {
    /// Opens it; nothing that the filter drops comes out of it. `CAP_NET_RAW` is needed.
    pub(super) fn open(program: &[Instruction], buffer: usize) -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
        let socket = Socket::from(fd);
        attach(&socket, &filter::NOTHING)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        // Above the system's limit (net.core.rmem_max) only with CAP_NET_ADMIN.
        if setsockopt(&socket, sockopt::RcvBufForce, &buffer).is_err() {
            socket.set_recv_buffer_size(buffer)?;
        }
        let control = cmsg_space!(TimeSpec, u32);
        let mut opened = Self { socket, buffer: vec![0; HEADER + SNAPLEN].into(), control, dropped: 0 };
        // What came before the first filter.
        while opened.receive()?.is_some() {}
        attach(&opened.socket, program)?;
        Ok(opened)
    }

    /// The size of the kernel's buffer, in bytes, as far as packets count against it.
    pub(super) fn buffer_size(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// The next packet; `None` where none has come.
    pub(super) fn receive(&mut self) -> io::Result<Option<Received<'_>>> {
        let Self { socket, buffer, control, dropped } = self;
        let (header, data) = buffer.split_at_mut(HEADER);
        let (len, address, at, lost) = loop {
            let mut into = [IoSliceMut::new(data)];
            match recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut into, Some(control), MsgFlags::MSG_TRUNC) {
                Ok(message) => {
                    let (mut at, mut lost) = (None, *dropped);
                    for control in message.cmsgs()? {
                        match control {
                            ControlMessageOwned::ScmTimestampns(time) => at = Some(time),
                            ControlMessageOwned::RxqOvfl(count) => lost = count,
                            _ => {}
                        }
                    }
                    break (message.bytes, message.address, at, lost);
                }
                Err(Errno::EAGAIN) => return Ok(None),
                // An interface went down: the others go on.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let interface = address.map_or(0, |address| address.ifindex());
        let interface = u32::try_from(interface).unwrap_or_default();
        // The kernel has the protocol in network byte order already.
        let protocol = address.map_or(0, |address| address.protocol()).to_ne_bytes();
        let hardware = address.map_or(0, |address| address.hatype()).to_be_bytes();
        header[..2].copy_from_slice(&protocol);
        header[4..8].copy_from_slice(&interface.to_be_bytes());
        header[8..10].copy_from_slice(&hardware);
        header[10] = address.map_or(0, |address| address.pkttype());
        let before = std::mem::replace(dropped, lost);
        let kept = HEADER + len.min(data.len());
        let packet = Packet {
            at: at.map_or_else(now, |at| timestamp(at.tv_sec(), at.tv_nsec())),
            interface,
            link: LINUX_SLL2,
            data: &buffer[..kept],
            captured: length(kept),
            wire_len: length(HEADER + len),
        };
        Ok(Some(Received { packet, dropped: lost.wrapping_sub(before) }))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn attach(socket: &Socket, program: &[Instruction]) -> io::Result<()> {
    let program: Vec<SockFilter> = program.iter().copied().map(SockFilter::from).collect();
    socket.attach_filter(&program)
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn timestamp(seconds: i64, nanoseconds: i64) -> Timestamp {
    Timestamp { seconds, microseconds: nanoseconds / 1000 }
}

/// For a packet without the kernel's time.
fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    timestamp(i64::try_from(now.as_secs()).unwrap_or(i64::MAX), now.subsec_nanos().into())
}
