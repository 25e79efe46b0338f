//! What a database's bytes mean, as its server says.

use super::fault::Fault;
use super::simple_query::Connection;
use crate::decode::postgres::charset::Charset;

/// The server's encodings with one byte for each character, and which bytes from 128 on are none, in hexadecimal digits. The
/// server is not asked for these: each would be an error in its log.
const SINGLE_BYTE: &[(&str, &str)] = &[
    ("LATIN1", ""),
    ("LATIN2", ""),
    ("LATIN3", "a5 ae be c3 d0 e3 f0"),
    ("LATIN4", ""),
    ("LATIN5", ""),
    ("LATIN6", ""),
    ("LATIN7", ""),
    ("LATIN8", ""),
    ("LATIN9", ""),
    ("LATIN10", ""),
    ("ISO_8859_5", ""),
    (
        "ISO_8859_6",
        "a1 a2 a3 a5 a6 a7 a8 a9 aa ab ae af b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 ba bc bd be c0 db dc dd de df f3 f4 f5 f6 f7 f8 f9 fa fb fc fd fe ff",
    ),
    ("ISO_8859_7", "ae d2 ff"),
    (
        "ISO_8859_8",
        "a1 bf c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 ca cb cc cd ce cf d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 da db dc dd de fb fc ff",
    ),
    ("KOI8R", ""),
    ("KOI8U", ""),
    ("WIN866", ""),
    ("WIN874", "81 82 83 84 86 87 88 89 8a 8b 8c 8d 8e 8f 90 98 99 9a 9b 9c 9d 9e 9f db dc dd de fc fd fe ff"),
    ("WIN1250", "81 83 88 90 98"),
    ("WIN1251", "98"),
    ("WIN1252", "81 8d 8f 90 9d"),
    ("WIN1253", "81 88 8a 8c 8d 8e 8f 90 98 9a 9c 9d 9e 9f aa d2 ff"),
    ("WIN1254", "81 8d 8e 8f 90 9d 9e"),
    ("WIN1255", "81 8a 8c 8d 8e 8f 90 9a 9c 9d 9e 9f ca d9 da db dc dd de df fb fc ff"),
    ("WIN1256", ""),
    ("WIN1257", "81 83 88 8a 8c 90 98 9a 9c 9f a1 a5"),
    ("WIN1258", "81 8a 8d 8e 8f 90 9a 9d 9e"),
];

/// `None`: not one of these encodings, so the server converts.
///
/// # Errors
/// Those of the connection, and [`Fault::Server`] from a server that has fewer characters.
pub(super) async fn read(connection: &mut Connection, encoding: &str) -> Result<Option<Charset>, Fault> {
    let Some((encoding, undefined)) = SINGLE_BYTE.iter().find(|(known, _)| *known == encoding) else {
        return Ok(None);
    };
    let is_defined = |byte: &u8| !undefined.contains(&format!("{byte:02x}"));
    let bytes: Vec<u8> = (128..=u8::MAX).filter(is_defined).collect();
    let rows = connection.query(&characters_of(encoding, &bytes)).await?;
    let mut high = vec![None; 128];
    for (row, byte) in rows.iter().zip(bytes) {
        if let Some(character) = high.get_mut(usize::from(byte) - 128) {
            *character = row.text(0).and_then(character_of);
        }
    }
    Ok(Some(Charset::new(high)))
}

fn characters_of(encoding: &str, bytes: &[u8]) -> String {
    let bytes = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
    format!(
        "SELECT pg_catalog.encode(pg_catalog.convert(pg_catalog.set_byte(pg_catalog.decode('00', 'hex'), 0, n), \
         '{encoding}', 'UTF8'), 'hex') FROM pg_catalog.unnest(ARRAY[{bytes}]) AS n ORDER BY n"
    )
}

/// Of its UTF-8 in hexadecimal digits.
fn character_of(hex: &str) -> Option<char> {
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
    let bytes = bytes.collect::<Option<Vec<_>>>()?;
    let mut characters = std::str::from_utf8(&bytes).ok()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::postgres::simple_query::Purpose;
    use crate::source::postgres::tests::TestServer;

    #[tokio::test]
    async fn the_bytes_that_are_no_character_are_the_servers() {
        let server = TestServer::start("");
        let mut connection = Connection::open(&server.system().endpoint, Purpose::Queries).await.expect("a server");
        for (encoding, undefined) in SINGLE_BYTE {
            for byte in 128..=u8::MAX {
                let answer = connection.query(&characters_of(encoding, &[byte])).await;
                let is_defined = match &answer {
                    Ok(rows) => rows.first().and_then(|row| row.text(0)).and_then(character_of).is_some(),
                    Err(Fault::Server(error)) => error.sqlstate != "22P05",
                    Err(fault) => panic!("{encoding} {byte:02x}: {fault}"),
                };
                assert_eq!(is_defined, !undefined.contains(&format!("{byte:02x}")), "{encoding} {byte:02x}");
            }
        }
    }
}
