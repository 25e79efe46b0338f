//! A socket on a thread of its own, for a stream of many small packets. A walsender sends each row by itself; on the runtime's
//! shared poll each of them wakes a thread, which costs more than the row. Here, once small reads follow each other closely,
//! the thread sleeps a moment before the next and nobody is woken meanwhile.
//!
//! Surprises: the moment is shorter than the runtime's timers can be, so it is the thread that sleeps; and what is written waits
//! for the end of a moment, too.

use bytes::{Buf, Bytes};
use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::PollSender;

/// One read takes up to this much.
const READ_BYTES: usize = 256 * 1024;
/// Reads, and writes, that wait to be taken.
const QUEUE: usize = 2;
/// How long either side may take for the last that it has to say.
const LAST_WORDS_MAX: Duration = Duration::from_secs(2);

/// The runtime's end.
pub struct Relay {
    reads: mpsc::Receiver<io::Result<Bytes>>,
    left: Bytes,
    writes: PollSender<Bytes>,
    /// Errs once the thread has nothing to do any more.
    ended: oneshot::Receiver<Infallible>,
}

impl Relay {
    /// Moves a socket to a thread that lives as long as both it and its reader do. `open`: makes it, on that thread's runtime.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn over<S, O>(open: O) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite,
        O: FnOnce() -> io::Result<S> + Send + 'static,
    {
        let (read, reads) = mpsc::channel(QUEUE);
        let (writes, written) = mpsc::channel(QUEUE);
        let (at_its_end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("socket".to_owned()).spawn(move || {
            let _at_its_end = at_its_end;
            runtime.block_on(async {
                let ended = match open() {
                    Ok(socket) => carry(socket, &read, written).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = ended {
                    // Whoever read from it may have gone.
                    let _ = read.send(Err(error)).await;
                }
            });
        })?;
        Ok(Self { reads, left: Bytes::new(), writes: PollSender::new(writes), ended })
    }
}

/// Until one side is at its end: the server's, or ours once everything is written.
async fn carry(
    socket: impl AsyncRead + AsyncWrite,
    reads: &mpsc::Sender<io::Result<Bytes>>,
    mut writes: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let (mut input, mut output) = tokio::io::split(socket);
    let incoming = async {
        let (mut pace, mut buffer) = (Pace::default(), vec![0; READ_BYTES]);
        while let Ok(room) = reads.reserve().await {
            pace.wait();
            let bytes = input.read(&mut buffer).await?;
            if bytes == 0 {
                return Ok(());
            }
            pace.read(bytes, Instant::now());
            room.send(Ok(Bytes::copy_from_slice(buffer.get(..bytes).unwrap_or_default())));
        }
        // Nobody reads any more; what was said last is still on its way.
        tokio::time::sleep(LAST_WORDS_MAX).await;
        Ok(())
    };
    let outgoing = async {
        while let Some(bytes) = writes.recv().await {
            output.write_all(&bytes).await?;
        }
        output.shutdown().await
    };
    let mut incoming = std::pin::pin!(incoming);
    let ended = tokio::select! {
        ended = &mut incoming => return ended,
        ended = outgoing => ended,
    };
    if ended.is_err() {
        // A server that takes nothing any more may have said why.
        let _ = timeout(LAST_WORDS_MAX, incoming).await;
    }
    ended
}

impl AsyncRead for Relay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left.is_empty() {
            match ready!(self.reads.poll_recv(context)) {
                Some(Ok(bytes)) => self.left = bytes,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let bytes = self.left.len().min(buffer.remaining());
        buffer.put_slice(self.left.get(..bytes).unwrap_or_default());
        self.left.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Relay {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.writes.poll_reserve(context)).map_err(broken)?;
        self.writes.send_item(Bytes::copy_from_slice(bytes)).map_err(broken)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// What was handed over is written as soon as the server takes it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ready once everything is written.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writes.close();
        if self.ended.is_terminated() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.ended).poll(context).map(|_| Ok(()))
    }
}

/// Whether small reads follow each other so closely that waiting a moment saves most of them.
#[derive(Debug, Default)]
struct Pace {
    last: Option<Instant>,
    /// Reads in a row that were small and close.
    close: u32,
}

impl Pace {
    const MOMENT: Duration = Duration::from_micros(150);
    /// Reads closer than this, so many of them, are a flow.
    const CLOSE: Duration = Duration::from_micros(300);
    const FLOWS_AFTER: u32 = 16;
    /// Less than this after a moment is no flow any more; more than this at once needs no moment.
    const FLOW_BYTES: usize = 2 * 1024;
    const LARGE_BYTES: usize = READ_BYTES / 2;

