/* epochwal.h: the C interface of libepochwal.
 *
 * A parallel page log with epoch group commit, for people who write databases.
 * Threads submit the page frames of their transactions, an epoch gathers
 * whatever is staged and becomes durable with one write and one sync, and
 * committers wait for their epoch. After a crash, recovery gives back exactly
 * the committed prefix. Beside it the spool: a durable log of records, for log
 * shipping, and over it the primary, which knows how far its replicas are.
 *
 *     ewal_coordinator wal;
 *     ewal_error error = EWAL_ERROR_INIT;
 *     ewal_frame frame = { 1, 1, { page, 4096 } };
 *     ewal_batch batch = EWAL_BATCH_INIT;
 *     batch.txn_id = 1;
 *     batch.commit_seq = 1;
 *     batch.frames = &frame;
 *     batch.frame_count = 1;
 *     if (ewal_coordinator_open("app.db", NULL, &wal, &error) != EWAL_OK ||
 *         ewal_commit(wal, &batch, -1, NULL, &error) != EWAL_OK)
 *         fprintf(stderr, "%s\n", error.message);
 *     ewal_coordinator_close(wal, -1, NULL);
 *
 * Conventions, for every function:
 *
 * - It gives an ewal_status, unless it only names something: 0 is success,
 *   positive is benign, negative is a failure. Detail goes into an optional
 *   ewal_error of the caller's.
 * - Without success every out-parameter is zeroed; the exceptions are the ticket
 *   of a batch that stays staged (see ewal_commit, and staged_epoch) and what a
 *   commit wait came to (ewal_primary_wait_acks).
 * - Structs that begin with struct_size have an initialiser macro. One that is
 *   smaller than its first version is EWAL_E_INVALID. A larger one, from a
 *   newer header, is taken while the rest is zero, else EWAL_E_ABI. Unknown
 *   flags and unknown values of a choice are EWAL_E_INVALID. Reserved fields are
 *   zero.
 * - Handles are values with a generation. Closing one twice, or using it after
 *   it was closed, is EWAL_E_CLOSED; a null one is EWAL_E_INVALID. A handle
 *   never comes to mean another object.
 * - Time limits are in nanoseconds: 0 polls, negative waits for ever. Signals
 *   do not end a wait.
 * - Paths are bytes that end with NUL, in no particular encoding. Strings are
 *   UTF-8.
 * - In the child of a fork() every inherited handle answers EWAL_E_FORKED, and
 *   touches no file; the child may open others. Records are its own memory, and
 *   a cursor, a recovery or a reader can be closed.
 * - No function may be called from a signal handler, and no thread may be
 *   cancelled (pthread_cancel) inside one.
 *
 * What is said of each:
 *
 * - Ownership: who frees what, and how long what is borrowed lives.
 * - Threads: "any" is any number of them at once, on one handle too.
 * - Blocking: "never" is no wait for the disk, for a callback or for another
 *   call that waits.
 * - Errors: which there are, by the end of their names. Any function may give
 *   INVALID for a handle or a pointer that is NULL, NO_MEMORY, and PANIC.
 *
 * Written by `cargo run -p header` from src/ffi; change it there.
 */

#ifndef EPOCHWAL_H
#define EPOCHWAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of this header; ewal_version gives the library's. */
#define EWAL_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/* ==========================================================================
 * Version
 *
 * A program compiled with this header runs with any library of the same SONAME that
 * is not older.
 * ========================================================================== */

// Version of the binary interface that this header describes. It rises
// when something is added; what is there keeps its meaning for as long as the
// library's SONAME (`libepochwal.so.0`) stays.
#define EWAL_ABI_VERSION 1

// The library's version, such as "0.1.0".
//
// Ownership: a static string, never freed.
// Threads: any.
// Blocking: never.
// Errors: none.
const char *ewal_version(void);

// The EWAL_ABI_VERSION that the loaded library was built with. A program
// that may meet an older library compares it with its own.
//
// Ownership: nothing.
// Threads: any.
// Blocking: never.
// Errors: none.
uint32_t ewal_abi_version(void);

/* ==========================================================================
 * Status and errors
 *
 * What to do about a status depends on its kind:
 *
 *     call again            TIMEOUT, BUSY; NO_SPACE, NO_MEMORY once there is some
 *     mend the call         INVALID, TOO_LARGE, ABI, ORDER, DEADLOCK, CLOSED,
 *                           NOT_FOUND, EXISTS, UNSUPPORTED
 *     open anew, and look   FAILED, OUTCOME_UNKNOWN, PANIC, FORKED
 *     tell who asked        FENCED, WAL_REMOVED, AHEAD, DIVERGED
 *     ask an operator       IO, CORRUPT, FORMAT, LOCKED
 * ========================================================================== */

// The outcome of a call: 0 is success, positive is benign, negative is a
// failure. Plain integers, so that a value which a later library adds is
// nothing worse than unknown.
typedef int32_t ewal_status;

// It worked.
#define EWAL_OK 0

// The time is up; what was waited for is still pending.
#define EWAL_TIMEOUT 1

// The end of a stream.
#define EWAL_END 2

// Full, or in use by another thread; the call would have had to block.
#define EWAL_BUSY 3

// An argument or a field is out of range; the message names it.
#define EWAL_E_INVALID (-1)

// The system gave no memory.
#define EWAL_E_NO_MEMORY (-2)

// A call to the file system failed; see os_errno.
#define EWAL_E_IO (-3)

// Bytes of a known format version are wrong.
#define EWAL_E_CORRUPT (-4)

// Another writer has the database.
#define EWAL_E_LOCKED (-5)

// The handle is closed. Says nothing about durability.
#define EWAL_E_CLOSED (-6)

// The handle belongs to the parent of a fork().
#define EWAL_E_FORKED (-7)

// The platform or the file system lacks what was asked for.
#define EWAL_E_UNSUPPORTED (-8)

// Larger than a limit of the format or of the configuration.
#define EWAL_E_TOO_LARGE (-9)

// No disk space, or the log's configured limit is reached. Heals.
#define EWAL_E_NO_SPACE (-10)

// A struct is larger than this library knows, with fields set in the rest.
#define EWAL_E_ABI (-11)

// A newer format, or a file of something else.
#define EWAL_E_FORMAT (-12)

// There is no such thing.
#define EWAL_E_NOT_FOUND (-13)

// It is there already.
#define EWAL_E_EXISTS (-14)

// An earlier failure is final; only a reopen goes on.
#define EWAL_E_FAILED (-15)

// A sync failed: the epoch may or may not be on the disk.
#define EWAL_E_OUTCOME_UNKNOWN (-16)

// A blocking function was called from inside a callback.
#define EWAL_E_DEADLOCK (-17)

// A sequence or a log position out of order.
#define EWAL_E_ORDER (-18)

// A lower term than the log has seen.
#define EWAL_E_FENCED (-19)

// The records asked for are pruned, or lost in a salvage.
#define EWAL_E_WAL_REMOVED (-20)

// The asker is beyond the end of the log.
#define EWAL_E_AHEAD (-21)

// The asker is on another branch of history.
#define EWAL_E_DIVERGED (-22)

// A defect of the library was caught at its boundary; the handle has failed.
#define EWAL_E_PANIC (-99)

// The name of a status, such as "EWAL_E_CORRUPT"; "EWAL_UNKNOWN" for a
// number that this library does not know.
//
// Ownership: a static string, never freed.
// Threads: any.
// Blocking: never.
// Errors: none.
const char *ewal_status_name(ewal_status status);

// Bytes of `ewal_error.message`, the final NUL included.
#define EWAL_MESSAGE_BYTES 240

// Detail of an outcome, owned by the caller: nothing in it is ever freed.
// Begin with EWAL_ERROR_INIT; one struct serves any number of calls. Every
// function takes NULL instead. A struct_size below sizeof(ewal_error) makes
// the call EWAL_E_INVALID, with nothing done and nothing written to it; 252,
// without what follows the message, is taken too.
typedef struct {
  // sizeof(ewal_error), set by the caller.
  uint32_t struct_size;
  // What the call returned.
  ewal_status code;
  // The operating system's errno where a call to it failed, else 0.
  int32_t os_errno;
  // What was wrong, with file and offset where they are known: UTF-8, cut
  // at a character, ends with NUL; empty after success.
  char message[EWAL_MESSAGE_BYTES];
  // Zero.
  uint32_t reserved;
  // The LSN to go on from, where there is one: the first that can be read
  // (EWAL_E_WAL_REMOVED), the spool's last (EWAL_E_AHEAD, EWAL_E_ORDER,
  // EWAL_E_FENCED), the last one in common (EWAL_E_DIVERGED). Else 0.
  uint64_t lsn;
  // Not 0: what was handed in stays staged although the call failed. Wait
  // for this epoch, and do not hand it in again.
  uint64_t staged_epoch;
} ewal_error;

#define EWAL_ERROR_INIT { sizeof(ewal_error), 0, 0, { 0 }, 0, 0, 0 }

/* ==========================================================================
 * Batches
 *
 * A batch is the frames of one transaction: page images in write order. The
 * caller's memory is copied before a call returns. Where the caller gives the
 * commit sequences (the default), batches that depend on each other or share a
 * page are submitted in the order of their sequences, the one's submit returning
 * before the other's is called.
 * ========================================================================== */

// Bytes somewhere in memory, laid out as struct iovec. `data` may be NULL
// where `len` is 0.
typedef struct {
  // The first byte.
  const void *data;
  // How many there are.
  size_t len;
} ewal_slice;

// One page image. The library copies it before the call returns.
typedef struct {
  // The page's number, from 1.
  uint32_t page_number;
  // Database size in pages on the frame that commits a transaction, else 0.
  uint32_t db_size_if_commit;
  // The image, 1 to 65536 bytes.
  ewal_slice data;
} ewal_frame;

// The frames of one transaction, in write order. Begin with EWAL_BATCH_INIT.
// A batch is durable as a whole or not at all.
typedef struct {
  // sizeof(ewal_batch).
  uint32_t struct_size;
  // Transaction epoch: the second half of the caller's token.
  uint32_t txn_epoch;
  // Transaction id, not 0.
  uint64_t txn_id;
  // Commit sequence, from 1; 0 where the coordinator assigns it.
  uint64_t commit_seq;
  // At least one frame.
  const ewal_frame *frames;
  // How many there are.
  size_t frame_count;
  // Opaque bytes kept with the batch, up to 64 KiB; may be empty.
  ewal_slice metadata;
} ewal_batch;

#define EWAL_BATCH_INIT \
  { sizeof(ewal_batch), 0, 0, 0, NULL, 0, { NULL, 0 } }

// What a staged batch was given. Begin with all zeros or nothing at all; the
// library fills it.
typedef struct {
  // The epoch that the batch becomes durable with; wait for it.
  uint64_t epoch;
  // Its commit sequence, the caller's or the assigned one.
  uint64_t commit_seq;
} ewal_ticket;

/* ==========================================================================
 * Coordinator
 *
 * One writer per database, across processes. Any number of threads share it.
 * ========================================================================== */

// Lane full: take up to 8 MiB more, then block. The default.
#define EWAL_OVERFLOW_SPILL 1

// Lane full: wait for room, up to block_timeout_ns, then EWAL_BUSY.
#define EWAL_OVERFLOW_BLOCK 2

// Lane full: EWAL_BUSY at once.
#define EWAL_OVERFLOW_REFUSE 3

// Sync data and metadata. The default.
#define EWAL_SYNC_FULL 1

// Sync data and what is needed to read it back (fdatasync).
#define EWAL_SYNC_NORMAL 2

// Sync nothing: "durable" means written, and a power cut may lose it.
#define EWAL_SYNC_OFF 3

// Direct where a probe at open shows that it works, else buffered. The default.
#define EWAL_SYNC_STYLE_PROBE 1

// O_DIRECT and O_DSYNC; opening fails where the file system refuses it.
#define EWAL_SYNC_STYLE_DIRECT 2

// Buffered writes and a sync call.
#define EWAL_SYNC_STYLE_BUFFERED 3

// Batches carry their commit sequence, 1 or above. The default.
#define EWAL_SEQUENCING_CALLER 1

// The coordinator assigns dense sequences; batches carry 0.
#define EWAL_SEQUENCING_COORDINATOR 2

// epoch_interval_ns: no ticker; what nobody waits for stays staged until a
// flush.
#define EWAL_EPOCH_INTERVAL_OFF UINT64_MAX

// max_log_bytes: no limit. The default.
#define EWAL_MAX_LOG_BYTES_OFF UINT64_MAX

// flags: where the log is damaged, move the damaged file and all beyond it
// aside and open with a higher epoch, instead of failing.
#define EWAL_OPEN_SALVAGE 1

