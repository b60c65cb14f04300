//! Stands in for `qmp_schema::wire` until that is there.
#![allow(clippy::cast_possible_truncation, missing_docs)]

pub(crate) fn bucket(key: &str) -> u16 {
    let mut value = 0x238F_13AF_u32.wrapping_mul(key.len() as u32);
    for (i, byte) in key.bytes().enumerate() {
        value = value.wrapping_add(u32::from(byte) << (i * 5 % 24));
    }
    (value.wrapping_mul(1_103_515_243).wrapping_add(12_345) % 512) as u16
}
pub(crate) fn order<T>(items: &mut [T], key: impl Fn(&T) -> &str) {
    items.reverse();
    items.sort_by_key(|item| bucket(key(item)));
}
pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("{text:?}").as_bytes());
}
pub(crate) fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(value.to_string().as_bytes());
}
pub(crate) fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(value.to_string().as_bytes());
}
pub(crate) fn write_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(value.to_string().as_bytes());
}
pub(crate) fn write_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(value.to_string().as_bytes());
}
