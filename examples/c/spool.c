/* spool DB LSN: appends each line of the standard input to the spool of DB, and
 * prints the records above LSN, as a replica that has all up to there asks for
 * them. Run it again and the LSNs go on.
 *
 *     cc spool.c $(pkg-config --cflags --libs epochwal) -o spool
 */
#include <epochwal.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const ewal_error *error) {
  fprintf(stderr, "spool: %s: %s: %s\n", what, ewal_status_name(error->code),
          error->message);
  exit(1);
}

static void append_lines(ewal_spool spool) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_record record = {1, 0, 0, {NULL, 0}}; /* of term 1, now */
  char line[4096];

  ewal_spool_bounds(spool, NULL, &record.lsn, NULL);
  while (fgets(line, sizeof line, stdin) != NULL) {
    record.lsn++;
    record.payload.data = line;
    record.payload.len = strcspn(line, "\n");
    /* Copied before it returns, and not durable yet: ewal_spool_append would
     * wait for that. */
    if (ewal_spool_submit(spool, &record, 1, NULL, &error) != EWAL_OK)
      die("submit", &error);
  }
  if (ewal_spool_flush(spool, -1, &error) != EWAL_OK)
    die("flush", &error);
}

static void print_above(ewal_spool spool, uint64_t lsn) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_cursor cursor;
  ewal_records records;
  ewal_status status;

  if (ewal_cursor_open(spool, lsn, &cursor, &error) != EWAL_OK)
    die("cursor", &error);
  /* With a time limit that is not 0 it would wait for what comes. */
  while ((status = ewal_cursor_next(cursor, 100, 1 << 20, 0, &records, &error)) ==
         EWAL_OK) {
    const ewal_record *at;
    size_t n, i;
    ewal_records_get(records, &at, &n);
    for (i = 0; i < n; i++)
      printf("%llu %.*s\n", (unsigned long long)at[i].lsn, (int)at[i].payload.len,
             (const char *)at[i].payload.data);
    ewal_records_release(records);
  }
  /* EWAL_E_WAL_REMOVED: begin anew from a copy, behind error.lsn - 1. */
  if (status != EWAL_TIMEOUT)
    die("read", &error);
  ewal_cursor_close(cursor);
}

int main(int argc, char **argv) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_spool spool;

  if (argc != 3) {
    fprintf(stderr, "usage: spool DB LSN\n");
    return 2;
  }
  if (ewal_spool_open(argv[1], NULL, &spool, &error) != EWAL_OK)
    die("open", &error);
  append_lines(spool);
  print_above(spool, strtoull(argv[2], NULL, 10));
  if (ewal_spool_close(spool, -1, &error) != EWAL_OK)
    die("close", &error);
  return 0;
}