// The configuration of a coordinator. Begin with
// EWAL_COORDINATOR_OPTIONS_INIT; zero in a field is its default. A value out
// of range is EWAL_E_INVALID, with the field's name in the message.
typedef struct {
  // sizeof(ewal_coordinator_options).
  uint32_t struct_size;
  // EWAL_OPEN_* or 0.
  uint32_t flags;
  // Lanes, 1 to 65535. Default 128.
  uint32_t slot_count;
  // EWAL_OVERFLOW_*.
  uint32_t overflow_policy;
  // EWAL_SYNC_*.
  uint32_t sync_policy;
  // EWAL_SYNC_STYLE_*.
  uint32_t sync_style;
  // 2: native. 1: one file per epoch, for readers of version 1. Default 2.
  uint32_t segment_format;
  // EWAL_SEQUENCING_*.
  uint32_t sequencing;
  // The longest that a batch on which nobody waits stays staged: 1 us to
  // 1 hour, or EWAL_EPOCH_INTERVAL_OFF. Default 10 ms.
  uint64_t epoch_interval_ns;
  // Staged bytes per lane and epoch, 4 KiB to 1 GiB. Default 4 MiB.
  uint64_t buffer_capacity;
  // How long a submit waits for room, up to 1 hour. Default 10 s.
  uint64_t block_timeout_ns;
  // Bytes staged and in flight over all lanes, 64 KiB to 1 GiB. Default
  // 256 MiB.
  uint64_t max_memory;
  // The largest batch, 4 KiB to 1 GiB. Default 64 MiB.
  uint64_t max_batch_bytes;
  // Bytes of log past which a submit is EWAL_E_NO_SPACE until a
  // checkpoint, at least 64 KiB, or EWAL_MAX_LOG_BYTES_OFF. Default off.
  uint64_t max_log_bytes;
  // The largest segment file, 16 KiB to 4 GiB, a multiple of 4096. Default
  // 64 MiB.
  uint64_t segment_size;
  // Identity of the database, checked against the log's. All zeros: none.
  uint8_t database_id[16];
} ewal_coordinator_options;

#define EWAL_COORDINATOR_OPTIONS_INIT \
  { sizeof(ewal_coordinator_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    { 0 } }

// A parallel page log with epoch group commit. A value: copy it freely, and
// share it between threads. 0 is null. Once closed, every copy is closed for
// good, and using it is EWAL_E_CLOSED.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_coordinator;

// Opens the log of the database at db_path for writing. The log lies in
// files beside the database; the database file itself is never touched and
// need not exist. What a crash left behind is kept until it is checkpointed,
// so recover first, or after, as you like.
//
// Ownership: the caller closes *out. Nothing passed in is kept. NULL
//   options are the defaults.
// Threads: any.
// Blocking: reads the log's tail, writes and syncs it.
// Errors: LOCKED where another writer, of this process or another, has
//   the database; CORRUPT or FORMAT for a damaged or newer log (see
//   EWAL_OPEN_SALVAGE); INVALID, IO, NO_SPACE, UNSUPPORTED.
ewal_status ewal_coordinator_open(const char *db_path,
                                  const ewal_coordinator_options *options,
                                  ewal_coordinator *out,
                                  ewal_error *error);

// The process's one coordinator of this database, opened by the first call
// and shared by all further ones; the path is resolved first, so that
// different spellings meet. Each call gives a handle of its own, and closing
// the last one closes the log.
//
// Ownership: as ewal_coordinator_open.
// Threads: any.
// Blocking: as ewal_coordinator_open.
// Errors: those too; INVALID where it is open with other options.
ewal_status ewal_coordinator_for_path(const char *db_path,
                                      const ewal_coordinator_options *options,
                                      ewal_coordinator *out,
                                      ewal_error *error);

// Seals and flushes what is staged, wakes every waiter, runs every callback,
// and closes. Of any number of calls at once, one is told of the outcome and
// the rest get CLOSED. A coordinator that has failed, or finds no disk space,
// closes too: the call then says which epochs are not durable.
//
// Ownership: ends the handle, but for TIMEOUT, DEADLOCK and FORKED, which
//   leave it open.
// Threads: any, also while others use it: their calls end with their own
//   outcome or with CLOSED.
// Blocking: up to timeout_ns (0 polls, negative waits for ever).
// Errors: TIMEOUT, CLOSED, DEADLOCK from inside a callback, FORKED; closed all
//   the same: NO_SPACE, IO, FAILED, OUTCOME_UNKNOWN.
ewal_status ewal_coordinator_close(ewal_coordinator coordinator,
                                   int64_t timeout_ns,
                                   ewal_error *error);

// Stages a batch: copies and checksums it into the calling thread's lane.
// The batch is durable once its epoch is; see ewal_wait. If one submit
// returned before another was called, its epoch is not the later one.
//
// Ownership: everything in the batch may be reused as soon as the call
//   returns. out may be NULL.
// Threads: any; those in different lanes do not wait for each other.
// Blocking: only for room, as overflow_policy and block_timeout_ns say; a
//   batch larger than a lane waits for a flush.
// Errors: nothing is kept, and out is zeroed: INVALID (a field is named),
//   TOO_LARGE, ORDER, BUSY, NO_SPACE, FAILED, CLOSED, FORKED.
ewal_status ewal_submit(ewal_coordinator coordinator,
                        const ewal_batch *batch,
                        ewal_ticket *out,
                        ewal_error *error);

// Submits a batch and waits until it is durable.
//
// Ownership: as ewal_submit.
// Threads: any.
// Blocking: up to timeout_ns (0 polls, negative waits for ever), beside
//   what a submit may wait for room.
// Errors: those of ewal_submit and ewal_wait. A batch that stays staged
//   has its ticket in *out although the call failed: TIMEOUT, NO_SPACE
//   and OUTCOME_UNKNOWN with an epoch that is not 0. Wait for that epoch;
//   do not submit again.
ewal_status ewal_commit(ewal_coordinator coordinator,
                        const ewal_batch *batch,
                        int64_t timeout_ns,
                        ewal_ticket *out,
                        ewal_error *error);

// The path of file `index` that an open with EWAL_OPEN_SALVAGE moved aside,
// counted from 0, as snprintf writes it: cut to cap - 1 bytes and ended with
// NUL; *out_len is its whole length.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND beyond the last one; CLOSED.
ewal_status ewal_coordinator_salvaged(ewal_coordinator coordinator,
                                      size_t index,
                                      char *buf,
                                      size_t cap,
                                      size_t *out_len,
                                      ewal_error *error);

/* ==========================================================================
 * Waiting
 *
 * A batch is durable with its epoch. Wait for it with a thread (ewal_wait,
 * ewal_flush), with a descriptor in an event loop (ewal_event_fd and
 * ewal_request_flush), or with a callback (ewal_on_durable).
 * ========================================================================== */

// Called once an epoch is durable (EWAL_OK), or known not to become so (the
// status that ewal_wait would give). Must return without unwinding: no C++
// exception, no longjmp.
typedef void (*ewal_durable_fn)(void *user, uint64_t epoch, ewal_status status);

// Called exactly once with a user pointer, when the library is done with it.
typedef void (*ewal_drop_fn)(void *user);

// Waits until an epoch is durable. Waiting drives the flush: where none is
// running, the caller's thread writes and syncs the epoch itself.
//
// OK: durable, whatever happened since. TIMEOUT: still pending, wait again.
// NO_SPACE: still pending, may yet become durable. OUTCOME_UNKNOWN: in flight
// when a sync failed. FAILED: it will never be durable.
//
// Ownership: nothing.
// Threads: any number, on any epochs.
// Blocking: up to timeout_ns (0 polls, negative waits for ever).
// Errors: those above; INVALID for an epoch that was never handed out;
//   CLOSED, which says nothing about durability; DEADLOCK from inside a
//   callback; FORKED.
ewal_status ewal_wait(ewal_coordinator coordinator,
                      uint64_t epoch,
                      int64_t timeout_ns,
                      ewal_error *error);

// Seals and waits for all that was staged before the call. *out_epoch is the
// epoch waited for; the durable epoch where nothing was staged; 0 where there
// is none.
//
// Ownership: out_epoch may be NULL.
// Threads: any.
// Blocking: up to timeout_ns (0 polls, negative waits for ever).
// Errors: as ewal_wait.
ewal_status ewal_flush(ewal_coordinator coordinator,
                       int64_t timeout_ns,
                       uint64_t *out_epoch,
                       ewal_error *error);

// The epoch that a batch staged now would get.
//
// Ownership: nothing.
// Threads: any.
// Blocking: never.
// Errors: CLOSED, FORKED, FAILED, INVALID where out is NULL.
ewal_status ewal_current_epoch(ewal_coordinator coordinator, uint64_t *out);

// The highest durable epoch, and whether there is any: after a reopen it is
// the last one on disk.
//
// Ownership: out_any may be NULL.
// Threads: any.
// Blocking: never.
// Errors: CLOSED, FORKED, INVALID where out is NULL.
ewal_status ewal_durable_epoch(ewal_coordinator coordinator,
                               uint64_t *out,
                               bool *out_any);

// A new eventfd that becomes readable at each advance of the durable epoch,
// and after failure and close. Read it to reset it, then ask
// ewal_durable_epoch. It does not start a flush: see ewal_request_flush.
//
// Ownership: the caller closes *out_fd; it is close-on-exec and does not
//   block, and outlives the coordinator.
// Threads: any.
// Blocking: never.
// Errors: IO where descriptors are exhausted; CLOSED, FORKED, INVALID.
ewal_status ewal_event_fd(ewal_coordinator coordinator,
                          int *out_fd,
                          ewal_error *error);

// Starts a flush of an epoch in the background, for callers that wait
// without a thread.
//
// Ownership: nothing.
// Threads: any, callbacks too.
// Blocking: never.
// Errors: INVALID for an epoch that was never handed out; FAILED, CLOSED,
//   FORKED.
ewal_status ewal_request_flush(ewal_coordinator coordinator,
                               uint64_t epoch,
                               ewal_error *error);

// Calls back once an epoch is durable or known not to become so, and starts
// a flush of it. After EWAL_OK the function runs exactly once, on a
// thread of the library, before close returns; then drop runs with the user
// pointer. After any other status the function never runs, and drop has run
// before the call returned. A function that blocks holds up the ones behind
// it; one that calls a blocking function of this library gets DEADLOCK.
//
// Ownership: user is the library's from the call on, whatever the status;
//   drop may be NULL.
// Threads: any.
// Blocking: never.
// Errors: INVALID for an epoch that was never handed out and for a NULL
//   function; FAILED, CLOSED, FORKED.
ewal_status ewal_on_durable(ewal_coordinator coordinator,
                            uint64_t epoch,
                            ewal_durable_fn function,
                            void *user,
                            ewal_drop_fn drop,
                            ewal_error *error);

/* ==========================================================================
 * Recovery
 *
 * After a crash, the log gives back the committed batches above the checkpoint,
 * in replay order: as a stream, with memory for one epoch at a time, or straight
 * into a database file. A torn tail, which holds nothing that was ever
 * acknowledged, is dropped and reported. Damage to what was acknowledged is
 * EWAL_E_CORRUPT, never a silent cut.
 * ========================================================================== */

// flags: at the first corrupt place, end the stream with what lies before
// it, instead of failing. The report lists every file from there on.
#define EWAL_RECOVER_DURABLE_PREFIX 1

// flags: read and check everything, hand out nothing.
#define EWAL_RECOVER_VERIFY_ONLY 2

// flags, ewal_recover_into_file only: delete the segments once the file is
// synced.
#define EWAL_RECOVER_DELETE_SEGMENTS 4

// Nothing is wrong.
#define EWAL_VERDICT_CLEAN 1

// What a crash leaves of groups that were never acknowledged; dropped.
#define EWAL_VERDICT_TORN 2

// Damage to something acknowledged.
#define EWAL_VERDICT_CORRUPT 3

// How recovery goes about it. Begin with EWAL_RECOVERY_OPTIONS_INIT.
typedef struct {
  // sizeof(ewal_recovery_options).
  uint32_t struct_size;
  // EWAL_RECOVER_* or 0.
  uint32_t flags;
  // Identity of the database, checked against the log's. All zeros: not
  // checked.
  uint8_t database_id[16];
} ewal_recovery_options;

#define EWAL_RECOVERY_OPTIONS_INIT \
  { sizeof(ewal_recovery_options), 0, { 0 } }

// A stream of recovered batches. A value, 0 is null; see ewal_coordinator.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_recovery;

// One batch of the stream. All it points to is borrowed from the recovery
// until its next call or its close.
typedef struct {
  // Its epoch.
  uint64_t epoch;
  // Its commit sequence.
  uint64_t commit_seq;
  // Transaction id.
  uint64_t txn_id;
  // Transaction epoch.
  uint32_t txn_epoch;
  // The frames in write order.
  const ewal_frame *frames;
  // How many there are.
  size_t frame_count;
  // The caller's bytes; empty where none were given, and in version 1.
  ewal_slice metadata;
} ewal_recovered_batch;

// What recovery found. Begin with EWAL_RECOVERY_SUMMARY_INIT.
typedef struct {
  // sizeof(ewal_recovery_summary).
  uint32_t struct_size;
  // EWAL_VERDICT_*; 0 only after a failure.
  uint32_t verdict;
  // Segment files read to their end.
  uint64_t segments;
  // Batches handed out (or checked, with EWAL_RECOVER_VERIFY_ONLY).
  uint64_t batches;
  // Frames in them.
  uint64_t records;
  // Bytes of segments read.
  uint64_t bytes_read;
  // How many epochs were recovered.
  uint64_t epoch_count;
  // The lowest of them; 0 where there is none.
  uint64_t first_epoch;
  // The highest of them; 0 where there is none.
  uint64_t last_epoch;
  // How many epochs of the tail are whole but not yet confirmed durable;
  // the next ewal_coordinator_open confirms them.
  uint64_t unconfirmed_count;
  // The lowest of them; 0 where there is none.
  uint64_t unconfirmed_first;
  // The highest of them; 0 where there is none.
  uint64_t unconfirmed_last;
  // The highest commit sequence seen; 0 where none was.
  uint64_t highest_commit_seq;
  // Epochs at or below it are checkpointed and not handed out; see
  // has_checkpoint.
  uint64_t checkpoint_epoch;
  // Torn and corrupt places; see ewal_recovery_suspect.
  uint64_t suspect_count;
  // Database size in pages from the last committing frame; 0 where none
  // said.
  uint32_t db_size;
  // Whether anything was ever checkpointed.
  bool has_checkpoint;
  // Zero.
  uint8_t reserved[3];
} ewal_recovery_summary;

#define EWAL_RECOVERY_SUMMARY_INIT \
  { sizeof(ewal_recovery_summary), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    false, { 0 } }

// A place in a file in which something was found. The strings are borrowed
// from the recovery until its next call or its close.
typedef struct {
  // The file.
  const char *path;
  // What was wrong.
  const char *reason;
  // Where in the file, in bytes.
  uint64_t offset;
  // EWAL_VERDICT_TORN or EWAL_VERDICT_CORRUPT.
  uint32_t verdict;
  // Zero.
  uint32_t reserved;
} ewal_suspect;

// Epochs without a gap, both ends included.
typedef struct {
  // The lowest.
  uint64_t first;
  // The highest.
  uint64_t last;
} ewal_epoch_range;

// Opens the log beside the database at db_path for reading. Beside a live
// writer the stream is a durable prefix, and the segments in it are not
// reused until it is closed.
//
// Ownership: the caller closes *out. NULL options are the defaults.
// Threads: any.
// Blocking: reads files.
// Errors: CORRUPT or FORMAT, with file and offset; LOCKED where a writer takes
//   longer than 10 s to open or to retire files; IO, INVALID.
ewal_status ewal_recovery_open(const char *db_path,
                               const ewal_recovery_options *options,
                               ewal_recovery *out,
                               ewal_error *error);

// The next batch in replay order: by epoch, commit sequence, transaction id.
// EWAL_END after the last one, again and again.
//
// Ownership: what *out points to is borrowed until the next call with
//   this recovery.
// Threads: one at a time; BUSY while another thread uses it.
// Blocking: reads files.
// Errors: CORRUPT or FORMAT, with file and offset; IO, NO_MEMORY, CLOSED,
//   FORKED.
ewal_status ewal_recovery_next(ewal_recovery recovery,
                               ewal_recovered_batch *out,
                               ewal_error *error);

// What was read so far; complete once ewal_recovery_next has said EWAL_END.
//
// Ownership: *out is the caller's.
// Threads: as ewal_recovery_next.
// Blocking: never.
// Errors: INVALID, BUSY, CLOSED, FORKED.
ewal_status ewal_recovery_report(ewal_recovery recovery,
                                 ewal_recovery_summary *out,
                                 ewal_error *error);

// Torn or corrupt place `index` of the report, counted from 0.
//
// Ownership: the strings in *out are borrowed until the next call with
//   this recovery.
// Threads: as ewal_recovery_next.
// Blocking: never.
// Errors: NOT_FOUND beyond the last one; INVALID, BUSY, CLOSED, FORKED.
ewal_status ewal_recovery_suspect(ewal_recovery recovery,
                                  size_t index,
                                  ewal_suspect *out,
                                  ewal_error *error);

// The recovered epochs as ranges, ascending: up to cap of them are written
// to out, and *out_n is how many there are.
//
// Ownership: out is the caller's; NULL with a cap of 0 measures.
// Threads: as ewal_recovery_next.
// Blocking: never.
// Errors: INVALID, BUSY, CLOSED, FORKED.
ewal_status ewal_recovery_epochs(ewal_recovery recovery,
                                 ewal_epoch_range *out,
                                 size_t cap,
                                 size_t *out_n,
                                 ewal_error *error);

// Closes the stream and lets its segments go.
//
// Ownership: ends the handle and all that was borrowed from it.
// Threads: any; a call in another thread ends first, and must not use
//   what it got.
// Blocking: never.
// Errors: CLOSED, INVALID for a null handle.
ewal_status ewal_recovery_close(ewal_recovery recovery);

// Recovers into a database file: page n at offset (n - 1) x page_size, the
// size set from the last db_size_if_commit, synced. A target that is missing
// is made, unless the log has no pages: then nothing is touched. With
// EWAL_RECOVER_VERIFY_ONLY the file is left alone.
//
// Ownership: out may be NULL. NULL options are the defaults.
// Threads: any; nobody else may write the target.
// Blocking: reads the log, writes and syncs the file.
// Errors: as ewal_recovery_next, and then the target may hold a part of
//   the pages; INVALID for a page_size that does not fit the frames;
//   LOCKED where segments are to be deleted under a live writer.
ewal_status ewal_recover_into_file(const char *db_path,
                                   const char *target,
                                   uint32_t page_size,
                                   const ewal_recovery_options *options,
                                   ewal_recovery_summary *out,
                                   ewal_error *error);

/* ==========================================================================
 * Checkpoint and segment files
 *
 * Once the caller's database file holds all pages through an epoch and is synced,
 * a checkpoint lets their segments be used again. The other functions need no
 * coordinator.
 * ========================================================================== */

// A segment file as a listing shows it. Filled by the library; a later one
// may have more fields, see struct_size.
typedef struct {
  // Bytes that the library filled.
  uint32_t struct_size;
  // 1 or 2; 0 where the header cannot be read.
  uint32_t version;
  // The file; borrowed for the time of the callback.
  const char *path;
  // The first epoch, from its name.
  uint64_t first_epoch;
  // The last epoch in it that can be read; see has_last_epoch.
  uint64_t last_epoch;
  // Its length in bytes.
  uint64_t bytes;
  // Whether any epoch in it can be read.
  bool has_last_epoch;
  // Whether the checkpoint has passed it: its epochs are not recovered.
  bool checkpointed;
  // Zero.
  uint8_t reserved[6];
} ewal_segment_info;

// Called for each segment; non-zero stops the listing. Must return without
// unwinding: no C++ exception, no longjmp.
typedef int (*ewal_segment_fn)(void *user, const ewal_segment_info *segment);

// The caller's word that all pages through an epoch are safe in the database
// file: segments wholly at or below it are reused or removed, once no reader
// holds them. Below the last checkpoint it does nothing.
//
// Ownership: nothing.
// Threads: any.
// Blocking: syncs the state file.
// Errors: INVALID for an epoch above the durable one; IO, NO_SPACE,
//   FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_checkpoint(ewal_coordinator coordinator,
                            uint64_t through_epoch,
                            ewal_error *error);

