//! PostgreSQL: a cluster of the benchmark's own, with the settings of a fresh
//! one, and a connection for each thread.
//!
//! A commit writes its frames into the write-ahead log and nowhere else
//! (`pg_logical_emit_message`), which is less work than any table.

use crate::arms::Arm;
use parking_lot::Mutex;
use postgres::{Client, Config, NoTls, Statement};
use std::ffi::CStr;
use std::fs::File;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use turns::text;

const COMMIT: &str =
    "SELECT pg_logical_emit_message(true, 'page', image) FROM unnest($1::bytea[]) AS image";
const START: Duration = Duration::from_secs(30);

/// Says where to get it, if it is not there.
pub fn check() -> Result<(), String> {
    programs().map(|_| ())
}

/// The newest installation's programs.
fn programs() -> Result<PathBuf, String> {
    let mut places: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    // Debian keeps them out of the path, a folder for each version.
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|list| list.flatten().map(|e| e.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    places.extend(versions.into_iter().rev());
    places.push("/usr/local/pgsql/bin".into());
    places
        .into_iter()
        .filter_map(|place| place.join("initdb").canonicalize().ok())
        .filter_map(|initdb| initdb.parent().map(Path::to_path_buf))
        .find(|place| place.join("postgres").exists())
        .ok_or("no initdb in the path or in /usr/lib/postgresql".into())
}

pub struct Postgres {
    sessions: Vec<Mutex<Session>>,
    _server: Server,
}

struct Session {
    client: Client,
    commit: Statement,
}

impl Postgres {
    pub fn open(dir: &Path, threads: usize) -> Result<Postgres, String> {
        let server = Server::start(dir, threads)?;
        let session = |_| {
            let mut client = server.connect().map_err(text)?;
            let commit = client.prepare(COMMIT).map_err(text)?;
            Ok(Mutex::new(Session { client, commit }))
        };
        let sessions = (0..threads).map(session).collect::<Result<_, String>>()?;
        Ok(Postgres {
            sessions,
            _server: server,
        })
    }
}

impl Arm for Postgres {
    fn commit(&self, thread: usize, batch: &[&[u8]]) -> Result<(), String> {
        let Session { client, commit } = &mut *self.sessions[thread].lock();
        client.execute(&*commit, &[&batch]).map_err(text)?;
        Ok(())
    }
}

/// A running cluster, stopped when it is dropped.
struct Server {
    process: Child,
    /// A socket's path may have some 100 bytes, so it is not with the files.
    socket: TempDir,
}

impl Server {
    fn start(dir: &Path, threads: usize) -> Result<Server, String> {
        let programs = programs()?;
        let user = user();
        let data = dir.join("cluster");
        let socket = tempfile::tempdir().map_err(text)?;
        std::fs::create_dir(&data).map_err(text)?;
        if let Some((uid, gid)) = user {
            for path in [&data, socket.path()] {
                chown(path, Some(uid), Some(gid)).map_err(text)?;
            }
        }
        let made = program(&programs.join("initdb"), user)
            .args(["--no-sync", "--auth=trust", "--username=bench", "--pgdata"])
            .arg(&data)
            .current_dir(&data)
            .output()
            .map_err(text)?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(format!("initdb: {}", said.trim()));
        }
        let log = File::create(dir.join("server.log")).map_err(text)?;
        let process = program(&programs.join("postgres"), user)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(socket.path())
            .args(["-h", "", "-N", &(threads + 8).to_string()])
            .current_dir(&data)
            .stderr(log)
            .spawn()
            .map_err(text)?;
        let server = Server { process, socket };
        let began = Instant::now();
        loop {
            match server.connect() {
                Ok(_) => return Ok(server),
                Err(e) if began.elapsed() > START => return Err(format!("no answer: {e}")),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn connect(&self) -> Result<Client, postgres::Error> {
        Config::new()
            .host_path(self.socket.path())
            .user("bench")
            .dbname("postgres")
            .connect(NoTls)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: the child is ours and not yet waited for; SIGINT is its
        // fast shutdown.
        unsafe { libc::kill(self.process.id() as i32, libc::SIGINT) };
        let _ = self.process.wait();
    }
}

fn program(path: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// Whom the server runs as: it refuses to be root.
fn user() -> Option<(u32, u32)> {
    // SAFETY: a question without arguments.
    if unsafe { libc::geteuid() } != 0 {
        return None;
    }
    let find = |name: &CStr| {
        // SAFETY: the name ends with NUL, and what is pointed to is copied
        // before anybody asks again.
        unsafe { libc::getpwnam(name.as_ptr()).as_ref() }.map(|u| (u.pw_uid, u.pw_gid))
    };
    find(c"postgres").or_else(|| find(c"nobody"))
}
