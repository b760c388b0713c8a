/* host.c: a program with many SQLite databases, each with a thread of its own.
 *
 *     host work FOLDER DATABASES [LAST]      commits (at most LAST in each) and
 *                                            waits to be killed
 *     host recover FOLDER                    after that
 *     host sql FOLDER NAME                   runs what it is told, see below
 *     host bench FOLDER DATABASES MS WAL     WAL: shared (one log) or own (SQLite's)
 *
 * `work` prints "DATABASE N" once commit N of a database is durable. What commit
 * N does is fixed, so that kills.py knows what each database must hold.
 */
#include "vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DATABASES = 256 };

typedef struct {
  const char *folder;
  const char *vfs;
  unsigned number;
  long long last; /* work: the commit to stop at */
  atomic_bool *stop;
  pthread_barrier_t *ready; /* bench: all begin at once */
  unsigned long commits;
} job;

static void die(const char *what, const char *why) {
  fprintf(stderr, "host: %s: %s\n", what, why);
  exit(1);
}

/* Runs SQL, with n for each ?n in it. */
static void run(sqlite3 *db, const char *sql, long long n) {
  char text[1024];
  char *message = NULL;
  char *put = text;
  const char *from = sql;
  const char *mark;
  while ((mark = strstr(from, "?n")) != NULL) {
    put += snprintf(put, sizeof text - (size_t)(put - text), "%.*s%lld",
                    (int)(mark - from), from, n);
    from = mark + 2;
  }
  snprintf(put, sizeof text - (size_t)(put - text), "%s", from);
  if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
    die(text, message != NULL ? message : sqlite3_errmsg(db));
}

static long long number(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  long long value = 0;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
    die(sql, sqlite3_errmsg(db));
  if (sqlite3_step(statement) == SQLITE_ROW)
    value = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return value;
}

/* A connection as the VFS wants it, and the same for SQLite's own WAL. */
static sqlite3 *open_database(const job *j) {
  char path[4096];
  sqlite3 *db;
  snprintf(path, sizeof path, "%s/%u.db", j->folder, j->number);
  if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, j->vfs) !=
      SQLITE_OK)
    die(path, sqlite3_errmsg(db));
  run(db,
      "PRAGMA locking_mode=EXCLUSIVE; PRAGMA auto_vacuum=INCREMENTAL;"
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
      0);
  return db;
}

static const char *const schema =
    "BEGIN;"
    "CREATE TABLE IF NOT EXISTS state(n INTEGER);"
    "INSERT INTO state SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM state);"
    "CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, balance INTEGER);"
    "INSERT OR IGNORE INTO account WITH RECURSIVE c(i) AS"
    " (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 49) SELECT i, 0 FROM c;"
    "CREATE TABLE IF NOT EXISTS journal(n INTEGER PRIMARY KEY, payload TEXT);"
    "CREATE TABLE IF NOT EXISTS bulk(i INTEGER PRIMARY KEY, payload TEXT);"
    "COMMIT";

/* Larger than the page cache: its pages spill into the -wal, and the second
 * statement overwrites them there. */
static const char *const fill =
    "INSERT OR REPLACE INTO bulk WITH RECURSIVE c(i) AS"
    " (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200)"
    " SELECT i, printf('%0900d', ?n) FROM c;"
    "UPDATE bulk SET payload = printf('%0800d', ?n + i)";

/* Commit n. kills.py says the same in Python. */
static void commit(sqlite3 *db, long long n) {
  if (n % 5 == 0) {
    run(db, "BEGIN", n);
    run(db, fill, -n);
    run(db, "UPDATE account SET balance = -1; ROLLBACK", n);
  }
  run(db,
      "BEGIN;"
      "UPDATE state SET n = ?n;"
      "UPDATE account SET balance = balance + ?n WHERE id = ?n % 50;"
      "UPDATE account SET balance = balance - ?n WHERE id = ?n * 7 % 50;"
      "INSERT INTO journal VALUES(?n, printf('%0*d', 1 + ?n * 37 % 2000, ?n));"
      "DELETE FROM journal WHERE n <= ?n - 100",
      n);
  if (n % 7 == 0) {
    run(db, "SAVEPOINT s", n);
    run(db, fill, -n);
    run(db, "DELETE FROM journal; ROLLBACK TO s; RELEASE s", n);
  }
  if (n % 10 == 0)
    run(db, fill, n);
  if (n % 30 == 0)
    run(db, "DELETE FROM bulk; PRAGMA incremental_vacuum", n);
  run(db, "COMMIT", n);
}

