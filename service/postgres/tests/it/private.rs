//! The private PostgreSQL: made, found again, killed, shared, refused.

use rolecall_postgres::{Build, EmbeddedError, Options, Server, start};
use rolecall_store::{Limits, Store};
use sha2::Digest;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory that goes when the test ends, with the server that may still run in it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rolecall-it-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(pid) = postmaster(&self.0) {
            signal("-QUIT", pid);
        }
        for _ in 0..5 {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

fn options(dir: &Path) -> Options {
    Options { fetch: None, ..Options::new(dir) }
}

fn postmaster(dir: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(dir.join("pgdata/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn signal(name: &str, pid: u32) {
    Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
}

async fn store(server: &Server) -> Store {
    let store = Store::connect_with(server.options(), Limits::default()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

async fn setting(server: &Server, name: &str) -> String {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect_with(&server.options()).await.unwrap();
    sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn it_starts_keeps_its_data_and_stops() {
    let dir = Dir::new("start");
    // As a process leaves it that was killed while it made the cluster.
    std::fs::create_dir_all(dir.0.join("pgdata.new-1/base")).unwrap();
    let server = start(&options(&dir.0)).await.unwrap();
    assert!(!server.adopted() && !dir.0.join("pgdata.new-1").exists());
    for (name, value) in
        [("fsync", "on"), ("full_page_writes", "on"), ("listen_addresses", ""), ("data_checksums", "on")]
    {
        assert_eq!(setting(&server, name).await, value, "{name}");
    }
    let first = store(&server).await;
    first.shared_key("k", b"kept").await.unwrap();
    first.close().await;
    // Other programs reach it by the URL.
    assert!(Store::connect(&server.url(), Limits::default()).await.unwrap().ping().await.is_ok());
    assert_eq!(std::fs::metadata(dir.0.join("pgdata")).unwrap().permissions().mode() & 0o077, 0);
    let file = dir.0.join("pgdata/postmaster.pid");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(server.stop().await.unwrap());
    assert_eq!(postmaster(&dir.0), None);

    // As a machine that lost its power leaves it: it says ready, and the process is another's.
    std::fs::write(&file, text.replacen(text.lines().next().unwrap(), "4194303", 1)).unwrap();
    let again = start(&options(&dir.0)).await.unwrap();
    assert!(!again.adopted());
    assert_eq!(store(&again).await.shared_key("k", b"other").await.unwrap(), b"kept");
    again.stop().await.unwrap();

    // One that cannot start says why.
    let conf = dir.0.join("pgdata/postgresql.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{text}\nno_such_setting = 1\n")).unwrap();
    let text = start(&options(&dir.0)).await.unwrap_err().to_string();
    assert!(text.contains("does not start") && text.contains("FATAL"), "{text}");
}

#[tokio::test]
async fn a_running_server_is_taken_over_and_the_last_one_out_stops_it() {
    let dir = Dir::new("adopt");
    let options = options(&dir.0);
    let (first, second) = tokio::join!(start(&options), start(&options));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.adopted() != second.adopted(), "one of them started it");
    assert!(!first.stop().await.unwrap(), "the other still uses it");
    assert!(store(&second).await.ping().await.is_ok());
    assert!(second.stop().await.unwrap());
    assert_eq!(postmaster(&dir.0), None);
}

#[tokio::test]
async fn a_server_that_was_killed_is_started_again_with_all_that_was_committed() {
    let dir = Dir::new("kill");
    let server = start(&options(&dir.0)).await.unwrap();
    let kept = store(&server).await;
    for round in 0..2 {
        let key = format!("k{round}");
        store(&server).await.shared_key(&key, b"kept").await.unwrap();
        signal("-KILL", postmaster(&dir.0).unwrap());
        let again = start(&options(&dir.0)).await.unwrap();
        assert!(!again.adopted());
        assert_eq!(store(&again).await.shared_key(&key, b"other").await.unwrap(), b"kept");
        drop(again);
    }
    drop(kept);
    assert!(server.stop().await.unwrap());
}

#[tokio::test]
async fn the_data_of_another_major_is_refused_in_words() {
    let dir = Dir::new("major");
    std::fs::create_dir_all(dir.0.join("pgdata")).unwrap();
    std::fs::write(dir.0.join("pgdata/PG_VERSION"), "9\n").unwrap();
    let text = start(&options(&dir.0)).await.unwrap_err().to_string();
    assert!(text.contains("was made by PostgreSQL 9 and only") && text.contains("--data-dir"), "{text}");
    std::fs::remove_file(dir.0.join("pgdata/PG_VERSION")).unwrap();
    assert!(matches!(start(&options(&dir.0)).await, Err(EmbeddedError::NotACluster { .. })));
}

#[tokio::test]
async fn a_long_path_gets_a_short_socket() {
    let dir = Dir::new("long");
    let long = dir.0.join("a".repeat(120));
    let server = start(&options(&long)).await.unwrap();
    let socket = PathBuf::from(setting(&server, "unix_socket_directories").await);
    assert!(!socket.starts_with(&long) && socket.as_os_str().len() < 90, "{}", socket.display());
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o077, 0);
    server.stop().await.unwrap();
    // What root made in a user namespace can be given away where there are none.
    let given = start(&Options { user_namespace: false, ..options(&long) }).await.unwrap();
    store(&given).await.ping().await.unwrap();
    given.stop().await.unwrap();
    // Others may enter it: it is not used.
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(start(&options(&long)).await, Err(EmbeddedError::Files { what: "use", .. })));
    std::fs::remove_dir_all(&socket).unwrap();
}

#[tokio::test]
async fn a_directory_without_the_programs_is_refused_in_words() {
    let dir = Dir::new("bindir");
    let options = Options { bin_dir: Some(dir.0.clone()), ..options(&dir.0.join("data")) };
    let text = start(&options).await.unwrap_err().to_string();
    assert!(text.contains("holds no usable PostgreSQL: no program `postgres` in it"), "{text}");
}

/// Serves one archive over HTTP, as often as asked.
fn serve(archive: Vec<u8>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/postgresql.tar.gz", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", archive.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&archive).unwrap();
        }
    });
    url
}

