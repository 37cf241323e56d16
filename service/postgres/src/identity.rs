//! As whom PostgreSQL runs: it refuses root.
//!
//! Knows two ways out for root: a user namespace, in which the process sees itself as `nobody`
//! while all files stay root's; or, where the kernel forbids that, another user, to whom the data
//! directory is given. Anyone else runs it as themselves.

use super::{Binaries, EmbeddedError, files};
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The user and group `nobody` of every Linux.
const NOBODY: &str = "65534";

/// As whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// Whoever we are.
    Ourselves,
    /// `nobody` of a user namespace that has us alone.
    Namespace,
    /// Another user of this machine.
    User {
        /// Its name, for messages.
        name: String,
        /// Its id.
        uid: u32,
        /// Its group's id.
        gid: u32,
    },
}

impl Identity {
    /// A command that runs a program as this identity, with the system's messages in English, as
    /// we read some of them.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = match self {
            Self::Namespace => {
                let mut command = Command::new("unshare");
                command.args(namespace_args()).arg(program);
                command
            }
            Self::Ourselves => Command::new(program),
            Self::User { uid, gid, .. } => {
                let mut command = Command::new(program);
                command.uid(*uid).gid(*gid);
                command
            }
        };
        command.env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGOPTIONS").current_dir("/");
        command
    }

    /// Gives the directories, with all that lies in them, to the user it is to run as.
    pub(super) fn hand_over(&self, data_dir: &Path, dirs: &[&Path]) -> Result<(), EmbeddedError> {
        let Self::User { name, uid, gid } = self else { return Ok(()) };
        for path in dirs.iter().copied().chain([data_dir]) {
            if path.exists() && owner(path)? != *uid {
                chown(path, Some(*uid), Some(*gid)).map_err(files("give away", path))?;
                if path != data_dir {
                    give_all(path, *uid, *gid)?;
                }
            }
        }
        // A parent that only root may enter, such as /root, keeps the other user out.
        let closed =
            |dir: &Path| std::fs::metadata(dir).is_ok_and(|meta| meta.uid() != *uid && meta.mode() & 0o001 == 0);
        if data_dir.ancestors().skip(1).any(closed) {
            return Err(EmbeddedError::RootOnly { user: name.clone(), dir: data_dir.to_owned() });
        }
        Ok(())
    }
}

fn owner(path: &Path) -> Result<u32, EmbeddedError> {
    Ok(std::fs::symlink_metadata(path).map_err(files("read", path))?.uid())
}

fn give_all(dir: &Path, uid: u32, gid: u32) -> Result<(), EmbeddedError> {
    for entry in std::fs::read_dir(dir).map_err(files("read", dir))? {
        let path = entry.map_err(files("read", dir))?.path();
        lchown(&path, Some(uid), Some(gid)).map_err(files("give away", &path))?;
        if path.is_dir() && !path.is_symlink() {
            give_all(&path, uid, gid)?;
        }
    }
    Ok(())
}

fn namespace_args() -> [String; 4] {
    ["--user".to_owned(), format!("--map-user={NOBODY}"), format!("--map-group={NOBODY}"), "--".to_owned()]
}

/// As whom PostgreSQL can run here. A cluster that was given to another user stays that user's.
pub(super) async fn choose(
    data_dir: &Path,
    pgdata: &Path,
    binaries: &Binaries,
    user_namespace: bool,
) -> Result<Identity, EmbeddedError> {
    if our_uid(data_dir)? != 0 {
        return Ok(Identity::Ourselves);
    }
    if let Ok(cluster) = std::fs::metadata(pgdata)
        && cluster.uid() != 0
    {
        let (uid, gid) = (cluster.uid(), cluster.gid());
        return Ok(Identity::User { name: uid.to_string(), uid, gid });
    }
    if user_namespace && namespace_works(binaries).await {
        return Ok(Identity::Namespace);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    other_user(&passwd).ok_or_else(|| EmbeddedError::RootOnly { user: "postgres".to_owned(), dir: data_dir.to_owned() })
}

/// Files that we make belong to us: the one way to learn our user id without a foreign call.
fn our_uid(dir: &Path) -> Result<u32, EmbeddedError> {
    let probe: PathBuf = dir.join(format!(".uid-{}", std::process::id()));
    std::fs::write(&probe, b"").map_err(files("write", &probe))?;
    let uid = std::fs::metadata(&probe).map(|meta| meta.uid()).map_err(files("read", &probe));
    std::fs::remove_file(&probe).map_err(files("remove", &probe))?;
    uid
}

/// Containers often forbid user namespaces, and some systems have no `unshare`.
async fn namespace_works(binaries: &Binaries) -> bool {
    let mut probe = Command::new("unshare");
    probe.args(namespace_args()).arg(binaries.program("initdb")).arg(OsStr::new("--version"));
    probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().await.is_ok_and(|status| status.success())
}

/// `postgres` where the package made it, else `nobody`.
fn other_user(passwd: &str) -> Option<Identity> {
    let entry = |wanted: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == wanted)?;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Identity::User { name: name.to_owned(), uid, gid })
        })
    };
    entry("postgres").or_else(|| entry("nobody"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_user_is_taken_before_nobody() {
        let nobody = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        let user = |name: &str, uid, gid| Some(Identity::User { name: name.to_owned(), uid, gid });
        assert_eq!(other_user(nobody), user("nobody", 65534, 65533));
        let both = format!("{nobody}postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(other_user(&both), user("postgres", 101, 104));
        assert_eq!(other_user("root:x:0:0::/root:/bin/sh"), None);
    }
}
