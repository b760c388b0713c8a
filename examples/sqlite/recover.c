/* recover.c: brings the databases of a folder up to date with their log.
 *
 * Every write to a database file in WAL mode copies pages that are in the log
 * already, so writing the log's pages again, in their order, ends in the state
 * after the last transaction, however far SQLite's own checkpoint had come.
 */
#include "vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  char name[NAME_BYTES];
  uint64_t closed_seq; /* batches up to this one are in the file */
  uint32_t page_size;  /* 0: no transaction above closed_seq */
  uint32_t pages;      /* size after the last transaction */
  int fd;
} target;

typedef struct {
  target *all;
  size_t count;
} targets;

static ewal_status fail(ewal_error *error, ewal_status code, const char *name,
                        const char *why) {
  error->code = code;
  error->os_errno = code == EWAL_E_IO ? errno : 0;
  snprintf(error->message, sizeof error->message, "%.100s: %s", name, why);
  return code;
}

static target *find(const targets *t, const ewal_slice *name) {
  size_t i;
  for (i = 0; i < t->count; i++)
    if (strlen(t->all[i].name) == name->len &&
        memcmp(t->all[i].name, name->data, name->len) == 0)
      return &t->all[i];
  return NULL;
}

/* A name that could lead out of the folder was not written by the VFS. */
static int good_name(const ewal_slice *name) {
  return name->len > 0 && name->len < NAME_BYTES &&
         memchr(name->data, '/', name->len) == NULL &&
         memchr(name->data, 0, name->len) == NULL;
}

static target *find_or_add(targets *t, const ewal_slice *name) {
  target *new_all, *new;
  target *known = find(t, name);
  if (known != NULL)
    return known;
  new_all = realloc(t->all, (t->count + 1) * sizeof *new_all);
  if (new_all == NULL)
    return NULL;
  t->all = new_all;
  new = &t->all[t->count++];
  memset(new, 0, sizeof *new);
  memcpy(new->name, name->data, name->len);
  new->fd = -1;
  return new;
}

/* The first reading: what there is for whom, and that all of it is whole. */
static ewal_status survey(targets *t, const ewal_recovered_batch *batch,
                          ewal_error *error) {
  const ewal_frame *last = &batch->frames[batch->frame_count - 1];
  target *db;
  size_t i;
  if (!good_name(&batch->metadata))
    return fail(error, EWAL_E_FORMAT, "log", "a batch without a database's name");
  if ((db = find_or_add(t, &batch->metadata)) == NULL)
    return fail(error, EWAL_E_NO_MEMORY, "log", "no memory");
  if (batch->txn_epoch == BATCH_CLOSED) {
    db->closed_seq = batch->commit_seq;
    db->page_size = 0;
    return EWAL_OK;
  }
  if (batch->txn_epoch != BATCH_PAGES || last->db_size_if_commit == 0)
    return fail(error, EWAL_E_FORMAT, db->name, "a batch of an unknown kind");
  db->page_size = (uint32_t)last->data.len;
  db->pages = last->db_size_if_commit;
  for (i = 0; i < batch->frame_count; i++)
    if (batch->frames[i].data.len != db->page_size)
      return fail(error, EWAL_E_FORMAT, db->name, "pages of different sizes");
  return EWAL_OK;
}

static ewal_status write_page(const target *db, const ewal_frame *frame,
                              ewal_error *error) {
  const char *from = frame->data.data;
  size_t left = frame->data.len;
  off_t at = (off_t)(frame->page_number - 1) * (off_t)frame->data.len;
  while (left > 0) {
    ssize_t n = pwrite(db->fd, from, left, at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail(error, EWAL_E_IO, db->name, "write failed");
    from += n;
    at += n;
    left -= (size_t)n;
  }
  return EWAL_OK;
}

static ewal_status apply(targets *t, const ewal_recovered_batch *batch,
                         recovered *out, ewal_error *error) {
  const target *db = find(t, &batch->metadata);
  size_t i;
  if (db == NULL || db->fd < 0 || batch->commit_seq <= db->closed_seq)
    return EWAL_OK;
  for (i = 0; i < batch->frame_count; i++) {
    ewal_status status = write_page(db, &batch->frames[i], error);
    if (status != EWAL_OK)
      return status;
  }
  out->transactions++;
  out->pages += batch->frame_count;
  return EWAL_OK;
}

/* Reads the log once; without `out` it only surveys. */
static ewal_status read_log(const char *log, targets *t, recovered *out,
                            ewal_error *error) {
  ewal_recovery stream;
  ewal_recovered_batch batch;
  ewal_status status = ewal_recovery_open(log, NULL, &stream, error);
  if (status != EWAL_OK)
    return status;
  while ((status = ewal_recovery_next(stream, &batch, error)) == EWAL_OK) {
    status = out == NULL ? survey(t, &batch, error) : apply(t, &batch, out, error);
    if (status != EWAL_OK)
      break;
  }
  ewal_recovery_close(stream);
  return status == EWAL_END ? EWAL_OK : status;
}

static ewal_status open_target(const char *folder, target *db, ewal_error *error) {
  char path[4096];
  struct stat wal;
  int n = snprintf(path, sizeof path, "%s/%s-wal", folder, db->name);
  if (n < 0 || (size_t)n >= sizeof path)
    return fail(error, EWAL_E_INVALID, db->name, "the path is too long");
  /* The VFS leaves no such file. SQLite without it has been at work here since
   * the crash, on a file that lacked what the log holds. */
  if (stat(path, &wal) == 0 && wal.st_size > 0)
    return fail(error, EWAL_E_EXISTS, db->name,
                "a -wal is there, written by SQLite without this VFS");
  path[n - 4] = 0;
  db->fd = open(path, O_RDWR | O_CLOEXEC);
  if (db->fd < 0)
    return fail(error, EWAL_E_IO, db->name, "can't be opened");
  return EWAL_OK;
}

static ewal_status finish(const target *db, ewal_error *error) {
  if (ftruncate(db->fd, (off_t)db->pages * db->page_size) != 0 || fsync(db->fd) != 0)
    return fail(error, EWAL_E_IO, db->name, "truncate or sync failed");
  return EWAL_OK;
}

ewal_status recover_databases(const char *folder, const char *log, recovered *out,
                              ewal_error *error) {
  targets t = {NULL, 0};
  size_t i;
  ewal_status status = read_log(log, &t, NULL, error);
  memset(out, 0, sizeof *out);
  for (i = 0; i < t.count && status == EWAL_OK; i++)
    if (t.all[i].page_size != 0)
      status = open_target(folder, &t.all[i], error);
  if (status == EWAL_OK)
    status = read_log(log, &t, out, error);
  for (i = 0; i < t.count; i++) {
    if (t.all[i].fd < 0)
      continue;
    if (status == EWAL_OK && (status = finish(&t.all[i], error)) == EWAL_OK)
      out->databases++;
    close(t.all[i].fd);
  }
  free(t.all);
  return status;
}
