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
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
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

/// One change of a random kind, of customers 1 to 250 and of parties from 1001 on: what their owners, and what others write.
pub async fn anything_happens(scene: &Scene, random: &mut StdRng, step: i64) {
    let (id, city) = (random.random_range(1..=250), ["Berlin", "Bonn", "Kiel", "Köln"].choose(random).expect("some"));
    let party = 1_000 + id;
    let of_crm = |sql: &str| format!("{sql} WHERE cremeentity_ptr_id = {id}");
    match random.random_range(0..9) {
        0 => scene.crm.execute(&of_crm(&format!("UPDATE creme.persons_organisation SET phone = '{step}'"))).await,
        1 => scene.crm.execute(&of_crm(&format!("UPDATE creme.persons_organisation SET name = 'C{step}'"))).await,
        2 => scene.crm.execute(&format!("UPDATE creme.persons_address SET city = '{city}' WHERE id = {id}")).await,
        3 => scene.crm.execute(&of_crm("DELETE FROM creme.persons_organisation")).await,
        4 => {
            let sql = "INSERT IGNORE INTO creme.persons_organisation VALUES";
            scene.crm.execute(&format!("{sql} ({id}, 'N', '{step}', 'DE{id}', {id}, 1)")).await;
        }
        5 => scene.erp.execute(&format!("UPDATE party_address SET city = '{city}' WHERE party = {party}")).await,
        6 => scene.erp.execute(&format!("UPDATE party_party SET name = 'E{step}' WHERE id = {party}")).await,
        7 => {
            let sequence = random.random_range(0..5);
            let sql = "INSERT INTO party_address (party, sequence, street, city) VALUES";
            scene.erp.execute(&format!("{sql} ({party}, {sequence}, 'S{step}', '{city}')")).await;
        }
        _ if random.random() => scene.erp.execute(&format!("DELETE FROM party_party WHERE id = {party}")).await,
        _ => scene.erp.execute(&format!("DELETE FROM party_address WHERE sequence = 1 AND party = {party}")).await,
    }
}
