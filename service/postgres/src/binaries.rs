//! Finding PostgreSQL's programs.
//!
//! Knows where systems put them, and that a cluster can only be opened by its own major version.

use super::{EmbeddedError, Options, fetch};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The oldest major version that will do.
const OLDEST: u32 = 15;
/// What we run.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];
/// Where packages put them; `*` stands for one directory level.
const PLACES: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// One installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// The newest installation that will do; for an existing cluster, the newest of its own major.
pub(super) async fn find(options: &Options, wanted: Option<u32>, pgdata: &Path) -> Result<Binaries, EmbeddedError> {
    let named = options.bin_dir.clone().or_else(|| std::env::var_os("ROLECALL_PG_BINDIR").map(PathBuf::from));
    let mut found = Vec::new();
    if let Some(dir) = named {
        let one = inspect(&dir).await.map_err(|why| EmbeddedError::BinDir { dir: dir.clone(), why })?;
        if one.major < OLDEST {
            let why = format!("it is PostgreSQL {}, {OLDEST} or later is needed", one.major);
            return Err(EmbeddedError::BinDir { dir, why });
        }
        found.push(one);
    } else {
        for dir in candidates(options).await {
            if let Ok(one) = inspect(&dir).await
                && one.major >= OLDEST
                && !found.contains(&one)
            {
                found.push(one);
            }
        }
    }
    match pick(&found, wanted) {
        Some(one) => Ok(one),
        None => fetched(options, wanted, pgdata, &found).await,
    }
}

/// The newest, or the newest of a major version; the first found where several are alike.
fn pick(found: &[Binaries], wanted: Option<u32>) -> Option<Binaries> {
    let fits = |one: &&Binaries| wanted.is_none_or(|major| one.major == major);
    found.iter().rev().filter(fits).max_by_key(|one| one.major).cloned()
}

/// Nothing here fits: the pinned build may.
async fn fetched(
    options: &Options,
    wanted: Option<u32>,
    pgdata: &Path,
    found: &[Binaries],
) -> Result<Binaries, EmbeddedError> {
    let mut why = String::new();
    if let Some((cache, build)) = &options.fetch
        && options.bin_dir.is_none()
        && wanted.is_none_or(|major| major == build.major)
    {
        match fetch::fetch(cache, build).await {
            Ok(dir) => match inspect(&dir).await {
                Ok(one) => return Ok(one),
                Err(problem) => why = format!(", and the build that was fetched is not usable ({problem})"),
            },
            Err(problem) => why = format!(", and none could be fetched ({problem})"),
        }
    }
    match wanted {
        Some(major) if !found.is_empty() => {
            let here: Vec<String> =
                found.iter().map(|one| format!("{} (`{}`)", one.major, one.dir.display())).collect();
            Err(EmbeddedError::OtherMajor { dir: pgdata.to_owned(), found: major, here: here.join(", ") })
        }
        _ => Err(EmbeddedError::NoBinaries { fetch: why, how: how_to_install() }),
    }
}

/// The command that installs PostgreSQL on this machine.
fn how_to_install() -> &'static str {
    let has = |path: &str| Path::new(path).exists();
    if cfg!(target_os = "macos") {
        "brew install postgresql@18"
    } else if has("/usr/bin/dnf") {
        "dnf install -y postgresql-server"
    } else if has("/sbin/apk") {
        "apk add postgresql"
    } else {
        "apt-get install -y postgresql"
    }
}

/// Directories in which the programs may lie, in the order of trust.
async fn candidates(options: &Options) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for place in PLACES {
        let mut expanded = expand(place);
        expanded.sort();
        dirs.extend(expanded.into_iter().rev());
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output().await
        && output.status.success()
    {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    if let Some((cache, build)) = &options.fetch {
        dirs.push(fetch::bin_dir(cache, build));
    }
    dirs
}

/// The directories that a pattern with one `*` names.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![PathBuf::from(pattern)] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| PathBuf::from(format!("{}{after}", entry.path().display())))
        .collect()
}

/// The installation in a directory, or what is missing there. Links are followed: the server
/// looks for its own files beside its real place.
async fn inspect(dir: &Path) -> Result<Binaries, String> {
    let postgres = dir.join("postgres").canonicalize().map_err(|_| "no program `postgres` in it".to_owned())?;
    let dir = postgres.parent().unwrap_or(dir).to_owned();
    if let Some(missing) = PROGRAMS.iter().find(|name| !dir.join(name).is_file()) {
        return Err(format!("no program `{missing}` in it"));
    }
    let output = Command::new(&postgres).arg("--version").output().await.map_err(|why| why.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let major = major_of(&said)
        .ok_or_else(|| format!("`postgres --version` says `{}`", said.lines().next().unwrap_or_default()))?;
    Ok(Binaries { dir, major })
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_is_read_from_every_way_of_saying_it() {
        for (said, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18.6", Some(18)),
            ("postgres (PostgreSQL) 19beta1", Some(19)),
            ("mysqld 8.0", None),
        ] {
            assert_eq!(major_of(said), major, "{said}");
        }
    }

    #[tokio::test]
    async fn where_there_is_nothing_one_line_says_what_to_do() {
        let nothing = Options { fetch: None, ..Options::new("/nonexistent") };
        let text = fetched(&nothing, None, Path::new("/nonexistent/pgdata"), &[]).await.unwrap_err().to_string();
        assert!(text.contains("install it (") && text.contains("--database-url") && !text.contains('\n'), "{text}");
        let build = fetch::Build {
            version: "18".to_owned(),
            major: 18,
            url: "http://127.0.0.1:1/a.tar.gz".to_owned(),
            sha256: String::new(),
        };
        let cache = std::env::temp_dir().join(format!("rolecall-cache-{}", std::process::id()));
        let offline = Options { fetch: Some((cache.clone(), build)), ..nothing };
        let text = fetched(&offline, None, Path::new("/nonexistent/pgdata"), &[]).await.unwrap_err().to_string();
        assert!(text.contains("none could be fetched (") && text.contains("install it ("), "{text}");
        std::fs::remove_dir_all(cache).unwrap();
    }

    #[test]
    fn the_newest_is_picked_unless_a_cluster_needs_its_own() {
        let of = |major| Binaries { dir: format!("/pg/{major}").into(), major };
        let found = [of(15), of(17), of(16)];
        assert_eq!(pick(&found, None), Some(of(17)));
        assert_eq!(pick(&found, Some(16)), Some(of(16)));
        assert_eq!(pick(&found, Some(14)), None);
    }
}
