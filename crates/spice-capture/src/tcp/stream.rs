//! One direction's bytes: in order to the handler, early ones kept, lost ones declared.

use super::{
    Handler, Interest, MAX_BYTES, MAX_BYTES_TOTAL, MAX_CHUNKS, RESET_AHEAD, WINDOW,
    context::{Context, Piece},
    flow::{Flow, Stage},
    pending::{Pending, distance, length},
};
use spice_events::Timestamp;

impl<S: Default> Flow<S> {
    /// Takes a segment's bytes of an open connection.
    pub(super) fn take<H: Handler<State = S>>(&mut self, d: usize, piece: Piece<'_>, ctx: &mut Context<'_, H>) {
        let ahead = distance(self.directions[d].next, piece.seq);
        // Nothing follows a FIN.
        let over = self.directions[d].complete;
        if over || ahead > WINDOW.cast_signed() || length(piece.data, piece.missing) == 0 {
            return;
        }
        if self.directions[d].guessed {
            // Where the stream begins is known once the SYN-ACK is there.
            if ahead < 0 && ahead >= -RESET_AHEAD.cast_signed() {
                self.directions[d].next = piece.seq;
            }
        } else if ahead <= 0 {
            self.pass(d, piece, ctx);
            self.drain(d, piece.at, ctx);
            return;
        }
        self.keep(d, piece, ctx);
        let kept = self.directions[d].pending.as_deref().map_or((0, 0), |p| (p.len(), p.cost));
        if kept.0 > MAX_CHUNKS || kept.1 > MAX_BYTES || ctx.shared.kept > MAX_BYTES_TOTAL {
            self.give_up_first(d, ctx);
        }
    }

    /// Keeps a segment's bytes for later.
    pub(super) fn keep<H>(&mut self, d: usize, piece: Piece<'_>, ctx: &mut Context<'_, H>) {
        let pending: &mut Pending = self.directions[d].pending.get_or_insert_default();
        ctx.shared.kept += pending.insert(piece.seq, piece.at, piece.data, piece.missing);
    }

    /// Passes on what is new of bytes that begin at `next` or before.
    fn pass<H: Handler<State = S>>(&mut self, d: usize, piece: Piece<'_>, ctx: &mut Context<'_, H>) {
        let direction = &mut self.directions[d];
        let old = distance(piece.seq, direction.next).unsigned_abs();
        let all = length(piece.data, piece.missing);
        if old >= all || self.interest != Interest::Bytes {
            return;
        }
        direction.next = piece.seq.wrapping_add(all);
        self.at = self.at.max(piece.at);
        let from = self.side(d);
        let data = piece.data.get(old as usize..).unwrap_or_default();
        if !data.is_empty() {
            self.interest = ctx.handler.bytes(&mut self.state, self.at, from, data);
        }
        let missing = piece.missing.min(all - old);
        if missing > 0 && self.interest == Interest::Bytes {
            self.interest = ctx.handler.gap(&mut self.state, self.at, from, missing.into());
        }
        self.heed_interest(ctx);
    }

    /// Passes on early bytes that are not early any more, and notices the FIN.
    pub(super) fn drain<H: Handler<State = S>>(&mut self, d: usize, at: Timestamp, ctx: &mut Context<'_, H>) {
        if self.directions[d].guessed {
            return;
        }
        loop {
            let direction = &mut self.directions[d];
            let Some(pending) = &mut direction.pending else { break };
            let Some(chunk) = pending.pop(direction.next) else {
                if pending.len() == 0 {
                    direction.pending = None;
                }
                break;
            };
            ctx.shared.kept -= chunk.cost();
            let piece = Piece { at: at.max(chunk.at), seq: chunk.seq, data: &chunk.data, missing: chunk.missing };
            self.pass(d, piece, ctx);
        }
        let direction = &mut self.directions[d];
        if direction.fin && !direction.complete && distance(direction.fin_at, direction.next) >= 0 {
            direction.complete = true;
            if let Some(pending) = direction.pending.take() {
                ctx.shared.kept -= pending.cost;
            }
            if direction.next == direction.fin_at {
                direction.next = direction.next.wrapping_add(1);
            }
        }
    }

    /// The SYN-ACK will not come: the stream begins with the first byte that was seen.
    pub(super) fn settle_guess<H: Handler<State = S>>(&mut self, d: usize, ctx: &mut Context<'_, H>) {
        if std::mem::take(&mut self.directions[d].guessed) {
            self.drain(d, self.at, ctx);
        }
    }

    /// Declares lost what the receiver has and we have not.
    pub(super) fn give_up_acknowledged<H: Handler<State = S>>(&mut self, d: usize, ctx: &mut Context<'_, H>) {
        loop {
            let direction = &self.directions[d];
            if self.interest != Interest::Bytes || direction.complete || distance(direction.next, direction.acked) <= 0
            {
                return;
            }
            let mut upto = direction.acked;
            if direction.fin && distance(direction.fin_at, upto) > 0 {
                upto = direction.fin_at;
            }
            let (before, first) = (direction.next, direction.pending.as_deref().and_then(Pending::first));
            match first {
                Some((seq, at)) if distance(seq, upto) >= 0 => self.lose(d, seq, at, ctx),
                _ => self.lose(d, upto, self.at, ctx),
            }
            debug_assert_ne!(before, self.directions[d].next, "each turn declares or passes on something");
            if before == self.directions[d].next {
                return;
            }
        }
    }

    /// Declares lost what is missing before the first early segment.
    fn give_up_first<H: Handler<State = S>>(&mut self, d: usize, ctx: &mut Context<'_, H>) {
        self.settle_guess(d, ctx);
        if let Some((seq, at)) = self.directions[d].pending.as_deref().and_then(Pending::first) {
            self.lose(d, seq, at, ctx);
        }
    }

    /// Declares lost all that is missing, up to the FIN where it was seen.
    pub(super) fn give_up<H: Handler<State = S>>(&mut self, d: usize, ctx: &mut Context<'_, H>) {
        self.settle_guess(d, ctx);
        let direction = &mut self.directions[d];
        let end = direction.pending.as_deref().and_then(Pending::end);
        for edge in end.into_iter().chain(direction.fin.then_some(direction.fin_at)) {
            if distance(direction.acked, edge) > 0 {
                direction.acked = edge;
            }
        }
        self.give_up_acknowledged(d, ctx);
    }

    fn lose<H: Handler<State = S>>(&mut self, d: usize, upto: u32, at: Timestamp, ctx: &mut Context<'_, H>) {
        let next = self.directions[d].next;
        if let Ok(len @ 1..) = u32::try_from(distance(next, upto)) {
            self.pass(d, Piece { at, seq: next, data: &[], missing: len }, ctx);
        }
        self.drain(d, at, ctx);
    }

    /// After the handler had its say.
    pub(super) fn heed_interest<H>(&mut self, ctx: &mut Context<'_, H>) {
        if self.interest != Interest::Bytes {
            self.release(ctx.shared);
        }
        if self.interest == Interest::Nothing {
            self.stage = Stage::Ignored;
            self.state = S::default();
        }
    }
}