/* Different habits, so that the databases hold the log back differently. */
static void take_habits(sqlite3 *db, unsigned number) {
  static const char *const habits[] = {
      "PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=0",
      "PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=20",
      "PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=200",
      "PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=50; PRAGMA synchronous=NORMAL",
      "PRAGMA cache_size=10; PRAGMA wal_autocheckpoint=50; PRAGMA synchronous=OFF",
  };
  run(db, habits[number % 5], 0);
}

/* Under NORMAL and OFF a commit may be lost, but the database stays whole. */
static int promises(unsigned number) { return number % 5 < 3; }

static void *work(void *arg) {
  job *j = arg;
  sqlite3 *db = open_database(j);
  long long n;
  run(db, schema, 0);
  take_habits(db, j->number);
  n = number(db, "SELECT n FROM state");
  while (n < j->last) {
    char line[64];
    int len;
    n++;
    commit(db, n);
    /* What else a host may do, now and then: write without a WAL, empty the -wal,
     * close and open, vacuum. */
    if (n % 25 == 0) {
      run(db, "PRAGMA journal_mode=DELETE", n);
      commit(db, ++n);
      run(db, "PRAGMA journal_mode=WAL", n);
    }
    if (n % 35 == 0)
      run(db, "PRAGMA wal_checkpoint(TRUNCATE)", n);
    if (n % 60 == 0) {
      if (sqlite3_close(db) != SQLITE_OK)
        die("close", sqlite3_errmsg(db));
      db = open_database(j);
      take_habits(db, j->number);
    }
    if (n % 45 == 0)
      run(db, "VACUUM", n);
    len = snprintf(line, sizeof line, "%u %lld\n", j->number, n);
    if (promises(j->number) && write(STDOUT_FILENO, line, (size_t)len) != len)
      die("pipe", "closed");
  }
  for (;;)
    pause();
  return NULL;
}

static int print_row(void *any, int columns, char **values, char **names) {
  int i;
  (void)any;
  (void)names;
  for (i = 0; i < columns; i++)
    printf("%s%s", i > 0 ? "|" : "", values[i] != NULL ? values[i] : "NULL");
  putchar('\n');
  return 0;
}

static sqlite3 *open_named(const char *folder, const char *name) {
  char path[4096];
  sqlite3 *db;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI,
                      EPOCHWAL_VFS) == SQLITE_OK)
    sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
  return db;
}

/* Each line of the standard input is SQL for one database, ".open NAME" for
 * another one, or ".close". Each is answered by its rows and then by a line "ok",
 * or one that begins with "error: ". */
static void sql(const char *folder, const char *name) {
  static char line[65536];
  sqlite3 *db = open_named(folder, name);
  while (fgets(line, sizeof line, stdin) != NULL) {
    int rc;
    line[strcspn(line, "\n")] = 0;
    if (line[0] == '.') {
      sqlite3_close(db);
      db = strncmp(line, ".open ", 6) == 0 ? open_named(folder, line + 6) : NULL;
      rc = db == NULL ? SQLITE_OK : sqlite3_errcode(db);
    } else {
      rc = sqlite3_exec(db, line, print_row, NULL, NULL);
    }
    if (rc == SQLITE_OK)
      puts("ok");
    else
      printf("error: %s\n", sqlite3_errmsg(db));
    fflush(stdout);
  }
  sqlite3_close(db);
}

