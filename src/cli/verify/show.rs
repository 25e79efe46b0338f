//! A report of differences: as a table and lists for people, as one object for scripts.

use crate::cli::table::Table;
use crate::deliver::verify::{Difference, Kind, NotCompared, Outcome, Report, TableReport};
use crate::model::problem::Problem;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

pub fn json(report: &Report) -> Value {
    let stopped = report.stopped.iter().map(|stopped| {
        let place = json!({"target": stopped.target, "system": stopped.system});
        with_problem(place, Some(&stopped.problem))
    });
    json!({
        "equal": report.all_equal(),
        "tables": report.tables.iter().map(table).collect::<Vec<_>>(),
        "stopped": stopped.collect::<Vec<_>>(),
        "not_compared": report.not_compared.iter().map(not_compared).collect::<Vec<_>>(),
    })
}

fn not_compared(one: &NotCompared) -> Value {
    json!({"target": one.target, "name": one.name, "why": one.why})
}

fn table(table: &TableReport) -> Value {
    let tally = &table.tally;
    let value = json!({
        "target": table.target, "table": table.table, "target_table": table.target_table,
        "result": word(table.outcome), "rows": tally.rows, "ranges": tally.ranges,
        "changed": tally.changed, "missing": tally.missing, "extra": tally.extra, "unsettled": tally.unsettled,
        "differences": tally.shown.iter().map(difference).collect::<Vec<_>>(),
        "only_in_target": tally.only_in_target, "only_in_source": tally.only_in_source, "seconds": table.took.as_secs_f64(),
    });
    with_problem(value, table.problem.as_ref())
}

fn difference(difference: &Difference) -> Value {
    json!({
        "kind": kind(difference.kind), "key": key(difference), "place": difference.place,
        "columns": difference.columns,
    })
}

fn with_problem(mut value: Value, problem: Option<&Problem>) -> Value {
    value["code"] = json!(problem.map(|problem| problem.code.as_str()));
    value["message"] = json!(problem.map(|problem| &problem.message));
    value["next"] = json!(problem.map(|problem| problem.code.entry().next));
    value
}

/// The columns' names with their texts.
fn key(difference: &Difference) -> Value {
    Value::Object(difference.key.iter().map(|(name, text)| (name.clone(), json!(text))).collect::<Map<_, _>>())
}

pub fn text(report: &Report) -> String {
    let mut out = String::new();
    if !report.tables.is_empty() {
        out += &summary(&report.tables).to_string();
    }
    for table in &report.tables {
        details(table, &mut out);
    }
    for stopped in &report.stopped {
        let place = format!("{} in {}", stopped.system, stopped.target);
        say(&mut out, &place, &stopped.problem);
        tell_next(&mut out, &stopped.problem);
    }
    for one in &report.not_compared {
        let _ = writeln!(out, "\nnot compared in {}: {}: {}", one.target, one.name, one.why);
    }
    let equal = report.tables.iter().filter(|table| table.outcome == Outcome::Equal).count();
    let rows: u64 = report.tables.iter().map(|table| table.tally.rows).sum();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "\nverified {} tables, {rows} rows: {equal} equal", report.tables.len());
    out
}

fn summary(tables: &[TableReport]) -> Table {
    let mut lines = Table::new(&[
        "TABLE",
        "TARGET",
        "RESULT",
        "ROWS",
        "RANGES",
        "CHANGED",
        "MISSING",
        "EXTRA",
        "UNSETTLED",
        "SECONDS",
    ]);
    for table in tables {
        let tally = &table.tally;
        let counts = [tally.rows, tally.ranges, tally.changed, tally.missing, tally.extra, tally.unsettled];
        let mut line = vec![table.table.clone(), table.target.clone(), word(table.outcome).to_owned()];
        line.extend(counts.map(|count| count.to_string()));
        line.push(format!("{:.1}", table.took.as_secs_f64()));
        lines.row(line);
    }
    lines
}

