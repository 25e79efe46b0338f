//! What one stream or catalogue call may see: the subject's entitlements, narrowed by the request's patterns.
//!
//! A table is seen when an entitlement of one of the subject's roles selects it *and* a requested pattern does. Both look
//! at the full name `system.schema.table`; entities are asked for by their own names, and no pattern over tables means one.
//! Whatever cannot be decided is not seen.

use super::refusal::{Kind, Refusal};
use super::subject::{Origin, Subject};
use super::view::{Entitled, View};
use crate::config::predicate::Literal;
use crate::config::{Access, Columns, EntitledTo, Entitlement, Entity};
use crate::model::code;
use crate::model::pattern::Pattern;
use crate::model::schema::{SchemaId, TableSchema};
use ring::digest;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const PATTERNS_MAX: usize = 256;
const PATTERN_BYTES_MAX: usize = 512;

/// What a subject may read.
#[derive(Clone, Debug)]
enum Reading {
    /// Everything as it is: the local operator and targets, while there is no `entitlements` section.
    Raw,
    Entitled {
        /// Those of its roles.
        entitlements: Vec<Entitlement>,
        attributes: BTreeMap<String, Vec<Literal>>,
    },
}

impl Reading {
    fn of(access: &Access, subject: &Subject) -> Result<Self, Refusal> {
        let refuse =
            |why| Err(Refusal::new(Kind::Forbidden, code::NOTHING_ENTITLED, format!("{} {why}", subject.name)));
        match &access.entitlements {
            None if subject.origin != Origin::Configured => Ok(Self::Raw),
            None => refuse("reads nothing: the config has no entitlements section, so only the local operator reads"),
            Some(entitlements) => {
                let own = entitlements.iter().filter(|entitlement| subject.has_role(&entitlement.role));
                let entitlements: Vec<_> = own.cloned().collect();
                if entitlements.is_empty() {
                    return refuse("reads nothing: no entitlement names one of its roles");
                }
                let configured = access.subjects.get(&*subject.name).filter(|_| subject.origin == Origin::Configured);
                let attributes = configured.map(|subject| subject.attributes.clone()).unwrap_or_default();
                Ok(Self::Entitled { entitlements, attributes })
            }
        }
    }
}

/// What a request names. Nothing at all: everything that the subject may read.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub tables: Vec<String>,
    pub entities: Vec<String>,
}

/// The tables and entities that one stream or call is about, and what is seen of them. Remembers its answers: a schema version
/// never changes.
#[derive(Debug)]
pub struct Class {
    reading: Reading,
    tables: Vec<Pattern>,
    entities: Vec<Pattern>,
    contracts: Arc<BTreeMap<String, Arc<Entity>>>,
    known: HashMap<SchemaId, View>,
}

impl Class {
    /// # Errors
    /// The subject reads nothing at all; too many or too long patterns.
    pub fn new(access: &Access, subject: &Subject, asked: &Asked) -> Result<Self, Refusal> {
        let reading = Reading::of(access, subject)?;
        let (tables, entities) = (patterns("tables", &asked.tables)?, patterns("entities", &asked.entities)?);
        let contracts = Arc::clone(&access.entities);
        Ok(Self { reading, tables, entities, contracts, known: HashMap::new() })
    }

    /// Refuses an exact name that stands for nothing visible among `current`. A pattern with a `*` may match later.
    ///
    /// # Errors
    /// The name is unknown or not visible, in the same words.
    pub fn check_names(&self, current: &[Arc<TableSchema>]) -> Result<(), Refusal> {
        let is_seen = |is_it: &dyn Fn(&TableSchema) -> bool| {
            current.iter().any(|schema| is_it(schema) && self.view(schema).sees_anything())
        };
        let is_table = |name: &str| is_seen(&|schema: &TableSchema| !schema.is_entity() && schema.full_name() == name);
        refuse_unknown("table", &self.tables, is_table)?;
        // One that is defined may have no rows yet.
        let is_entity = |name: &str| self.contracts.contains_key(name) && self.means_entity(name);
        refuse_unknown("entity", &self.entities, is_entity)
    }

