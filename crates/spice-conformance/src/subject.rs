use std::{
    collections::HashSet,
    io::{self, Write as _},
};

use spice_link::{
    ChannelType, CommonCap, HeaderKind, LinkErrorCode,
    websocket::{UpgradeRequest, is_switching},
};

use crate::{
    Carrier, ClientStream, Error, Mess, Received,
    digest_md5::{self, Protection},
    target::Target,
    websocket::read_head,
    wire::{Wire, field, word},
};

/// A server under test, and what the cases need to know of it.
///
/// The `with_…` methods describe the configuration of the server. [`survey`](Self::survey) asks the server for the rest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject {
    /// The server.
    pub target: Target,
    /// The password. `None`: the server asks for none, and accepts any ticket.
    pub password: Option<String>,
    /// The SASL user that has this password.
    pub user: Option<String>,
    /// The type of a channel that the server offers inside TLS only.
    pub secured: Option<ChannelType>,
    /// The type of a channel that the server offers without TLS only.
    pub unsecured: Option<ChannelType>,
    /// The list of mechanisms that a server sends if it requires SASL. `None`: it takes tickets.
    pub mechanisms: Option<Vec<u8>>,
    /// A channel that cases join to a session.
    pub other: Option<(ChannelType, u8)>,
    /// A cursor channel, which spice-server serves in another thread than most channels.
    pub cursor: Option<(ChannelType, u8)>,
    /// Whether the server upgrades to WebSocket. `None`: not known.
    pub has_websocket: Option<bool>,
    /// Why the survey could not open a session, in words: cases that need one will fail.
    pub no_session: Option<String>,
}

/// The channels that cases join: the first of these that the server lists.
///
/// No display: a client that links to one and sends nothing makes spice-server wait for half a minute, and spice-server may crash
/// when such a client leaves.
const JOINED: [ChannelType; 5] =
    [ChannelType::INPUTS, ChannelType::PLAYBACK, ChannelType::RECORD, ChannelType::USBREDIR, ChannelType::WEBDAV];

/// Message types of the main channel (spice-protocol, enums.h): the client's request, and the server's answer.
const ATTACH_CHANNELS: u8 = 104;
const CHANNELS_LIST: u16 = 104;

/// Bits of the first word of the common capabilities.
pub(crate) const SELECTION_BIT: u32 = 1 << CommonCap::AUTH_SELECTION.0;
pub(crate) const SASL_BIT: u32 = 1 << CommonCap::AUTH_SASL.0;
pub(crate) const MINI_HEADER_BIT: u32 = 1 << CommonCap::MINI_HEADER.0;

