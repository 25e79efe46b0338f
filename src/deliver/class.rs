//! What one stream or catalogue call may see: the subject's entitlements, narrowed by the request's patterns.
//!
//! A table is seen when an entitlement of one of the subject's roles selects it *and* a requested pattern does. Both look
//! at the full name `system.schema.table`. Whatever cannot be decided is not seen.

use super::refusal::{Kind, Refusal};
use super::subject::{Origin, Subject};
use crate::config::Access;
use crate::model::code;
use crate::model::pattern::{Pattern, Selection};
use crate::model::schema::{SchemaId, TableSchema};
use std::collections::HashMap;
use std::sync::Arc;

const PATTERNS_MAX: usize = 256;
const PATTERN_BYTES_MAX: usize = 512;

/// What a subject may read.
#[derive(Clone, Debug)]
enum Reading {
    /// Everything as it is: the local operator and targets, while there is no `entitlements` section.
    Raw,
    /// What one of these selects.
    Entitled(Arc<[Selection]>),
}

impl Reading {
    fn of(access: &Access, subject: &Subject) -> Result<Self, Refusal> {
        let refuse =
            |why| Err(Refusal::new(Kind::Forbidden, code::NOTHING_ENTITLED, format!("{} {why}", subject.name)));
        match &access.entitlements {
            None if subject.origin != Origin::Configured => Ok(Self::Raw),
            None => refuse("reads nothing: the config has no entitlements section, so only the local operator reads"),
            Some(entitlements) => {
                let own: Vec<_> =
                    entitlements.iter().filter(|e| subject.has_role(&e.role)).map(|e| e.tables.clone()).collect();
                if own.is_empty() {
                    return refuse("reads nothing: no entitlement names one of its roles");
                }
                Ok(Self::Entitled(own.into()))
            }
        }
    }

    fn sees(&self, full_name: &str) -> bool {
        match self {
            Self::Raw => true,
            Self::Entitled(selections) => selections.iter().any(|selection| selection.matches(full_name)),
        }
    }
}

/// The tables that one stream or call is about. Remembers its answers: a schema version never changes.
#[derive(Debug)]
pub struct Class {
    reading: Reading,
    patterns: Vec<Pattern>,
    known: HashMap<SchemaId, bool>,
}

impl Class {
    /// `patterns` may be empty: then everything that the subject may read.
    ///
    /// # Errors
    /// The subject reads nothing at all; too many or too long patterns.
    pub fn new(access: &Access, subject: &Subject, patterns: &[String]) -> Result<Self, Refusal> {
        if patterns.len() > PATTERNS_MAX || patterns.iter().any(|p| p.is_empty() || p.len() > PATTERN_BYTES_MAX) {
            let message = format!("tables: at most {PATTERNS_MAX} patterns of 1 to {PATTERN_BYTES_MAX} bytes");
            return Err(Refusal::new(Kind::Invalid, code::REQUEST_INVALID, message));
        }
        let reading = Reading::of(access, subject)?;
        let patterns = patterns.iter().map(|pattern| Pattern::new(pattern)).collect();
        Ok(Self { reading, patterns, known: HashMap::new() })
    }

    /// Refuses an exact name that stands for no visible table among `current`. A pattern with a `*` may match later.
    ///
    /// # Errors
    /// The name is unknown or not visible, in the same words.
    pub fn check_names(&self, current: &[Arc<TableSchema>]) -> Result<(), Refusal> {
        let exact = self.patterns.iter().filter(|pattern| !pattern.as_str().contains('*'));
        for name in exact.map(Pattern::as_str) {
            if !self.reading.sees(name) || !current.iter().any(|schema| schema.full_name() == name) {
                let message = format!("there is no table {name} that you may see");
                return Err(Refusal::new(Kind::NotFound, code::TABLE_NOT_FOUND, message));
            }
        }
        Ok(())
    }

