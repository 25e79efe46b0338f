//! The crosswalk: which roots of different systems are one entity.
//!
//! Two systems mean the same where they agree in what identifies it, exactly, and neither has another that does. A link stays
//! when they disagree later: who changes a number mistypes it more often than he means another customer. Ids are ours, are
//! never given twice, and outlive a change of the contract.

use super::Fault;
use super::cell::{Cell, joined};
use super::images::unreadable;
use super::memory::Memory;
use super::note::{Names, last_parts};
use super::record::{One, Root, Side};
use super::rule::Rule;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};

pub struct Crosswalk<'a> {
    pub rule: &'a Rule,
    pub names: &'a Names,
    pub memory: &'a mut Memory,
}

/// What identifies a side: of each identity of the contract that it has whole, its number and the value.
pub fn identities(rule: &Rule, side: &Side) -> Vec<(u8, Vec<u8>)> {
    let value = |fields: &Vec<String>| {
        let mut cells = Vec::new();
        for (part, cell) in rule.parts.iter().zip(&side.cells) {
            if fields.contains(&rule.entity.fields[part.field].name) {
                // A text that is empty identifies nothing.
                cells.push(Cell(cell.same.clone().filter(|same| !same.is_empty())?));
            }
        }
        Some(joined(&cells))
    };
    let numbered = (0..).zip(&rule.entity.identity);
    numbered.filter_map(|(number, fields)| value(fields).map(|value| (number, value))).collect()
}

impl Crosswalk<'_> {
    pub fn side(&self, source: u8, root: &[u8]) -> Result<Option<Side>, Fault> {
        let value = self.memory.get(&self.names.side(source, root))?;
        Ok(value.map(|value| Side::decode(&value[..]).map_err(|_| unreadable())).transpose()?)
    }

    pub fn one(&self, id: u64) -> Result<One, Fault> {
        let value = self.memory.get(&self.names.one(id))?;
        Ok(value.map(|value| One::decode(&value[..]).map_err(|_| unreadable())).transpose()?.unwrap_or_default())
    }

    /// The id that a root has, or gets now.
    pub fn id_of(&mut self, source: u8, root: &[u8]) -> Result<u64, Fault> {
        if let Some(side) = self.side(source, root)? {
            return Ok(side.id);
        }
        let known = self.memory.get(&self.names.id(self.rule.system(source), root))?;
        match known.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes) {
            Some(id) => Ok(id),
            None => self.new_id(),
        }
    }

    fn new_id(&mut self) -> Result<u64, Fault> {
        let next = self.memory.get(&self.names.next_id())?;
        let id = next.and_then(|value| value.try_into().ok()).map_or(1, u64::from_be_bytes);
        self.memory.put(self.names.next_id(), id.saturating_add(1).to_be_bytes().to_vec());
        Ok(id)
    }

    /// What a system says of a root from now on.
    pub fn put(&mut self, source: u8, root: &[u8], before: Option<&Side>, side: &Side) -> Result<(), Fault> {
        if let Some(before) = before {
            self.unmatch(source, root, before);
            if before.id != side.id {
                self.leave(before.id, source, root)?;
            }
        }
        for (identity, value) in identities(self.rule, side) {
            self.memory.put(self.names.matching(identity, &value, source, root), Vec::new());
        }
        self.memory.put(self.names.side(source, root), side.encode_to_vec());
        self.memory.put(self.names.id(self.rule.system(source), root), side.id.to_be_bytes().to_vec());
        let mut one = self.one(side.id)?;
        let is_it = |other: &Root| other.source == u32::from(source) && other.key == root;
        if !one.roots.iter().any(is_it) {
            one.roots.push(Root { source: source.into(), key: root.to_vec() });
            one.roots.sort_by(|one, other| (one.source, &one.key).cmp(&(other.source, &other.key)));
            self.memory.put(self.names.one(side.id), one.encode_to_vec());
        }
        Ok(())
    }

    /// The root is gone.
    pub fn remove(&mut self, source: u8, root: &[u8], before: &Side) -> Result<(), Fault> {
        self.unmatch(source, root, before);
        self.leave(before.id, source, root)?;
        self.memory.delete(self.names.side(source, root));
        self.memory.delete(self.names.id(self.rule.system(source), root));
        Ok(())
    }

    fn unmatch(&mut self, source: u8, root: &[u8], before: &Side) {
        for (identity, value) in identities(self.rule, before) {
            self.memory.delete(self.names.matching(identity, &value, source, root));
        }
    }

    fn leave(&mut self, id: u64, source: u8, root: &[u8]) -> Result<(), Fault> {
        let mut one = self.one(id)?;
        one.roots.retain(|other| other.source != u32::from(source) || other.key != root);
        if one.roots.is_empty() {
            self.memory.delete(self.names.one(id));
        } else {
            self.memory.put(self.names.one(id), one.encode_to_vec());
        }
        Ok(())
    }

    /// The ids that would become one because their roots agree in this value: more than one of them, or none.
    pub fn agreeing(&self, identity: u8, value: &[u8]) -> Result<BTreeSet<u64>, Fault> {
        let mut roots: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for (source, _) in (0..).zip(&self.rule.systems) {
            let prefix = self.names.matching_of(identity, value, source);
            let Some(page) = self.memory.page(&prefix, None)? else { continue };
            // Where one system has two that agree, nobody knows which is meant.
            if let [(name, _)] = &page[..]
                && let Some([root]) = last_parts::<1>(name, &prefix)
            {
                roots.insert(source, root);
            }
        }
        let mut ids = BTreeSet::new();
        let mut sources = BTreeSet::new();
        for (source, root) in &roots {
            let Some(side) = self.side(*source, root)? else { continue };
            if ids.contains(&side.id) {
                continue;
            }
            // Nor may one entity have two roots of one system.
            let theirs: Vec<u32> = self.one(side.id)?.roots.iter().map(|root| root.source).collect();
            if theirs.iter().any(|source| sources.contains(source)) {
                return Ok(BTreeSet::new());
            }
            sources.extend(theirs);
            ids.insert(side.id);
        }
        Ok(if ids.len() > 1 { ids } else { BTreeSet::new() })
    }

    /// Makes entities one: the oldest stays.
    pub fn merge(&mut self, ids: &BTreeSet<u64>) -> Result<(), Fault> {
        let Some(stays) = ids.first().copied() else { return Ok(()) };
        for id in ids.iter().skip(1) {
            for Root { source, key } in self.one(*id)?.roots {
                // As `put` wrote it.
                let source = u8::try_from(source).unwrap_or_default();
                if let Some(side) = self.side(source, &key)? {
                    self.put(source, &key, Some(&side), &Side { id: stays, ..side.clone() })?;
                }
            }
        }
        Ok(())
    }
}
