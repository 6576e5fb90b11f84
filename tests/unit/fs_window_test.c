/* SPDX-License-Identifier: MIT */
/*
 * The DAX window: SETUPMAPPING and REMOVEMAPPING, and what becomes of files that are cut under their mappings. What the
 * core does about pages with nothing behind them (core/base/page-guard.h) is done here by replace().
 */
#include "tests/unit/fs_client.h"

#include <signal.h>
#include <sys/mman.h>

#define SLOT (2u << 20)
#define NO_HANDLE UINT64_MAX
#define READABLE FUSE_SETUPMAPPING_FLAG_READ
#define WRITABLE (FUSE_SETUPMAPPING_FLAG_READ | FUSE_SETUPMAPPING_FLAG_WRITE)
#define PAGE 4096u

/* An 8 MiB window and a file of `size` bytes: 'a' in the first page, 'b' in the next, ... */
struct window_case {
	struct fs_client client;
	uint64_t node;
	int fd;
};

static char letter(uint64_t offset)
{
	return (char)('a' + offset / PAGE % 26);
}

static void begin_with(struct window_case *c, size_t size, const char *options)
{
	char text[128];

	snprintf(text, sizeof text, "dax = \"8M\"; %s", options);
	fs_begin(&c->client, NULL, text);
	c->fd = openat(c->client.folder_fd, "file", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	for (size_t at = 0; at < size; at += PAGE) {
		char page[PAGE];

		memset(page, letter(at), sizeof page);
		assert_true(pwrite(c->fd, page, size - at < PAGE ? size - at : PAGE, (off_t)at) > 0);
	}
	assert_int_equal(fs_lookup(&c->client, FUSE_ROOT_ID, "file", &c->node, NULL), 0);
}

static void begin(struct window_case *c, size_t size)
{
	begin_with(c, size, "");
}

static void end(struct window_case *c)
{
	close(c->fd);
	fs_end(&c->client);
}

static int map(struct window_case *c, uint64_t file_offset, uint64_t len, uint64_t window_offset, uint64_t flags)
{
	return fs_setupmapping(&c->client, c->node, NO_HANDLE, file_offset, len, window_offset, flags);
}

static char at(struct window_case *c, uint64_t offset)
{
	return (char)*(volatile unsigned char *)(c->client.window + offset);
}

static char in_file(struct window_case *c, off_t offset)
{
	char byte = 0;

	assert_int_equal(pread(c->fd, &byte, 1, offset), 1);
	return byte;
}

/* What the core does with pages that have nothing behind them, and tells of. */
static void replace(struct window_case *c, uint64_t offset, uint64_t len)
{
	assert_true(mmap(c->client.window + offset, len, PROT_READ | PROT_WRITE,
	                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	window_fault(c->client.share, offset, len);
}

/* ---- mapping ---- */

static void a_writable_mapping_is_the_file(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, SLOT + 3 * PAGE);
	assert_int_equal(map(&c, 0, SLOT, 2 * SLOT, WRITABLE), 0);
	assert_int_equal(at(&c, 2 * SLOT), 'a');
	assert_int_equal(at(&c, 2 * SLOT + 2 * PAGE + 17), 'c');
	c.client.window[2 * SLOT + PAGE] = 'X';
	assert_int_equal(in_file(&c, PAGE), 'X');
	assert_int_equal(pwrite(c.fd, "Y", 1, 0), 1);
	assert_int_equal(at(&c, 2 * SLOT), 'Y');
	/* Another range of it, elsewhere. */
	assert_int_equal(map(&c, SLOT, SLOT, 0, WRITABLE), 0);
	assert_int_equal(at(&c, 2 * PAGE), letter(SLOT + 2 * PAGE));
	assert_int_equal(at(&c, SLOT), 0);
	end(&c);
}

static void writing_to_a_readonly_mapping_changes_no_file(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, 3 * PAGE);
	assert_int_equal(map(&c, 0, SLOT, 0, READABLE), 0);
	assert_int_equal(at(&c, PAGE), 'b');
	c.client.window[PAGE] = 'X';
	assert_int_equal(at(&c, PAGE), 'X');
	assert_int_equal(in_file(&c, PAGE), 'b');
	/* Linux makes it writable by mapping it again in its place. */
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(at(&c, PAGE), 'b');
	c.client.window[PAGE] = 'Y';
	assert_int_equal(in_file(&c, PAGE), 'Y');
	end(&c);
}

static void a_readonly_share_has_no_writable_mappings(void **state)
{
	struct window_case c;

	(void)state;
	begin_with(&c, 3 * PAGE, "readonly = true;");
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), -EROFS);
	assert_int_equal(map(&c, 0, SLOT, 0, FUSE_SETUPMAPPING_FLAG_WRITE), -EROFS);
	assert_int_equal(map(&c, 0, SLOT, 0, READABLE), 0);
	c.client.window[0] = 'X';
	assert_int_equal(in_file(&c, 0), 'a');
	end(&c);
}

