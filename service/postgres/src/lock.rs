//! Lock files that PostgreSQL left, and the processes that they name.
//!
//! A server that was killed leaves its process id behind. Once another process has that id,
//! PostgreSQL takes it for a server that runs and does not start. Here it is found out who it is.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Who holds a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody: the process is gone.
    Gone,
    /// A process that is no PostgreSQL of this cluster.
    OtherProgram {
        /// Its process id.
        pid: u32,
        /// What it calls itself.
        name: String,
    },
    /// A PostgreSQL of this cluster, or a process that lets nobody see what it is.
    Possible {
        /// Its process id.
        pid: u32,
    },
}

/// Who holds a lock file of the cluster in `pgdata`; `None` where there is no such file.
pub(super) fn holder(file: &Path, pgdata: &Path) -> Option<Holder> {
    let text = std::fs::read(file).ok()?;
    let pid: u32 = String::from_utf8_lossy(&text).lines().next()?.trim().parse().ok()?;
    Some(match command_line(pid) {
        Some(words) if words.is_empty() => Holder::Gone,
        Some(words) => of(pid, &words, pgdata),
        None => Holder::Possible { pid },
    })
}

fn of(pid: u32, words: &[String], pgdata: &Path) -> Holder {
    let program = words.first().map(PathBuf::from).unwrap_or_default();
    let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let postgres = name.starts_with("postgres") || name.starts_with("postmaster");
    let data = pgdata.to_string_lossy();
    if words.iter().any(|word| *word == data) {
        return Holder::Possible { pid };
    }
    // One that serves another directory says so; a process of one, such as `postgres: checkpointer`, does not.
    if postgres && !words.iter().any(|word| word == "-D") {
        Holder::Possible { pid }
    } else {
        Holder::OtherProgram { pid, name }
    }
}

/// The words of a process's command line; none where there is no such process. `None`: nobody can say.
fn command_line(pid: u32) -> Option<Vec<String>> {
    if Path::new("/proc/self/cmdline").exists() {
        let words = |bytes: Vec<u8>| {
            let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
            parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect::<Vec<_>>()
        };
        return match std::fs::read(format!("/proc/{pid}/cmdline")) {
            // A process of the kernel, or one that has ended and waits for its parent, has no words.
            Ok(bytes) if bytes.is_empty() => Some(vec![format!("process {pid}")]),
            Ok(bytes) => Some(words(bytes)),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Some(Vec::new()),
            Err(_) => None,
        };
    }
    let asked = Command::new("ps").args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&asked.stdout).split_whitespace().map(str::to_owned).collect())
}

/// Takes a lock file from a stranger: it names us from now on, and PostgreSQL passes over a file that
/// names the process which started it. That no process of the old server still uses its memory,
/// PostgreSQL makes sure of itself; without the file it would not.
pub(super) fn take(file: &Path) -> std::io::Result<()> {
    let text = std::fs::read(file)?;
    let rest = text.iter().position(|byte| *byte == b'\n').and_then(|end| text.get(end..)).unwrap_or(b"\n");
    std::fs::write(file, [std::process::id().to_string().as_bytes(), rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_words() {
        let pgdata = Path::new("/var/lib/rolecall/pgdata");
        for (line, stranger) in [
            ("/usr/lib/postgresql/15/bin/postgres -D /var/lib/rolecall/pgdata -p 5432", false),
            ("/usr/lib/postgresql/15/bin/postgres -D /var/lib/other/pgdata", true),
            ("postgres: checkpointer", false),
            ("/usr/bin/sleep 60", true),
            ("/usr/bin/vim /var/lib/rolecall/pgdata/postgresql.conf", true),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(matches!(of(7, &words, pgdata), Holder::OtherProgram { pid: 7, .. }), stranger, "{line}");
        }
    }

    #[test]
    fn who_holds_a_file_is_found_out() {
        let file = std::env::temp_dir().join(format!("rolecall-lock-{}", std::process::id()));
        assert_eq!(holder(&file, Path::new("/x")), None);
        std::fs::write(&file, "4194303\n/x\n").unwrap();
        assert_eq!(holder(&file, Path::new("/x")), Some(Holder::Gone));
        take(&file).unwrap();
        let ours = std::process::id();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{ours}\n/x\n"));
        assert!(matches!(holder(&file, Path::new("/x")), Some(Holder::OtherProgram { pid, .. }) if pid == ours));
        std::fs::remove_file(&file).unwrap();
    }
}
