//! Client character sets, by what the server itself makes of the characters that the grammar uses.

use super::wire::Client;
use std::collections::HashMap;
use std::sync::Arc;
use tailwater::decode::mysql::charset::Charset;
use tailwater::decode::mysql::multibyte::Multibyte;
use tailwater::decode::mysql::types::Charsets;

pub const CLIENTS: &[&str] = &[
    "utf8mb4", "utf8mb4", "latin1", "gbk", "gbk", "sjis", "sjis", "cp932", "big5", "gb18030", "euckr", "ujis", "cp850",
];
const CHARACTERS: &str = "öé表チ誠乣新ソ\u{a0}";

pub struct Encoder {
    sets: HashMap<(String, char), Vec<u8>>,
}

impl Encoder {
    /// `None`: a character is not in the set.
    pub fn encode(&self, charset: &str, text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for character in text.chars() {
            if character.is_ascii() {
                out.push(character as u8);
            } else {
                out.extend(self.sets.get(&(charset.to_owned(), character))?);
            }
        }
        Some(out)
    }
}

pub fn learn(client: &mut Client, mariadb: bool) -> (Encoder, Charsets) {
    let mut charsets = Charsets::default();
    let sql = if mariadb {
        "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability WHERE id IS NOT NULL"
    } else {
        "SELECT id, character_set_name FROM information_schema.collations"
    };
    let text = |value: &Option<Vec<u8>>| {
        String::from_utf8(value.clone().expect("the server answers so")).expect("the server answers so")
    };
    for row in client.must(sql) {
        charsets.learn_collation(text(&row[0]).parse().expect("the server answers so"), &text(&row[1]));
    }
    let mut sets = HashMap::new();
    for name in CLIENTS {
        let mut set = Multibyte::default();
        let mut table = [None; 256];
        for byte in 0..128_u8 {
            set.learn(&[byte], byte.into());
            table[usize::from(byte)] = Some(char::from(byte));
        }
        let has = client
            .must(&format!("SELECT 1 FROM information_schema.character_sets WHERE character_set_name = '{name}'"));
        if has.is_empty() {
            continue;
        }
        for character in CHARACTERS.chars() {
            let hex: String = character.to_string().bytes().map(|byte| format!("{byte:02X}")).collect();
            let sql = format!("SELECT HEX(CONVERT(_utf8mb4 x'{hex}' USING {name}))");
            let hex = text(&client.must(&sql)[0][0]);
            let bytes: Vec<u8> = hex
                .as_bytes()
                .chunks(2)
                .map(|pair| {
                    u8::from_str_radix(std::str::from_utf8(pair).expect("the server answers so"), 16)
                        .expect("the server answers so")
                })
                .collect();
            if bytes == b"?" {
                continue;
            }
            if let [byte] = bytes[..] {
                table[usize::from(byte)] = Some(character);
            }
            set.learn(&bytes, character);
            sets.insert(((*name).to_owned(), character), bytes);
        }
        match *name {
            "utf8mb4" => {}
            "latin1" | "cp850" => charsets.learn_charset(name, Charset::Table(Arc::new(table))),
            _ => charsets.learn_charset(name, Charset::Multibyte(Arc::new(set))),
        }
    }
    (Encoder { sets }, charsets)
}
