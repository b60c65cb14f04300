//! Messages and descriptors between two processes, over a unix socket.
//!
//! A message is the length of its JSON text and the number of its descriptors (32 bits each, little-endian), the text, and a byte for
//! each group of descriptors (`SCM_RIGHTS`, unix(7)). JSON, because the two processes are of different versions: a reader skips members that it does not
//! know, and a missing one has a default.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// Bytes of a message: the state of 100,000 connections, each with a session of its own, has some 200 MB.
const MAX_MESSAGE: usize = 1 << 30;

/// Descriptors of a message: a listener has one, and a machine has 65536 ports.
const MAX_DESCRIPTORS: usize = 1 << 16;

/// Descriptors of one group. Linux takes 253 at once (`SCM_MAX_FD`).
const GROUP: usize = 128;

/// The other process.
#[derive(Debug)]
pub(super) struct Peer(UnixStream);

impl Peer {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// Another handle of the same socket.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Sets how long each read and each write may wait.
    pub(super) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(patience)?;
        self.0.set_write_timeout(patience)
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        // A message may have bytes of a link stage.
        let text = Zeroizing::new(serde_json::to_vec(message)?);
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "the message is too long");
        let length = u32::try_from(text.len()).map_err(too_long)?;
        let count = u32::try_from(descriptors.len()).map_err(too_long)?;
        let mut header = [0; 8];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&count.to_le_bytes());
        (&self.0).write_all(&header)?;
        (&self.0).write_all(&text)?;
        for group in descriptors.chunks(GROUP) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(GROUP))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(group));
            sendmsg(&self.0, &[IoSlice::new(b"+")], &mut ancillary, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Receives a message. `None`: the other process has ended.
    pub(super) fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let mut header = [0; 8];
        if (&self.0).read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        (&self.0).read_exact(&mut header[1..])?;
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        let (length, count) = (number(0), number(4));
        if length > MAX_MESSAGE || count > MAX_DESCRIPTORS {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
        }
        // Grows with what comes, and not with what is announced.
        let mut text = Zeroizing::new(Vec::new());
        (&self.0).take(length as u64).read_to_end(&mut text)?;
        if text.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors = Vec::new();
        while descriptors.len() < count {
            let before = descriptors.len();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(GROUP))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    descriptors.extend(received);
                }
            }
            if descriptors.len() == before {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "expected descriptors, found none"));
            }
        }
        Ok(Some((serde_json::from_slice(&text)?, descriptors)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::fd::AsFd as _};

    #[test]
    fn messages_come_with_their_descriptors_and_in_order() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, other) = (Peer::new(one), Peer::new(other));
        let file = File::open("/dev/null").unwrap();
        for count in [0, 1, GROUP, GROUP + 1] {
            one.send(&vec![count; 3], &vec![file.as_fd(); count]).unwrap();
            one.send(&"next", &[]).unwrap();
            let (message, descriptors) = other.receive::<Vec<usize>>().unwrap().unwrap();
            assert_eq!((message, descriptors.len()), (vec![count; 3], count));
            assert_eq!(other.receive::<String>().unwrap().unwrap().0, "next");
        }
        drop(one);
        assert!(other.receive::<String>().unwrap().is_none());
    }

    #[test]
    fn wrong_messages_are_errors() {
        let text = |text: &str, length: u32, count: u32| {
            [&length.to_le_bytes(), &count.to_le_bytes(), text.as_bytes()].concat()
        };
        for wrong in [
            text("", u32::MAX, 0),
            text("1", 1, u32::MAX),
            text("{", 1, 0),
            text("1", 9, 0),
            // A byte without descriptors.
            text("1+", 1, 1),
            vec![1, 0],
        ] {
            let (one, other) = UnixStream::pair().unwrap();
            (&one).write_all(&wrong).unwrap();
            drop(one);
            assert!(Peer::new(other).receive::<u32>().is_err(), "{wrong:?}");
        }
    }
}
