/* SPDX-License-Identifier: MIT */
/*
 * fs_directory_test.c - what is in a directory: every entry exactly once, with buffers of any size, from any offset,
 * while others create and remove.
 */
#include "tests/unit/fs_look.h"

#include <dirent.h>
#include <limits.h>
#include <stdatomic.h>

#define MANY 100000u

/* Files 0 .. n-1 in `folder`. */
static void host_files(struct fs_client *c, const char *folder, unsigned n)
{
	char name[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s/%u", folder, i);
		assert_int_equal(mknodat(c->folder_fd, name, S_IFREG | 0644, 0), 0);
	}
}

/* How often each of the names 0 .. MANY-1 was there, and how many others. */
struct seen {
	unsigned char times[MANY];
	unsigned others, dots;
};

static void see(void *ctx, const char *name, const struct fuse_dirent *entry)
{
	struct seen *seen = ctx;
	char *end;
	unsigned long i = strtoul(name, &end, 10);

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		assert_int_equal(entry->type, DT_DIR);
		seen->dots++;
	} else if (*name && !*end && i < MANY) {
		seen->times[i]++;
	} else {
		seen->others++;
	}
}

static void every_once(const struct seen *seen, unsigned n)
{
	for (unsigned i = 0; i < MANY; i++) {
		if (seen->times[i] != (i < n))
			fail_msg("%u was there %u times", i, seen->times[i]);
	}
	assert_int_equal(seen->dots, 2);
}

/* Reads it all with buffers of `size` bytes, and forgets what it looked up. */
static unsigned list(struct fs_client *c, uint64_t node, bool plus, size_t size, struct seen *seen)
{
	const size_t front = plus ? offsetof(struct fuse_direntplus, dirent) : 0;
	char *data = malloc(size);
	unsigned calls = 0;
	uint64_t fh, offset = 0;
	ssize_t len;

	memset(seen, 0, sizeof *seen);
	assert_int_equal(fs_opendir(c, node, &fh), 0);
	while ((len = fs_readdir(c, node, fh, offset, plus, data, size)) > 0) {
		assert_true((size_t)len <= size);
		calls++;
		for (size_t at = 0; at < (size_t)len;) {
			struct fuse_forget_one one = { .nlookup = 1 };
			struct fuse_dirent entry;
			char name[NAME_MAX + 1];

			memcpy(&entry, data + at + front, FUSE_NAME_OFFSET);
			assert_true(entry.namelen <= NAME_MAX);
			memcpy(name, data + at + front + FUSE_NAME_OFFSET, entry.namelen);
			name[entry.namelen] = '\0';
			see(seen, name, &entry);
			if (plus) {
				struct fuse_entry_out known;

				memcpy(&known, data + at, sizeof known);
				one.nodeid = known.nodeid;
				assert_true((*name == '.') == !known.nodeid);
				if (known.nodeid)
					assert_int_equal(known.attr.ino, entry.ino);
				fs_batch_forget(c, &one, 1);
			}
			offset = entry.off;
			at += FUSE_DIRENT_ALIGN(front + FUSE_NAME_OFFSET + entry.namelen);
		}
	}
	assert_int_equal(len, 0);
	assert_int_equal(fs_releasedir(c, node, fh), 0);
	free(data);
	return calls;
}

static void hundred_thousand_entries_are_there_once_whatever_the_buffer(void **state)
{
	static const size_t sizes[] = { 256, 4096, 32768, 1 << 20 };
	struct seen *seen = malloc(sizeof *seen);
	uint64_t nodes, descriptors, dir;
	struct fs_client c;

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	host_files(&c, "d", MANY);
	dir = look(&c, FUSE_ROOT_ID, "d");
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned plus = 0; plus < 2; plus++) {
			if (plus && sizes[i] == 256)
				continue; /* the next test's */
			list(&c, dir, plus, sizes[i], seen);
			every_once(seen, MANY);
			assert_int_equal(seen->others, 0);
		}
	}
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 2);
	fs_end(&c);
	free(seen);
}

