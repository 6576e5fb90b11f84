/* SPDX-License-Identifier: MIT */
/*
 * fs_readonly_test.c - a readonly share stays as it is, whatever opcode a guest tries on it.
 *
 * Each row of the table is one request; the whole tree (names, contents, attributes with all times, extended
 * attributes) is written down before and compared after each. Every opcode that the server knows must have a row.
 */
#include "tests/unit/fs_client.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/xattr.h>

/* ---- the tree, written down ---- */

static void note(FILE *to, const char *path)
{
	char list[4096], value[4096], target[256];
	struct stat st;
	ssize_t n;
	int fd;

	assert_int_equal(lstat(path, &st), 0);
	fprintf(to, "%s %llu %o %u %u %u %lld %lld.%ld %lld.%ld", path, (unsigned long long)st.st_ino, st.st_mode,
	        st.st_uid, st.st_gid, (unsigned)st.st_nlink, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
	        st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
	/* Linux has no way to read a link and leave no time behind; where we may not ask for that of a file, nor there.
	 */
	if (!S_ISLNK(st.st_mode) && geteuid() == 0)
		fprintf(to, " %lld.%ld", (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec);
	n = llistxattr(path, list, sizeof list);
	for (const char *name = list; name < list + n; name += strlen(name) + 1) {
		ssize_t len = lgetxattr(path, name, value, sizeof value);

		fprintf(to, " %s=%.*s", name, (int)len, value);
	}
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof target);
		fprintf(to, " -> %.*s", (int)n, target);
	}
	if (S_ISREG(st.st_mode)) {
		fd = open(path, O_RDONLY | (geteuid() == 0 ? O_NOATIME : 0));
		assert_true(fd >= 0);
		n = read(fd, value, sizeof value);
		fprintf(to, " %.*s", (int)n, value);
		close(fd);
	}
	fputc('\n', to);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void note_tree(FILE *to, const char *path)
{
	char *names[64];
	unsigned n = 0;
	const struct dirent *entry;
	int fd = open(path, O_RDONLY | O_DIRECTORY | (geteuid() == 0 ? O_NOATIME : 0));
	DIR *dir = fdopendir(fd);

	assert_non_null(dir);
	note(to, path);
	while ((entry = readdir(dir)) && n < 64)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			assert_non_null(names[n++] = strdup(entry->d_name));
	closedir(dir);
	qsort(names, n, sizeof *names, by_name);
	for (unsigned i = 0; i < n; i++) {
		char below[1024];
		struct stat st;

		snprintf(below, sizeof below, "%s/%s", path, names[i]);
		assert_int_equal(lstat(below, &st), 0);
		if (S_ISDIR(st.st_mode))
			note_tree(to, below);
		else
			note(to, below);
		free(names[i]);
	}
}

static char *tree_of(const char *path)
{
	char *text;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	note_tree(to, path);
	fclose(to);
	return text;
}

/* ---- what a guest may try ---- */

/* What it has in hand. */
struct hand {
	struct fs_client *client;
	uint64_t dir, file, link, fifo; /* nodes */
	uint64_t fh, dirfh;             /* file and directory, open for reading */
};

enum expected { REFUSED, HARMLESS /* 0 or an errno, as it happens */ };

struct row {
	uint32_t opcode;
	const char *what;
	enum expected expected;
	int (*try)(struct hand *hand);
};

#define TRY(name) static int name(struct hand *h)
#define C h->client

static int with_attribute(struct hand *h, uint64_t node, uint32_t valid)
{
	const struct fuse_setattr_in in = { .valid = valid, .fh = h->fh, .mode = 0777, .uid = 1, .gid = 1 };
	struct fuse_attr attr;

	return fs_setattr(C, node, &in, &attr);
}

TRY(set_mode)
{
	return with_attribute(h, h->file, FATTR_MODE);
}

TRY(set_owner)
{
	return with_attribute(h, h->file, FATTR_UID | FATTR_GID);
}

TRY(set_size)
{
	return with_attribute(h, h->file, FATTR_SIZE);
}

TRY(set_size_by_handle)
{
	return with_attribute(h, h->file, FATTR_SIZE | FATTR_FH);
}

TRY(set_atime)
{
	return with_attribute(h, h->file, FATTR_ATIME);
}

TRY(set_mtime_now)
{
	return with_attribute(h, h->file, FATTR_MTIME | FATTR_MTIME_NOW);
}

TRY(set_ctime)
{
	return with_attribute(h, h->file, FATTR_CTIME);
}

TRY(set_dir_mode)
{
	return with_attribute(h, h->dir, FATTR_MODE);
}

TRY(set_link_owner)
{
	return with_attribute(h, h->link, FATTR_UID);
}

TRY(set_nothing)
{
	return with_attribute(h, h->file, 0);
}

TRY(set_kill)
{
	return with_attribute(h, h->file, FATTR_KILL_SUIDGID);
}

TRY(getattr)
{
	struct fuse_attr attr;
	return fs_getattr(C, h->file, &attr);
}

TRY(lookup)
{
	uint64_t node;
	int r = fs_lookup(C, h->dir, "inner", &node, NULL);
	fs_forget(C, node, 1);
	return r;
}

TRY(forget)
{
	fs_forget(C, h->fifo, 1);
	return fs_lookup(C, FUSE_ROOT_ID, "fifo", &h->fifo, NULL);
}

TRY(batch_forget)
{
	const struct fuse_forget_one one = { .nodeid = h->fifo, .nlookup = 1 };

	fs_batch_forget(C, &one, 1);
	return fs_lookup(C, FUSE_ROOT_ID, "fifo", &h->fifo, NULL);
}

TRY(readlink_)
{
	char target[64];
	return fs_readlink(C, h->link, target, sizeof target) < 0;
}

TRY(symlink_)
{
	uint64_t node;
	return fs_symlink(C, h->dir, "new", "t", &node);
}

TRY(mknod_)
{
	uint64_t node;
	return fs_mknod(C, h->dir, "new", S_IFREG | 0644, 0, &node);
}

TRY(mkfifo_)
{
	uint64_t node;
	return fs_mknod(C, h->dir, "new", S_IFIFO | 0644, 0, &node);
}

TRY(mkdir_)
{
	uint64_t node;
	return fs_mkdir(C, h->dir, "new", 0755, &node);
}

TRY(unlink_)
{
	return fs_unlink(C, FUSE_ROOT_ID, "file");
}

TRY(rmdir_)
{
	return fs_rmdir(C, FUSE_ROOT_ID, "empty");
}

TRY(rename_)
{
	return fs_rename(C, FUSE_ROOT_ID, "file", h->dir, "new", 0);
}

TRY(rename_exchange)
{
	return fs_rename(C, FUSE_ROOT_ID, "file", h->dir, "inner", RENAME_EXCHANGE);
}

TRY(rename_noreplace)
{
	return fs_rename(C, FUSE_ROOT_ID, "file", h->dir, "new", RENAME_NOREPLACE);
}

TRY(link_)
{
	return fs_link(C, h->file, h->dir, "new");
}

TRY(link_link)
{
	return fs_link(C, h->link, h->dir, "new");
}

static int try_open(struct hand *h, int flags)
{
	uint64_t fh;
	int r = fs_open(C, h->file, flags, &fh);

	if (r == 0)
		fs_release(C, h->file, fh);
	return r;
}

TRY(open_write)
{
	return try_open(h, O_WRONLY);
}

TRY(open_both)
{
	return try_open(h, O_RDWR);
}

TRY(open_truncate)
{
	return try_open(h, O_RDONLY | O_TRUNC);
}

TRY(open_append)
{
	return try_open(h, O_WRONLY | O_APPEND);
}

TRY(open_3)
{
	return try_open(h, O_ACCMODE);
}

TRY(open_create)
{
	return try_open(h, O_RDONLY | O_CREAT | O_TMPFILE | O_DIRECT);
}

TRY(open_read)
{
	uint64_t fh;
	char text[8];
	int r = fs_open(C, h->file, O_RDONLY, &fh);

	if (r == 0) {
		assert_int_equal(fs_read(C, h->file, fh, text, sizeof text, 0), 7);
		fs_release(C, h->file, fh);
	}
	return r;
}

static int try_create(struct hand *h, const char *name, int flags)
{
	uint64_t node, fh;
	int r = fs_create(C, FUSE_ROOT_ID, name, flags, 0644, &node, &fh);

	if (r == 0) {
		fs_release(C, node, fh);
		fs_forget(C, node, 1);
	}
	return r;
}

TRY(create_new)
{
	return try_create(h, "new", O_RDWR);
}

TRY(create_new_reading)
{
	return try_create(h, "new", O_RDONLY);
}

TRY(create_excl)
{
	return try_create(h, "file", O_RDONLY | O_EXCL);
}

TRY(create_over)
{
	return try_create(h, "file", O_RDWR);
}

TRY(create_truncate)
{
	return try_create(h, "file", O_RDONLY | O_TRUNC);
}

TRY(create_link)
{
	return try_create(h, "link", O_RDONLY);
}

TRY(create_fifo)
{
	return try_create(h, "fifo", O_RDONLY);
}

TRY(create_reading)
{
	int r = try_create(h, "file", O_RDONLY);

	/* It is there: the guest's kernel looks it up and opens it. */
	return r == -ESTALE ? 0 : r;
}

TRY(tmpfile_)
{
	uint64_t node, fh;
	return fs_tmpfile(C, h->dir, O_RDWR | O_TMPFILE, 0600, &node, &fh);
}

TRY(read_)
{
	char text[8];
	return fs_read(C, h->file, h->fh, text, sizeof text, 0) < 0;
}

TRY(write_)
{
	return (int)fs_write(C, h->file, h->fh, "x", 1, 0);
}

static int try_write(struct hand *h, uint32_t write_flags, uint32_t flags)
{
	const struct fuse_write_in in = { .fh = h->fh, .size = 1, .write_flags = write_flags, .flags = flags };

	return fs_call(C, FUSE_WRITE, h->file, &in, sizeof in, "x", 1, NULL, 64, NULL);
}

TRY(write_back)
{
	return try_write(h, FUSE_WRITE_CACHE, O_RDWR);
}

TRY(write_append)
{
	return try_write(h, FUSE_WRITE_CACHE | FUSE_WRITE_KILL_SUIDGID, O_WRONLY | O_APPEND);
}

TRY(statfs_)
{
	struct fuse_kstatfs st;
	return fs_statfs(C, &st);
}

TRY(release_)
{
	int r = fs_release(C, h->file, h->fh);

	assert_int_equal(fs_open(C, h->file, O_RDONLY, &h->fh), 0);
	return r;
}

TRY(flush_)
{
	return fs_flush(C, h->file, h->fh, 1);
}

TRY(fsync_)
{
	return fs_fsync(C, h->file, h->fh, false);
}

TRY(syncfs_)
{
	const uint64_t padding = 0;

	return fs_call(C, FUSE_SYNCFS, FUSE_ROOT_ID, &padding, sizeof padding, NULL, 0, NULL, 0, NULL);
}

TRY(setxattr_)
{
	return fs_setxattr(C, h->file, "user.new", "x", 1, 0);
}

TRY(setxattr_there)
{
	return fs_setxattr(C, h->file, "user.there", "x", 1, XATTR_REPLACE);
}

TRY(setxattr_dir)
{
	return fs_setxattr(C, h->dir, "trusted.new", "x", 1, 0);
}

TRY(removexattr_)
{
	return fs_removexattr(C, h->file, "user.there");
}

TRY(getxattr_)
{
	char text[8];
	return fs_getxattr(C, h->file, "user.there", text, sizeof text) < 0;
}

TRY(listxattr_)
{
	char text[64];
	return fs_listxattr(C, h->file, text, sizeof text) < 0;
}

TRY(init_again)
{
	return fs_init(C, 1, 0, 0) == 0; /* a version that is too old: refused, the session goes on */
}

TRY(opendir_)
{
	uint64_t fh;
	int r = fs_opendir(C, h->dir, &fh);

	return r ? r : fs_releasedir(C, h->dir, fh);
}

TRY(readdir_)
{
	return fs_list(C, h->dir, false, NULL, NULL) < 0;
}

TRY(readdirplus_)
{
	return fs_list(C, h->dir, true, NULL, NULL) < 0;
}

TRY(fsyncdir_)
{
	const struct fuse_fsync_in in = { .fh = h->dirfh };

	return fs_call(C, FUSE_FSYNCDIR, h->dir, &in, sizeof in, NULL, 0, NULL, 0, NULL);
}

static int try_lock(struct hand *h, uint32_t type, bool is_flock, bool wait)
{
	const struct fuse_file_lock lock = { .end = INT64_MAX, .type = type };

	return fs_setlk(C, h->file, h->fh, 7, &lock, is_flock, wait);
}

TRY(lock_read)
{
	return try_lock(h, F_RDLCK, false, false);
}

TRY(lock_write)
{
	return try_lock(h, F_WRLCK, false, false);
}

TRY(lock_flock)
{
	return try_lock(h, F_WRLCK, true, false);
}

TRY(lock_wait)
{
	return try_lock(h, F_RDLCK, false, true);
}

TRY(getlk_)
{
	struct fuse_file_lock lock = { .end = 9, .type = F_WRLCK };
	return fs_getlk(C, h->file, h->fh, 8, &lock);
}

TRY(access_write)
{
	return fs_access(C, h->file, W_OK);
}

TRY(access_read)
{
	return fs_access(C, h->file, R_OK);
}

TRY(interrupt_)
{
	const struct fuse_interrupt_in in = { .unique = 12345 };

	fs_submit(C, FUSE_INTERRUPT, 0, &in, sizeof in, NULL, 0, 0);
	return 0;
}

TRY(fallocate_)
{
	return fs_fallocate(C, h->file, h->fh, 0, 0, 4096);
}

TRY(fallocate_punch)
{
	return fs_fallocate(C, h->file, h->fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
}

TRY(lseek_)
{
	return fs_lseek(C, h->file, h->fh, 0, SEEK_DATA) < 0;
}

TRY(copy_)
{
	return (int)fs_copy_file_range(C, h->file, h->fh, 0, h->file, h->fh, 100, 4);
}

TRY(map_write)
{
	return fs_setupmapping(C, h->file, h->fh, 0, 4096, 0,
	                       FUSE_SETUPMAPPING_FLAG_WRITE | FUSE_SETUPMAPPING_FLAG_READ);
}

TRY(map_write_without_handle)
{
	return fs_setupmapping(C, h->file, UINT64_MAX, 0, 4096, 0, FUSE_SETUPMAPPING_FLAG_WRITE);
}

TRY(map_read_and_write_there)
{
	int r = fs_setupmapping(C, h->file, h->fh, 0, 4096, 0, FUSE_SETUPMAPPING_FLAG_READ);

	/* What a guest does to its memory without asking. */
	if (r == 0 && C->window)
		memset(C->window, 'x', 4096);
	return r;
}

TRY(unmap_)
{
	return fs_removemapping(C, 0, 4096);
}

#undef C

static const struct row rows[] = {
	{ FUSE_LOOKUP, "lookup", HARMLESS, lookup },
	{ FUSE_FORGET, "forget", HARMLESS, forget },
	{ FUSE_BATCH_FORGET, "batch forget", HARMLESS, batch_forget },
	{ FUSE_GETATTR, "getattr", HARMLESS, getattr },
	{ FUSE_SETATTR, "mode", REFUSED, set_mode },
	{ FUSE_SETATTR, "owner", REFUSED, set_owner },
	{ FUSE_SETATTR, "size", REFUSED, set_size },
	{ FUSE_SETATTR, "size by handle", REFUSED, set_size_by_handle },
	{ FUSE_SETATTR, "atime", REFUSED, set_atime },
	{ FUSE_SETATTR, "mtime now", REFUSED, set_mtime_now },
	{ FUSE_SETATTR, "ctime", REFUSED, set_ctime },
	{ FUSE_SETATTR, "mode of a directory", REFUSED, set_dir_mode },
	{ FUSE_SETATTR, "owner of a link", REFUSED, set_link_owner },
	{ FUSE_SETATTR, "nothing", HARMLESS, set_nothing },
	{ FUSE_SETATTR, "set-id bits", REFUSED, set_kill },
	{ FUSE_READLINK, "readlink", HARMLESS, readlink_ },
	{ FUSE_SYMLINK, "symlink", REFUSED, symlink_ },
	{ FUSE_MKNOD, "a file", REFUSED, mknod_ },
	{ FUSE_MKNOD, "a FIFO", REFUSED, mkfifo_ },
	{ FUSE_MKDIR, "mkdir", REFUSED, mkdir_ },
	{ FUSE_UNLINK, "unlink", REFUSED, unlink_ },
	{ FUSE_RMDIR, "rmdir", REFUSED, rmdir_ },
	{ FUSE_RENAME, "rename", REFUSED, rename_ },
	{ FUSE_RENAME2, "exchange", REFUSED, rename_exchange },
	{ FUSE_RENAME2, "noreplace", REFUSED, rename_noreplace },
	{ FUSE_LINK, "link", REFUSED, link_ },
	{ FUSE_LINK, "link of a link", REFUSED, link_link },
	{ FUSE_OPEN, "write", REFUSED, open_write },
	{ FUSE_OPEN, "read and write", REFUSED, open_both },
	{ FUSE_OPEN, "truncate", REFUSED, open_truncate },
	{ FUSE_OPEN, "append", REFUSED, open_append },
	{ FUSE_OPEN, "access mode 3", REFUSED, open_3 },
	{ FUSE_OPEN, "create", HARMLESS, open_create },
	{ FUSE_OPEN, "read", HARMLESS, open_read },
	{ FUSE_CREATE, "new", REFUSED, create_new },
	{ FUSE_CREATE, "new, to read", REFUSED, create_new_reading },
	{ FUSE_CREATE, "there, exclusively", REFUSED, create_excl },
	{ FUSE_CREATE, "there, to write", REFUSED, create_over },
	{ FUSE_CREATE, "there, truncate", REFUSED, create_truncate },
	{ FUSE_CREATE, "through a link", REFUSED, create_link },
	{ FUSE_CREATE, "a FIFO", REFUSED, create_fifo },
	{ FUSE_CREATE, "there, to read", HARMLESS, create_reading },
	{ FUSE_TMPFILE, "tmpfile", REFUSED, tmpfile_ },
	{ FUSE_READ, "read", HARMLESS, read_ },
	{ FUSE_WRITE, "write", REFUSED, write_ },
	{ FUSE_WRITE, "write back", REFUSED, write_back },
	{ FUSE_WRITE, "append", REFUSED, write_append },
	{ FUSE_STATFS, "statfs", HARMLESS, statfs_ },
	{ FUSE_RELEASE, "release", HARMLESS, release_ },
	{ FUSE_FLUSH, "flush", HARMLESS, flush_ },
	{ FUSE_FSYNC, "fsync", HARMLESS, fsync_ },
	{ FUSE_SYNCFS, "syncfs", HARMLESS, syncfs_ },
	{ FUSE_SETXATTR, "a new one", REFUSED, setxattr_ },
	{ FUSE_SETXATTR, "one that is there", REFUSED, setxattr_there },
	{ FUSE_SETXATTR, "a directory's", REFUSED, setxattr_dir },
	{ FUSE_REMOVEXATTR, "remove", REFUSED, removexattr_ },
	{ FUSE_GETXATTR, "get", HARMLESS, getxattr_ },
	{ FUSE_LISTXATTR, "list", HARMLESS, listxattr_ },
	{ FUSE_INIT, "init", HARMLESS, init_again },
	{ FUSE_OPENDIR, "opendir", HARMLESS, opendir_ },
	{ FUSE_RELEASEDIR, "releasedir", HARMLESS, opendir_ },
	{ FUSE_READDIR, "readdir", HARMLESS, readdir_ },
	{ FUSE_READDIRPLUS, "readdirplus", HARMLESS, readdirplus_ },
	{ FUSE_FSYNCDIR, "fsyncdir", HARMLESS, fsyncdir_ },
	{ FUSE_SETLK, "read lock", HARMLESS, lock_read },
	{ FUSE_SETLK, "write lock", HARMLESS, lock_write },
	{ FUSE_SETLK, "flock", HARMLESS, lock_flock },
	{ FUSE_SETLKW, "wait", HARMLESS, lock_wait },
	{ FUSE_GETLK, "getlk", HARMLESS, getlk_ },
	{ FUSE_ACCESS, "write", REFUSED, access_write },
	{ FUSE_ACCESS, "read", HARMLESS, access_read },
	{ FUSE_INTERRUPT, "interrupt", HARMLESS, interrupt_ },
	{ FUSE_FALLOCATE, "extend", REFUSED, fallocate_ },
	{ FUSE_FALLOCATE, "punch", REFUSED, fallocate_punch },
	{ FUSE_LSEEK, "lseek", HARMLESS, lseek_ },
	{ FUSE_COPY_FILE_RANGE, "copy", REFUSED, copy_ },
	{ FUSE_SETUPMAPPING, "to write", REFUSED, map_write },
	{ FUSE_SETUPMAPPING, "to write, without a handle", REFUSED, map_write_without_handle },
	{ FUSE_SETUPMAPPING, "to read, and written to", HARMLESS, map_read_and_write_there },
	{ FUSE_REMOVEMAPPING, "unmap", HARMLESS, unmap_ },
	{ FUSE_DESTROY, "destroy", HARMLESS, NULL }, /* the end of the test */
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static void every_opcode_has_a_row(void **state)
{
	(void)state;
	for (uint32_t opcode = 0; opcode < 5000; opcode++) {
		unsigned n = 0;

		for (unsigned i = 0; i < N_ROWS; i++)
			n += rows[i].opcode == opcode;
		if (!operation_find(opcode) != !n)
			fail_msg("opcode %u has %u rows", opcode, n);
	}
}

static void make_tree(struct fs_client *client, const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY);
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };

	(void)client;
	assert_true(fd >= 0);
	assert_int_equal(mkdirat(fd, "dir", 0755), 0);
	assert_int_equal(mkdirat(fd, "empty", 0755), 0);
	assert_int_equal(mkfifoat(fd, "fifo", 0644), 0);
	assert_int_equal(symlinkat("file", fd, "link"), 0);
	for (unsigned i = 0; i < 2; i++) {
		int file = openat(fd, i ? "file" : "dir/inner", O_WRONLY | O_CREAT, 04755);

		assert_int_equal(write(file, "content", 7), 7);
		assert_int_equal(fsetxattr(file, "user.there", "value", 5, 0), 0);
		/* A time of access before that of modification: relatime would move it at the next read. */
		assert_int_equal(futimens(file, old), 0);
		close(file);
	}
	assert_int_equal(utimensat(fd, "dir", old, 0), 0);
	close(fd);
}

static void nothing_changes(const char *options)
{
	char folder[] = "/tmp/capsa-readonly-XXXXXX";
	struct fs_client client;
	struct hand hand = { .client = &client };
	char *before, *after, text[256];
	unsigned failed = 0;

	assert_non_null(mkdtemp(folder));
	make_tree(&client, folder);
	before = tree_of(folder);
	snprintf(text, sizeof text, "readonly = true; %s", options);
	fs_begin(&client, folder, text);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "dir", &hand.dir, NULL), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", &hand.file, NULL), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "link", &hand.link, NULL), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "fifo", &hand.fifo, NULL), 0);
	assert_int_equal(fs_open(&client, hand.file, O_RDONLY, &hand.fh), 0);
	assert_int_equal(fs_opendir(&client, hand.dir, &hand.dirfh), 0);
	for (unsigned i = 0; i < N_ROWS; i++) {
		int r = rows[i].try ? rows[i].try(&hand) : fs_destroy(&client);

		after = tree_of(folder);
		if (strcmp(before, after) != 0) {
			print_error("%s: opcode %u (%s) = %d changed\n%sto\n%s\n", options, rows[i].opcode,
			            rows[i].what, r, before, after);
			failed++;
			free(before);
			before = strdup(after);
		}
		free(after);
		if (rows[i].expected == REFUSED && r >= 0) {
			print_error("%s: opcode %u (%s) = %d\n", options, rows[i].opcode, rows[i].what, r);
			failed++;
		}
	}
	free(before);
	client.own_folder = true; /* to be removed */
	fs_end(&client);
	assert_int_equal(failed, 0);
}

static void nothing_changes_where_owners_are_the_hosts(void **state)
{
	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	nothing_changes("owner = \"host\";");
}

static void nothing_changes_where_owners_are_squashed(void **state)
{
	(void)state;
	nothing_changes("owner = \"squash\";");
}

static void nothing_changes_through_a_window(void **state)
{
	(void)state;
	nothing_changes("dax = \"2M\"; cache = \"always\";");
}

static void nothing_changes_with_locks_on_the_host(void **state)
{
	(void)state;
	nothing_changes("locks = \"host\"; cache = \"none\";");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_opcode_has_a_row),
		cmocka_unit_test(nothing_changes_where_owners_are_the_hosts),
		cmocka_unit_test(nothing_changes_where_owners_are_squashed),
		cmocka_unit_test(nothing_changes_through_a_window),
		cmocka_unit_test(nothing_changes_with_locks_on_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
