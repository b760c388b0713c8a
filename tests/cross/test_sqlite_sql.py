"""SQL through the SQLite host: whatever SQLite itself makes of the same statements,
killed at any of them; and a disk that fails."""

import contextlib
import errno
import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from kills import recover

Dump = list[str]


@pytest.fixture
def host(examples: Path) -> Path:
    return examples / "sqlite" / "host"


class SqlError(Exception):
    """What the host says of a statement."""


class Shell:
    """A host that runs SQL line by line."""

    def __init__(
        self, host: Path, folder: Path, name: str = "0.db", **environment: str
    ) -> None:
        self.process = subprocess.Popen(
            [host, "sql", folder, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.recovered = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.endswith("\n"), "the host ended by itself"
        return line.rstrip("\n")

    def send(self, sql: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(sql + "\n")
        self.process.stdin.flush()

    def tell(self, sql: str) -> list[str]:
        """The rows of one line of SQL."""
        self.send(sql)
        rows = []
        while (line := self._line()) != "ok":
            if line.startswith("error: "):
                raise SqlError(line)
            rows.append(line)
        return rows

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def close(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@contextlib.contextmanager
def shell(host: Path, folder: Path, **environment: str) -> Iterator[Shell]:
    """One that is killed in the end, whatever happens."""
    running = Shell(host, folder, **environment)
    try:
        yield running
    finally:
        running.kill()


def dump(path: Path) -> Dump:
    """All that a database holds, once SQLite without the VFS finds it whole."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return list(db.iterdump())


class Twin:
    """The same statements in SQLite alone."""

    def __init__(self, folder: Path) -> None:
        self.files = [folder / "twin0.db", folder / "twin1.db"]
        self.open()

    def open(self) -> None:
        self.db = sqlite3.connect(self.files[0], isolation_level=None)
        self.db.execute(f"ATTACH '{self.files[1]}' AS other")
        for schema in ("main", "other"):
            # So that the last commit can be read beside an open transaction.
            self.db.execute(f"PRAGMA {schema}.journal_mode=WAL")
            self.db.execute(f"PRAGMA {schema}.synchronous=OFF")

    def run(self, sql: str) -> None:
        if sql.startswith("."):
            self.db.close()
            self.open()
        elif not sql.startswith(("PRAGMA", "ATTACH")):
            self.db.execute(sql)

    def committed(self) -> list[Dump]:
        """What each database holds after the last commit."""
        return [dump(path) for path in self.files]

    def start_at(self, databases: list[Path]) -> None:
        """Goes on with what a crash has left."""
        self.db.close()
        for found, mine in zip(databases, self.files, strict=True):
            shutil.copy(found, mine)
        self.open()


class Workload:
    """Statements at random, none of which can fail."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.savepoints: list[str] = []
        self.begun = False

    def _change(self) -> str:
        rng = self.rng
        table = rng.choice(["main.t", "main.t", "other.t"])
        low = rng.randrange(400)
        many = rng.choice([1, 3, 300])
        return rng.choice(
            [
                f"INSERT OR REPLACE INTO {table} WITH RECURSIVE c(i) AS (SELECT {low} "
                f"UNION ALL SELECT i + 1 FROM c WHERE i < {low + many}) "
                f"SELECT i, printf('%0*d', {rng.randrange(1, 1500)}, i) FROM c",
                f"UPDATE {table} SET x = x || '{rng.random()}' "
                f"WHERE i BETWEEN {low} AND {low + many}",
                f"DELETE FROM {table} WHERE i BETWEEN {low} AND {low + many}",
            ]
        )

    def _outside(self) -> list[str]:
        """What is for between two transactions."""
        rng = self.rng
        schema = rng.choice(["main", "other"])
        mode = rng.choice(["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
        size = rng.choice([512, 1024, 4096, 65536])
        return rng.choice(
            [
                [f"PRAGMA {schema}.wal_checkpoint({mode})"],
                [f"PRAGMA {schema}.wal_checkpoint({mode})"],
                [f"VACUUM {schema}"],
                [f"PRAGMA {schema}.journal_mode=DELETE"],
                [
                    f"PRAGMA {schema}.journal_mode=DELETE",
                    f"PRAGMA {schema}.page_size={size}",
                    f"VACUUM {schema}",
                    self._change(),
                    f"PRAGMA {schema}.journal_mode=WAL",
                ],
                [f"PRAGMA {schema}.journal_mode=WAL"],
                [f"PRAGMA {schema}.cache_size={rng.choice([1, 10, 1000])}"],
                [".open 0.db"],
            ]
        )

    def next(self) -> list[str]:
        """The next few."""
        rng = self.rng
        if not self.begun:
            if rng.random() < 0.35:
                return self._outside()
            if rng.random() < 0.4:
                return [self._change()]
            self.begun = True
            return ["BEGIN"]
        choice = rng.random()
        if choice < 0.15:
            self.begun, self.savepoints = False, []
            return [rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])]
        if choice < 0.3:
            self.savepoints.append(f"s{len(self.savepoints)}")
            return [f"SAVEPOINT {self.savepoints[-1]}"]
        if choice < 0.45 and self.savepoints:
            # Those behind it are gone with it.
            del self.savepoints[rng.randrange(len(self.savepoints)) + 1 :]
            return [f"ROLLBACK TO {self.savepoints[-1]}"]
        if choice < 0.5 and self.savepoints:
            return [f"RELEASE {self.savepoints.pop()}"]
        return [self._change()]


def settle(sql: str, folder: Path) -> list[str]:
    """What a line is to the host: an open attaches the other database, too."""
    if not sql.startswith(".open"):
        return [sql]
    return [
        sql,
        f"ATTACH '{folder}/1.db' AS other",
        "PRAGMA journal_mode=WAL",
        "PRAGMA other.journal_mode=WAL",
        "PRAGMA cache_size=5",
        "PRAGMA other.cache_size=5",
    ]


def run_and_kill(host: Path, folder: Path, twin: Twin, rng: random.Random, steps: int) -> None:
    databases = [folder / "0.db", folder / "1.db"]
    with shell(host, folder) as running:
        for line in settle(".open 0.db", folder):
            running.tell(line)
        for schema in ("main", "other"):
            create = f"CREATE TABLE IF NOT EXISTS {schema}.t(i INTEGER PRIMARY KEY, x)"
            running.tell(create)
            twin.run(create)
        work = Workload(rng)
        for _ in range(steps):
            for sql in work.next():
                for line in settle(sql, folder):
                    running.tell(line)
                twin.run(sql)
        # The last one is answered, or it is in flight.
        possible = [twin.committed()]
        (last, *_) = work.next()
        if rng.random() < 0.5 and not last.startswith("."):
            running.send(last)
            time.sleep(rng.choice([0, 0, 0.001, 0.003]))
            running.kill()
            twin.run(last)
            possible.append(twin.committed())
    recover(host, folder)
    for at, path in enumerate(databases):
        assert dump(path) in [each[at] for each in possible], f"{path.name} differs"
    twin.start_at(databases)


def check_seed(host: Path, seed: int, kills: int, steps: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "databases"
        folder.mkdir()
        twin = Twin(Path(name))
        for _ in range(kills):
            run_and_kill(host, folder, twin, rng, rng.randrange(steps))


SEEDS = int(os.environ.get("EPOCHWAL_SQL_SEEDS", "3"))


@pytest.mark.parametrize("seed", range(1, 1 + SEEDS))
def test_any_sql_comes_back_as_sqlite_itself_has_it(host: Path, seed: int) -> None:
    check_seed(host, seed, kills=3, steps=120)


@pytest.fixture(scope="session")
def odd_commits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that is SQLite to the VFS, and none of the best."""
    program = tmp_path_factory.mktemp("odd") / "odd_commits"
    host = ROOT / "examples" / "sqlite"
    sources = [ROOT / "tests" / "cross" / "odd_commits.c"]
    sources += [host / name for name in ("vfs.c", "wal.c", "recover.c")]
    library = os.environ.get("EPOCHWAL_LIB_DIR", str(ROOT / "build" / "lib"))
    sqlite = ROOT / "build" / "sqlite"
    compiler = os.environ.get("CC", "cc").split()
    flags = ["-std=c11", "-D_XOPEN_SOURCE=700", f"-I{ROOT / 'include'}", f"-I{host}"]
    flags += [f"-I{sqlite}", "-o", str(program), f"-L{library}", f"-Wl,-rpath,{library}"]
    objects = [*sources, sqlite / "sqlite3-mt.o"]
    libraries = ["-lepochwal", "-pthread", "-lm"]
    subprocess.run([*compiler, *flags, *objects, *libraries], check=True)
    return program


@pytest.mark.parametrize(
    ("commits", "synced"),
    [
        ("good sync good sync", [True, True]),
        ("good sync bad sync", [True, False]),
        # Behind one that was not synced, as under synchronous=NORMAL.
        ("good bad sync", [False]),
        ("good bad sync sync", [False, False]),
    ],
)
def test_a_commit_that_recovery_would_not_find_is_refused(
    odd_commits: Path, folder: Path, commits: str, synced: list[bool]
) -> None:
    done = subprocess.run(
        [odd_commits, folder, *commits.split()], capture_output=True, text=True, check=True
    )
    assert [line == "0" for line in done.stdout.split()] == synced


def test_no_commit_is_padded(host: Path, folder: Path) -> None:
    # On a disk that may harm what lies beside an overwritten byte SQLite repeats
    # the last page of a commit, and syncs in the middle of it. This -wal is no file.
    with shell(host, folder) as running:
        for name, psow in [("one", 0), ("two", 1)]:
            running.tell(f"ATTACH 'file:{folder}/{name}.db?psow={psow}' AS {name}")
            running.tell(f"PRAGMA {name}.journal_mode=WAL")
            running.tell(f"CREATE TABLE {name}.t(x)")
        frames = [
            running.tell(f"PRAGMA {name}.wal_checkpoint(PASSIVE)") for name in ("one", "two")
        ]
        assert frames[0] == frames[1]


@pytest.fixture(scope="session")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("failing") / "failing_disk.so"
    source = ROOT / "tests" / "cross" / "failing_disk.c"
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
    return library


class Disk:
    """Fails where it is told to."""

    def __init__(self, library: Path, gate: Path) -> None:
        self.gate = gate
        self.environment = {"LD_PRELOAD": str(library), "FAILING_DISK": str(gate)}

    @contextlib.contextmanager
    def fails(self, call: str, error: int, pattern: str) -> Iterator[None]:
        self.gate.write_text(f"{call} {error} {pattern}\n")
        try:
            yield
        finally:
            self.gate.unlink()


@pytest.fixture
def disk(failing_disk: Path, tmp_path: Path) -> Disk:
    return Disk(failing_disk, tmp_path / "gate")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "databases"
    path.mkdir()
    return path


def begin(running: Shell) -> None:
    """Three rows in WAL mode."""
    running.tell("PRAGMA journal_mode=WAL")
    running.tell("CREATE TABLE t(x)")
    for x in range(3):
        running.tell(f"INSERT INTO t VALUES ({x})")


def rows(host: Path, folder: Path) -> list[tuple[int]]:
    """What recovery brings back, read without the VFS."""
    recover(host, folder)
    with contextlib.closing(sqlite3.connect(folder / "0.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return db.execute("SELECT x FROM t ORDER BY 1").fetchall()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_commit_that_the_log_refused_ends_its_database(
    host: Path, folder: Path, disk: Disk, error: int
) -> None:
    with shell(host, folder, **disk.environment) as running:
        running.tell("PRAGMA wal_autocheckpoint=0")
        begin(running)
        with disk.fails("write", error, "*commits-wal-seg*"), pytest.raises(SqlError):
            running.tell("INSERT INTO t VALUES (3)")
        # The disk is well again; what is in the log nobody knows.
        with pytest.raises(SqlError):
            running.tell("INSERT INTO t VALUES (4)")
        assert running.tell("SELECT x FROM t ORDER BY 1") == ["0", "1", "2"]
        with pytest.raises(SqlError):
            running.tell("PRAGMA wal_checkpoint(TRUNCATE)")
        with pytest.raises(SqlError, match="unable to open"):
            running.tell(".open 0.db")
    # As a whole or not at all.
    assert rows(host, folder) in ([(0,), (1,), (2,)], [(0,), (1,), (2,), (3,)])


def test_another_database_goes_on_beside_one_whose_file_failed(
    host: Path, folder: Path, disk: Disk
) -> None:
    with shell(host, folder, **disk.environment) as running:
        begin(running)
        running.tell(f"ATTACH '{folder}/1.db' AS other")
        running.tell("PRAGMA other.journal_mode=WAL")
        running.tell("CREATE TABLE other.u(x)")
        with disk.fails("sync", errno.EIO, "*/0.db"), pytest.raises(SqlError):
            running.tell("PRAGMA main.wal_checkpoint(FULL)")
        # A second sync that succeeds would prove nothing.
        with pytest.raises(SqlError):
            running.tell("PRAGMA main.wal_checkpoint(FULL)")
        running.tell("INSERT INTO other.u VALUES (7)")
        running.tell("PRAGMA other.wal_checkpoint(FULL)")
    assert rows(host, folder) == [(0,), (1,), (2,)]
    with contextlib.closing(sqlite3.connect(folder / "1.db")) as db:
        assert db.execute("SELECT * FROM u").fetchall() == [(7,)]


def test_a_failed_sync_at_a_close_keeps_the_pages_in_the_log(
    host: Path, folder: Path, disk: Disk
) -> None:
    with shell(host, folder, **disk.environment) as running:
        begin(running)
        # SQLite then syncs nothing by itself, and the close of the VFS is the first.
        running.tell("PRAGMA synchronous=OFF")
        running.tell("INSERT INTO t VALUES (3)")
        with disk.fails("sync", errno.EIO, "*/0.db"):
            running.tell(".close")
        with pytest.raises(SqlError, match="unable to open"):
            running.tell(".open 0.db")
    # What the kernel dropped is not in the file.
    shutil.copyfile("/dev/null", folder / "0.db")
    assert rows(host, folder) == [(0,), (1,), (2,), (3,)]


def test_no_commit_counts_before_the_folder_names_its_database(
    host: Path, folder: Path, disk: Disk
) -> None:
    with shell(host, folder, **disk.environment) as running:
        begin(running)
        # The log itself needs no other name in it for this.
        with disk.fails("sync", errno.EIO, "*/databases"):
            running.tell("INSERT INTO t VALUES (3)")
            running.tell(f"ATTACH '{folder}/1.db' AS other")
            running.tell("PRAGMA other.journal_mode=WAL")
            with pytest.raises(SqlError):
                running.tell("CREATE TABLE other.t(x)")
    assert rows(host, folder) == [(0,), (1,), (2,), (3,)]
