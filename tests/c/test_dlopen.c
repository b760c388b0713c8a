/* Loaded and unloaded at run time, with a thread that outlives the
 * unloading. This program is not linked with the library. */
#include "harness.h"

#include <dlfcn.h>
#include <pthread.h>

/* The addresses of what the test calls, as dlsym finds them. */
static struct {
  void *library;
  ewal_status (*open)(const char *, const ewal_coordinator_options *,
                      ewal_coordinator *, ewal_error *);
  ewal_status (*commit)(ewal_coordinator, const ewal_batch *, int64_t,
                        ewal_ticket *, ewal_error *);
  ewal_status (*close)(ewal_coordinator, int64_t, ewal_error *);
} api;

static void load(void) {
  api.library = dlopen("libepochwal.so.0", RTLD_NOW | RTLD_LOCAL);
  if (api.library == NULL)
    fprintf(stderr, "%s\n", dlerror());
  CHECK(api.library != NULL);
  *(void **)&api.open = dlsym(api.library, "ewal_coordinator_open");
  *(void **)&api.commit = dlsym(api.library, "ewal_commit");
  *(void **)&api.close = dlsym(api.library, "ewal_coordinator_close");
  CHECK(api.open && api.commit && api.close);
}

static pthread_barrier_t used, unloaded;
static ewal_coordinator wal;

static void *use_and_outlive(void *number) {
  ewal_error error = EWAL_ERROR_INIT;
  uint64_t seq = (uintptr_t)number;
  one_page p;
  make_page(&p, seq, 1, 'x');
  CHECK(api.commit(wal, &p.batch, -1, NULL, &error) == EWAL_OK);
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&unloaded);
  return NULL; /* thread-local destructors run now */
}

static void a_thread_may_outlive_the_library(void) {
  enum { THREADS = 4 };
  uintptr_t round, i;
  for (round = 0; round < 5; round++) {
    ewal_error error = EWAL_ERROR_INIT;
    pthread_t threads[THREADS];
    load();
    CHECK(api.open(in_scratch("dl"), NULL, &wal, &error) == EWAL_OK);
    pthread_barrier_init(&used, NULL, THREADS + 1);
    pthread_barrier_init(&unloaded, NULL, THREADS + 1);
    for (i = 0; i < THREADS; i++)
      CHECK(pthread_create(&threads[i], NULL, use_and_outlive,
                           (void *)(round * THREADS + i + 1)) == 0);
    pthread_barrier_wait(&used);
    CHECK(api.close(wal, -1, &error) == EWAL_OK);
    CHECK(dlclose(api.library) == 0);
    pthread_barrier_wait(&unloaded);
    for (i = 0; i < THREADS; i++)
      CHECK(pthread_join(threads[i], NULL) == 0);
    pthread_barrier_destroy(&used);
    pthread_barrier_destroy(&unloaded);
  }
}

int main(int argc, char **argv) {
  start(argc, argv);
  RUN(a_thread_may_outlive_the_library);
  return 0;
}
