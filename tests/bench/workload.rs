//! The backlog: rounds of 1,000 inserts and an update of each of them.

use crate::ROWS;

/// For both engines, with their own words for the types.
pub fn create(instant: &str, local: &str) -> String {
    format!(
        "CREATE TABLE orders (id bigint PRIMARY KEY, customer_id int, order_no varchar(20), status varchar(20), currency char(3), \
         amount numeric(12,2), tax numeric(12,2), region varchar(20), created_at {instant}, updated_at {local}, note varchar(200))"
    )
}

pub const DONE: &str = "CREATE TABLE done (id int PRIMARY KEY)";

/// `numbers`: a table of the engine's that gives `n` from `$first` to `$last`.
pub fn insert(round: u64, numbers: &str) -> String {
    let first = round * ROWS + 1;
    let last = first + ROWS - 1;
    format!(
        "INSERT INTO orders SELECT n, n % 5000, CONCAT('SO-', n), 'draft', 'EUR', n % 100000 + 0.25, n % 1000 + 0.05, \
         'region', '2026-06-17 14:22:00.123456', '2026-06-17 14:22:00.5', CONCAT('a note of ordinary length for order ', n) \
         FROM {numbers}"
    )
    .replace("$first", &first.to_string())
    .replace("$last", &last.to_string())
}

pub fn update(round: u64) -> String {
    let first = round * ROWS + 1;
    format!(
        "UPDATE orders SET status = 'paid', amount = amount + 1, updated_at = '2026-06-18 08:00:00' \
         WHERE id BETWEEN {first} AND {}",
        first + ROWS - 1
    )
}

/// What the table holds in the end, by the source itself: rows, and the sums of ids and of amounts in cents.
pub const SUMS: &str = "SELECT COUNT(*), SUM(id), CAST(SUM(amount * 100) AS DECIMAL(30,0)) FROM orders";
