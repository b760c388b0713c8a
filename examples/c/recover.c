/* recover DB TARGET PAGE_SIZE: shows what the log of DB holds, and writes its
 * pages into the file TARGET.
 *
 *     cc recover.c $(pkg-config --cflags --libs epochwal) -o recover
 */
#include <epochwal.h>

#include <stdio.h>
#include <stdlib.h>

static int die(const char *what, const ewal_error *error) {
  fprintf(stderr, "recover: %s: %s: %s\n", what, ewal_status_name(error->code),
          error->message);
  return 1;
}

int main(int argc, char **argv) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovery_summary summary = EWAL_RECOVERY_SUMMARY_INIT;
  ewal_recovery log;
  ewal_recovered_batch batch;
  ewal_status status;
  unsigned long page_size;
  unsigned long long bytes = 0;

  if (argc != 4 || (page_size = strtoul(argv[3], NULL, 10)) == 0 ||
      page_size > 65536) {
    fprintf(stderr, "usage: recover DB TARGET PAGE_SIZE\n");
    return 2;
  }

  /* As a stream: for engines that put pages where only they know. */
  if (ewal_recovery_open(argv[1], NULL, &log, &error) != EWAL_OK)
    return die(argv[1], &error);
  while ((status = ewal_recovery_next(log, &batch, &error)) == EWAL_OK) {
    size_t i;
    for (i = 0; i < batch.frame_count; i++)
      bytes += batch.frames[i].data.len;
  }
  if (status != EWAL_END)
    return die(argv[1], &error);
  ewal_recovery_close(log);

  /* Straight into a file whose page n lies at (n - 1) * PAGE_SIZE. */
  if (ewal_recover_into_file(argv[1], argv[2], (uint32_t)page_size, NULL, &summary,
                             &error) != EWAL_OK)
    return die(argv[2], &error);
  printf("%llu transactions, %llu frames, %llu bytes of pages; %lu pages in %s\n",
         (unsigned long long)summary.batches, (unsigned long long)summary.records,
         bytes, (unsigned long)summary.db_size, argv[2]);
  if (summary.verdict == EWAL_VERDICT_TORN)
    printf("a torn tail, never acknowledged, was dropped\n");
  return 0;
}