/// The cluster of a major version that this machine has not, so that only a fetched build fits.
fn foreign(dir: &Path) -> PathBuf {
    let data = dir.join("data");
    std::fs::create_dir_all(data.join("pgdata")).unwrap();
    std::fs::write(data.join("pgdata/PG_VERSION"), "9\n").unwrap();
    data
}

/// An archive of programs that call themselves PostgreSQL 9.
fn archive(dir: &Path) -> Vec<u8> {
    let bin = dir.join("top/bin");
    std::fs::create_dir_all(&bin).unwrap();
    for name in ["postgres", "initdb", "pg_ctl"] {
        let script = "#!/bin/sh\necho 'postgres (PostgreSQL) 9.1'\necho 'FATAL: only a script' >&2\n";
        std::fs::write(bin.join(name), script).unwrap();
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let file = dir.join("a.tar.gz");
    assert!(Command::new("tar").arg("-czf").arg(&file).arg("-C").arg(dir).arg("top").status().unwrap().success());
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn a_build_is_fetched_once_checked_and_used() {
    let dir = Dir::new("fetch");
    let archive = archive(&dir.0);
    let sha256: String = sha2::Sha256::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect();
    let build = Build { version: "9.1.0".into(), major: 9, url: serve(archive), sha256 };
    let options = Options { fetch: Some((dir.0.join("cache"), build.clone())), ..options(&foreign(&dir.0)) };
    // It is fetched and run; that it is only a script is what the server's log says.
    let text = start(&options).await.unwrap_err().to_string();
    assert!(text.contains("only a script"), "{text}");
    assert!(dir.0.join("cache/postgresql-9.1.0/bin/postgres").is_file());
    // In the cache now: the address does not matter any more.
    let gone = Build { url: "http://127.0.0.1:1/".into(), ..build };
    let text = start(&Options { fetch: Some((dir.0.join("cache"), gone)), ..options }).await.unwrap_err().to_string();
    assert!(text.contains("only a script"), "{text}");
}

#[tokio::test]
async fn a_build_with_another_checksum_is_never_run() {
    let dir = Dir::new("checksum");
    let build = Build { version: "9.1.0".into(), major: 9, url: serve(archive(&dir.0)), sha256: "0".repeat(64) };
    let options = Options { fetch: Some((dir.0.join("cache"), build)), ..options(&foreign(&dir.0)) };
    let text = start(&options).await.unwrap_err().to_string();
    assert!(text.contains("PostgreSQL 9"), "{text}");
    assert_eq!(std::fs::read_dir(dir.0.join("cache")).unwrap().count(), 0);
}

/// As root, and where user namespaces are forbidden: another user gets the directory.
#[tokio::test]
async fn without_a_user_namespace_root_hands_over_to_another_user() {
    let uid = Command::new("id").arg("-u").output().unwrap();
    if String::from_utf8_lossy(&uid.stdout).trim() != "0" {
        eprintln!("skipped: only root has to become another user");
        return;
    }
    let dir = Dir::new("user");
    let options = Options { user_namespace: false, ..options(&dir.0.join("data")) };
    let server = start(&options).await.unwrap();
    store(&server).await.ping().await.unwrap();
    let owner = std::fs::metadata(dir.0.join("data/pgdata")).unwrap();
    assert_ne!(std::os::unix::fs::MetadataExt::uid(&owner), 0);
    assert!(server.stop().await.unwrap());
    // Given away once, it stays that user's.
    let again = start(&Options { user_namespace: true, ..options.clone() }).await.unwrap();
    assert!(again.stop().await.unwrap());
    let closed = dir.0.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let text = start(&Options { data_dir: closed.join("data"), ..options }).await.unwrap_err().to_string();
    assert!(text.contains("does not run as root") && text.contains("--data-dir"), "{text}");
}

/// A process that sleeps under a name.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn called(name: &str) -> Self {
        Self(Command::new("bash").args(["-c", "exec -a \"$0\" sleep 300", name]).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_lock_file_that_names_another_program_keeps_nobody_out() {
    let dir = Dir::new("stranger");
    let server = start(&options(&dir.0)).await.unwrap();
    store(&server).await.shared_key("k", b"kept").await.unwrap();
    let files = [dir.0.join("pgdata/postmaster.pid"), dir.0.join("socket/.s.PGSQL.5432.lock")];
    let texts = files.clone().map(|file| std::fs::read_to_string(file).unwrap());
    server.stop().await.unwrap();
    let leave = |pid: u32| {
        for (file, text) in files.iter().zip(&texts) {
            let (_, rest) = text.split_once('\n').unwrap();
            std::fs::write(file, format!("{pid}\n{rest}")).unwrap();
        }
    };
    let stranger = Sleeper::called("editor");
    leave(stranger.0.id());
    let again = start(&options(&dir.0)).await.unwrap();
    assert_eq!(store(&again).await.shared_key("k", b"other").await.unwrap(), b"kept");
    again.stop().await.unwrap();

    // Whoever may be a server of this cluster is named, and left alone.
    let possible = Sleeper::called("postgres");
    leave(possible.0.id());
    let text = start(&options(&dir.0)).await.unwrap_err().to_string();
    for part in [&format!("process {}", possible.0.id()), "postmaster.pid", "stop it", "remove the file"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::remove_file(&files[1]).unwrap();
}

#[tokio::test]
async fn any_name_of_a_directory_will_do() {
    use std::os::unix::ffi::OsStrExt;
    let dir = Dir::new("names");
    for name in [&b"a,b's"[..], b"a \"b\" 100% ", "donn\u{e9}es".as_bytes(), b"\xff"] {
        let data = dir.0.join(std::ffi::OsStr::from_bytes(name));
        let server = start(&options(&data)).await.unwrap_or_else(|error| panic!("{}: {error}", data.display()));
        store(&server).await.ping().await.unwrap();
        // libpq takes a comma in a host for two hosts, so no socket has one.
        assert!(!server.url().contains(','), "{}", server.url());
        Store::connect(&server.url(), Limits::default()).await.unwrap().ping().await.unwrap();
        assert!(server.stop().await.unwrap());
    }
    let text = start(&options(&dir.0.join("a\nb"))).await.unwrap_err().to_string();
    assert!(text.contains("line break") && text.contains("--data-dir"), "{text}");
    let long = (0..6).fold(dir.0.clone(), |path, _| path.join("d".repeat(200)));
    let text = start(&options(&long)).await.unwrap_err().to_string();
    assert!(text.contains("bytes") && text.contains("choose a shorter --data-dir"), "{text}");
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_until_that_does_not_help() {
    let dir = Dir::new("supervise");
    let server = start(&options(&dir.0)).await.unwrap();
    let kept = store(&server).await;
    kept.shared_key("k", b"kept").await.unwrap();
    let supervised = async {
        let first = postmaster(&dir.0).unwrap();
        signal("-KILL", first);
        while postmaster(&dir.0) == Some(first) || kept.ping().await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(kept.shared_key("k", b"other").await.unwrap(), b"kept");
        // Somebody ends every connection: that is no death.
        let second = postmaster(&dir.0).unwrap();
        use sqlx::Connection;
        let mut admin = sqlx::PgConnection::connect_with(&server.options()).await.unwrap();
        let end = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = 'rolecall'";
        sqlx::query(end).execute(&mut admin).await.unwrap();
        drop(admin);
        while kept.ping().await.is_err() {}
        assert_eq!(postmaster(&dir.0), Some(second));

        std::fs::write(dir.0.join("pgdata/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
        signal("-KILL", second);
        std::future::pending::<()>().await;
    };
    let given_up = tokio::select! {
        error = server.supervise() => error.to_string(),
        () = supervised => unreachable!(),
    };
    assert!(
        given_up.contains("5 tries to start it again failed") && given_up.contains("postgresql.auto.conf"),
        "{given_up}"
    );
    // It is gone, and not busy.
    let gone = kept.ping().await.unwrap_err();
    assert!(matches!(gone, rolecall_store::Error::Lost { .. }), "{gone}");
    assert!(gone.to_string().contains("nothing answers at"), "{gone}");
}

#[tokio::test]
async fn a_database_that_is_busy_is_not_called_dead() {
    let dir = Dir::new("busy");
    let server = start(&options(&dir.0)).await.unwrap();
    store(&server).await.close().await;
    let limits = Limits { connections: 1, wait: std::time::Duration::from_secs(2) };
    let store = Store::connect_with(server.options(), limits).await.unwrap();
    let new = rolecall_store::NewRun {
        kind: "scan".into(),
        trigger: "test".into(),
        now: chrono::Utc::now(),
        lease: std::time::Duration::from_secs(60),
    };
    let run = store.begin_run(&new).await.unwrap();
    // It holds the one connection by its transaction, and asks for a second.
    let second = store.snapshot(run).await.unwrap_err();
    assert!(matches!(second, rolecall_store::Error::Busy), "{second}");
    // A server that hangs is away, however many connections there are.
    let pid = postmaster(&dir.0).unwrap();
    let other = Store::connect_with(server.options(), limits).await.unwrap();
    signal("-STOP", pid);
    let error = other.ping().await.unwrap_err();
    signal("-CONT", pid);
    assert!(matches!(error, rolecall_store::Error::Lost { .. }), "{error}");
    server.stop().await.unwrap();
}