// The highest durable epoch, and whether there is any: the last on the disk,
// or that of the last checkpoint where nothing above it is there.
//
// Ownership: out_any may be NULL.
// Threads: any, also beside a live writer.
// Blocking: reads files.
// Errors: CORRUPT, FORMAT, IO, INVALID; LOCKED as ewal_recovery_open.
ewal_status ewal_max_durable_epoch(const char *db_path,
                                   uint64_t *out,
                                   bool *out_any,
                                   ewal_error *error);

// Calls back for each segment file, in the order of their epochs.
//
// Ownership: what the callback gets is borrowed for its time.
// Threads: the callback runs on the calling thread and may call any
//   function.
// Blocking: reads files.
// Errors: IO, INVALID; a callback that stops the listing is none.
ewal_status ewal_list_segments(const char *db_path,
                               ewal_segment_fn function,
                               void *user,
                               ewal_error *error);

// Deletes all segments and spare files. Whatever is not in the database file
// by then is gone: recover and sync first. Epoch numbers go on.
//
// Ownership: out_removed may be NULL; it counts segments.
// Threads: any.
// Blocking: takes the writer's lock without waiting for it, syncs.
// Errors: LOCKED while a writer is open; IO, INVALID.
ewal_status ewal_cleanup_segments(const char *db_path,
                                  size_t *out_removed,
                                  ewal_error *error);

/* ==========================================================================
 * Segments of format version 1
 *
 * For engines that write that format by themselves, one file per epoch, beside
 * no coordinator.
 * ========================================================================== */

// A record of a version 1 segment: one page write of a transaction, with
// the images before and after it.
typedef struct {
  // Transaction id, not 0.
  uint64_t txn_id;
  // Transaction epoch.
  uint32_t txn_epoch;
  // The page's number, from 1.
  uint32_t page_number;
  // The segment's epoch; in a record to be written, that or 0.
  uint64_t epoch;
  // The commit sequence that the write began with.
  uint64_t begin_seq;
  // The sequence that it ended with; see has_end_seq.
  uint64_t end_seq;
  // False: an aborted write, which is kept and never replayed.
  bool has_end_seq;
  // Zero.
  uint8_t reserved[7];
  // The page before, up to 65536 bytes; may be empty.
  ewal_slice before_image;
  // The page after, up to 65536 bytes; an empty one changes nothing.
  ewal_slice after_image;
} ewal_segment_record;

#define EWAL_SEGMENT_RECORD_INIT \
  { 0, 0, 0, 0, 0, 0, false, { 0 }, { NULL, 0 }, { NULL, 0 } }

// Called for each record of a segment; non-zero stops the reading. Must
// return without unwinding: no C++ exception, no longjmp.
typedef int (*ewal_segment_record_fn)(void *user,
                                      const ewal_segment_record *record);

// The path of the segment of an epoch, as snprintf writes it: cut to cap - 1
// bytes and ended with NUL; *out_len is its whole length. Touches no disk.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: INVALID.
ewal_status ewal_segment_path(const char *db_path,
                              uint64_t epoch,
                              char *buf,
                              size_t cap,
                              size_t *out_len,
                              ewal_error *error);

// Reads the segment of an epoch, checks all of it, and then calls back for
// each record in the file's order, aborted ones included. Version 1 has no
// checksum over records: their structure is checked, their bytes cannot be.
//
// Ownership: what the callback gets is borrowed for its time.
// Threads: the callback runs on the calling thread and may call any
//   function.
// Blocking: reads the file.
// Errors: NOT_FOUND, CORRUPT, FORMAT for another version, IO, NO_MEMORY,
//   INVALID; a callback that stops the reading is none.
ewal_status ewal_segment_read(const char *db_path,
                              uint64_t epoch,
                              ewal_segment_record_fn function,
                              void *user,
                              ewal_error *error);

// Writes the segment of an epoch, with its records sorted into replay order:
// under a temporary name, synced, renamed, directory synced. It is there
// whole or not at all.
//
// Ownership: nothing passed in is kept.
// Threads: any; the caller is the only writer of this database and has no
//   coordinator open on it.
// Blocking: writes and syncs.
// Errors: EXISTS, LOCKED while another writes it, INVALID and TOO_LARGE
//   for records out of range (none at all included), IO, NO_SPACE;
//   OUTCOME_UNKNOWN where it is there but may be gone after a power cut.
ewal_status ewal_segment_write(const char *db_path,
                               uint64_t epoch,
                               const ewal_segment_record *records,
                               size_t count,
                               ewal_error *error);

// Deletes the segment of an epoch, damaged or not, and syncs the directory.
//
// Ownership: nothing.
// Threads: as ewal_segment_write.
// Blocking: syncs.
// Errors: NOT_FOUND; FORMAT for a segment of another version; IO,
//   INVALID; OUTCOME_UNKNOWN where it may be back after a power cut.
ewal_status ewal_segment_delete(const char *db_path,
                                uint64_t epoch,
                                ewal_error *error);

/* ==========================================================================
 * Statistics
 *
 * Counters and gauges that cost nothing to keep and little to read, of a coordinator
 * and, by ewal_spool_stats, of a spool.
 * ========================================================================== */

// Percentiles of a latency in nanoseconds, at most 12.5% too high; 0 where
// nothing was measured.
typedef struct {
  // How many were measured.
  uint64_t count;
  // All of them together.
  uint64_t sum;
  // Median.
  uint64_t p50;
  // 90th percentile.
  uint64_t p90;
  // 99th percentile.
  uint64_t p99;
  // 99.9th percentile.
  uint64_t p999;
  // The largest, exact.
  uint64_t max;
} ewal_latency;

#define EWAL_LATENCY_INIT { 0, 0, 0, 0, 0, 0, 0 }

