//! A private PostgreSQL, for those who give none.
//!
//! Knows how to find PostgreSQL's programs, make a cluster in a data directory, start it, take over
//! one that already runs there, and stop it. It listens on a unix socket only, in a directory that
//! only its owner may enter, and it never turns `fsync` off. One that dies is started again. Refuses
//! to know what is kept in it.
//!
//! Several processes may use one data directory. Each holds a shared lock for as long as it lives;
//! the last one out stops the server. A process that is killed lets its lock go, and leaves the
//! server running: the next one takes it over.

mod binaries;
mod fetch;
mod identity;
mod lock;
mod supervise;

pub use fetch::{Build, pinned_build};

use binaries::Binaries;
use identity::Identity;
use lock::Holder;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The cluster's superuser; nobody else can reach the socket.
const USER: &str = "rolecall";
/// `invalid_catalog_name`: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const NO_SUCH_DATABASE: &str = "3D000";
/// The database that is used.
const DATABASE: &str = "rolecall";
/// Only names the socket: nothing listens on a port.
const PORT: u16 = 5432;
/// The longest path of a cluster: PostgreSQL's own paths, below it, have 1,023 bytes.
const CLUSTER_PATH: usize = 900;
/// The longest socket path that every system takes (Linux 108 bytes, macOS 104, each with its NUL).
const SOCKET_PATH: usize = 103;
/// After a crash, recovery has to come to its end first.
const START: Duration = Duration::from_secs(60);
/// A log that is longer is set aside at the next start.
const LOG_SIZE: u64 = 8 << 20;
/// How long a server that was killed may hold its lock file and its memory.
const LOCKED: Duration = Duration::from_secs(10);

/// Where the private PostgreSQL lives and where its programs are looked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster lies in `pgdata` below it.
    pub data_dir: PathBuf,
    /// The directory of PostgreSQL's programs; without it `ROLECALL_PG_BINDIR`, `PATH` and the
    /// usual places are searched.
    pub bin_dir: Option<PathBuf>,
    /// Where a build may be fetched to, and which, if the machine has none; `None`: never fetch.
    pub fetch: Option<(PathBuf, Build)>,
    /// Whether root may run it in a user namespace; where not, it runs as another user.
    pub user_namespace: bool,
}

impl Options {
    /// In a data directory, with the programs that are found; where there are none, the pinned
    /// build for this machine is fetched into `cache` below it.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        let fetch = pinned_build().map(|build| (data_dir.join("cache"), build));
        Self { data_dir, bin_dir: None, fetch, user_namespace: true }
    }
}

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No programs, and none could be fetched.
    #[error(
        "no PostgreSQL 15 or later on this machine{fetch}; install it ({how}), name its directory with --pg-bindir, or give --database-url"
    )]
    NoBinaries {
        /// Why fetching did not help; may be empty.
        fetch: String,
        /// The command for this machine.
        how: &'static str,
    },
    /// The directory given has no PostgreSQL that can be used.
    #[error("`{}` holds no usable PostgreSQL: {why}", dir.display())]
    BinDir {
        /// As given.
        dir: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The data is of another major version.
    #[error("the data in `{}` was made by PostgreSQL {found} and only {here} is on this machine: install PostgreSQL {found}, or choose another --data-dir", dir.display())]
    OtherMajor {
        /// The cluster.
        dir: PathBuf,
        /// Its major version.
        found: u32,
        /// What there is.
        here: String,
    },
    /// The directory is there, but is no cluster.
    #[error("`{}` is not a PostgreSQL data directory: choose another --data-dir, or remove it", dir.display())]
    NotACluster {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory cannot be used by the user that PostgreSQL must run as.
    #[error("PostgreSQL does not run as root, and user `{user}` cannot reach `{}`: choose a --data-dir under /var/lib", dir.display())]
    RootOnly {
        /// The user it would run as.
        user: String,
        /// The data directory.
        dir: PathBuf,
    },
    /// A file or directory cannot be made, read or locked.
    #[error("cannot {what} `{}`: {why}", path.display())]
    Files {
        /// What was to be done.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{program}` failed: {why}")]
    Program {
        /// Its name.
        program: String,
        /// Its last words.
        why: String,
    },
    /// The path of the cluster is longer than PostgreSQL takes.
    #[error(
        "the path of the data directory has {length} bytes and PostgreSQL takes {CLUSTER_PATH} at most: choose a shorter --data-dir"
    )]
    TooLong {
        /// Of the cluster's path.
        length: usize,
    },
    /// The path of the cluster has a line break.
    #[error(
        "the path of the data directory has a line break, which PostgreSQL takes in no path: choose another --data-dir"
    )]
    LineBreak,
    /// A lock file names a process that may be a server of this cluster, and that does not answer.
    #[error("`{}` names process {pid}, which runs and does not answer: if it is PostgreSQL, stop it (kill {pid}); if it is another program, remove the file", file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
        /// The process.
        pid: u32,
    },
    /// The server died and could not be started again.
    #[error("PostgreSQL in `{}` died, and {tries} tries to start it again failed: {why}", dir.display())]
    GivenUp {
        /// The cluster.
        dir: PathBuf,
        /// How often it was tried.
        tries: u32,
        /// The last failure.
        why: String,
    },
    /// The server does not come up.
    #[error("PostgreSQL in `{}` does not start: {why}", dir.display())]
    NotReady {
        /// The cluster.
        dir: PathBuf,
        /// The last line of its log, or what the connection said.
        why: String,
    },
}

