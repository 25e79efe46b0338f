//! What a person sees of their mistakes, and what the examples mean.

use super::*;
use crate::model::code::{self, Code};
use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use std::path::Path;

const GOOD: &str = "\
version: 1
data_dir: /var/lib/tailwater
systems:
  erp:
    kind: postgres
    host: /run/postgresql
    user: tailwater
    database: erp
    tables:
      include: [\"public.*\"]
";

fn env(name: &str) -> Option<String> {
    ["CRM_PASSWORD", "ERP_PASSWORD", "WAREHOUSE_PASSWORD"].contains(&name).then(|| "hush".to_owned())
}

fn read(text: &str) -> Result<Config, Error> {
    parse(Path::new("t.yaml"), text.as_bytes(), Passwords::Read(&env))
}

/// Everything that is wrong with `text`, as a person sees it.
fn mistakes(text: &str) -> String {
    read(text).expect_err("must be refused").to_string()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = read(GOOD).unwrap();
    let System::Postgres(erp) = &config.systems[&SystemName::new("erp").unwrap()] else { panic!("not PostgreSQL") };
    assert_eq!(erp.endpoint.host, Host::Unix("/run/postgresql".into()));
    assert_eq!((erp.endpoint.port, erp.endpoint.tls.clone(), erp.slot.as_str()), (5432, Tls::Disable, "tailwater_erp"));
    assert_eq!(config.lock_file, Path::new("t.lock"));
    assert_eq!(config.server.grpc.to_string(), "127.0.0.1:7071");
    assert_eq!(config.retention.bytes, 10 << 30);
    assert!(config.access.entitlements.is_none() && config.journal.sync);
}

#[test]
fn tls_is_full_wherever_the_connection_leaves_the_machine() {
    for (host, tls) in [
        ("localhost", Tls::Disable),
        ("127.0.0.1", Tls::Disable),
        ("\"::1\"", Tls::Disable),
        ("erp.example.com", Tls::VerifyFull { ca_file: None }),
        ("10.0.0.1", Tls::VerifyFull { ca_file: None }),
    ] {
        let config = read(&GOOD.replace("/run/postgresql", host)).unwrap();
        let System::Postgres(erp) = config.systems.into_values().next().unwrap() else { panic!("not PostgreSQL") };
        assert_eq!(erp.endpoint.tls, tls, "{host}");
    }
}

#[test]
fn relative_paths_start_beside_the_file() {
    let text = GOOD.replace("/var/lib/tailwater", "data");
    let config = parse(Path::new("/etc/tailwater/erp.yaml"), text.as_bytes(), Passwords::Leave).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/tailwater/data"));
    assert_eq!(config.lock_file, Path::new("/etc/tailwater/erp.lock"));
}

/// A line of the good file, what to write instead, and what a person is told.
#[test]
fn a_mistake_is_told_with_its_place_and_what_was_meant() {
    for (line, instead, told) in [
        (
            "      include:",
            "      inclde:",
            "t.yaml:10:7: TW-CFG-005: unknown key `systems.erp.tables.inclde`, did you mean `include`?",
        ),
        (
            "kind: postgres",
            "kind: postgre",
            "t.yaml:5:11: TW-CFG-010: `systems.erp.kind` cannot be `postgre`, did you mean `postgres`?",
        ),
        (
            "kind: postgres",
            "kind: mariadb\n    slot: erp",
            "t.yaml:6:5: TW-CFG-005: unknown key `systems.erp.slot` (known: kind, host, port, user, password, database, tables, tls, server_id, silence)",
        ),
        ("version: 1", "version: 2", "t.yaml:1:10: TW-CFG-011: this Tailwater reads `version: 1`"),
        ("data_dir: /var/lib/tailwater\n", "", "t.yaml:1:1: TW-CFG-007: `data_dir` is missing"),
        (
            "  erp:",
            "  ERP:",
            "t.yaml:4:3: TW-CFG-012: the system's name `ERP` must be lower-case letters, digits and underscores, starting with a letter",
        ),
        (
            "user: tailwater",
            "user: tailwater\n    password: hunter2",
            "t.yaml:8:15: TW-CFG-013: `systems.erp.password` must not stand here; write {env: NAME} or {file: PATH}",
        ),
        (
            "user: tailwater",
            "user: tailwater\n    password: {env: NOT_SET}",
            "t.yaml:8:21: TW-CFG-014: the environment variable NOT_SET is not set",
        ),
        (
            "user: tailwater",
            "user: tailwater\n    port: 70000",
            "t.yaml:8:11: TW-CFG-010: `systems.erp.port` must be from 1 to 65535, found 70000",
        ),
        (
            "user: tailwater",
            "user: 5",
            "t.yaml:7:11: TW-CFG-009: `systems.erp.user` must be text (put it in quotes), found a number",
        ),
        (
            "user: tailwater",
            "user: tailwater\n    user: root",
            "t.yaml:8:5: TW-CFG-008: `systems.erp.user` was given before, in line 7",
        ),
        (
            "user: tailwater",
            "user: tailwater\n    silence: 30",
            "t.yaml:8:14: TW-CFG-010: `systems.erp.silence` must be a number and a unit, such as 500ms, 30s, 5m or 1h",
        ),
        (
            "[\"public.*\"]",
            "[orders]",
            "t.yaml:10:17: TW-CFG-019: `orders` matches no table: names are schema.table, did you mean `public.orders`?",
        ),
        (
            "version: 1",
            "version: 1\nserver: {grpc: \"0.0.0.0:7071\"}",
            "t.yaml:2:16: TW-CFG-016: `server.grpc` is 0.0.0.0:7071, which other machines can reach; without TLS only 127.0.0.1 and [::1] are safe",
        ),
        ("version: 1", "version: 1\nserver: {tls: {}}", "t.yaml:2:10: TW-CFG-006: `server.tls` is not in this version"),
        (
            "version: 1",
            "version: 1\ncontracts: [crm.yaml]",
            "t.yaml:2:13: TW-CFG-001: crm.yaml: No such file or directory (os error 2)",
        ),
        (
            "version: 1",
            "version: 1\nretention: {size: 10}",
            "t.yaml:2:19: TW-CFG-010: `retention.size` must be from 1MiB to 1024TiB, found 10B",
        ),
        (
            "version: 1",
            "version: 1\nroles: [sales]\nentitlements: [{role: sale, tables: [\"erp.*\"], columns: all}]",
            "t.yaml:3:23: TW-CFG-015: `roles` has no role `sale`, did you mean `sales`?",
        ),
        (
            "version: 1",
            "version: 1\nroles: [sales]\nentitlements: [{role: sales, tables: [\"erp.*\"]}]",
            "t.yaml:3:16: TW-CFG-021: `entitlements[0].columns` is missing: a raw copy must be written out, `columns: all`",
        ),
        (
            "version: 1",
            "version: 1\nroles: [sales]\nentitlements: [{role: sales, tables: [\"erp.*\"], columns: all, mask: {pay: hide}}]",
            "t.yaml:3:75: TW-CFG-010: `entitlements[0].mask.pay` cannot be `hide` (known: omit, null)",
        ),
        (
            "version: 1",
            "version: 1\nroles: [sales]\nentitlements: [{role: sales, tables: [\"epr.*\"], columns: all}]",
            "t.yaml:3:39: TW-CFG-019: `epr.*` matches no table: `epr` is no system, did you mean `erp`?",
        ),
        (
            "version: 1",
            "version: 1\nsubjects: {app: {token_hash: abc}}",
            "t.yaml:2:30: TW-CFG-017: `subjects.app.token_hash` must be `sha256:` and 64 hexadecimal digits; `tailwater token` prints it",
        ),
    ] {
        assert!(GOOD.contains(line), "{line}");
        assert_eq!(mistakes(&GOOD.replacen(line, instead, 1)), told);
    }
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    let text = "version: 3\nsystms: {}\nsystems:\n  erp:\n    kind: oracle\n    port: 0\nretention: {size: much}\n";
    assert_eq!(
        mistakes(text),
        "t.yaml:1:1: TW-CFG-007: `data_dir` is missing\n\
         t.yaml:1:10: TW-CFG-011: this Tailwater reads `version: 1`\n\
         t.yaml:2:1: TW-CFG-005: unknown key `systms`, did you mean `systems`?\n\
         t.yaml:5:5: TW-CFG-007: `systems.erp.host` is missing\n\
         t.yaml:5:5: TW-CFG-007: `systems.erp.user` is missing\n\
         t.yaml:5:5: TW-CFG-007: `systems.erp.database` is missing\n\
         t.yaml:5:5: TW-CFG-007: `systems.erp.tables` is missing\n\
         t.yaml:5:11: TW-CFG-010: `systems.erp.kind` cannot be `oracle` (known: postgres, mysql, mariadb)\n\
         t.yaml:6:11: TW-CFG-010: `systems.erp.port` must be from 1 to 65535, found 0\n\
         t.yaml:7:19: TW-CFG-010: `retention.size` must be bytes or a size such as 512MiB or 10GiB (KiB, MiB, GiB, TiB; kB, MB, GB, TB)"
    );
}

#[test]
fn with_entitlements_a_subject_needs_a_role() {
    let subject = format!("  app: {{token_hash: \"sha256:{}\"}}", "0a".repeat(32));
    let without = format!("{GOOD}subjects:\n{subject}\n");
    assert!(read(&without).is_ok());
    let with = format!("{without}roles: [a]\nentitlements: [{{role: a, tables: [\"*\"], columns: all}}]\n");
    assert_eq!(mistakes(&with), "t.yaml:12:3: TW-CFG-018: the subject `app` has no roles and would see nothing");
}

const TARGET: &str = "\
targets:
  warehouse:
    kind: postgres
    host: wh.example.com
    user: loader
    database: reports
    tables: {include: [\"erp.*\"]}
";

#[test]
fn a_target_has_a_schema_for_each_system_unless_it_says_otherwise() {
    let config = read(&format!("{GOOD}{TARGET}")).unwrap();
    let target = &config.targets[&SystemName::new("warehouse").unwrap()];
    assert_eq!((target.schema.as_str(), target.roles.len()), ("{system}", 0));
    assert_eq!(target.endpoint.tls, Tls::VerifyFull { ca_file: None });
    assert_eq!(target.endpoint.application, "tailwater/warehouse");
    assert!(target.tables.matches("erp.public.orders") && !target.tables.matches("crm.public.orders"));
}

#[test]
fn every_slip_in_a_target_has_its_answer() {
    let roles = "roles: [a]\nentitlements: [{role: a, tables: [\"*\"], columns: all}]\n";
    for (text, told) in [
        (
            TARGET.replace("kind: postgres", "kind: mysql"),
            "TW-CFG-006: `kind: mysql` is not in this version; it writes `postgres`",
        ),
        (
            TARGET.replace("warehouse:", "erp:"),
            "TW-CFG-008: `erp` is a system already; a target needs a name of its own",
        ),
        (
            TARGET.replace("erp.*", "epr.*"),
            "TW-CFG-019: `epr.*` matches no table: `epr` is no system, did you mean `erp`?",
        ),
        (format!("{TARGET}    schema: \"{{sytem}}_x\"\n"), "knows {system} and {schema}, found {sytem}_x"),
        (format!("{TARGET}    schema: pg_temp\n"), "PostgreSQL keeps pg_temp for itself"),
        (format!("{TARGET}    entities: [customer]\n"), "TW-CFG-022: `customer` is no entity of any contract"),
        (format!("{TARGET}    roles: [a]\n"), "TW-CFG-015: `roles` has no role `a`"),
        (
            format!("{TARGET}{roles}"),
            "TW-CFG-018: `targets.warehouse.roles` is missing: with `entitlements` only roles decide",
        ),
    ] {
        let told_all = mistakes(&format!("{GOOD}{text}"));
        assert_eq!(told_all.lines().count(), 1, "{told_all}");
        assert!(told_all.contains(told), "{told_all}");
    }
    assert!(read(&format!("{GOOD}{TARGET}    roles: [a]\n{roles}")).is_ok());
}

#[test]
fn what_is_no_yaml_or_no_text_says_where() {
    assert!(mistakes("version: [1\n").starts_with("t.yaml:"), "{}", mistakes("version: [1\n"));
    assert_eq!(code_of(b"version: [1\n"), code::CONFIG_SYNTAX);
    let error = parse(Path::new("t.yaml"), b"a: 1\nb: \xff\n", Passwords::Leave).unwrap_err();
    assert_eq!(error.to_string(), "t.yaml:2:4: TW-CFG-003: not UTF-8 text");
    assert_eq!(code_of(&vec![b'#'; (1 << 20) + 1]), code::CONFIG_TOO_LARGE);
    let error = load(Path::new("/does/not/exist.yaml"), Passwords::Leave).unwrap_err();
    assert_eq!(error.mistakes[0].code, code::CONFIG_UNREADABLE);
}

fn code_of(bytes: &[u8]) -> Code {
    parse(Path::new("t.yaml"), bytes, Passwords::Leave).unwrap_err().mistakes[0].code
}

#[test]
fn a_password_is_read_at_once_and_never_printed() {
    let text = GOOD.replace("user: tailwater", "user: tailwater\n    password: {env: ERP_PASSWORD}");
    let config = read(&text).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    let System::Postgres(erp) = config.systems.into_values().next().unwrap() else { panic!("not PostgreSQL") };
    assert_eq!(erp.endpoint.password.unwrap().expose_secret(), "hush");
}

#[test]
fn a_password_file_stands_beside_the_config_and_loses_its_line_break() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pw"), "hush\n").unwrap();
    let text = GOOD.replace("user: tailwater", "user: tailwater\n    password: {file: pw}");
    let config = parse(&folder.path().join("t.yaml"), text.as_bytes(), Passwords::Read(&env)).unwrap();
    let System::Postgres(erp) = config.systems.into_values().next().unwrap() else { panic!("not PostgreSQL") };
    assert_eq!(erp.endpoint.password.unwrap().expose_secret(), "hush");
}

#[test]
fn every_example_is_a_configuration() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            load(&path, Passwords::Read(&env)).unwrap_or_else(|error| panic!("{error}"));
            seen += 1;
        }
    }
    assert!(seen >= 3);
}

