//! Entities: a CRM on MariaDB and an ERP on PostgreSQL, a contract, and what becomes of changes on either side.
//!
//! The tables are those of Creme and Tryton that `config/contracts/customer.yaml` speaks of, with the columns that matter.

mod owners;
mod roles;
mod warehouse;

use crate::harness::mysql::{self, Kind, Server};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Setup, Tailwater};
use crate::harness::{eventually, holds};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

pub const WITHIN: Duration = Duration::from_secs(60);
const CONTRACT: &str = include_str!("../../../config/contracts/customer.yaml");

const CRM: &[&str] = &[
    "CREATE DATABASE creme",
    "CREATE TABLE creme.persons_address (id int AUTO_INCREMENT PRIMARY KEY, address text NOT NULL, zipcode varchar(20) NOT NULL, \
     city varchar(100) NOT NULL)",
    "CREATE TABLE creme.persons_organisation (cremeentity_ptr_id int PRIMARY KEY, name varchar(200) NOT NULL, \
     phone varchar(100) NOT NULL, tvaintra varchar(200) NOT NULL, billing_address_id int, subject_to_vat boolean NOT NULL DEFAULT 1)",
];
const ERP: &str = "CREATE TABLE party_party (id serial PRIMARY KEY, name varchar, active boolean DEFAULT true);
    CREATE TABLE party_identifier (id serial PRIMARY KEY, party int NOT NULL, type varchar, code varchar NOT NULL);
    CREATE TABLE party_address (id serial PRIMARY KEY, party int NOT NULL, sequence int, street text, postal_code varchar, city varchar)";

pub struct Scene {
    pub crm: Server,
    pub erp: Postgres,
    pub tailwater: Tailwater,
}

fn setup(crm: &Server, erp: &Postgres, sections: &str) -> Setup {
    let mut setup = Setup::new(erp).with("contracts: [customer.yaml]\n").with(sections);
    setup.systems = format!(
        "crm:\n  kind: mariadb\n  host: 127.0.0.1\n  port: {}\n  user: {}\n  password: {{env: CRM_PASSWORD}}\n  \
         tables: {{include: [\"creme.*\"]}}\n",
        crm.port,
        mysql::USER
    );
    setup.env.push(("CRM_PASSWORD".into(), mysql::PASSWORD.into()));
    setup
}

impl Scene {
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more sections. Tailwater itself is not started.
    pub async fn start_with(sections: &str) -> Self {
        let (crm, erp) = (Server::start(Kind::Mariadb).await, Postgres::start().await);
        for sql in CRM {
            crm.execute(sql).await;
        }
        crm.execute(&format!("GRANT SELECT ON creme.* TO {}", mysql::USER)).await;
        erp.execute_as_owner(ERP).await;
        let tailwater = Tailwater::new(&setup(&crm, &erp, sections));
        fs::write(tailwater.dir().join("customer.yaml"), CONTRACT).expect("the directory is ours");
        Self { crm, erp, tailwater }
    }

    pub fn setup(&self, sections: &str) -> Setup {
        setup(&self.crm, &self.erp, sections)
    }

    pub async fn organisation(&self, id: i64, name: &str, tax: &str, city: &str) {
        self.crm
            .execute(&format!("INSERT INTO creme.persons_address VALUES ({id}, 'Hauptstr. {id}', '10115', '{city}')"))
            .await;
        let values = format!("({id}, '{name}', '+49 {id}', '{tax}', {id}, 1)");
        self.crm.execute(&format!("INSERT INTO creme.persons_organisation VALUES {values}")).await;
    }

    pub async fn party(&self, id: i64, name: &str, tax: &str, city: &str) {
        self.erp
            .execute(&format!(
                "INSERT INTO party_party VALUES ({id}, '{name}');
                 INSERT INTO party_identifier VALUES ({id}, {id}, 'eu_vat', '{tax}');
                 INSERT INTO party_address VALUES ({id}, {id}, 1, 'Nebenstr. {id}', '20095', '{city}')"
            ))
            .await;
    }

    pub fn entity(&self) -> Value {
        self.tailwater.status_json()["govern"]["entities"][0].clone()
    }

    pub async fn followed(&self) {
        eventually("the entity is followed", WITHIN, async || {
            let entity = self.entity();
            holds(entity["state"] == "ENTITY_STATE_FOLLOWING", || entity.to_string())
        })
        .await;
    }
}

/// What each system calls an entity, and its fields.
pub type Entities = BTreeMap<(Option<String>, Option<String>), Vec<Option<String>>>;

/// Entities by what their sources hold: the oracle.
pub async fn expected(scene: &Scene) -> Entities {
    let crm = scene.crm.rows("SELECT cremeentity_ptr_id, phone, tvaintra FROM creme.persons_organisation").await;
    let erp = "SELECT p.id::text, p.name, (SELECT code FROM party_identifier i WHERE i.party = p.id AND type = 'eu_vat' \
         ORDER BY id LIMIT 1), a.street, a.postal_code, a.city FROM party_party p LEFT JOIN LATERAL (SELECT * FROM party_address a \
         WHERE a.party = p.id ORDER BY sequence NULLS LAST, id LIMIT 1) a ON true";
    let erp = scene.erp.rows(erp).await;
    let prefixed = |prefix: &str, id: &Option<String>| id.as_ref().map(|id| format!("{prefix}-{id}"));
    let mut expected = BTreeMap::new();
    for organisation in &crm {
        let party = erp.iter().find(|party| party[2] == organisation[2] && party[2].as_deref() != Some(""));
        let owned = party.map_or(vec![None; 5], |party| party[1..].to_vec());
        let key = (prefixed("CRM", &organisation[0]), party.and_then(|party| prefixed("ERP", &party[0])));
        expected.insert(key, [&owned[..], &[organisation[1].clone()]].concat());
    }
    for party in &erp {
        if !crm.iter().any(|organisation| organisation[2] == party[2] && party[2].as_deref() != Some("")) {
            expected.insert((None, prefixed("ERP", &party[0])), [&party[1..], &[None]].concat());
        }
    }
    expected
}
