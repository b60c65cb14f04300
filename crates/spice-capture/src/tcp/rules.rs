//! The rules: what each segment means to its connection.

use super::{
    Connection, Gone, Handler, Interest, ORPHAN_BYTES, ORPHAN_CHUNKS, PATIENCE, RESET_AHEAD, Side, VanishedReason,
    WINDOW,
    context::{Context, Piece},
    flow::{Direction, Flow, Reset, Retry, Stage, UNKNOWN},
    pending::{distance, length},
};
use crate::packet::{Flags, Segment};
use spice_events::{Endpoints, Timestamp};

/// Bytes that are shown to [`Handler::is_server`].
const FIRST_BYTES: usize = 16;

impl<S: Default> Flow<S> {
    /// Deals with a segment that neither begins nor ends anything, of a connection of which only the end is of interest. Whether it was
    /// one; if not, it is for [`segment`](Self::segment), which would do the same with these, but most segments are of this kind.
    #[inline]
    pub(super) fn passes_by(&mut self, d: usize, s: &Segment<'_>) -> bool {
        if self.stage != Stage::Open
            || self.interest != Interest::End
            || self.undecided.is_some()
            || s.flags.has_any(Flags::SYN.and(Flags::FIN).and(Flags::RST))
        {
            return false;
        }
        let end = s.seq.wrapping_add(length(s.payload, s.missing));
        // What was sent again may be the last that is seen of it.
        if end != s.seq && distance(self.directions[d].end, end) <= 0 {
            return false;
        }
        self.last = s.at;
        self.advance(d, s, end);
        true
    }

