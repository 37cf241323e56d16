//! The built binary, folders of its own for each test, and an audit over a sandbox in this process.

use chrono::TimeDelta;
use rolecall::audit::Summary;
use rolecall::audit::import::{ImportOptions, collect};
use rolecall::audit::rules::Rules;
use rolecall::audit::run::Audit;
use rolecall::audit::scan::{collect_and_read, settings};
use rolecall::config::AwsConfig;
use rolecall::error::Error;
use rolecall::progress::Progress;
use rolecall_collect::Hub;
use rolecall_collect::trails::TrailConfig;
use rolecall_sandbox::{Estate, Faults, HUB_ACCESS_KEY, Options, SECRET, Sandbox};
use rolecall_store::Store;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A folder that is removed when the test ends well.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(uuid::Uuid::new_v4().simple().to_string());
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, with its folders.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        self.write_bytes(name, text.as_bytes())
    }

    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _left = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Imports a folder, by the rules that ship.
pub(crate) async fn import(store: &Store, folder: &Path, options: ImportOptions) -> Result<Summary, Error> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let audit = Audit {
        store: store.clone(),
        rules: Arc::new(Rules::load(Some(&policies)).unwrap()),
        kind: "import",
        trigger: "test".to_owned(),
        window: TimeDelta::days(90),
        kept: Duration::from_secs(400 * 86_400),
        assumed: options.assume.iter().copied().collect(),
        declared: rolecall::config::DeclaredConfig::default(),
        baselines: rolecall::config::BaselinesConfig::default(),
        figures: false,
        progress: Progress::silent(),
        cancel: CancellationToken::new(),
    };
    let paths = [folder.to_owned()];
    audit.run(|run, sender| collect(run, &paths, options, store, sender, Progress::silent())).await
}