    /// The contract of an entity.
    pub fn contract(&self, schema: &TableSchema) -> Option<&Arc<Entity>> {
        self.contracts.get(&*schema.name.table).filter(|_| schema.is_entity())
    }

    /// What is seen of a version of a table.
    pub fn view(&self, schema: &TableSchema) -> View {
        let is_asked = if schema.is_entity() {
            self.asks(&self.entities, &schema.name.table)
        } else {
            self.asks(&self.tables, &schema.full_name())
        };
        match &self.reading {
            _ if !is_asked => View::Nothing,
            Reading::Raw => View::Whole,
            Reading::Entitled { entitlements, attributes } => {
                View::of(schema, &Entitled { entitlements, attributes, contracts: &self.contracts })
            }
        }
    }

    /// Stands for all of the configuration that decides what is seen of a table. Empty for one that is seen as it is.
    pub fn policy(&self, schema: &TableSchema) -> String {
        if schema.is_entity() && matches!(self.reading, Reading::Raw) {
            return schema.origin.to_string();
        }
        if !schema.is_entity() && self.means_raw(&schema.full_name()) {
            return String::new();
        }
        let decides = format!("{:?} {:?}", self.reading, self.contracts);
        let hash = digest::digest(&digest::SHA256, decides.as_bytes());
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is an entity as another contract made it: it is on its way to be made anew, or not configured any more.
    pub fn is_outdated(&self, schema: &TableSchema) -> bool {
        schema.is_entity() && self.contract(schema).is_none_or(|entity| *schema.origin != *entity.fingerprint())
    }

    /// Whether a table is seen as it is, whatever it looks like.
    pub fn means_raw(&self, full_name: &str) -> bool {
        let is_raw = |entitlement: &Entitlement| {
            let of = &entitlement.of;
            let all = matches!(of, EntitledTo::Tables { tables, columns: Columns::All } if tables.matches(full_name));
            all && entitlement.rows.is_none() && entitlement.mask.is_empty()
        };
        self.is_entitled(is_raw) && self.asks(&self.tables, full_name)
    }

    /// Whether something of a table may be seen, whatever it looks like.
    pub fn means_table(&self, full_name: &str) -> bool {
        let is_entitled = |entitlement: &Entitlement| matches!(&entitlement.of, EntitledTo::Tables { tables, .. } if tables.matches(full_name));
        self.is_entitled(is_entitled) && self.asks(&self.tables, full_name)
    }

    /// The same of an entity.
    pub fn means_entity(&self, name: &str) -> bool {
        let is_entitled =
            |entitlement: &Entitlement| matches!(&entitlement.of, EntitledTo::Entity(entity) if entity.matches(name));
        self.is_entitled(is_entitled) && self.asks(&self.entities, name)
    }

    fn is_entitled(&self, is_it: impl Fn(&Entitlement) -> bool) -> bool {
        match &self.reading {
            Reading::Raw => true,
            Reading::Entitled { entitlements, .. } => entitlements.iter().any(is_it),
        }
    }

    fn asks(&self, patterns: &[Pattern], name: &str) -> bool {
        (self.tables.is_empty() && self.entities.is_empty()) || patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// The same, remembered; `None` when `schema` does not know the version.
    pub fn sees(&mut self, id: SchemaId, schema: impl FnOnce() -> Option<Arc<TableSchema>>) -> Option<&View> {
        if !self.known.contains_key(&id) {
            let view = self.view(&*schema()?);
            self.known.insert(id, view);
        }
        self.known.get(&id)
    }

    /// As [`Class::sees`] has remembered it; nothing of a version that it was not asked about.
    pub fn remembered(&self, id: SchemaId) -> &View {
        self.known.get(&id).unwrap_or(&View::Nothing)
    }
}

fn refuse_unknown(what: &str, patterns: &[Pattern], is_known: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let mut exact = patterns.iter().map(Pattern::as_str).filter(|pattern| !pattern.contains('*'));
    match exact.find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let message = format!("there is no {what} {name} that you may see");
            Err(Refusal::new(Kind::NotFound, code::TABLE_NOT_FOUND, message))
        }
    }
}

