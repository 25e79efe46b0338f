//! Whose change is published.

use super::{Entities, Scene, WITHIN, anything_happens, expected};
use crate::harness::listener::Listener;
use crate::harness::{eventually, holds, rounds, seed};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn row(line: &Value) -> Value {
    line["after"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_change_is_published_once_and_anothers_is_withheld_counted_and_shown() {
    let mut scene = Scene::start().await;
    scene.organisation(1, "Müller  GmbH", "de 123 456", "Berlin").await;
    scene.organisation(2, "Only in the CRM", "", "Bonn").await;
    scene.party(10, "Müller GmbH", "DE123456", "Hamburg").await;
    scene.party(11, "Only in the ERP", "DE999", "Kiel").await;
    scene.tailwater.up().await;
    scene.followed().await;
    let events = Listener::start(&scene.tailwater, &["--entity", "customer"]);
    let read = events.reaches(0, 3, WITHIN).await;
    let mut rows: Vec<_> = read.iter().map(row).collect();
    rows.sort_by_key(|row| row["customer_id"].as_str().unwrap_or("z").to_owned());
    assert_eq!(read[0]["event_type"], "customer.read");
    let linked = &rows[0];
    assert_eq!(linked["customer_id"], "CRM-1");
    assert_eq!(linked["erp_customer_id"], "ERP-10");
    assert_eq!(linked["billing_address_city"], "Hamburg", "the ERP owns it");
    assert_eq!(linked["phone"], "+49 1", "the CRM owns it");
    assert_eq!(linked["tax_id"], "DE123456");
    let alone = json!({"customer_id": "CRM-2", "erp_customer_id": null, "legal_customer_name": null, "phone": "+49 2"});
    alone.as_object().expect("an object").iter().for_each(|(name, value)| assert_eq!(&rows[1][name], value));
    assert_eq!((&rows[2]["customer_id"], &rows[2]["erp_customer_id"]), (&Value::Null, &json!("ERP-11")));

    // What the CRM does not own stays where it is; what it owns goes out.
    scene.crm.execute("UPDATE creme.persons_organisation SET name = 'Meier GmbH' WHERE cremeentity_ptr_id = 1").await;
    scene.crm.execute("UPDATE creme.persons_address SET city = 'Potsdam' WHERE id = 1").await;
    scene
        .crm
        .execute("UPDATE creme.persons_organisation SET phone = '110', subject_to_vat = 0 WHERE cremeentity_ptr_id = 1")
        .await;
    let event = events.reaches(3, 4, WITHIN).await.remove(0);
    assert_eq!(event["event_type"], "customer.updated");
    assert_eq!((&event["source_system"], &event["updated_fields"]), (&json!("crm"), &json!(["phone"])));
    assert_eq!(event["key"], json!({"id": linked["id"], "customer_id": "CRM-1", "erp_customer_id": "ERP-10"}));
    assert_eq!((&event["before"]["phone"], &event["after"]["phone"]), (&json!("+49 1"), &json!("110")));
    assert_eq!(event["after"]["legal_customer_name"], "Müller GmbH");
    assert!(event["position"].as_str().is_some_and(|gtid| gtid.contains('-')), "{event}");

    // One transaction, one event, whatever it touches.
    scene
        .erp
        .execute(
            "BEGIN; UPDATE party_party SET name = 'Müller AG' WHERE id = 10; UPDATE party_party SET active = false WHERE id = 10;
             UPDATE party_address SET city = 'Bremen' WHERE id = 10; UPDATE party_address SET street = 'Am Markt 1' WHERE id = 10;
             COMMIT",
        )
        .await;
    let event = events.reaches(4, 5, WITHIN).await.remove(0);
    assert_eq!(event["source_system"], "erp");
    assert_eq!(event["updated_fields"], json!(["legal_customer_name", "billing_address"]));
    assert_eq!(event["after"]["billing_address_street"], "Am Markt 1");

    // The CRM writes what the owner has: nobody has to be told.
    scene.crm.execute("UPDATE creme.persons_organisation SET name = 'Müller  AG' WHERE cremeentity_ptr_id = 1").await;
    // A tax id makes the two that were apart one.
    scene.crm.execute("UPDATE creme.persons_organisation SET tvaintra = 'DE 999' WHERE cremeentity_ptr_id = 2").await;
    let merged = events.reaches(5, 7, WITHIN).await;
    assert_eq!((&merged[0]["sequence"], &merged[0]["op"]), (&merged[1]["sequence"], &json!("UPDATE")));
    assert_eq!(merged[0]["key"]["customer_id"], "CRM-2");
    assert_eq!(merged[0]["after"]["erp_customer_id"], "ERP-11");
    assert_eq!(merged[1]["op"], "DELETE");

    // Gone from one side it lives on, gone from both it does not.
    scene.crm.execute("DELETE FROM creme.persons_organisation WHERE cremeentity_ptr_id = 1").await;
    let event = events.reaches(7, 8, WITHIN).await.remove(0);
    assert_eq!((&event["after"]["customer_id"], &event["after"]["phone"]), (&Value::Null, &Value::Null));
    scene.erp.execute("DELETE FROM party_party WHERE id = 10").await;
    assert_eq!(events.reaches(8, 9, WITHIN).await[0]["event_type"], "customer.deleted");

    let entity = scene.entity();
    let foreign = |field: &str| {
        let verdicts = entity["verdicts"].as_array().expect("a list").iter();
        let of = verdicts.filter(|verdicts| verdicts["field"] == field && verdicts["system"] == "crm");
        of.map(|verdicts| (verdicts["foreign"].clone(), verdicts["noop"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(foreign("legal_customer_name"), [(json!("1"), json!("1"))]);
    assert_eq!(foreign("billing_address"), [(json!("1"), json!("0"))]);
    let withheld = entity["withheld"].as_array().expect("a list");
    assert!(withheld.iter().any(|change| change["key"] == "1" && change["field"] == "billing_address"), "{entity}");
    let status = String::from_utf8(scene.tailwater.cli(&["status"]).stdout).expect("text");
    assert!(status.contains("billing_address") && status.contains("following"), "{status}");
}

/// What a subscriber has that applied every line.
fn told(lines: &[Value]) -> Entities {
    let mut rows: BTreeMap<String, &Value> = BTreeMap::new();
    for line in lines {
        let id = line["key"]["id"].as_str().expect("an id").to_owned();
        let (op, known) = (line["op"].as_str().expect("an op"), rows.contains_key(&id));
        assert!(op == "READ" || known == (op != "INSERT"), "{op} of {id}, which is known: {known}");
        if op == "UPDATE" {
            assert_eq!(line["before"], rows[&id]["after"], "the row before is what was told before");
        }
        if op == "DELETE" {
            rows.remove(&id)
        } else {
            rows.insert(id, line)
        };
    }
    let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    let fields = [
        "legal_customer_name",
        "tax_id",
        "billing_address_street",
        "billing_address_postal_code",
        "billing_address_city",
        "phone",
    ];
    let entity = |line: &&Value| {
        let row = &line["after"];
        let key = (text(row, "customer_id"), text(row, "erp_customer_id"));
        (key, fields.iter().map(|field| text(row, field)).collect())
    };
    rows.values().map(entity).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn through_kills_entities_are_what_their_sources_hold() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut scene = Scene::start().await;
    for id in 1..=200 {
        scene.organisation(id, &format!("Organisation {id}"), &format!("DE{id}"), "Berlin").await;
        scene.party(1_000 + id, &format!("Party {id}"), &format!("DE{}", id + 50), "Hamburg").await;
    }
    scene.tailwater.up().await;
    let events = Listener::start(&scene.tailwater, &["--entity", "*"]);
    for round in 0..rounds(5) {
        for step in 0..60 {
            anything_happens(&scene, &mut random, step).await;
            if step == 30 {
                scene.tailwater.kill();
                scene.tailwater.spawn();
            }
        }
        scene.tailwater.ready().await;
        println!("round {round}: {} lines", events.lines().len());
    }
    let expected = expected(&scene).await;
    eventually("what was told is what the sources hold", WITHIN, async || {
        let told = told(&events.lines());
        let differing = expected.iter().filter(|(key, row)| told.get(*key) != Some(*row)).take(5).collect::<Vec<_>>();
        let more = told.keys().filter(|key| !expected.contains_key(*key)).take(5).collect::<Vec<_>>();
        holds(differing.is_empty() && more.is_empty(), || {
            format!("{} lines; {differing:?}; more {more:?}", events.lines().len())
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_about_very_many_entities_comes_in_steps_and_of_each_once_through_a_kill() {
    const PARTIES: usize = 25_000;
    let mut scene = Scene::start().await;
    let all = format!("generate_series(1, {PARTIES}) n");
    scene.erp.execute(&format!("INSERT INTO party_party SELECT n, 'Party ' || n FROM {all}")).await;
    scene.tailwater.up().await;
    scene.followed().await;
    let events = Listener::start(&scene.tailwater, &["--entity", "customer"]);
    events.reaches(0, PARTIES, WITHIN).await;
    // Nothing of the entity changes.
    scene.erp.execute("UPDATE party_party SET active = NOT active").await;
    scene.erp.execute("UPDATE party_party SET name = name || '!'").await;
    let begun = PARTIES + 1;
    events.reaches(PARTIES, begun, WITHIN).await;
    scene.tailwater.kill();
    scene.tailwater.up().await;
    let updates = events.reaches(PARTIES, 2 * PARTIES, WITHIN).await;
    let ids: BTreeSet<_> = updates.iter().map(|line| line["key"]["id"].to_string()).collect();
    assert_eq!((updates.len(), ids.len()), (PARTIES, PARTIES), "one event for each");
    let is_one = |line: &Value| {
        line["updated_fields"] == json!(["legal_customer_name"]) && line["transaction"] == updates[0]["transaction"]
    };
    assert!(updates.iter().all(is_one));
    let steps: BTreeSet<_> = updates.iter().map(|line| line["sequence"].to_string()).collect();
    assert!(steps.len() > 1, "in steps: {steps:?}");
}

/// Of the ERP alone, by whole numbers.
const OTHER: &str = "version: 1
entities:
  party:
    ids: {party_id: erp}
    sources: {erp: {root: {table: public.party_party, key: id}}}
    fields: {name: {owner: erp, map: {erp: name}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_was_out_of_the_configuration_for_a_while_is_made_anew_under_the_same_ids() {
    let mut scene = Scene::start().await;
    std::fs::write(scene.tailwater.dir().join("other.yaml"), OTHER).expect("the directory is ours");
    let with = |scene: &Scene, contracts: &str| {
        let mut setup = scene.setup("");
        setup.rest = setup.rest.replace("[customer.yaml]", contracts);
        scene.tailwater.configure(&setup);
    };
    with(&scene, "[customer.yaml, other.yaml]");
    for (id, name) in [(1, "Stays"), (2, "Goes")] {
        scene.party(id, name, "", "Berlin").await;
    }
    scene.tailwater.up().await;
    scene.followed().await;
    let events = Listener::start(&scene.tailwater, &["--entity", "*"]);
    events.reaches(0, 4, WITHIN).await;
    assert!(scene.tailwater.stop().success());
    with(&scene, "[other.yaml]");
    scene.tailwater.up().await;
    scene
        .erp
        .execute("DELETE FROM party_party WHERE id = 2; UPDATE party_party SET name = 'Stays, renamed' WHERE id = 1")
        .await;
    events.reaches(4, 6, WITHIN).await;
    assert!(scene.tailwater.stop().success());
    with(&scene, "[customer.yaml, other.yaml]");
    scene.tailwater.up().await;
    let read = events.reaches(6, 7, WITHIN).await.remove(0);
    assert_eq!(
        (&read["event_type"], &read["after"]["legal_customer_name"]),
        (&json!("customer.read"), &json!("Stays, renamed"))
    );
    let first = events.lines();
    let before =
        first.iter().find(|line| line["entity"] == "customer" && line["after"]["legal_customer_name"] == "Stays");
    assert_eq!(before.map(|line| &line["after"]["id"]), Some(&read["after"]["id"]));
    scene.erp.execute("UPDATE party_party SET name = 'Again' WHERE id = 1").await;
    let updates = events.reaches(7, 9, WITHIN).await;
    assert!(updates.iter().all(|line| line["op"] == "UPDATE" && line["source_system"] == "erp"), "{updates:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_took_while_nobody_governed_makes_every_entity_anew() {
    let mut scene = Scene::start_with("retention: {size: 1MiB}\n").await;
    scene.erp.execute_as_owner("CREATE TABLE filler (id serial PRIMARY KEY, text text)").await;
    scene.party(1, "Stays", "", "Berlin").await;
    scene.tailwater.up().await;
    scene.followed().await;
    assert!(scene.tailwater.stop().success());
    let (with, mut without) = (scene.setup("retention: {size: 1MiB}\n"), scene.setup("retention: {size: 1MiB}\n"));
    without.rest = without.rest.replace("contracts: [customer.yaml]\n", "");
    scene.tailwater.configure(&without);
    scene.tailwater.up().await;
    scene.erp.execute("UPDATE party_party SET name = 'Renamed' WHERE id = 1").await;
    for _ in 0..8 {
        scene
            .erp
            .execute("INSERT INTO filler (text) SELECT repeat(md5(n::text), 30) FROM generate_series(1, 1000) n")
            .await;
    }
    eventually("the rename is trimmed", WITHIN, async || {
        let journal = scene.tailwater.status_json()["journal"].clone();
        let number = |name: &str| journal[name].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        holds(number("oldest_sequence") + 6 > number("sequence"), || journal.to_string())
    })
    .await;
    assert!(scene.tailwater.stop().success());
    scene.tailwater.configure(&with);
    scene.tailwater.up().await;
    scene.followed().await;
    let events = Listener::start(&scene.tailwater, &["--entity", "customer"]);
    let read = events.reaches(0, 1, WITHIN).await.pop().expect("one");
    assert_eq!(read["after"]["legal_customer_name"], "Renamed");
    assert!(scene.tailwater.log().contains("TW-GOV-005"));
}
