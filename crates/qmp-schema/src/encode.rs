//! QEMU's exact bytes out.

use alloc::{borrow::Cow, vec::Vec};

use crate::wire;

/// Something that is written as QEMU writes it: its member order, separators and escapes, without a line end.
///
/// On a QMP socket QEMU ends each message with CR LF; that is the caller's to add.
pub trait Encode {
    /// Appends the value to `out`. Nothing is allocated but by `out`'s growth.
    fn write_to(&self, out: &mut Vec<u8>);

    /// The value's bytes.
    fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn write_to(&self, out: &mut Vec<u8>) {
        (**self).write_to(out);
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.as_slice().write_to(out);
    }
}

impl<T: Encode> Encode for [T] {
    fn write_to(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, item) in self.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            item.write_to(out);
        }
        out.push(b']');
    }
}

impl Encode for str {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_str(out, self);
    }
}

impl Encode for Cow<'_, str> {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_str(out, self);
    }
}

impl Encode for bool {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_bool(out, *self);
    }
}

impl Encode for i64 {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_i64(out, *self);
    }
}

impl Encode for u64 {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_u64(out, *self);
    }
}

impl Encode for u32 {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_u64(out, u64::from(*self));
    }
}

impl Encode for u16 {
    fn write_to(&self, out: &mut Vec<u8>) {
        wire::write_u64(out, u64::from(*self));
    }
}
