//! `AdminService`: the app says how the sources and the journal are, this server how the subscriptions are.

use super::StatusSource;
use crate::deliver::subscriptions::Subscriptions;
use crate::wire::api::v1;
use crate::wire::api::v1::admin_service_server::AdminService;
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub struct Admin {
    pub status: StatusSource,
    pub subscriptions: Arc<Subscriptions>,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::GetStatusResponse>, Status> {
        let subscriptions = self.subscriptions.status();
        Ok(Response::new(v1::GetStatusResponse { subscriptions, ..(self.status)() }))
    }
}
