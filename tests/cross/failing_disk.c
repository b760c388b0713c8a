/* A disk that fails: while the file named by FAILING_DISK exists, its content is
 * "CALL ERRNO PATTERN", and each CALL (write or sync) to a file whose path matches
 * the shell pattern fails with that error. Preloaded into a process under test. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(const char *call, int fd)
{
    char link[64], path[4096], wanted[16], pattern[256];
    int error, fields;
    ssize_t len;
    const char *gate = getenv("FAILING_DISK");
    FILE *file = gate != NULL ? fopen(gate, "re") : NULL;

    if (file == NULL)
        return 0;
    fields = fscanf(file, "%15s %d %255s", wanted, &error, pattern);
    fclose(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    len = readlink(link, path, sizeof path - 1);
    if (fields != 3 || len < 0 || strcmp(call, wanted) != 0)
        return 0;
    path[len] = 0;
    if (fnmatch(pattern, path, 0) != 0)
        return 0;
    errno = error;
    return 1;
}

int fdatasync(int fd)
{
    int (*next)(int);
    *(void **)&next = dlsym(RTLD_NEXT, "fdatasync");
    return fails("sync", fd) ? -1 : next(fd);
}

int fsync(int fd)
{
    int (*next)(int);
    *(void **)&next = dlsym(RTLD_NEXT, "fsync");
    return fails("sync", fd) ? -1 : next(fd);
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at)
{
    ssize_t (*next)(int, const void *, size_t, off64_t);
    *(void **)&next = dlsym(RTLD_NEXT, "pwrite64");
    return fails("write", fd) ? -1 : next(fd, from, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *from, int n, off64_t at)
{
    ssize_t (*next)(int, const struct iovec *, int, off64_t);
    *(void **)&next = dlsym(RTLD_NEXT, "pwritev64");
    return fails("write", fd) ? -1 : next(fd, from, n, at);
}
