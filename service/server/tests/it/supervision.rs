//! The private PostgreSQL of the built binary: killed, killed while it is made, and gone for good.

use crate::support::{Folder, Serving, rolecall, run, signal};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn data(folder: &Folder) -> std::path::PathBuf {
    folder.path().join("data")
}

fn command(folder: &Folder, words: &[&str]) -> Command {
    let mut command = rolecall(folder.path());
    command.arg("--data-dir").arg(data(folder)).args(words);
    command
}

fn serve(folder: &Folder) -> Serving {
    Serving::start(command(folder, &["serve", "--bind", "127.0.0.1:0"]))
}

fn postmaster(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("pgdata/postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

fn a_moment() {
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn a_database_that_is_killed_comes_back_and_pages_say_so_meanwhile() {
    let folder = Folder::new();
    let serving = serve(&folder);
    assert_eq!(serving.get("/readyz").0, 200);
    let token = run(&mut command(&folder, &["admin", "token", "create", "--name", "bot", "--scope", "admin"])).out;
    let token = format!("Authorization: Bearer {}", token.trim());
    for _ in 0..2 {
        let killed = postmaster(&data(&folder)).unwrap();
        signal("-KILL", killed);
        // Every answer is a whole one, whenever it comes: of the database, or that there is none.
        loop {
            let (status, body) = serving.get("/readyz");
            assert!(status == 200 || (status == 503 && body.contains("database failing: ")), "{status} {body}");
            let (alive, _) = serving.get("/livez");
            assert_eq!(alive, 200);
            let (status, body) = serving.get("/login?otp=none");
            assert!(matches!(status, 401 | 503) && body.contains("<html"), "{status} {body}");
            let (status, body) = serving.get_with("/api/v1/findings", &token);
            assert!(status == 200 || (status == 503 && body.contains("\"code\":\"unavailable\"")), "{status} {body}");
            if status == 200 && postmaster(&data(&folder)).is_some_and(|pid| pid != killed) {
                break;
            }
            a_moment();
        }
    }
    while serving.get("/readyz").0 != 200 {
        a_moment();
    }
    let ended = serving.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.err.matches("the private PostgreSQL died: starting it again").count(), 2, "{ended:?}");
    assert_eq!(postmaster(&data(&folder)), None, "it is stopped with the service");
}

#[test]
fn a_database_that_does_not_come_back_ends_the_service_in_words() {
    let folder = Folder::new();
    let serving = serve(&folder);
    std::fs::write(data(&folder).join("pgdata/postgresql.auto.conf"), "no_such_setting = 1\n").unwrap();
    signal("-KILL", postmaster(&data(&folder)).unwrap());
    let ended = serving.ended();
    ended.one_line(&["died", "5 tries to start it again failed", "postgresql.auto.conf"]);
}

#[test]
fn a_database_that_hangs_is_said_to_be_away_and_not_busy() {
    let folder = Folder::new();
    let serving = serve(&folder);
    let pid = postmaster(&data(&folder)).unwrap();
    // It, and all of its processes.
    let children = Command::new("pgrep").args(["-P", &pid.to_string()]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let all: Vec<u32> = children.lines().map(|line| line.parse().unwrap()).chain([pid]).collect();
    all.iter().for_each(|pid| signal("-STOP", *pid));
    let (status, body) = serving.get("/readyz");
    let (page, text) = serving.get("/login?otp=none");
    all.iter().for_each(|pid| signal("-CONT", *pid));
    assert!(status == 503 && body.contains("database failing: no answer within 900 ms"), "{status} {body}");
    assert!(page == 408 || page == 503, "{page} {text}");
    assert!(!text.contains("busy"), "{text}");
    while serving.get("/readyz").0 != 200 {
        a_moment();
    }
    assert_eq!(serving.stop().code, Some(0));
}

#[test]
fn a_kill_while_the_cluster_is_made_does_not_trip_the_next_start() {
    let folder = Folder::new();
    for _ in 0..3 {
        let mut child = command(&folder, &["migrate"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let half_made = || {
            let entries = std::fs::read_dir(data(&folder)).into_iter().flatten().flatten();
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("pgdata.new")).count() > 0
        };
        while !half_made() && child.try_wait().unwrap().is_none() {
            a_moment();
        }
        // SIGKILL; `initdb` lives on.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let ended = run(&mut command(&folder, &["migrate"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