// The coordinator's figures. Counters count since open. Begin with
// EWAL_STATS_INIT.
typedef struct {
  // sizeof(ewal_stats).
  uint32_t struct_size;
  // Lanes configured.
  uint32_t lanes;
  // Lanes that a living thread holds.
  uint32_t lanes_in_use;
  // Whether any epoch is durable.
  bool has_durable;
  // Whether anything was checkpointed.
  bool has_checkpoint;
  // How groups reach the disk: EWAL_SYNC_STYLE_DIRECT or
  // EWAL_SYNC_STYLE_BUFFERED, as the probe at open found.
  uint8_t sync_style;
  // Zero.
  uint8_t reserved;
  // Batches staged.
  uint64_t batches;
  // Frames staged.
  uint64_t frames;
  // Page bytes staged.
  uint64_t bytes;
  // Epochs made durable.
  uint64_t epochs;
  // Groups written.
  uint64_t groups;
  // Bytes written as groups, padding and certificates included.
  uint64_t group_bytes;
  // Syncs of groups (a write-through write counts as one).
  uint64_t syncs;
  // Batches that went past their lane's capacity.
  uint64_t spills;
  // Batches larger than a lane.
  uint64_t oversize;
  // Submits that found their lane taken by another thread.
  uint64_t contended;
  // Submits that had to wait for room.
  uint64_t blocked;
  // Submits refused for want of room.
  uint64_t refused;
  // Writes taken up again after an interruption, a short write or no space.
  uint64_t retries;
  // Flushes that failed.
  uint64_t failures;
  // Checkpoints done.
  uint64_t checkpoints;
  // The epoch that a batch staged now would get.
  uint64_t current_epoch;
  // The highest durable epoch; see has_durable.
  uint64_t durable_epoch;
  // The highest epoch checkpointed; see has_checkpoint.
  uint64_t checkpoint_epoch;
  // Segment files that hold live epochs.
  uint64_t segments_in_use;
  // Prepared files that wait for use.
  uint64_t segments_free;
  // Bytes of groups in live segments.
  uint64_t log_bytes;
  // The configured limit of log_bytes; 0: none.
  uint64_t max_log_bytes;
  // Bytes staged or in flight.
  uint64_t memory_bytes;
  // The configured limit of memory_bytes.
  uint64_t max_memory;
  // From the call of a wait that had to wait, to its return.
  ewal_latency wait;
  // From the start of a group's write to its durability.
  ewal_latency flush;
} ewal_stats;

#define EWAL_STATS_INIT \
  { sizeof(ewal_stats), 0, 0, false, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EWAL_LATENCY_INIT, EWAL_LATENCY_INIT }

// A snapshot of the figures.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_coordinator_stats(ewal_coordinator coordinator,
                                   ewal_stats *out,
                                   ewal_error *error);

// Frames staged in a lane and not yet sealed; lanes count from 0.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND beyond the last lane; INVALID, CLOSED, FORKED.
ewal_status ewal_lane_backlog(ewal_coordinator coordinator,
                              uint32_t lane,
                              uint32_t *out,
                              ewal_error *error);

// All figures as Prometheus text, as snprintf writes it: cut to cap - 1
// bytes and ended with NUL; *out_len is the whole text's length.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_stats_prometheus(ewal_coordinator coordinator,
                                  char *buf,
                                  size_t cap,
                                  size_t *out_len,
                                  ewal_error *error);

/* ==========================================================================
 * Spool
 *
 * The primary's side of log shipping: a durable, ordered log of opaque records,
 * each with its LSN and the term of the primary that wrote it. LSNs strictly rise,
 * with gaps unless EWAL_SPOOL_DENSE is set; terms never fall. One writer per
 * spool, across processes; any number of threads append to it, and one write with
 * one sync makes durable what all of them have staged.
 * ========================================================================== */

// A logical record: opaque bytes with their place in the order.
typedef struct {
  // The reign of the primary that writes it; never below an earlier one.
  uint64_t term;
  // Its position, from 1 to 2^64-2, above all earlier ones.
  uint64_t lsn;
  // Milliseconds since the Unix epoch. In an append 0 is now.
  uint64_t timestamp_ms;
  // What it says; may be empty. An append copies it before it returns.
  ewal_slice payload;
} ewal_record;

// flags: refuse gaps between LSNs.
#define EWAL_SPOOL_DENSE 2

// ring_bytes: no ring; each read goes to the files.
#define EWAL_RING_BYTES_OFF UINT64_MAX

// Records in segments. The default.
#define EWAL_FORMAT_NATIVE 1

// Records in one RDLW file at `<data file>.logical.wal`, for software that reads
// those, with the limits of that format.
#define EWAL_FORMAT_RDLW 2

// ewal_term_fn: the term can't be told. The open fails with EWAL_E_INVALID, and
// leaves the records where they are.
#define EWAL_TERM_REFUSED UINT64_MAX

// Finds the term of a record of RDLW version 1 or 2 in its payload; 0 where it
// has none, which is term 1; or EWAL_TERM_REFUSED. Called by the call that was
// given it, and on its thread. Must return without unwinding: no C++ exception,
// no longjmp.
typedef uint64_t (*ewal_term_fn)(void *user, const void *payload, size_t len);

// The configuration of a spool. Begin with EWAL_SPOOL_OPTIONS_INIT; zero in a
// field is its default. A value out of range is EWAL_E_INVALID, with the
// field's name in the message.
typedef struct {
  // sizeof(ewal_spool_options).
  uint32_t struct_size;
  // EWAL_OPEN_SALVAGE, EWAL_SPOOL_DENSE or 0.
  uint32_t flags;
  // EWAL_SYNC_*.
  uint32_t sync_policy;
  // EWAL_SYNC_STYLE_*.
  uint32_t sync_style;
  // The largest payload that is taken, up to 256 MiB. Default 64 MiB.
  uint64_t max_payload;
  // Bytes of the newest records that are kept in memory for readers, up to
  // 1 GiB, or EWAL_RING_BYTES_OFF. Default 16 MiB.
  uint64_t ring_bytes;
  // The longest that a record on which nobody waits stays staged: 1 us to
  // 1 hour. Default 10 ms.
  uint64_t flush_interval_ns;
  // How long an append waits for room, up to 1 hour. Default 10 s.
  uint64_t block_timeout_ns;
  // Bytes staged and in flight, 64 KiB to 1 GiB; no append is larger.
  // Default 256 MiB.
  uint64_t max_memory;
  // Bytes of log past which an append is EWAL_E_NO_SPACE until a prune, at
  // least 64 KiB, or EWAL_MAX_LOG_BYTES_OFF. Default off.
  uint64_t max_log_bytes;
  // The largest segment file, 16 KiB to 4 GiB, a multiple of 4096. Default
  // 64 MiB.
  uint64_t segment_size;
  // Records that a spool in memory keeps. Default 1 Mi.
  uint64_t ring_records;
  // EWAL_FORMAT_*.
  uint32_t format;
  // Zero.
  uint32_t reserved;
  // For records of RDLW versions 1 and 2 that the open takes in. NULL: their
  // term is 1.
  ewal_term_fn term_of;
  // Handed to term_of.
  void *term_user;
} ewal_spool_options;

#define EWAL_SPOOL_OPTIONS_INIT \
  { sizeof(ewal_spool_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL }

// A durable log of records. A value, 0 is null; see ewal_coordinator.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_spool;

// What submitted records were given: what to wait for.
typedef struct {
  // The epoch that they become durable with.
  uint64_t epoch;
  // The LSN of the first of them.
  uint64_t first_lsn;
  // The LSN of the last of them.
  uint64_t last_lsn;
} ewal_spool_ticket;

// Opens the spool of the data file at path, making it where there is none.
// It lies in files beside the data file, which itself is never touched and
// need not exist. A torn tail, of records that were never acknowledged, is
// dropped; see ewal_spool_torn.
//
// Ownership: the caller closes *out. Nothing passed in is kept. NULL
//   options are the defaults.
// Threads: any.
// Blocking: reads the log's tail, writes and syncs it.
// Errors: LOCKED where another writer, of this process or another, has the
//   spool; CORRUPT or FORMAT for a damaged or newer one (see
//   EWAL_OPEN_SALVAGE); INVALID, IO, NO_SPACE, UNSUPPORTED.
ewal_status ewal_spool_open(const char *path,
                            const ewal_spool_options *options,
                            ewal_spool *out,
                            ewal_error *error);

// Makes what is staged durable and closes. Whoever waits, with a cursor too,
// is woken with CLOSED. Of any number of calls at once, one is told of the
// outcome and the rest get CLOSED. A spool that has failed, or finds no disk
// space, closes too: the call then says what is not durable.
//
// Ownership: ends the handle, but for TIMEOUT, DEADLOCK and FORKED, which
//   leave it open. Cursors and records live on until they are closed and
//   released; its cursors give nothing but CLOSED.
// Threads: any, also while others use it: their calls end with their own
//   outcome or with CLOSED.
// Blocking: up to timeout_ns (0 polls, negative waits for ever).
// Errors: TIMEOUT, CLOSED, DEADLOCK from inside a callback, FORKED; INVALID for
//   the spool of a primary, which closes it; closed all the same: NO_SPACE,
//   IO, FAILED, OUTCOME_UNKNOWN.
ewal_status ewal_spool_close(ewal_spool spool,
                             int64_t timeout_ns,
                             ewal_error *error);

// Stages records, all or none, and gives what to wait for. What is refused
// leaves no byte behind.
//
// Ownership: everything in the records may be reused as soon as the call
//   returns. out may be NULL.
// Threads: any; those of one call stand in the log as they are given.
// Blocking: only for room, up to block_timeout_ns; more than 4 MiB wait for a
//   flush. While ewal_spool_truncate_after is at work, for its end.
// Errors: nothing is kept, and out is zeroed: ORDER for an LSN that does not
//   rise, FENCED for a term below one that has begun, TOO_LARGE, INVALID (a
//   field is named), BUSY (no room in time), NO_SPACE, FAILED, CLOSED, FORKED.
ewal_status ewal_spool_submit(ewal_spool spool,
                              const ewal_record *records,
                              size_t n,
                              ewal_spool_ticket *out,
                              ewal_error *error);

// Appends records, all or none, and returns once they are durable.
//
// Ownership: as ewal_spool_submit.
// Threads: any; one write and one sync serve all who wait.
// Blocking: up to timeout_ns (0 polls, negative waits for ever), beside
//   what may be waited for room.
// Errors: those of ewal_spool_submit and ewal_spool_wait. Records that stay
//   staged although the call failed (TIMEOUT, NO_SPACE, OUTCOME_UNKNOWN)
//   have their epoch in error->staged_epoch: wait with a ticket of it; do not
//   append them again.
ewal_status ewal_spool_append(ewal_spool spool,
                              const ewal_record *records,
                              size_t n,
                              int64_t timeout_ns,
                              ewal_error *error);

// Waits until what a ticket is for is durable. Only its epoch counts. As
// ewal_wait.
//
// Ownership: nothing.
// Threads: any number.
// Blocking: up to timeout_ns (0 polls, negative waits for ever).
// Errors: TIMEOUT and NO_SPACE: still staged. OUTCOME_UNKNOWN: in flight when
//   a sync failed. FAILED: it will never be durable. INVALID for an epoch that
//   was never handed out; CLOSED, DEADLOCK from inside a callback, FORKED.
ewal_status ewal_spool_wait(ewal_spool spool,
                            ewal_spool_ticket ticket,
                            int64_t timeout_ns,
                            ewal_error *error);

// Starts a flush of what a ticket is for in the background, for callers that
// wait without a thread.
//
// Ownership: nothing.
// Threads: any, callbacks too.
// Blocking: never.
// Errors: INVALID for an epoch that was never handed out; FAILED, CLOSED,
//   FORKED.
ewal_status ewal_spool_request_flush(ewal_spool spool,
                                     ewal_spool_ticket ticket,
                                     ewal_error *error);

// Calls back once what a ticket is for is durable or known not to become so, and
// starts a flush of it. As ewal_on_durable; in memory it calls back before it
// returns, on the calling thread.
//
// Ownership: user is the library's from the call on, whatever the status;
//   drop may be NULL.
// Threads: any.
// Blocking: never.
// Errors: INVALID for an epoch that was never handed out and for a NULL
//   function; FAILED, CLOSED, FORKED.
ewal_status ewal_spool_on_durable(ewal_spool spool,
                                  ewal_spool_ticket ticket,
                                  ewal_durable_fn function,
                                  void *user,
                                  ewal_drop_fn drop,
                                  ewal_error *error);

// Waits for all that was staged before the call.
//
// Ownership: nothing.
// Threads: any.
// Blocking: up to timeout_ns (0 polls, negative waits for ever).
// Errors: as ewal_spool_wait.
ewal_status ewal_spool_flush(ewal_spool spool,
                             int64_t timeout_ns,
                             ewal_error *error);

// The first LSN that can be read, the highest durable one ever, and the one
// that pruning has come to; 0 where there is none. All are of memory.
//
// Ownership: each may be NULL.
// Threads: any.
// Blocking: never.
// Errors: CLOSED, FORKED, INVALID for a null handle.
ewal_status ewal_spool_bounds(ewal_spool spool,
                              uint64_t *oldest_lsn,
                              uint64_t *current_lsn,
                              uint64_t *pruned_through);

// The term of now: that of the last record taken, or the one that
// ewal_spool_truncate_after has begun; 0 before the first.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: only while ewal_spool_truncate_after is at work, for its end.
// Errors: CLOSED, FORKED, INVALID where out is NULL.
ewal_status ewal_spool_term(ewal_spool spool, uint64_t *out);

// Says whether whoever has everything up to lsn, the last of it of this term, has
// a part of this spool, and may read on from there: asked before a read, where the
// reader knows its term. LSN 0, of one who has nothing, always has.
//
// Ownership: nothing.
// Threads: any.
// Blocking: never.
// Errors: DIVERGED where it has a tail of its own (error->lsn is the last LSN
//   common to both: it cuts back to there, and asks again with the term that it
//   has there); CLOSED, FORKED.
ewal_status ewal_spool_check_term(ewal_spool spool,
                                  uint64_t lsn,
                                  uint64_t term,
                                  ewal_error *error);

// Waits until a durable record lies above lsn.
//
// Ownership: nothing.
// Threads: any.
// Blocking: up to timeout_ns (0 polls, negative waits for ever).
// Errors: TIMEOUT; FAILED or CLOSED where none will come; DEADLOCK from inside
//   a callback, FORKED.
ewal_status ewal_spool_wait_after(ewal_spool spool,
                                  uint64_t lsn,
                                  int64_t timeout_ns,
                                  ewal_error *error);

// A new eventfd that becomes readable each time records become durable, and
// after failure and close. Read it to reset it, then ask ewal_spool_bounds.
//
// Ownership: the caller closes *out_fd; it is close-on-exec and does not
//   block, and outlives the spool.
// Threads: any.
// Blocking: never.
// Errors: IO where descriptors are exhausted; CLOSED, FORKED, INVALID.
ewal_status ewal_spool_event_fd(ewal_spool spool,
                                int *out_fd,
                                ewal_error *error);

/* ==========================================================================
 * Reading a spool
 *
 * Nothing is read before it is durable. Three answers are for a replica to act on:
 * EWAL_E_WAL_REMOVED (what it needs is gone: it must begin anew), EWAL_E_AHEAD (it
 * has what this primary has not), and EWAL_E_DIVERGED, of ewal_spool_check_term (it
 * has a tail of its own). The records of a read are shared with other readers where
 * they come from memory, and borrowed until they are released. A cursor keeps its
 * place, and waits for what comes.
 * ========================================================================== */

// Records that were read. A value, 0 is null; see ewal_coordinator.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_records;

// Durable records above lsn, ascending, without a gap: at least one where
// there is one, also above max_bytes of payload, and up to max_records. None
// at the end, which is OK too. What it costs depends on what it gives.
//
// Ownership: the caller releases *out, empty or not.
// Threads: any.
// Blocking: reads files where the records are not in memory; never waits for
//   a writer.
// Errors: WAL_REMOVED where records above lsn are pruned, or lost in a salvage
//   (error->lsn is the first behind them), AHEAD where lsn is beyond the end
//   (error->lsn is the end), DIVERGED where a cut came meanwhile: read again;
//   CORRUPT, IO; INVALID for a max_records of 0; CLOSED, FORKED.
ewal_status ewal_spool_read_since(ewal_spool spool,
                                  uint64_t lsn,
                                  size_t max_records,
                                  size_t max_bytes,
                                  ewal_records *out,
                                  ewal_error *error);

// The records as an array, in the order of their LSNs: *out_n of them from
// *out on.
//
// Ownership: the array and all payloads are valid until the records are
//   released, whatever becomes of their spool.
// Threads: any number at once.
// Blocking: never.
// Errors: CLOSED once they are released; INVALID.
ewal_status ewal_records_get(ewal_records records,
                             const ewal_record **out,
                             size_t *out_n);

// Lets records go.
//
// Ownership: ends the handle and all that was borrowed from it.
// Threads: any; no other thread may use what it got from them any more.
// Blocking: never.
// Errors: CLOSED where they were released, INVALID for a null handle.
ewal_status ewal_records_release(ewal_records records);

// A reader that keeps its place in a spool. A value, 0 is null; see
// ewal_coordinator.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_cursor;

// A cursor behind lsn. Its first read says whether lsn can be read from. The
// segment file that it is in survives a prune until it leaves it.
//
// Ownership: the caller closes *out, before or after the spool. Until then it
//   keeps memory of the spool.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_cursor_open(ewal_spool spool,
                             uint64_t lsn,
                             ewal_cursor *out,
                             ewal_error *error);

