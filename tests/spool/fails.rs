//! Failing calls: what is acknowledged stays, what is not is never claimed.

use super::common::{PATIENCE, Place};
use super::tools::{append, open, read_all, small};
use epochwal::ErrorKind;
use epochwal::coordinator::SyncStyle;
use epochwal::spool::SpoolOptions;
use epochwal::storage::sim::{Call, FaultPlan, SimStorage};

#[test]
fn no_space_in_the_middle_of_a_record_heals_when_space_returns() {
    for style in [SyncStyle::Direct, SyncStyle::Buffered] {
        let disk = SimStorage::new();
        let place = Place::sim(&disk);
        let options = SpoolOptions {
            sync_style: style,
            ..small()
        };
        let spool = open(&place, &options).unwrap();
        append(&spool, 1, 1).unwrap();
        let short = disk.fail(FaultPlan::short(Call::Write, 512).on(".wal-seg-").nth(0));
        let full = disk.fail(
            FaultPlan::error(Call::Write, libc::ENOSPC)
                .on(".wal-seg-")
                .nth(1)
                .always(),
        );
        let error = append(&spool, 1, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{style:?}: {error}");
        assert!(short.hits() > 0 && full.hits() > 0);
        assert_eq!(
            read_all(&spool, 0, 10).unwrap(),
            [1],
            "not durable, not seen"
        );
        disk.clear_faults();
        // What tried again beside may have found no space just before.
        if let Err(late) = append(&spool, 1, 3) {
            assert_eq!(late.kind(), ErrorKind::NoSpace, "{late}");
            spool.flush(PATIENCE).unwrap();
        }
        assert_eq!(read_all(&spool, 0, 10).unwrap(), [1, 2, 3]);
        spool.close(PATIENCE).unwrap();
        assert_eq!(
            read_all(&open(&place, &options).unwrap(), 0, 10).unwrap(),
            [1, 2, 3]
        );
    }
}

#[test]
fn a_failed_sync_is_final_and_readers_keep_what_was_durable() {
    let disk = SimStorage::new();
    let place = Place::sim(&disk);
    let options = SpoolOptions {
        sync_style: SyncStyle::Buffered,
        ..small()
    };
    let spool = open(&place, &options).unwrap();
    append(&spool, 1, 1).unwrap();
    let fault = disk.fail(
        FaultPlan::error(Call::SyncAll, libc::EIO)
            .on(".wal-seg-")
            .always(),
    );
    let error = append(&spool, 1, 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    fault.lift();
    assert_eq!(append(&spool, 1, 3).unwrap_err().kind(), ErrorKind::Failed);
    assert_eq!(
        spool.wait_after(1, PATIENCE).unwrap_err().kind(),
        ErrorKind::Failed
    );
    assert_eq!(read_all(&spool, 0, 10).unwrap(), [1]);
    assert_eq!(
        spool.prune_through(1).unwrap_err().kind(),
        ErrorKind::Failed
    );
    drop(spool);
    let spool = open(&place, &options).unwrap();
    let got = read_all(&spool, 0, 10).unwrap();
    assert!(got == [1] || got == [1, 2], "{got:?}");
    append(&spool, 1, 3).unwrap();
}
