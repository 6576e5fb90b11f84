/* SPDX-License-Identifier: MIT */
/* fs_quota_test.c - what the guest may add is bounded, whatever way it adds it; what it removes it may add again. */
#include "tests/unit/fs_client.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <sys/statvfs.h>

#define KIB 1024u
#define MIB (1024u * KIB)
#define SLACK (256u * KIB) /* blocks of extents, directories, and the last bytes of what was granted */

static char block[MIB];

/* Bytes that the folder takes on the host. */
static uint64_t host_bytes(int dirfd)
{
	DIR *dir = fdopendir(dup(dirfd));
	const struct dirent *entry;
	uint64_t bytes = 0;

	assert_non_null(dir);
	rewinddir(dir);
	while ((entry = readdir(dir))) {
		struct stat st;
		int sub;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bytes += (uint64_t)st.st_blocks * 512;
		if (!S_ISDIR(st.st_mode))
			continue;
		sub = openat(dirfd, entry->d_name, O_RDONLY | O_DIRECTORY);
		assert_true(sub >= 0);
		bytes += host_bytes(sub);
		close(sub);
	}
	closedir(dir);
	return bytes;
}

/* Writes until it is refused: bytes that were written. */
static uint64_t fill(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t from, size_t step)
{
	uint64_t done = 0;
	ssize_t n;

	while ((n = fs_write(client, node, fh, block, step, from + done)) > 0) {
		done += (uint64_t)n;
		assert_true(done < 64 * MIB);
	}
	assert_int_equal(n, -EDQUOT);
	return done;
}

static uint64_t make_open(struct fs_client *client, const char *name, uint64_t *fh)
{
	uint64_t node;

	assert_int_equal(fs_create(client, FUSE_ROOT_ID, name, O_RDWR, 0644, &node, fh), 0);
	return node;
}

static void close_and_forget(struct fs_client *client, uint64_t node, uint64_t fh)
{
	assert_int_equal(fs_release(client, node, fh), 0);
	fs_forget(client, node, 1);
}

static void a_guest_fills_its_share_to_the_limit_and_may_go_on_once_it_removed_something(void **state)
{
	struct fs_client client;
	uint64_t node, fh, done;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"4M\";");
	for (unsigned i = 0; i < 3; i++) {
		node = make_open(&client, "f", &fh);
		done = fill(&client, node, fh, 0, 64 * KIB);
		assert_true(done >= 4 * MIB - SLACK && done <= 4 * MIB);
		assert_true(host_bytes(client.folder_fd) <= 4 * MIB + SLACK);
		if (i == 0) {
			assert_int_equal(fs_truncate(&client, node, 1 * MIB), 0);
			assert_true(fill(&client, node, fh, 1 * MIB, 64 * KIB) >= 3 * MIB - SLACK);
		}
		close_and_forget(&client, node, fh);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "f"), 0);
	}
	fs_end(&client);
}

static void reading_and_removing_go_on_where_nothing_is_left(void **state)
{
	struct fs_client client;
	uint64_t node, fh, fh2;
	char text[4];

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"1M\";");
	node = make_open(&client, "f", &fh);
	fill(&client, node, fh, 0, 4 * KIB);
	while (fs_write(&client, node, fh, block, 1, 8 * MIB) > 0 && host_bytes(client.folder_fd) < 2 * MIB)
		;
	assert_int_equal(fs_read(&client, node, fh, text, sizeof text, 0), 4);
	assert_int_equal(fs_open(&client, node, O_RDONLY, &fh2), 0);
	fs_release(&client, node, fh2);
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "f", FUSE_ROOT_ID, "g", RENAME_EXCHANGE), -ENOENT);
	assert_int_equal(fs_open(&client, node, O_RDWR | O_TRUNC, &fh2), 0);
	assert_int_equal(fs_write(&client, node, fh2, block, 64 * KIB, 0), 64 * KIB);
	fs_release(&client, node, fh2);
	fs_release(&client, node, fh);
	assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "f"), 0);
	fs_end(&client);
}

