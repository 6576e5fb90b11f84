/* SPDX-License-Identifier: MIT */
/* fs_call_test.c - proves call.h and the table of operations: what a hostile guest's request may be, and what it gets.
 */
#include "tests/unit/fs_client.h"

#include <linux/limits.h>

#define ROOM 4096u

static struct fs_client client;
static struct call call;

/* A request by hand: header and bytes in one buffer, ROOM bytes for the answer. */
struct wish {
	struct capsa_request request;
	struct iovec readable[CALL_SEGMENTS_MAX + 8], writable[CALL_SEGMENTS_MAX + 8];
	unsigned char in[16384], out[ROOM];
};

static struct wish wish;

static int setup(void **state)
{
	(void)state;
	fs_begin(&client, NULL, "");
	return 0;
}

static int setup_readonly(void **state)
{
	(void)state;
	fs_begin(&client, NULL, "readonly = true;");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fs_end(&client);
	return 0;
}

/* Header plus `len` bytes; in.len is right. */
static void make_wish(uint32_t opcode, const void *bytes, size_t len)
{
	struct fuse_in_header in = {
		.len = (uint32_t)(sizeof in + len), .opcode = opcode, .unique = 77, .nodeid = FUSE_ROOT_ID
	};

	assert_true(sizeof in + len <= sizeof wish.in);
	memset(&wish.request, 0, sizeof wish.request);
	memcpy(wish.in, &in, sizeof in);
	if (len)
		memcpy(wish.in + sizeof in, bytes, len);
	wish.readable[0] = (struct iovec){ wish.in, in.len };
	wish.writable[0] = (struct iovec){ wish.out, ROOM };
	wish.request.readable = wish.readable;
	wish.request.n_readable = 1;
	wish.request.readable_bytes = in.len;
	wish.request.writable = wish.writable;
	wish.request.n_writable = 1;
	wish.request.writable_bytes = ROOM;
}

static int begin_with(uint32_t opcode, const void *bytes, size_t len)
{
	make_wish(opcode, bytes, len);
	return call_begin(&call, client.share, &wish.request);
}

/* Fixed arguments of zeros, then the bytes. */
static int begin_after_args(uint32_t opcode, const void *bytes, size_t len)
{
	static unsigned char all[16000];
	size_t args = operation_find(opcode)->args;

	memset(all, 0, sizeof all);
	memcpy(all + args, bytes, len);
	return begin_with(opcode, all, args + len);
}

static void the_header_of_a_request_may_be_missing(void **state)
{
	struct iovec readable = { wish.in, sizeof(struct fuse_in_header) - 1 };
	struct iovec writable = { wish.out, ROOM };
	size_t written;

	(void)state;
	make_wish(FUSE_GETATTR, NULL, 0);
	wish.readable[0].iov_len = wish.request.readable_bytes = sizeof(struct fuse_in_header) - 1;
	assert_int_equal(call_begin(&call, client.share, &wish.request), -EPROTO);
	/* Nobody can be answered, but the buffers go back. */
	assert_int_equal(fs_raw(&client, 1, &readable, 1, &writable, 1, &written), -EBADMSG);
	assert_int_equal(written, 0);
	assert_int_equal(fs_raw(&client, 1, NULL, 0, &writable, 1, &written), -EBADMSG);
	assert_int_equal(fs_raw(&client, FS_HIPRIO, NULL, 0, NULL, 0, &written), -EBADMSG);
}

static void a_length_that_lies_is_refused(void **state)
{
	static const uint32_t lies[] = {
		0, 1, sizeof(struct fuse_in_header) - 1, sizeof(struct fuse_in_header) + 6, 1u << 20, UINT32_MAX
	};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		make_wish(FUSE_LOOKUP, "name", 5);
		memcpy(wish.in, &lies[i], sizeof lies[i]);
		assert_int_equal(call_begin(&call, client.share, &wish.request), -EINVAL);
	}
}

static void what_is_behind_the_length_does_not_count(void **state)
{
	uint32_t len = sizeof(struct fuse_in_header) + 5;

	(void)state;
	make_wish(FUSE_LOOKUP, "name\0rest", 10);
	memcpy(wish.in, &len, sizeof len);
	assert_int_equal(call_begin(&call, client.share, &wish.request), 0);
	assert_string_equal(call.names[0], "name");
	assert_int_equal(call.payload_len, 0);
}