impl Subject {
    /// A server that takes any ticket, and has no channel but main as far as is known.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            password: None,
            user: None,
            secured: None,
            unsecured: None,
            mechanisms: None,
            other: None,
            cursor: None,
            has_websocket: None,
            no_session: None,
        }
    }

    /// The server requires this password.
    #[must_use]
    pub fn with_password(self, password: impl Into<String>) -> Self {
        Self { password: Some(password.into()), ..self }
    }

    /// The password is that of this SASL user.
    #[must_use]
    pub fn with_user(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// The server offers channels of this type inside TLS only.
    #[must_use]
    pub fn with_secured(self, channel_type: ChannelType) -> Self {
        Self { secured: Some(channel_type), ..self }
    }

    /// The server offers channels of this type without TLS only.
    #[must_use]
    pub fn with_unsecured(self, channel_type: ChannelType) -> Self {
        Self { unsecured: Some(channel_type), ..self }
    }

    /// The server requires SASL and sends this list of mechanisms, for example `,DIGEST-MD5,`.
    #[must_use]
    pub fn with_mechanisms(self, list: impl Into<Vec<u8>>) -> Self {
        Self { mechanisms: Some(list.into()), ..self }
    }

    /// The server has these channels beside main.
    #[must_use]
    pub fn with_channels(self, channels: &[(ChannelType, u8)]) -> Self {
        let other = JOINED.into_iter().map(|kind| (kind, 0)).find(|channel| channels.contains(channel));
        let cursor = Some((ChannelType::CURSOR, 0)).filter(|channel| channels.contains(channel));
        Self { other, cursor, ..self }
    }

    /// Asks the server whether it has WebSocket, whether it requires SASL, and which channels it has. It makes up to three connections
    /// and opens a session, which ends the session of a client that is connected.
    ///
    /// # Errors
    /// If there is no connection. A server that does not open a session is no error: see [`no_session`](Self::no_session).
    pub fn survey(mut self) -> Result<Self, Error> {
        self.has_websocket = match self.target.carrier {
            Carrier::WebSocket => Some(true),
            _ => Some(upgrades(self.target.connect()?).unwrap_or(false)),
        };
        let mut wire = self.connect()?;
        wire.send(&Mess { common: vec![SELECTION_BIT | SASL_BIT | MINI_HEADER_BIT], ..Mess::default() }.bytes())?;
        wire.read_reply()?;
        if word(wire.reply(), COMMON_COUNT) > 0 && word(wire.reply(), FIRST_WORD) & SASL_BIT != 0 {
            wire.send(&2u32.to_le_bytes())?;
            let list = wire.read_mechanism_list()?;
            return Ok(self.with_mechanisms(list));
        }
        drop(wire);
        let mut main = self.link(&Mess::default())?;
        if main.main_init().is_none() {
            return Ok(Self { no_session: Some(Received::join(main.received())), ..self });
        }
        main.send(&[ATTACH_CHANNELS, 0, 0, 0, 0, 0])?;
        // A count, then a type and an id for each channel.
        let list = main.read_message(CHANNELS_LIST)?.unwrap_or_default();
        let channels: HashSet<_> =
            list.get(4..).unwrap_or_default().chunks_exact(2).map(|pair| (ChannelType(pair[0]), pair[1])).collect();
        Ok(self.with_channels(&channels.into_iter().collect::<Vec<_>>()))
    }

    /// Whether the server refuses the credentials, and what it answers then. SASL is tried with PLAIN or DIGEST-MD5, where one is offered;
    /// without a user, it is refused.
    ///
    /// # Errors
    /// If there is no connection.
    pub fn refused_credentials(&self) -> Result<Option<String>, Error> {
        if !self.requires_sasl() {
            let is_refused = |seen: &&String| seen.starts_with("reply 0, result 7");
            return Ok(self.no_session.as_ref().filter(is_refused).cloned());
        }
        let Some(user) = &self.user else { return Ok(Some("a list of mechanisms".to_owned())) };
        let mut wire = self.connect()?;
        wire.send(&Mess { common: vec![SELECTION_BIT | SASL_BIT | MINI_HEADER_BIT], ..Mess::default() }.bytes())?;
        wire.read_reply()?;
        wire.send(&2u32.to_le_bytes())?;
        wire.read_mechanism_list()?;
        let password = self.password().unwrap_or_default();
        if self.offers(b"PLAIN") {
            let data = format!("\0{user}\0{password}\0");
            wire.send(&[field(b"PLAIN"), field(data.as_bytes())].concat())?;
        } else if self.offers(b"DIGEST-MD5") {
            wire.send(&[field(b"DIGEST-MD5"), field(b"")].concat())?;
            let challenge = wire.read_sasl_answer()?;
            let protection = match self.target.carrier {
                // Inside TLS, another protection is agreed on.
                Carrier::Tls => return Ok(None),
                _ => Protection::Confidentiality,
            };
            let response = digest_md5::respond(&challenge, user, password, protection);
            wire.send(&field(&response.unwrap_or_default()))?;
        } else {
            return Ok(None);
        }
        wire.read_sasl_answer()?;
        let is_refused = matches!(wire.received().last(), Some(Received::End | Received::SaslRefused));
        Ok(is_refused.then(|| Received::join(wire.received())))
    }

    /// Links with this message and the password: up to the result, and to `MAIN_INIT` for a new session. What the server answered is
    /// in [`Wire::received`].
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn link(&self, mess: &Mess) -> Result<Wire, Error> {
        let mut wire = self.connect()?;
        self.link_over(&mut wire, mess)?;
        Ok(wire)
    }

    /// The same on a new connection that exists.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn link_over(&self, wire: &mut Wire, mess: &Mess) -> io::Result<()> {
        link(wire, mess, &self.ticket())
    }

    /// Whether the server requires SASL.
    pub fn requires_sasl(&self) -> bool {
        self.mechanisms.is_some()
    }

    /// Whether the server offers this mechanism.
    pub(crate) fn offers(&self, mechanism: &[u8]) -> bool {
        self.mechanisms.iter().flat_map(|list| list.split(|byte| *byte == b',')).any(|name| name == mechanism)
    }

    /// The password and its NUL: what a good ticket holds.
    pub(crate) fn ticket(&self) -> Vec<u8> {
        [self.password().unwrap_or("any").as_bytes(), b"\0"].concat()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(crate) fn connect(&self) -> Result<Wire, Error> {
        Wire::connect(&self.target)
    }

    /// Plays the whole link stage with a ticket of these bytes, up to the session or the end.
    pub(crate) fn link_with(&self, mess: &Mess, plain: &[u8]) -> io::Result<Wire> {
        let mut wire = self.connect()?;
        link(&mut wire, mess, plain)?;
        Ok(wire)
    }
}

/// Whether the server answers an upgrade request with 101.
fn upgrades(mut stream: ClientStream) -> io::Result<bool> {
    let request = UpgradeRequest { host: "localhost", key: *b"the sample nonce" };
    let mut out = [0; 256];
    let len = request.encode(&mut out).unwrap_or(0);
    stream.write_all(&out[..len])?;
    stream.flush()?;
    Ok(is_switching(&read_head(&mut stream)?))
}

fn link(wire: &mut Wire, mess: &Mess, plain: &[u8]) -> io::Result<()> {
    wire.send(&mess.bytes())?;
    wire.read_reply()?;
    if *wire.received() != [Received::Reply(LinkErrorCode::OK)] {
        return Ok(());
    }
    let ticket = wire.seal(plain);
    let selects = mess.common.first().is_some_and(|word| word & SELECTION_BIT != 0);
    let mechanism: &[u8] = if selects { &[1, 0, 0, 0] } else { &[] };
    wire.send(&[mechanism, &ticket].concat())?;
    conclude(wire, mess)
}

/// Reads what follows the credentials: the result, then `MAIN_INIT` or the end.
pub(crate) fn conclude(wire: &mut Wire, mess: &Mess) -> io::Result<()> {
    wire.read_result()?;
    if wire.received().last() != Some(&Received::Result(LinkErrorCode::OK)) {
        return wire.read_end();
    }
    if mess.channel_type == ChannelType::MAIN.0 && mess.connection_id == 0 {
        let is_mini = mess.common.first().is_some_and(|word| word & MINI_HEADER_BIT != 0);
        wire.read_main_init(if is_mini { HeaderKind::Mini } else { HeaderKind::Full })?;
    }
    Ok(())
}

/// A channel id that no server has.
pub(crate) const ABSENT: u8 = 200;

/// Offsets in a link reply, header included: the length of the common list, and its first word where spice-server puts it.
pub(crate) const COMMON_COUNT: usize = 182;
pub(crate) const FIRST_WORD: usize = 194;
