//! Who may see what of it.

use super::{Scene, WITHIN};
use crate::harness::listener::Listener;
use crate::harness::tailwater::Tailwater;
use ring::digest;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;

const ROLES: &str = r#"
roles: [sales, finance, partner]
entitlements:
  - {role: sales, entity: customer, rows: "row.billing_address_city in subject.cities", mask: {tax_id: omit, phone: null}}
  - {role: finance, entity: customer, max_sensitivity: confidential}
  - {role: partner, tables: ["crm.creme.*"]}
  - {role: partner, entity: customer, mask: {"tag:pii": omit}}
"#;

fn token(subject: &str) -> String {
    format!("the token of {subject}")
}

fn subjects() -> String {
    let mut section = "subjects:\n".to_owned();
    for (name, roles, attributes) in
        [("seller", "sales", "cities: [Berlin, Bonn]"), ("accountant", "finance", ""), ("dealer", "partner", "")]
    {
        let hash = digest::digest(&digest::SHA256, token(name).as_bytes());
        let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(section, "  {name}: {{roles: [{roles}], attributes: {{{attributes}}}, token_hash: \"sha256:{hex}\"}}")
            .expect("a string takes all");
    }
    section
}

fn listen(tailwater: &Tailwater, subject: &str, arguments: &[&str]) -> Listener {
    let file = tailwater.dir().join(format!("{subject}.token"));
    fs::write(&file, token(subject)).expect("the directory is ours");
    let file = file.display().to_string();
    Listener::start(tailwater, &[&["--subject", subject, "--token-file", &file], arguments].concat())
}

fn told(line: &Value) -> (&str, &Value) {
    (line["op"].as_str().expect("an op"), &line["key"]["customer_id"])
}

/// A line without what has letters and digits by chance.
fn content(line: &Value) -> String {
    let mut content = line.as_object().expect("a line").clone();
    for name in ["cursor", "timestamp"] {
        assert!(content.remove(name).is_some(), "{line}");
    }
    Value::Object(content).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_sees_its_rows_and_its_fields_and_rows_come_and_go_with_what_decides() {
    let mut scene = Scene::start_with(&format!("{ROLES}{}", subjects())).await;
    scene.organisation(1, "One", "DE1", "-").await;
    scene.organisation(2, "Two", "DE2", "-").await;
    scene.party(11, "One", "DE1", "Berlin").await;
    scene.party(12, "Two", "DE2", "Kiel").await;
    scene.tailwater.up().await;
    scene.followed().await;
    let seller = listen(&scene.tailwater, "seller", &["--entity", "customer"]);
    let accountant = listen(&scene.tailwater, "accountant", &["--entity", "*"]);
    let dealer = listen(&scene.tailwater, "dealer", &["--table", "*", "--entity", "*"]);

    // One of two rows, without the tax id, and a telephone that is always null.
    let read = seller.reaches(0, 1, WITHIN).await.remove(0);
    let row = read["after"].as_object().expect("a row");
    assert_eq!((told(&read), &row["billing_address_city"]), (("READ", &json!("CRM-1")), &json!("Berlin")));
    assert!(!row.contains_key("tax_id") && row["phone"].is_null(), "{row:?}");
    let read = accountant.reaches(0, 2, WITHIN).await;
    assert!(read.iter().any(|line| line["after"]["tax_id"] == "DE2"), "{read:?}");

    // A row comes into what the seller sees, changes where it is, and leaves with nothing but its key.
    scene.erp.execute("UPDATE party_address SET city = 'Bonn' WHERE party = 12").await;
    assert_eq!(told(&seller.reaches(1, 2, WITHIN).await[0]), ("CREATED", &json!("CRM-2")));
    // Of this nobody but finance hears: sales does not see tax ids, nor telephones.
    scene.erp.execute("UPDATE party_identifier SET code = 'DE22' WHERE party = 12").await;
    scene.crm.execute("UPDATE creme.persons_organisation SET phone = '112' WHERE cremeentity_ptr_id = 2").await;
    scene.erp.execute("UPDATE party_party SET name = 'Two AG' WHERE id = 12").await;
    let update = seller.reaches(2, 3, WITHIN).await.remove(0);
    assert_eq!(
        (told(&update), &update["updated_fields"]),
        (("UPDATE", &json!("CRM-2")), &json!(["legal_customer_name"]))
    );
    assert!(update["before"].get("tax_id").is_none() && update["before"]["phone"].is_null(), "{update}");
    scene.erp.execute("UPDATE party_address SET city = 'Hamburg' WHERE party = 12").await;
    let left = seller.reaches(3, 4, WITHIN).await.remove(0);
    assert_eq!((left["op"].as_str(), &left["after"]), (Some("LEFT_SCOPE"), &Value::Null));
    let given = left["before"].as_object().expect("its key").iter().filter(|(_, value)| !value.is_null());
    assert_eq!(given.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["id"]);

    // A delete is for those who saw the row.
    scene.crm.execute("DELETE FROM creme.persons_organisation WHERE cremeentity_ptr_id = 2").await;
    scene.erp.execute("DELETE FROM party_party WHERE id = 12").await;
    scene.erp.execute("DELETE FROM party_party WHERE id = 11").await;
    let last = seller.reaches(4, 5, WITHIN).await;
    assert_eq!(last[0]["op"], "LEFT_SCOPE", "without the ERP it has no city: {last:?}");
    let fields: Vec<Value> =
        accountant.reaches(2, 9, WITHIN).await.iter().map(|line| line["updated_fields"].clone()).collect();
    assert!(fields.contains(&json!(["tax_id"])) && fields.contains(&json!(["phone"])), "{fields:?}");
    let text = seller.lines().iter().map(content).collect::<String>();
    for hidden in ["DE1", "DE2", "+49", "112", "Kiel", "Hamburg"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }

    // Of the CRM's own tables what the CRM owns; of the entity nothing that identifies a person.
    let lines = dealer.reaches(0, 6, WITHIN).await;
    let of_table: Vec<_> = lines.iter().filter(|line| line["table"] == "crm.creme.persons_organisation").collect();
    assert!(!of_table.is_empty(), "{lines:?}");
    for line in of_table.iter().filter(|line| line["after"].is_object()) {
        let columns: Vec<_> = line["after"].as_object().expect("a row").keys().cloned().collect();
        assert_eq!(columns, ["cremeentity_ptr_id", "phone"]);
    }
    assert!(lines.iter().all(|line| line["table"] != "crm.creme.persons_address"), "the ERP owns all of it");
    let text =
        dealer.lines().iter().filter(|line| line["entity"] == "customer").map(Value::to_string).collect::<String>();
    assert!(
        text.contains("legal_customer_name") && !text.contains("billing_address") && !text.contains("phone"),
        "{text}"
    );
    let proto = scene.tailwater.cli(&[
        "proto",
        "--subject",
        "seller",
        "--token-file",
        &scene.tailwater.dir().join("seller.token").display().to_string(),
    ]);
    let proto = String::from_utf8(proto.stdout).expect("text");
    assert!(proto.contains("message Customer") && !proto.contains("tax_id") && !proto.contains("persons_"), "{proto}");
}