fn files(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> EmbeddedError + use<> {
    let path = path.to_owned();
    move |why| EmbeddedError::Files { what, path, why }
}

/// A private PostgreSQL that runs, and our share in it.
#[derive(Debug)]
pub struct Server {
    layout: Layout,
    binaries: Binaries,
    identity: Identity,
    adopted: bool,
    share: File,
}

/// Everything's place below the data directory.
#[derive(Debug, Clone)]
struct Layout {
    data_dir: PathBuf,
    pgdata: PathBuf,
    socket_dir: PathBuf,
    log: PathBuf,
}

impl Layout {
    fn new(data_dir: &Path) -> Result<Self, EmbeddedError> {
        make_private_dir(data_dir)?;
        let data_dir = data_dir.canonicalize().map_err(files("resolve", data_dir))?;
        let pgdata = data_dir.join(PGDATA);
        let length = pgdata.as_os_str().len();
        if length > CLUSTER_PATH {
            return Err(EmbeddedError::TooLong { length });
        }
        if pgdata.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(EmbeddedError::LineBreak);
        }
        let socket_dir = socket_dir(&data_dir)?;
        Ok(Self { pgdata, log: data_dir.join("postgres.log"), socket_dir, data_dir })
    }

    /// The files in which PostgreSQL notes who uses the cluster and the socket.
    fn lock_files(&self) -> [PathBuf; 2] {
        [self.pgdata.join("postmaster.pid"), self.socket_dir.join(format!(".s.PGSQL.{PORT}.lock"))]
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.socket_dir).port(PORT).username(USER).database(database)
    }
}

/// A directory that only we may enter. One that exists keeps its mode.
fn make_private_dir(dir: &Path) -> Result<(), EmbeddedError> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(files("make", dir))
}

