/* SPDX-License-Identifier: MIT */
/*
 * file-checks.c - what a file system must do for programs, seen by a program in the guest.
 *
 *   file-checks DIR [CHECK...]          in a folder of its own; says "checked NAME" or "failed NAME: ..."; 0: all good
 *   file-checks fill DIR COUNT          makes files 0 .. COUNT-1
 *   file-checks list DIR                "listed COUNT SUM", whatever the order
 *   file-checks hold KIND FILE          takes a lock (posix or flock), says "held", keeps it until a line comes in
 *   file-checks try KIND FILE           says "free" or "busy"
 *   file-checks wait KIND FILE          waits for it, says "waited"
 *   file-checks touch FILE              maps FILE, says "mapped", on a line reads all of it: "touched" or "SIGBUS"
 *
 * For guests: static, no library but C's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *checking;

__attribute__((noreturn)) static void fail(int line, const char *what)
{
	printf("failed %s: line %d: %s: %s\n", checking, line, what, strerror(errno));
	exit(1);
}

#define MUST(x)                             \
	do {                                \
		errno = 0;                  \
		if (!(x))                   \
			fail(__LINE__, #x); \
	} while (0)
#define REFUSED(x, error) MUST((x) == -1 && errno == (error))

static int make(const char *name, const char *contents)
{
	int fd;

	MUST((fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0644)) >= 0);
	MUST(write(fd, contents, strlen(contents)) == (ssize_t)strlen(contents));
	return fd;
}

static bool has(const char *name, const char *contents)
{
	char seen[256] = "";
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, seen, sizeof seen - 1);

	close(fd);
	return n == (ssize_t)strlen(contents) && strcmp(seen, contents) == 0;
}

static bool is_listed(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	unsigned found = 0;

	MUST(d);
	while ((entry = readdir(d)))
		found += strcmp(entry->d_name, name) == 0;
	closedir(d);
	return found == 1;
}

static void names(void)
{
	char name[300];

	/* All bytes but NUL and '/'. */
	for (unsigned i = 0; i < 255; i++)
		name[i] = i + 1 == '/' ? 'x' : (char)(i + 1);
	name[255] = '\0';
	close(make(name, "name"));
	MUST(has(name, "name") && is_listed(".", name));
	memset(name, 0xff, 255);
	MUST(mkdir(name, 0755) == 0 && is_listed(".", name) && rmdir(name) == 0);
	memset(name, 'n', 256);
	name[256] = '\0';
	REFUSED(open(name, O_RDWR | O_CREAT, 0644), ENAMETOOLONG);
	REFUSED(mkdir(name, 0755), ENAMETOOLONG);
}

static void deep(void)
{
	for (unsigned i = 0; i < 100; i++)
		MUST(mkdir("deeper", 0755) == 0 && chdir("deeper") == 0);
	close(make("bottom", "deep"));
	MUST(has("bottom", "deep") && unlink("bottom") == 0);
	for (unsigned i = 0; i < 100; i++)
		MUST(chdir("..") == 0 && rmdir("deeper") == 0);
}

static void unlinked(void)
{
	int fd = make("unlinked", "still there");
	char seen[32];
	struct stat st;

	MUST(unlink("unlinked") == 0 && access("unlinked", F_OK) == -1);
	MUST(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 11);
	MUST(pread(fd, seen, sizeof seen, 0) == 11 && memcmp(seen, "still there", 11) == 0);
	MUST(pwrite(fd, "S", 1, 0) == 1 && ftruncate(fd, 5) == 0 && fchmod(fd, 0600) == 0);
	MUST(fstat(fd, &st) == 0 && st.st_size == 5 && (st.st_mode & 0777) == 0600);
	MUST(pread(fd, seen, sizeof seen, 0) == 5 && memcmp(seen, "Still", 5) == 0);
	close(fd);
}

static void tmpfile_linked(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);
	char path[64];
	struct stat st;

	if (fd < 0 && errno == EOPNOTSUPP)
		return; /* a guest before Linux 6.1, or a host's file system without */
	if (fd < 0)
		fail(__LINE__, "O_TMPFILE");
	MUST(write(fd, "temporary", 9) == 9);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	MUST(linkat(AT_FDCWD, path, AT_FDCWD, "keep-tmpfile", AT_SYMLINK_FOLLOW) == 0);
	close(fd);
	MUST(has("keep-tmpfile", "temporary") && stat("keep-tmpfile", &st) == 0 && st.st_nlink == 1);
}