const CONTRACT: &str = include_str!("../../config/contracts/customer.yaml");

/// A configuration with the example's contract, with `line` of it replaced.
fn with_contract(line: &str, instead: &str, rest: &str) -> Result<Config, Error> {
    assert!(CONTRACT.contains(line), "{line}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.yaml"), CONTRACT.replacen(line, instead, 1)).unwrap();
    let crm = "  crm: {kind: mariadb, host: /run/mysqld.sock, user: t, tables: {include: [\"creme.*\"]}}\n";
    let text = GOOD.replace("systems:\n", &format!("contracts: [c.yaml]\nsystems:\n{crm}"));
    parse(&folder.path().join("t.yaml"), format!("{text}{rest}").as_bytes(), Passwords::Leave)
}

#[test]
fn what_is_wrong_with_a_contract_is_told_with_its_own_file_and_place() {
    let mut wrong = Vec::new();
    for (line, instead, told) in [
        ("owner: erp", "owner: epr", "c.yaml:27:16: TW-CFG-022: `epr` is no system here, did you mean `erp`?"),
        (
            "erp: vat.code",
            "erp: vta.code",
            "c.yaml:33:35: TW-CFG-022: `vta.code`: there is no join `vta`, did you mean `vat`?",
        ),
        (
            "[uppercase, alphanumeric]",
            "[upper]",
            "c.yaml:34:21: TW-CFG-010: `entities.customer.fields.tax_id.normalise` cannot be `upper` (known: nfkc, collapse_whitespace, lowercase, uppercase, alphanumeric)",
        ),
        (
            "sensitivity: confidential",
            "sensitivity: secret",
            "c.yaml:36:22: TW-CFG-010: `entities.customer.fields.tax_id.sensitivity` cannot be `secret` (known: public, internal, confidential, restricted)",
        ),
        (
            "map: {crm: phone}",
            "map: {erp: phone}",
            "c.yaml:46:9: TW-CFG-023: crm owns `phone`, so it needs a column there",
        ),
        ("[[tax_id]]", "[[taxid]]", "c.yaml:50:25: TW-CFG-022: `taxid` is no field, did you mean `tax_id`?"),
        (
            "[[tax_id]]",
            "[[phone]]",
            "c.yaml:50:25: TW-CFG-023: `phone` identifies, so each system needs a column for it",
        ),
        (
            "customer_id: crm, ",
            "",
            "c.yaml:9:10: TW-CFG-023: `entities.customer.ids` has no name for what crm calls it",
        ),
        (
            "creme.persons_address",
            "other.persons_address",
            "c.yaml:7:3: TW-CFG-019: crm.other.persons_address is not among the tables of its system, so nothing of it would come",
        ),
        (
            "table: public.party_party",
            "table: public.*",
            "c.yaml:19:23: TW-CFG-010: `entities.customer.sources.erp.root.table` must be one table, as schema.table; found `public.*`",
        ),
        (
            "phone:\n        owner: crm",
            "phone:\n        owner: crm\n        shared: {}",
            "c.yaml:47:9: TW-CFG-006: `entities.customer.fields.phone.shared` is not in this version",
        ),
        (
            "      phone:",
            "      Phone:",
            "c.yaml:45:7: TW-CFG-012: the field `Phone` must be at most 48 lower-case letters, digits and underscores, starting with a letter",
        ),
        (
            "erp_customer_id: erp",
            "phone: erp",
            "c.yaml:9:5: TW-CFG-023: two things would be called `phone` in its events",
        ),
    ] {
        let error = with_contract(line, instead, "").expect_err(line).to_string();
        wrong.extend((!error.ends_with(told)).then(|| format!("{line}\n  {error}\n  {told}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let config = with_contract("version: 1", "version: 1", "").expect("the example");
    let customer = &config.access.entities["customer"];
    let address = customer.fields.iter().find(|field| field.name == "billing_address").expect("it has one");
    assert_eq!(
        address.columns().collect::<Vec<_>>(),
        ["billing_address_street", "billing_address_postal_code", "billing_address_city"]
    );
}

#[test]
fn what_is_wrong_with_an_entitlement_to_an_entity_is_told() {
    let hash = "0".repeat(64);
    let section = |entitlement: &str| {
        format!(
            "roles: [sales]\nentitlements: [{entitlement}]\nsubjects: {{app: {{roles: [sales], token_hash: \"sha256:{hash}\"}}}}\n"
        )
    };
    for (entitlement, told) in [
        (
            "{role: sales, entity: custmer}",
            "TW-CFG-022: `custmer` is no entity of any contract, did you mean `customer`?",
        ),
        (
            "{role: sales, entity: customer, columns: all}",
            "TW-CFG-010: `entitlements[0].columns` is of tables; an entity has fields",
        ),
        (
            "{role: sales}",
            "TW-CFG-007: `entitlements[0].tables` or `entitlements[0].entity` is needed, and one of them only",
        ),
        (
            "{role: sales, entity: customer, mask: {\"tag:pi\": omit}}",
            "TW-CFG-022: `pi` is no tag of any field, did you mean `pii`?",
        ),
        (
            "{role: sales, entity: customer, mask: {phon: omit}}",
            "TW-CFG-022: `phon` is no field, did you mean `phone`?",
        ),
        (
            "{role: sales, entity: customer, rows: \"row.city = 'Bonn'\"}",
            "TW-CFG-022: `entitlements[0].rows`: customer has no `city` (known: billing_address_city, billing_address_postal_code, billing_address_street, customer_id, erp_customer_id, legal_customer_name, phone, tax_id)",
        ),
        (
            "{role: sales, entity: customer, rows: \"row.phone =\"}",
            "TW-CFG-010: `entitlements[0].rows`: row.NAME, subject.NAME or a value was expected at its end",
        ),
        (
            "{role: sales, entity: customer, rows: \"row.phone in subject.phones\"}",
            "TW-CFG-018: the subject `app` needs the attribute `phones` for its role sales",
        ),
        (
            "{role: sales, tables: [\"erp.*\"], columns: all, max_sensitivity: public}",
            "TW-CFG-023: `entitlements[0].max_sensitivity`: with `columns: all` there are columns that no contract classifies; use `owned`",
        ),
    ] {
        let error =
            with_contract("version: 1", "version: 1", &section(entitlement)).expect_err(entitlement).to_string();
        assert!(error.ends_with(told), "{error}\n{told}");
    }
    let fine = with_contract("version: 1", "version: 1", &section("{role: sales, tables: [\"crm.*\"]}")).expect("fine");
    let entitlements = fine.access.entitlements.expect("a section");
    assert!(matches!(entitlements[0].of, EntitledTo::Tables { columns: Columns::Owned, .. }), "the default");
}

proptest! {
    #[test]
    fn no_bytes_make_a_configuration_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(Path::new("t.yaml"), &bytes, Passwords::Leave);
    }

    /// Damage to a good file reaches the checks behind the parser.
    #[test]
    fn no_damaged_configuration_panics(at in 0..GOOD.len(), cut in 0usize..12, put in "[a-z:{}\\[\\]*&!'\"\n 0-9-]{0,6}") {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
        let _ = parse(Path::new("t.yaml"), text.as_bytes(), Passwords::Leave);
    }
}

#[test]
fn a_mysql_or_mariadb_server_is_read_with_a_number_of_its_own() {
    for (kind, flavour) in [("mysql", Flavour::Mysql), ("mariadb", Flavour::Mariadb)] {
        let config = read(&GOOD.replace("kind: postgres", &format!("kind: {kind}"))).unwrap();
        let System::Mysql(erp) = config.systems.into_values().next().unwrap() else { panic!("not {kind}") };
        assert_eq!((erp.flavour, erp.endpoint.port), (flavour, 3306));
        assert_eq!(erp.server_id, 4_002_903_634, "another number at the next start would be another replica");
        let table = |schema| TableName::new(schema, "t");
        assert!(!erp.captures(&table("mysql")) && !erp.captures(&table("sys")));
    }
}
