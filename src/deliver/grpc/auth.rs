//! Bearer tokens to subjects.
//!
//! The config keeps SHA-256 of each token. Here they are kept once more under a key that only this process knows, so a
//! lookup compares values that no caller can choose: its timing tells nothing about a token, however many there are.

use crate::config::Access;
use crate::deliver::refusal::{Kind, Refusal};
use crate::deliver::subject::Subject;
use crate::model::code;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::rand::SystemRandom;
use ring::{digest, hmac};
use std::collections::HashMap;

const TOKEN_BYTES_MAX: usize = 512;
const SCHEME: &str = "bearer";

type Digest = [u8; digest::SHA256_OUTPUT_LEN];

/// Who has which token.
pub struct Tokens {
    key: hmac::Key,
    subjects: HashMap<Digest, Subject>,
}

impl Tokens {
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(access: &Access, operator_token: &str) -> Result<Self, ring::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        let mut tokens = Self { key, subjects: HashMap::new() };
        for subject in access.subjects.values() {
            tokens.insert(&subject.token_hash, Subject::configured(&subject.name, &subject.roles));
        }
        tokens.insert(&sha256(operator_token), Subject::operator());
        Ok(tokens)
    }

    /// # Errors
    /// There is no bearer token, or nobody has it.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Subject, Refusal> {
        let token = bearer(headers).ok_or_else(|| {
            let message = "every call needs metadata `authorization: Bearer <token>`";
            Refusal::new(Kind::Unauthenticated, code::TOKEN_MISSING, message)
        })?;
        let found = self.subjects.get(&self.keyed(&sha256(token)));
        found.cloned().ok_or_else(|| Refusal::new(Kind::Unauthenticated, code::TOKEN_UNKNOWN, "nobody has this token"))
    }

    fn insert(&mut self, token_hash: &Digest, subject: Subject) {
        let keyed = self.keyed(token_hash);
        self.subjects.insert(keyed, subject);
    }

    fn keyed(&self, token_hash: &Digest) -> Digest {
        copy(hmac::sign(&self.key, token_hash).as_ref())
    }
}

/// Two authorization headers are none: which one counts must not depend on who reads them.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let fits = scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX;
    fits.then_some(token)
}

fn sha256(token: &str) -> Digest {
    copy(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

fn copy(hash: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(hash);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::deliver::subject::Origin;

    fn tokens() -> Tokens {
        let subject = config::Subject {
            attributes: Default::default(),
            name: "app".to_owned(),
            roles: vec!["sales".to_owned()],
            token_hash: sha256("app-token"),
        };
        let access = Access { subjects: [("app".to_owned(), subject)].into(), ..Access::default() };
        Tokens::new(&access, "operator-token").expect("random bytes")
    }

    fn authenticate(values: &[&str]) -> Result<Subject, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().expect("a header value"));
        }
        tokens().authenticate(&headers)
    }

    #[test]
    fn a_token_names_its_subject() {
        let subject = authenticate(&["Bearer app-token"]).expect("known");
        assert_eq!((&*subject.name, subject.has_role("sales")), ("app", true));
        assert_eq!(authenticate(&["bearer operator-token"]).expect("known").origin, Origin::Operator);
    }

    #[test]
    fn everything_else_is_refused() {
        let long = format!("Bearer {}", "a".repeat(600));
        for (values, expected) in [
            (&[][..], code::TOKEN_MISSING),
            (&["app-token"], code::TOKEN_MISSING),
            (&["Bearer "], code::TOKEN_MISSING),
            (&["Basic app-token"], code::TOKEN_MISSING),
            (&["Bearer app-token", "Bearer app-token"], code::TOKEN_MISSING),
            (&[long.as_str()], code::TOKEN_MISSING),
            (&["Bearer app-tokeN"], code::TOKEN_UNKNOWN),
            (&["Bearer app-token "], code::TOKEN_UNKNOWN),
        ] {
            let refusal = authenticate(values).expect_err("refused");
            assert_eq!((refusal.kind, refusal.problem.code), (Kind::Unauthenticated, expected), "{values:?}");
        }
    }
}
