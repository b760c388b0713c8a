/* replica NAME ADDRESS: a replica in C; wire.py describes what it speaks.
 *
 * Its database is NAME.sqlite, its spool lies beside NAME. It asks the primary
 * that listens at ADDRESS for what follows, makes that durable in its own spool,
 * applies it to its database, and says so. Where the primary dies it asks again;
 * it ends when a primary says that this was all.
 */
#define _POSIX_C_SOURCE 200809L
#include <epochwal.h>
#include <sqlite3.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PULL_AT_MOST 200
#define TABLES_MOST 16

static void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("replica: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

/* The wire */

static void put(unsigned char *at, uint64_t value, int bytes) {
  while (bytes-- > 0) {
    *at++ = (unsigned char)value;
    value >>= 8;
  }
}

static uint64_t get(const unsigned char *at, int bytes) {
  uint64_t value = 0;
  while (bytes-- > 0)
    value = value << 8 | at[bytes];
  return value;
}

/* A message as it was received; its memory is used for the next one. */
typedef struct {
  char kind;
  unsigned char *body;
  size_t len, room;
} message;

/* 0 once the primary is gone, as are those below. */
static int read_all(int from, unsigned char *to, size_t len) {
  while (len > 0) {
    ssize_t n = recv(from, to, len, 0);
    if (n <= 0)
      return 0;
    to += n;
    len -= (size_t)n;
  }
  return 1;
}

static int send_message(int to, char kind, const unsigned char *body, size_t len) {
  unsigned char whole[64];
  put(whole, 1 + len, 4);
  whole[4] = (unsigned char)kind;
  memcpy(whole + 5, body, len);
  return send(to, whole, 5 + len, MSG_NOSIGNAL) == (ssize_t)(5 + len);
}

static int receive(int from, message *into) {
  unsigned char head[5];
  if (!read_all(from, head, sizeof head))
    return 0;
  into->kind = (char)head[4];
  into->len = (size_t)get(head, 4) - 1;
  if (into->len > into->room) {
    into->room = into->len;
    into->body = realloc(into->body, into->room);
    if (into->body == NULL)
      die("no memory for a message of %zu bytes", into->len);
  }
  return read_all(from, into->body, into->len);
}

/* The database */

typedef struct {
  char name[64];
  sqlite3_stmt *delete_row, *insert_row;
} table;

typedef struct {
  sqlite3 *db;
  /* A record's changes; the values of a row or key; where we are. */
  sqlite3_stmt *changes, *values, *set_position;
  table tables[TABLES_MOST];
  size_t table_count;
  /* LSN and term of the last record that is applied. */
  uint64_t lsn, term;
} database;

/* JSON is taken apart by SQLite. A value comes in the first column, but for a
 * real, which comes as text in the second. */
#define CHANGES                                                                       \
  "SELECT json_extract(value, '$.schema'), json_extract(value, '$.table'),"           \
  " json_extract(value, '$.delete'), json_extract(value, '$.insert') FROM json_each(?1)"
#define VALUES                                                                        \
  "SELECT CASE type WHEN 'object' THEN unhex(json_extract(value, '$.blob')) ELSE atom END," \
  " CASE type WHEN 'object' THEN json_extract(value, '$.real') END FROM json_each(?1)"
#define STATEMENTS                                                                    \
  "SELECT group_concat('\"' || name || '\" = ?' || pk, ' AND ') FILTER (WHERE pk > 0)," \
  " group_concat('?' || (cid + 1)) FROM pragma_table_info(?1)"

static void check(sqlite3 *db, int done, int expected) {
  if (done != expected)
    die("SQLite: %s", sqlite3_errmsg(db));
}

static void execute(sqlite3 *db, const char *sql) {
  check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  check(db, sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  return statement;
}

static void bind_text(sqlite3_stmt *statement, const char *text, size_t len) {
  check(sqlite3_db_handle(statement),
        sqlite3_bind_text64(statement, 1, text, len, SQLITE_STATIC, SQLITE_UTF8), SQLITE_OK);
}

static const char *text_of(sqlite3_stmt *row, int column) {
  return (const char *)sqlite3_column_text(row, column);
}

static void database_open(database *d, const char *path) {
  sqlite3_stmt *at;
  memset(d, 0, sizeof *d);
  check(d->db, sqlite3_open(path, &d->db), SQLITE_OK);
  /* What it loses in a crash is still in the spool. */
  execute(d->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE;"
                 "CREATE TABLE IF NOT EXISTS"
                 " position(lsn INTEGER NOT NULL, term INTEGER NOT NULL);"
                 "INSERT INTO position SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM position);"
                 "COMMIT");
  at = prepare(d->db, "SELECT lsn, term FROM position");
  check(d->db, sqlite3_step(at), SQLITE_ROW);
  d->lsn = (uint64_t)sqlite3_column_int64(at, 0);
  d->term = (uint64_t)sqlite3_column_int64(at, 1);
  sqlite3_finalize(at);
  d->changes = prepare(d->db, CHANGES);
  d->values = prepare(d->db, VALUES);
  d->set_position = prepare(d->db, "UPDATE position SET lsn = ?1, term = ?2");
}

static void database_close(database *d) {
  while (d->table_count-- > 0) {
    sqlite3_finalize(d->tables[d->table_count].delete_row);
    sqlite3_finalize(d->tables[d->table_count].insert_row);
  }
  sqlite3_finalize(d->changes);
  sqlite3_finalize(d->values);
  sqlite3_finalize(d->set_position);
  check(d->db, sqlite3_close(d->db), SQLITE_OK);
}

static sqlite3_stmt *prepare_for(sqlite3 *db, const char *format, const char *name,
                                 const char *rest) {
  char *sql = sqlite3_mprintf(format, name, rest);
  sqlite3_stmt *statement = prepare(db, sql);
  sqlite3_free(sql);
  return statement;
}

static table *table_named(database *d, const char *name) {
  sqlite3_stmt *columns;
  table *t;
  size_t i;
  for (i = 0; i < d->table_count; i++)
    if (strcmp(d->tables[i].name, name) == 0)
      return &d->tables[i];
  if (d->table_count == TABLES_MOST || strlen(name) >= sizeof t->name)
    die("no room for table %s", name);
  t = &d->tables[d->table_count++];
  strcpy(t->name, name);
  columns = prepare(d->db, STATEMENTS);
  bind_text(columns, name, strlen(name));
  check(d->db, sqlite3_step(columns), SQLITE_ROW);
  t->delete_row =
      prepare_for(d->db, "DELETE FROM \"%w\" WHERE %s", name, text_of(columns, 0));
  t->insert_row =
      prepare_for(d->db, "INSERT INTO \"%w\" VALUES(%s)", name, text_of(columns, 1));
  sqlite3_finalize(columns);
  return t;
}

/* Runs a statement with the values of a JSON array. */
static void run_with(database *d, sqlite3_stmt *statement, const char *array) {
  int n = 0;
  bind_text(d->values, array, strlen(array));
  while (sqlite3_step(d->values) == SQLITE_ROW) {
    n++;
    if (sqlite3_column_type(d->values, 1) != SQLITE_NULL)
      sqlite3_bind_double(statement, n, strtod(text_of(d->values, 1), NULL));
    else
      sqlite3_bind_value(statement, n, sqlite3_column_value(d->values, 0));
  }
  check(d->db, sqlite3_reset(d->values), SQLITE_OK);
  check(d->db, sqlite3_step(statement), SQLITE_DONE);
  sqlite3_reset(statement);
  if (sqlite3_changes(d->db) != 1)
    die("the row is not there: %s", array);
}

static void apply_record(database *d, const ewal_record *record) {
  bind_text(d->changes, record->payload.data, record->payload.len);
  while (sqlite3_step(d->changes) == SQLITE_ROW) {
    const char *schema = text_of(d->changes, 0);
    const char *gone = text_of(d->changes, 2), *come = text_of(d->changes, 3);
    table *t;
    if (schema != NULL) {
      execute(d->db, schema);
      continue;
    }
    t = table_named(d, text_of(d->changes, 1));
    if (gone != NULL)
      run_with(d, t->delete_row, gone);
    if (come != NULL)
      run_with(d, t->insert_row, come);
  }
  check(d->db, sqlite3_reset(d->changes), SQLITE_OK);
}

/* Applies records and notes the last one, in one transaction. */
static void apply(database *d, const ewal_record *records, size_t n) {
  const ewal_record *last = &records[n - 1];
  execute(d->db, "BEGIN");
  for (; records <= last; records++)
    apply_record(d, records);
  sqlite3_bind_int64(d->set_position, 1, (sqlite3_int64)last->lsn);
  sqlite3_bind_int64(d->set_position, 2, (sqlite3_int64)last->term);
  check(d->db, sqlite3_step(d->set_position), SQLITE_DONE);
  sqlite3_reset(d->set_position);
  execute(d->db, "COMMIT");
  d->lsn = last->lsn;
  d->term = last->term;
}

/* The replica */

typedef struct {
  const char *name;
  char path[256];
  ewal_spool spool;
  database database;
} replica;

static void must(ewal_status status, const ewal_error *error) {
  if (status != EWAL_OK)
    die("%s: %s", ewal_status_name(status), error->message);
}

/* Applies what is durable and was not applied when it, or its primary, died. */
static void catch_up(replica *r) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t end;
  must(ewal_spool_bounds(r->spool, NULL, &end, NULL), &error);
  while (r->database.lsn < end) {
    ewal_records records;
    const ewal_record *first;
    size_t n;
    must(ewal_spool_read_since(r->spool, r->database.lsn, PULL_AT_MOST, 1 << 20, &records,
                               &error),
         &error);
    must(ewal_records_get(records, &first, &n), &error);
    apply(&r->database, first, n);
    ewal_records_release(records);
  }
}

static void replica_open(replica *r, const char *name) {
  ewal_error error = EWAL_ERROR_INIT;
  r->name = name;
  if (snprintf(r->path, sizeof r->path, "%s.sqlite", name) >= (int)sizeof r->path)
    die("the name is too long");
  must(ewal_spool_open(name, NULL, &r->spool, &error), &error);
  database_open(&r->database, r->path);
}

static void replica_close(replica *r) {
  ewal_error error = EWAL_ERROR_INIT;
  database_close(&r->database);
  must(ewal_spool_close(r->spool, -1, &error), &error);
}

/* Begins anew from a copy of the primary's database. */
static void load(replica *r, const unsigned char *copy, size_t len) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t end;
  char fresh[sizeof r->path + 4];
  FILE *file;
  sprintf(fresh, "%s.new", r->path);
  file = fopen(fresh, "wb");
  if (file == NULL || fwrite(copy, 1, len, file) != len || fflush(file) != 0 ||
      fsync(fileno(file)) != 0 || fclose(file) != 0)
    die("can't write %s", fresh);
  database_close(&r->database); /* takes its -wal file along */
  if (rename(fresh, r->path) != 0)
    die("can't rename %s", fresh);
  database_open(&r->database, r->path);
  must(ewal_spool_bounds(r->spool, NULL, &end, NULL), &error);
  must(ewal_spool_prune_through(r->spool, end, NULL, &error), &error);
}