// The next records: as ewal_spool_read_since, but waits until there is one.
// The cursor stays where it is after any error.
//
// Ownership: the caller releases *out.
// Threads: one at a time; BUSY while another thread is in it.
// Blocking: up to timeout_ns (0 polls, negative waits for ever), beside reads
//   of files.
// Errors: TIMEOUT where none came in time; those of ewal_spool_read_since;
//   DIVERGED where the last record that it gave was cut off since (error->lsn
//   is the last that is left); CLOSED once the cursor or its spool is closed,
//   also for one who waits; FAILED where none will come; DEADLOCK from inside a
//   callback unless it polls.
ewal_status ewal_cursor_next(ewal_cursor cursor,
                             size_t max_records,
                             size_t max_bytes,
                             int64_t timeout_ns,
                             ewal_records *out,
                             ewal_error *error);

// Closes a cursor and lets its segment go. One who waits with it is woken.
//
// Ownership: ends the handle. Records that it gave live on.
// Threads: any.
// Blocking: never.
// Errors: CLOSED, INVALID for a null handle.
ewal_status ewal_cursor_close(ewal_cursor cursor);

/* ==========================================================================
 * Reading a spool from outside
 *
 * Another process, or one without the spool's handle, reads a spool beside its
 * writer or where none lives: it takes no writer's lock, and writes nothing. A
 * reader gives what was durable when it was opened, and then EWAL_END; while it is
 * open no file that it may still read is used again. To follow a spool, open another
 * reader behind the last record.
 *
 *     ewal_spool_reader reader;
 *     ewal_records records;
 *     status = ewal_spool_reader_open(path, have, &reader, &error);
 *     while (status == EWAL_OK &&
 *            (status = ewal_spool_reader_next(reader, 1000, 1 << 20, &records,
 *                                             &error)) == EWAL_OK) {
 *       have = apply(records);
 *       ewal_records_release(records);
 *     }
 *     ewal_spool_reader_close(reader);
 * ========================================================================== */

// since_lsn of ewal_spool_reader_open: all records that there are.
#define EWAL_SINCE_OLDEST UINT64_MAX

// A stream of a spool's records. A value, 0 is null; see ewal_coordinator.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_spool_reader;

// What a reader has found. Complete once it has said EWAL_END, or failed. Begin
// with EWAL_SPOOL_SUMMARY_INIT.
typedef struct {
  // sizeof(ewal_spool_summary).
  uint32_t struct_size;
  // How the log ends: EWAL_VERDICT_*. Clean as long as nothing else is known.
  uint32_t verdict;
  // Records read: those given, and the one that the next call begins with.
  uint64_t records;
  // Bytes of their payloads.
  uint64_t payload_bytes;
  // The LSN of the first of them; 0 where there is none.
  uint64_t first_lsn;
  // The LSN of the last of them; 0 where there is none.
  uint64_t last_lsn;
  // Records at or below it are pruned.
  uint64_t pruned_through;
  // The highest LSN that there is or was, pruned ones included.
  uint64_t current_lsn;
  // Records above it were found whole, but only the next open of the spool
  // confirms that they are durable.
  uint64_t durable_lsn;
  // The highest LSN that a commit wait called reached: nothing at or below it
  // is ever cut off.
  uint64_t quorum_lsn;
  // The last term; 0 where there is none.
  uint64_t term;
  // The last range of LSNs that a salvage has lost: those above lost_after,
  // through lost_through; both 0 where there is none.
  uint64_t lost_after;
  // See lost_after.
  uint64_t lost_through;
  // Bytes of files read.
  uint64_t bytes_read;
  // Whether there is a spool at all.
  bool exists;
  // Whether a writer lives: what it has made durable is what is given.
  bool writer;
  // Whether the spool was closed, and not opened since.
  bool clean;
  // Zero.
  uint8_t reserved[5];
} ewal_spool_summary;

#define EWAL_SPOOL_SUMMARY_INIT \
  { sizeof(ewal_spool_summary), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, \
    false, false, { 0 } }

// Opens the spool of the data file at path for reading: records above
// since_lsn, or all (EWAL_SINCE_OLDEST). Where there is no spool the stream is
// empty, and nothing is made. A spool in one RDLW file is read too, also one of
// other software.
//
// Ownership: the caller closes *out. Nothing passed in is kept.
// Threads: any.
// Blocking: reads files.
// Errors: WAL_REMOVED where records above since_lsn are pruned, or lost in a
//   salvage (error->lsn is the first behind them); LOCKED where a writer takes
//   longer than 10 s to open or to retire files; CORRUPT, FORMAT, IO, INVALID.
ewal_status ewal_spool_reader_open(const char *path,
                                   uint64_t since_lsn,
                                   ewal_spool_reader *out,
                                   ewal_error *error);

// The next records, ascending: at least one, also above max_bytes of payload, and
// up to max_records. EWAL_END after the last one, again and again. It holds one
// group of the log in memory beside what it gives.
//
// Ownership: the caller releases *out, which needs the reader no more.
// Threads: one at a time; BUSY while another thread is in it.
// Blocking: reads files; never waits for a writer.
// Errors, after which there is only EWAL_END: WAL_REMOVED where the next ones are
//   lost in a salvage (error->lsn is the first behind them; not where all were
//   asked for), AHEAD where since_lsn is beyond the end (error->lsn is the end),
//   DIVERGED where a writer came and cut off what was given (error->lsn is the
//   last that is left); CORRUPT or FORMAT, with file and offset; IO. And INVALID
//   for a max_records of 0; CLOSED, FORKED.
ewal_status ewal_spool_reader_next(ewal_spool_reader reader,
                                   size_t max_records,
                                   size_t max_bytes,
                                   ewal_records *out,
                                   ewal_error *error);

// What was read so far.
//
// Ownership: *out is the caller's.
// Threads: as ewal_spool_reader_next.
// Blocking: never.
// Errors: INVALID, BUSY, CLOSED, FORKED.
ewal_status ewal_spool_reader_report(ewal_spool_reader reader,
                                     ewal_spool_summary *out,
                                     ewal_error *error);

// Closes the stream and lets its files go.
//
// Ownership: ends the handle. Records that it gave live on.
// Threads: any; a call in another thread ends first.
// Blocking: never.
// Errors: CLOSED, INVALID for a null handle.
ewal_status ewal_spool_reader_close(ewal_spool_reader reader);

/* ==========================================================================
 * Keeping a spool
 *
 * Pruning lets records go that nobody needs any more; it never rewrites what it
 * keeps. A spool pruned empty goes on after the last LSN that it ever had.
 * ========================================================================== */

// What a salvage found and left. Begin with EWAL_SALVAGE_REPORT_INIT.
typedef struct {
  // sizeof(ewal_salvage_report).
  uint32_t struct_size;
  // Whether a torn tail, never acknowledged, was dropped beside.
  bool torn;
  // Zero.
  uint8_t reserved[3];
  // Files moved or copied aside, under their name and ".salvaged-" with a
  // number; 0 where nothing was damaged.
  uint64_t files;
  // As ewal_spool_bounds gives it from here on.
  uint64_t oldest_lsn;
  // As ewal_spool_bounds gives it from here on.
  uint64_t current_lsn;
  // As ewal_spool_bounds gives it from here on.
  uint64_t pruned_through;
  // The last range of LSNs that this salvage or an earlier one has lost: those
  // above lost_after, through lost_through; both 0 where there is none. Who
  // reads up to a lost range gets EWAL_E_WAL_REMOVED there. All of them:
  // ewal_spool_lost.
  uint64_t lost_after;
  // See lost_after.
  uint64_t lost_through;
} ewal_salvage_report;

#define EWAL_SALVAGE_REPORT_INIT \
  { sizeof(ewal_salvage_report), false, { 0 }, 0, 0, 0, 0, 0, 0 }

// Lets records at or below lsn go: they are not read any more, and files that
// hold nothing else are used again or removed, but for those that a cursor is
// in. Never goes beyond the end; *out_pruned says how far pruning has come.
//
// Ownership: out_pruned may be NULL.
// Threads: any, also while others append and read.
// Blocking: syncs the state file; waits for a flush under way.
// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a
//   callback.
ewal_status ewal_spool_prune_through(ewal_spool spool,
                                     uint64_t lsn,
                                     uint64_t *out_pruned,
                                     ewal_error *error);

// Begins new_term behind lsn, for a primary that returns after another one has
// reigned. Records above lsn are saved aside first, in a file of the RDLW
// format beside the spool, and are no part of it any more: see
// ewal_spool_saved_tail.
//
// Ownership: nothing.
// Threads: any; appends wait meanwhile.
// Blocking: reads, writes and syncs.
// Errors: FENCED for a term that is not above the last one, AHEAD beyond the
//   end, WAL_REMOVED below what is pruned, ORDER below what a quorum has
//   (error->lsn has the LSN that each is about); UNSUPPORTED in memory; IO,
//   NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_spool_truncate_after(ewal_spool spool,
                                      uint64_t lsn,
                                      uint64_t new_term,
                                      ewal_error *error);

// Makes a damaged spool one that opens again: what is damaged, and all beyond
// it, is moved or copied aside, and what lies before is kept. A spool without
// damage is left as it is. To salvage and go on with one call, or with other
// options than the defaults, open with EWAL_OPEN_SALVAGE.
//
// Ownership: out may be NULL.
// Threads: any; nobody may have the spool open.
// Blocking: reads, writes and syncs.
// Errors: NOT_FOUND where there is no spool; LOCKED while it is open or read;
//   FORMAT for a newer one; IO, NO_SPACE, INVALID, DEADLOCK from inside a
//   callback.
ewal_status ewal_spool_salvage(const char *path,
                               ewal_salvage_report *out,
                               ewal_error *error);

