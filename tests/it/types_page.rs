//! `docs/types.md` is what the table in code says. `TAILWATER_WRITE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;
use tailwater::model::types::{MYSQL, POSTGRES, ServerType, Target};
use tailwater::wire::descriptor::proto_type;

const INTRODUCTION: &str = "# Types

Which type of a source travels as what, and what it becomes in a PostgreSQL target. Made from `src/model/types.rs`, which the decoders,
the protobuf messages and the targets go by.

Every value is exact. What its ordinary type cannot say is a *special value* in the typed messages of `tailwater.types.v1` (`Decimal`,
`Date`, `Time`, `LocalDateTime`, `Instant`, `Interval`, …), never a magic number or a null. A first copy and the log give the same value for
the same cell.

";
const OF_POSTGRES: &str = "## PostgreSQL

A target's column has the declared type of the source's. Arrays of these types keep their dimensions, lower bounds and nulls; a domain
is its base type.

";
const OTHERS: &str = "
Every other type (enums, ranges, composites, network addresses, geometries, those of extensions) travels as `Other`: the server's text and
the type's name, nothing lost. In a target PostgreSQL's own keep their type, those of somebody's making become `text`.

";
const OF_MYSQL: &str = "## MySQL and MariaDB

Text of every character set arrives as UTF-8, by the server's own conversion. Bytes that are no character of the set halt their table with
TW-SRC-019, and a column of a type that is not read halts its table with TW-MYS-015; nothing is guessed at.

";

fn table(types: &[ServerType], target: impl Fn(&ServerType) -> String, out: &mut String) {
    *out += "| type | travels as | in the target | values |\n|---|---|---|---|\n";
    for known in types {
        let (name, proto, note) = (known.name, proto_type(known.scalar), known.note);
        let note = if note.is_empty() { "exact" } else { note };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| `{name}` | `{proto}` | {} | {note} |", target(known));
    }
}

fn of_mysql(known: &ServerType) -> String {
    match known.target {
        Target::Same if known.name == "bit" => "`bit(n)`".to_owned(),
        Target::Same => format!("`{}`", known.name),
        Target::Is(name) => format!("`{name}`"),
        Target::With(name) => format!("`{name}(p,s)`"),
        Target::Digits(name, rest) => format!("`{name}(n){rest}`"),
        Target::Varying => "`character varying(n)`".to_owned(),
    }
}

#[test]
fn the_published_page_is_what_the_table_says() {
    let mut page = INTRODUCTION.to_owned() + OF_POSTGRES;
    table(POSTGRES, |_| "the same".to_owned(), &mut page);
    page += OTHERS;
    page += OF_MYSQL;
    table(MYSQL, of_mysql, &mut page);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/types.md");
    if std::env::var_os("TAILWATER_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it is ours");
        std::fs::write(&path, &page).expect("it is ours");
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(published == page, "docs/types.md is not what src/model/types.rs says: run with TAILWATER_WRITE_DOCS=1");
}