/// The binary, in an environment that holds nothing of this machine's.
pub(crate) fn rolecall(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolecall"));
    command.env_clear().env("HOME", home).env("AWS_EC2_METADATA_DISABLED", "true").current_dir(home);
    for name in ["PATH", "TMPDIR", "ROLECALL_PG_BINDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it could not be done, and that one line says what and what to do.
    #[track_caller]
    pub(crate) fn one_line(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        let lines: Vec<&str> = self.err.lines().filter(|line| line.starts_with("rolecall: ")).collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        for part in parts {
            assert!(lines[0].contains(part), "no `{part}` in {self:?}");
        }
    }
}

pub(crate) fn run(command: &mut Command) -> Ended {
    Ended::new(command.output().unwrap())
}

fn few_regions() -> AwsConfig {
    let regions = ["eu-west-1", "eu-central-1", "us-east-1"].map(|region| region.parse().unwrap()).to_vec();
    AwsConfig { regions, ..AwsConfig::default() }
}

/// A sandbox over an estate, and a store to audit it into.
pub(crate) struct Harness {
    pub(crate) sandbox: Sandbox,
    pub(crate) store: Store,
    pub(crate) url: String,
    pub(crate) database: rolecall_store::testing::Database,
    pub(crate) rules: Arc<Rules>,
}

impl Harness {
    pub(crate) async fn over(estate: Estate) -> Self {
        let options = Options { lookups_per_second: None, ..Options::default() };
        let sandbox = Sandbox::start_with(estate, Faults::none(), options).await.unwrap();
        let database = rolecall_store::testing::database().await.unwrap();
        let rules = Arc::new(Rules::load(None).unwrap());
        Self { sandbox, store: database.store.clone(), url: database.url.clone(), database, rules }
    }

    /// One audit, as `rolecall scan` does it.
    pub(crate) async fn audit(&self) -> Result<Summary, Error> {
        self.audit_with(&[]).await
    }

    /// One audit with trails of its configuration.
    pub(crate) async fn audit_with(&self, trails: &[TrailConfig]) -> Result<Summary, Error> {
        self.audit_as(AwsConfig::default(), trails).await
    }

    /// One audit that asks once, and soon gives up.
    pub(crate) async fn impatient_audit(&self) -> Result<Summary, Error> {
        let second = Duration::from_secs(1);
        let aws = AwsConfig { attempts: 1, call_timeout: second, listing_deadline: second, ..few_regions() };
        self.audit_as(aws, &[]).await
    }

    /// One audit of what the impatient one looks at, which sees all of it on the slowest machine, too.
    pub(crate) async fn patient_audit(&self) -> Result<Summary, Error> {
        self.audit_as(few_regions(), &[]).await
    }

    async fn audit_as(&self, aws: AwsConfig, trails: &[TrailConfig]) -> Result<Summary, Error> {
        let aws = AwsConfig { lookups_per_second: 1000, trail_lookback_days: 30, ..aws };
        let hub = Hub::keys(self.sandbox.endpoint(), "us-east-1".parse().unwrap(), HUB_ACCESS_KEY, SECRET);
        let progress = Progress::silent();
        let audit = Audit {
            store: self.store.clone(),
            rules: self.rules.clone(),
            kind: "scan",
            trigger: "test".to_owned(),
            window: TimeDelta::days(30),
            kept: Duration::from_secs(400 * 86_400),
            assumed: std::collections::BTreeSet::new(),
            declared: rolecall::config::DeclaredConfig::default(),
            baselines: rolecall::config::BaselinesConfig::default(),
            figures: false,
            progress: progress.clone(),
            cancel: CancellationToken::new(),
        };
        let known = self.store.known_accounts().await.unwrap();
        let (store, settings) = (&self.store, settings(&aws, hub, known));
        Box::pin(audit.run(|run, sender| collect_and_read(store, trails, settings, run, sender, &progress))).await
    }

    /// The binary, pointed at the sandbox and the store.
    pub(crate) fn rolecall(&self, home: &Folder) -> Command {
        let mut command = rolecall(home.path());
        command.envs(self.sandbox.env()).env("DATABASE_URL", &self.url);
        command
    }
}

/// Runs a command without holding up the sandbox, which lives on the same runtime.
pub(crate) async fn run_beside(mut command: Command) -> Ended {
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap()
}

/// A `serve` that runs; it goes with the value.
pub(crate) struct Serving {
    child: Child,
    /// Where it listens.
    pub(crate) addr: String,
    out: BufReader<ChildStdout>,
    /// Reads along, so that a full pipe holds nobody up.
    err: Option<JoinHandle<String>>,
}

impl Serving {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut err = child.stderr.take().unwrap();
        let err = std::thread::spawn(move || {
            let mut text = Vec::new();
            err.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let addr = line.strip_prefix("Dashboard  http://").and_then(|rest| Some(rest.split('/').next()?.to_owned()));
        let mut serving = Self { child, addr: String::new(), out, err: Some(err) };
        match addr {
            Some(addr) => serving.addr = addr,
            None => {
                let _gone = serving.child.kill();
                panic!("it does not say where it listens: {line}{:?}", serving.ended());
            }
        }
        serving
    }

    /// The status and the body of an address.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, "Accept: */*")
    }

    /// The same with a header.
    pub(crate) fn get_with(&self, path: &str, header: &str) -> (u16, String) {
        self.send("GET", path, header, "")
    }

    /// The status and the body of a request with a header and JSON.
    pub(crate) fn send(&self, method: &str, path: &str, header: &str, json: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        let kind = match json.len() {
            0 => String::new(),
            length => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{kind}{header}\r\n\r\n{json}",
            self.addr
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status.unwrap_or_else(|| panic!("{path} is answered: {answer:?}")), body.unwrap_or_default())
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(self) -> Ended {
        signal("-TERM", self.id());
        self.ended()
    }

    /// Waits until it ends.
    pub(crate) fn ended(mut self) -> Ended {
        let err = self.err.take().unwrap().join().unwrap();
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        Ended { code: self.child.wait().unwrap().code(), out, err }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that was stopped is not there any more.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}