static void renames(void)
{
	close(make("a", "was a"));
	close(make("b", "was b"));
	REFUSED(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE) == 0);
	MUST(has("a", "was b") && has("b", "was a"));
	REFUSED(renameat2(AT_FDCWD, "a", AT_FDCWD, "none", RENAME_EXCHANGE), ENOENT);
	MUST(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE) == 0);
	MUST(rename("c", "b") == 0 && has("b", "was b") && access("c", F_OK) == -1);
	MUST(mkdir("d", 0755) == 0 && mkdir("d/e", 0755) == 0);
	REFUSED(rename("d", "d/e/f"), EINVAL);
	REFUSED(rename("d", "b"), ENOTDIR);
	REFUSED(rmdir("d"), ENOTEMPTY);
	MUST(rename("b", "d/e/b") == 0 && has("d/e/b", "was b"));
	/* An open file moves with its directory. */
	int fd = open("d/e/b", O_RDWR);

	MUST(fd >= 0 && rename("d", "keep-d") == 0 && write(fd, "now", 3) == 3 && has("keep-d/e/b", "now b"));
	close(fd);
}

static void links(void)
{
	struct stat a, b;
	char target[1024], seen[1024];

	close(make("first", "linked"));
	MUST(link("first", "second") == 0);
	MUST(stat("first", &a) == 0 && stat("second", &b) == 0 && a.st_ino == b.st_ino && a.st_nlink == 2);
	MUST(unlink("first") == 0 && has("second", "linked") && stat("second", &b) == 0 && b.st_nlink == 1);
	memset(target, 't', 1000);
	target[1000] = '\0';
	MUST(symlink(target, "long") == 0 && readlink("long", seen, sizeof seen) == 1000);
	MUST(memcmp(seen, target, 1000) == 0);
	MUST(symlink("second", "keep-link") == 0 && has("keep-link", "linked"));
	REFUSED(open("keep-link", O_RDONLY | O_NOFOLLOW), ELOOP);
	MUST(symlink("loop", "loop") == 0);
	REFUSED(open("loop", O_RDONLY), ELOOP);
	MUST(symlink("/etc/hostname-of-nobody", "outside") == 0);
	REFUSED(open("outside", O_RDONLY), ENOENT);
	/* The guest's own root, as everywhere. */
	MUST(symlink("/proc/self/status", "inside") == 0 && access("inside", R_OK) == 0);
}

static void mapped(void)
{
	int fd = make("keep-mapped", "");
	char *shared, *private, seen[16];

	MUST(ftruncate(fd, 65536) == 0);
	shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED && errno == ENODEV)
		return; /* no cache, in a guest before Linux 6.6 */
	private = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(shared != MAP_FAILED && private != MAP_FAILED);
	strcpy(shared, "shared");
	strcpy(shared + 40000, "far");
	private[60000] = 'p';
	MUST(pread(fd, seen, 16, 0) == 16 && strcmp(seen, "shared") == 0);
	MUST(pread(fd, seen, 16, 60000) == 16 && seen[0] == 0);
	MUST(pwrite(fd, "written", 8, 100) == 8 && strcmp(shared + 100, "written") == 0);
	MUST(msync(shared, 65536, MS_SYNC) == 0);
	munmap(shared, 65536);
	munmap(private, 65536);
	close(fd);
	fd = open("keep-mapped", O_RDONLY);
	MUST(fd >= 0 && pread(fd, seen, 16, 40000) == 16 && strcmp(seen, "far") == 0);
	close(fd);
}

