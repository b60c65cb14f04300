//! `cargo xtask fuzz dictionaries`: words of both protocols for libFuzzer, from the constants in the code.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::Result;
use spice_link::{
    AuthMechanism, ChannelType, LinkErrorCode, LinkMess, LinkReply, MAGIC, MAX_CAPS_WORDS, MainInit, sasl,
};

pub(super) fn write() -> Result<()> {
    fs::create_dir_all(folder())?;
    for (file, text) in made()? {
        fs::write(folder().join(file), text)?;
    }
    Ok(())
}

fn folder() -> PathBuf {
    shell::root().join("fuzz/dictionaries")
}

/// The name and the text of each dictionary.
fn made() -> Result<[(&'static str, String); 2]> {
    Ok([("link.dict", text(&link())), ("qmp.dict", text(&qmp()?))])
}

fn text(words: &BTreeSet<Vec<u8>>) -> String {
    let mut text = "# Made by `cargo xtask fuzz dictionaries`; not for editing.\n".to_owned();
    for word in words {
        text.push('"');
        for &byte in word {
            text.push_str(&escape(byte));
        }
        text.push_str("\"\n");
    }
    text
}

fn link() -> BTreeSet<Vec<u8>> {
    let mut words = BTreeSet::from([
        MAGIC.to_vec(),
        spice_link::LinkHeader::new(LinkMess::MIN_SIZE).encode().to_vec(),
        spice_link::LinkHeader::new(LinkReply::MIN_SIZE).encode().to_vec(),
        b"GET ".to_vec(),
        b"HTTP/1.1 101 ".to_vec(),
        b"\r\n\r\n".to_vec(),
        b"Sec-WebSocket-Key: ".to_vec(),
        b"Sec-WebSocket-Protocol: binary".to_vec(),
        b",DIGEST-MD5,".to_vec(),
        MainInit::MESSAGE_TYPE.to_le_bytes().to_vec(),
    ]);
    let numbers = [
        LinkMess::MIN_SIZE - 1,
        LinkMess::MIN_SIZE,
        LinkMess::MAX_SIZE,
        LinkMess::MAX_SIZE + 1,
        LinkReply::MIN_SIZE,
        LinkReply::MAX_SIZE,
        MAX_CAPS_WORDS,
        MAX_CAPS_WORDS + 1,
        MainInit::SIZE,
        sasl::MAX_NAME,
        sasl::MAX_DATA,
        sasl::MAX_DATA + 1,
        1 << 30,
        u32::MAX,
        9,
        13,
    ];
    words.extend(numbers.iter().map(|number| number.to_le_bytes().to_vec()));
    words.extend(LinkErrorCode::ALL.iter().map(|code| code.0.to_le_bytes().to_vec()));
    words.extend(AuthMechanism::ALL.iter().map(|mechanism| mechanism.0.to_le_bytes().to_vec()));
    words.extend(ChannelType::ALL.iter().map(|kind| vec![kind.0, 0]));
    words
}

/// The keys of every message, values that are hard to parse, and from qmp-schema's facts the names of all events, members and
/// enumeration values.
fn qmp() -> Result<BTreeSet<Vec<u8>>> {
    let frame = [
        "\"execute\"",
        "\"exec-oob\"",
        "\"arguments\"",
        "\"id\"",
        "\"return\"",
        "\"error\"",
        "\"class\"",
        "\"desc\"",
        "\"event\"",
        "\"data\"",
        "\"timestamp\"",
        "\"seconds\"",
        "\"microseconds\"",
        "\"QMP\"",
        "\"version\"",
        "\"capabilities\"",
        "\"enable\"",
        "qmp_capabilities",
        "query-spice",
        "query-commands",
        "query-version",
        "query-qmp-schema",
        "\\u0000",
        "\\ud83d\\ude00",
        "\\ud83d",
        "{}",
        "[]",
        "{'",
        "\r\n",
        "-9223372036854775808",
        "18446744073709551615",
        "1e400",
    ];
    let mut words: BTreeSet<String> = frame.iter().map(|&word| word.to_owned()).collect();
    words.extend(xtask_codegen::codegen::words()?);
    // The byte 0xff resets QEMU's parser. It is not valid UTF-8.
    Ok(words.into_iter().map(String::into_bytes).chain([vec![0xff]]).collect())
}

fn escape(byte: u8) -> String {
    match byte {
        b'"' | b'\\' => format!("\\{}", byte as char),
        0x20..=0x7e => (byte as char).to_string(),
        _ => format!("\\x{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, a constant has changed: run `cargo xtask fuzz dictionaries`.
    #[test]
    fn committed_dictionaries_match_the_constants() {
        for (file, text) in made().unwrap() {
            assert!(fs::read_to_string(folder().join(file)).unwrap() == text, "{file} is outdated");
        }
    }

    #[test]
    fn the_byte_that_resets_a_parser_is_one_byte() {
        assert!(text(&qmp().unwrap()).lines().any(|line| line == "\"\\xFF\""));
    }
}