/// The socket lies in the data directory, or, where its path would be too long or does not fit into
/// PostgreSQL's list of socket directories, in a short directory of our own that is named by the data
/// directory's hash.
fn socket_dir(data_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    use sha2::Digest as _;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let fits = |dir: &Path| dir.as_os_str().len() + "/.s.PGSQL.".len() + PORT.to_string().len() <= SOCKET_PATH;
    let inside = data_dir.join("socket");
    // The list is text, and commas and quotes have a meaning in it.
    let listed = |text: &str| !text.contains([',', '"']) && !text.contains(char::is_control);
    if fits(&inside) && inside.to_str().is_some_and(listed) {
        make_private_dir(&inside)?;
        return Ok(inside);
    }
    let hash = sha2::Sha256::digest(data_dir.as_os_str().as_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let run = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let candidates = [run, Some(std::env::temp_dir()), Some(PathBuf::from("/tmp"))];
    let short = candidates
        .into_iter()
        .flatten()
        .map(|dir| dir.join(format!("rolecall-{name}")))
        .find(|dir| fits(dir))
        .unwrap_or(inside);
    make_private_dir(&short)?;
    // In a directory that all may write to, another user may have been here first.
    let (ours, theirs) = (
        std::fs::metadata(data_dir).map_err(files("read", data_dir))?,
        std::fs::symlink_metadata(&short).map_err(files("read", &short))?,
    );
    if !theirs.is_dir() || theirs.uid() != ours.uid() || theirs.mode() & 0o077 != 0 {
        let why = std::io::Error::other("it belongs to another user, or others may enter it");
        return Err(EmbeddedError::Files { what: "use", path: short, why });
    }
    Ok(short)
}

/// Starts the private PostgreSQL of a data directory, or takes over the one that runs there.
///
/// # Errors
/// Each [`EmbeddedError`] is one line that says what to do.
pub async fn start(options: &Options) -> Result<Server, EmbeddedError> {
    let layout = Layout::new(&options.data_dir)?;
    let door = door(&layout).await?;
    let share_path = layout.data_dir.join("users.lock");
    let share = lock_file(&share_path)?;
    share.lock_shared().map_err(files("lock", &share_path))?;

    let wanted = existing_major(&layout.pgdata)?;
    let binaries = binaries::find(options, wanted, &layout.pgdata).await?;
    let identity = identity::choose(&layout.data_dir, &layout.pgdata, &binaries, options.user_namespace).await?;
    identity.hand_over(&layout.data_dir, &[&layout.socket_dir, &layout.pgdata])?;
    if wanted.is_none() {
        make_cluster(&layout, &binaries, &identity).await?;
    }
    let adopted = bring_up(&layout, &binaries, &identity).await?;
    make_database(&layout).await?;
    drop(door);
    Ok(Server { layout, binaries, identity, adopted, share })
}

impl Server {
    /// How to connect.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.layout.options(DATABASE)
    }

    /// The same as a URL, for other programs.
    #[must_use]
    pub fn url(&self) -> String {
        let dir: String = self.layout.socket_dir.as_os_str().as_encoded_bytes().iter().copied().map(url_byte).collect();
        format!("postgresql:///{DATABASE}?host={dir}&port={PORT}&user={USER}")
    }

    /// Whether it was already running.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Lets go of the server and, if no other process uses it, stops it. `true`: it was stopped.
    ///
    /// # Errors
    /// Where it does not stop.
    pub async fn stop(self) -> Result<bool, EmbeddedError> {
        let door = door(&self.layout).await?;
        self.share.unlock().map_err(files("unlock", &self.layout.data_dir))?;
        let alone = match self.share.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(why)) => return Err(files("lock", &self.layout.data_dir)(why)),
        };
        if alone {
            let mut stop = self.identity.command(&self.binaries.program("pg_ctl"));
            stop.arg("stop").arg("-D").arg(&self.layout.pgdata).args(["-m", "fast", "-w", "-t", "60", "-s"]);
            run("pg_ctl stop", stop).await?;
        }
        drop(door);
        Ok(alone)
    }
}

fn url_byte(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Held by the one process at a time that decides whether to start or stop.
async fn door(layout: &Layout) -> Result<File, EmbeddedError> {
    let door = lock_file(&layout.data_dir.join("start.lock"))?;
    tokio::task::spawn_blocking(move || door.lock().map(|()| door))
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(files("lock", &layout.data_dir))
}

fn lock_file(path: &Path) -> Result<File, EmbeddedError> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(files("open", path))
}

/// The major version of the cluster that is there, if one is.
fn existing_major(pgdata: &Path) -> Result<Option<u32>, EmbeddedError> {
    match std::fs::read_to_string(pgdata.join("PG_VERSION")) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(EmbeddedError::NotACluster { dir: pgdata.to_owned() }),
        },
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            // Whatever it is, it is not ours to overwrite.
            if pgdata.exists() { Err(EmbeddedError::NotACluster { dir: pgdata.to_owned() }) } else { Ok(None) }
        }
        Err(why) => Err(files("read", pgdata)(why)),
    }
}