static void a_handle_must_be_open_for_what_is_mapped(void **state)
{
	struct window_case c;
	uint64_t fh;

	(void)state;
	begin(&c, PAGE);
	assert_int_equal(fs_open(&c.client, c.node, O_RDONLY, &fh), 0);
	assert_int_equal(fs_setupmapping(&c.client, 0, fh, 0, SLOT, 0, WRITABLE), -EACCES);
	assert_int_equal(fs_setupmapping(&c.client, 0, fh, 0, SLOT, 0, READABLE), 0);
	assert_int_equal(at(&c, 0), 'a');
	assert_int_equal(fs_release(&c.client, c.node, fh), 0);
	assert_int_equal(fs_setupmapping(&c.client, c.node, fh, 0, SLOT, 0, READABLE), -EBADF);
	assert_int_equal(fs_open(&c.client, c.node, O_WRONLY, &fh), 0);
	assert_int_equal(fs_setupmapping(&c.client, 0, fh, 0, SLOT, 0, READABLE), -EACCES);
	assert_int_equal(fs_release(&c.client, c.node, fh), 0);
	assert_int_equal(fs_open(&c.client, c.node, O_RDWR, &fh), 0);
	assert_int_equal(fs_setupmapping(&c.client, 0, fh, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(fs_release(&c.client, c.node, fh), 0);
	/* What is mapped stays without it. */
	c.client.window[0] = 'X';
	assert_int_equal(in_file(&c, 0), 'X');
	end(&c);
}

static void a_range_of_several_slots_is_mapped_and_removed_as_one(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, 3 * SLOT);
	assert_int_equal(map(&c, 0, 2 * SLOT + 2 * PAGE, SLOT, READABLE), 0);
	for (uint64_t offset = 0; offset < 2 * SLOT + 2 * PAGE; offset += PAGE)
		assert_int_equal(at(&c, SLOT + offset), letter(offset));
	assert_int_equal(at(&c, 3 * SLOT + 2 * PAGE), 0);
	assert_int_equal(fs_removemapping(&c.client, SLOT, 2 * SLOT + 2 * PAGE), 0);
	for (uint64_t offset = 0; offset < 4 * SLOT; offset += PAGE)
		assert_int_equal(at(&c, offset), 0);
	end(&c);
}

static void a_shorter_mapping_leaves_nothing_of_a_longer_one(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, 2 * SLOT);
	assert_int_equal(map(&c, 0, SLOT, 0, READABLE), 0);
	assert_int_equal(map(&c, SLOT, PAGE, 0, READABLE), 0);
	assert_int_equal(at(&c, 0), letter(SLOT));
	assert_int_equal(at(&c, PAGE), 0);
	assert_int_equal(at(&c, SLOT - 1), 0);
	end(&c);
}

static int remove_many(struct window_case *c, uint32_t count, const struct fuse_removemapping_one *ones, size_t n)
{
	const struct fuse_removemapping_in in = { .count = count };

	return fs_call(&c->client, FUSE_REMOVEMAPPING, c->node, &in, sizeof in, ones, n * sizeof ones[0], NULL, 0,
	               NULL);
}

