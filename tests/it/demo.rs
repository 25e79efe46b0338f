//! The demo that a newcomer meets: it ends well, and it notices when it should not.

use crate::harness::tailwater::BINARY;
use std::path::Path;
use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/demo/demo.py");
    let mut command = Command::new("python3");
    command
        .arg(script)
        .args(["--binary", BINARY])
        .args(arguments)
        .env_remove("KEEP")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().expect("python3 is installed, see deploy/setup.sh")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[test]
fn the_demo_ends_well_and_shows_what_each_saw_and_the_figures() {
    let output = demo(&[]);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    for line in [
        "as expected",
        "withheld: crm changed legal_customer_name",
        "14 equal",
        "each as its owners have it: equal",
        "rows/s",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn the_demo_fails_for_a_line_that_is_missing() {
    let output = demo(&["--spoil", "line"]);
    assert!(!output.status.success() && text(&output).contains("ledger should see"), "{}", text(&output));
}

#[test]
fn the_demo_fails_for_one_row_or_one_customer_that_differs() {
    let output = demo(&["--spoil", "row"]);
    assert!(!output.status.success() && text(&output).contains("verify found a difference"), "{}", text(&output));
    let output = demo(&["--spoil", "customer"]);
    assert!(!output.status.success() && text(&output).contains("customers differ"), "{}", text(&output));
}
