/* Records what a process has made durable, so that a test can take away everything else.
 *
 * Preloaded. For each fsync or fdatasync that succeeded it appends one line to the file named by POWER_CUT_RECORD:
 *
 *   file <device> <inode> <length before the call>
 *   dir <device> <inode> <inode of entry>/<name> <inode of entry>/<name> ...     (names without spaces or slashes)
 *   gone <device> <inode>                                   (the last name of a file was removed or renamed over)
 *
 * The length is taken before the call and written after it: data that was appended while the call ran may or may not be on
 * the disk, so it does not count. A kill between the call and the line makes synced data count as lost, which is safe: the
 * process was not told yet. sync_file_range promises nothing and is not recorded.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_BYTES_MAX = 1 << 20, NAME_BYTES_MAX = 300 };

static void append(const char *line, size_t length) {
    const char *path = getenv("POWER_CUT_RECORD");
    if (path == NULL) return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, length) != (ssize_t)length) _exit(99); /* a gap in the record would be a lie */
    close(fd);
}

/* The directory's entries as they are before the call. */
static char *list(int fd, const struct stat *at, size_t *length) {
    char *line = malloc(RECORD_BYTES_MAX);
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own < 0 ? NULL : fdopendir(own);
    if (line == NULL || dir == NULL) _exit(99);
    *length = (size_t)sprintf(line, "dir %llu %llu", (unsigned long long)at->st_dev, (unsigned long long)at->st_ino);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (*length + NAME_BYTES_MAX > RECORD_BYTES_MAX) _exit(99);
        *length += (size_t)sprintf(line + *length, " %llu/%s", (unsigned long long)entry->d_ino, entry->d_name);
    }
    line[(*length)++] = '\n';
    closedir(dir);
    return line;
}

static int recorded(int fd, const char *name) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    struct stat before;
    if (fstat(fd, &before) != 0) return real(fd);
    if (S_ISDIR(before.st_mode)) {
        size_t length;
        char *line = list(fd, &before, &length);
        int result = real(fd);
        if (result == 0) append(line, length);
        free(line);
        return result;
    }
    int result = real(fd);
    if (result == 0 && S_ISREG(before.st_mode)) {
        char line[128];
        int length = snprintf(line, sizeof line, "file %llu %llu %llu\n", (unsigned long long)before.st_dev,
                              (unsigned long long)before.st_ino, (unsigned long long)before.st_size);
        append(line, (size_t)length);
    }
    return result;
}

int fsync(int fd) { return recorded(fd, "fsync"); }
int fdatasync(int fd) { return recorded(fd, "fdatasync"); }

/* The inode may be another file's soon, and that one has synced nothing. */
static void gone(const struct stat *was) {
    char line[64];
    int length = snprintf(line, sizeof line, "gone %llu %llu\n", (unsigned long long)was->st_dev, (unsigned long long)was->st_ino);
    append(line, (size_t)length);
}

int unlink(const char *path) {
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    struct stat was;
    int last = lstat(path, &was) == 0 && S_ISREG(was.st_mode) && was.st_nlink == 1;
    if (last) gone(&was);
    return real(path);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    struct stat was;
    int over = lstat(to, &was) == 0 && S_ISREG(was.st_mode) && was.st_nlink == 1;
    if (over) gone(&was);
    return real(from, to);
}
