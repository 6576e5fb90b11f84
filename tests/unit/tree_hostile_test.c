/* SPDX-License-Identifier: MIT */
/*
 * tree_hostile_test.c - proves that the receiver of agent/tree.h trusts nothing: streams made by hand, cut off, and
 * mutated. Each test has a folder of its own, in which "to" is the receiver's and "outside" must stay as it is.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tree_files.h"

/* ---- streams by hand ---- */

static unsigned char stream[4 << 20];
static size_t stream_len;

static void add(const void *bytes, size_t len)
{
	assert_true(len <= sizeof stream - stream_len);
	memcpy(stream + stream_len, bytes, len);
	stream_len += len;
}

static void add_number(uint64_t value, size_t len)
{
	value = htole64(value);
	add(&value, len);
}

static void add_string(const char *text, size_t len)
{
	add_number(len, 2);
	add(text, len);
}

static void add_entry_of(enum tree_kind kind, const char *name, size_t len, uint32_t mode, uint32_t nanoseconds)
{
	add_number(kind, 1);
	add_string(name, len);
	add_number(mode, 4);
	add_number(0, 4);
	add_number(0, 4);
	add_number(1000000000, 8);
	add_number(nanoseconds, 4);
}

static void add_entry(enum tree_kind kind, const char *name)
{
	add_entry_of(kind, name, strlen(name), 0755, 0);
}

static void folder(const char *name)
{
	add_entry(TREE_FOLDER, name);
}

static void leave(void)
{
	add_number(TREE_LEAVE, 1);
}

static void end(void)
{
	add_number(TREE_END, 1);
}

static void file(const char *name, uint64_t size)
{
	add_entry(TREE_FILE, name);
	add_number(size, 8);
}

static void chunk(uint64_t offset, uint32_t len)
{
	add_number(TREE_CHUNK, 1);
	add_number(offset, 8);
	add_number(len, 4);
}

static void whole_file(const char *name)
{
	file(name, 4);
	chunk(0, 4);
	add("evil", 4);
	leave();
}

static void link_to(const char *name, const char *target)
{
	add_entry(TREE_LINK, name);
	add_string(target, strlen(target));
}

/* The way's names are separated by '|'. */
static void hard(const char *name, const char *way)
{
	uint32_t n = 1;

	for (const char *at = way; *at; at++)
		n += *at == '|';
	add_number(TREE_HARD, 1);
	add_string(name, strlen(name));
	add_number(n, 4);
	for (;;) {
		size_t len = strcspn(way, "|");

		add_string(way, len);
		if (!way[len])
			return;
		way += len + 1;
	}
}

/* ---- what must stay as it is ---- */

static int prepare(void)
{
	stream_len = 0;
	if (mkdir("outside", 0755))
		return -1;
	put_file("outside/secret", "secret", 6);
	put_file("outside/victim", "victim", 6);
	set_time("outside/secret", 77, 0);
	set_time("outside/victim", 77, 0);
	set_time("outside", 77, 0);
	return 0;
}

static int enter(void **state)
{
	return tree_files_enter(state) ? -1 : prepare();
}

static int enter_memory(void **state)
{
	return tree_files_enter_memory(state) ? -1 : prepare();
}

