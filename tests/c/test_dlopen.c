/* Loaded and unloaded at run time, with threads that outlive the unloading.
 * This program is not linked with the library. */
#include "harness.h"

#include <dlfcn.h>
#include <pthread.h>

/* The addresses of what the test calls, as dlsym finds them. */
#define CALLS(X)                                                             \
  X(ewal_coordinator_open)                                                   \
  X(ewal_commit)                                                             \
  X(ewal_coordinator_close)                                                  \
  X(ewal_recovery_open)                                                      \
  X(ewal_recovery_next)                                                      \
  X(ewal_recovery_close)                                                     \
  X(ewal_primary_open)                                                       \
  X(ewal_primary_spool)                                                      \
  X(ewal_primary_ensure_registered)                                          \
  X(ewal_primary_ack)                                                        \
  X(ewal_primary_wait_acks)                                                  \
  X(ewal_primary_close)                                                      \
  X(ewal_spool_append)                                                       \
  X(ewal_cursor_open)                                                        \
  X(ewal_cursor_next)                                                        \
  X(ewal_cursor_close)                                                       \
  X(ewal_records_release)

static struct {
  void *library;
#define MEMBER(name) __typeof__(&name) name;
  CALLS(MEMBER)
} api;

static void load(void) {
  api.library = dlopen("libepochwal.so.0", RTLD_NOW | RTLD_LOCAL);
  if (api.library == NULL)
    fprintf(stderr, "%s\n", dlerror());
  CHECK(api.library != NULL);
#define FIND(name)                                                           \
  *(void **)&api.name = dlsym(api.library, #name);                           \
  CHECK(api.name != NULL);
  CALLS(FIND)
}

enum { THREADS = 4, ROUNDS = 5 };

static pthread_barrier_t used, unloaded;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static ewal_coordinator wal;
static ewal_primary primary;
static ewal_spool spool;
static uint64_t last;

static void use_pages(uint64_t seq) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_recovered_batch batch;
  ewal_recovery reader;
  one_page p;
  make_page(&p, seq, 1, 'x');
  CHECK(api.ewal_commit(wal, &p.batch, -1, NULL, &error) == EWAL_OK);
  CHECK(api.ewal_recovery_open(in_scratch("dl"), NULL, &reader, &error) == EWAL_OK);
  CHECK(api.ewal_recovery_next(reader, &batch, &error) == EWAL_OK);
  CHECK(api.ewal_recovery_close(reader) == EWAL_OK);
}

/* A commit that waits for its replica, both by this thread. */
static void use_records(void) {
  ewal_error error = EWAL_ERROR_INIT;
  ewal_ack_policy policy = EWAL_ACK_POLICY_INIT;
  ewal_ack ack = EWAL_ACK_INIT;
  ewal_registration a;
  ewal_record record = {1, 0, 0, {"x", 1}};
  ewal_records records;
  ewal_cursor cursor;
  policy.policy = "any 1";
  CHECK(pthread_mutex_lock(&turn) == 0);
  record.lsn = ack.written = ack.durable = ack.applied = ++last;
  CHECK(api.ewal_spool_append(spool, &record, 1, -1, &error) == EWAL_OK);
  CHECK(api.ewal_cursor_open(spool, last - 1, &cursor, &error) == EWAL_OK);
  CHECK(api.ewal_cursor_next(cursor, 9, 99, -1, &records, &error) == EWAL_OK);
  CHECK(api.ewal_records_release(records) == EWAL_OK);
  CHECK(api.ewal_cursor_close(cursor) == EWAL_OK);
  CHECK(api.ewal_primary_ensure_registered(primary, "a", NULL, &a, &error) == EWAL_OK);
  CHECK(api.ewal_primary_ack(primary, "a", a.generation, &ack, &error) == EWAL_OK);
  CHECK(api.ewal_primary_wait_acks(primary, last, &policy, -1, NULL, &error) == EWAL_OK);
  CHECK(pthread_mutex_unlock(&turn) == 0);
}

static void *use_and_outlive(void *number) {
  use_pages((uintptr_t)number);
  use_records();
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&unloaded);
  return NULL; /* thread-local destructors run now */
}

static void open_both(void) {
  ewal_error error = EWAL_ERROR_INIT;
  CHECK(api.ewal_coordinator_open(in_scratch("dl"), NULL, &wal, &error) == EWAL_OK);
  CHECK(api.ewal_primary_open(in_scratch("dl"), NULL, &primary, &error) == EWAL_OK);
  CHECK(api.ewal_primary_spool(primary, &spool) == EWAL_OK);
}

static void close_both(void) {
  ewal_error error = EWAL_ERROR_INIT;
  CHECK(api.ewal_coordinator_close(wal, -1, &error) == EWAL_OK);
  CHECK(api.ewal_primary_close(primary, -1, &error) == EWAL_OK);
}

static void *call(void *function) {
  (*(void (**)(void))function)();
  return NULL;
}

/* By a thread that ends: what this one kept of its own inside the library
 * would keep the library mapped. */
static void elsewhere(void (*function)(void)) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, call, &function) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

/* A thread that ends late crashes only by bad luck; this is why it does not. */
static void still_mapped(void) {
  void *again = dlopen("libepochwal.so.0", RTLD_NOW | RTLD_NOLOAD);
  CHECK(again != NULL);
  CHECK(dlclose(again) == 0);
}

static void a_thread_may_outlive_the_library(void) {
  uintptr_t round, i;
  for (round = 0; round < ROUNDS; round++) {
    pthread_t threads[THREADS];
    load();
    elsewhere(open_both);
    pthread_barrier_init(&used, NULL, THREADS + 1);
    pthread_barrier_init(&unloaded, NULL, THREADS + 1);
    for (i = 0; i < THREADS; i++)
      CHECK(pthread_create(&threads[i], NULL, use_and_outlive,
                           (void *)(round * THREADS + i + 1)) == 0);
    pthread_barrier_wait(&used);
    elsewhere(close_both);
    CHECK(dlclose(api.library) == 0);
    pthread_barrier_wait(&unloaded);
    for (i = 0; i < THREADS; i++)
      CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_barrier_destroy(&used);
    pthread_barrier_destroy(&unloaded);
    still_mapped();
  }
}

static void use_and_close(void) {
  use_pages(1 + ROUNDS * THREADS);
  use_records();
  close_both();
}

/* Its own threads go on, and the next to load it finds the handles alive. */
static void what_is_open_outlives_the_unloading(void) {
  load();
  elsewhere(open_both);
  CHECK(dlclose(api.library) == 0);
  load();
  elsewhere(use_and_close);
  CHECK(dlclose(api.library) == 0);
  still_mapped();
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(a_thread_may_outlive_the_library);
  RUN(what_is_open_outlives_the_unloading);
  return 0;
}