    /// Before a read.
    fn wait(&self) {
        if self.flows() {
            std::thread::sleep(Self::MOMENT);
        }
    }

    /// After a read.
    fn read(&mut self, bytes: usize, now: Instant) {
        if self.flows() {
            if !(Self::FLOW_BYTES..Self::LARGE_BYTES).contains(&bytes) {
                *self = Self::default();
            }
            return;
        }
        let is_close = self.last.is_some_and(|last| now.duration_since(last) < Self::CLOSE);
        self.close = if is_close && bytes < Self::LARGE_BYTES { self.close + 1 } else { 0 };
        self.last = Some(now);
    }

    fn flows(&self) -> bool {
        self.close >= Self::FLOWS_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    #[test]
    fn only_small_reads_in_close_succession_are_a_flow_and_it_ends_with_them() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut reads = |pace: &mut Pace, count: u32, bytes: usize, apart: Duration| {
            for _ in 0..count {
                now += apart;
                pace.read(bytes, now);
            }
        };
        reads(&mut pace, 100, 200, Duration::from_millis(1));
        assert!(!pace.flows(), "an ordinary load");
        reads(&mut pace, 100, Pace::LARGE_BYTES, Duration::from_micros(5));
        assert!(!pace.flows(), "they have gathered by themselves");
        reads(&mut pace, Pace::FLOWS_AFTER, 200, Duration::from_micros(5));
        assert!(pace.flows());
        reads(&mut pace, 5, Pace::FLOW_BYTES, Duration::from_micros(200));
        assert!(pace.flows());
        reads(&mut pace, 1, 200, Duration::from_micros(200));
        assert!(!pace.flows());
    }

    #[tokio::test]
    async fn bytes_come_and_go_in_order_and_both_ends_are_noticed() {
        let (mut relay, mut socket) = pair().await;
        let server = tokio::spawn(async move {
            for number in 0..20_000_u32 {
                socket.write_all(&number.to_be_bytes()).await.expect("the client reads");
            }
            let mut said = String::new();
            socket.read_to_string(&mut said).await.expect("until it is shut");
            said
        });
        for number in 0..20_000_u32 {
            assert_eq!(relay.read_u32().await.expect("it sends"), number);
        }
        relay.write_all(b"good").await.expect("it reads");
        relay.write_all(b"bye").await.expect("it reads");
        drop(relay);
        assert_eq!(server.await.expect("no panic"), "goodbye");
    }

    /// A relay, and the other end of its socket.
    async fn pair() -> (Relay, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let socket = TcpStream::connect(address).await.and_then(TcpStream::into_std).expect("it listens");
        let relay = Relay::over(move || TcpStream::from_std(socket)).expect("a thread");
        (relay, listener.accept().await.expect("a client").0)
    }

    #[tokio::test]
    async fn once_it_is_shut_down_everything_is_written() {
        let (mut relay, mut server) = pair().await;
        relay.write_all(b"goodbye").await.expect("it reads");
        server.write_all(b"nobody reads this").await.expect("a buffer takes it");
        relay.shutdown().await.expect("it is shut");
        let mut said = [0; 16];
        let bytes = server.try_read(&mut said).expect("without waiting");
        assert_eq!(said.get(..bytes), Some(&b"goodbye"[..]));
    }

    #[tokio::test]
    async fn the_last_words_of_a_server_that_takes_nothing_any_more_arrive() {
        let (input, mut server) = tokio::io::duplex(64);
        let (output, gone) = tokio::io::duplex(64);
        drop(gone);
        let mut relay = Relay::over(move || Ok(tokio::io::join(input, output))).expect("a thread");
        relay.write_all(b"refused").await.expect("it is handed over");
        tokio::time::sleep(LAST_WORDS_MAX / 8).await;
        server.write_all(b"bye").await.expect("it is read");
        let mut said = [0; 3];
        relay.read_exact(&mut said).await.expect("the last words");
        assert_eq!(&said, b"bye");
    }
}