static int say_hello(replica *r, int primary) {
  unsigned char body[59];
  size_t len = strlen(r->name);
  if (len > sizeof body - 16)
    die("the name is too long");
  put(body, r->database.lsn, 8);
  put(body + 8, r->database.term, 8);
  memcpy(body + 16, r->name, len);
  return send_message(primary, 'H', body, 16 + len);
}

static int acknowledge(replica *r, int primary, uint64_t durable) {
  unsigned char body[24];
  put(body, durable, 8);
  put(body + 8, durable, 8);
  put(body + 16, r->database.lsn, 8);
  return send_message(primary, 'A', body, sizeof body);
}

/* Makes records durable, then applies them; acknowledges each step. */
static int take(replica *r, int primary, const message *from) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record records[PULL_AT_MOST];
  size_t n = 0, at = 0;
  while (at < from->len && n < PULL_AT_MOST) {
    ewal_record *record = &records[n++];
    record->term = get(from->body + at, 8);
    record->lsn = get(from->body + at + 8, 8);
    record->timestamp_ms = get(from->body + at + 16, 8);
    record->payload.len = (size_t)get(from->body + at + 24, 4);
    record->payload.data = from->body + at + 28;
    at += 28 + record->payload.len;
  }
  must(ewal_spool_append(r->spool, records, n, -1, &error), &error);
  if (!acknowledge(r, primary, records[n - 1].lsn))
    return 0;
  apply(&r->database, records, n);
  return acknowledge(r, primary, r->database.lsn);
}

