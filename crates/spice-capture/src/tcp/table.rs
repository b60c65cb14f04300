//! The table of connections: a slab of them, and a hash table of indices into it.

use super::{flow::Key, timers::Token};
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash};

/// What a slot keeps beside its value.
struct Slot<T> {
    key: Key,
    /// Counts the slot's lives; odd while it is in use.
    generation: u32,
    /// Used since the hand of the clock passed last.
    touched: bool,
    value: T,
}

pub(super) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// Keyed by the process: a capture can't be made to collide.
    hasher: foldhash::quality::RandomState,
    /// By their ports, those that were found lately: a few connections take turns, and most packets need no search.
    recent: Box<[u32; RECENT]>,
    /// Where the search for a victim goes on.
    hand: usize,
    max: u32,
}

/// How many are found without a search. Two whose ports have the same place here share it.
const RECENT: usize = 256;

/// How many slots are looked at for one that is better to lose.
const VICTIMS: usize = 128;

impl<T> Table<T> {
    pub(super) fn new(max: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            recent: Box::new([0; RECENT]),
            hand: 0,
            max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.max as usize
    }

    /// Every slot in use, in a fixed order.
    pub(super) fn indices(&self) -> Vec<u32> {
        let used = self.slots.iter().zip(0_u32..).filter(|(slot, _)| slot.in_use());
        used.map(|(_, index)| index).collect()
    }

    #[inline]
    pub(super) fn find(&mut self, key: &Key) -> Option<u32> {
        let place = place(key);
        let mut index = self.recent[place];
        if self.slots.get(index as usize).is_none_or(|slot| slot.key != *key || !slot.in_use()) {
            index = self.search(key)?;
            self.recent[place] = index;
        }
        self.slots[index as usize].touched = true;
        Some(index)
    }

    #[inline(never)]
    fn search(&self, key: &Key) -> Option<u32> {
        self.index.find(self.hasher.hash_one(key), |&i| self.slots[i as usize].key == *key).copied()
    }

    pub(super) fn at(&mut self, index: u32) -> &mut T {
        &mut self.slots[index as usize].value
    }

    pub(super) fn token(&self, index: u32) -> Token {
        Token { index, generation: self.slots[index as usize].generation }
    }

    /// The value that a token was made for, if it is still there.
    pub(super) fn live(&mut self, token: Token) -> Option<&mut T> {
        let slot = self.slots.get_mut(token.index as usize)?;
        (slot.generation == token.generation && slot.in_use()).then_some(&mut slot.value)
    }

    /// Makes older tokens of the slot void.
    pub(super) fn renew(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(2);
    }

    /// The caller has made room: see [`Table::is_full`].
    pub(super) fn insert(&mut self, key: Key, value: T) -> u32 {
        let index = if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            *slot = Slot { key, generation: slot.generation.wrapping_add(1), touched: true, value };
            index
        } else {
            self.slots.push(Slot { key, generation: 1, touched: true, value });
            // `max` is a u32.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hasher.hash_one(key), index, |&i| hasher.hash_one(slots[i as usize].key));
        self.recent[place(&key)] = index;
        index
    }

    pub(super) fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let hash = self.hasher.hash_one(slot.key);
        if let Ok(entry) = self.index.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
        self.free.push(index);
    }

    /// One to forget: not used lately, `cheap` if there is such a one among the next few.
    pub(super) fn victim(&mut self, cheap: impl Fn(&T) -> bool) -> u32 {
        let mut fallback = None;
        for _ in 0..VICTIMS {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            if !slot.in_use() || std::mem::take(&mut slot.touched) {
                continue;
            }
            let index = u32::try_from(self.hand).unwrap_or(u32::MAX);
            if cheap(&slot.value) {
                return index;
            }
            fallback.get_or_insert(index);
        }
        fallback.unwrap_or_else(|| {
            while !self.slots[self.hand].in_use() {
                self.hand = (self.hand + 1) % self.slots.len();
            }
            u32::try_from(self.hand).unwrap_or(u32::MAX)
        })
    }
}

impl<T> Slot<T> {
    fn in_use(&self) -> bool {
        self.generation & 1 == 1
    }
}

/// Where [`Table::recent`] has a connection.
#[inline]
fn place(key: &Key) -> usize {
    usize::from(key.low.port() ^ key.high.port()) % RECENT
}

impl Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let [low, high] = [self.low, self.high].map(|end| end.words());
        for word in [low[0], low[1], high[0], high[1], low[2] << 32 | high[2]] {
            state.write_u64(word);
        }
    }
}