/// Whether a data directory has a database already. One that cannot be looked into may have one.
#[must_use]
pub fn has_cluster(data_dir: &Path) -> bool {
    data_dir.join(PGDATA).try_exists().unwrap_or(true)
}

/// The directory of the cluster in a data directory.
const PGDATA: &str = "pgdata";

/// How the directory of a cluster that is being made begins.
const HALF_MADE: &str = "pgdata.new-";

/// Removes what earlier calls left that did not come to their end. What cannot be removed now goes
/// another time.
fn remove_half_made(data_dir: &Path) {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(HALF_MADE)) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::debug!(%error, path = %entry.path().display(), "a cluster that was half made stays for now");
        }
    }
}

/// Makes a cluster beside its final place and moves it there whole: one that is half made is
/// never found.
async fn make_cluster(layout: &Layout, binaries: &Binaries, identity: &Identity) -> Result<(), EmbeddedError> {
    // An `initdb` whose caller was killed may still be writing: its directory is not used again.
    remove_half_made(&layout.data_dir);
    let new = layout.data_dir.join(format!("{HALF_MADE}{}", uuid::Uuid::now_v7().simple()));
    let mut initdb = identity.command(&binaries.program("initdb"));
    initdb.arg("-D").arg(&new).args(["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"]);
    run("initdb", initdb).await?;
    std::fs::rename(&new, &layout.pgdata).map_err(files("rename", &new))
}

/// Runs a program to its end; its last words become the error.
async fn run(program: &str, mut command: tokio::process::Command) -> Result<(), EmbeddedError> {
    let failed = |why: String| EmbeddedError::Program { program: program.to_owned(), why };
    let output = command.stdin(Stdio::null()).output().await.map_err(|why| failed(why.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(last_words(&said).unwrap_or_else(|| output.status.to_string())))
}

/// The line of a log that says why: the last FATAL or error, else the last of all.
fn last_words(log: &str) -> Option<String> {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    let telling = lines().find(|line| line.contains("FATAL") || line.contains("PANIC") || line.contains("error:"));
    telling.or_else(|| lines().next()).map(str::to_owned)
}

/// Whether the server writes of itself that it is ready. After a crash the old file still says so.
/// The path of the cluster, which is in the file too, may be any bytes.
fn says_ready(pgdata: &Path) -> bool {
    let text = std::fs::read(pgdata.join("postmaster.pid")).unwrap_or_default();
    text.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == b"ready")
}

/// Whether it answers; the error says why not.
async fn answers(layout: &Layout) -> Result<(), sqlx::Error> {
    let options = layout.options("postgres");
    let ask = async {
        let mut connection = PgConnection::connect_with(&options).await?;
        connection.ping().await?;
        connection.close().await
    };
    tokio::time::timeout(Duration::from_secs(5), ask).await.map_err(|_| sqlx::Error::PoolTimedOut).flatten()
}