// The path of file `index` that an open with EWAL_OPEN_SALVAGE moved or copied
// aside, as ewal_coordinator_salvaged gives it.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND beyond the last one; INVALID, CLOSED, FORKED.
ewal_status ewal_spool_salvaged(ewal_spool spool,
                                size_t index,
                                char *buf,
                                size_t cap,
                                size_t *out_len,
                                ewal_error *error);

// What the open dropped of records that were never acknowledged, or left out of
// a single-file spool that it took in: *out_offset is where they began in the
// file whose path is written as snprintf does, cut to cap - 1 bytes and ended
// with NUL; *out_len is its whole length.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len and
//   out_offset may be NULL.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND where the open found all whole; INVALID, CLOSED, FORKED.
ewal_status ewal_spool_torn(ewal_spool spool,
                            char *buf,
                            size_t cap,
                            size_t *out_len,
                            uint64_t *out_offset,
                            ewal_error *error);

// A snapshot of the figures of the log under the spool: batches are runs of
// records submitted together, frames are records, bytes are their payloads,
// and checkpoints are prunes.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_spool_stats(ewal_spool spool,
                             ewal_stats *out,
                             ewal_error *error);

// A term, and where it began.
typedef struct {
  // The term.
  uint64_t term;
  // No record of it has a lower LSN.
  uint64_t first_lsn;
} ewal_term_start;

// LSNs whose records a salvage could not keep.
typedef struct {
  // The LSN below the range.
  uint64_t after;
  // The last LSN of the range.
  uint64_t through;
} ewal_lost_range;

// The durable history of terms, oldest first: up to cap of them are written to
// out, and *out_n is how many there are. At most 240 are kept; the oldest are
// forgotten once their records are pruned.
//
// Ownership: out is the caller's; NULL with a cap of 0 measures.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_spool_terms(ewal_spool spool,
                             ewal_term_start *out,
                             size_t cap,
                             size_t *out_n,
                             ewal_error *error);

// What salvages have lost and pruning has not passed, ascending: up to cap ranges
// are written to out, and *out_n is how many there are, at most 6: older ones are
// put together. Who reads up to one gets EWAL_E_WAL_REMOVED there.
//
// Ownership: out is the caller's; NULL with a cap of 0 measures.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_spool_lost(ewal_spool spool,
                            ewal_lost_range *out,
                            size_t cap,
                            size_t *out_n,
                            ewal_error *error);

/* ==========================================================================
 * Single-file spools
 *
 * RDLW is the format of other software: one file, without a watermark. One at
 * <data file>.logical.wal is taken in by the open that finds it, and renamed aside
 * once its records are durable here.
 * ========================================================================== */

// Writes the durable records, from the oldest to the last of now, to a new
// RDLW file of version 3. On success it is on stable storage; after any error
// but OUTCOME_UNKNOWN it is not there. *out_records says how many it holds.
//
// Ownership: out_records may be NULL.
// Threads: any, also while others append and read.
// Blocking: reads, writes and syncs.
// Errors: EXISTS where there is a file of this name, which is never replaced;
//   WAL_REMOVED and DIVERGED where a prune or a cut came meanwhile: export
//   again; LOCKED while someone else writes the same file; NOT_FOUND without
//   the directory; OUTCOME_UNKNOWN where only the last sync failed; CORRUPT, IO,
//   NO_SPACE, INVALID, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_spool_export_rdlw(ewal_spool spool,
                                   const char *path,
                                   uint64_t *out_records,
                                   ewal_error *error);

// Where the single-file spool of other software was moved that the open has
// taken in: its path is written as ewal_spool_torn writes one.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND where the open found none; INVALID, CLOSED, FORKED.
ewal_status ewal_spool_imported(ewal_spool spool,
                                char *buf,
                                size_t cap,
                                size_t *out_len,
                                ewal_error *error);

// The RDLW file in which the last ewal_spool_truncate_after of this handle
// has saved what it cut off: its path is written as ewal_spool_torn writes one.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND where it had nothing to cut off, or there was none;
//   INVALID, CLOSED, FORKED.
ewal_status ewal_spool_saved_tail(ewal_spool spool,
                                  char *buf,
                                  size_t cap,
                                  size_t *out_len,
                                  ewal_error *error);

/* ==========================================================================
 * Primary
 *
 * A primary is a spool with the durable knowledge of how far each replica has
 * come: its slots. It owns its spool; either of the two can be opened on one path
 * at a time. A replica registers, is told where to go on, reads records from the
 * spool, and acknowledges what it has. What no slot needs is pruned by
 * ewal_primary_prune; ewal_spool_prune_through on its spool goes no further.
 *
 * One session per id is alive: each registration gives a generation, and what an
 * older one says is refused. A slot store that can't be read is an error and stops
 * pruning: nothing begins anew by itself.
 * ========================================================================== */

// flags: where the slot store is damaged, keep it aside and take what can be
// read of it; where it is gone, begin without slots. See
// ewal_primary_salvaged.
#define EWAL_SALVAGE_SLOTS 4

// horizon_lsns, horizon_bytes: no slot is given up for what it holds back.
#define EWAL_HORIZON_OFF UINT64_MAX

// idle_timeout_ns: no slot is given up because it was not seen.
#define EWAL_IDLE_TIMEOUT_OFF UINT64_MAX

// The configuration of a primary. Begin with EWAL_PRIMARY_OPTIONS_INIT; zero
// in a field is its default. A value out of range is EWAL_E_INVALID, with the
// field's name in the message.
typedef struct {
  // sizeof(ewal_primary_options).
  uint32_t struct_size;
  // EWAL_SALVAGE_SLOTS or 0.
  uint32_t flags;
  // A replica is healthy while it was seen within this time: 1 ms to 1 day.
  // Default 30 s.
  uint64_t healthy_for_ns;
  // A slot that holds back more LSNs than this is given up, or
  // EWAL_HORIZON_OFF. Default 100,000.
  uint64_t horizon_lsns;
  // The same in bytes of log. Default off.
  uint64_t horizon_bytes;
  // A slot that was not seen for this long is given up: 1 ms to 10 years, or
  // EWAL_IDLE_TIMEOUT_OFF. Default 24 hours.
  uint64_t idle_timeout_ns;
  // Acknowledgements are saved at the latest after this long, and not more
  // often: 1 ms to 1 s. Default 1 s.
  uint64_t save_interval_ns;
  // The most slots, 1 to 50,000. Default 50,000.
  uint32_t max_slots;
  // Events that are kept for readers, 1 to 1,000,000. Default 1024.
  uint32_t trace_capacity;
  // The spool's; NULL: its defaults. Read during the call.
  const ewal_spool_options *spool;
} ewal_primary_options;

#define EWAL_PRIMARY_OPTIONS_INIT \
  { sizeof(ewal_primary_options), 0, 0, 0, 0, 0, 0, 0, 0, NULL }

// A spool with its slots and replicas. A value, 0 is null; see
// ewal_coordinator.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_primary;

// Opens the primary of the data file at path: its spool, as ewal_spool_open
// does, and the slots beside it; both are made where there are none. With a
// NULL path records and slots live in memory, and nothing outlives the
// handle. Slots of the older JSON store are taken in, once.
//
// Ownership: the caller closes *out. Nothing passed in is kept. NULL
//   options are the defaults.
// Threads: any.
// Blocking: reads the log's tail and the slot store, writes and syncs.
// Errors: LOCKED where another writer, of this process or another, has the
//   spool, opened alone or not; CORRUPT or FORMAT for a damaged or newer spool
//   or slot store, and CORRUPT for a slot store that is gone: a primary that
//   began without it would prune what replicas need (see EWAL_OPEN_SALVAGE
//   and EWAL_SALVAGE_SLOTS); INVALID, IO, NO_SPACE, UNSUPPORTED, DEADLOCK from
//   inside a callback.
ewal_status ewal_primary_open(const char *path_or_null,
                              const ewal_primary_options *options,
                              ewal_primary *out,
                              ewal_error *error);

// Saves what is not saved yet, makes what is staged durable, and closes.
// Whoever waits, for replicas or for records, is woken with CLOSED. Of any
// number of calls at once, one is told of the outcome and the rest get CLOSED.
// One that has failed, or finds no disk space, closes too: the call then says
// what is not durable.
//
// Ownership: ends the handle and that of its spool, but for TIMEOUT, DEADLOCK
//   and FORKED, which leave both open. Cursors and records live on until they
//   are closed and released.
// Threads: any, also while others use it: their calls end with their own
//   outcome or with CLOSED.
// Blocking: up to timeout_ns (0 polls, negative waits for ever) for what is
//   staged and for a save of the slots under way; and for saving them.
// Errors: TIMEOUT, CLOSED, DEADLOCK from inside a callback, FORKED; closed all
//   the same: NO_SPACE, IO, FAILED, OUTCOME_UNKNOWN.
ewal_status ewal_primary_close(ewal_primary primary,
                               int64_t timeout_ns,
                               ewal_error *error);

// The primary's spool, to append to and to read from: the same handle each
// time.
//
// Ownership: *out is borrowed: it lives as long as the primary, and is CLOSED
//   after it. ewal_spool_close refuses it.
// Threads: any.
// Blocking: never.
// Errors: CLOSED, FORKED, INVALID where out is NULL.
ewal_status ewal_primary_spool(ewal_primary primary, ewal_spool *out);

// A number that rises with each change of who the members are, healthy, or
// being rebootstrapped: not with a reconnect. It survives a restart, and never
// comes back to what it was.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: CLOSED, FORKED, INVALID where out is NULL.
ewal_status ewal_primary_topology_epoch(ewal_primary primary, uint64_t *out);

// The path where an open with EWAL_SALVAGE_SLOTS left the damaged slot store,
// as snprintf writes it: cut to cap - 1 bytes and ended with NUL; *out_len is
// its whole length.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND where nothing was left aside; INVALID, CLOSED, FORKED.
ewal_status ewal_primary_salvaged(ewal_primary primary,
                                  char *buf,
                                  size_t cap,
                                  size_t *out_len,
                                  ewal_error *error);

// What a replica is given when it registers.
typedef struct {
  // Its slot's restart LSN: for a new replica the end of the log.
  uint64_t restart_lsn;
  // Names the session: acknowledgements of any other are refused.
  uint64_t generation;
  // The slot was made now.
  bool created;
  // Zero.
  uint8_t reserved[7];
} ewal_registration;

// Registers a replica, or connects it again: it keeps its slot and its
// progress, and its older session ends. A new one pins the end of the log:
// nothing above that is pruned before it says that it has it. With a NULL
// region it keeps the one it has, if any.
//
// Ownership: nothing passed in is kept. out may be NULL.
// Threads: any.
// Blocking: writes and syncs where the replica is new, or has changed.
// Errors: INVALID for a name that is NULL, empty, above 255 bytes, not UTF-8,
//   or with a control character; TOO_LARGE above max_slots; IO, NO_SPACE,
//   FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_primary_register(ewal_primary primary,
                                  const char *id,
                                  const char *region_or_null,
                                  ewal_registration *out,
                                  ewal_error *error);

// As ewal_primary_register, but a session that there is goes on.
//
// Ownership: nothing passed in is kept. out may be NULL.
// Threads: any.
// Blocking: as ewal_primary_register.
// Errors: those of ewal_primary_register.
ewal_status ewal_primary_ensure_registered(ewal_primary primary,
                                           const char *id,
                                           const char *region_or_null,
                                           ewal_registration *out,
                                           ewal_error *error);

// Takes a replica from the registry and ends its session: commits wait for it
// no more. Its slot stays, and holds back what it held, unless it is a
// temporary one; see ewal_primary_slot_drop.
//
// Ownership: nothing.
// Threads: any.
// Blocking: writes and syncs.
// Errors: NOT_FOUND, INVALID; IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK
//   from inside a callback.
ewal_status ewal_primary_unregister(ewal_primary primary,
                                    const char *id,
                                    ewal_error *error);

// Notes that a replica is being loaded from a snapshot, or not any more.
// Commits do not count on one that is. A restart keeps it.
//
// Ownership: nothing.
// Threads: any.
// Blocking: writes and syncs.
// Errors: as ewal_primary_unregister.
ewal_status ewal_primary_set_rebootstrapping(ewal_primary primary,
                                             const char *id,
                                             bool rebootstrapping,
                                             ewal_error *error);

// Notes that a replica was sent records up to an LSN, and so is there.
//
// Ownership: nothing.
// Threads: any.
// Blocking: never.
// Errors: NOT_FOUND, FENCED for any session but the newest, AHEAD beyond the
//   end (error->lsn is the end); INVALID, FAILED, CLOSED, FORKED.
ewal_status ewal_primary_note_pull(ewal_primary primary,
                                   const char *id,
                                   uint64_t generation,
                                   uint64_t sent_lsn,
                                   ewal_error *error);

// Notes that a replica was heard of.
//
// Ownership: nothing.
// Threads: any.
// Blocking: never.
// Errors: as ewal_primary_note_pull, but for AHEAD.
ewal_status ewal_primary_touch(ewal_primary primary,
                               const char *id,
                               uint64_t generation,
                               ewal_error *error);