fn details(table: &TableReport, out: &mut String) {
    let tally = &table.tally;
    if let Some(problem) = &table.problem {
        let target_table = table.target_table.iter().map(|name| format!(", there {name}")).collect::<String>();
        say(out, &format!("{} in {}{target_table}", table.table, table.target), problem);
        for difference in &tally.shown {
            let _ = writeln!(out, "  {}", line(difference));
        }
        let rest = (tally.differences() + tally.unsettled).saturating_sub(tally.shown.len() as u64);
        if rest > 0 {
            let _ = writeln!(out, "  and {rest} more; --limit N lists more");
        }
        tell_next(out, problem);
    }
    if !tally.only_in_target.is_empty() {
        let columns = tally.only_in_target.join(", ");
        let _ = writeln!(out, "\nnot compared, as only {} has them: {} {columns}", table.target, table.table);
    }
    if !tally.only_in_source.is_empty() {
        let columns = tally.only_in_source.join(", ");
        let _ = writeln!(out, "\nnot compared, as generated columns are not carried: {} {columns}", table.table);
    }
}

fn line(difference: &Difference) -> String {
    let row = difference.place.clone().unwrap_or_else(|| key(difference).to_string());
    let columns =
        if difference.columns.is_empty() { String::new() } else { format!(": {}", difference.columns.join(", ")) };
    format!("{} {row}{columns}", kind(difference.kind))
}

fn say(out: &mut String, place: &str, problem: &Problem) {
    let _ = writeln!(out, "\n{place}: {problem}");
}

fn tell_next(out: &mut String, problem: &Problem) {
    let _ = writeln!(out, "  next: {}", problem.code.entry().next);
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Equal => "equal",
        Outcome::Different => "different",
        Outcome::Unsettled => "unsettled",
        Outcome::NotReady => "not_ready",
        Outcome::NotCaptured => "not_captured",
        Outcome::Failed => "failed",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Changed => "changed",
        Kind::Missing => "missing",
        Kind::Extra => "extra",
        Kind::Unsettled => "unsettled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::verify::{Stopped, Tally};
    use crate::model::code;
    use std::time::Duration;

    fn report() -> Report {
        let mut tally = Tally { rows: 7, ranges: 1, ..Tally::showing(2) };
        let key = |id: &str| vec![("id".to_owned(), id.to_owned()), ("Line \"No\"".to_owned(), "1".to_owned())];
        let columns = vec!["note".to_owned()];
        tally.add(Difference { kind: Kind::Changed, key: key("5"), place: None, columns });
        let place = Some("public.log(0,1)".to_owned());
        tally.add(Difference { kind: Kind::Missing, key: Vec::new(), place, columns: Vec::new() });
        tally.add(Difference { kind: Kind::Extra, key: key("9"), place: None, columns: Vec::new() });
        let different = TableReport {
            target: "lake".to_owned(),
            table: "erp.public.orders".to_owned(),
            target_table: Some("erp.orders".to_owned()),
            outcome: tally.outcome(),
            tally,
            problem: Some(Problem::new(code::VERIFY_DIFFERENCES, "three")),
            took: Duration::from_millis(1500),
        };
        let problem = Problem::new(code::VERIFY_NOT_PASSED, "it stands");
        let stopped = Stopped { target: "lake".to_owned(), system: "crm".to_owned(), problem };
        let masked = NotCompared { target: "lake".to_owned(), name: "erp.public.people".to_owned(), why: "masked" };
        Report { tables: vec![different], stopped: vec![stopped], not_compared: vec![masked] }
    }

    #[test]
    fn people_read_each_difference_by_its_key_and_how_many_are_not_listed() {
        let text = text(&report());
        for part in [
            "erp.public.orders  lake    different  7     1       1        1        1      0          1.5",
            "erp.public.orders in lake, there erp.orders: TW-CLI-019: three\n",
            "  changed {\"id\":\"5\",\"Line \\\"No\\\"\":\"1\"}: note\n  missing public.log(0,1)\n",
            "  and 1 more; --limit N",
            "crm in lake: TW-CLI-014: it stands\n  next: ",
            "not compared in lake: erp.public.people: masked",
            "verified 1 tables, 7 rows: 0 equal",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn scripts_read_one_object() {
        let value = json(&report());
        let table = &value["tables"][0];
        assert_eq!(
            (&value["equal"], &table["result"], &table["extra"]),
            (&json!(false), &json!("different"), &json!(1))
        );
        assert_eq!(table["differences"][0]["key"], json!({"id": "5", "Line \"No\"": "1"}));
        assert_eq!(table["differences"][0]["columns"], json!(["note"]));
        assert_eq!(value["not_compared"][0]["name"], json!("erp.public.people"));
        assert_eq!((&table["code"], &value["stopped"][0]["code"]), (&json!("TW-CLI-019"), &json!("TW-CLI-014")));
    }
}