static void assert_untouched(void)
{
	struct stat st;

	assert_int_equal(count_entries("outside"), 2);
	assert_int_equal(stat("outside", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_mtim.tv_sec, 77);
	assert_int_equal(stat("outside/secret", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(st.st_mtim.tv_sec, 77);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(count_entries("."), 3);
}

/* The stream is refused with `code` and these words, whatever pieces it comes in. */
static void refused(int code, const char *words)
{
	static const size_t pieces[] = { 1, 3, sizeof stream };
	unsigned flags = geteuid() == 0 ? TREE_OWNERS | TREE_NODES : 0;

	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		struct tree_cause cause = { "" };
		int rc = tree_take(stream, stream_len, "to", pieces[i], flags, &cause);

		if (rc != -code || !strstr(cause.text, words))
			fail_msg("%d \"%s\", not %d \"%s\"", rc, cause.text, -code, words);
		assert_no_temporaries("to");
		assert_untouched();
	}
}

static void taken(void)
{
	struct tree_cause cause = { "" };
	int rc = tree_take(stream, stream_len, "to", 0, 0, &cause);

	if (rc)
		fail_msg("%d: %s", rc, cause.text);
	assert_no_temporaries("to");
	assert_untouched();
}

/* ---- names ---- */

static void names_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *name;
		size_t len;
	} names[] = {
		{ "", 0 },    { ".", 1 },      { "..", 2 },   { "/", 1 },  { "../outside/new", 14 },
		{ "a/b", 3 }, { "/tmp/x", 6 }, { "a\0b", 3 }, { "\0", 1 }, { "..\0", 3 },
	};
	static const enum tree_kind kinds[] = { TREE_FOLDER, TREE_FILE, TREE_LINK, TREE_FIFO, TREE_NODE, TREE_HARD };

	(void)state;
	for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
			stream_len = 0;
			folder("d");
			if (kinds[k] == TREE_HARD) {
				add_number(TREE_HARD, 1);
				add_string(names[i].name, names[i].len);
			} else {
				add_entry_of(kinds[k], names[i].name, names[i].len, 0755, 0);
			}
			add_number(0, 8);
			refused(EPROTO, "d: the stream is malformed: a name that is none");
		}
	}
	assert_int_equal(count_entries("to/d"), 0);
}

static void the_root_has_a_name_too(void **state)
{
	(void)state;
	add_entry_of(TREE_FOLDER, "..", 2, 0755, 0);
	refused(EPROTO, "a name that is none");
	stream_len = 0;
	add_entry_of(TREE_FILE, "../outside/victim", 17, 0755, 0);
	add_number(0, 8);
	refused(EPROTO, "a name that is none");
}

static void names_and_targets_that_are_too_long_are_refused_before_they_arrive(void **state)
{
	(void)state;
	folder("d");
	add_number(TREE_FILE, 1);
	add_number(256, 2);
	refused(EPROTO, "a name that is too long");
	stream_len = 0;
	folder("d");
	add_entry(TREE_LINK, "l");
	add_number(4096, 2);
	refused(EPROTO, "a link whose target is too long");
	stream_len = 0;
	folder("d");
	add_number(TREE_HARD, 1);
	add_string("h", 1);
	add_number(1, 4);
	add_number(65535, 2);
	refused(EPROTO, "a name that is too long");
}

static void the_callers_name_is_one_component(void **state)
{
	static const char *const names[] = { "", ".", "..", "a/b", "/" };
	struct tree_receiver *receiver;
	struct tree_cause cause;
	int fd = folder_open("to");

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_int_equal(tree_receiver_open(fd, names[i], 0, &receiver, &cause), -EINVAL);
	close(fd);
}

static void a_target_with_a_nul_and_a_time_that_is_none_are_refused(void **state)
{
	(void)state;
	add_entry(TREE_LINK, "l");
	add_string("a\0b", 3);
	refused(EPROTO, "l: the stream is malformed: a link whose target has a NUL in it");
	stream_len = 0;
	add_entry_of(TREE_FIFO, "f", 1, 0644, 1000000000);
	refused(EPROTO, "a time that is none");
	stream_len = 0;
	add_entry_of(TREE_FIFO, "f", 1, 0644, UTIME_NOW);
	refused(EPROTO, "a time that is none");
}

/* ---- records in the wrong place ---- */