static void sparse(void)
{
	int fd = make("keep-sparse", "");
	struct stat st;
	char seen[8];

	MUST(pwrite(fd, "end", 3, (off_t)5 << 30) == 3 && pwrite(fd, "middle", 6, ((off_t)1 << 32) + 1) == 6);
	MUST(fstat(fd, &st) == 0 && st.st_size == ((off_t)5 << 30) + 3 && st.st_blocks < 2048);
	MUST(pread(fd, seen, 3, (off_t)5 << 30) == 3 && memcmp(seen, "end", 3) == 0);
	MUST(pread(fd, seen, 6, ((off_t)1 << 32) + 1) == 6 && memcmp(seen, "middle", 6) == 0);
	MUST(pread(fd, seen, 1, 1) == 1 && seen[0] == 0);
	/* With a write-back cache Linux asks the server where the data is before it has written it there. */
	MUST(fsync(fd) == 0);
	MUST(lseek(fd, 0, SEEK_DATA) == (off_t)1 << 32 || lseek(fd, 0, SEEK_DATA) == 0);
	MUST(lseek(fd, (off_t)1 << 32, SEEK_HOLE) > (off_t)1 << 32);
	REFUSED(lseek(fd, (off_t)6 << 30, SEEK_DATA), ENXIO);
	MUST(ftruncate(fd, (off_t)6 << 30) == 0 && ftruncate(fd, ((off_t)1 << 32) + 7) == 0);
	MUST(fstat(fd, &st) == 0 && st.st_size == ((off_t)1 << 32) + 7);
	MUST(ftruncate(fd, 12345) == 0);
	close(fd);
}

static void allocated(void)
{
	int fd = make("keep-allocated", "");
	char block[4096], seen[4096], zero[4096] = "";
	struct stat st;

	memset(block, 'b', sizeof block);
	for (unsigned i = 0; i < 16; i++)
		MUST(write(fd, block, 4096) == 4096);
	MUST(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096 * 4) == 0);
	MUST(pread(fd, seen, 4096, 8192) == 4096 && memcmp(seen, zero, 4096) == 0);
	MUST(pread(fd, seen, 4096, 4096) == 4096 && memcmp(seen, block, 4096) == 0);
	MUST(pread(fd, seen, 4096, 4096 * 6) == 4096 && memcmp(seen, block, 4096) == 0);
	MUST(fsync(fd) == 0);
	MUST(lseek(fd, 0, SEEK_HOLE) == 8192 && lseek(fd, 8192, SEEK_DATA) == 4096 * 6);
	MUST(fallocate(fd, FALLOC_FL_KEEP_SIZE, 65536, 65536) == 0 && fstat(fd, &st) == 0 && st.st_size == 65536);
	MUST(fallocate(fd, 0, 65536, 4096) == 0 && fstat(fd, &st) == 0 && st.st_size == 65536 + 4096);
	MUST(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 4096) == 0 || errno == EOPNOTSUPP);
	close(fd);
}

static void copied(void)
{
	int from = make("copy-from", ""), to = make("keep-copy", "");
	char block[4096];
	off64_t in = 4096, out = 0;
	size_t left = 65536 - 4096;

	for (unsigned i = 0; i < 16; i++) {
		memset(block, 'a' + (int)i, sizeof block);
		MUST(write(from, block, 4096) == 4096);
	}
	while (left > 0) {
		ssize_t n = copy_file_range(from, &in, to, &out, left, 0);

		MUST(n > 0);
		left -= (size_t)n;
	}
	MUST(pread(to, block, 1, 0) == 1 && block[0] == 'b' && pread(to, block, 1, 61439) == 1 && block[0] == 'p');
	MUST(pread(to, block, 1, 61440) == 0);
	close(from);
	close(to);
}

static void direct(void)
{
	int fd = open("keep-direct", O_RDWR | O_CREAT | O_DIRECT, 0644);
	char *block, *again;

	if (fd < 0 && errno == EINVAL)
		return; /* the guest's mode of caching */
	MUST(fd >= 0);
	MUST(posix_memalign((void **)&block, 4096, 1 << 20) == 0 &&
	     posix_memalign((void **)&again, 4096, 1 << 20) == 0);
	for (unsigned i = 0; i < 1 << 20; i++)
		block[i] = (char)(i * 7 + (i >> 12));
	MUST(pwrite(fd, block, 1 << 20, 4096) == 1 << 20);
	MUST(pread(fd, again, 1 << 20, 4096) == 1 << 20 && memcmp(block, again, 1 << 20) == 0);
	close(fd);
	fd = open("keep-direct", O_RDONLY);
	MUST(pread(fd, again, 1 << 20, 4096) == 1 << 20 && memcmp(block, again, 1 << 20) == 0);
	close(fd);
}