static void a_buffer_for_one_entry_gives_one_and_a_smaller_one_is_refused(void **state)
{
	struct seen *seen = malloc(sizeof *seen);
	char name[NAME_MAX + 1], data[512];
	struct fs_client c;
	uint64_t dir, fh;

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	host_files(&c, "d", 30);
	dir = look(&c, FUSE_ROOT_ID, "d");
	assert_int_equal(list(&c, dir, true, 160, seen), 32);
	every_once(seen, 30);
	assert_int_equal(list(&c, dir, false, 32, seen), 32);
	every_once(seen, 30);
	assert_int_equal(fs_opendir(&c, dir, &fh), 0);
	assert_int_equal(fs_readdir(&c, dir, fh, 0, false, data, 31), -EINVAL);
	assert_int_equal(fs_readdir(&c, dir, fh, 0, true, data, 159), -EINVAL);
	assert_int_equal(fs_readdir(&c, dir, fh, 0, true, data, 0), -EINVAL);
	assert_int_equal(fs_releasedir(&c, dir, fh), 0);

	/* The longest name, of a length that leaves no padding and one that does. */
	memset(name, 0xfe, sizeof name);
	name[NAME_MAX] = '\0';
	host_mkdir(&c, "long");
	dir = look(&c, FUSE_ROOT_ID, "long");
	for (unsigned i = 0; i < 8; i++) {
		char path[512];

		name[NAME_MAX - i] = '\0';
		snprintf(path, sizeof path, "long/%s", name);
		fs_host_file(&c, path, NULL, 0644);
	}
	for (unsigned plus = 0; plus < 2; plus++) {
		list(&c, dir, plus, 4096, seen);
		assert_true(seen->others == 8 && seen->dots == 2);
	}
	fs_end(&c);
	free(seen);
}

/* The host creates and removes other names while the guest reads; those that stay are there once all the same. */
struct churn {
	struct fs_client *client;
	atomic_bool stop;
};

static void *create_and_remove(void *ctx)
{
	struct churn *churn = ctx;
	char name[64];

	for (unsigned i = 0; !atomic_load(&churn->stop); i++) {
		snprintf(name, sizeof name, "d/other%u", i % 500);
		if (unlinkat(churn->client->folder_fd, name, 0) < 0)
			mknodat(churn->client->folder_fd, name, S_IFREG | 0644, 0);
	}
	return NULL;
}

static void entries_that_stay_are_there_once_while_others_come_and_go(void **state)
{
	struct seen *seen = malloc(sizeof *seen);
	uint64_t nodes, descriptors, dir;
	struct fs_client c;
	struct churn churn = { .client = &c };
	pthread_t thread;

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	host_files(&c, "d", 2000);
	dir = look(&c, FUSE_ROOT_ID, "d");
	assert_int_equal(pthread_create(&thread, NULL, create_and_remove, &churn), 0);
	for (unsigned i = 0; i < 20; i++) {
		memset(seen, 0, sizeof *seen);
		assert_true(fs_list(&c, dir, i % 2, see, seen) >= 2002);
		every_once(seen, 2000);
	}
	atomic_store(&churn.stop, true);
	pthread_join(thread, NULL);
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 2);
	fs_end(&c);
	free(seen);
}

/* seekdir(3) and rewinddir(3). */
static void reading_goes_on_at_any_offset_that_was_given(void **state)
{
	const size_t size = 4096;
	char *data = malloc(size), first[64] = "", again[64] = "";
	uint64_t offsets[2000], fh, dir, offset = 0;
	struct fuse_dirent entry;
	struct fs_client c;
	unsigned n = 0;
	ssize_t len;

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	host_files(&c, "d", 1000);
	dir = look(&c, FUSE_ROOT_ID, "d");
	assert_int_equal(fs_opendir(&c, dir, &fh), 0);
	while ((len = fs_readdir(&c, dir, fh, offset, false, data, size)) > 0) {
		for (ssize_t at = 0; at < len; at += (ssize_t)FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen)) {
			memcpy(&entry, data + at, FUSE_NAME_OFFSET);
			offset = offsets[n++] = entry.off;
		}
	}
	assert_int_equal(n, 1002);
	for (unsigned i = 0; i < 1001; i += 77) { /* what follows entry i is entry i + 1: it leads to offsets[i + 1] */
		assert_true(fs_readdir(&c, dir, fh, offsets[i], false, data, 64) > 0);
		memcpy(&entry, data, FUSE_NAME_OFFSET);
		assert_true(entry.off == offsets[i + 1]);
	}
	assert_int_equal(fs_readdir(&c, dir, fh, offset, false, data, size), 0);
	/* From the beginning, and what was made since is there. */
	assert_true(fs_readdir(&c, dir, fh, 0, false, data, 64) > 0);
	memcpy(&entry, data, FUSE_NAME_OFFSET);
	memcpy(first, data + FUSE_NAME_OFFSET, entry.namelen);
	assert_true(entry.off == offsets[0]);
	host_mkdir(&c, "d/new");
	assert_true(fs_readdir(&c, dir, fh, 0, false, data, 64) > 0);
	memcpy(&entry, data, FUSE_NAME_OFFSET);
	memcpy(again, data + FUSE_NAME_OFFSET, entry.namelen);
	assert_string_equal(first, again);
	/* Offsets that nobody gave: an errno or some entries, and no harm. */
	fs_readdir(&c, dir, fh, UINT64_MAX, false, data, size);
	fs_readdir(&c, dir, fh, INT64_MAX, true, data, size);
	fs_readdir(&c, dir, fh, 12345, false, data, size);
	assert_true(fs_readdir(&c, dir, fh, 0, false, data, size) > 0);
	assert_int_equal(fs_releasedir(&c, dir, fh), 0);
	fs_end(&c);
	free(data);
}