/// Waits for a server: ours, or one that runs already. `true`: it ran already.
async fn bring_up(layout: &Layout, binaries: &Binaries, identity: &Identity) -> Result<bool, EmbeddedError> {
    let begun = Instant::now();
    let mut child: Option<(tokio::process::Child, u64)> = None;
    let mut waited_for_lock = false;
    loop {
        let asked = answers(layout).await;
        if asked.is_ok() && says_ready(&layout.pgdata) {
            return Ok(child.is_none());
        }
        let not_ready = |why: String| EmbeddedError::NotReady { dir: layout.pgdata.clone(), why };
        if begun.elapsed() > START {
            let why = asked.err().map(|why| why.to_string()).unwrap_or_else(|| "it is not ready".to_owned());
            return Err(not_ready(format!("no answer within {} s: {why}", START.as_secs())));
        }
        match &mut child {
            // Something answers that it is starting up: it will come.
            None if matches!(&asked, Err(sqlx::Error::Database(_))) => {}
            None => child = Some(spawn(layout, binaries, identity)?),
            Some((process, from)) => {
                if let Ok(Some(status)) = process.try_wait() {
                    let log = log_since(&layout.log, *from);
                    // A server that was killed leaves its lock file, its memory and its children
                    // for a moment; and another may be just starting.
                    let locked = log.contains("postmaster.pid\" already exists")
                        || log.contains("pre-existing shared memory block")
                        || log.contains("lock file \"");
                    if !locked || (waited_for_lock && begun.elapsed() > LOCKED) {
                        let held = layout.lock_files().into_iter().find_map(|file| possible(file, &layout.pgdata));
                        let died = || not_ready(last_words(&log).unwrap_or_else(|| status.to_string()));
                        return Err(held.filter(|_| locked).unwrap_or_else(died));
                    }
                    take_stale_locks(layout)?;
                    waited_for_lock = true;
                    child = None;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// The error of a lock file that a server of this cluster may hold.
fn possible(file: PathBuf, pgdata: &Path) -> Option<EmbeddedError> {
    match lock::holder(&file, pgdata) {
        Some(Holder::Possible { pid }) => Some(EmbeddedError::Locked { file, pid }),
        _ => None,
    }
}

/// Lets no lock file that names another program keep the server from starting.
fn take_stale_locks(layout: &Layout) -> Result<(), EmbeddedError> {
    for file in layout.lock_files() {
        if let Some(Holder::OtherProgram { pid, name }) = lock::holder(&file, &layout.pgdata) {
            tracing::warn!(file = %file.display(), pid, name, "a stale lock file names another program: taking it");
            lock::take(&file).map_err(files("write", &file))?;
        }
    }
    Ok(())
}

/// Starts the server in a process group of its own, so that Ctrl-C at our terminal is ours alone.
fn spawn(
    layout: &Layout,
    binaries: &Binaries,
    identity: &Identity,
) -> Result<(tokio::process::Child, u64), EmbeddedError> {
    if std::fs::metadata(&layout.log).is_ok_and(|log| log.len() > LOG_SIZE) {
        std::fs::rename(&layout.log, layout.log.with_extension("log.old")).map_err(files("rename", &layout.log))?;
    }
    let log = OpenOptions::new().create(true).append(true).open(&layout.log).map_err(files("open", &layout.log))?;
    let from = log.metadata().map_err(files("read", &layout.log))?.len();
    let again = log.try_clone().map_err(files("open", &layout.log))?;
    let mut postgres = identity.command(&binaries.program("postgres"));
    postgres.arg("-D").arg(&layout.pgdata).arg("-p").arg(PORT.to_string());
    let socket = format!("unix_socket_directories={}", layout.socket_dir.display());
    for setting in [
        "listen_addresses=",
        &socket,
        "unix_socket_permissions=0700",
        "fsync=on",
        "logging_collector=off",
        "log_destination=stderr",
    ] {
        postgres.arg("-c").arg(setting);
    }
    postgres.stdin(Stdio::null()).stdout(again).stderr(log).process_group(0).kill_on_drop(false);
    let child = postgres
        .spawn()
        .map_err(|why| EmbeddedError::Program { program: "postgres".to_owned(), why: why.to_string() })?;
    Ok((child, from))
}

fn log_since(log: &Path, from: u64) -> String {
    let mut text = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut text)
    });
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(why) => why.to_string(),
    }
}

/// Makes our database, if it is not there.
async fn make_database(layout: &Layout) -> Result<(), EmbeddedError> {
    let failed = |why: sqlx::Error| EmbeddedError::NotReady { dir: layout.pgdata.clone(), why: why.to_string() };
    match PgConnection::connect_with(&layout.options(DATABASE)).await {
        Err(sqlx::Error::Database(why)) if why.code().as_deref() == Some(NO_SUCH_DATABASE) => {}
        Ok(connection) => return connection.close().await.map_err(failed),
        Err(why) => return Err(failed(why)),
    }
    let mut connection = PgConnection::connect_with(&layout.options("postgres")).await.map_err(failed)?;
    sqlx::query("create database rolecall").execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)
}