/* Otherwise a guest could fill the disk with what it holds open and has removed. */
static void what_is_open_counts_until_it_is_closed(void **state)
{
	struct fs_client client;
	uint64_t node, fh, fh2, other, ofh;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"2M\";");
	node = make_open(&client, "f", &fh);
	other = make_open(&client, "g", &ofh);
	fill(&client, node, fh, 0, 64 * KIB);
	assert_int_equal(fs_open(&client, node, O_RDONLY, &fh2), 0);
	assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "f"), 0);
	assert_true(fill(&client, other, ofh, 0, 64 * KIB) <= SLACK);
	assert_int_equal(fs_release(&client, node, fh), 0);
	assert_true(fill(&client, other, ofh, 1 * MIB, 64 * KIB) <= SLACK);
	/* A guest of bad manners forgets what it has open. */
	fs_forget(&client, node, 1);
	assert_true(fill(&client, other, ofh, 1 * MIB, 64 * KIB) <= SLACK);
	assert_int_equal(fs_release(&client, node, fh2), 0);
	node_table_limit(client.share->nodes, 64);
	/* Not at once where a look has just been in vain: a look has a part of the time only. */
	for (unsigned i = 0; fs_write(&client, other, ofh, block, 1 * MIB, 1 * MIB) != 1 * MIB; i++)
		assert_true(i < 100000);
	close_and_forget(&client, other, ofh);
	fs_end(&client);
}

/* The space of a removed file that is open changes yet; it is given back once. */
static void what_was_removed_and_cut_is_given_back_once(void **state)
{
	struct fs_client client;
	uint64_t keep, kfh, node, fh;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"4M\";");
	keep = make_open(&client, "keep", &kfh);
	assert_int_equal(fs_write(&client, keep, kfh, block, MIB, 0), MIB);
	assert_int_equal(fs_write(&client, keep, kfh, block, MIB, MIB), MIB);
	for (unsigned i = 0; i < 6; i++) {
		node = make_open(&client, "f", &fh);
		assert_int_equal(fs_write(&client, node, fh, block, MIB, 0), MIB);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "f"), 0);
		if (i % 2) {
			assert_int_equal(fs_truncate(&client, node, 0), 0);
		} else {
			assert_int_equal(fs_write(&client, node, fh, block, MIB / 2, MIB), MIB / 2);
		}
		close_and_forget(&client, node, fh);
	}
	assert_true(fill(&client, keep, kfh, 2 * MIB, 64 * KIB) <= 2 * MIB);
	assert_true(host_bytes(client.folder_fd) <= 4 * MIB + SLACK);
	close_and_forget(&client, keep, kfh);
	fs_end(&client);
}

static void holes_count_when_they_are_filled(void **state)
{
	struct fs_client client;
	uint64_t node, fh, done;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"2M\";");
	node = make_open(&client, "f", &fh);
	assert_int_equal(fs_truncate(&client, node, 1024ull * MIB), 0);
	assert_true(host_bytes(client.folder_fd) < SLACK);
	done = fill(&client, node, fh, 0, 64 * KIB);
	assert_true(done >= 2 * MIB - SLACK && done <= 2 * MIB);
	assert_int_equal(fs_fallocate(&client, node, fh, 0, 512ull * MIB, 16 * MIB), -EDQUOT);
	assert_int_equal(fs_fallocate(&client, node, fh, FALLOC_FL_KEEP_SIZE, 2048ull * MIB, 16 * MIB), -EDQUOT);
	if (fs_fallocate(&client, node, fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1 * MIB) == 0)
		assert_true(fill(&client, node, fh, 900 * MIB, 64 * KIB) >= MIB - SLACK);
	assert_true(host_bytes(client.folder_fd) <= 2 * MIB + SLACK);
	close_and_forget(&client, node, fh);
	fs_end(&client);
}