static void several_ranges_are_removed_at_once(void **state)
{
	const struct fuse_removemapping_one ones[] = { { 0, SLOT }, { 3 * SLOT, SLOT }, { SLOT, SLOT } };
	const struct fuse_removemapping_one all[] = { { 0, UINT64_MAX } };
	struct window_case c;

	(void)state;
	begin(&c, SLOT);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(map(&c, 0, SLOT, (uint64_t)i * SLOT, READABLE), 0);
	assert_int_equal(remove_many(&c, 3, ones, 3), 0);
	assert_int_equal(at(&c, 0) | at(&c, SLOT) | at(&c, 3 * SLOT), 0);
	assert_int_equal(at(&c, 2 * SLOT), 'a');
	assert_int_equal(remove_many(&c, 1, all, 1), 0);
	assert_int_equal(at(&c, 2 * SLOT), 0);
	/* What is not there can be removed. */
	assert_int_equal(remove_many(&c, 3, ones, 3), 0);
	end(&c);
}

static void ranges_that_make_no_sense_are_refused(void **state)
{
	const struct fuse_removemapping_one ones[2] = { { 0, SLOT }, { 1, SLOT } };
	const struct fuse_setupmapping_in nothing = { .fh = 0 };
	struct window_case c;
	uint64_t dir;

	(void)state;
	begin(&c, SLOT);
	assert_int_equal(c.client.init.map_alignment, WINDOW_ALIGNMENT_SHIFT);
	assert_int_equal(map(&c, 0, 0, 0, READABLE), -EINVAL);
	assert_int_equal(map(&c, 0, SLOT, 0, 0), -EINVAL);
	assert_int_equal(map(&c, 0, SLOT, 0, 4), -EINVAL);
	assert_int_equal(map(&c, PAGE, SLOT, 0, READABLE), -EINVAL);
	assert_int_equal(map(&c, 0, SLOT, PAGE, READABLE), -EINVAL);
	assert_int_equal(map(&c, 0, 100, 0, READABLE), -EINVAL);
	assert_int_equal(map(&c, 0, SLOT, 4 * SLOT, READABLE), -EINVAL);
	assert_int_equal(map(&c, 0, 2 * SLOT, 3 * SLOT, READABLE), -EINVAL);
	assert_int_equal(map(&c, 0, UINT64_MAX - PAGE + 1, 0, READABLE), -EINVAL);
	assert_int_equal(map(&c, 0, SLOT, UINT64_MAX - SLOT + 1, READABLE), -EINVAL);
	assert_int_equal(map(&c, UINT64_MAX - SLOT + 1, SLOT, 0, READABLE), -EINVAL);
	assert_true(map(&c, INT64_MAX - 2 * SLOT + 1, SLOT, 0, READABLE) <= 0);
	assert_int_equal(fs_setupmapping(&c.client, 12345, NO_HANDLE, 0, SLOT, 0, READABLE), -ESTALE);
	assert_int_equal(fs_setupmapping(&c.client, FUSE_ROOT_ID, NO_HANDLE, 0, SLOT, 0, READABLE), -EINVAL);
	assert_int_equal(mkdirat(c.client.folder_fd, "dir", 0755), 0);
	assert_int_equal(fs_lookup(&c.client, FUSE_ROOT_ID, "dir", &dir, NULL), 0);
	assert_int_equal(fs_setupmapping(&c.client, dir, NO_HANDLE, 0, SLOT, 0, READABLE), -EINVAL);

	assert_int_equal(fs_removemapping(&c.client, PAGE, PAGE), -EINVAL);
	assert_int_equal(fs_removemapping(&c.client, 0, 0), -EINVAL);
	assert_int_equal(fs_removemapping(&c.client, 0, 4 * SLOT + PAGE), -EINVAL);
	assert_int_equal(fs_removemapping(&c.client, 4 * SLOT, SLOT), -EINVAL);
	assert_int_equal(remove_many(&c, 0, ones, 0), -EINVAL);
	assert_int_equal(remove_many(&c, 3, ones, 2), -EINVAL);
	assert_int_equal(remove_many(&c, UINT32_MAX, ones, 2), -EINVAL);
	assert_int_equal(remove_many(&c, 2, ones, 2), -EINVAL);
	for (size_t len = 0; len < sizeof(struct fuse_setupmapping_in); len++)
		assert_int_equal(fs_call(&c.client, FUSE_SETUPMAPPING, c.node, &nothing, len, NULL, 0, NULL, 0, NULL),
		                 -EINVAL);
	end(&c);
}

