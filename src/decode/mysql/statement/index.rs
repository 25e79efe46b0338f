//! Indexes and constraints: what is behind their keywords in CREATE INDEX, DROP INDEX and ALTER TABLE.

use super::cursor::Cursor;
use super::definition::Effects;
use super::{Effect, Rewrite};

/// CREATE … INDEX: `i USING BTREE ON t (…) COMMENT 'x' ALGORITHM = INPLACE`.
pub fn created(mut cursor: Cursor<'_>) -> Option<Effects<'_>> {
    cursor.pass("IF NOT EXISTS");
    cursor.name()?;
    pass_method(&mut cursor)?;
    if !cursor.pass("ON") {
        return None;
    }
    let table = cursor.table()?;
    cursor.pass_wait();
    cursor.parentheses()?;
    pass_options(&mut cursor)?;
    let how = pass_how(&mut cursor)?;
    cursor.end()?;
    Some(vec![(table, how)])
}

/// DROP INDEX: `i ON t LOCK = NONE`.
pub fn dropped(mut cursor: Cursor<'_>) -> Option<Effects<'_>> {
    cursor.pass("IF EXISTS");
    let index = cursor.name()?;
    if !cursor.pass("ON") {
        return None;
    }
    let table = cursor.table()?;
    cursor.pass_wait();
    let how = pass_how(&mut cursor)?;
    cursor.end()?;
    Some(vec![(table, if index.is("PRIMARY") { Effect::Rewritten(Rewrite::KeyChanged) } else { how })])
}

/// ALGORITHM and LOCK. An algorithm that does not copy calculates nothing again.
fn pass_how(cursor: &mut Cursor<'_>) -> Option<Effect> {
    let mut effect = Effect::Rebuilt;
    loop {
        if cursor.pass("ALGORITHM") {
            effect = if algorithm(cursor)? { Effect::Kept } else { Effect::Rebuilt };
        } else if cursor.pass("LOCK") {
            cursor.pass_sign(b'=');
            cursor.keyword()?;
        } else {
            return Some(effect);
        }
    }
}

/// Whether the server would rather fail than copy the table.
pub fn algorithm(cursor: &mut Cursor<'_>) -> Option<bool> {
    cursor.pass_sign(b'=');
    Some(matches!(&*cursor.keyword()?, "INPLACE" | "NOCOPY" | "INSTANT"))
}

/// Behind INDEX, KEY or UNIQUE: a name, the columns, options.
pub fn body(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.pass("IF NOT EXISTS");
    if !cursor.sees_sign(b'(') && !cursor.sees("USING") && !cursor.sees("TYPE") {
        cursor.name()?;
    }
    pass_method(cursor)?;
    cursor.parentheses()?;
    pass_options(cursor)
}

/// Behind FOREIGN KEY.
pub fn foreign_key(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.pass("IF NOT EXISTS");
    if !cursor.sees_sign(b'(') {
        cursor.name()?;
    }
    cursor.parentheses()?;
    if !cursor.pass("REFERENCES") {
        return None;
    }
    cursor.table()?;
    if cursor.sees_sign(b'(') {
        cursor.parentheses()?;
    }
    loop {
        if cursor.pass("MATCH") {
            cursor.keyword()?;
        } else if cursor.pass_any(&["ON DELETE", "ON UPDATE"]) {
            let known = cursor.pass_any(&["RESTRICT", "CASCADE", "SET NULL", "NO ACTION", "SET DEFAULT"]);
            known.then_some(())?;
        } else {
            return Some(());
        }
    }
}

/// Behind CHECK.
pub fn check(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.parentheses()?;
    cursor.pass_any(&["NOT ENFORCED", "ENFORCED"]);
    Some(())
}

fn pass_method(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.pass_any(&["USING", "TYPE"]) {
        cursor.keyword()?;
    }
    Some(())
}

fn pass_options(cursor: &mut Cursor<'_>) -> Option<()> {
    loop {
        if cursor.pass_any(&["VISIBLE", "INVISIBLE", "NOT IGNORED", "IGNORED"]) {
        } else if cursor.pass_any(&["USING", "TYPE", "WITH PARSER"]) {
            cursor.name()?;
        } else if cursor.pass_any(&["COMMENT", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"]) {
            cursor.pass_sign(b'=');
            cursor.text()?;
        } else if cursor.pass_any(&["KEY_BLOCK_SIZE", "CLUSTERING", "M", "DISTANCE"]) {
            cursor.pass_sign(b'=');
            cursor.name()?;
        } else {
            return Some(());
        }
    }
}