static void arguments_cut_short_are_refused(void **state)
{
	static const unsigned char zeros[CALL_ARGS_MAX];

	(void)state;
	for (uint32_t opcode = 0; opcode < 200; opcode++) {
		const struct operation *operation = operation_find(opcode);

		if (!operation)
			continue;
		assert_true(operation->args <= CALL_ARGS_MAX);
		for (size_t len = 0; len < operation->args; len++)
			assert_int_equal(begin_with(opcode, zeros, len), -EINVAL);
	}
}

static void the_opcodes_that_are_served_are_these(void **state)
{
	static const uint32_t odd[] = { 0, 7, 19, 37, 52, 100, 4096, 1u << 30, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		assert_null(operation_find(odd[i]));
		assert_int_equal(begin_with(odd[i], NULL, 0), -ENOSYS);
	}
	for (uint32_t opcode = FUSE_LOOKUP; opcode <= FUSE_TMPFILE; opcode++) {
		bool missing = opcode == 7 || opcode == 19 || opcode == FUSE_BMAP || opcode == FUSE_IOCTL ||
		               opcode == FUSE_POLL || opcode == FUSE_NOTIFY_REPLY;

		assert_int_equal(!operation_find(opcode), missing);
		if (!missing)
			assert_non_null(operation_find(opcode)->name);
	}
}

static void an_unknown_opcode_is_told_so(void **state)
{
	static const uint32_t unknown[] = { 0, 7, 19, FUSE_IOCTL, FUSE_POLL, 52, 4096, UINT32_MAX };
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
		assert_int_equal(fs_call(&client, unknown[i], 1, NULL, 0, "12345678", 8, NULL, 0, &len), -ENOSYS);
}

static void names_are_one_component(void **state)
{
	static const uint32_t with_a_name[] = { FUSE_LOOKUP, FUSE_UNLINK, FUSE_RMDIR, FUSE_MKDIR,
		                                FUSE_MKNOD,  FUSE_CREATE, FUSE_LINK };
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof with_a_name / sizeof with_a_name[0]; i++) {
		const uint32_t opcode = with_a_name[i];

		assert_int_equal(begin_after_args(opcode, "name", 5), 0);
		assert_string_equal(call.names[0], "name");
		assert_int_equal(begin_after_args(opcode, "\xff\x01\x80 ..a", 8), 0);
		assert_int_equal(begin_after_args(opcode, "...", 4), 0);
		assert_int_equal(begin_after_args(opcode, "", 0), -EINVAL);
		assert_int_equal(begin_after_args(opcode, "", 1), -EINVAL);
		assert_int_equal(begin_after_args(opcode, ".", 2), -EINVAL);
		assert_int_equal(begin_after_args(opcode, "..", 3), -EINVAL);
		assert_int_equal(begin_after_args(opcode, "/", 2), -EINVAL);
		assert_int_equal(begin_after_args(opcode, "a/b", 4), -EINVAL);
		assert_int_equal(begin_after_args(opcode, "/etc/passwd", 12), -EINVAL);
		assert_int_equal(begin_after_args(opcode, "../x", 5), -EINVAL);
		assert_int_equal(begin_after_args(opcode, "name", 4), -EINVAL); /* no NUL */
		memset(name, 'n', sizeof name);
		name[255] = '\0';
		assert_int_equal(begin_after_args(opcode, name, 256), 0);
		name[255] = 'n';
		name[256] = '\0';
		assert_int_equal(begin_after_args(opcode, name, 257), -ENAMETOOLONG);
	}
}

static void endless_names_are_refused(void **state)
{
	static char endless[12000];

	(void)state;
	memset(endless, 'n', sizeof endless);
	assert_int_equal(begin_after_args(FUSE_LOOKUP, endless, sizeof endless), -ENAMETOOLONG);
	endless[10] = '\0';
	assert_int_equal(begin_after_args(FUSE_SYMLINK, endless, sizeof endless), -ENAMETOOLONG);
	assert_int_equal(begin_after_args(FUSE_RENAME, endless, sizeof endless), -ENAMETOOLONG);
	assert_int_equal(begin_after_args(FUSE_SETXATTR, endless, sizeof endless), 0);
	assert_int_equal(call.payload_len, sizeof endless - 11);
}

