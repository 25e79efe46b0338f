//! The true commit order, from the server itself: a second slot, of the test's own, that decodes only the ledger.

use super::postgres::Postgres;
use super::replica::Replica;

/// Start it before the first transaction; it survives crashes of the server.
pub struct Oracle(());

impl Oracle {
    pub async fn start(postgres: &Postgres) -> Self {
        postgres.execute("CREATE PUBLICATION oracle FOR TABLE public.ledger").await;
        postgres.execute("SELECT pg_create_logical_replication_slot('oracle', 'pgoutput')").await;
        Self(())
    }

    /// (transaction id, ledger key) of every ledger row, in commit order.
    pub async fn ledger(&self, postgres: &Postgres) -> Vec<(String, String)> {
        // An Insert message: 'I', relation (4), 'N', columns (2), then of the first column 't', length (4), text.
        let sql = "SELECT xid, convert_from(substring(data FROM 14 FOR get_byte(data, 12)), 'UTF8')
            FROM pg_logical_slot_peek_binary_changes('oracle', NULL, NULL, 'proto_version', '1', 'publication_names', 'oracle')
            WHERE get_byte(data, 0) = ascii('I')";
        let rows = postgres.rows(sql).await.into_iter();
        rows.map(|row| (row[0].clone().expect("an xid"), row[1].clone().expect("a key"))).collect()
    }

    /// Fails unless the replica saw each ledger entry exactly once, in commit order, in the right transaction.
    pub async fn assert_same_order(&self, postgres: &Postgres, replica: &Replica) {
        let truth = self.ledger(postgres).await;
        assert!(!truth.is_empty(), "the load committed nothing");
        let mut seen = replica.ledger();
        for (at, (xid, key)) in truth.iter().enumerate() {
            let now = seen.next();
            assert_eq!(now, Some((xid.as_str(), key.as_str())), "ledger entry {at} of {}", truth.len());
        }
        assert_eq!(seen.next(), None, "the replica has more than the server committed");
    }
}