static void without_a_window_there_is_nothing_to_map(void **state)
{
	struct fs_client client;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_setupmapping(&client, FUSE_ROOT_ID, NO_HANDLE, 0, SLOT, 0, READABLE), -ENOSYS);
	assert_int_equal(fs_removemapping(&client, 0, SLOT), -ENOSYS);
	fs_end(&client);
}

static void mappings_end_with_the_session(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, PAGE);
	assert_int_equal(map(&c, 0, SLOT, SLOT, WRITABLE), 0);
	assert_int_equal(fs_destroy(&c.client), 0);
	assert_int_equal(at(&c, SLOT), 0);
	c.client.window[SLOT] = 'X';
	assert_int_equal(in_file(&c, 0), 'a');
	assert_int_equal(fs_init(&c.client, FUSE_KERNEL_MINOR_VERSION, UINT64_MAX, 131072), 0);
	assert_int_equal(fs_lookup(&c.client, FUSE_ROOT_ID, "file", &c.node, NULL), 0);
	assert_int_equal(map(&c, 0, SLOT, SLOT, WRITABLE), 0);
	assert_int_equal(at(&c, SLOT), 'a');
	fs_reset(&c.client);
	assert_int_equal(at(&c, SLOT), 0);
	end(&c);
}

/* ---- files that grow and shrink ---- */

static void a_mapping_beyond_the_end_comes_to_be_when_the_file_grows(void **state)
{
	struct window_case c;
	uint64_t fh;

	(void)state;
	begin(&c, PAGE);
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(map(&c, SLOT, SLOT, SLOT, WRITABLE), 0);
	assert_int_equal(fs_open(&c.client, c.node, O_RDWR, &fh), 0);
	assert_int_equal(fs_write(&c.client, c.node, fh, "new", 3, SLOT + 5), 3);
	assert_int_equal(at(&c, SLOT + 5), 'n');
	assert_int_equal(at(&c, PAGE), 0);
	c.client.window[SLOT + 6] = 'o';
	assert_int_equal(in_file(&c, SLOT + 6), 'o');
	assert_int_equal(fs_release(&c.client, c.node, fh), 0);
	end(&c);
}

/*
 * A guest whose vCPU runs into a page that is gone may never come out of KVM to say so: nobody waits for that. A touch
 * of such a page ends this test by a signal.
 */
static void a_file_that_the_host_cuts_is_replaced_before_anybody_touches_it(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, SLOT + 4 * PAGE);
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(map(&c, SLOT, SLOT, 2 * SLOT, WRITABLE), 0);
	/* A page and a half are left. */
	assert_int_equal(ftruncate(c.fd, PAGE + PAGE / 2), 0);
	fs_watch(&c.client);
	assert_int_equal(at(&c, PAGE), letter(PAGE));
	assert_int_equal(at(&c, 2 * PAGE), 0);
	assert_int_equal(at(&c, SLOT - PAGE), 0);
	assert_int_equal(at(&c, 2 * SLOT), 0);
	c.client.window[0] = 'X';
	assert_int_equal(in_file(&c, 0), 'X');
	/* Longer again, by the host: as far as it reaches. */
	assert_int_equal(pwrite(c.fd, "abc", 3, 3 * PAGE), 3);
	fs_watch(&c.client);
	assert_int_equal(at(&c, 3 * PAGE + 1), 'b');
	c.client.window[2 * PAGE] = 'Y';
	assert_int_equal(in_file(&c, 2 * PAGE), 'Y');
	/* And once more shorter. */
	assert_int_equal(ftruncate(c.fd, 0), 0);
	fs_watch(&c.client);
	assert_int_equal(at(&c, 0), 0);
	assert_int_equal(at(&c, 3 * PAGE), 0);
	end(&c);
}

