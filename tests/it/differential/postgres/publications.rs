//! What happens to the publications in the middle of a round.

use crate::harness::postgres::Version;
use crate::harness::rng::Rng;

const MAIN: &str = "tailwater_erp";

/// An edit of a publication that somebody takes back; `written` happens in between. (Before 18, a publication that was
/// dropped and made again ends the source with TW-SRC-015 for the log of that time: `surprises` has that.)
pub fn edit(rng: &mut Rng, version: Version, table: &str, written: String) -> (&'static str, Vec<String>) {
    let alter = |what: String| format!("ALTER PUBLICATION {MAIN} {what}");
    match rng.below(if version == Version::V18 { 4 } else { 3 }) {
        0 => {
            let edits =
                [alter(format!("DROP TABLE public.{table}")), written, alter(format!("ADD TABLE public.{table}"))];
            ("publication without a table", edits.to_vec())
        }
        1 => {
            let all = "SET (publish = 'insert, update, delete, truncate')".to_owned();
            ("publication without operations", vec![alter("SET (publish = 'insert')".into()), written, alter(all)])
        }
        2 => (
            "publication with a filter",
            vec![
                alter(format!("DROP TABLE public.{table}")),
                alter(format!("ADD TABLE public.{table} WHERE (false)")),
                written,
                alter(format!("DROP TABLE public.{table}")),
                alter(format!("ADD TABLE public.{table}")),
            ],
        ),
        _ => {
            let again = "DO $$ DECLARE tables text; BEGIN SELECT string_agg(prrelid::regclass::text, ', ') INTO tables \
                         FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE pubname = 'tailwater_erp'; \
                         DROP PUBLICATION tailwater_erp; EXECUTE 'CREATE PUBLICATION tailwater_erp FOR TABLE ' || tables || \
                         ' WITH (publish_via_partition_root = true)'; \
                         ALTER PUBLICATION tailwater_erp OWNER TO tailwater; END $$";
            ("publication made again", vec![written, again.to_owned()])
        }
    }
}
