//! What a client may use up of HTTP/2. Nothing is left at the library's default.
//!
//! The cap on connections and the handshake and idle times are enforced below HTTP/2, in `listen` and `connection`; the
//! size of a request by each service.

use crate::config::Limits;
use tonic::transport::Server;

/// What a client may have under way to us. Requests are small; what we send is bounded by the client's own windows.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// The largest frame that we take; the least that HTTP/2 allows.
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Streams that a client opened and reset before they were looked at ("rapid reset"), before the connection is closed.
const RESET_STREAMS_PENDING_MAX: usize = 32;
/// Streams that we reset for a client's errors, before the connection is closed.
const RESET_STREAMS_OWN_MAX: usize = 256;

/// A peer that answers no ping for this part of the idle time is gone; pings come as often.
const PING_PART: u32 = 2;

pub fn server(limits: &Limits) -> Server {
    let ping = limits.idle_max / PING_PART;
    Server::builder()
        .accept_http1(false)
        .max_concurrent_streams(limits.streams_per_connection_max)
        .concurrency_limit_per_connection(limits.streams_per_connection_max as usize)
        .http2_max_header_list_size(limits.header_bytes_max)
        .http2_keepalive_interval(Some(ping))
        .http2_keepalive_timeout(Some(ping))
        .http2_adaptive_window(Some(false))
        .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS_PENDING_MAX))
        .http2_max_local_error_reset_streams(Some(RESET_STREAMS_OWN_MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
}