// kind: read on above resume_lsn.
#define EWAL_RESUME_PARTIAL 1

// kind: be loaded from a snapshot; see cause.
#define EWAL_RESUME_REBOOTSTRAP 2

// kind: give up what is above common_lsn; the replica is ahead of the spool,
// or on another branch of history.
#define EWAL_RESUME_DIVERGED 3

// cause: there is no slot.
#define EWAL_CAUSE_UNKNOWN 1

// cause: the records that are needed are gone.
#define EWAL_CAUSE_WAL_REMOVED 2

// cause: the slot held back more than the horizon.
#define EWAL_CAUSE_HORIZON 3

// cause: the slot was not seen for too long.
#define EWAL_CAUSE_IDLE_TIMEOUT 4

// What a replica is to do.
typedef struct {
  // EWAL_RESUME_*.
  uint32_t kind;
  // EWAL_CAUSE_* of a rebootstrap, else 0.
  uint32_t cause;
  // Partial: what it asked for, or its slot where that is further on. Else 0.
  uint64_t resume_lsn;
  // Diverged: the last LSN that both have. Else 0.
  uint64_t common_lsn;
} ewal_resume;

// Says how a replica goes on that has everything up to since_lsn, the last of
// it of that term (0: it does not say). It goes on from its slot where that is
// further than what it asks for, but not while it is being rebootstrapped, nor
// where the slot is only what its registration pinned.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: INVALID, FAILED, CLOSED, FORKED. An id without a slot is none: it is
//   told to be loaded from a snapshot.
ewal_status ewal_primary_plan_resume(ewal_primary primary,
                                     const char *id,
                                     uint64_t since_lsn,
                                     uint64_t term,
                                     ewal_resume *out,
                                     ewal_error *error);

// The name of an EWAL_CAUSE_*, such as "wal-removed"; "" for 0, and for a
// number that this library does not know.
//
// Ownership: a static string, never freed.
// Threads: any.
// Blocking: never.
// Errors: none.
const char *ewal_cause_name(uint32_t cause);

/* ==========================================================================
 * Acknowledgements, and commits that wait for them
 *
 * A commit that waits names its policy as text. What is not known is refused, and
 * never read as "local".
 *
 *     ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
 *     policy.policy = "any 1 (replica-1, replica-2)";
 *     ewal_primary_wait_acks(primary, lsn, &policy, 1000000000, NULL, &error);
 *
 * An event loop begins the wait with ewal_primary_watch_acks, and looks at it when
 * the descriptor of ewal_primary_event_fd is readable.
 * ========================================================================== */

// A replica has received a record.
#define EWAL_LEVEL_WRITTEN 1

// A replica has made a record durable. The default.
#define EWAL_LEVEL_DURABLE 2

// A replica has applied a record.
#define EWAL_LEVEL_APPLIED 3

// flags: a commit whose policy is not met in time, or can't be, counts all the
// same where it is durable here, as degraded: EWAL_OK, counted, and an event.
#define EWAL_ACK_DEGRADE 1

// outcome: the policy is met.
#define EWAL_ACK_REACHED 1

// outcome: it was not met in time.
#define EWAL_ACK_TIMED_OUT 2

// outcome: it can't be met by the replicas there are.
#define EWAL_ACK_UNMEETABLE 3

// How far a replica has come. Begin with EWAL_ACK_INIT. All of it only rises:
// what is below an earlier acknowledgement changes nothing.
typedef struct {
  // sizeof(ewal_ack).
  uint32_t struct_size;
  // Zero.
  uint32_t reserved;
  // The LSN through which it has received. What is durable or applied was.
  uint64_t written;
  // The LSN through which it has on stable storage: its slot's restart LSN
  // follows.
  uint64_t durable;
  // The LSN through which it has applied: its slot's confirmed LSN follows.
  uint64_t applied;
  // Records that could not be applied, in all.
  uint64_t apply_errors;
  // Differences that it has found, in all.
  uint64_t divergences;
} ewal_ack;

#define EWAL_ACK_INIT { sizeof(ewal_ack), 0, 0, 0, 0, 0, 0 }

// Which replicas must have a record, and how surely, before a commit counts.
// Begin with EWAL_ACK_POLICY_INIT.
typedef struct {
  // sizeof(ewal_ack_policy).
  uint32_t struct_size;
  // EWAL_LEVEL_*; 0 is EWAL_LEVEL_DURABLE.
  uint32_t level;
  // EWAL_ACK_DEGRADE or 0.
  uint32_t flags;
  // Zero.
  uint32_t reserved;
  // Whose acknowledgements are asked for, in any case of letters:
  // "local" nobody's; "2" or "any 2" those of two, whichever; "any 2 (a, b,
  // c)" two of these; "first 2 (a, b, c)" the first two of these that are
  // there, healthy ones before others; "regions 1 (eu, us)" one in each of
  // these regions. A name with , ( ) " or space at its ends stands in
  // double quotes, and a quote in it twice. Never NULL.
  const char *policy;
} ewal_ack_policy;

#define EWAL_ACK_POLICY_INIT { sizeof(ewal_ack_policy), 0, 0, 0, NULL }

// What a commit wait came to, and by how much. Begin with EWAL_ACK_RESULT_INIT.
typedef struct {
  // sizeof(ewal_ack_result).
  uint32_t struct_size;
  // EWAL_ACK_REACHED, _TIMED_OUT or _UNMEETABLE; 0 where the call failed
  // before there was any.
  uint32_t outcome;
  // Acknowledgements that count.
  uint32_t observed;
  // Acknowledgements that the policy asks for.
  uint32_t required;
  // The commit counts although the policy is not met: EWAL_ACK_DEGRADE.
  bool degraded;
  // Zero.
  uint8_t reserved[7];
} ewal_ack_result;

#define EWAL_ACK_RESULT_INIT \
  { sizeof(ewal_ack_result), 0, 0, 0, false, { 0 } }

// Takes an acknowledgement of a session. It is in force at once, and saved a
// little later: at the latest after save_interval_ns, and before a prune that
// relies on it.
//
// Ownership: nothing passed in is kept.
// Threads: any.
// Blocking: never.
// Errors, and nothing has changed: NOT_FOUND for an id that is not registered,
//   FENCED for any session but the newest, AHEAD beyond the durable end of the
//   spool (error->lsn is the end), WAL_REMOVED for a slot that was given up;
//   INVALID, ABI, FAILED, CLOSED, FORKED.
ewal_status ewal_primary_ack(ewal_primary primary,
                             const char *id,
                             uint64_t generation,
                             const ewal_ack *ack,
                             ewal_error *error);

// Waits until the policy's replicas have the record at lsn, or it is known
// that they can't, or the time is up. Replicas that leave stop counting, and
// those who wait see it. What it calls reached is kept durably first: the
// spool is never cut below it.
//
// Ownership: nothing passed in is kept. out may be NULL. It is filled also
//   where the status is TIMEOUT or NOT_FOUND.
// Threads: any number.
// Blocking: up to timeout_ns (0 polls, negative waits for ever), and for
//   saving what was reached.
// Errors: OK: the policy is met, or the commit counts as degraded. TIMEOUT: it
//   is not met yet. NOT_FOUND: the replicas that it asks for are not there
//   (fewer than it needs, a region with none). INVALID for a policy that is
//   none: an unknown one is never read as "local". IO, NO_SPACE, FAILED, ABI,
//   CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_primary_wait_acks(ewal_primary primary,
                                   uint64_t lsn,
                                   const ewal_ack_policy *policy,
                                   int64_t timeout_ns,
                                   ewal_ack_result *out,
                                   ewal_error *error);

// The LSN that at least n replicas have at a level (EWAL_LEVEL_*), without
// waiting; 0 where there are fewer. Those that are being rebootstrapped, or
// whose slot was given up, do not count.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: INVALID for an n of 0, an unknown level, or where out is NULL;
//   CLOSED, FORKED.
ewal_status ewal_primary_quorum_lsn(ewal_primary primary,
                                    size_t n,
                                    uint32_t level,
                                    uint64_t *out,
                                    ewal_error *error);

// A commit wait that was begun. A value, 0 is null; see ewal_coordinator.
typedef struct {
  // Opaque; 0 is null.
  uint64_t id;
} ewal_ack_watch;

// A new eventfd that becomes readable each time a commit wait of
// ewal_primary_watch_acks is decided, and after failure and close. Read it to
// reset it, then ask each of them. Those with the policy "local" wait for the
// spool: ewal_spool_event_fd tells of that.
//
// Ownership: the caller closes *out_fd; it is close-on-exec and does not
//   block, and outlives the primary.
// Threads: any.
// Blocking: never.
// Errors: IO where descriptors are exhausted; CLOSED, FORKED, INVALID.
ewal_status ewal_primary_event_fd(ewal_primary primary,
                                  int *out_fd,
                                  ewal_error *error);

// Begins a commit wait that nobody sleeps in. It may be decided at once.
//
// Ownership: nothing passed in is kept. The caller ends *out, before or after
//   the primary is closed, with ewal_ack_watch_finish. Until then it keeps
//   memory of the primary.
// Threads: any.
// Blocking: never.
// Errors: INVALID for a policy that is none; ABI, FAILED, CLOSED, FORKED.
ewal_status ewal_primary_watch_acks(ewal_primary primary,
                                    uint64_t lsn,
                                    const ewal_ack_policy *policy,
                                    ewal_ack_watch *out,
                                    ewal_error *error);

// Whether ewal_ack_watch_finish would give anything but TIMEOUT now.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: FAILED or CLOSED where nothing is to come any more; CLOSED once it is
//   ended; FORKED, INVALID.
ewal_status ewal_ack_watch_decided(ewal_ack_watch watch,
                                   bool *out,
                                   ewal_error *error);

// Ends a commit wait as ewal_primary_wait_acks ends when its time is up.
//
// Ownership: ends the handle, whatever it gives, but for DEADLOCK. out may be
//   NULL. It is filled also where the status is TIMEOUT or NOT_FOUND.
// Threads: any.
// Blocking: for saving what was reached.
// Errors: as ewal_primary_wait_acks.
ewal_status ewal_ack_watch_finish(ewal_ack_watch watch,
                                  ewal_ack_result *out,
                                  ewal_error *error);

/* ==========================================================================
 * Slots, replicas, and figures
 *
 * A slot outlives its replica's sessions, and the primary's. It is given up where
 * it holds back more than the horizon, was not seen for too long, or needs what
 * is gone: it then holds nothing back, and its replica must be loaded anew.
 *
 * The callbacks of these listings run on the calling thread, under no lock, and
 * may call any function. (DEADLOCK from inside a callback is about the callbacks
 * of ewal_on_durable.)
 * ========================================================================== */

// wal_status: the records are there, and the slot is not half way to the
// horizon.
#define EWAL_WAL_RESERVED 1

// wal_status: they are there, and the slot is beyond half of the horizon.
#define EWAL_WAL_EXTENDED 2

// wal_status: they are there, and the slot is beyond the horizon: the next look
// at the limits gives it up.
#define EWAL_WAL_UNRESERVED 3

// wal_status: they are gone, or nothing holds them any more.
#define EWAL_WAL_LOST 4

// lsn of ewal_primary_slot_create and _reset: the end of the spool.
#define EWAL_SLOT_AT_END UINT64_MAX

// archived_lsn of ewal_primary_prune: there is no archive.
#define EWAL_NO_ARCHIVE UINT64_MAX

// A slot as a listing shows it. Filled by the library; a later one may have
// more fields, see struct_size. Times are milliseconds since the Unix epoch.
typedef struct {
  // Bytes that the library filled.
  uint32_t struct_size;
  // EWAL_WAL_*.
  uint32_t wal_status;
  // Its replica's; borrowed for the time of the callback.
  const char *id;
  // NULL where it has none; borrowed likewise.
  const char *region;
  // Durable at the replica: nothing above it is pruned.
  uint64_t restart_lsn;
  // Applied by the replica.
  uint64_t confirmed_lsn;
  // The restart LSN that a crash would leave; 0 where that is none yet.
  uint64_t saved_lsn;
  // Bytes of log that can be written until the slot is given up; 0 where it
  // is lost, UINT64_MAX where no horizon is set. Where the horizon is one of
  // LSNs it is estimated from the log's mean record.
  uint64_t safe_wal_size;
  // When the replica was seen last.
  uint64_t last_seen_ms;
  // When the slot was made.
  uint64_t created_ms;
  // When it was given up; 0 where it was not.
  uint64_t invalidated_ms;
  // EWAL_CAUSE_* of a slot that was given up, else 0.
  uint32_t cause;
  // Not saved: gone when its replica unregisters or the primary closes.
  bool temporary;
  // Its replica is a member of the registry.
  bool registered;
  // Its replica is being loaded from a snapshot.
  bool rebootstrapping;
  // Zero.
  uint8_t reserved;
} ewal_slot_info;

// Called for each slot; non-zero stops the listing. Must return without
// unwinding: no C++ exception, no longjmp.
typedef int (*ewal_slot_fn)(void *user, const ewal_slot_info *slot);

// Calls back for each slot, by id, as they were at one moment.
//
// Ownership: what the callback gets is borrowed for its time.
// Threads: any. The callback runs on the calling thread, under no lock, and
//   may call any function, those that change slots too.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED; a callback that stops the listing is none.
ewal_status ewal_primary_slots(ewal_primary primary,
                               ewal_slot_fn function,
                               void *user,
                               ewal_error *error);

