//! What a server takes for one name is one here, too.

use super::attached::{Attached, create_tables};
use super::server::{Kind, Server};
use crate::source::mysql::names::NameCase;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_folds_together_is_the_same_name() {
    const SQL: &str = "WITH RECURSIVE d(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 255) \
         SELECT HEX(c), HEX(LOWER(c COLLATE utf8mb3_general_ci)) FROM (SELECT CONVERT(CONVERT(CHAR(a.n, b.n) USING ucs2) \
         USING utf8mb3) AS c FROM d a CROSS JOIN d b WHERE a.n NOT BETWEEN 216 AND 223) AS characters";
    let text = |digits: &str| {
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2).unwrap_or("3f"), 16).expect("hex");
        String::from_utf8((0..digits.len()).step_by(2).map(byte).collect()).expect("UTF-8")
    };
    for kind in Kind::ALL {
        let server = Server::start(kind).await;
        let mut folded = 0;
        for row in server.rows(SQL).await {
            let name = |at: usize| text(row.get(at).and_then(Option::as_deref).unwrap_or_default());
            let (typed, kept) = (name(0), name(1));
            folded += usize::from(typed != kept);
            assert!(NameCase::Folded.same_part(&typed, &kept), "{kind:?}: {typed:?} and {kept:?}");
        }
        assert!(folded > 500, "{kind:?}: {folded} characters have another case");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_means_the_table_that_the_server_folds_its_name_to() {
    for kind in [Kind::Mariadb, Kind::MariadbNewer] {
        let server = Server::with_options(kind, &["--lower-case-table-names=1"]).await;
        create_tables(&server).await;
        let names = ["ΛΌΓΟΣ", "İX"];
        for name in names {
            let parts = "PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (100)";
            server
                .execute(&format!("CREATE TABLE {name} (id int PRIMARY KEY) PARTITION BY RANGE (id) ({parts})"))
                .await;
        }
        let mut attached = Attached::to(&server).await;
        for name in names {
            server.execute(&format!("ALTER TABLE {name} DROP PARTITION a")).await;
        }
        attached.level(&server).await;
        let mut again: Vec<_> = attached.journal.copies().into_iter().filter(|copy| !copy.why.is_empty()).collect();
        again.sort_by(|one, other| one.table.cmp(&other.table));
        let again: Vec<_> = again.iter().map(|copy| copy.table.table.to_string()).collect();
        let mut kept: Vec<_> = server.rows("SHOW TABLES").await.into_iter().flatten().flatten().collect();
        kept.retain(|name| !["marks", "t"].contains(&name.as_str()));
        kept.sort();
        assert_eq!(again, kept, "{kind:?}");
        attached.end().await;
    }
}