static void appended(void)
{
	int a, b = make("appended", "");

	MUST((a = open("appended", O_WRONLY | O_APPEND)) >= 0);
	MUST(write(a, "one", 3) == 3 && pwrite(b, "two", 3, 3) == 3 && write(a, "three", 5) == 5);
	MUST(has("appended", "onetwothree"));
	close(a);
	MUST((a = open("appended", O_WRONLY | O_TRUNC)) >= 0 && has("appended", ""));
	close(a);
	close(b);
}

static void attributes(void)
{
	const struct timespec times[2] = { { 1234567890, 123456789 }, { 1000000000, 987654321 } };
	struct stat st;
	int fd = make("attributes", "x");

	MUST(futimens(fd, times) == 0 && fstat(fd, &st) == 0);
	MUST(st.st_atim.tv_sec == 1234567890 && st.st_atim.tv_nsec == 123456789);
	MUST(st.st_mtim.tv_sec == 1000000000 && st.st_mtim.tv_nsec == 987654321);
	MUST(chmod("attributes", 04711) == 0 && stat("attributes", &st) == 0 && (st.st_mode & 07777) == 04711);
	MUST(chmod("attributes", 0) == 0 && stat("attributes", &st) == 0 && (st.st_mode & 07777) == 0);
	MUST(has("attributes", "x")); /* root */
	MUST(truncate("attributes", 100) == 0 && stat("attributes", &st) == 0 && st.st_size == 100);
	MUST(st.st_mtim.tv_sec > 1000000000);
	close(fd);
}

static void extended(void)
{
	int fd = make("keep-extended", "");
	char seen[65536], big[500];
	ssize_t n;

	if (fsetxattr(fd, "user.one", "1", 1, 0) == -1 && errno == EOPNOTSUPP)
		return; /* the host's file system has none */
	memset(big, 'b', sizeof big);
	MUST(fsetxattr(fd, "user.two", big, sizeof big, XATTR_CREATE) == 0);
	REFUSED(fsetxattr(fd, "user.two", "2", 1, XATTR_CREATE), EEXIST);
	REFUSED(fsetxattr(fd, "user.none", "2", 1, XATTR_REPLACE), ENODATA);
	MUST(fgetxattr(fd, "user.one", seen, sizeof seen) == 1 && seen[0] == '1');
	MUST(fgetxattr(fd, "user.two", NULL, 0) == 500 && fgetxattr(fd, "user.two", seen, sizeof seen) == 500);
	REFUSED(fgetxattr(fd, "user.two", seen, 10), ERANGE);
	n = flistxattr(fd, seen, sizeof seen);
	MUST(n == 18);
	MUST(fremovexattr(fd, "user.two") == 0 && flistxattr(fd, seen, sizeof seen) == 9);
	/* capsa's own are not the guest's. */
	REFUSED(fsetxattr(fd, "user.capsa.owner", "1 0 0 - -", 9, 0), EPERM);
	close(fd);
}