// Calls back once, for the slot of this id; what the function gives is ignored.
//
// Ownership: nothing passed in is kept. What the callback gets is borrowed for
//   its time.
// Threads: as ewal_primary_slots.
// Blocking: never.
// Errors: NOT_FOUND where there is no such slot, and no call; INVALID, CLOSED,
//   FORKED.
ewal_status ewal_primary_slot(ewal_primary primary,
                              const char *id,
                              ewal_slot_fn function,
                              void *user,
                              ewal_error *error);

// Makes a slot at an LSN, or at the end of the spool (EWAL_SLOT_AT_END): what
// lies above is not pruned. A temporary one is not saved.
//
// Ownership: nothing passed in is kept.
// Threads: any.
// Blocking: writes and syncs.
// Errors: EXISTS; WAL_REMOVED below the first LSN that can be read, AHEAD beyond
//   the end (error->lsn has these); TOO_LARGE above max_slots; INVALID, IO,
//   NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_primary_slot_create(ewal_primary primary,
                                     const char *id,
                                     uint64_t lsn,
                                     bool temporary,
                                     ewal_error *error);

// Drops a slot, and its replica from the registry: what it held back may be
// pruned.
//
// Ownership: nothing.
// Threads: any.
// Blocking: writes and syncs.
// Errors: NOT_FOUND, INVALID, IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK
//   from inside a callback.
ewal_status ewal_primary_slot_drop(ewal_primary primary,
                                   const char *id,
                                   ewal_error *error);

// Revives a slot after a new bootstrap of its replica, which has everything up
// to lsn (EWAL_SLOT_AT_END: the end of the spool); what it acknowledged before
// counts no more. A slot that is valid is not set back: drop it, and make it
// again.
//
// Ownership: nothing.
// Threads: any.
// Blocking: writes and syncs.
// Errors: NOT_FOUND; ORDER for a valid slot that stands above lsn, WAL_REMOVED
//   and AHEAD as ewal_primary_slot_create (error->lsn has these); INVALID, IO,
//   NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_primary_slot_reset(ewal_primary primary,
                                    const char *id,
                                    uint64_t lsn,
                                    ewal_error *error);

// Looks at everyone's health, gives up slots that are beyond a limit, and calls
// back for each of these. Each prune does so by itself. Time is measured by a
// clock that only goes on, from when the primary was opened or saw the replica
// last: now_unix_ms (0: by the system's clock) only stamps what is done.
//
// Ownership: what the callback gets is borrowed for its time. It may be NULL.
// Threads: as ewal_primary_slots.
// Blocking: writes and syncs where something has changed.
// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
//   A callback that stops the listing is none, and all are given up all the
//   same.
ewal_status ewal_primary_enforce_limits(ewal_primary primary,
                                        uint64_t now_unix_ms,
                                        ewal_slot_fn function,
                                        void *user,
                                        ewal_error *error);

// Prunes what nobody holds: after a look at the limits and a save of the slots,
// through the lowest saved restart LSN of the valid slots, not beyond the end,
// nor beyond archived_lsn (EWAL_NO_ARCHIVE: there is no archive). *out_pruned
// says how far pruning has come. Without space to save slots it prunes by what
// was saved before, because that is how space comes back.
//
// Ownership: out_pruned may be NULL.
// Threads: any, also while others append and read.
// Blocking: writes and syncs.
// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_primary_prune(ewal_primary primary,
                               uint64_t archived_lsn,
                               uint64_t *out_pruned,
                               ewal_error *error);

// Saves at once what acknowledgements have raised.
//
// Ownership: nothing.
// Threads: any.
// Blocking: writes and syncs.
// Errors: IO, NO_SPACE, FAILED, CLOSED, FORKED, DEADLOCK from inside a callback.
ewal_status ewal_primary_save(ewal_primary primary,
                              ewal_error *error);

// The slots in the layout of the older store, which is JSON, as snprintf writes
// it: cut to cap - 1 bytes and ended with NUL; *out_len is the whole text's
// length. It may have grown since it was measured.
//
// Ownership: buf is the caller's; NULL with a cap of 0 measures. out_len
//   may be NULL.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_primary_export_slots(ewal_primary primary,
                                      char *buf,
                                      size_t cap,
                                      size_t *out_len,
                                      ewal_error *error);

// The name of an EWAL_WAL_*, such as "reserved"; "" for a number that this
// library does not know.
//
// Ownership: a static string, never freed.
// Threads: any.
// Blocking: never.
// Errors: none.
const char *ewal_wal_status_name(uint32_t wal_status);

// A member of the registry as a listing shows it. Filled by the library; a
// later one may have more fields, see struct_size. Times are milliseconds since
// the Unix epoch.
typedef struct {
  // Bytes that the library filled.
  uint32_t struct_size;
  // It was seen within healthy_for_ns, as of the last look at the limits.
  bool healthy;
  // It is being loaded from a snapshot.
  bool rebootstrapping;
  // Commits may count on it: its slot is valid, and it is not being
  // rebootstrapped.
  bool counts;
  // Zero.
  uint8_t reserved;
  // Borrowed for the time of the callback.
  const char *id;
  // NULL where it has none; borrowed likewise.
  const char *region;
  // Of its session; 0 where it has had none since the primary was opened.
  uint64_t generation;
  // When its session began; 0 where it has none.
  uint64_t connected_at_ms;
  // When it was seen last.
  uint64_t last_seen_ms;
  // The LSN through which it was sent records.
  uint64_t sent_lsn;
  // The LSN through which it has received.
  uint64_t written_lsn;
  // The LSN through which it has on stable storage.
  uint64_t durable_lsn;
  // The LSN through which it has applied.
  uint64_t applied_lsn;
  // Records that it could not apply.
  uint64_t apply_errors;
  // Differences that it has found.
  uint64_t divergences;
} ewal_replica_info;

// Called for each replica; non-zero stops the listing. Must return without
// unwinding: no C++ exception, no longjmp.
typedef int (*ewal_replica_fn)(void *user, const ewal_replica_info *replica);

// How far the replicas are together. Those whose slot was given up, or who are
// being rebootstrapped, are left out. Begin with EWAL_PROGRESS_INIT.
typedef struct {
  // sizeof(ewal_progress).
  uint32_t struct_size;
  // Whether there is a valid slot.
  bool has_retention_floor;
  // Zero.
  uint8_t reserved[3];
  // Replicas that are counted here.
  uint64_t replicas;
  // The highest LSN that was sent to one.
  uint64_t highest_sent;
  // The lowest that one has applied; 0 where there is none.
  uint64_t lowest_applied;
  // The distance of the two.
  uint64_t lag;
  // The lowest LSN that one has durable: all of them can replay to it; 0
  // where there is none.
  uint64_t safe_replay_lsn;
  // The lowest restart LSN of the valid slots; see has_retention_floor.
  uint64_t retention_floor;
  // The highest LSN that a commit wait called reached.
  uint64_t quorum_lsn;
} ewal_progress;

#define EWAL_PROGRESS_INIT \
  { sizeof(ewal_progress), false, { 0 }, 0, 0, 0, 0, 0, 0, 0 }

// Calls back for each member of the registry, by id, as they were at one
// moment.
//
// Ownership: what the callback gets is borrowed for its time.
// Threads: any. The callback runs on the calling thread, under no lock, and
//   may call any function.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED; a callback that stops the listing is none.
ewal_status ewal_primary_replicas(ewal_primary primary,
                                  ewal_replica_fn function,
                                  void *user,
                                  ewal_error *error);

// How far the replicas are together.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_primary_progress(ewal_primary primary,
                                  ewal_progress *out,
                                  ewal_error *error);

// kind: a slot was given up (slot_id, cause, lsn: where it stood).
#define EWAL_EVENT_SLOT_INVALIDATED 1

// kind: a commit counts although its policy was not met (lsn, observed,
// required).
#define EWAL_EVENT_COMMIT_DEGRADED 2

// kind: a crash had cut a save short that was never acknowledged (count:
// bytes dropped).
#define EWAL_EVENT_STORE_TORN_TAIL 3

// kind: a damaged or lost slot store was replaced by what could be read of it
// (count: slots).
#define EWAL_EVENT_STORE_SALVAGED 4

// kind: the slots of another store were taken over (count: slots).
#define EWAL_EVENT_SLOTS_IMPORTED 5

// kind: there was no space to save slots; it is tried again.
#define EWAL_EVENT_STORE_WITHOUT_SPACE 6

// kind: the slot store has failed for good (message).
#define EWAL_EVENT_STORE_FAILED 7

// A primary's figures. Counters count since open. Begin with
// EWAL_REPLICATION_STATS_INIT.
typedef struct {
  // sizeof(ewal_replication_stats).
  uint32_t struct_size;
  // Zero.
  uint32_t reserved;
  // Slots now.
  uint64_t slots;
  // Slots that hold records back.
  uint64_t valid_slots;
  // Members of the registry.
  uint64_t replicas;
  // Members that were seen of late.
  uint64_t healthy_replicas;
  // Registrations that made a slot.
  uint64_t registrations;
  // Registrations of known replicas.
  uint64_t reconnects;
  // Acknowledgements taken.
  uint64_t acks;
  // Acknowledgements refused: of an unknown id.
  uint64_t acks_unknown;
  // Acknowledgements refused: of an older session.
  uint64_t acks_fenced;
  // Acknowledgements refused: beyond the end.
  uint64_t acks_ahead;
  // Acknowledgements refused: for a slot that was given up.
  uint64_t acks_invalid;
  // Slots given up: their records are gone.
  uint64_t invalidated_wal_removed;
  // Slots given up: beyond the horizon.
  uint64_t invalidated_horizon;
  // Slots given up: not seen for too long.
  uint64_t invalidated_idle;
  // Resume plans: read on.
  uint64_t resumes_partial;
  // Resume plans: give up a tail.
  uint64_t resumes_diverged;
  // Full rebootstraps: no slot.
  uint64_t rebootstraps_unknown;
  // Full rebootstraps: the records are gone.
  uint64_t rebootstraps_wal_removed;
  // Full rebootstraps: given up beyond the horizon.
  uint64_t rebootstraps_horizon;
  // Full rebootstraps: given up because not seen.
  uint64_t rebootstraps_idle;
  // Commit waits that reached their policy.
  uint64_t waits_reached;
  // Commit waits that did not in time.
  uint64_t waits_timed_out;
  // Commit waits that could not.
  uint64_t waits_unmeetable;
  // Of these two, those that counted all the same.
  uint64_t waits_degraded;
  // Commit waits that sleep now.
  uint64_t waiting;
  // Saves of the slot store, each a write and a sync.
  uint64_t saves;
  // Their bytes.
  uint64_t save_bytes;
  // Of the saves, those that wrote a new file.
  uint64_t compactions;
  // Saves that found no space, and were or will be tried again.
  uint64_t saves_without_space;
  // Prunes.
  uint64_t prunes;
} ewal_replication_stats;

#define EWAL_REPLICATION_STATS_INIT \
  { sizeof(ewal_replication_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

// Something that an operator wants to hear of. Filled by the library; a later
// one may have more fields, see struct_size, and more kinds.
typedef struct {
  // Bytes that the library filled.
  uint32_t struct_size;
  // EWAL_EVENT_*, which say what of the rest is set.
  uint32_t kind;
  // Events are numbered from 1; a gap is what a reader was too late for.
  uint64_t number;
  // When, in milliseconds since the Unix epoch.
  uint64_t at_ms;
  // Of a slot; else NULL. Borrowed for the time of the callback.
  const char *slot_id;
  // Why; else NULL. Borrowed likewise.
  const char *message;
  // A slot's place, or a commit's.
  uint64_t lsn;
  // Of bytes or of slots.
  uint64_t count;
  // EWAL_CAUSE_*, or 0.
  uint32_t cause;
  // Acknowledgements there were.
  uint32_t observed;
  // Acknowledgements the policy asks for.
  uint32_t required;
  // Zero.
  uint32_t reserved;
} ewal_primary_event;

// Called for each event; non-zero stops the listing. Must return without
// unwinding: no C++ exception, no longjmp.
typedef int (*ewal_primary_event_fn)(void *user, const ewal_primary_event *event);

// A snapshot of the primary's figures. Those of its spool: ewal_spool_stats.
//
// Ownership: *out is the caller's.
// Threads: any.
// Blocking: never, but for a save of the slots under way.
// Errors: INVALID, CLOSED, FORKED.
ewal_status ewal_primary_stats(ewal_primary primary,
                               ewal_replication_stats *out,
                               ewal_error *error);

// Calls back for each event whose number is above after, oldest first, as far
// as they are kept (trace_capacity).
//
// Ownership: what the callback gets is borrowed for its time.
// Threads: any. The callback runs on the calling thread, under no lock, and
//   may call any function.
// Blocking: never.
// Errors: INVALID, CLOSED, FORKED; a callback that stops the listing is none.
ewal_status ewal_primary_events_since(ewal_primary primary,
                                      uint64_t after,
                                      ewal_primary_event_fn function,
                                      void *user,
                                      ewal_error *error);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* EPOCHWAL_H */
