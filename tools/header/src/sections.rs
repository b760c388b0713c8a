//! The header's sections in the order of use: which files of `src/ffi` they
//! show, the prose before, and the macros after, which cbindgen can't know.

/// A part of the header.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What a reader should know before the declarations.
    pub prose: &'static str,
    /// Files of `src/ffi`.
    pub files: &'static [&'static str],
    /// Initialisers of the section's structs: the struct, and its macro.
    pub macros: &'static [(&'static str, &'static str)],
}

/// What stands before the first section; the crate's version is put in.
pub const BEGIN: &str = r#"/* epochwal.h: the C interface of libepochwal.
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
#define EWAL_VERSION "@VERSION@"

#ifdef __cplusplus
extern "C" {
#endif
"#;

/// What stands after the last section.
pub const END: &str = r#"
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* EPOCHWAL_H */
"#;

/// All sections.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "Version",
        prose: "
A program compiled with this header runs with any library of the same SONAME that
is not older.
",
        files: &["version.rs"],
        macros: &[],
    },
    Section {
        title: "Status and errors",
        prose: "
What to do about a status depends on its kind:

    call again            TIMEOUT, BUSY; NO_SPACE, NO_MEMORY once there is some
    mend the call         INVALID, TOO_LARGE, ABI, ORDER, DEADLOCK, CLOSED,
                          NOT_FOUND, EXISTS, UNSUPPORTED
    open anew, and look   FAILED, OUTCOME_UNKNOWN, PANIC, FORKED
    tell who asked        FENCED, WAL_REMOVED, AHEAD, DIVERGED
    ask an operator       IO, CORRUPT, FORMAT, LOCKED
",
        files: &["status.rs", "error.rs"],
        macros: &[(
            "ewal_error",
            r"#define EWAL_ERROR_INIT { sizeof(ewal_error), 0, 0, { 0 }, 0, 0, 0 }",
        )],
    },
    Section {
        title: "Batches",
        prose: "
A batch is the frames of one transaction: page images in write order. The
caller's memory is copied before a call returns. Where the caller gives the
commit sequences (the default), batches that depend on each other or share a
page are submitted in the order of their sequences, the one's submit returning
before the other's is called.
",
        files: &["batch.rs"],
        macros: &[(
            "ewal_batch",
            r"#define EWAL_BATCH_INIT \
  { sizeof(ewal_batch), 0, 0, 0, NULL, 0, { NULL, 0 } }",
        )],
    },
    Section {
        title: "Coordinator",
        prose: "
One writer per database, across processes. Any number of threads share it.
",
        files: &["options.rs", "coordinator.rs"],
        macros: &[(
            "ewal_coordinator_options",
            r"#define EWAL_COORDINATOR_OPTIONS_INIT \
  { sizeof(ewal_coordinator_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    { 0 } }",
        )],
    },
    Section {
        title: "Waiting",
        prose: "
A batch is durable with its epoch. Wait for it with a thread (ewal_wait,
ewal_flush), with a descriptor in an event loop (ewal_event_fd and
ewal_request_flush), or with a callback (ewal_on_durable).
",
        files: &["callback.rs", "wait.rs"],
        macros: &[],
    },
    Section {
        title: "Recovery",
        prose: "
After a crash, the log gives back the committed batches above the checkpoint,
in replay order: as a stream, with memory for one epoch at a time, or straight
into a database file. A torn tail, which holds nothing that was ever
acknowledged, is dropped and reported. Damage to what was acknowledged is
EWAL_E_CORRUPT, never a silent cut.
",
        files: &["recovery.rs"],
        macros: &[
            (
                "ewal_recovery_options",
                r"#define EWAL_RECOVERY_OPTIONS_INIT \
  { sizeof(ewal_recovery_options), 0, { 0 } }",
            ),
            (
                "ewal_recovery_summary",
                r"#define EWAL_RECOVERY_SUMMARY_INIT \
  { sizeof(ewal_recovery_summary), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    false, { 0 } }",
            ),
        ],
    },
    Section {
        title: "Checkpoint and segment files",
        prose: "
Once the caller's database file holds all pages through an epoch and is synced,
a checkpoint lets their segments be used again. The other functions need no
coordinator.
",
        files: &["checkpoint.rs"],
        macros: &[],
    },
    Section {
        title: "Segments of format version 1",
        prose: "
For engines that write that format by themselves, one file per epoch, beside
no coordinator.
",
        files: &["segment.rs"],
        macros: &[(
            "ewal_segment_record",
            r"#define EWAL_SEGMENT_RECORD_INIT \
  { 0, 0, 0, 0, 0, 0, false, { 0 }, { NULL, 0 }, { NULL, 0 } }",
        )],
    },
    Section {
        title: "Statistics",
        prose: "
Counters and gauges that cost nothing to keep and little to read, of a coordinator
and, by ewal_spool_stats, of a spool.
",
        files: &["stats.rs"],
        macros: &[
            (
                "ewal_latency",
                r"#define EWAL_LATENCY_INIT { 0, 0, 0, 0, 0, 0, 0 }",
            ),
            (
                "ewal_stats",
                r"#define EWAL_STATS_INIT \
  { sizeof(ewal_stats), 0, 0, false, false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EWAL_LATENCY_INIT, EWAL_LATENCY_INIT }",
            ),
        ],
    },
    Section {
        title: "Spool",
        prose: "
The primary's side of log shipping: a durable, ordered log of opaque records,
each with its LSN and the term of the primary that wrote it. LSNs strictly rise,
with gaps unless EWAL_SPOOL_DENSE is set; terms never fall. One writer per
spool, across processes; any number of threads append to it, and one write with
one sync makes durable what all of them have staged.
",
        files: &["record.rs", "spool_options.rs", "spool.rs"],
        macros: &[(
            "ewal_spool_options",
            r"#define EWAL_SPOOL_OPTIONS_INIT \
  { sizeof(ewal_spool_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL }",
        )],
    },
    Section {
        title: "Reading a spool",
        prose: "
Nothing is read before it is durable. Three answers are for a replica to act on:
EWAL_E_WAL_REMOVED (what it needs is gone: it must begin anew), EWAL_E_AHEAD (it
has what this primary has not), and EWAL_E_DIVERGED, of ewal_spool_check_term (it
has a tail of its own). The records of a read are shared with other readers where
they come from memory, and borrowed until they are released. A cursor keeps its
place, and waits for what comes.
",
        files: &["records.rs", "cursor.rs"],
        macros: &[],
    },
    Section {
        title: "Reading a spool from outside",
        prose: "
Another process, or one without the spool's handle, reads a spool beside its
writer or where none lives: it takes no writer's lock, and writes nothing. A
reader gives what was durable when it was opened, and then EWAL_END; while it is
open no file that it may still read is used again. To follow a spool, open another
reader behind the last record.

    ewal_spool_reader reader;
    ewal_records records;
    status = ewal_spool_reader_open(path, have, &reader, &error);
    while (status == EWAL_OK &&
           (status = ewal_spool_reader_next(reader, 1000, 1 << 20, &records,
                                            &error)) == EWAL_OK) {
      have = apply(records);
      ewal_records_release(records);
    }
    ewal_spool_reader_close(reader);
",
        files: &["spool_reader.rs"],
        macros: &[(
            "ewal_spool_summary",
            r"#define EWAL_SPOOL_SUMMARY_INIT \
  { sizeof(ewal_spool_summary), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, \
    false, false, { 0 } }",
        )],
    },
    Section {
        title: "Keeping a spool",
        prose: "
Pruning lets records go that nobody needs any more; it never rewrites what it
keeps. A spool pruned empty goes on after the last LSN that it ever had.
",
        files: &["spool_keep.rs", "spool_history.rs"],
        macros: &[(
            "ewal_salvage_report",
            r"#define EWAL_SALVAGE_REPORT_INIT \
  { sizeof(ewal_salvage_report), false, { 0 }, 0, 0, 0, 0, 0, 0 }",
        )],
    },
    Section {
        title: "Single-file spools",
        prose: "
RDLW is the format of other software: one file, without a watermark. One at
<data file>.logical.wal is taken in by the open that finds it, and renamed aside
once its records are durable here.
",
        files: &["spool_rdlw.rs"],
        macros: &[],
    },
    Section {
        title: "Primary",
        prose: "
A primary is a spool with the durable knowledge of how far each replica has
come: its slots. It owns its spool; either of the two can be opened on one path
at a time. A replica registers, is told where to go on, reads records from the
spool, and acknowledges what it has. What no slot needs is pruned by
ewal_primary_prune; ewal_spool_prune_through on its spool goes no further.

One session per id is alive: each registration gives a generation, and what an
older one says is refused. A slot store that can't be read is an error and stops
pruning: nothing begins anew by itself.
",
        files: &[
            "primary_options.rs",
            "primary.rs",
            "primary_registry.rs",
            "primary_resume.rs",
        ],
        macros: &[(
            "ewal_primary_options",
            r"#define EWAL_PRIMARY_OPTIONS_INIT \
  { sizeof(ewal_primary_options), 0, 0, 0, 0, 0, 0, 0, 0, NULL }",
        )],
    },
    Section {
        title: "Acknowledgements, and commits that wait for them",
        prose: "
A commit that waits names its policy as text. What is not known is refused, and
never read as \"local\".

    ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
    policy.policy = \"any 1 (replica-1, replica-2)\";
    ewal_primary_wait_acks(primary, lsn, &policy, 1000000000, NULL, &error);

An event loop begins the wait with ewal_primary_watch_acks, and looks at it when
the descriptor of ewal_primary_event_fd is readable.
",
        files: &["primary_ack.rs", "primary_watch.rs"],
        macros: &[
            (
                "ewal_ack",
                r"#define EWAL_ACK_INIT { sizeof(ewal_ack), 0, 0, 0, 0, 0, 0 }",
            ),
            (
                "ewal_ack_policy",
                r"#define EWAL_ACK_POLICY_INIT { sizeof(ewal_ack_policy), 0, 0, 0, NULL }",
            ),
            (
                "ewal_ack_result",
                r"#define EWAL_ACK_RESULT_INIT \
  { sizeof(ewal_ack_result), 0, 0, 0, false, { 0 } }",
            ),
        ],
    },
    Section {
        title: "Slots, replicas, and figures",
        prose: "
A slot outlives its replica's sessions, and the primary's. It is given up where
it holds back more than the horizon, was not seen for too long, or needs what
is gone: it then holds nothing back, and its replica must be loaded anew.

The callbacks of these listings run on the calling thread, under no lock, and
may call any function. (DEADLOCK from inside a callback is about the callbacks
of ewal_on_durable.)
",
        files: &[
            "primary_slots.rs",
            "primary_replicas.rs",
            "primary_stats.rs",
        ],
        macros: &[
            (
                "ewal_progress",
                r"#define EWAL_PROGRESS_INIT \
  { sizeof(ewal_progress), false, { 0 }, 0, 0, 0, 0, 0, 0, 0 }",
            ),
            (
                "ewal_replication_stats",
                r"#define EWAL_REPLICATION_STATS_INIT \
  { sizeof(ewal_replication_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }",
            ),
        ],
    },
];
