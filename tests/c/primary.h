/* What the tests of the primary share. */
#ifndef PRIMARY_H
#define PRIMARY_H

#include "spool.h"

/* Opens a primary in the scratch directory; in memory where there is no name. */
static inline ewal_primary open_primary(const char *name,
                                        const ewal_primary_options *options) {
  ewal_primary primary;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK,
         ewal_primary_open(name ? in_scratch(name) : NULL, options, &primary, &error),
         &error);
  return primary;
}

static inline void close_primary(ewal_primary primary) {
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_primary_close(primary, -1, &error), &error);
}

static inline ewal_spool spool_of(ewal_primary primary) {
  ewal_spool spool;
  CHECK(ewal_primary_spool(primary, &spool) == EWAL_OK);
  return spool;
}

/* Appends records up to an LSN, all of term 1. */
static inline void fill(ewal_primary primary, uint64_t through) {
  ewal_spool spool = spool_of(primary);
  uint64_t lsn;
  CHECK(ewal_spool_bounds(spool, NULL, &lsn, NULL) == EWAL_OK);
  while (lsn < through)
    append(spool, 1, ++lsn);
}

static inline ewal_registration join(ewal_primary primary, const char *id,
                                     const char *region) {
  ewal_registration got;
  ewal_error error = EWAL_ERROR_INIT;
  EXPECT(EWAL_OK, ewal_primary_register(primary, id, region, &got, &error), &error);
  return got;
}

/* A replica has everything up to an LSN; what the primary says to that. */
static inline ewal_status has(ewal_primary primary, const char *id, uint64_t generation,
                              uint64_t lsn, ewal_error *error) {
  ewal_ack ack = EWAL_ACK_INIT;
  ack.written = ack.durable = ack.applied = lsn;
  return ewal_primary_ack(primary, id, generation, &ack, error);
}

/* Waits by a policy's text, at the level of the default. */
static inline ewal_status wait_for(ewal_primary primary, uint64_t lsn, const char *text,
                                   int64_t timeout_ns, ewal_ack_result *result,
                                   ewal_error *error) {
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  policy.policy = text;
  return ewal_primary_wait_acks(primary, lsn, &policy, timeout_ns, result, error);
}

#endif
