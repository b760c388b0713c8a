/* The header by itself, in every C and C++ that it promises. */
#include "epochwal.h"

int main(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_batch batch = EWAL_BATCH_INIT;
  ewal_coordinator_options options = EWAL_COORDINATOR_OPTIONS_INIT;
  ewal_recovery_options recovery = EWAL_RECOVERY_OPTIONS_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  ewal_stats stats = EWAL_STATS_INIT;
  ewal_segment_record record = EWAL_SEGMENT_RECORD_INIT;
  ewal_spool_options spool = EWAL_SPOOL_OPTIONS_INIT;
  ewal_spool_summary found = EWAL_SPOOL_SUMMARY_INIT;
  ewal_salvage_report report = EWAL_SALVAGE_REPORT_INIT;
  ewal_primary_options primary = EWAL_PRIMARY_OPTIONS_INIT;
  ewal_ack ack = EWAL_ACK_INIT;
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_ack_result result = EWAL_ACK_RESULT_INIT;
  ewal_progress progress = EWAL_PROGRESS_INIT;
  ewal_replication_stats figures = EWAL_REPLICATION_STATS_INIT;
  int32_t status = EWAL_E_CORRUPT;
  switch (status) {
  case EWAL_OK:
  case EWAL_TIMEOUT:
    return 1;
  case EWAL_E_CORRUPT:
  default:
    break;
  }
  return !(error.struct_size == sizeof(ewal_error) &&
           batch.struct_size == sizeof(ewal_batch) &&
           options.struct_size == sizeof(ewal_coordinator_options) &&
           recovery.struct_size == sizeof(ewal_recovery_options) &&
           summary.struct_size == sizeof(ewal_recovery_summary) &&
           stats.struct_size == sizeof(ewal_stats) && record.txn_id == 0 &&
           spool.struct_size == sizeof(ewal_spool_options) &&
           found.struct_size == sizeof(ewal_spool_summary) &&
           report.struct_size == sizeof(ewal_salvage_report) &&
           primary.struct_size == sizeof(ewal_primary_options) &&
           ack.struct_size == sizeof(ewal_ack) &&
           policy.struct_size == sizeof(ewal_ack_policy) &&
           result.struct_size == sizeof(ewal_ack_result) &&
           progress.struct_size == sizeof(ewal_progress) &&
           figures.struct_size == sizeof(ewal_replication_stats));
}