/* By a guest that has not heard of the cut yet, and asks for what it has read once more, to write there. */
static void what_is_mapped_behind_the_end_is_replaced_at_once(void **state)
{
	struct window_case c;
	uint64_t fh;

	(void)state;
	begin(&c, SLOT + 4 * PAGE);
	assert_int_equal(map(&c, 0, 2 * SLOT, 0, READABLE), 0);
	assert_int_equal(ftruncate(c.fd, PAGE / 2), 0);
	fs_watch(&c.client);
	assert_int_equal(map(&c, 0, 2 * SLOT, 0, WRITABLE), 0);
	assert_int_equal(at(&c, 0), letter(0));
	assert_int_equal(at(&c, PAGE), 0);
	assert_int_equal(at(&c, SLOT + PAGE), 0);
	c.client.window[SLOT] = 'X'; /* lost */
	/* What comes to be there is the file's. */
	assert_int_equal(fs_open(&c.client, c.node, O_RDWR, &fh), 0);
	assert_int_equal(fs_write(&c.client, c.node, fh, "12345678", 8, SLOT), 8);
	assert_int_equal(at(&c, SLOT), '1');
	c.client.window[PAGE] = 'Y';
	assert_int_equal(in_file(&c, PAGE), 'Y');
	fs_release(&c.client, c.node, fh);
	end(&c);
}

static void what_was_replaced_is_the_file_again_when_that_has_grown(void **state)
{
	struct window_case c;
	uint64_t fh;

	(void)state;
	begin(&c, 4 * PAGE);
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(map(&c, SLOT, SLOT, SLOT, WRITABLE), 0);
	assert_int_equal(ftruncate(c.fd, 0), 0);
	replace(&c, PAGE, 2 * PAGE);
	replace(&c, SLOT, PAGE);
	c.client.window[PAGE] = 'X'; /* lost */
	assert_int_equal(fs_open(&c.client, c.node, O_RDWR, &fh), 0);
	assert_int_equal(fs_write(&c.client, c.node, fh, "12345678", 8, PAGE), 8);
	assert_int_equal(at(&c, PAGE), '1');
	c.client.window[PAGE + 1] = 'Y';
	assert_int_equal(in_file(&c, PAGE + 1), 'Y');
	/* The other slot is still beyond it. */
	c.client.window[SLOT] = 'Z';
	assert_int_equal(fs_truncate(&c.client, c.node, SLOT + 1), 0);
	assert_int_equal(at(&c, SLOT), 0);
	c.client.window[SLOT] = 'Z';
	assert_int_equal(in_file(&c, SLOT), 'Z');
	assert_int_equal(fs_release(&c.client, c.node, fh), 0);
	end(&c);
}

static void all_that_makes_a_file_longer_is_noticed(void **state)
{
	struct window_case c;
	uint64_t fh, from, from_fh;

	(void)state;
	begin(&c, PAGE);
	assert_int_equal(fs_create(&c.client, FUSE_ROOT_ID, "from", O_RDWR, 0644, &from, &from_fh), 0);
	assert_int_equal(fs_write(&c.client, from, from_fh, "copied", 6, 0), 6);
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(fs_open(&c.client, c.node, O_RDWR, &fh), 0);

	assert_int_equal(ftruncate(c.fd, 0), 0);
	replace(&c, 0, PAGE);
	assert_int_equal(fs_copy_file_range(&c.client, from, from_fh, 0, c.node, fh, 0, 6), 6);
	assert_int_equal(at(&c, 5), 'd');

	assert_int_equal(ftruncate(c.fd, 0), 0);
	replace(&c, 0, PAGE);
	assert_int_equal(fs_fallocate(&c.client, c.node, fh, 0, 0, PAGE), 0);
	c.client.window[3] = 'F';
	assert_int_equal(in_file(&c, 3), 'F');

	/* The host did, and the guest touches it once more: a fault that is told late. */
	assert_int_equal(ftruncate(c.fd, 0), 0);
	replace(&c, 0, PAGE);
	assert_int_equal(pwrite(c.fd, "host", 4, 0), 4);
	assert_int_equal(at(&c, 0), 0);
	replace(&c, 0, PAGE);
	assert_int_equal(at(&c, 0), 'h');
	assert_int_equal(fs_release(&c.client, c.node, fh), 0);
	assert_int_equal(fs_release(&c.client, from, from_fh), 0);
	end(&c);
}

