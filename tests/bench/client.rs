//! A subscriber that decodes every row, as a generated client does, and adds up what it got.

use crate::harness::tailwater::Door;
use prost::Message as _;
use tailwater::wire::api::types::v1::{Decimal, Instant, LocalDateTime, decimal};
use tailwater::wire::api::v1::frame::Frame;
use tailwater::wire::api::v1::subscribe_request::From;
use tailwater::wire::api::v1::{Boundary, Op, SubscribeRequest};

/// The table's message.
#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(sint64, optional, tag = "1")]
    id: Option<i64>,
    #[prost(sint32, optional, tag = "2")]
    customer_id: Option<i32>,
    #[prost(string, optional, tag = "3")]
    order_no: Option<String>,
    #[prost(string, optional, tag = "4")]
    status: Option<String>,
    #[prost(string, optional, tag = "5")]
    currency: Option<String>,
    #[prost(message, optional, tag = "6")]
    amount: Option<Decimal>,
    #[prost(message, optional, tag = "7")]
    tax: Option<Decimal>,
    #[prost(string, optional, tag = "8")]
    region: Option<String>,
    #[prost(message, optional, tag = "9")]
    created_at: Option<Instant>,
    #[prost(message, optional, tag = "10")]
    updated_at: Option<LocalDateTime>,
    #[prost(string, optional, tag = "11")]
    note: Option<String>,
}

const COLUMNS: [&str; 11] = [
    "id",
    "customer_id",
    "order_no",
    "status",
    "currency",
    "amount",
    "tax",
    "region",
    "created_at",
    "updated_at",
    "note",
];

/// Of all rows as the updates left them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub inserts: u64,
    pub updates: u64,
    pub ids: i128,
    pub cents: i128,
}

/// Reads so many changes from the earliest on.
pub async fn read(door: &Door, changes: u64) -> Sums {
    let mut client = loop {
        // The process has only been started.
        match door.subscriptions().await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    let from = Some(From::Boundary(Boundary::Earliest.into()));
    let request = SubscribeRequest { tables: vec!["erp.*.orders".into()], from, ..Default::default() };
    let mut stream = client.subscribe(door.request(request)).await.expect("the operator may subscribe").into_inner();
    let mut sums = Sums::default();
    while sums.inserts + sums.updates < changes {
        let response = stream.message().await.expect("the stream goes on").expect("it does not end");
        for frame in response.frames {
            match frame.frame {
                Some(Frame::Changes(some)) => some.changes.iter().for_each(|change| sums.add(change)),
                Some(Frame::Schema(schema)) => {
                    let message = &prost_types::FileDescriptorProto::decode(&*schema.descriptor)
                        .expect("a descriptor")
                        .message_type[0];
                    let names: Vec<_> = message.field.iter().map(|field| (field.number(), field.json_name())).collect();
                    assert_eq!(names, (1..).zip(COLUMNS).collect::<Vec<_>>(), "the message is the one that is decoded");
                }
                _ => {}
            }
        }
    }
    sums
}

impl Sums {
    fn add(&mut self, change: &tailwater::wire::api::v1::Change) {
        let row = Order::decode(&**change.after.as_ref().expect("a row")).expect("an order");
        match change.op() {
            Op::Insert => self.inserts += 1,
            Op::Update => {
                self.updates += 1;
                self.ids += i128::from(row.id.expect("a key"));
                self.cents += match row.amount.and_then(|amount| amount.kind) {
                    Some(decimal::Kind::Value(text)) => text.replace('.', "").parse::<i128>().expect("a number"),
                    other => panic!("an amount of {other:?}"),
                };
            }
            other => panic!("{other:?}"),
        }
        assert!(row.status.is_some() && row.created_at.is_some() && row.updated_at.is_some() && row.note.is_some());
    }
}