    pub fn sees_name(&self, full_name: &str) -> bool {
        self.reading.sees(full_name)
            && (self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(full_name)))
    }

    /// Whether changes of this schema version are seen; `None` when `schema` does not know the version.
    pub fn sees(&mut self, id: SchemaId, schema: impl FnOnce() -> Option<Arc<TableSchema>>) -> Option<bool> {
        if let Some(known) = self.known.get(&id) {
            return Some(*known);
        }
        let seen = self.sees_name(&schema()?.full_name());
        self.known.insert(id, seen);
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Entitlement;

    fn access(entitlements: Option<&[(&str, &str, &str)]>) -> Access {
        let entitlement = |(role, include, exclude): &(&str, &str, &str)| Entitlement {
            role: (*role).to_owned(),
            tables: Selection { include: vec![Pattern::new(include)], exclude: vec![Pattern::new(exclude)] },
        };
        Access { entitlements: entitlements.map(|list| list.iter().map(entitlement).collect()), ..Access::default() }
    }

    fn subject(roles: &[&str]) -> Subject {
        Subject::configured("app", &roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_entitlements_only_the_operator_reads() {
        let access = access(None);
        assert!(Class::new(&access, &Subject::operator(), &[]).expect("raw").sees_name("erp.public.orders"));
        let refusal = Class::new(&access, &subject(&["admin"]), &[]).expect_err("refused");
        assert_eq!((refusal.kind, refusal.problem.code), (Kind::Forbidden, code::NOTHING_ENTITLED));
    }

    #[test]
    fn a_target_reads_raw_without_entitlements_and_as_its_roles_with_them() {
        let target = |roles: &[&str]| {
            Subject::target("warehouse", &roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>())
        };
        assert!(Class::new(&access(None), &target(&[]), &[]).expect("raw").sees_name("erp.public.orders"));
        let replica = access(Some(&[("replica", "erp.*", "")]));
        assert!(Class::new(&replica, &target(&[]), &[]).is_err());
        let class = Class::new(&replica, &target(&["replica"]), &[]).expect("entitled");
        assert!(class.sees_name("erp.public.orders") && !class.sees_name("crm.public.accounts"));
    }

    #[test]
    fn with_entitlements_the_operator_reads_as_its_role_admin_only() {
        let sales = [("sales", "crm.*", "")];
        assert!(Class::new(&access(Some(&sales)), &Subject::operator(), &[]).is_err());
        let both = [("sales", "crm.*", ""), ("admin", "erp.*", "")];
        let class = Class::new(&access(Some(&both)), &Subject::operator(), &[]).expect("entitled");
        assert!(class.sees_name("erp.public.orders") && !class.sees_name("crm.public.accounts"));
    }

    #[test]
    fn a_table_is_seen_when_a_role_and_a_pattern_select_it() {
        let access = access(Some(&[("sales", "crm.*", "*.secret"), ("finance", "erp.*", "")]));
        let class = Class::new(&access, &subject(&["sales"]), &["*.accounts".to_owned(), "erp.*".to_owned()]);
        let class = class.expect("entitled");
        assert!(class.sees_name("crm.public.accounts"));
        for unseen in ["crm.public.secret", "crm.public.leads", "erp.public.accounts", "erp.public.orders"] {
            assert!(!class.sees_name(unseen), "{unseen}");
        }
    }

    #[test]
    fn an_unknown_and_an_invisible_name_are_refused_alike_and_a_pattern_is_not() {
        let access = access(Some(&[("sales", "crm.*", "")]));
        let refusal = |name: &str| {
            let class = Class::new(&access, &subject(&["sales"]), &[name.to_owned()]).expect("entitled");
            class.check_names(&[]).err().map(|refusal| refusal.problem.message.replace(name, "X"))
        };
        assert!(refusal("crm.public.unknown").is_some());
        assert_eq!(refusal("crm.public.unknown"), refusal("erp.public.orders"));
        assert_eq!(refusal("crm.public.*"), None);
    }
}
