//! The two listeners, bound before anything else starts, so that a port in use costs nothing.

use super::endpoints::Endpoints;
use super::error::Error;
use crate::config::Server;
use crate::model::code;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

pub(super) struct Listeners {
    pub grpc: TcpListener,
    pub http: TcpListener,
    /// With the ports that the system chose.
    pub endpoints: Endpoints,
}

impl Listeners {
    pub async fn bind(server: &Server) -> Result<Self, Error> {
        let grpc = bind("server.grpc", server.grpc).await?;
        let http = bind("server.http", server.http).await?;
        let endpoints = endpoints(&grpc, &http).map_err(|error| Error::refused(code::APP_LISTEN, error.to_string()))?;
        Ok(Self { grpc, http, endpoints })
    }
}

fn endpoints(grpc: &TcpListener, http: &TcpListener) -> io::Result<Endpoints> {
    Ok(Endpoints { grpc: grpc.local_addr()?, http: http.local_addr()?, pid: std::process::id() })
}

async fn bind(option: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    let refused = |error| Error::refused(code::APP_LISTEN, format!("{option} {address}: {error}"));
    TcpListener::bind(address).await.map_err(refused)
}
