//! The tables of the load: one for each way in which a table can be difficult.

/// `ledger` gets a row in every transaction, so that a lost, doubled or misplaced transaction shows even when its other rows
/// were overwritten later. Its key is its first column: the oracle reads it there.
pub const TABLES: &str = r#"
CREATE TABLE ledger (id bigserial PRIMARY KEY, worker int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());

CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, status text, amount numeric(12,2), paid boolean,
    due date, changed timestamp NOT NULL DEFAULT localtimestamp);

-- The key's order is not the columns' order.
CREATE TABLE stock (warehouse int, sku text, quantity int NOT NULL, PRIMARY KEY (sku, warehouse));

-- No key, and a row may be there twice.
CREATE TABLE audit (who text, what text, amount numeric);
ALTER TABLE audit REPLICA IDENTITY FULL;

-- No identity at all: its inserts travel, and its owner may still update it.
CREATE TABLE events (kind text, note text, at timestamptz DEFAULT clock_timestamp());

-- Large values that an update leaves alone are not in the log.
CREATE TABLE documents (id bigint PRIMARY KEY, title text, body text, meta jsonb, scan bytea);
ALTER TABLE documents ALTER body SET STORAGE EXTERNAL, ALTER scan SET STORAGE EXTERNAL;

CREATE TABLE "Order Lines" ("größe" int, "select" text, "Line No" bigint PRIMARY KEY, "line no" text, "2nd.part" text);
CREATE TABLE "table" ("user" bigint PRIMARY KEY, "order" text);

-- Gains and loses columns while it is written.
CREATE TABLE items (id bigint PRIMARY KEY, name text);
"#;