static uint64_t dotdot_ino;

static void find_dotdot(void *ctx, const char *name, const struct fuse_dirent *entry)
{
	(void)ctx;
	if (strcmp(name, "..") == 0)
		dotdot_ino = entry->ino;
}

static void above_the_root_is_the_root(void **state)
{
	struct fuse_attr attr;
	struct fs_client c;

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	assert_int_equal(fs_getattr(&c, FUSE_ROOT_ID, &attr), 0);
	for (unsigned plus = 0; plus < 2; plus++) {
		dotdot_ino = 0;
		fs_list(&c, FUSE_ROOT_ID, plus, find_dotdot, NULL);
		assert_true(dotdot_ino == attr.ino);
		dotdot_ino = 0;
		fs_list(&c, look(&c, FUSE_ROOT_ID, "d"), plus, find_dotdot, NULL);
		assert_true(dotdot_ino == attr.ino);
	}
	fs_end(&c);
}

static void types_are_told(void **state)
{
	static const struct {
		mode_t mode;
		unsigned type;
	} kinds[] = { { S_IFREG, DT_REG }, { S_IFIFO, DT_FIFO }, { S_IFSOCK, DT_SOCK } };
	struct fs_client c;
	uint64_t fh;
	char data[4096];

	(void)state;
	/* Otherwise a plain READDIR leaves the type of a file open. */
	if (fs_skips(geteuid() != 0, "owner = \"host\" needs root"))
		return;
	fs_begin(&c, NULL, "owner = \"host\";");
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned plus = 0; plus < 2; plus++) {
			const size_t front = plus ? offsetof(struct fuse_direntplus, dirent) : 0;
			struct fuse_dirent entry;
			unsigned found = 0;
			ssize_t len;

			assert_int_equal(mknodat(c.folder_fd, "node", kinds[i].mode | 0644, 0), 0);
			assert_int_equal(fs_opendir(&c, FUSE_ROOT_ID, &fh), 0);
			len = fs_readdir(&c, FUSE_ROOT_ID, fh, 0, plus, data, sizeof data);
			assert_true(len > 0);
			for (size_t at = 0; at < (size_t)len;
			     at += FUSE_DIRENT_ALIGN(front + FUSE_NAME_OFFSET + entry.namelen)) {
				memcpy(&entry, data + at + front, FUSE_NAME_OFFSET);
				if (entry.namelen == 4) {
					assert_int_equal(entry.type, kinds[i].type);
					found++;
				}
			}
			assert_int_equal(found, 1);
			assert_int_equal(fs_releasedir(&c, FUSE_ROOT_ID, fh), 0);
			assert_int_equal(unlinkat(c.folder_fd, "node", 0), 0);
		}
	}
	fs_end(&c);
}