    /// A segment of direction `d`.
    pub(super) fn segment<H: Handler<State = S>>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        self.last = s.at;
        match (s.flags.has(Flags::SYN), s.flags.has(Flags::ACK)) {
            _ if s.flags.has(Flags::RST) => self.on_reset(d, s, ctx),
            (true, false) => self.on_syn(d, s, ctx),
            (true, true) => self.on_syn_ack(d, s, ctx),
            _ => self.on_segment(d, s, ctx),
        }
    }

    fn on_syn<H: Handler<State = S>>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        match self.stage {
            Stage::Orphan if self.begins_with(d, s.seq) => {
                self.client = d;
                self.directions[d].restart(s.seq);
                self.become_embryo();
                let client_seen = self.directions[d].seen;
                let server = &mut self.directions[1 - d];
                if server.known {
                    server.guess(server.next);
                    if client_seen {
                        self.opened(s.at, true, ctx);
                    }
                }
            }
            Stage::Open if self.directions[d].isn != s.seq || self.client != d => {
                self.undecided().retry = Some(Retry { direction: d, isn: s.seq });
            }
            Stage::Embryo | Stage::Closed | Stage::Ignored if self.client == d && self.directions[d].isn == s.seq => {}
            Stage::Open => {}
            // Both sides connect at once: SPICE has no use for that.
            Stage::Embryo if self.client != d => {}
            _ => {
                self.renew(ctx.shared);
                self.begin(d, s.seq);
                self.keep_syn_data(d, s, ctx);
            }
        }
    }

    fn on_syn_ack<H: Handler<State = S>>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        let client = 1 - d;
        let client_isn = s.ack.wrapping_sub(1);
        let same = self.client == client && self.directions[client].isn == client_isn;
        match self.stage {
            Stage::Embryo if self.client == client => {
                // With TCP Fast Open the SYN's data is acknowledged too.
                let acked = distance(self.directions[client].isn.wrapping_add(1), s.ack);
                if !(0..=RESET_AHEAD.cast_signed()).contains(&acked) {
                    return;
                }
                if self.directions[d].guessed && self.begins_with(d, s.seq) {
                    // What was captured before it stands, a FIN for example.
                    self.directions[d].restart(s.seq);
                    self.directions[d].guessed = false;
                } else {
                    self.directions[d].start(s.seq);
                }
            }
            Stage::Orphan if self.begins_with(client, client_isn) && self.begins_with(d, s.seq) => {
                self.client = client;
                self.directions[d].restart(s.seq);
                self.directions[client].restart(client_isn);
                self.become_embryo();
                if self.directions[client].seen {
                    self.opened(s.at, true, ctx);
                }
            }
            Stage::Open if self.client == client && self.directions[d].guessed => {
                if self.begins_with(d, s.seq) {
                    self.directions[d].restart(s.seq);
                    self.settle_guess(d, ctx);
                    self.settle(s.at, ctx);
                }
            }
            Stage::Open => {
                let retry = self.undecided.as_deref().and_then(|u| u.retry);
                if !same && retry.is_some_and(|r| r.direction == client && r.isn == client_isn) {
                    self.supersede(s.at, ctx);
                    self.begin(client, client_isn);
                    self.directions[d].start(s.seq);
                }
            }
            Stage::Closed | Stage::Ignored | Stage::Embryo | Stage::Orphan | Stage::Gone => {
                if !same {
                    self.renew(ctx.shared);
                    self.begin(client, client_isn);
                    self.directions[d].start(s.seq);
                }
            }
        }
    }

    fn on_segment<H: Handler<State = S>>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        if self.stage == Stage::Open && self.restarts_at(d, s) {
            self.supersede(s.at, ctx);
            self.begin(d, s.seq.wrapping_sub(1));
        }
        match self.stage {
            Stage::Gone => {
                self.stage = Stage::Orphan;
                self.at = s.at;
                self.on_orphan(d, s, ctx);
            }
            Stage::Orphan => self.on_orphan(d, s, ctx),
            Stage::Embryo => {
                if self.completes_handshake(d, s) {
                    self.opened(s.at, true, ctx);
                    // What came before the handshake may have ended it already.
                    if self.stage != Stage::Embryo {
                        self.on_segment(d, s, ctx);
                    }
                }
            }
            Stage::Open => self.on_open(d, s, ctx),
            Stage::Ignored if s.flags.has(Flags::FIN) => self.stage = Stage::Closed,
            Stage::Ignored | Stage::Closed => {}
        }
    }

    fn on_open<H: Handler<State = S>>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        let len = length(s.payload, s.missing);
        let fin = s.flags.has(Flags::FIN);
        let end = s.seq.wrapping_add(len);
        let repeats = self.directions[d].repeats;
        let within = self.advance(d, s, end.wrapping_add(u32::from(fin)));
        if self.directions[d].repeats > repeats && d != self.client {
            self.repeated(repeats == 0, s.at, ctx);
        }
        if within && fin && !self.directions[d].fin {
            let direction = &mut self.directions[d];
            // Nothing follows a FIN; if something did, it was not one of this connection.
            if direction.end == end.wrapping_add(1) {
                direction.fin = true;
                direction.fin_at = end;
                let side = self.side(d);
                self.ended.get_or_insert(side);
            }
        }
        if self.interest == Interest::Bytes {
            if len > 0 {
                self.take(d, Piece { at: s.at, seq: s.seq, data: s.payload, missing: s.missing }, ctx);
            } else if fin {
                self.drain(d, s.at, ctx);
            }
        }
        self.doubt_reset(d, s.at, s.seq, end);
        self.settle(s.at, ctx);
    }

    /// A connection whose start was not seen: what it sends is kept until it is clear that the start will not come.
    fn on_orphan<H: Handler<State = S>>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        let len = length(s.payload, s.missing);
        let fin = s.flags.has(Flags::FIN);
        let end = s.seq.wrapping_add(len).wrapping_add(u32::from(fin));
        let direction = &mut self.directions[d];
        if !direction.seen {
            let acked = if direction.known { direction.acked } else { s.seq };
            *direction = Direction { seen: true, known: true, next: s.seq, end: s.seq, acked, ..Default::default() };
        } else if distance(direction.next, s.seq) < 0 {
            direction.next = s.seq;
        }
        self.extend(d, s, end);
        if fin {
            self.directions[d].fin = true;
            self.directions[d].fin_at = end.wrapping_sub(1);
        }
        if s.flags.has(Flags::ACK) {
            let peer = &mut self.directions[1 - d];
            if peer.known {
                self.acknowledge(1 - d, s.ack);
            } else {
                *peer = Direction { known: true, next: s.ack, end: s.ack, acked: s.ack, ..Default::default() };
            }
        }
        if len > 0 {
            if self.client == UNKNOWN {
                self.client = d;
            }
            self.keep(d, Piece { at: s.at, seq: s.seq, data: s.payload, missing: s.missing }, ctx);
        }
        let kept = self.directions.iter().filter_map(|d| d.pending.as_deref());
        let (chunks, cost) = kept.fold((0, 0), |(n, cost), p| (n + p.len(), cost + p.cost));
        if chunks >= ORPHAN_CHUNKS || cost >= ORPHAN_BYTES || ctx.shared.kept > super::MAX_BYTES_TOTAL {
            self.adopt(ctx);
        } else if len > 0 || fin {
            self.enrol(ctx);
        }
    }

    fn on_reset<H: Handler<State = S>>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        if self.stage == Stage::Orphan {
            self.adopt(ctx);
        }
        match self.stage {
            Stage::Embryo => {
                let expected = if d == self.client { s.seq } else { s.ack };
                if expected == self.directions[self.client].next {
                    self.release(ctx.shared);
                    self.stage = Stage::Gone;
                }
            }
            Stage::Orphan => {
                self.report_unopened(ctx.handler);
                self.stage = Stage::Gone;
            }
            Stage::Ignored => self.stage = Stage::Closed,
            Stage::Open => {
                if s.flags.has(Flags::ACK) {
                    self.acknowledge(1 - d, s.ack);
                }
                let direction = &self.directions[d];
                let mut high = direction.end;
                if distance(high, direction.acked) > 0 {
                    high = direction.acked;
                }
                if distance(direction.acked, s.seq) < 0 {
                    // Older than what its receiver has: no receiver heeds it.
                } else if distance(high, s.seq) <= 0 {
                    self.begin_closing(s.at, Some(self.side(d)));
                    self.settle(s.at, ctx);
                } else if distance(high, s.seq).unsigned_abs() <= RESET_AHEAD {
                    self.undecided().reset = Some(Reset { direction: d, seq: s.seq, at: s.at, contradicted: false });
                    self.enrol(ctx);
                }
            }
            Stage::Closed | Stage::Gone => {}
        }
    }

    /// What is to be done once a segment was taken: close, or wait for what is missing.
    fn settle<H: Handler<State = S>>(&mut self, at: Timestamp, ctx: &mut Context<'_, H>) {
        if self.stage != Stage::Open {
            return;
        }
        let server = &self.directions[1 - self.client];
        let ends = server.complete || (server.fin && self.interest == Interest::End);
        let closing = self.undecided.as_deref().and_then(|u| u.closing);
        let closing = closing.or_else(|| ends.then(|| (at, self.ended.or(Some(Side::Server)))));
        let hole = self.interest == Interest::Bytes && self.directions.iter().any(Direction::has_hole);
        match closing {
            Some((at, by)) if !hole => self.close(at, by, ctx),
            Some(closing) => {
                self.undecided().closing = Some(closing);
                self.enrol(ctx);
            }
            None if hole => self.enrol(ctx),
            None => {}
        }
    }

    /// [`PATIENCE`] is over for whatever was to be decided.
    pub(super) fn out_of_patience<H: Handler<State = S>>(&mut self, ctx: &mut Context<'_, H>) {
        self.queued = false;
        match self.stage {
            Stage::Orphan => self.adopt(ctx),
            Stage::Open => {
                self.decide_reset();
                let closing = self.undecided.as_deref().is_some_and(|u| u.closing.is_some());
                for d in [self.client, 1 - self.client] {
                    self.settle_guess(d, ctx);
                    if closing { self.give_up(d, ctx) } else { self.give_up_acknowledged(d, ctx) }
                }
                self.settle(self.at, ctx);
                self.look_for_an_answer(ctx);
            }
            _ => {}
        }
    }

    /// The capture ends.
    pub(super) fn finish<H: Handler<State = S>>(&mut self, ctx: &mut Context<'_, H>) {
        if self.stage == Stage::Orphan {
            self.adopt(ctx);
        }
        self.report_unopened(ctx.handler);
        if self.stage == Stage::Open {
            self.decide_reset();
            for d in [self.client, 1 - self.client] {
                self.give_up(d, ctx);
            }
            self.settle(self.at, ctx);
        }
    }

    /// Ends a connection that no packet of its own ends. Returns whether it was open and, if that matters, unanswered.
    pub(super) fn vanish<H: Handler<State = S>>(&mut self, gone: &Gone, ctx: &mut Context<'_, H>) -> bool {
        let answered = gone.only_unanswered && !self.directions.iter().any(Direction::is_unanswered);
        if self.stage != Stage::Open || answered || (gone.only_silent && self.last > gone.at) {
            return false;
        }
        let reason = if gone.only_silent { VanishedReason::TakenOver } else { VanishedReason::OtherConnections };
        ctx.handler.vanished(&self.state, gone, reason);
        self.close(gone.at, None, ctx);
        true
    }

    /// The server has sent something again.
    #[cold]
    fn repeated<H>(&mut self, is_first: bool, at: Timestamp, ctx: &mut Context<'_, H>) {
        let end = self.directions[1 - self.client].end;
        self.retransmissions.get_or_insert_default().push(is_first, end, at, ctx.shared.clock.now());
        self.enrol(ctx);
    }

    /// Ends the connection if the server has given up on a client that does not answer.
    fn look_for_an_answer<H: Handler<State = S>>(&mut self, ctx: &mut Context<'_, H>) {
        let server = &self.directions[1 - self.client];
        if self.stage != Stage::Open || !server.is_unanswered() {
            return;
        }
        let Some(retransmissions) = &mut self.retransmissions else { return };
        if let Some(at) = retransmissions.given_up(server.end, ctx.shared.clock.now()) {
            let endpoints = Endpoints { server: self.end(1 - self.client), client: self.end(self.client) };
            let gone = Gone { endpoints, at, only_unanswered: true, only_silent: false };
            ctx.handler.vanished(&self.state, &gone, VanishedReason::Unanswered);
            self.close(at, None, ctx);
        } else {
            self.enrol(ctx);
        }
    }

    fn begin(&mut self, client: usize, isn: u32) {
        self.client = client;
        self.directions[client].start(isn);
        self.become_embryo();
    }

    fn become_embryo(&mut self) {
        self.stage = Stage::Embryo;
        self.queued = false;
        self.lingers = false;
    }

    fn keep_syn_data<H>(&mut self, d: usize, s: &Segment<'_>, ctx: &mut Context<'_, H>) {
        if !s.payload.is_empty() && ctx.shared.kept < super::MAX_BYTES_TOTAL {
            let piece = Piece { at: s.at, seq: s.seq.wrapping_add(1), data: s.payload, missing: s.missing };
            self.keep(d, piece, ctx);
        }
    }

    /// Whether an orphan's direction can have begun with this SYN.
    fn begins_with(&self, d: usize, isn: u32) -> bool {
        let direction = &self.directions[d];
        let ahead = distance(isn.wrapping_add(1), direction.next);
        !direction.known || (0..=RESET_AHEAD.cast_signed()).contains(&ahead)
    }

    /// The client's ACK or data, or anything of the server's that shows it has seen them.
    fn completes_handshake(&mut self, d: usize, s: &Segment<'_>) -> bool {
        if !s.flags.has(Flags::ACK) {
            return false;
        }
        let client = self.client;
        let [ours, theirs] = if d == client { [s.seq, s.ack] } else { [s.ack, s.seq] };
        let near = |isn: u32, seq| (0..=RESET_AHEAD.cast_signed()).contains(&distance(isn.wrapping_add(1), seq));
        if !near(self.directions[client].isn, ours) {
            return false;
        }
        let server = &mut self.directions[1 - client];
        if !server.known || (server.guessed && distance(theirs, server.next) > 0) {
            server.guess(theirs);
        }
        near(server.isn, theirs)
    }

    /// An orphan counts as a connection that began before the capture, unless the client can't be told from the server.
    fn adopt<H: Handler<State = S>>(&mut self, ctx: &mut Context<'_, H>) {
        let listens = [self.key.low, self.key.high].map(|end| ctx.handler.listens(end.port()));
        match listens {
            [true, false] => self.client = 1,
            [false, true] => self.client = 0,
            _ if self.client == UNKNOWN => {
                if self.directions.iter().any(|d| d.fin) {
                    self.report_unopened(ctx.handler);
                    self.stage = Stage::Closed;
                }
                return;
            }
            _ => {
                let pending = self.directions[self.client].pending.as_deref();
                if pending.is_some_and(|pending| ctx.handler.is_server(&pending.first_bytes(FIRST_BYTES))) {
                    self.client = 1 - self.client;
                }
            }
        }
        self.opened(self.at, false, ctx);
    }

    /// Reports a connection that will never be opened, if there is a sign that both ends agreed to it.
    pub(super) fn report_unopened<H: Handler<State = S>>(&self, handler: &mut H) {
        match self.stage {
            Stage::Orphan => handler.unopened([self.key.low, self.key.high], false),
            Stage::Embryo if self.directions[1 - self.client].known => {
                handler.unopened([self.end(self.client), self.end(1 - self.client)], true);
            }
            _ => {}
        }
    }

    fn opened<H: Handler<State = S>>(&mut self, at: Timestamp, from_start: bool, ctx: &mut Context<'_, H>) {
        let endpoints = Endpoints { server: self.end(1 - self.client), client: self.end(self.client) };
        self.stage = Stage::Open;
        self.lingers = false;
        self.queued = false;
        self.at = at;
        self.interest = ctx.handler.opened(&mut self.state, &Connection { endpoints, at, from_start });
        self.heed_interest(ctx);
        for d in [self.client, 1 - self.client] {
            if self.stage == Stage::Open && self.interest == Interest::Bytes {
                self.drain(d, at, ctx);
            }
        }
        if self.ended.is_none() {
            let first = [self.client, 1 - self.client].into_iter().find(|&d| self.directions[d].fin);
            self.ended = first.map(|d| self.side(d));
        }
        self.settle(at, ctx);
    }

    /// The 4-tuple is in use again: the old connection's end was not seen, but it has one.
    fn supersede<H: Handler<State = S>>(&mut self, at: Timestamp, ctx: &mut Context<'_, H>) {
        for d in [self.client, 1 - self.client] {
            self.give_up(d, ctx);
        }
        if self.stage == Stage::Open {
            self.close(at, None, ctx);
        }
        self.renew(ctx.shared);
    }

    /// Whether a segment continues a SYN with another initial sequence number.
    fn restarts_at(&self, d: usize, s: &Segment<'_>) -> bool {
        let retry = self.undecided.as_deref().and_then(|u| u.retry);
        retry.is_some_and(|r| r.direction == d && r.isn.wrapping_add(1) == s.seq) && s.flags.has(Flags::ACK)
    }

    fn begin_closing(&mut self, at: Timestamp, by: Option<Side>) {
        self.was_reset |= self.ended.is_none();
        let by = self.ended.or(by);
        self.undecided().closing.get_or_insert((at, by));
    }

    fn close<H: Handler<State = S>>(&mut self, at: Timestamp, by: Option<Side>, ctx: &mut Context<'_, H>) {
        self.at = self.at.max(at);
        let volume = self.volume();
        ctx.handler.volume(&mut self.state, volume);
        ctx.handler.closed(&mut self.state, self.at, by);
        self.state = S::default();
        self.release(ctx.shared);
        self.undecided = None;
        self.queued = false;
        self.stage = Stage::Closed;
    }

    /// Takes note of what a segment says of both directions, of which `end` is its own next sequence number. Whether that can be one
    /// of this connection.
    fn advance(&mut self, d: usize, s: &Segment<'_>, end: u32) -> bool {
        let within = distance(self.directions[d].end, s.seq).unsigned_abs() <= WINDOW;
        if within {
            self.extend(d, s, end);
        }
        if s.flags.has(Flags::ACK) {
            self.acknowledge(1 - d, s.ack);
        }
        within
    }

    fn extend(&mut self, d: usize, s: &Segment<'_>, end: u32) {
        let direction = &mut self.directions[d];
        direction.seen = true;
        let ahead = distance(direction.end, end);
        if ahead > 0 {
            direction.end = end;
            direction.sent += u64::from(ahead.unsigned_abs());
            if d == self.client && length(s.payload, s.missing) > 0 {
                self.client_at = s.at;
            }
        } else {
            direction.repeats = direction.repeats.saturating_add(u8::from(end != s.seq));
        }
    }

    /// The receiver of direction `d` has everything before `ack`. It is alive, so that what was sent again so far is answered.
    fn acknowledge(&mut self, d: usize, ack: u32) {
        let direction = &mut self.directions[d];
        direction.repeats = 0;
        let news = distance(direction.acked, ack) > 0;
        if news && distance(direction.end, ack) <= RESET_AHEAD.cast_signed() {
            direction.acked = ack;
        }
    }

    /// A packet of an RST's sender: it fills the hole before the RST, shows it to be forged, or neither.
    fn doubt_reset(&mut self, d: usize, at: Timestamp, seq: u32, end: u32) {
        let Some(undecided) = self.undecided.as_deref_mut() else { return };
        let Some(reset) = undecided.reset.as_mut().filter(|r| r.direction == d) else { return };
        if end == reset.seq && seq != end {
            let reset = *reset;
            undecided.reset = None;
            let side = self.side(d);
            self.begin_closing(reset.at, Some(side));
        } else if distance(reset.seq, end) > 0 {
            undecided.reset = None;
        } else {
            reset.contradicted |= at > reset.at;
        }
    }

    fn decide_reset(&mut self) {
        let Some(reset) = self.undecided.as_deref_mut().and_then(|u| u.reset.take()) else { return };
        if !reset.contradicted {
            let side = self.side(reset.direction);
            self.begin_closing(reset.at, Some(side));
        }
    }

    fn enrol<H>(&mut self, ctx: &mut Context<'_, H>) {
        if !self.queued {
            self.queued = true;
            ctx.shared.patience.push(ctx.shared.clock.after(PATIENCE), ctx.token);
        }
    }
}