static void two_names_must_both_be_there(void **state)
{
	(void)state;
	assert_int_equal(begin_after_args(FUSE_RENAME, "a\0b", 4), 0);
	assert_string_equal(call.names[0], "a");
	assert_string_equal(call.names[1], "b");
	assert_int_equal(begin_after_args(FUSE_RENAME, "a\0b", 3), -EINVAL);
	assert_int_equal(begin_after_args(FUSE_RENAME, "a", 2), -EINVAL);
	assert_int_equal(begin_after_args(FUSE_RENAME, "a\0..", 5), -EINVAL);
	assert_int_equal(begin_after_args(FUSE_RENAME2, "a\0b/c", 6), -EINVAL);
	assert_int_equal(begin_after_args(FUSE_RENAME2, "..\0b", 5), -EINVAL);
}

static void the_target_of_a_link_is_any_text(void **state)
{
	static char text[2 + PATH_MAX + 1];

	(void)state;
	assert_int_equal(begin_after_args(FUSE_SYMLINK, "a\0../../etc/passwd", 19), 0);
	assert_string_equal(call.names[0], "a");
	assert_string_equal(call.names[1], "../../etc/passwd");
	assert_int_equal(begin_after_args(FUSE_SYMLINK, "a\0", 3), -EINVAL);
	assert_int_equal(begin_after_args(FUSE_SYMLINK, "..\0a", 5), -EINVAL);
	memset(text, 't', sizeof text);
	text[0] = 'a';
	text[1] = text[2 + PATH_MAX - 1] = '\0';
	assert_int_equal(begin_after_args(FUSE_SYMLINK, text, 2 + PATH_MAX), 0);
	text[2 + PATH_MAX - 1] = 't';
	text[2 + PATH_MAX] = '\0';
	assert_int_equal(begin_after_args(FUSE_SYMLINK, text, 2 + PATH_MAX + 1), -ENAMETOOLONG);
}

static void attribute_names_have_their_own_rules(void **state)
{
	char name[300];

	(void)state;
	assert_int_equal(begin_after_args(FUSE_GETXATTR, "user.a/b", 9), 0);
	assert_string_equal(call.names[0], "user.a/b");
	assert_int_equal(begin_after_args(FUSE_SETXATTR, "user.a\0value", 12), 0);
	assert_int_equal(call.payload_len, 5);
	assert_int_equal(begin_after_args(FUSE_REMOVEXATTR, "", 1), -EINVAL);
	assert_int_equal(begin_after_args(FUSE_REMOVEXATTR, "user.x", 6), -EINVAL);
	memset(name, 'n', sizeof name);
	name[XATTR_NAME_MAX] = '\0';
	assert_int_equal(begin_after_args(FUSE_GETXATTR, name, XATTR_NAME_MAX + 1), 0);
	name[XATTR_NAME_MAX] = 'n';
	name[XATTR_NAME_MAX + 1] = '\0';
	assert_int_equal(begin_after_args(FUSE_GETXATTR, name, XATTR_NAME_MAX + 2), -ERANGE);
}

static void nothing_is_served_before_init(void **state)
{
	struct fs_client raw;
	size_t len;

	(void)state;
	fs_begin_raw(&raw, NULL, "");
	for (uint32_t opcode = 1; opcode <= FUSE_TMPFILE; opcode++)
		if (operation_find(opcode) && opcode != FUSE_INIT && opcode != FUSE_DESTROY &&
		    opcode != FUSE_INTERRUPT && opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET)
			assert_int_equal(fs_call(&raw, opcode, 1, NULL, 0, NULL, 0, NULL, 0, &len), -EIO);
	fs_forget(&raw, 1, 1);
	fs_end(&raw);
}

static void a_readonly_share_changes_nothing(void **state)
{
	static const uint32_t changing[] = {
		FUSE_SETATTR,   FUSE_SYMLINK,         FUSE_MKNOD,   FUSE_MKDIR, FUSE_UNLINK,   FUSE_RMDIR,
		FUSE_RENAME,    FUSE_RENAME2,         FUSE_LINK,    FUSE_WRITE, FUSE_SETXATTR, FUSE_REMOVEXATTR,
		FUSE_FALLOCATE, FUSE_COPY_FILE_RANGE, FUSE_TMPFILE,
	};

	(void)state;
	for (size_t i = 0; i < sizeof changing / sizeof changing[0]; i++)
		assert_int_equal(begin_after_args(changing[i], "a\0b", 4), -EROFS);
	assert_int_equal(begin_after_args(FUSE_LOOKUP, "a", 2), 0);
}

