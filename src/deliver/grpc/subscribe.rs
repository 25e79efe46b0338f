//! `SubscriptionService`, by hand where the generated server would decode and encode again what is already on the wire.
//!
//! `Subscribe` answers with serialised responses; `Acknowledge` is an ordinary call. Clients use the generated code for both.

use super::rules::{ACKNOWLEDGE, SUBSCRIBE};
use super::{StatusSource, captured, gate};
use crate::config::Access;
use crate::deliver::class::{Asked, Class};
use crate::deliver::cursor::Sealer;
use crate::deliver::refusal::{Kind, Refusal};
use crate::deliver::resume::From;
use crate::deliver::state;
use crate::deliver::subject::Subject;
use crate::deliver::subscriptions::{Gap, Name, Subscriptions};
use crate::deliver::tail::Tail;
use crate::journal::Journal;
use crate::model::code;
use crate::wire::api::v1;
use bytes::{BufMut as _, Bytes};
use futures_util::stream::{Stream, unfold};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::{ProstCodec, ProstDecoder};
use v1::subscribe_request::From as RequestFrom;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Frames = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// What both calls need.
pub struct Shared {
    pub journal: Journal,
    pub access: Arc<Access>,
    pub subscriptions: Arc<Subscriptions>,
    pub status: StatusSource,
    pub stop: CancellationToken,
    pub request_bytes_max: usize,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct SubscriptionService(pub Arc<Shared>);

impl Shared {
    async fn subscribe(&self, subject: &Subject, request: v1::SubscribeRequest) -> Result<Frames, Refusal> {
        let class = self.class(subject, &request)?;
        let name = match request.subscription.as_str() {
            "" => None,
            name => Some(Name::new(name)?),
        };
        let from = self.asked_from(request.from, &class)?;
        let gap = if request.accept_gap { Gap::Accepted } else { Gap::Refused };
        if self.stop.is_cancelled() {
            return Err(Refusal::new(Kind::Unavailable, code::SERVER_STOPPING, "shutting down"));
        }
        let claim = self.subscriptions.claim(subject, name.as_ref(), request.takeover)?;
        let start = self.subscriptions.start(subject, name.as_ref(), from, gap).await?;
        let sealer = Sealer::of(&self.journal);
        let tail = Box::new(Tail::new(self.journal.clone(), sealer, class, claim, start, self.stop.clone()));
        Ok(Box::pin(unfold(tail, |mut tail| async {
            let item = tail.next().await?;
            Some((item.map_err(Status::from), tail))
        })))
    }

    fn class(&self, subject: &Subject, request: &v1::SubscribeRequest) -> Result<Class, Refusal> {
        if request.tables.is_empty() && request.entities.is_empty() {
            let message = "tables, entities: at least one is needed; `*` means all that you may see";
            return Err(Refusal::new(Kind::Invalid, code::REQUEST_INVALID, message));
        }
        if !request.entities.is_empty() && self.access.entities.is_empty() {
            return Err(Refusal::new(Kind::Invalid, code::ENTITIES_NOT_OFFERED, "entities: none are defined here"));
        }
        let asked = Asked { tables: request.tables.clone(), entities: request.entities.clone() };
        let class = Class::new(&self.access, subject, &asked)?;
        class.check_names(&self.journal.current_schemas())?;
        Ok(class)
    }

    fn asked_from(&self, from: Option<RequestFrom>, class: &Class) -> Result<From, Refusal> {
        let boundary = match from {
            None => return Ok(From::Latest),
            Some(RequestFrom::Cursor(cursor)) => return Ok(From::Cursor(cursor)),
            Some(RequestFrom::Boundary(boundary)) => boundary,
        };
        match v1::Boundary::try_from(boundary) {
            Ok(v1::Boundary::Earliest) => Ok(From::Earliest),
            Ok(v1::Boundary::Latest | v1::Boundary::Unspecified) => Ok(From::Latest),
            Ok(v1::Boundary::State) => {
                let out_of_reach = captured::out_of_reach(&(self.status)());
                Ok(From::State(state::tables(&self.journal, class, out_of_reach)))
            }
            Err(_) => Err(Refusal::new(Kind::Invalid, code::REQUEST_INVALID, "boundary: EARLIEST, LATEST or STATE")),
        }
    }

    async fn acknowledge(
        &self,
        subject: &Subject,
        request: v1::AcknowledgeRequest,
    ) -> Result<v1::AcknowledgeResponse, Refusal> {
        let name = Name::new(&request.subscription)?;
        let held = self.subscriptions.acknowledge(subject, &name, &request.cursor).await?;
        Ok(v1::AcknowledgeResponse { cursor: Sealer::of(&self.journal).seal(held) })
    }
}

impl NamedService for SubscriptionService {
    const NAME: &'static str = "tailwater.v1.SubscriptionService";
}

impl tower::Service<http::Request<Body>> for SubscriptionService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let limit = shared.request_bytes_max;
            Ok(match request.uri().path() {
                SUBSCRIBE => {
                    let mut grpc = Grpc::new(SerialisedCodec).max_decoding_message_size(limit);
                    grpc.server_streaming(Subscribe(shared), request).await
                }
                ACKNOWLEDGE => {
                    let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(limit);
                    grpc.unary(Acknowledge(shared), request).await
                }
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

struct Subscribe(Arc<Shared>);

impl ServerStreamingService<v1::SubscribeRequest> for Subscribe {
    type Response = Bytes;
    type ResponseStream = Frames;
    type Future = BoxFuture<Result<Response<Frames>, Status>>;

    fn call(&mut self, request: Request<v1::SubscribeRequest>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let subject = gate::subject(&request)?;
            Ok(Response::new(shared.subscribe(&subject, request.into_inner()).await?))
        })
    }
}

struct Acknowledge(Arc<Shared>);

impl UnaryService<v1::AcknowledgeRequest> for Acknowledge {
    type Response = v1::AcknowledgeResponse;
    type Future = BoxFuture<Result<Response<v1::AcknowledgeResponse>, Status>>;

    fn call(&mut self, request: Request<v1::AcknowledgeRequest>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let subject = gate::subject(&request)?;
            Ok(Response::new(shared.acknowledge(&subject, request.into_inner()).await?))
        })
    }
}

/// Decodes `SubscribeRequest`; takes responses that are serialised already.
struct SerialisedCodec;

impl Codec for SerialisedCodec {
    type Encode = Bytes;
    type Decode = v1::SubscribeRequest;
    type Encoder = Serialised;
    type Decoder = ProstDecoder<v1::SubscribeRequest>;

    fn encoder(&mut self) -> Serialised {
        Serialised
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

struct Serialised;

impl Encoder for Serialised {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(item.len());
        out.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        // A response is a batch already and goes out at once; the buffer starts small, as most streams are quiet.
        BufferSettings::new(1024, 1)
    }
}