static void special(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	struct stat st;
	char seen[8] = "";
	int fd, status, s;

	MUST(mkfifo("fifo", 0600) == 0 && stat("fifo", &st) == 0 && S_ISFIFO(st.st_mode));
	if (fork() == 0) {
		fd = open("fifo", O_WRONLY);
		_exit(write(fd, "through", 7) != 7);
	}
	MUST((fd = open("fifo", O_RDONLY)) >= 0 && read(fd, seen, 8) == 7 && strcmp(seen, "through") == 0);
	MUST(wait(&status) > 0 && status == 0);
	close(fd);
	MUST((s = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && bind(s, (struct sockaddr *)&address, sizeof address) == 0);
	MUST(stat("socket", &st) == 0 && S_ISSOCK(st.st_mode) && listen(s, 1) == 0);
	MUST((fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0);
	MUST(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	close(fd);
	close(s);
	MUST(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0 && stat("null", &st) == 0);
	MUST(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	MUST((fd = open("null", O_RDWR)) >= 0 && write(fd, "x", 1) == 1 && read(fd, seen, 1) == 0);
	close(fd);
	/* Names removed while the inode is still known. */
	MUST(unlink("fifo") == 0 && unlink("socket") == 0 && unlink("null") == 0);
}

static void other_user(int line, uid_t id, int (*what)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(setgid(id) < 0 || setuid(id) < 0 ? 99 : what());
	MUST(waitpid(pid, &status, 0) == pid);
	if (status != 0)
		fail(line, "another user");
}

static int write_byte(void)
{
	int fd = open("set-id", O_WRONLY);

	return fd < 0 || pwrite(fd, "y", 1, 0) != 1;
}

static int make_own(void)
{
	struct stat st;

	return mkdir("open/own", 0700) < 0 || close(open("open/own/file", O_CREAT | O_WRONLY, 0600)) < 0 ||
	       stat("open/own/file", &st) < 0 || st.st_uid != 33 || st.st_gid != 33;
}

static int is_kept_out(void)
{
	return !(open("closed", O_RDONLY) < 0 && errno == EACCES && mkdir("none", 0700) < 0 && errno == EACCES);
}

static void owners(void)
{
	struct stat st;

	close(make("closed", "x"));
	MUST(chmod("closed", 0600) == 0 && chmod(".", 0755) == 0);
	other_user(__LINE__, 33, is_kept_out);
	MUST(mkdir("open", 0777) == 0 && chmod("open", 01777) == 0);
	other_user(__LINE__, 33, make_own);
	MUST(stat("open/own", &st) == 0 && st.st_uid == 33);
	MUST(chown("open/own/file", 44, 55) == 0 && stat("open/own/file", &st) == 0 && st.st_uid == 44 &&
	     st.st_gid == 55);
	close(make("set-id", "x"));
	MUST(chmod("set-id", 06777) == 0);
	other_user(__LINE__, 33, write_byte);
	MUST(stat("set-id", &st) == 0 && (st.st_mode & 07777) == 0777);
	MUST(symlink("x", "owned") == 0 && lchown("owned", 7, 8) == 0 && lstat("owned", &st) == 0 && st.st_uid == 7);
}

static void locked(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
	int a = make("locked", ""), b, status;

	MUST((b = open("locked", O_RDWR)) >= 0);
	MUST(flock(a, LOCK_EX) == 0);
	REFUSED(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	MUST(flock(a, LOCK_UN) == 0 && flock(b, LOCK_SH) == 0 && flock(a, LOCK_SH) == 0);
	MUST(fcntl(a, F_SETLK, &lock) == 0);
	if (fork() == 0) {
		struct flock theirs = lock;

		_exit(!(fcntl(b, F_SETLK, &lock) < 0 && errno == EAGAIN && fcntl(b, F_GETLK, &theirs) == 0 &&
		        theirs.l_type == F_WRLCK && theirs.l_pid == getppid()));
	}
	MUST(wait(&status) > 0 && status == 0);
	close(a);
	close(b);
}

static void listing(void)
{
	DIR *dir;
	struct dirent *entry;
	unsigned n = 0;
	long middle = 0;
	char name[32], after[256] = "";

	MUST(mkdir("many", 0755) == 0);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "many/%u", i);
		close(make(name, ""));
	}
	MUST((dir = opendir("many")));
	while ((entry = readdir(dir))) {
		if (++n == 100)
			middle = telldir(dir);
		if (n == 101)
			strcpy(after, entry->d_name);
	}
	MUST(n == 202);
	seekdir(dir, middle);
	MUST((entry = readdir(dir)) && strcmp(entry->d_name, after) == 0);
	/* Emptied while it is read. */
	rewinddir(dir);
	n = 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			snprintf(name, sizeof name, "many/%.20s", entry->d_name);
			MUST(unlink(name) == 0);
			n++;
		}
	closedir(dir);
	MUST(n == 200 && rmdir("many") == 0);
}

static void statistics(void)
{
	struct statvfs st;

	MUST(statvfs(".", &st) == 0 && st.f_blocks > 0 && st.f_bsize > 0 && st.f_namemax == 255);
	MUST(st.f_bavail <= st.f_blocks);
}

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {
	{ "names", names },           { "deep", deep },
	{ "unlinked", unlinked },     { "tmpfile", tmpfile_linked },
	{ "renames", renames },       { "links", links },
	{ "mapped", mapped },         { "sparse", sparse },
	{ "allocated", allocated },   { "copied", copied },
	{ "direct", direct },         { "appended", appended },
	{ "attributes", attributes }, { "extended", extended },
	{ "special", special },       { "owners", owners },
	{ "locked", locked },         { "listing", listing },
	{ "statistics", statistics },
};

static int run_checks(const char *dir, char **only)
{
	int failures = 0, status;

	umask(022);
	for (unsigned i = 0; i < sizeof checks / sizeof checks[0]; i++) {
		bool wanted = !*only;

		for (char **word = only; *word; word++)
			wanted |= strcmp(*word, checks[i].name) == 0;
		if (!wanted)
			continue;
		if (fork() == 0) {
			checking = checks[i].name;
			MUST(chdir(dir) == 0 && mkdir(checking, 0755) == 0 && chdir(checking) == 0);
			checks[i].run();
			printf("checked %s\n", checking);
			exit(0);
		}
		wait(&status);
		if (WIFSIGNALED(status))
			printf("failed %s: signal %d\n", checks[i].name, WTERMSIG(status));
		failures += status != 0;
	}
	return failures != 0;
}

static int fill_directory(const char *dir, unsigned count)
{
	char name[16];

	MUST(chdir(dir) == 0);
	for (unsigned i = 0; i < count; i++) {
		int fd;

		snprintf(name, sizeof name, "%u", i);
		MUST((fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644)) >= 0);
		close(fd);
	}
	return 0;
}

static int list_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned long n = 0, sum = 0;

	MUST(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			n++;
			sum += strtoul(entry->d_name, NULL, 10);
		}
	printf("listed %lu %lu\n", n, sum);
	return 0;
}