fn patterns(what: &str, texts: &[String]) -> Result<Vec<Pattern>, Refusal> {
    if texts.len() > PATTERNS_MAX || texts.iter().any(|text| text.is_empty() || text.len() > PATTERN_BYTES_MAX) {
        let message = format!("{what}: at most {PATTERNS_MAX} patterns of 1 to {PATTERN_BYTES_MAX} bytes");
        return Err(Refusal::new(Kind::Invalid, code::REQUEST_INVALID, message));
    }
    Ok(texts.iter().map(|text| Pattern::new(text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::pattern::Selection;

    fn access(entitlements: Option<&[(&str, &str, &str)]>) -> Access {
        let entitlement = |(role, include, exclude): &(&str, &str, &str)| {
            let tables = Selection { include: vec![Pattern::new(include)], exclude: vec![Pattern::new(exclude)] };
            Entitlement::raw(role, tables)
        };
        Access { entitlements: entitlements.map(|list| list.iter().map(entitlement).collect()), ..Access::default() }
    }

    fn tables(patterns: &[&str]) -> Asked {
        Asked { tables: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(), ..Asked::default() }
    }

    fn subject(roles: &[&str]) -> Subject {
        Subject::configured("app", &roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_entitlements_only_the_operator_reads() {
        let access = access(None);
        assert!(
            Class::new(&access, &Subject::operator(), &Asked::default()).expect("raw").means_table("erp.public.orders")
        );
        let refusal = Class::new(&access, &subject(&["admin"]), &Asked::default()).expect_err("refused");
        assert_eq!((refusal.kind, refusal.problem.code), (Kind::Forbidden, code::NOTHING_ENTITLED));
    }

    #[test]
    fn a_target_reads_raw_without_entitlements_and_as_its_roles_with_them() {
        let target = |roles: &[&str]| {
            Subject::target("warehouse", &roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>())
        };
        assert!(
            Class::new(&access(None), &target(&[]), &Asked::default()).expect("raw").means_table("erp.public.orders")
        );
        let replica = access(Some(&[("replica", "erp.*", "")]));
        assert!(Class::new(&replica, &target(&[]), &Asked::default()).is_err());
        let class = Class::new(&replica, &target(&["replica"]), &Asked::default()).expect("entitled");
        assert!(class.means_table("erp.public.orders") && !class.means_table("crm.public.accounts"));
    }

    #[test]
    fn with_entitlements_the_operator_reads_as_its_role_admin_only() {
        let sales = [("sales", "crm.*", "")];
        assert!(Class::new(&access(Some(&sales)), &Subject::operator(), &Asked::default()).is_err());
        let both = [("sales", "crm.*", ""), ("admin", "erp.*", "")];
        let class = Class::new(&access(Some(&both)), &Subject::operator(), &Asked::default()).expect("entitled");
        assert!(class.means_table("erp.public.orders") && !class.means_table("crm.public.accounts"));
    }

    #[test]
    fn a_table_is_seen_when_a_role_and_a_pattern_select_it() {
        let access = access(Some(&[("sales", "crm.*", "*.secret"), ("finance", "erp.*", "")]));
        let class = Class::new(&access, &subject(&["sales"]), &tables(&["*.accounts", "erp.*"]));
        let class = class.expect("entitled");
        assert!(class.means_table("crm.public.accounts"));
        for unseen in ["crm.public.secret", "crm.public.leads", "erp.public.accounts", "erp.public.orders"] {
            assert!(!class.means_table(unseen), "{unseen}");
        }
    }

    #[test]
    fn an_unknown_and_an_invisible_name_are_refused_alike_and_a_pattern_is_not() {
        let access = access(Some(&[("sales", "crm.*", "")]));
        let refusal = |name: &str| {
            let class = Class::new(&access, &subject(&["sales"]), &tables(&[name])).expect("entitled");
            class.check_names(&[]).err().map(|refusal| refusal.problem.message.replace(name, "X"))
        };
        assert!(refusal("crm.public.unknown").is_some());
        assert_eq!(refusal("crm.public.unknown"), refusal("erp.public.orders"));
        assert_eq!(refusal("crm.public.*"), None);
    }
}