/* The same request in every pair of cuts, with empty buffers between them. */
static void buffers_may_be_cut_anywhere(void **state)
{
	static const char bytes[] = "user.name\0value"; /* and its NUL */
	const size_t total = sizeof(struct fuse_in_header) + FUSE_COMPAT_SETXATTR_IN_SIZE + sizeof bytes;
	unsigned char all[FUSE_COMPAT_SETXATTR_IN_SIZE + sizeof bytes] = { 6, 0, 0, 0, 1 };
	struct fuse_setxattr_in args;
	struct iovec iov[CALL_SEGMENTS_MAX];
	char value[16];
	size_t len;

	(void)state;
	memcpy(all + FUSE_COMPAT_SETXATTR_IN_SIZE, bytes, sizeof bytes);
	for (size_t a = 0; a <= total; a++)
		for (size_t b = a; b <= total; b++) {
			make_wish(FUSE_SETXATTR, all, sizeof all);
			wish.readable[0] = (struct iovec){ wish.in, a };
			wish.readable[1] = (struct iovec){ NULL, 0 };
			wish.readable[2] = (struct iovec){ wish.in + a, b - a };
			wish.readable[3] = (struct iovec){ wish.in + b, total - b };
			wish.request.n_readable = 4;
			assert_int_equal(call_begin(&call, client.share, &wish.request), 0);
			memcpy(&args, call.args.bytes, FUSE_COMPAT_SETXATTR_IN_SIZE);
			assert_int_equal(args.size, 6);
			assert_int_equal(args.flags, 1);
			assert_string_equal(call.names[0], "user.name");
			assert_int_equal(call.payload_len, 6);
			assert_int_equal(call_payload(&call, 0, value, sizeof value), 6);
			assert_string_equal(value, "value");
			assert_int_equal(call_payload(&call, 4, value, sizeof value), 2);
			assert_int_equal(call_payload(&call, 6, value, sizeof value), 0);
			assert_int_equal(call_payload(&call, SIZE_MAX, value, sizeof value), 0);
			assert_true(call_payload_iov(&call, 1, 100, iov, &len) >= 1);
			assert_int_equal(len, 5);
			assert_int_equal(*(char *)iov[0].iov_base, 'a');
			assert_int_equal(call_payload_iov(&call, 6, 100, iov, &len), 0);
			assert_int_equal(len, 0);
		}
}

static void an_answer_that_does_not_fit_is_not_begun(void **state)
{
	struct fuse_out_header out;

	(void)state;
	make_wish(FUSE_DESTROY, NULL, 0);
	assert_int_equal(call_begin(&call, client.share, &wish.request), 0);
	assert_int_equal(call_reply_left(&call), ROOM - sizeof out);
	assert_int_equal(call_reply(&call, wish.in, ROOM - sizeof out + 1), -ERANGE);
	assert_int_equal(call.replied, 0);
	assert_int_equal(call_reply(&call, "1234", 4), 0);
	assert_int_equal(call_reply(&call, "5678", 4), 0);
	assert_int_equal(call.replied, 8);
	assert_int_equal(call_end(&call, 0), sizeof out + 8);
	memcpy(&out, wish.out, sizeof out);
	assert_int_equal(out.len, sizeof out + 8);
	assert_int_equal(out.error, 0);
	assert_int_equal(out.unique, 77);
	assert_memory_equal(wish.out + sizeof out, "12345678", 8);
	/* An error has nothing behind it. */
	assert_int_equal(call_end(&call, -ENOENT), sizeof out);
	memcpy(&out, wish.out, sizeof out);
	assert_int_equal(out.error, -ENOENT);
	assert_int_equal(out.len, sizeof out);
}

static void an_answer_may_have_no_room_at_all(void **state)
{
	size_t written;

	(void)state;
	for (size_t room = 0; room < sizeof(struct fuse_out_header); room++) {
		make_wish(FUSE_DESTROY, NULL, 0);
		wish.writable[0].iov_len = wish.request.writable_bytes = room;
		assert_int_equal(call_begin(&call, client.share, &wish.request), 0);
		assert_int_equal(call_reply_left(&call), 0);
		assert_int_equal(call_reply(&call, "1", 1), -ERANGE);
		assert_int_equal(call_end(&call, 0), 0);
		fs_raw(&client, 1, wish.readable, 1, wish.writable, 1, &written);
		assert_int_equal(written, 0);
	}
}

