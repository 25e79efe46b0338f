//! The read half: bytes in large reads, frames out as spans of the buffer.
//!
//! A frame is one backend message: a tag byte, a length that counts itself, a body. Nothing is copied or allocated for
//! each. Surprise: the buffer grows as bytes arrive, never to what a length field promises, and shrinks again after a huge
//! message, so neither a hostile length nor one 1 GiB row costs memory for good.

use super::fault::Fault;
use crate::decode::postgres::charset::Charset;
use crate::source::buffer::shrink;
use std::ops::Range;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// One read asks for up to this much.
const READ_BYTES: usize = 512 * 1024;
const HEADER_BYTES: usize = 5;

/// One backend message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    pub tag: u8,
    pub body: &'a [u8],
}

/// What the log's messages stand behind, in a frame of the stream: `w`, two places and a time.
const LOG_HEADER_BYTES: usize = 25;

impl<'a> Frame<'a> {
    /// The same with its text in UTF-8, which is written to `text`.
    fn in_utf8(self, charset: &Charset, text: &'a mut Vec<u8>) -> Self {
        if self.body.is_ascii() {
            return self;
        }
        text.clear();
        shrink(text);
        match (self.tag, self.body.split_at_checked(LOG_HEADER_BYTES)) {
            (b'D', _) => charset.row(self.body, text),
            (b'd', Some((header, message))) if header.starts_with(b"w") => {
                text.extend_from_slice(header);
                charset.message(message, text);
            }
            // Names of fields and their texts, all of it text.
            (b'E' | b'N', _) => charset.text(self.body, text),
            _ => return self,
        }
        Self { body: text, ..self }
    }
}

pub struct Frames<R> {
    read: R,
    silence_max: Duration,
    /// Unread frames are at `filled`; what lies behind it is room.
    buffer: Vec<u8>,
    filled: Range<usize>,
    /// The server sends its own bytes, of this character set.
    charset: Option<Charset>,
    /// A frame in UTF-8.
    text: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(read: R, silence_max: Duration) -> Self {
        Self { read, silence_max, buffer: vec![0; READ_BYTES], filled: 0..0, charset: None, text: Vec::new() }
    }