static void handles_are_of_one_node_and_one_kind(void **state)
{
	struct fs_client c;
	uint64_t dir, file, fh, file_fh;
	char data[4096];

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	fs_host_file(&c, "f", "x", 0644);
	dir = look(&c, FUSE_ROOT_ID, "d");
	file = look(&c, FUSE_ROOT_ID, "f");
	assert_int_equal(fs_opendir(&c, file, &fh), -ENOTDIR);
	assert_int_equal(fs_open(&c, file, O_RDONLY, &file_fh), 0);
	assert_int_equal(fs_opendir(&c, dir, &fh), 0);
	assert_true(fs_readdir(&c, dir, fh, 0, false, data, sizeof data) > 0);
	assert_int_equal(fs_readdir(&c, FUSE_ROOT_ID, fh, 0, false, data, sizeof data), -EBADF);
	assert_int_equal(fs_readdir(&c, dir, file_fh, 0, false, data, sizeof data), -EBADF);
	assert_int_equal(fs_readdir(&c, dir, fh + 1, 0, false, data, sizeof data), -EBADF);
	assert_int_equal(fs_readdir(&c, dir, fh | 1ull << 32, 0, false, data, sizeof data), -EBADF);
	assert_int_equal(fs_releasedir(&c, file, file_fh), -EBADF);
	assert_int_equal(fs_call(&c, FUSE_FSYNCDIR, dir, &(struct fuse_fsync_in){ .fh = fh },
	                         sizeof(struct fuse_fsync_in), NULL, 0, NULL, 0, NULL),
	                 0);
	assert_int_equal(fs_releasedir(&c, dir, fh), 0);
	assert_int_equal(fs_releasedir(&c, dir, fh), -EBADF);
	assert_int_equal(fs_readdir(&c, dir, fh, 0, false, data, sizeof data), -EBADF);
	assert_int_equal(fs_release(&c, file, file_fh), 0);
	/* One that the host removes while it is open. */
	assert_int_equal(fs_opendir(&c, dir, &fh), 0);
	assert_int_equal(unlinkat(c.folder_fd, "d", AT_REMOVEDIR), 0);
	assert_true(fs_readdir(&c, dir, fh, 0, true, data, sizeof data) <= 0);
	assert_int_equal(fs_getattr(&c, dir, NULL), 0);
	assert_int_equal(fs_releasedir(&c, dir, fh), 0);
	fs_end(&c);
}

static void a_guest_that_opens_too_many_is_told_and_goes_on(void **state)
{
	uint64_t *fh = calloc(1 << 20, sizeof *fh);
	struct fs_client c;
	unsigned n = 0;
	int rc;

	(void)state;
	fs_begin(&c, NULL, "");
	while ((rc = fs_opendir(&c, FUSE_ROOT_ID, &fh[n])) == 0)
		assert_true(++n < 1 << 20);
	assert_int_equal(rc, -ENFILE);
	fs_host_file(&c, "f", "x", 0644);
	look(&c, FUSE_ROOT_ID, "f"); /* look-ups have descriptors of their own */
	assert_int_equal(fs_releasedir(&c, FUSE_ROOT_ID, fh[0]), 0);
	assert_int_equal(fs_opendir(&c, FUSE_ROOT_ID, &fh[0]), 0);
	while (n--)
		assert_int_equal(fs_releasedir(&c, FUSE_ROOT_ID, fh[n]), 0);
	fs_end(&c);
	free(fh);
}

/* Lists a directory with nodes: that of each of the files 0 .. n-1, and of "sub". */
static void list_nodes(struct fs_client *c, uint64_t dir, uint64_t *files, unsigned n, uint64_t *sub)
{
	const size_t front = offsetof(struct fuse_direntplus, dirent);
	char data[16384];
	uint64_t fh;
	ssize_t len;

	assert_int_equal(fs_opendir(c, dir, &fh), 0);
	len = fs_readdir(c, dir, fh, 0, true, data, sizeof data);
	assert_true(len > 0);
	for (size_t at = 0; at < (size_t)len;) {
		struct fuse_entry_out known;
		struct fuse_dirent entry;
		char name[NAME_MAX + 1];

		memcpy(&known, data + at, sizeof known);
		memcpy(&entry, data + at + front, FUSE_NAME_OFFSET);
		memcpy(name, data + at + front + FUSE_NAME_OFFSET, entry.namelen);
		name[entry.namelen] = '\0';
		if (strcmp(name, "sub") == 0)
			*sub = known.nodeid;
		else if (*name != '.' && strtoul(name, NULL, 10) < n)
			files[strtoul(name, NULL, 10)] = known.nodeid;
		at += FUSE_DIRENT_ALIGN(front + FUSE_NAME_OFFSET + entry.namelen);
	}
	assert_int_equal(fs_releasedir(c, dir, fh), 0);
}

static bool has_birth_times(struct fs_client *c, const char *name)
{
	struct statx stx;

	return statx(c->folder_fd, name, 0, STATX_BTIME | STATX_MNT_ID, &stx) == 0 && stx.stx_mask & STATX_BTIME &&
	       stx.stx_mask & STATX_MNT_ID;
}