static void what_has_no_place_is_refused(void **state)
{
	static const unsigned char first[] = {
		0, TREE_HARD, TREE_CHUNK, TREE_LEAVE, TREE_END, TREE_END + 1, 31, 32, 255
	};

	(void)state;
	for (size_t i = 0; i < sizeof first; i++) {
		stream_len = 0;
		add(&first[i], 1);
		refused(EPROTO, "has no place there");
	}
	stream_len = 0;
	folder("d");
	chunk(0, 1);
	refused(EPROTO, "has no place there");
	stream_len = 0;
	folder("d");
	end();
	refused(EPROTO, "has no place there");
	stream_len = 0;
	file("f", 10);
	folder("d");
	refused(EPROTO, "has no place there");
	assert_int_equal(count_entries("to"), 1);
	stream_len = 0;
	folder("d");
	file("f", 0);
	end();
	refused(EPROTO, "has no place there");
	stream_len = 0;
	whole_file("f");
	whole_file("second root");
	refused(EPROTO, "has no place there");
	stream_len = 0;
	whole_file("f");
	end();
	end();
	refused(EPROTO, "bytes behind its end");
}

static void one_leave_too_many_is_refused(void **state)
{
	(void)state;
	folder("d");
	leave();
	leave();
	refused(EPROTO, "has no place there");
	stream_len = 0;
	whole_file("f");
	leave();
	refused(EPROTO, "has no place there");
}

static void after_an_error_nothing_more_is_taken(void **state)
{
	struct tree_receiver *receiver;
	struct tree_cause cause;
	int fd = folder_open("to");

	(void)state;
	assert_int_equal(tree_receiver_open(fd, NULL, 0, &receiver, &cause), 0);
	leave();
	assert_int_equal(tree_receiver_write(receiver, stream, stream_len, &cause), -EPROTO);
	stream_len = 0;
	whole_file("f");
	end();
	assert_int_equal(tree_receiver_write(receiver, stream, stream_len, &cause), -EPROTO);
	assert_int_equal(tree_receiver_finish(receiver, &cause), -EPROTO);
	tree_receiver_close(receiver);
	close(fd);
	assert_int_equal(count_entries("to"), 0);
}

/* ---- chunks ---- */

