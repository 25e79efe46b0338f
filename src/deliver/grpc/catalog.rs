//! `CatalogService`: what there is to subscribe to, as far as the caller may see it.

use super::gate;
use crate::config::Access;
use crate::deliver::class::{Asked, Class};
use crate::deliver::refusal::Refusal;
use crate::deliver::subject::Subject;
use crate::journal::Journal;
use crate::model::schema::{Column, TableSchema};
use crate::wire::api::v1;
use crate::wire::api::v1::catalog_service_server::CatalogService;
use crate::wire::descriptor;
use prost::Message as _;
use std::sync::Arc;
use tonic::{Request, Response, Status};

pub struct Catalog {
    pub journal: Journal,
    pub access: Arc<Access>,
}

impl Catalog {
    fn visible(
        &self,
        subject: &Subject,
        tables: &[String],
        entities: &[String],
    ) -> Result<Vec<Arc<TableSchema>>, Refusal> {
        let class = Class::new(&self.access, subject, &Asked { tables: tables.to_vec(), entities: entities.to_vec() })?;
        let mut schemas = self.journal.current_schemas();
        class.check_names(&schemas)?;
        schemas.retain(|schema| class.view(schema).sees_anything());
        for schema in &mut schemas {
            *schema = Arc::new(class.view(schema).described(schema));
        }
        schemas.sort_by_key(|schema| schema.full_name());
        Ok(schemas)
    }
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn list_tables(
        &self,
        request: Request<v1::ListTablesRequest>,
    ) -> Result<Response<v1::ListTablesResponse>, Status> {
        let (subject, asked) = (gate::subject(&request)?, request.get_ref());
        let visible = self.visible(&subject, &asked.tables, &asked.entities)?;
        Ok(Response::new(v1::ListTablesResponse { tables: visible.iter().map(|schema| table(schema)).collect() }))
    }

    async fn get_descriptors(
        &self,
        request: Request<v1::GetDescriptorsRequest>,
    ) -> Result<Response<v1::GetDescriptorsResponse>, Status> {
        let (subject, asked) = (gate::subject(&request)?, request.get_ref());
        let visible = self.visible(&subject, &asked.tables, &asked.entities)?;
        let file_descriptor_set = descriptor::set(&visible).encode_to_vec().into();
        Ok(Response::new(v1::GetDescriptorsResponse { file_descriptor_set }))
    }
}

fn table(schema: &TableSchema) -> v1::Table {
    v1::Table {
        system: schema.system.to_string(),
        schema: schema.name.schema.to_string(),
        table: schema.name.table.to_string(),
        type_name: schema.type_name.to_string(),
        schema_id: schema.id.0,
        columns: schema.columns.iter().map(column).collect(),
    }
}

fn column(column: &Column) -> v1::Column {
    v1::Column {
        name: column.shape.name.to_string(),
        field: column.field.to_string(),
        number: column.number,
        declared_type: column.shape.declared_type.to_string(),
        key: column.shape.key,
    }
}