static void faults_of_what_is_gone_are_nothing(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, PAGE);
	replace(&c, 0, 4 * SLOT);
	window_fault(c.client.share, 0, UINT64_MAX);
	window_fault(c.client.share, UINT64_MAX, 1);
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(fs_removemapping(&c.client, 0, SLOT), 0);
	replace(&c, 0, SLOT);
	assert_int_equal(at(&c, 0), 0);
	/* A guest that forgets what it has mapped gets zeros there, for ever. */
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(unlinkat(c.client.folder_fd, "file", 0), 0);
	fs_forget(&c.client, c.node, 1);
	assert_int_equal(at(&c, 0), 'a');
	replace(&c, 0, PAGE);
	assert_int_equal(at(&c, 0), 0);
	end(&c);
}

static void files_without_a_name_are_mapped_and_mapped_again(void **state)
{
	struct window_case c;

	(void)state;
	begin(&c, 2 * PAGE);
	assert_int_equal(unlinkat(c.client.folder_fd, "file", 0), 0);
	assert_int_equal(map(&c, 0, SLOT, 0, WRITABLE), 0);
	assert_int_equal(at(&c, PAGE), 'b');
	replace(&c, 0, SLOT);
	assert_int_equal(at(&c, PAGE), 'b');
	end(&c);
}

static void of_many_that_were_replaced_each_comes_back_with_its_file(void **state)
{
	struct window_case c;
	uint64_t other;

	(void)state;
	begin(&c, PAGE);
	fs_host_file(&c.client, "other", "", 0600);
	assert_int_equal(fs_lookup(&c.client, FUSE_ROOT_ID, "other", &other, NULL), 0);
	assert_int_equal(ftruncate(c.fd, 0), 0);
	assert_int_equal(map(&c, 0, 2ull * SLOT, 0, WRITABLE), 0);
	assert_int_equal(map(&c, 3ull * SLOT, SLOT, 3ull * SLOT, WRITABLE), 0);
	assert_int_equal(fs_setupmapping(&c.client, other, NO_HANDLE, 0, SLOT, 2ull * SLOT, WRITABLE), 0);
	for (uint64_t i = 0; i < 4; i++)
		replace(&c, i * SLOT, SLOT);
	assert_int_equal(fs_removemapping(&c.client, SLOT, SLOT), 0);
	assert_int_equal(fs_truncate(&c.client, c.node, 4ull * SLOT), 0);
	c.client.window[0] = 'A';
	c.client.window[2ull * SLOT] = 'C'; /* lost: that file has not grown */
	c.client.window[3ull * SLOT] = 'D';
	assert_int_equal(in_file(&c, 0), 'A');
	assert_int_equal(in_file(&c, 3 * (off_t)SLOT), 'D');
	assert_int_equal(fs_truncate(&c.client, other, 1), 0);
	assert_int_equal(at(&c, 2ull * SLOT), 0);
	end(&c);
}

