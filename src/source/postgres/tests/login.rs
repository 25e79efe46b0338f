//! Every way in, and every way that must not be one.

use super::*;
use crate::model::code;
use crate::source::postgres::fault::chain;
use tokio::io::AsyncWriteExt;

const HBA: &str = "local all clear password\nlocal all hashed md5\nlocal all proved scram-sha-256\n\
     hostnossl all clear 127.0.0.1/32 password\nhostnossl all hashed 127.0.0.1/32 md5\n\
     hostnossl all proved 127.0.0.1/32 scram-sha-256\nhostssl all clear all password\nhostssl all proved all scram-sha-256";

async fn users(server: &TestServer) {
    server
        .sql(
            "SET password_encryption = 'md5'; CREATE ROLE hashed LOGIN REPLICATION PASSWORD 'sesame'; \
             SET password_encryption = 'scram-sha-256'; CREATE ROLE proved LOGIN REPLICATION PASSWORD 'sesame'; \
             CREATE ROLE clear LOGIN REPLICATION PASSWORD 'sesame'",
        )
        .await;
}

async fn who(system: &PostgresSystem) -> Result<String, Fault> {
    let mut connection = Connection::open(&system.endpoint, Purpose::Replication).await?;
    Ok(connection.query("SELECT current_user").await?[0].text(0).expect("a user").to_owned())
}

#[tokio::test]
async fn scram_and_md5_get_in_and_a_clear_password_goes_only_where_nobody_can_read_it() {
    let server = TestServer::start_with("", Some(HBA), |_| {});
    users(&server).await;
    for user in ["hashed", "proved"] {
        assert_eq!(who(&server.over_tcp(user, Some("sesame"))).await.expect("in"), user);
    }
    let unix = |user: &str| {
        change(server.over_tcp(user, Some("sesame")), |endpoint| endpoint.host = server.system().endpoint.host)
    };
    for user in ["clear", "hashed", "proved"] {
        assert_eq!(who(&unix(user)).await.expect("in"), user);
    }
    assert_eq!(code_of(who(&server.over_tcp("clear", Some("sesame"))).await), code::AUTHENTICATION_UNSAFE.as_str());
    for user in ["hashed", "proved"] {
        let fault = who(&server.over_tcp(user, Some("open-sesame"))).await.expect_err("refused");
        assert!(!chain(&fault).contains("sesame"), "{fault}");
        assert_eq!(code_of::<()>(Err(fault)), code::AUTHENTICATION_FAILED.as_str());
    }
    assert_eq!(code_of(who(&server.over_tcp("proved", None)).await), code::AUTHENTICATION_FAILED.as_str());
    let nowhere =
        change(server.over_tcp("proved", Some("sesame")), |endpoint| endpoint.database = "nowhere".to_owned());
    assert_eq!(code_of(who(&nowhere).await), code::DATABASE_MISSING.as_str());
}

#[tokio::test]
async fn tls_checks_certificate_and_name_and_binds_scram_to_it() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let server = TestServer::start_with("ssl = on", Some(HBA), |data| {
        for (name, pem) in [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())] {
            let path = data.join(name);
            std::fs::write(&path, pem).expect("root may write");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
            own(&path);
        }
    });
    users(&server).await;
    let authorities = tempfile::tempdir().expect("a folder");
    let with = |name: &str, pem: String, host: &str, user: &str| {
        let ca_file = authorities.path().join(name);
        std::fs::write(&ca_file, pem).expect("our folder");
        let tls = Tls::VerifyFull { ca_file: Some(ca_file) };
        change(server.over_tcp(user, Some("sesame")), |endpoint| {
            (endpoint.host, endpoint.tls) = (Host::Tcp(host.to_owned()), tls)
        })
    };
    let good = with("good.pem", made.cert.pem(), "localhost", "proved");
    assert_eq!(who(&good).await.expect("in"), "proved");
    assert!(
        crate::source::postgres::transport::open(&good.endpoint, Purpose::Replication)
            .await
            .expect("TLS")
            .channel_binding
            .is_some()
    );
    assert_eq!(who(&with("good.pem", made.cert.pem(), "localhost", "clear")).await.expect("in"), "clear");
    let untrusted = with("other.pem", other.cert.pem(), "localhost", "proved");
    assert_eq!(code_of(who(&untrusted).await), code::TLS_FAILED.as_str());
    let misnamed = with("good.pem", made.cert.pem(), "127.0.0.1", "proved");
    assert_eq!(code_of(who(&misnamed).await), code::TLS_FAILED.as_str());
    assert_eq!(
        code_of(who(&with("bad.pem", "nothing".to_owned(), "localhost", "proved")).await),
        code::TLS_FAILED.as_str()
    );
}

#[tokio::test]
async fn a_server_without_tls_is_refused_and_sessions_have_the_fixed_settings() {
    let server = TestServer::start("timezone = 'Asia/Tokyo'\ndatestyle = 'SQL, DMY'\nbytea_output = escape");
    let tls = Tls::VerifyFull { ca_file: None };
    let system = change(server.over_tcp("postgres", None), |endpoint| endpoint.tls = tls);
    assert_eq!(code_of(who(&system).await), code::TLS_FAILED.as_str());
    let mut connection = Connection::open(&server.system().endpoint, Purpose::Replication).await.expect("in");
    for (setting, value) in [
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO, YMD"),
        ("IntervalStyle", "iso_8601"),
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("lc_monetary", "C"),
        ("search_path", ""),
        ("client_encoding", "UTF8"),
    ] {
        let rows = connection.query(&format!("SELECT current_setting('{setting}')")).await.expect("a setting");
        assert_eq!(rows[0].text(0), Some(value), "{setting}");
    }
    assert_eq!(code_of(connection.query("SELECT * FROM nothing").await), code::FAULT_UNKNOWN.as_str());
    assert_eq!(connection.query("SELECT 1").await.expect("a query after a failed one").len(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_start_a_process_for_us_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        // As the postmaster writes it (report_fork_failure_to_client in postmaster.c).
        let _ = stream.write_all(b"Ecould not fork new process for connection: Out of memory\n\0").await;
    });
    let server = offline(port);
    assert_eq!(code_of(who(&server).await), code::SERVER_UNAVAILABLE.as_str());
}

/// A system whose server is not PostgreSQL.
fn offline(port: u16) -> PostgresSystem {
    PostgresSystem {
        name: SystemName::new("erp").expect("a name"),
        endpoint: PostgresEndpoint {
            application: "tailwater/erp".to_owned(),
            host: Host::Tcp("127.0.0.1".to_owned()),
            port,
            user: "postgres".to_owned(),
            password: None,
            database: "postgres".to_owned(),
            tls: Tls::VerifyFull { ca_file: None },
            silence_max: Duration::from_secs(5),
        },
        tables: Selection::default(),
        slot: "tailwater_erp".to_owned(),
        publication: "tailwater_erp".to_owned(),
    }
}
