//! The layer in front of every handler: no call gets past it without a subject and a rule that lets it through.

use super::auth::Tokens;
use super::connection::{InUse, Usage};
use super::rules;
use crate::deliver::refusal::Refusal;
use crate::deliver::subject::Subject;
use bytes::Bytes;
use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Tokens>);

impl Gate {
    pub fn new(tokens: Tokens) -> Self {
        Self(Arc::new(tokens))
    }

    fn admit(&self, request: &Request<Body>) -> Result<Subject, Refusal> {
        let subject = self.0.authenticate(request.headers())?;
        rules::check(request.uri().path(), &subject)?;
        Ok(subject)
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let in_use = request.extensions().get::<Usage>().map(Usage::begin);
        let subject = match self.gate.admit(&request) {
            Ok(subject) => subject,
            Err(refusal) => {
                tracing::debug!(code = %refusal.problem.code, path = request.uri().path(), "call refused");
                return Box::pin(async { Ok(Status::from(refusal).into_http()) });
            }
        };
        request.extensions_mut().insert(subject);
        // The service that was polled ready is the one to call; its clone waits for the next call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let response = inner.call(request).await?;
            Ok(response.map(|body| Body::new(InUseBody { body, _in_use: in_use })))
        })
    }
}

/// The subject that the gate put into the request.
pub fn subject<T>(request: &tonic::Request<T>) -> Result<Subject, Status> {
    let found = request.extensions().get::<Subject>();
    found.cloned().ok_or_else(|| Status::internal("a call without a subject got past the gate"))
}

/// A response body that counts as a use of its connection until it is done.
struct InUseBody {
    body: Body,
    _in_use: Option<InUse>,
}

impl http_body::Body for InUseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
