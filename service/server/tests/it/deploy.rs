//! What `docker-compose.yml` says of its containers, and how the binary takes what it gives them.

use crate::support::{Folder, rolecall, run};
use rolecall::cli::serve::GRACE;
use rolecall_postgres::{Options, start};
use serde_json::Value;
use sqlx::Connection as _;
use std::path::Path;
use std::time::Duration;

fn compose() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker-compose.yml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

fn seconds(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    Duration::from_secs(number.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 })
}

#[test]
fn every_container_is_shut_in_and_ends_in_its_own_time() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    assert!(services.contains_key("serve") && services.contains_key("postgres"));
    for (name, service) in services {
        assert_eq!(service["read_only"], true, "{name}: its root file system");
        assert!(texts(&service["tmpfs"]).contains(&"/tmp"), "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(texts(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        for gives in ["cap_add", "privileged", "devices", "pid", "ipc", "userns_mode"] {
            assert!(service[gives].is_null(), "{name}: {gives}");
        }
        // One that ends by itself is not started again.
        let stays = name == "serve" || name == "postgres";
        assert_eq!(service["restart"], if stays { "unless-stopped" } else { "no" }, "{name}");
        let grace = seconds(service["stop_grace_period"].as_str().unwrap_or_else(|| panic!("{name} has no grace")));
        // Answers under way, and the job at work; then the connections are closed.
        assert!(grace > GRACE.max(rolecall::work::worker::GRACE) + Duration::from_secs(5), "{name}: {grace:?}");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for volume in texts(&service["volumes"]) {
            assert!(!volume.contains("docker.sock"), "{name}: {volume}");
        }
    }
    // PostgreSQL's socket.
    assert!(texts(&services["postgres"]["tmpfs"]).contains(&"/var/run/postgresql"));
    // Its entry point needs capabilities to become another user.
    assert_eq!(services["postgres"]["user"], "postgres");
    for name in ["migrate", "serve"] {
        let environment = services[name]["environment"].as_object().unwrap();
        let url = environment["DATABASE_URL"].as_str().unwrap();
        assert!(!url.contains(['$', '{']), "{name}: a password in {url} would have to be encoded");
        assert!(environment["PGPASSWORD"].as_str().unwrap().contains("ROLECALL_POSTGRES_PASSWORD"), "{name}");
    }
}

#[test]
fn no_password_breaks_the_database_url() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let data = folder.path().join("data");
    let server = runtime.block_on(start(&Options { fetch: None, ..Options::new(&data) })).unwrap();
    let execute = |sql: &'static str| {
        runtime.block_on(async {
            let mut connection = sqlx::PgConnection::connect_with(&server.options()).await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        });
    };
    let password = "p@ss:w/rd%41#?&\\ \"é";
    execute("create role keeper superuser login password E'p@ss:w/rd%41#?&\\\\ \"é'");
    let hba = data.join("pgdata/pg_hba.conf");
    std::fs::write(&hba, "local all rolecall trust\nlocal all all scram-sha-256\n").unwrap();
    execute("select pg_reload_conf()");
    let url = server.url().replace("user=rolecall", "user=keeper");
    let migrate = |password: &str| {
        let mut command = rolecall(folder.path());
        run(command.args(["migrate"]).env("DATABASE_URL", &url).env("PGPASSWORD", password))
    };
    let ended = migrate(password);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    migrate("another").one_line(&["refuses the sign-in", "password"]);
    runtime.block_on(server.stop()).unwrap();
}