static void a_file_that_was_listed_takes_no_descriptor_until_it_is_used(void **state)
{
	uint64_t files[8] = { 0 }, sub = 0, dir, fh, nodes, before, descriptors, again;
	struct fuse_attr attr;
	struct fs_client c;

	(void)state;
	if (geteuid() != 0)
		skip(); /* owner = "host" needs root; the other reads more of a file than its attributes */
	fs_begin(&c, NULL, "owner = \"host\";");
	host_mkdir(&c, "d");
	host_mkdir(&c, "d/sub");
	host_files(&c, "d", 8);
	if (!has_birth_times(&c, "d/0")) {
		fs_end(&c);
		skip();
	}
	dir = look(&c, FUSE_ROOT_ID, "d");
	node_table_count(c.share->nodes, &nodes, &before);
	list_nodes(&c, dir, files, 8, &sub);
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 2 + 9);
	assert_int_equal(descriptors, before + 1); /* the directory's: a process may stand in it when it is moved */

	/* Used, it is opened; looked up, it is the same. */
	assert_int_equal(fs_getattr(&c, files[0], &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(fs_open(&c, files[1], O_RDWR, &fh), 0);
	assert_int_equal(fs_chmod(&c, files[2], 0600), 0);
	assert_int_equal(look(&c, dir, "3"), files[3]);
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_int_equal(descriptors, before + 1 + 4);
	/* An open one outlives its name. */
	assert_int_equal(fs_unlink(&c, dir, "1"), 0);
	assert_int_equal(fs_getattr(&c, files[1], &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(fs_release(&c, files[1], fh), 0);

	/* Where the guest moves it, it is found; what the host put in its place is another. */
	assert_int_equal(fs_rename(&c, dir, "4", sub, "moved", 0), 0);
	assert_int_equal(fs_getattr(&c, files[4], NULL), 0);
	assert_int_equal(mknodat(c.folder_fd, "other", S_IFREG | 0644, 0), 0);
	assert_int_equal(renameat(c.folder_fd, "other", c.folder_fd, "d/5"), 0);
	assert_int_equal(fs_getattr(&c, files[5], NULL), -ESTALE);
	again = look(&c, dir, "5");
	assert_true(again != files[5]);
	/* A link of the host's is not followed. */
	assert_int_equal(unlinkat(c.folder_fd, "d/6", 0), 0);
	assert_int_equal(symlinkat("0", c.folder_fd, "d/6"), 0);
	assert_int_equal(fs_open(&c, files[6], O_RDONLY, &fh), -ESTALE);
	assert_int_equal(fs_unlink(&c, dir, "7"), 0);
	assert_int_equal(fs_getattr(&c, files[7], NULL), -ESTALE);
	fs_end(&c);
}

/* Looks into the plugin: a worker that lists for long is this thread, which holds the handle's lock. */
static void a_directory_that_a_worker_is_listing_does_not_hold_up_the_loop(void **state)
{
	struct fuse_read_in in = { .size = 4096 };
	struct fs_request *request;
	struct handle *handle;
	struct fs_client c;
	uint64_t before;
	size_t len;
	char data[4096];

	(void)state;
	fs_begin(&c, NULL, "");
	assert_int_equal(fs_opendir(&c, FUSE_ROOT_ID, &in.fh), 0);
	assert_int_equal(handle_get(c.share, in.fh, HANDLE_DIRECTORY, &handle), 0);
	before = fs_counter(&c, "worker_requests");
	pthread_mutex_lock(&handle->lock);
	request = fs_submit(&c, FUSE_READDIR, FUSE_ROOT_ID, &in, sizeof in, NULL, 0, sizeof data);
	assert_false(fs_is_done(&c, request));
	assert_int_equal(fs_counter(&c, "worker_requests"), before + 1);
	pthread_mutex_unlock(&handle->lock);
	assert_int_equal(fs_wait(&c, request, data, sizeof data, &len), 0);
	assert_true(len > 0);
	handle_put(c.share, handle);
	assert_int_equal(fs_releasedir(&c, FUSE_ROOT_ID, in.fh), 0);
	fs_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hundred_thousand_entries_are_there_once_whatever_the_buffer),
		cmocka_unit_test(a_buffer_for_one_entry_gives_one_and_a_smaller_one_is_refused),
		cmocka_unit_test(entries_that_stay_are_there_once_while_others_come_and_go),
		cmocka_unit_test(reading_goes_on_at_any_offset_that_was_given),
		cmocka_unit_test(above_the_root_is_the_root),
		cmocka_unit_test(types_are_told),
		cmocka_unit_test(handles_are_of_one_node_and_one_kind),
		cmocka_unit_test(a_file_that_was_listed_takes_no_descriptor_until_it_is_used),
		cmocka_unit_test(a_guest_that_opens_too_many_is_told_and_goes_on),
		cmocka_unit_test(a_directory_that_a_worker_is_listing_does_not_hold_up_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