static int take_lock(const char *kind, const char *path, bool wait)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	MUST(fd >= 0);
	if (strcmp(kind, "posix") == 0)
		return fcntl(fd, wait ? F_SETLKW : F_SETLK, &lock);
	return flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
}

static sigjmp_buf no_page;

static void on_bus_error(int signo)
{
	(void)signo;
	siglongjmp(no_page, 1);
}

static int touch(const char *path)
{
	int fd = open(path, O_RDWR);
	struct stat st;
	const volatile unsigned char *map;
	volatile unsigned long sum = 0;
	char line[16];

	MUST(fd >= 0 && fstat(fd, &st) == 0);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(map != MAP_FAILED);
	for (off_t at = 0; at < st.st_size; at += 4096)
		sum += map[at];
	printf("mapped %lu\n", sum);
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		return 1;
	signal(SIGBUS, on_bus_error);
	if (sigsetjmp(no_page, 1)) {
		printf("SIGBUS\n");
		return 0;
	}
	sum = 0;
	for (off_t at = 0; at < st.st_size; at += 4096)
		sum += map[at];
	printf("touched %lu\n", sum);
	return 0;
}

int main(int argc, char **argv)
{
	char line[16];

	setvbuf(stdout, NULL, _IOLBF, 0);
	checking = argc > 1 ? argv[1] : "";
	if (argc == 4 && strcmp(argv[1], "fill") == 0)
		return fill_directory(argv[2], (unsigned)atoi(argv[3]));
	if (argc == 3 && strcmp(argv[1], "list") == 0)
		return list_directory(argv[2]);
	if (argc == 4 && strcmp(argv[1], "hold") == 0) {
		MUST(take_lock(argv[2], argv[3], false) == 0);
		puts("held");
		return !fgets(line, sizeof line, stdin);
	}
	if (argc == 4 && strcmp(argv[1], "try") == 0) {
		puts(take_lock(argv[2], argv[3], false) == 0 ? "free" : "busy");
		return 0;
	}
	if (argc == 4 && strcmp(argv[1], "wait") == 0) {
		MUST(take_lock(argv[2], argv[3], true) == 0);
		puts("waited");
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "touch") == 0)
		return touch(argv[2]);
	if (argc < 2)
		return 2;
	return run_checks(argv[1], argv + 2);
}
