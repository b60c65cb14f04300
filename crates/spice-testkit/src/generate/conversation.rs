use arbitrary::{Arbitrary, Result, Unstructured};
use spice_link::{AuthMechanism, Evidence, HeaderKind, LinkErrorCode, RefusalForm, Side};

use super::{Mess, Reply, SaslExchange, near, rarely};
use spice_conformance::{Judgement, judge};

use crate::link_events::OwnedLinkEvent;

/// What one side sends before the other answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who.
    pub from: Side,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A whole link stage of both sides, in turns, with a few data messages behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// In the order of cause and effect.
    pub turns: Vec<Turn>,
    /// The events that an observer has to report. `None`: the turns were changed afterwards.
    pub events: Option<Vec<OwnedLinkEvent>>,
}

impl Conversation {
    /// One direction's bytes.
    pub fn stream(&self, side: Side) -> Vec<u8> {
        self.turns.iter().filter(|turn| turn.from == side).flat_map(|turn| turn.bytes.clone()).collect()
    }

    /// One that follows the protocol from end to end: any outcome, but nothing bent.
    pub fn straight(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut story = Self { turns: Vec::new(), events: Some(Vec::new()) };
        let mess = Mess::arbitrary(u)?;
        story.link(u, &mess)?;
        Ok(story)
    }

    fn say(&mut self, from: Side, bytes: Vec<u8>) {
        self.turns.push(Turn { from, bytes });
    }

    fn event(&mut self, event: OwnedLinkEvent) {
        self.events.get_or_insert_default().push(event);
    }

    fn refuse(&mut self, code: LinkErrorCode, form: RefusalForm) {
        let bytes = match form {
            RefusalForm::Reply | RefusalForm::SecondReply => Reply::refusal(code.0).bytes(),
            RefusalForm::Result | RefusalForm::Sasl => code.0.to_le_bytes().to_vec(),
        };
        self.say(Side::Server, bytes);
        self.event(OwnedLinkEvent::Refused { code, form });
    }

    fn link(&mut self, u: &mut Unstructured<'_>, mess: &Mess) -> Result<()> {
        let mut bytes = mess.bytes();
        let verdict = judge(&bytes);
        if let Judgement::Accepted { len, .. } = verdict {
            // The size is too small: the bytes after the message would be read as what comes next.
            bytes.truncate(len);
        }
        self.say(Side::Client, bytes);
        let (common, channel) = match verdict {
            Judgement::Accepted { common, channel, .. } => (common, channel),
            Judgement::Refused { error, answer } => {
                self.event(OwnedLinkEvent::Unreadable { side: Side::Client, error });
                if let Some(spice_link::Answer::Frame(code)) = answer {
                    self.refuse(code, RefusalForm::Reply);
                }
                return Ok(());
            }
            // The size is too large: the client leaves in the middle of the message.
            Judgement::Need => return Ok(()),
        };
        let asked = common.first().copied().unwrap_or(0);
        let fresh = mess.channel_type == 1 && mess.connection_id == 0;
        let (connection_id, channel_type, channel_id) = (mess.connection_id, mess.channel_type, mess.channel_id);
        self.event(OwnedLinkEvent::Mess { connection_id, channel_type, channel_id, common, channel });

        match u.int_in_range(0u8..=15)? {
            0..=12 => {}
            13 => return Ok(()),
            n => {
                self.refuse(LinkErrorCode(u32::from(n) - 9), RefusalForm::Reply);
                return Ok(());
            }
        }
        let sasl_server = rarely(u, 3)?;
        let offered = if rarely(u, 16)? { 0 } else { u32::from(sasl_server) << 2 | u32::from(!sasl_server) << 1 | 0x9 };
        let reply = Reply { common: vec![offered], ..Reply::default() };
        self.say(Side::Server, reply.bytes());
        self.event(OwnedLinkEvent::Reply { common: reply.common.clone(), channel: reply.channel.clone() });

        let header = if asked & offered & 8 != 0 { HeaderKind::Mini } else { HeaderKind::Full };
        if asked & offered & 1 == 0 {
            if sasl_server {
                self.refuse(LinkErrorCode::VERSION_MISMATCH, RefusalForm::SecondReply);
                return Ok(());
            }
            return self.ticket(u, fresh, header);
        }
        let usual = if sasl_server { AuthMechanism::SASL } else { AuthMechanism::SPICE };
        let mechanism = AuthMechanism(if rarely(u, 8)? { near(u, usual.0, &[0, 3])? } else { usual.0 });
        self.say(Side::Client, mechanism.0.to_le_bytes().to_vec());
        self.event(OwnedLinkEvent::Mechanism(mechanism));
        match mechanism {
            AuthMechanism::SPICE if !sasl_server => self.ticket(u, fresh, header),
            AuthMechanism::SASL => self.sasl(u, fresh, header),
            _ => {
                self.refuse(LinkErrorCode::INVALID_DATA, RefusalForm::SecondReply);
                Ok(())
            }
        }
    }