static void a_lease_of_another_does_not_hold_up_the_loop(void **state)
{
	struct fuse_setupmapping_in in = { .fh = NO_HANDLE, .len = SLOT, .flags = READABLE };
	struct fs_request *request;
	struct window_case c;
	uint64_t before;

	(void)state;
	begin(&c, PAGE);
	close(c.fd);
	c.fd = openat(c.client.folder_fd, "file", O_RDONLY | O_CLOEXEC);
	signal(SIGIO, SIG_IGN); /* "somebody wants the file" */
	assert_int_equal(fcntl(c.fd, F_SETLEASE, F_WRLCK), 0);
	before = fs_counter(&c.client, "worker_requests");
	request = fs_submit(&c.client, FUSE_SETUPMAPPING, c.node, &in, sizeof in, NULL, 0, 0);
	assert_false(fs_is_done(&c.client, request));
	assert_int_equal(fs_counter(&c.client, "worker_requests"), before + 1);
	assert_int_equal(fcntl(c.fd, F_SETLEASE, F_UNLCK), 0);
	assert_int_equal(fs_wait(&c.client, request, NULL, 0, NULL), 0);
	assert_int_equal(at(&c, 0), 'a');
	end(&c);
}

/* Linux has 65530 of them, or what is in /proc. */
static void windows_do_not_take_all_mappings_of_the_process(void **state)
{
	struct fs_client one, other;
	unsigned long mappings;
	char options[64];
	uint64_t most = 2u << 20;
	FILE *file;

	(void)state;
	file = fopen("/proc/sys/vm/max_map_count", "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu", &mappings), 1);
	fclose(file);
	while (most * 2 / SLOT * 2 <= mappings - mappings / 4)
		most *= 2;
	if (most > (UINT64_C(512) << 30))
		skip();
	snprintf(options, sizeof options, "dax = \"%juM\";", (uintmax_t)(most * 2 >> 20));
	assert_int_not_equal(fs_try(&one, NULL, options), 0);
	assert_non_null(strstr(one.error, "vm.max_map_count"));
	fs_end(&one);
	/* Nor do two that would be small enough. */
	snprintf(options, sizeof options, "dax = \"%juM\";", (uintmax_t)(most >> 20));
	assert_int_equal(fs_try(&one, NULL, options), 0);
	assert_int_not_equal(fs_try(&other, NULL, options), 0);
	assert_non_null(strstr(other.error, "vm.max_map_count"));
	fs_end(&other);
	fs_end(&one);
	assert_int_equal(fs_try(&one, NULL, options), 0);
	fs_end(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_writable_mapping_is_the_file),
		cmocka_unit_test(writing_to_a_readonly_mapping_changes_no_file),
		cmocka_unit_test(a_readonly_share_has_no_writable_mappings),
		cmocka_unit_test(a_handle_must_be_open_for_what_is_mapped),
		cmocka_unit_test(a_range_of_several_slots_is_mapped_and_removed_as_one),
		cmocka_unit_test(a_shorter_mapping_leaves_nothing_of_a_longer_one),
		cmocka_unit_test(several_ranges_are_removed_at_once),
		cmocka_unit_test(ranges_that_make_no_sense_are_refused),
		cmocka_unit_test(without_a_window_there_is_nothing_to_map),
		cmocka_unit_test(mappings_end_with_the_session),
		cmocka_unit_test(a_mapping_beyond_the_end_comes_to_be_when_the_file_grows),
		cmocka_unit_test(a_file_that_the_host_cuts_is_replaced_before_anybody_touches_it),
		cmocka_unit_test(what_is_mapped_behind_the_end_is_replaced_at_once),
		cmocka_unit_test(what_was_replaced_is_the_file_again_when_that_has_grown),
		cmocka_unit_test(all_that_makes_a_file_longer_is_noticed),
		cmocka_unit_test(faults_of_what_is_gone_are_nothing),
		cmocka_unit_test(files_without_a_name_are_mapped_and_mapped_again),
		cmocka_unit_test(of_many_that_were_replaced_each_comes_back_with_its_file),
		cmocka_unit_test(a_lease_of_another_does_not_hold_up_the_loop),
		cmocka_unit_test(windows_do_not_take_all_mappings_of_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
