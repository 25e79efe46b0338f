//! The entities of a status, for people.

use crate::cli::table::Table;
use crate::wire::api::v1::{EntityState, EntityStatus, GovernStatus, Problem, WithheldChange};

/// So many withheld changes of an entity are shown.
const WITHHELD_SHOWN: usize = 10;

/// One line an entity; then what was withheld of it, newest first.
pub(super) fn text(status: &GovernStatus) -> String {
    let mut table = Table::new(&["ENTITY", "STATE", "ENTITIES", "LINKED", "PUBLISHED", "WITHHELD", "BEHIND"]);
    for entity in &status.entities {
        let sum =
            |count: fn(&crate::wire::api::v1::VerdictStatus) -> u64| entity.verdicts.iter().map(count).sum::<u64>();
        table.row(vec![
            entity.entity.clone(),
            state(entity),
            entity.entities.to_string(),
            entity.linked.to_string(),
            sum(|verdicts| verdicts.owned).to_string(),
            sum(|verdicts| verdicts.foreign).to_string(),
            format!("{} transactions", status.lag_transactions),
        ]);
    }
    let mut text = table.to_string();
    let withheld = status.entities.iter().flat_map(|entity| {
        entity.withheld.iter().take(WITHHELD_SHOWN).map(move |change| (entity.entity.as_str(), change))
    });
    let mut table = Table::new(&["WITHHELD", "FIELD", "OF", "KEY", "SEQUENCE"]);
    let mut any = false;
    for (entity, WithheldChange { system, key, field, sequence, .. }) in withheld {
        any = true;
        table.row(vec![entity.to_owned(), field.clone(), system.clone(), key.clone(), sequence.to_string()]);
    }
    if any {
        text += &format!("\n{table}");
    }
    text
}

fn state(entity: &EntityStatus) -> String {
    match entity.state() {
        EntityState::Unspecified => "unknown".to_owned(),
        EntityState::Waiting => format!("waits for copies of {}", entity.waits_for.join(", ")),
        EntityState::Assembling => "is put together".to_owned(),
        EntityState::Following => "following".to_owned(),
        EntityState::Halted => "HALTED".to_owned(),
    }
}

/// Each with the name of the place.
pub(super) fn problems(status: Option<&GovernStatus>) -> Vec<(String, &Problem)> {
    let Some(status) = status else { return Vec::new() };
    let whole = status.halt.iter().map(|problem| ("entities".to_owned(), problem));
    let each = status.entities.iter().filter_map(|entity| Some((entity.entity.clone(), entity.halt.as_ref()?)));
    whole.chain(each).collect()
}