static void every_other_way_of_adding_counts(void **state)
{
	struct fs_client client;
	uint64_t node, fh, other, ofh, tmp, tfh;
	char target[1024], name[260];
	unsigned n;
	int r;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"2M\";");
	fs_host_file(&client, "big", "", 0644);
	n = (unsigned)openat(client.folder_fd, "big", O_WRONLY);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pwrite((int)n, block, MIB, i * MIB), MIB);
	close((int)n);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "big", &other, NULL), 0);
	assert_int_equal(fs_open(&client, other, O_RDONLY, &ofh), 0);

	/* Copies. */
	node = make_open(&client, "f", &fh);
	assert_int_equal(fs_copy_file_range(&client, other, ofh, 0, node, fh, 0, 8 * MIB), -EDQUOT);
	assert_int_equal(fs_copy_file_range(&client, other, ofh, 0, node, fh, 0, MIB), MIB);
	/* Files without a name. */
	r = fs_tmpfile(&client, FUSE_ROOT_ID, O_RDWR | O_TMPFILE, 0600, &tmp, &tfh);
	if (r == 0) {
		assert_true(fill(&client, tmp, tfh, 0, 64 * KIB) <= MIB);
		close_and_forget(&client, tmp, tfh);
		for (unsigned i = 0; fs_write(&client, node, fh, block, MIB / 2, MIB) != MIB / 2; i++)
			assert_true(i < 100000);
		assert_int_equal(fs_truncate(&client, node, MIB), 0);
	}
	/* Links, long ones, each with a block: until there is no room for their names either. */
	memset(target, 't', sizeof target - 1);
	target[sizeof target - 1] = '\0';
	for (n = 0; n < 4000; n++) {
		uint64_t link;

		snprintf(name, sizeof name, "%0200u", n);
		r = fs_symlink(&client, FUSE_ROOT_ID, name, target, &link);
		if (r < 0)
			break;
		fs_forget(&client, link, 1);
	}
	assert_int_equal(r, -EDQUOT);
	/* Attributes. */
	assert_int_equal(fs_setxattr(&client, node, "user.a", block, 2000, 0), -EDQUOT);
	/* What replaces something gives that back. */
	assert_int_equal(fs_truncate(&client, node, 0), 0);
	assert_int_equal(fs_setxattr(&client, node, "user.a", block, 2000, 0), 0);
	assert_int_equal(fs_write(&client, node, fh, block, MIB / 4, 0), MIB / 4);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t next, nfh;

		next = make_open(&client, "new", &nfh);
		for (unsigned t = 0; fs_write(&client, next, nfh, block, MIB / 4, 0) != MIB / 4; t++)
			assert_true(t < 100000);
		close_and_forget(&client, next, nfh);
		assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "new", FUSE_ROOT_ID, "old", 0), 0);
	}
	assert_true(host_bytes(client.folder_fd) <= 10 * MIB + SLACK);
	close_and_forget(&client, node, fh);
	close_and_forget(&client, other, ofh);
	fs_end(&client);
}

static void a_file_with_another_name_is_not_gone(void **state)
{
	struct fs_client client;
	uint64_t node, fh, tmp;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"1M\"; max_inodes = 1;");
	for (unsigned i = 0; i < 4; i++) {
		if (i == 0) {
			node = make_open(&client, "a", &fh);
			assert_int_equal(fs_write(&client, node, fh, block, MIB / 2, 0), MIB / 2);
			fs_release(&client, node, fh);
		}
		assert_int_equal(fs_link(&client, node, FUSE_ROOT_ID, "b"), 0);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, i % 2 ? "a" : "b"), 0);
		if (i % 2)
			assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "b", FUSE_ROOT_ID, "a", 0), 0);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "c", S_IFREG | 0644, 0, &tmp), -EDQUOT);
		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "c", O_RDWR, 0644, &tmp, &fh), -EDQUOT);
	}
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "a", &tmp, NULL), 0);
	assert_int_equal(fs_open(&client, tmp, O_RDWR, &fh), 0);
	assert_true(fill(&client, tmp, fh, 8 * MIB, 16 * KIB) <= MIB / 2);
	fs_release(&client, tmp, fh);
	fs_end(&client);
}

static void a_tmpfile_that_is_linked_counts_as_any(void **state)
{
	struct fs_client client;
	uint64_t node, fh, other;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"2M\"; max_inodes = 1;");
	if (fs_tmpfile(&client, FUSE_ROOT_ID, O_RDWR | O_TMPFILE, 0600, &node, &fh) == 0) {
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "c", S_IFREG | 0644, 0, &other), -EDQUOT);
		assert_int_equal(fs_write(&client, node, fh, block, MIB, 0), MIB);
		assert_int_equal(fs_link(&client, node, FUSE_ROOT_ID, "named"), 0);
		fs_release(&client, node, fh);
		fs_forget(&client, node, 2);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "c", S_IFREG | 0644, 0, &other), -EDQUOT);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "named"), 0);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "c", S_IFREG | 0644, 0, &other), 0);
	}
	fs_end(&client);
}

