//! The entity as a table of a warehouse, beside the raw copies.

use super::{Entities, Scene, WITHIN, anything_happens, expected};
use crate::harness::postgres::{self, Postgres};
use crate::harness::{eventually, holds, rounds, seed};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

fn target(warehouse: &Postgres, more: &str) -> String {
    let (port, user, database) = (warehouse.port(), postgres::USER, postgres::DATABASE);
    format!(
        "targets:\n  warehouse: {{kind: postgres, host: 127.0.0.1, port: {port}, user: {user}, password: {{env: ERP_PASSWORD}}, \
         database: {database}, {more}}}\n"
    )
}

async fn held(warehouse: &Postgres) -> Entities {
    let rows = warehouse
        .rows(
            "SELECT customer_id, erp_customer_id, legal_customer_name, tax_id, billing_address_street, \
             billing_address_postal_code, billing_address_city, phone FROM entity.customer",
        )
        .await;
    rows.into_iter().map(|row| ((row[0].clone(), row[1].clone()), row[2..].to_vec())).collect()
}

async fn is_held(scene: &Scene, warehouse: &Postgres) {
    let expected = expected(scene).await;
    eventually("the warehouse holds what the sources do", WITHIN, async || {
        // Not there before its first copy.
        if warehouse.text("SELECT to_regclass('entity.customer')::text").await.is_none() {
            return Err("there is no table yet".to_owned());
        }
        let held = held(warehouse).await;
        let differing = expected.iter().filter(|(key, row)| held.get(*key) != Some(*row)).take(3).collect::<Vec<_>>();
        holds(held == expected, || format!("{} of {}: {differing:?}", held.len(), expected.len()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_kills_a_warehouse_holds_the_entity_beside_the_raw_copies() {
    let mut random = StdRng::seed_from_u64(seed());
    let warehouse = Postgres::start_another().await;
    let section = target(&warehouse, "tables: {include: [\"*\"]}, entities: [customer]");
    let mut scene = Scene::start_with(&section).await;
    for id in 1..=100 {
        scene.organisation(id, &format!("Organisation {id}"), &format!("DE{id}"), "Berlin").await;
        scene.party(1_000 + id, &format!("Party {id}"), &format!("DE{}", id + 25), "Hamburg").await;
    }
    scene.tailwater.up().await;
    is_held(&scene, &warehouse).await;
    for _ in 0..rounds(5) {
        for step in 0..40 {
            anything_happens(&scene, &mut random, step).await;
            if step == 20 {
                scene.tailwater.kill();
                scene.tailwater.spawn();
            }
        }
        scene.tailwater.ready().await;
    }
    is_held(&scene, &warehouse).await;
    let source = scene.crm.rows("SELECT count(*) FROM creme.persons_organisation").await;
    eventually("the raw copy too", WITHIN, async || {
        let raw = warehouse.text("SELECT count(*)::text FROM crm.persons_organisation").await;
        holds(raw == source[0][0], || format!("{raw:?}"))
    })
    .await;
    let types = warehouse.rows("SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'entity' AND table_name = 'customer'").await;
    assert!(
        types.iter().any(|column| column[0].as_deref() == Some("id") && column[1].as_deref() == Some("bigint")),
        "{types:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_gets_what_its_roles_may_see_and_another_policy_makes_its_table_anew() {
    let warehouse = Postgres::start_another().await;
    let roles = |rows: &str, mask: &str, of_table: &str| {
        let section = target(&warehouse, "roles: [reporting], tables: {include: [\"erp.*\"]}, entities: [\"*\"]");
        let entity = format!("  - {{role: reporting, entity: customer, {rows} mask: {{{mask}}}}}\n");
        let table = format!(
            "  - {{role: reporting, tables: [\"erp.public.party_party\"], columns: all, mask: {{{of_table}: omit}}}}\n"
        );
        format!("roles: [reporting]\nentitlements:\n{entity}{table}{section}")
    };
    let berlin = "rows: \"row.billing_address_city = 'Berlin'\",";
    let mut scene = Scene::start_with(&roles(berlin, "tax_id: omit, phone: null", "active")).await;
    for (id, city) in [(1, "Berlin"), (2, "Kiel"), (3, "Berlin")] {
        scene.organisation(id, "O", &format!("DE{id}"), "-").await;
        scene.party(10 + id, "P", &format!("DE{id}"), city).await;
    }
    scene.tailwater.up().await;
    let entity = "SELECT string_agg(erp_customer_id, ',' ORDER BY erp_customer_id) FROM entity.customer";
    let holds_exactly = async |expected: &str| {
        eventually("the target holds what it may see", WITHIN, async || {
            if warehouse.text("SELECT to_regclass('entity.customer')::text").await.is_none() {
                return Err("there is no table yet".to_owned());
            }
            let held = warehouse.text(entity).await;
            holds(held.as_deref() == Some(expected), || format!("{held:?}"))
        })
        .await;
    };
    holds_exactly("ERP-11,ERP-13").await;
    scene.erp.execute("UPDATE party_address SET city = 'Berlin' WHERE party = 12; UPDATE party_address SET city = 'Bonn' WHERE party = 11").await;
    holds_exactly("ERP-12,ERP-13").await;
    let columns = |schema: &str, table: &str| {
        format!(
            "SELECT string_agg(column_name, ',') FROM information_schema.columns WHERE table_schema = '{schema}' AND table_name = '{table}'"
        )
    };
    let of_entity = warehouse.text(&columns("entity", "customer")).await.expect("columns");
    assert!(of_entity.contains("phone") && !of_entity.contains("tax_id"), "{of_entity}");
    assert_eq!(warehouse.text("SELECT count(phone)::text FROM entity.customer").await.as_deref(), Some("0"));
    let of_table = warehouse.text(&columns("erp", "party_party")).await.expect("columns");
    assert!(of_table.contains("name") && !of_table.contains("active"), "{of_table}");
    assert_eq!(
        warehouse.text("SELECT to_regclass('erp.party_address')::text").await,
        None,
        "nobody entitled it to that"
    );

    // What it had was chosen by other rules.
    assert!(scene.tailwater.stop().success());
    let setup = scene.setup(&roles("", "tax_id: omit", "id"));
    scene.tailwater.configure(&setup);
    scene.tailwater.up().await;
    holds_exactly("ERP-11,ERP-12,ERP-13").await;
    eventually("telephones are seen now", WITHIN, async || {
        let phones = warehouse.text("SELECT count(phone)::text FROM entity.customer").await;
        holds(phones.as_deref() == Some("3"), || format!("{phones:?}"))
    })
    .await;
    // Without its key a table cannot be followed: what there was of it is gone, and it says so.
    eventually("the table is emptied and halted", WITHIN, async || {
        let rows = warehouse.text("SELECT count(*)::text FROM erp.party_party").await;
        let status = scene.tailwater.status_json().to_string();
        holds(rows.as_deref() == Some("0") && status.contains("TW-TGT-025"), || format!("{rows:?} {status}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_contract_makes_the_table_anew_under_the_same_ids() {
    let warehouse = Postgres::start_another().await;
    for roles in [
        "",
        "roles: [all]\nentitlements: [{role: all, tables: [\"*\"], columns: all}, {role: all, entity: \"*\", max_sensitivity: restricted}]\n",
    ] {
        let name = if roles.is_empty() { "raw" } else { "entitled" };
        let section = target(
            &warehouse,
            &format!(
                "roles: [{}], schema: \"{name}_{{system}}\", tables: {{include: [\"erp.*\"]}}, entities: [customer]",
                if roles.is_empty() { "" } else { "all" }
            ),
        );
        let section = section.replace("roles: [], ", "").replace("warehouse:", &format!("{name}:"));
        let mut scene = Scene::start_with(&format!("{roles}{section}")).await;
        for id in 1..=20 {
            scene.organisation(id, "O", &format!("DE{id}"), "-").await;
            scene.party(10 + id, &format!("P{id}"), &format!("DE{id}"), "Berlin").await;
        }
        scene.tailwater.up().await;
        let ids =
            format!("SELECT string_agg(id || '=' || erp_customer_id, ',' ORDER BY id) FROM {name}_entity.customer");
        let table = format!("SELECT to_regclass('{name}_entity.customer')::text");
        let there = async |column: &str| {
            eventually("the table has come", WITHIN, async || {
                if warehouse.text(&table).await.is_none() {
                    return Err("there is no table yet".to_owned());
                }
                let sql = format!(
                    "SELECT count(*)::text FROM information_schema.columns WHERE table_schema = '{name}_entity' AND column_name = '{column}'"
                );
                let (columns, rows) = (warehouse.text(&sql).await, warehouse.text(&format!("SELECT count(*)::text FROM {name}_entity.customer")).await);
                holds((columns.as_deref(), rows.as_deref()) == (Some("1"), Some("20")), || format!("{columns:?} {rows:?}"))
            })
            .await;
            warehouse.text(&ids).await
        };
        let before = there("phone").await;
        assert!(scene.tailwater.stop().success());
        let contract = super::CONTRACT.replace("      phone:", "      telephone:").replace("crm: phone", "crm: fax");
        scene
            .crm
            .execute("ALTER TABLE creme.persons_organisation ADD COLUMN fax varchar(20) NOT NULL DEFAULT '-'")
            .await;
        std::fs::write(scene.tailwater.dir().join("customer.yaml"), contract).expect("the directory is ours");
        scene.tailwater.up().await;
        assert_eq!(there("telephone").await, before, "{name}");
        scene.erp.execute("UPDATE party_party SET name = 'Renamed' WHERE id = 11").await;
        eventually("it is followed", WITHIN, async || {
            let renamed = warehouse
                .text(&format!(
                    "SELECT count(*)::text FROM {name}_entity.customer WHERE legal_customer_name = 'Renamed'"
                ))
                .await;
            holds(renamed.as_deref() == Some("1"), || format!("{renamed:?}"))
        })
        .await;
    }
}
