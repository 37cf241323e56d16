//! Fetching a PostgreSQL build, for machines that have none.
//!
//! Knows one pinned release with the digest of each archive. The download is left to `curl` or
//! `wget` and the unpacking to `tar`, which every machine has and which know its proxies; an HTTP
//! client of our own would weigh more than all of this crate. Refuses what has another digest.

use sha2::Digest as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// An archive (`.tar.gz` with one top folder) of PostgreSQL's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Names it in the cache.
    pub version: String,
    /// Its major version.
    pub major: u32,
    /// Where it lies.
    pub url: String,
    /// SHA-256 of the archive, in hexadecimal.
    pub sha256: String,
}

const VERSION: &str = "18.6.0";
const RELEASES: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download";

/// The pinned build for this machine, if there is one.
#[must_use]
pub fn pinned_build() -> Option<Build> {
    let (target, sha256) = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => {
            ("x86_64-unknown-linux-gnu", "bb3d09f876b2383e25a8c9ce09e32d185a03656a23d074f5195542b1b1b3ca61")
        }
        ("linux", "aarch64") => {
            ("aarch64-unknown-linux-gnu", "5d2b5e8be9e96bfc3d7f22090057a836ec36d5d092542d8d3b93cc145cf4ee13")
        }
        ("macos", "aarch64") => {
            ("aarch64-apple-darwin", "a257bcdb8aa3301a13d6a5bcec48f8c9517045b7cbae71e50788b2615539e95b")
        }
        ("macos", "x86_64") => {
            ("x86_64-apple-darwin", "f8918fbe747e0d79bda58ad8f8afcf23ac384b847ff3af18856f0825ba54b031")
        }
        _ => return None,
    };
    Some(Build {
        version: VERSION.to_owned(),
        major: 18,
        url: format!("{RELEASES}/{VERSION}/postgresql-{VERSION}-{target}.tar.gz"),
        sha256: sha256.to_owned(),
    })
}

/// Why a build could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0}")]
    Download(String),
    #[error("the archive has another checksum than the pinned one")]
    Checksum,
    #[error("the archive cannot be unpacked: {0}")]
    Unpack(String),
    #[error("the cache cannot be written: {0}")]
    Cache(std::io::Error),
}

/// Where the programs of a build lie once it is unpacked.
pub(super) fn bin_dir(cache: &Path, build: &Build) -> PathBuf {
    cache.join(format!("postgresql-{}", build.version)).join("bin")
}

/// Fetches, checks and unpacks a build, and says where its programs lie. What is there already is
/// not fetched again; what is half done is never found.
pub(super) async fn fetch(cache: &Path, build: &Build) -> Result<PathBuf, FetchError> {
    let bin = bin_dir(cache, build);
    if bin.is_dir() {
        return Ok(bin);
    }
    std::fs::create_dir_all(cache).map_err(FetchError::Cache)?;
    let work = cache.join(format!(".fetch-{}", std::process::id()));
    let done = fetch_into(&work, build).await.and_then(|unpacked| {
        let home = cache.join(format!("postgresql-{}", build.version));
        std::fs::rename(unpacked, home).map_err(FetchError::Cache)
    });
    // Best effort: what is left over does no harm.
    drop(std::fs::remove_dir_all(&work));
    done.map(|()| bin)
}

async fn fetch_into(work: &Path, build: &Build) -> Result<PathBuf, FetchError> {
    let (archive, unpacked) = (work.join("archive.tar.gz"), work.join("unpacked"));
    std::fs::create_dir_all(&unpacked).map_err(FetchError::Cache)?;
    tracing::info!(version = build.version, "no PostgreSQL on this machine: fetching a build");
    download(&build.url, &archive).await?;
    let digest = sha256(&archive).map_err(FetchError::Cache)?;
    if digest != build.sha256 {
        return Err(FetchError::Checksum);
    }
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).arg("--strip-components=1");
    run_command(tar).await.map_err(|why| FetchError::Unpack(why.to_string()))?;
    Ok(unpacked)
}

async fn download(url: &str, to: &Path) -> Result<(), FetchError> {
    let mut curl = Command::new("curl");
    curl.args(["-fsSL", "--retry", "2", "--connect-timeout", "10", "--max-time", "600", "-o"]).arg(to).arg(url);
    let mut wget = Command::new("wget");
    wget.args(["-q", "--tries=2", "--connect-timeout=10", "-O"]).arg(to).arg(url);
    let done = match run_command(curl).await {
        Err(CommandError::Missing) => run_command(wget).await,
        other => other,
    };
    match done {
        Ok(()) => Ok(()),
        Err(CommandError::Missing) => {
            Err(FetchError::Download("neither `curl` nor `wget` is on this machine".to_owned()))
        }
        Err(CommandError::Failed(why)) => Err(FetchError::Download(why)),
    }
}

/// How a command came to nothing.
enum CommandError {
    /// There is no such program.
    Missing,
    /// Its first words.
    Failed(String),
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "there is no such program",
            Self::Failed(why) => why,
        })
    }
}

/// Runs a command to its end.
async fn run_command(mut command: Command) -> Result<(), CommandError> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().await.map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => CommandError::Missing,
        _ => CommandError::Failed(format!("{name}: {why}")),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(CommandError::Failed(text.lines().next().map_or_else(|| format!("{name}: {}", output.status), str::to_owned)))
}

fn sha256(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut file = std::fs::File::open(path)?;
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