static void every_kind_of_inode_counts_and_is_given_back(void **state)
{
	struct fs_client client;
	uint64_t node;

	(void)state;
	fs_begin(&client, NULL, "max_inodes = 4;");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0755, &node), 0);
		fs_forget(&client, node, 1);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "f", S_IFREG | 0644, 0, &node), 0);
		fs_forget(&client, node, 1);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "p", S_IFIFO | 0644, 0, &node), 0);
		fs_forget(&client, node, 1);
		assert_int_equal(fs_symlink(&client, FUSE_ROOT_ID, "l", "t", &node), 0);
		fs_forget(&client, node, 1);
		assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d2", 0755, &node), -EDQUOT);
		assert_int_equal(fs_symlink(&client, FUSE_ROOT_ID, "l2", "t", &node), -EDQUOT);
		/* What fails takes none. */
		assert_int_equal(fs_rmdir(&client, FUSE_ROOT_ID, "d"), 0);
		for (unsigned n = 0; n < 10; n++)
			assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "f", 0755, &node), -EEXIST);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "f"), 0);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "p"), 0);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "l"), 0);
	}
	fs_end(&client);
}

static void what_was_there_before_is_not_credit_beyond_the_limit(void **state)
{
	struct fs_client client;
	uint64_t node, fh;
	int fd;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"1M\"; max_inodes = 2;");
	for (unsigned i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof name, "old%u", i);
		fd = openat(client.folder_fd, name, O_WRONLY | O_CREAT, 0644);
		assert_int_equal(write(fd, block, MIB), MIB);
		close(fd);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, name), 0);
	}
	node = make_open(&client, "f", &fh);
	assert_true(fill(&client, node, fh, 0, 64 * KIB) <= MIB);
	close_and_forget(&client, node, fh);
	fs_end(&client);
}

static void df_shows_the_limit_and_what_is_left_of_it(void **state)
{
	struct fs_client client;
	struct fuse_kstatfs st;
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"8M\"; max_inodes = 100;");
	assert_int_equal(fs_statfs(&client, &st), 0);
	assert_int_equal(st.blocks * st.frsize, 8 * MIB);
	assert_int_equal(st.bfree * st.frsize, 8 * MIB);
	assert_int_equal(st.bavail * st.frsize, 8 * MIB);
	assert_int_equal(st.files, 100);
	assert_int_equal(st.ffree, 100);
	node = make_open(&client, "f", &fh);
	assert_int_equal(fs_write(&client, node, fh, block, MIB, 0), MIB);
	assert_int_equal(fs_statfs(&client, &st), 0);
	assert_true(st.bavail * st.frsize <= 7 * MIB && st.bavail * st.frsize >= 7 * MIB - SLACK);
	assert_int_equal(st.ffree, 99);
	close_and_forget(&client, node, fh);
	assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "f"), 0);
	assert_int_equal(fs_statfs(&client, &st), 0);
	assert_int_equal(st.ffree, 100);
	assert_true(st.bavail * st.frsize >= 8 * MIB - SLACK);
	fs_end(&client);
}

/* ---- several at once ---- */

#define WRITERS 3u

/* What the home loop waits for: a lock of another owner, which the last of the writers gives away. */
struct gate {
	uint64_t node, fh;
	atomic_uint writers;
};

struct writer {
	struct fs_client *client;
	struct gate *gate;
	unsigned queue;
	pthread_t thread;
};

static void *write_and_remove(void *ctx)
{
	struct writer *writer = ctx;
	struct fs_client *client = writer->client;
	char name[16];

	fs_thread(client, writer->queue);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t node, fh;

		snprintf(name, sizeof name, "w%u-%u", writer->queue, i % 5);
		if (fs_create(client, FUSE_ROOT_ID, name, O_RDWR, 0644, &node, &fh) < 0) {
			if (fs_lookup(client, FUSE_ROOT_ID, name, &node, NULL) < 0)
				continue;
			if (fs_open(client, node, O_RDWR | (i % 3 ? O_TRUNC : 0), &fh) < 0) {
				fs_forget(client, node, 1);
				continue;
			}
		}
		for (unsigned n = 0; n < 8; n++)
			fs_write(client, node, fh, block, 32 * KIB, n * 48 * KIB);
		if (i % 4 == 0)
			fs_unlink(client, FUSE_ROOT_ID, name);
		if (i % 7 == 0)
			fs_truncate(client, node, 100);
		fs_release(client, node, fh);
		fs_forget(client, node, 1);
	}
	if (atomic_fetch_sub(&writer->gate->writers, 1) == 1)
		fs_setlk(client, writer->gate->node, writer->gate->fh, 1,
		         &(struct fuse_file_lock){ .end = INT64_MAX, .type = F_UNLCK }, false, false);
	return NULL;
}