static void chunks_beyond_the_size_are_refused(void **state)
{
	static const uint64_t wrong[][3] = {
		/* size, offset, length */
		{ 10, 0, 11 },
		{ 10, 10, 1 },
		{ 10, 11, 0 },
		{ 0, 0, 1 },
		{ 10, UINT64_MAX, 1 },
		{ 10, UINT64_MAX, 65536 },
		{ INT64_MAX, INT64_MAX, 65536 },
		{ INT64_MAX, 1ull << 63, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		stream_len = 0;
		file("f", wrong[i][0]);
		chunk(wrong[i][1], (uint32_t)wrong[i][2]);
		refused(EPROTO, "f: the stream is malformed: a chunk beyond the end of its file");
	}
	assert_int_equal(count_entries("to"), 0);
}

static void chunks_that_are_too_long_descend_or_overlap_are_refused(void **state)
{
	(void)state;
	file("f", UINT32_MAX);
	chunk(0, TREE_CHUNK_MAX + 1);
	refused(EPROTO, "a chunk that is too long");
	stream_len = 0;
	file("f", UINT32_MAX);
	chunk(0, UINT32_MAX);
	refused(EPROTO, "a chunk that is too long");
	for (uint64_t offset = 0; offset < 104; offset += 103) {
		stream_len = 0;
		file("f", 1000);
		chunk(100, 4);
		add("abcd", 4);
		chunk(offset, 4);
		refused(EPROTO, "a chunk in front of the one before");
	}
}

static void a_size_that_no_file_can_have_is_refused_and_a_huge_one_is_a_hole(void **state)
{
	struct stat st;

	(void)state;
	file("f", UINT64_MAX);
	leave();
	end();
	refused(EFBIG, "f: File too large");
	stream_len = 0;
	file("f", 1ull << 63);
	leave();
	end();
	refused(EFBIG, "f: File too large");
	stream_len = 0;
	file("f", 1ull << 40);
	leave();
	end();
	taken();
	assert_int_equal(stat("to/f", &st), 0);
	assert_true(st.st_size == 1ll << 40 && st.st_blocks < 64);
}

/* ---- links ---- */

static void a_planted_link_is_not_used_as_a_folder(void **state)
{
	(void)state;
	folder("d");
	link_to("l", "../../outside");
	folder("l");
	whole_file("victim");
	refused(ENOTDIR, "d/l: it is no folder, and a folder does not replace it");
	stream_len = 0;
	link_to("root", "../outside");
	end();
	taken();
	stream_len = 0;
	folder("root");
	refused(ENOTDIR, "root: it is no folder");
}

static void a_file_replaces_a_planted_link_and_not_what_it_points_to(void **state)
{
	struct stat st;

	(void)state;
	folder("d");
	link_to("l", "../../outside/victim");
	whole_file("l");
	leave();
	end();
	taken();
	assert_int_equal(lstat("to/d/l", &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void a_hard_link_does_not_lead_outside(void **state)
{
	static const char *const ways[] = { "l|secret", "..|..|outside|secret", "s", "l", "sub", "no such", "fifo" };

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		stream_len = 0;
		folder("d");
		link_to("l", "../../outside");
		link_to("s", "../../outside/secret");
		folder("sub");
		leave();
		add_entry(TREE_FIFO, "fifo");
		hard("h", ways[i]);
		refused(EPROTO, "the stream is malformed: a");
	}
	assert_int_equal(count_entries("to/d"), 4);
}

static void hard_links_have_ways_of_possible_length(void **state)
{
	static const uint32_t counts[] = { 0, TREE_DEPTH_MAX + 1, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		stream_len = 0;
		folder("d");
		whole_file("f");
		add_number(TREE_HARD, 1);
		add_string("h", 1);
		add_number(counts[i], 4);
		refused(EPROTO, "d/h: the stream is malformed: a hard link whose way is too long, or empty");
	}
}

static void hard_links_replace_files_and_not_folders(void **state)
{
	struct stat one, other;

	(void)state;
	folder("d");
	whole_file("f");
	whole_file("g");
	folder("sub");
	whole_file("f");
	leave();
	hard("h", "sub|f");
	hard("h", "sub|f"); /* is there already, of the same file */
	hard("g", "sub|f");
	leave();
	end();
	taken();
	assert_int_equal(stat("to/d/g", &one), 0);
	assert_int_equal(stat("to/d/sub/f", &other), 0);
	assert_int_equal(one.st_ino, other.st_ino);
	assert_int_equal(one.st_nlink, 3);
	stream_len = 0;
	folder("d");
	whole_file("f");
	hard("sub", "f");
	refused(EISDIR, "d/sub: it is a folder");
}

/* Gives `first` bytes of the stream, lets something happen, and gives the rest. */
static int taken_while(size_t first, void (*change)(void), struct tree_cause *cause)
{
	struct tree_receiver *receiver;
	int rc, fd = folder_open("to");

	assert_int_equal(tree_receiver_open(fd, NULL, 0, &receiver, cause), 0);
	assert_int_equal(tree_receiver_write(receiver, stream, first, cause), 0);
	change();
	rc = tree_receiver_write(receiver, stream + first, stream_len - first, cause);
	if (!rc)
		rc = tree_receiver_finish(receiver, cause);
	tree_receiver_close(receiver);
	close(fd);
	return rc;
}

static void swap_folder(void)
{
	assert_int_equal(rename("to/d/sub", "to/moved"), 0);
	assert_int_equal(symlink("../../outside", "to/d/sub"), 0);
}

static void a_folder_swapped_for_a_link_meanwhile_does_not_lead_outside(void **state)
{
	struct tree_cause cause;
	size_t first;

	(void)state;
	folder("d");
	folder("sub");
	whole_file("before");
	first = stream_len;
	whole_file("victim");
	folder("new");
	leave();
	leave();
	leave();
	end();
	assert_int_equal(taken_while(first, swap_folder, &cause), 0);
	assert_untouched();
	assert_int_equal(count_entries("to/moved"), 3);
}

static void a_way_whose_folder_was_swapped_for_a_link_is_refused(void **state)
{
	struct tree_cause cause;
	size_t first;

	(void)state;
	folder("d");
	folder("sub");
	whole_file("secret");
	leave();
	first = stream_len;
	hard("h", "sub|secret");
	leave();
	end();
	assert_int_equal(taken_while(first, swap_folder, &cause), -EPROTO);
	assert_untouched();
}

static void look_at_old_file(void)
{
	char text[8] = "";
	int fd = open("to/f", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, text, sizeof text), 3);
	assert_string_equal(text, "old");
	close(fd);
}

static void a_file_is_replaced_only_when_the_new_one_is_whole(void **state)
{
	struct tree_cause cause;
	struct stat st;

	(void)state;
	put_file("to/f", "old", 3);
	whole_file("f");
	end();
	for (size_t first = 0; first < stream_len - 2; first++) {
		stream_len -= 2;
		assert_int_equal(taken_while(first, look_at_old_file, &cause), -EPIPE);
		look_at_old_file();
		stream_len += 2;
	}
	assert_int_equal(count_entries("to"), 1);
	taken();
	assert_int_equal(stat("to/f", &st), 0);
	assert_int_equal(st.st_size, 4);
}

static void remove_root(void)
{
	assert_int_equal(rename("to/d", "to/gone"), 0);
	assert_int_equal(rmdir("to/gone"), 0);
}

static void a_folder_that_is_removed_meanwhile_is_an_error(void **state)
{
	struct tree_cause cause;
	size_t first;

	(void)state;
	folder("d");
	first = stream_len;
	whole_file("f");
	assert_int_equal(taken_while(first, remove_root, &cause), -ENOENT);
	assert_string_equal(cause.text, "d/f: No such file or directory");
	assert_int_equal(count_entries("to"), 0);
}

/* ---- nodes ---- */

static void a_node_that_is_no_device_is_refused(void **state)
{
	static const uint32_t types[] = { 0, S_IFREG, S_IFDIR, S_IFLNK, S_IFSOCK, S_IFIFO, S_IFMT };

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		stream_len = 0;
		add_entry_of(TREE_NODE, "n", 1, types[i] | 0666, 0);
		add_number(0x103, 8);
		refused(EPROTO, "n: the stream is malformed: a device that is neither");
	}
	assert_int_equal(count_entries("to"), 0);
}

/* ---- bombs ---- */

static void a_tower_of_folders_ends_at_the_limit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		folder("d");
	refused(ELOOP, "/d: folders lie too deep in folders");
}

