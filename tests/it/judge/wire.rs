//! A client of a few lines over the server's socket: bytes in, bytes out, so that statements can be in any character set.
//! A driver would convert them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

pub struct Client {
    stream: UnixStream,
}

pub type Row = Vec<Option<Vec<u8>>>;

impl Client {
    pub fn connect(socket: &str) -> Self {
        let mut client = Self { stream: UnixStream::connect(socket).expect("the server runs") };
        let (_, greeting) = client.packet();
        let nul = greeting[1..].iter().position(|byte| *byte == 0).expect("the server answers so") + 2;
        let plugin_is = |name: &str| greeting[nul..].windows(name.len()).any(|window| window == name.as_bytes());
        let plugin = if plugin_is("caching_sha2_password") { "caching_sha2_password" } else { "mysql_native_password" };
        // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH
        let mut login = 0x8_8200_u32.to_le_bytes().to_vec();
        login.extend(0x100_0000_u32.to_le_bytes());
        login.push(45);
        login.extend([0; 23]);
        login.extend(b"root\0\0");
        login.extend(plugin.as_bytes());
        login.push(0);
        client.send(1, &login);
        loop {
            let (number, packet) = client.packet();
            match packet.first() {
                Some(0) => return client,
                Some(0xFE) => client.send(number + 1, b""),
                Some(1) => {}
                _ => panic!("{}", String::from_utf8_lossy(&packet)),
            }
        }
    }

    fn send(&mut self, number: u8, body: &[u8]) {
        let mut packet = (body.len() as u32).to_le_bytes()[..3].to_vec();
        packet.push(number);
        packet.extend(body);
        self.stream.write_all(&packet).expect("the server runs");
    }

    fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).expect("the server runs");
        let mut body = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
        self.stream.read_exact(&mut body).expect("the server runs");
        (head[3], body)
    }

    /// Rows, or the server's message.
    pub fn query(&mut self, sql: &[u8]) -> Result<Vec<Row>, String> {
        self.send(0, &[b"\x03", sql].concat());
        let (_, first) = self.packet();
        match first[0] {
            0 => return Ok(Vec::new()),
            0xFF => return Err(String::from_utf8_lossy(&first[3..]).into_owned()),
            _ => {}
        }
        let columns = first[0];
        for _ in 0..=columns {
            self.packet();
        }
        let mut rows = Vec::new();
        loop {
            let (_, packet) = self.packet();
            match packet[0] {
                0xFE if packet.len() < 9 => return Ok(rows),
                0xFF => return Err(String::from_utf8_lossy(&packet[3..]).into_owned()),
                _ => rows.push(row(&packet)),
            }
        }
    }

    pub fn must(&mut self, sql: &str) -> Vec<Row> {
        self.query(sql.as_bytes()).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

fn row(mut packet: &[u8]) -> Row {
    let mut row = Vec::new();
    while let Some((first, rest)) = packet.split_first() {
        let (length, rest) = match first {
            0xFB => {
                row.push(None);
                packet = rest;
                continue;
            }
            0xFC => (usize::from(rest[0]) | usize::from(rest[1]) << 8, &rest[2..]),
            small => (usize::from(*small), rest),
        };
        row.push(Some(rest[..length].to_vec()));
        packet = &rest[length..];
    }
    row
}