    /// The next frame that has already arrived whole.
    ///
    /// # Errors
    /// [`Fault::Protocol`] when the length is impossible.
    pub fn buffered(&mut self) -> Result<Option<Frame<'_>>, Fault> {
        let Some(total) = self.frame_bytes()? else { return Ok(None) };
        if self.filled.len() < total {
            return Ok(None);
        }
        let start = self.filled.start;
        self.filled.start += total;
        let frame = Frame { tag: self.buffer[start], body: &self.buffer[start + HEADER_BYTES..start + total] };
        Ok(Some(match &self.charset {
            Some(charset) => frame.in_utf8(charset, &mut self.text),
            None => frame,
        }))
    }

    /// From here on the server sends its own bytes.
    pub fn set_charset(&mut self, charset: Charset) {
        self.charset = Some(charset);
    }

    pub fn charset(&self) -> Option<&Charset> {
        self.charset.as_ref()
    }

    /// Gives what held before.
    pub fn set_silence_max(&mut self, silence_max: Duration) -> Duration {
        std::mem::replace(&mut self.silence_max, silence_max)
    }

    /// Waits for more bytes. Cancel-safe: what was read is kept.
    ///
    /// # Errors
    /// [`Fault::Closed`], [`Fault::Io`], and [`Fault::Silent`] when nothing came for `silence_max`.
    pub async fn fill(&mut self) -> Result<(), Fault> {
        self.make_room();
        let room = &mut self.buffer[self.filled.end..];
        let silence_max = self.silence_max;
        let read = timeout(silence_max, self.read.read(room)).await.map_err(|_| Fault::Silent(silence_max))??;
        if read == 0 {
            return Err(Fault::Closed);
        }
        self.filled.end += read;
        Ok(())
    }

    /// The next frame, waiting for it. Cancel-safe.
    ///
    /// # Errors
    /// As [`Self::buffered`] and [`Self::fill`].
    pub async fn next(&mut self) -> Result<Frame<'_>, Fault> {
        while self.frame_bytes()?.is_none_or(|total| self.filled.len() < total) {
            self.fill().await?;
        }
        self.buffered()?.ok_or(Fault::Protocol("a frame vanished"))
    }

    /// The tag of the next frame, waiting until it is there as a whole. Cancel-safe.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn peek(&mut self) -> Result<u8, Fault> {
        while self.frame_bytes()?.is_none_or(|total| self.filled.len() < total) {
            self.fill().await?;
        }
        Ok(self.buffer[self.filled.start])
    }

    /// Header and body of the first frame, once its header is there.
    fn frame_bytes(&self) -> Result<Option<usize>, Fault> {
        let filled = &self.buffer[self.filled.clone()];
        let Some(header) = filled.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [_, length @ ..] = *header;
        match usize::try_from(i32::from_be_bytes(length)) {
            Ok(length) if length >= 4 => Ok(Some(length + 1)),
            _ => Err(Fault::Protocol("a message with an impossible length")),
        }
    }

    fn make_room(&mut self) {
        if self.filled.is_empty() {
            self.filled = 0..0;
        }
        if self.buffer.len() > READ_BYTES * 2 && self.filled.len() < READ_BYTES / 2 {
            let mut small = vec![0; READ_BYTES];
            small[..self.filled.len()].copy_from_slice(&self.buffer[self.filled.clone()]);
            self.filled = 0..self.filled.len();
            self.buffer = small;
        }
        // Moving a long rest for a little room would be quadratic: only when half the buffer comes free.
        if self.filled.start >= self.buffer.len() / 2 {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        if self.filled.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const SILENCE: Duration = Duration::from_millis(50);

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
        [&[tag], &length[..], body].concat()
    }

    #[tokio::test]
    async fn frames_split_at_every_byte_come_out_whole() {
        let (mut server, client) = tokio::io::duplex(1);
        let mut frames = Frames::new(client, Duration::from_secs(5));
        tokio::spawn(async move {
            let bytes = [frame(b'd', b"hello"), frame(b'c', b""), frame(b'd', &[7; 300])].concat();
            server.write_all(&bytes).await.expect("the reader reads");
        });
        assert_eq!(frames.next().await.expect("a frame"), Frame { tag: b'd', body: b"hello" });
        assert_eq!(frames.next().await.expect("a frame"), Frame { tag: b'c', body: b"" });
        assert_eq!(frames.next().await.expect("a frame").body, [7; 300]);
        assert!(matches!(frames.next().await, Err(Fault::Closed)));
    }

    #[tokio::test]
    async fn a_huge_frame_passes_and_its_memory_is_given_back() {
        let (mut server, client) = tokio::io::duplex(1 << 20);
        let mut frames = Frames::new(client, Duration::from_secs(5));
        tokio::spawn(async move {
            server.write_all(&frame(b'd', &vec![9; 20 << 20])).await.expect("the reader reads");
            server.write_all(&frame(b'd', b"x")).await.expect("the reader reads");
            server.write_all(&frame(b'd', b"y")).await.expect("the reader reads");
        });
        let body = frames.next().await.expect("a frame").body;
        assert!(body.len() == 20 << 20 && body.iter().all(|byte| *byte == 9));
        assert_eq!(frames.next().await.expect("a frame").body, b"x");
        assert_eq!(frames.next().await.expect("a frame").body, b"y");
        let _ = frames.fill().await;
        assert!(frames.buffer.len() <= 2 * READ_BYTES);
    }

    #[tokio::test]
    async fn impossible_lengths_are_refused_and_promised_ones_cost_nothing() {
        for length in [0i32, 3, -1, i32::MIN] {
            let bytes = [&[b'd'][..], &length.to_be_bytes()].concat();
            let mut frames = Frames::new(&bytes[..], SILENCE);
            assert!(matches!(frames.next().await, Err(Fault::Protocol(_))), "{length}");
        }
        let bytes = [&[b'd'][..], &i32::MAX.to_be_bytes()].concat();
        let mut frames = Frames::new(&bytes[..], SILENCE);
        assert!(matches!(frames.next().await, Err(Fault::Closed)));
        assert_eq!(frames.buffer.len(), READ_BYTES);
    }

    #[tokio::test]
    async fn silence_is_a_fault_and_a_cancelled_wait_loses_nothing() {
        let (mut server, client) = tokio::io::duplex(64);
        let mut frames = Frames::new(client, SILENCE);
        let bytes = frame(b'd', b"split");
        server.write_all(&bytes[..7]).await.expect("room");
        frames.fill().await.expect("some bytes");
        assert!(matches!(frames.next().await, Err(Fault::Silent(_))));
        server.write_all(&bytes[7..]).await.expect("room");
        assert_eq!(frames.next().await.expect("a frame").body, b"split");
    }
}