static void what_is_left_of_an_incomplete_stream_has_its_modes(void **state)
{
	struct tree_cause cause;
	struct stat st;

	(void)state;
	folder("d");
	add_entry_of(TREE_FOLDER, "sub", 3, 0555, 0);
	whole_file("f");
	file("g", 10);
	assert_int_equal(tree_take(stream, stream_len, "to", 0, 0, &cause), -EPIPE);
	assert_string_equal(cause.text, "d/sub/g: the stream ended before it was whole");
	assert_int_equal(stat("to/d", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat("to/d/sub", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0555);
	assert_int_equal(count_entries("to/d/sub"), 1);
}

static void the_same_folder_may_come_again(void **state)
{
	(void)state;
	folder("d");
	for (int i = 0; i < 1000; i++) {
		folder("d");
		leave();
		whole_file("f");
	}
	leave();
	end();
	taken();
	assert_int_equal(count_entries("to/d"), 2);
}

/* ---- any stream ---- */

/* A small tree with one of each. */
static unsigned char *make_small_stream(size_t *len)
{
	int fd;

	put_folder("from/d");
	put_folder("from/d/sub");
	put_file("from/d/sub/f", "content", 7);
	put_file("from/d/g", "", 0);
	assert_int_equal(symlink("sub/f", "from/d/l"), 0);
	assert_int_equal(link("from/d/sub/f", "from/d/h"), 0);
	assert_int_equal(mkfifo("from/d/p", 0600), 0);
	fd = open("from/d/sparse", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, "x", 1, 1 << 20), 1);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	close(fd);
	return tree_stream("from/d", len);
}

static void a_stream_cut_off_anywhere_is_told_and_leaves_nothing_half_made(void **state)
{
	size_t len;
	unsigned char *whole = make_small_stream(&len);

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		struct tree_cause cause = { "" };

		assert_int_equal(tree_take(whole, cut, "to", 64, 0, &cause), -EPIPE);
		assert_non_null(strstr(cause.text, "the stream ended before it was whole"));
		assert_no_temporaries("to");
	}
	assert_int_equal(rename("to/d", "outside/d"), 0);
	assert_int_equal(tree_take(whole, len, "to", 64, 0, &(struct tree_cause){ "" }), 0);
	assert_same_tree("from/d", "to/d");
	assert_int_equal(rename("outside/d", "to/before"), 0);
	set_time("outside", 77, 0);
	assert_untouched();
	free(whole);
}

