//! Who may call what: one table. An RPC that is not in it is refused.

use crate::deliver::refusal::{Kind, Refusal};
use crate::deliver::subject::Subject;
use crate::model::code;

/// What a caller must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Caller {
    /// Any subject.
    Subject,
    /// A subject with at least one role; what it sees is decided by its entitlements.
    Reader,
    /// The local operator or a subject with the role `admin`.
    Administrator,
}

pub const SUBSCRIBE: &str = "/tailwater.v1.SubscriptionService/Subscribe";
pub const ACKNOWLEDGE: &str = "/tailwater.v1.SubscriptionService/Acknowledge";

const RULES: &[(&str, Caller)] = &[
    (SUBSCRIBE, Caller::Reader),
    (ACKNOWLEDGE, Caller::Reader),
    ("/tailwater.v1.CatalogService/ListTables", Caller::Reader),
    ("/tailwater.v1.CatalogService/GetDescriptors", Caller::Reader),
    ("/tailwater.v1.AdminService/GetStatus", Caller::Administrator),
    ("/tailwater.v1.AdminService/RequestSnapshot", Caller::Administrator),
    ("/tailwater.v1.AdminService/Resync", Caller::Administrator),
    // `Watch` has no rule: it would hold a stream open that no limit of subscriptions counts.
    ("/grpc.health.v1.Health/Check", Caller::Subject),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Caller::Administrator),
];

/// # Errors
/// The path has no rule, or the subject is not what the rule asks for.
pub fn check(path: &str, subject: &Subject) -> Result<(), Refusal> {
    let refuse = |code, why: &str| Err(Refusal::new(Kind::Forbidden, code, format!("{path}: {why}")));
    let Some((_, caller)) = RULES.iter().find(|(ruled, _)| *ruled == path) else {
        return refuse(code::RPC_WITHOUT_RULE, "no rule allows this");
    };
    match caller {
        Caller::Reader if subject.roles.is_empty() => refuse(code::ROLE_MISSING, "needs a role"),
        Caller::Administrator if !subject.administers() => refuse(code::ROLE_MISSING, "needs the role admin"),
        Caller::Subject | Caller::Reader | Caller::Administrator => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api;
    use prost::Message as _;

    #[test]
    fn every_rpc_of_our_own_api_has_a_rule() {
        let set = prost_types::FileDescriptorSet::decode(api::DESCRIPTORS).expect("our own descriptors");
        let mut rpcs = 0;
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    assert!(check(&path, &Subject::operator()).is_ok(), "{path}");
                    rpcs += 1;
                }
            }
        }
        assert!(rpcs >= 5, "only {rpcs} found");
    }

    #[test]
    fn roles_decide_and_what_has_no_rule_is_refused_to_everyone() {
        let code_of = |path: &str, subject: &Subject| check(path, subject).err().map(|refusal| refusal.problem.code);
        let of =
            |roles: &[&str]| Subject::configured("app", &roles.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>());
        assert_eq!(code_of(SUBSCRIBE, &of(&["sales"])), None);
        assert_eq!(code_of(SUBSCRIBE, &of(&[])), Some(code::ROLE_MISSING));
        assert_eq!(code_of("/grpc.health.v1.Health/Check", &of(&[])), None);
        assert_eq!(code_of("/tailwater.v1.AdminService/GetStatus", &of(&["sales"])), Some(code::ROLE_MISSING));
        assert_eq!(code_of("/tailwater.v1.AdminService/GetStatus", &of(&["admin"])), None);
        for path in ["/", "", "/tailwater.v1.AdminService/Drop", "/tailwater.v1.AdminService/GetStatus/"] {
            assert_eq!(code_of(path, &Subject::operator()), Some(code::RPC_WITHOUT_RULE), "{path}");
        }
    }
}