    fn ticket(&mut self, u: &mut Unstructured<'_>, fresh: bool, header: HeaderKind) -> Result<()> {
        self.say(Side::Client, vec![u.arbitrary()?; 128]);
        self.result(u, fresh, header, None)
    }

    fn sasl(&mut self, u: &mut Unstructured<'_>, fresh: bool, header: HeaderKind) -> Result<()> {
        let exchange = SaslExchange { bent: None, ..SaslExchange::arbitrary(u)? };
        self.say(Side::Server, SaslExchange::field(&exchange.list));
        let [name, data] = exchange.start();
        self.say(Side::Client, name);
        self.event(OwnedLinkEvent::SaslMechanism(exchange.name.clone()));
        self.say(Side::Client, data);
        self.say(Side::Server, exchange.answer(0));
        for (index, step) in exchange.steps.iter().enumerate().skip(1) {
            self.say(Side::Client, SaslExchange::field(&step.client));
            self.say(Side::Server, exchange.answer(index));
        }
        if exchange.verdict != 0 {
            self.refuse(LinkErrorCode::ERROR, RefusalForm::Sasl);
            self.say(Side::Server, SaslExchange::field(b"Authentication failed\0"));
            return Ok(());
        }
        self.say(Side::Server, 0u32.to_le_bytes().to_vec());
        self.result(u, fresh, header, Some(&exchange))
    }

    /// The link result, and what follows it.
    fn result(
        &mut self,
        u: &mut Unstructured<'_>,
        fresh: bool,
        header: HeaderKind,
        sasl: Option<&SaslExchange>,
    ) -> Result<()> {
        let layer = sasl.filter(|exchange| exchange.layer);
        let wrap = |bytes: Vec<u8>| layer.map_or(bytes.clone(), |exchange| exchange.wrap(&bytes));
        let code = if rarely(u, 4)? { *u.choose(&[7u32, 8, 9])? } else { 0 };
        self.say(Side::Server, wrap(code.to_le_bytes().to_vec()));
        if layer.is_some() {
            self.event(OwnedLinkEvent::HiddenResult);
            if code != 0 {
                return Ok(());
            }
            let evidence = Evidence::Continued;
            self.event(OwnedLinkEvent::Linked { header, evidence });
            self.say(Side::Server, wrap(vec![0; 40]));
            return Ok(());
        }
        if code != 0 {
            let code = LinkErrorCode(code);
            self.event(OwnedLinkEvent::Refused { code, form: RefusalForm::Result });
            return Ok(());
        }
        self.event(OwnedLinkEvent::Linked { header, evidence: Evidence::Result });
        if fresh {
            let id = if rarely(u, 2)? { 0x8000_0001 } else { u.arbitrary::<u32>()?.max(1) };
            self.say(Side::Server, message(header, 1, 103, &[&id.to_le_bytes()[..], &[0; 28]].concat()));
            self.event(OwnedLinkEvent::SessionId(id));
        }
        self.say(Side::Server, message(header, 2, 4, &[0; 12]));
        self.say(Side::Client, message(header, 1, 3, &[0; 12]));
        Ok(())
    }

    /// Changes some bytes, so that the events are not known any more.
    fn bend(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        self.events = None;
        for _ in 0..u.int_in_range(1..=3)? {
            let which = u.choose_index(self.turns.len().max(1))?;
            let Some(turn) = self.turns.get_mut(which) else { return Ok(()) };
            let len = turn.bytes.len();
            let at = u.int_in_range(0..=len)?;
            match u.int_in_range(0..=4)? {
                0 if at < len => turn.bytes[at] ^= u.arbitrary::<u8>()?,
                1 => turn.bytes.truncate(at),
                2 => {
                    turn.bytes.splice(at..at, u.arbitrary::<[u8; 4]>()?);
                }
                3 => {
                    self.turns.remove(which);
                }
                _ => {
                    let again = turn.clone();
                    self.turns.insert(which, again);
                }
            }
        }
        Ok(())
    }
}

impl<'a> Arbitrary<'a> for Conversation {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bent = rarely(u, 3)?;
        let mut story = Self::straight(u)?;
        if bent {
            story.bend(u)?;
        }
        Ok(story)
    }
}

/// A data message, its header laid out by hand.
fn message(header: HeaderKind, serial: u64, message_type: u16, body: &[u8]) -> Vec<u8> {
    let (kind, size) = (message_type.to_le_bytes(), super::word(body.len()).to_le_bytes());
    match header {
        HeaderKind::Mini => [&kind[..], &size, body].concat(),
        HeaderKind::Full => [&serial.to_le_bytes()[..], &kind, &size, &[0; 4], body].concat(),
    }
}