static void the_count_is_true_after_many_at_once(void **state)
{
	struct writer writers[WRITERS];
	struct fs_client client;
	struct fuse_kstatfs st;
	const struct fuse_file_lock lock = { .end = INT64_MAX, .type = F_WRLCK };
	struct gate gate = { .writers = WRITERS };
	uint64_t used, there;

	(void)state;
	fs_begin(&client, NULL, "max_bytes = \"2M\"; max_inodes = 1000; queues = 4; locks = \"host\";");
	gate.node = make_open(&client, "gate", &gate.fh);
	assert_int_equal(fs_setlk(&client, gate.node, gate.fh, 1, &lock, false, false), 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .client = &client, .gate = &gate, .queue = i + 2 };
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_and_remove, &writers[i]), 0);
	}
	assert_int_equal(fs_setlk(&client, gate.node, gate.fh, 2, &lock, false, true), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	fs_release(&client, gate.node, gate.fh);
	for (unsigned i = 0; i < 100; i++) /* looks rest in between */
		assert_int_equal(fs_statfs(&client, &st), 0);
	used = (st.blocks - st.bfree) * st.frsize;
	there = host_bytes(client.folder_fd);
	/* But for a block of extents a file, which the host's file system adds when it writes out. */
	assert_true(used + 15 * st.frsize >= there && used <= there + st.frsize);
	fs_end(&client);
}

/* The loop of queue 2, where brief operations need no worker otherwise. */
static void *do_what_is_brief(void *ctx)
{
	struct fs_client *client = ctx;
	struct fuse_kstatfs st;

	fs_thread(client, 2);
	assert_int_equal(fs_mkdir(client, FUSE_ROOT_ID, "folder", 0755, NULL), 0);
	assert_int_equal(fs_rmdir(client, FUSE_ROOT_ID, "folder"), 0);
	assert_int_equal(fs_statfs(client, &st), 0);
	return NULL;
}

/* Their locks are held by others that may be at the disk. */
static void what_takes_locks_of_the_quota_is_done_by_workers(void **state)
{
	struct fs_client client;
	pthread_t thread;
	uint64_t before;

	(void)state;
	fs_begin(&client, NULL, "max_inodes = 100; queues = 2;");
	before = fs_counter(&client, "worker_requests");
	assert_int_equal(pthread_create(&thread, NULL, do_what_is_brief, &client), 0);
	pthread_join(thread, NULL);
	assert_int_equal(fs_counter(&client, "worker_requests"), before + 3);
	fs_end(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_fills_its_share_to_the_limit_and_may_go_on_once_it_removed_something),
		cmocka_unit_test(reading_and_removing_go_on_where_nothing_is_left),
		cmocka_unit_test(what_is_open_counts_until_it_is_closed),
		cmocka_unit_test(what_was_removed_and_cut_is_given_back_once),
		cmocka_unit_test(holes_count_when_they_are_filled),
		cmocka_unit_test(every_other_way_of_adding_counts),
		cmocka_unit_test(a_file_with_another_name_is_not_gone),
		cmocka_unit_test(a_tmpfile_that_is_linked_counts_as_any),
		cmocka_unit_test(every_kind_of_inode_counts_and_is_given_back),
		cmocka_unit_test(what_was_there_before_is_not_credit_beyond_the_limit),
		cmocka_unit_test(df_shows_the_limit_and_what_is_left_of_it),
		cmocka_unit_test(the_count_is_true_after_many_at_once),
		cmocka_unit_test(what_takes_locks_of_the_quota_is_done_by_workers),
	};

	umask(0);
	memset(block, 'b', sizeof block);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