static void the_answer_is_received_where_it_belongs(void **state)
{
	struct iovec iov[CALL_SEGMENTS_MAX];
	size_t total;

	(void)state;
	make_wish(FUSE_DESTROY, NULL, 0);
	wish.writable[0] = (struct iovec){ wish.out, 10 };
	wish.writable[1] = (struct iovec){ NULL, 0 };
	wish.writable[2] = (struct iovec){ wish.out + 10, 10 };
	wish.writable[3] = (struct iovec){ wish.out + 20, 100 };
	wish.request.n_writable = 4;
	wish.request.writable_bytes = 120;
	assert_int_equal(call_begin(&call, client.share, &wish.request), 0);
	assert_int_equal(call_reply_room(&call, SIZE_MAX, iov, &total), 2);
	assert_int_equal(total, 104);
	assert_ptr_equal(iov[0].iov_base, wish.out + 16);
	assert_int_equal(iov[0].iov_len, 4);
	assert_int_equal(call_reply_room(&call, 3, iov, &total), 1);
	assert_int_equal(total, 3);
	call.replied = 50;
	assert_int_equal(call_reply_room(&call, 1000, iov, &total), 1);
	assert_ptr_equal(iov[0].iov_base, wish.out + 66);
	assert_int_equal(total, 54);
	call.replied = 104;
	assert_int_equal(call_reply_room(&call, 1000, iov, &total), 0);
	assert_int_equal(total, 0);
}

static void no_more_segments_are_given_than_the_kernel_takes(void **state)
{
	struct iovec iov[CALL_SEGMENTS_MAX];
	size_t total;

	(void)state;
	make_wish(FUSE_DESTROY, NULL, 0);
	for (unsigned i = 0; i < CALL_SEGMENTS_MAX + 8; i++)
		wish.writable[i] = (struct iovec){ wish.out + i, 1 };
	wish.request.n_writable = CALL_SEGMENTS_MAX + 8;
	wish.request.writable_bytes = CALL_SEGMENTS_MAX + 8;
	assert_int_equal(call_begin(&call, client.share, &wish.request), 0);
	assert_int_equal(call_reply_room(&call, SIZE_MAX, iov, &total), CALL_SEGMENTS_MAX + 8 - 16);
	wish.writable[0].iov_len = 16;
	wish.request.writable_bytes += 15;
	assert_int_equal(call_reply_room(&call, SIZE_MAX, iov, &total), CALL_SEGMENTS_MAX);
	assert_int_equal(total, CALL_SEGMENTS_MAX);
}

/* Pieces of one byte each way, through the whole plugin. */
static void a_request_in_crumbs_is_served(void **state)
{
	static struct iovec readable[256], writable[256];
	const struct fuse_in_header in = { .len = sizeof in + 16, .opcode = FUSE_INIT, .unique = 5 };
	const struct fuse_init_in init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION };
	unsigned char bytes[sizeof in + 16], out[sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out)];
	struct fuse_init_out answer;
	size_t written;

	(void)state;
	memcpy(bytes, &in, sizeof in);
	memcpy(bytes + sizeof in, &init, 16);
	for (size_t i = 0; i < sizeof bytes; i++)
		readable[i] = (struct iovec){ bytes + i, 1 };
	for (size_t i = 0; i < sizeof out; i++)
		writable[i] = (struct iovec){ out + i, 1 };
	assert_int_equal(fs_raw(&client, 1, readable, sizeof bytes, writable, sizeof out, &written), 0);
	assert_int_equal(written, sizeof out);
	memcpy(&answer, out + sizeof(struct fuse_out_header), sizeof answer);
	assert_int_equal(answer.major, FUSE_KERNEL_VERSION);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_header_of_a_request_may_be_missing),
		TEST(a_length_that_lies_is_refused),
		TEST(what_is_behind_the_length_does_not_count),
		TEST(arguments_cut_short_are_refused),
		TEST(the_opcodes_that_are_served_are_these),
		TEST(an_unknown_opcode_is_told_so),
		TEST(names_are_one_component),
		TEST(endless_names_are_refused),
		TEST(two_names_must_both_be_there),
		TEST(the_target_of_a_link_is_any_text),
		TEST(attribute_names_have_their_own_rules),
		TEST(nothing_is_served_before_init),
		cmocka_unit_test_setup_teardown(a_readonly_share_changes_nothing, setup_readonly, teardown),
		TEST(buffers_may_be_cut_anywhere),
		TEST(an_answer_that_does_not_fit_is_not_begun),
		TEST(an_answer_may_have_no_room_at_all),
		TEST(the_answer_is_received_where_it_belongs),
		TEST(no_more_segments_are_given_than_the_kernel_takes),
		TEST(a_request_in_crumbs_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
