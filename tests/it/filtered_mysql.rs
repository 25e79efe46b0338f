//! MySQL and MariaDB: tables whose changes the server keeps out of its log are halted, also where that comes and goes while
//! Tailwater runs, and are copied again afterwards.

use crate::harness::mysql::{Kind, Server, USER};
use crate::harness::postgres::Postgres;
use crate::harness::tailwater::{Door, Tailwater};
use crate::harness::warehouse::{ready, table};
use crate::harness::{eventually, holds};
use crate::mysql_target::setup;
use mysql_async::prelude::Queryable;
use rustix::process::Signal;
use std::time::Duration;
use tailwater::wire::api::v1::{SourceState, TargetTableState};

const WITHIN: Duration = Duration::from_secs(90);
const UNLOGGED: &str = "TW-MYS-024";
const REPLICA: &str = "TW-MYS-018";

struct Scene {
    server: Server,
    warehouse: Postgres,
    tailwater: Tailwater,
}

impl Scene {
    async fn set(server: Server) -> Self {
        for (database, name) in [("crm", "plain"), ("secret", "kept")] {
            server.execute(&format!("CREATE DATABASE IF NOT EXISTS {database}")).await;
            server.execute(&format!("CREATE TABLE {database}.{name} (id int PRIMARY KEY, n int)")).await;
            server.execute(&format!("INSERT INTO {database}.{name} VALUES (1, 1)")).await;
        }
        let warehouse = Postgres::start().await;
        let mut setup = setup(&server, &warehouse);
        setup.tables.push("secret.*".into());
        let tailwater = Tailwater::start(setup).await;
        Self { server, warehouse, tailwater }
    }

    fn door(&self) -> Door {
        self.tailwater.door()
    }

    async fn write(&self, database: &str, name: &str, id: u32) {
        self.server.execute(&format!("INSERT INTO {database}.{name} VALUES ({id}, 0)")).await;
        self.server.execute(&format!("UPDATE {database}.{name} SET n = n + 1")).await;
    }

    /// The table is halted with the code, and nowhere called ready.
    async fn halts(&self, name: &str, code: &str) {
        let door = self.door();
        eventually("the table is halted", WITHIN, async || {
            let source = door.source().await?;
            holds(source.state() == SourceState::Streaming, || format!("{source:?}"))?;
            let found = source.tables.iter().find(|found| found.table == name).and_then(|found| found.halt.clone());
            holds(found.is_some_and(|halt| halt.code == code), || format!("{name}: {source:?}"))?;
            // A table that was never captured is not at the target.
            let there = table(&door, name).await.map(|table| table.state());
            holds(there != Ok(TargetTableState::Ready), || format!("{name} is ready at the target"))
        })
        .await;
    }

    async fn is_same(&self, database: &str, name: &str) {
        ready(&self.door(), &[name], WITHIN).await;
        eventually("the target is the source", WITHIN, async || {
            let here = self.server.rows(&format!("SELECT id, n FROM {database}.{name} ORDER BY id")).await;
            let there = self.warehouse.rows(&format!("SELECT id, n FROM erp.{name} ORDER BY id")).await;
            holds(here == there, || format!("{name}: {here:?} in the source, {there:?} in the target"))
        })
        .await;
        ready(&self.door(), &[name], WITHIN).await;
    }

    fn checked(&self) -> String {
        String::from_utf8_lossy(&self.tailwater.cli(&["check"]).stdout).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_database_that_is_not_logged_is_halted_and_copied_once_it_is() {
    for kind in Kind::ALL {
        let mut scene = Scene::set(Server::with_options(kind, &["--binlog-ignore-db=secret"]).await).await;
        scene.halts("kept", UNLOGGED).await;
        scene.write("crm", "plain", 2).await;
        scene.write("secret", "kept", 2).await;
        scene.is_same("crm", "plain").await;
        let checked = scene.checked();
        assert!(checked.contains(UNLOGGED) && checked.contains("secret.kept"), "{checked}");

        scene.server.stop(Signal::TERM);
        scene.server.set_options(&["--binlog-do-db=secret"]);
        scene.server.up().await;
        scene.halts("plain", UNLOGGED).await;
        scene.write("crm", "plain", 3).await;
        scene.write("secret", "kept", 3).await;
        scene.is_same("secret", "kept").await;

        scene.server.stop(Signal::TERM);
        scene.server.set_options(&[]);
        scene.server.up().await;
        scene.is_same("crm", "plain").await;
        scene.write("crm", "plain", 4).await;
        scene.write("secret", "kept", 4).await;
        scene.is_same("crm", "plain").await;
        scene.is_same("secret", "kept").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_captured_of_a_replica_that_does_not_log_what_it_applies() {
    for kind in Kind::ALL {
        let (options, begin, end) = match kind {
            Kind::Mysql => (
                &["--log-replica-updates=OFF"][..],
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1",
                &["RESET REPLICA ALL"][..],
            ),
            // Off by default. Whoever may not ask is told only of what runs.
            Kind::Mariadb => (
                &[][..],
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1; START SLAVE",
                &["STOP SLAVE", "RESET SLAVE ALL"][..],
            ),
            Kind::MariadbNewer => {
                (&[][..], "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 1", &["RESET SLAVE ALL"][..])
            }
        };
        let server = Server::with_options(kind, options).await;
        if kind == Kind::MariadbNewer {
            server.execute(&format!("GRANT REPLICA MONITOR ON *.* TO {USER}@'%'")).await;
        }
        let scene = Scene::set(server).await;
        scene.is_same("crm", "plain").await;
        scene.server.execute(begin).await;
        scene.halts("plain", REPLICA).await;
        scene.halts("kept", REPLICA).await;
        let checked = scene.checked();
        assert!(checked.contains(REPLICA), "{checked}");
        let mut applier = scene.server.client().await;
        for sql in ["SET sql_log_bin = 0", "INSERT INTO crm.plain VALUES (2, 2)", "DELETE FROM secret.kept"] {
            applier.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        for sql in end {
            scene.server.execute(sql).await;
        }
        scene.is_same("crm", "plain").await;
        scene.is_same("secret", "kept").await;
    }
}
