//! `check` finds what would make a run fail, all at once.

use super::attached::{create_tables, system};
use super::server::{Kind, Server, USER};
use crate::model::code;
use crate::model::finding::Severity;
use crate::source::mysql::preflight;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_as_it_should_be_has_no_findings_and_one_with_everything_wrong_has_all() {
    for kind in [Kind::Mysql, Kind::Mariadb] {
        let server = Server::start(kind).await;
        create_tables(&server).await;
        assert_eq!(preflight(&system(&server)).await, [], "{kind:?}");

        let options =
            ["--binlog-row-metadata=MINIMAL", "--binlog-row-image=MINIMAL", "--binlog-expire-logs-seconds=60"];
        let server = Server::with_options(kind, &options).await;
        create_tables(&server).await;
        server.execute("CREATE TABLE keyless (n int)").await;
        server.execute(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {USER}")).await;
        server.execute(&format!("GRANT SELECT, REPLICATION CLIENT ON *.* TO {USER}")).await;
        let found = preflight(&system(&server)).await;
        let codes = |severity| {
            let mut codes: Vec<_> =
                found.iter().filter(|found| found.severity == severity).map(|found| found.problem.code).collect();
            codes.sort_by_key(|code| code.as_str());
            codes
        };
        let expected = [code::LOG_SETTINGS, code::LOG_SETTINGS, code::PERMISSION_MISSING];
        assert_eq!(codes(Severity::Error), expected, "{kind:?} {found:?}");
        for code in [code::LOG_SHORT_LIVED, code::IDENTITY_MISSING] {
            assert!(codes(Severity::Warning).contains(&code), "{kind:?} {found:?}");
        }
        for finding in found.iter().filter(|found| found.severity == Severity::Error) {
            for sql in &finding.sql {
                server.execute(sql).await;
            }
        }
        server.execute("DROP TABLE keyless").await;
        let left = preflight(&system(&server)).await;
        assert!(left.iter().all(|found| found.severity == Severity::Warning), "{kind:?} {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_other_kind_is_told_first_and_what_everybody_may_do_is_no_right_of_ours() {
    let server = Server::start(Kind::Mariadb).await;
    let mut other = system(&server);
    other.flavour = crate::config::Flavour::Mysql;
    let codes = |found: Vec<crate::model::finding::Finding>| found.iter().map(|f| f.problem.code).collect::<Vec<_>>();
    assert_eq!(codes(preflight(&other).await), [code::FLAVOUR_WRONG]);
    server.execute(&format!("REVOKE SELECT ON *.* FROM {USER}")).await;
    server.execute("GRANT SELECT ON crm.* TO PUBLIC").await;
    create_tables(&server).await;
    let found = preflight(&system(&server)).await;
    assert_eq!(found[0].sql, [format!("GRANT SELECT, LOCK TABLES ON *.* TO `{USER}`@`%`;")], "{found:?}");
}