/* Under the sanitizers this is the fuzzer; whatever is taken lies below "to". */
static void mutated_streams_do_no_harm(void **state)
{
	size_t len;
	unsigned char *whole = make_small_stream(&len), *mutated = malloc(len);
	unsigned refusals = 0;

	(void)state;
	assert_non_null(mutated);
	for (int round = 0; round < 4000; round++) {
		struct tree_cause cause = { "" };

		memcpy(mutated, whole, len);
		for (int i = rand() % 4; i >= 0; i--) {
			size_t at;

			do /* most bytes are zeros of a file */
				at = (size_t)rand() % len;
			while (!whole[at] && rand() % 64);
			switch (rand() % 4) {
			case 0:
				mutated[at] = (unsigned char)rand();
				break;
			case 1:
				mutated[at] ^= (unsigned char)(1 << rand() % 8);
				break;
			case 2:
				mutated[at] = (unsigned char)(1 + rand() % TREE_END);
				break;
			default: /* bytes of another place */
				memcpy(mutated + at, whole + (size_t)rand() % (at + 1), (len - at) / 8);
				break;
			}
		}
		refusals += tree_take(mutated, len, "to", 0, 0, &cause) != 0;
		assert_no_temporaries("to");
	}
	assert_true(refusals > 1000);
	assert_untouched();
	free(mutated);
	free(whole);
}

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, enter, tree_files_leave)
#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, enter_memory, tree_files_leave)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TREE_TEST(names_that_are_none_are_refused),
		TREE_TEST(the_root_has_a_name_too),
		TREE_TEST(names_and_targets_that_are_too_long_are_refused_before_they_arrive),
		TREE_TEST(the_callers_name_is_one_component),
		TREE_TEST(a_target_with_a_nul_and_a_time_that_is_none_are_refused),
		TREE_TEST(what_has_no_place_is_refused),
		TREE_TEST(one_leave_too_many_is_refused),
		TREE_TEST(after_an_error_nothing_more_is_taken),
		TREE_TEST(chunks_beyond_the_size_are_refused),
		TREE_TEST(chunks_that_are_too_long_descend_or_overlap_are_refused),
		TREE_TEST(a_size_that_no_file_can_have_is_refused_and_a_huge_one_is_a_hole),
		TREE_TEST(a_planted_link_is_not_used_as_a_folder),
		TREE_TEST(a_file_replaces_a_planted_link_and_not_what_it_points_to),
		TREE_TEST(a_hard_link_does_not_lead_outside),
		TREE_TEST(hard_links_have_ways_of_possible_length),
		TREE_TEST(hard_links_replace_files_and_not_folders),
		TREE_TEST(a_folder_swapped_for_a_link_meanwhile_does_not_lead_outside),
		TREE_TEST(a_way_whose_folder_was_swapped_for_a_link_is_refused),
		TREE_TEST(a_file_is_replaced_only_when_the_new_one_is_whole),
		TREE_TEST(a_folder_that_is_removed_meanwhile_is_an_error),
		TREE_TEST(a_node_that_is_no_device_is_refused),
		MEMORY_TEST(a_tower_of_folders_ends_at_the_limit),
		MEMORY_TEST(the_same_folder_may_come_again),
		TREE_TEST(what_is_left_of_an_incomplete_stream_has_its_modes),
		MEMORY_TEST(a_stream_cut_off_anywhere_is_told_and_leaves_nothing_half_made),
		MEMORY_TEST(mutated_streams_do_no_harm),
	};

	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