static void *bench(void *arg) {
  job *j = arg;
  sqlite3 *db = open_database(j);
  sqlite3_stmt *insert;
  run(db, "CREATE TABLE t(i INTEGER PRIMARY KEY, payload BLOB)", 0);
  if (sqlite3_prepare_v2(db, "INSERT INTO t(payload) VALUES(randomblob(100))", -1,
                         &insert, NULL) != SQLITE_OK)
    die("insert", sqlite3_errmsg(db));
  pthread_barrier_wait(j->ready);
  while (!atomic_load(j->stop)) {
    if (sqlite3_step(insert) != SQLITE_DONE)
      die("insert", sqlite3_errmsg(db));
    sqlite3_reset(insert);
    j->commits++;
  }
  sqlite3_finalize(insert);
  sqlite3_close(db);
  return NULL;
}

static void start(const char *folder) {
  ewal_error error = EWAL_ERROR_INIT;
  recovered found;
  if (epochwal_vfs_start(folder, &found, &error) != EWAL_OK)
    die(folder, error.message);
  printf("recovered %llu transactions, %llu pages, into %llu databases\n",
         (unsigned long long)found.transactions, (unsigned long long)found.pages,
         (unsigned long long)found.databases);
  fflush(stdout);
}

static void stop(void) {
  ewal_error error = EWAL_ERROR_INIT;
  if (epochwal_vfs_stop(&error) != EWAL_OK)
    die("close", error.message);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Commits of all threads from when they are ready until the time is up. */
static void measure(job *jobs, unsigned count, long ms, const pthread_t *threads) {
  const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
  unsigned long commits = 0;
  unsigned i;
  double from;
  pthread_barrier_wait(jobs[0].ready);
  from = seconds();
  nanosleep(&pause, NULL);
  atomic_store(jobs[0].stop, true);
  for (i = 0; i < count; i++) {
    pthread_join(threads[i], NULL);
    commits += jobs[i].commits;
  }
  printf("%.0f commits/s\n", (double)commits / (seconds() - from));
}

int main(int argc, char **argv) {
  static job jobs[MAX_DATABASES];
  static pthread_t threads[MAX_DATABASES];
  static atomic_bool stopping;
  static pthread_barrier_t ready;
  const char *command = argc > 2 ? argv[1] : "";
  int benching = strcmp(command, "bench") == 0 && argc == 6;
  int telling = strcmp(command, "sql") == 0 && argc == 4;
  int shared = !benching || strcmp(argv[5], "shared") == 0;
  unsigned count = argc > 3 && !telling ? (unsigned)atoi(argv[3]) : 0;
  long long last = argc == 5 ? atoll(argv[4]) : INT64_MAX;
  unsigned i;

  if (count > MAX_DATABASES ||
      !((strcmp(command, "work") == 0 && (argc == 4 || argc == 5)) || benching || telling ||
        (strcmp(command, "recover") == 0 && argc == 3))) {
    fprintf(stderr, "usage: host work FOLDER DATABASES [LAST] | recover FOLDER |"
                    " sql FOLDER NAME |"
                    " bench FOLDER DATABASES MS shared|own\n");
    return 2;
  }
  if (shared)
    start(argv[2]);
  if (telling) {
    sql(argv[2], argv[3]);
    stop();
    return 0;
  }
  if (pthread_barrier_init(&ready, NULL, count + 1) != 0)
    die("barrier", "can't be made");
  for (i = 0; i < count; i++) {
    jobs[i] = (job){argv[2], shared ? EPOCHWAL_VFS : NULL, i, last, &stopping, &ready, 0};
    if (pthread_create(&threads[i], NULL, benching ? bench : work, &jobs[i]) != 0)
      die("thread", "can't be started");
  }
  if (benching)
    measure(jobs, count, atol(argv[4]), threads);
  else
    for (i = 0; i < count; i++)
      pthread_join(threads[i], NULL);
  if (shared)
    stop();
  return 0;
}