/* Takes what one primary has; 0 where it is gone before it said that this was
 * all. */
static int follow(replica *r, int primary, message *m) {
  unsigned char most[4];
  catch_up(r);
  if (!say_hello(r, primary) || !receive(primary, m))
    return 0;
  if (m->kind == 'S')
    load(r, m->body + 8, m->len - 8);
  if (get(m->body, 8) != r->database.lsn)
    die("the primary goes on from elsewhere");
  if (!acknowledge(r, primary, r->database.lsn))
    return 0;
  put(most, PULL_AT_MOST, 4);
  while (send_message(primary, 'P', most, sizeof most) && receive(primary, m)) {
    if (m->kind == 'E')
      return 1;
    if (!take(r, primary, m))
      return 0;
  }
  return 0;
}

int main(int argc, char **argv) {
  static replica r;
  struct sockaddr_un address = {AF_UNIX, {0}};
  message m = {0, NULL, 0, 0};
  int done = 0;

  if (argc != 3 || strlen(argv[2]) >= sizeof address.sun_path) {
    fprintf(stderr, "usage: replica NAME ADDRESS\n");
    return 2;
  }
  strcpy(address.sun_path, argv[2]);
  replica_open(&r, argv[1]);
  /* Where a primary died, the next one is asked. */
  while (!done) {
    int primary = socket(AF_UNIX, SOCK_STREAM, 0);
    if (primary < 0 || connect(primary, (struct sockaddr *)&address, sizeof address) != 0)
      die("can't connect to %s", argv[2]);
    done = follow(&r, primary, &m);
    close(primary);
  }
  replica_close(&r);
  free(m.body);
  return 0;
}
