//! What a server or a role has for every new session does not reach those of Tailwater: no row is cut off, nothing is ended.

use crate::harness::mysql::{Kind, Server};
use crate::harness::postgres::{Postgres, Version};
use crate::harness::tailwater::Tailwater;
use crate::harness::warehouse::{self, assert_same, ready};
use crate::mysql_target;
use crate::unseen_mysql;
use mysql_async::prelude::Queryable;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_postgresql_role_end_no_copy() {
    let (source, warehouse) = (Postgres::of_version(Version::V17).await, Postgres::start_another().await);
    source
        .execute_as_owner(
            "CREATE TABLE t (id int PRIMARY KEY, a int[]); INSERT INTO t SELECT n, '{1,NULL}' FROM generate_series(1, 300000) n",
        )
        .await;
    for (name, value) in [
        ("transaction_timeout", "50"),
        ("idle_in_transaction_session_timeout", "5"),
        ("statement_timeout", "50"),
        ("datestyle", "'SQL, DMY'"),
    ] {
        source.execute(&format!("ALTER ROLE tailwater SET {name} = {value}")).await;
    }
    let tailwater = Tailwater::start(warehouse::setup(&source, &warehouse)).await;
    ready(&tailwater.door(), &["t"], WITHIN).await;
    assert_same(&source, &warehouse, &["t"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_of_mysql_and_mariadb_sessions_cut_no_rows_off_and_end_no_copy() {
    for kind in Kind::ALL {
        let (source, warehouse) = (Server::start(kind).await, Postgres::start().await);
        source.execute("CREATE TABLE t (id int PRIMARY KEY, n int)").await;
        let rows: Vec<_> = (0..3000).map(|n| format!("({n}, {n})")).collect();
        source.execute(&format!("INSERT INTO t VALUES {}", rows.join(", "))).await;
        let of_one = match kind {
            Kind::Mysql => ["SET GLOBAL max_execution_time = 1", "SET GLOBAL max_execution_time = 0"],
            Kind::Mariadb | Kind::MariadbNewer => [
                "SET GLOBAL max_statement_time = 0.001, GLOBAL idle_transaction_timeout = 1",
                "SET GLOBAL max_statement_time = 0, GLOBAL idle_transaction_timeout = 0",
            ],
        };
        let of_both = "SET GLOBAL sql_select_limit = 2, GLOBAL autocommit = 0, GLOBAL completion_type = 2";
        let mut client = source.client().await;
        for sql in [of_both, of_one[0]] {
            client.query_drop(sql).await.expect("set");
        }
        let tailwater = Tailwater::start(mysql_target::setup(&source, &warehouse)).await;
        let door = tailwater.door();
        ready(&door, &["t"], WITHIN).await;
        let reset = "SET GLOBAL sql_select_limit = DEFAULT, GLOBAL autocommit = 1, GLOBAL completion_type = 0";
        for sql in [reset, of_one[1]] {
            client.query_drop(sql).await.expect("set");
        }
        unseen_mysql::assert_same(&source, &warehouse, &door, "t").await;
    }
}
