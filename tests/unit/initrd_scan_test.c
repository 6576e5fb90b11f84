/* SPDX-License-Identifier: MIT */
/*
 * initrd_scan_test.c - which modules core/doctor sees in an initrd: every way in which distributions pack one, and
 * files that are made to harm.
 */
#include <endian.h>
#include <fcntl.h>
#include <lz4.h>
#include <lzma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "core/doctor/initrd-scan.h"

#define PCI 1u
#define CONSOLE 2u

static const char *const modules[] = { "virtio_pci", "virtio_console", NULL };
static char path[] = "/tmp/capsa-initrd-XXXXXX";
static FILE *file; /* what is being written */

static int setup(void **state)
{
	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	file = fdopen(mkstemp(path), "w");
	return file ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (file)
		fclose(file);
	file = NULL;
	return unlink(path);
}

static struct initrd_scan scan(void)
{
	struct initrd_scan found;

	if (file)
		fclose(file);
	file = NULL;
	initrd_scan(path, modules, &found);
	return found;
}

static void expect(unsigned found, bool whole)
{
	struct initrd_scan s = scan();

	if (s.modules != found || s.whole != whole)
		fail_msg("found %u, whole %d (%s)", s.modules, s.whole, s.why);
	assert_true(whole == !s.why[0]);
}

/* ---- archives, and how they are packed ---- */

struct bytes {
	uint8_t data[300000];
	size_t len;
};

static void add(struct bytes *to, const void *data, size_t len)
{
	assert_true(to->len + len <= sizeof to->data);
	memcpy(to->data + to->len, data, len);
	to->len += len;
}

static void align(struct bytes *to)
{
	while (to->len % 4)
		add(to, "", 1);
}

static void member(struct bytes *to, const char *name, const char *data, size_t len)
{
	char header[160];

	snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 1, 0100644, 0, 0, 1,
	         0, len, 0, 0, 0, 0, strlen(name) + 1, 0);
	add(to, header, 110);
	add(to, name, strlen(name) + 1);
	align(to);
	if (data)
		add(to, data, len);
	align(to);
}

static const char *const usual[] = { ".", "bin/busybox", "lib/modules/6.1.0/kernel/drivers/virtio/virtio_pci.ko",
	                             "lib/modules/6.1.0/kernel/drivers/char/virtio_console.ko", NULL };

static void archive_of(struct bytes *to, const char *const *names)
{
	for (; *names; names++)
		member(to, *names, "some data", strstr(*names, ".ko") ? 9 : 0);
	member(to, "TRAILER!!!", NULL, 0);
}

static struct bytes *archive(const char *const *names)
{
	struct bytes *made = calloc(1, sizeof *made);

	assert_non_null(made);
	archive_of(made, names);
	return made;
}

static void put(const void *data, size_t len)
{
	assert_int_equal(fwrite(data, 1, len, file), len);
}

static void put_zeros(size_t n)
{
	while (n--)
		put("", 1);
}

static void put_plain(const struct bytes *in)
{
	put(in->data, in->len);
}

static void put_gzip(const struct bytes *in)
{
	static uint8_t out[400000];
	union {
		const uint8_t *from;
		Bytef *to;
	} data = { .from = in->data };
	z_stream z = { .next_in = data.to, .avail_in = (uInt)in->len, .next_out = out, .avail_out = sizeof out };

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	put(out, z.total_out);
}

static void put_xz(const struct bytes *in)
{
	static uint8_t out[400000];
	size_t used = 0;

	assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, in->data, in->len, out, &used, sizeof out),
	                 LZMA_OK);
	put(out, used);
}

static void put_zstd(const struct bytes *in)
{
	static uint8_t out[400000];
	size_t used = ZSTD_compress(out, sizeof out, in->data, in->len, 1);

	assert_false(ZSTD_isError(used));
	put(out, used);
}

static void put_lz4(const struct bytes *in)
{
	static char out[400000];
	uint32_t magic = htole32(0x184c2102), size;

	put(&magic, sizeof magic);
	for (size_t at = 0; at < in->len; at += 100000) {
		size_t part = in->len - at < 100000 ? in->len - at : 100000;
		int n = LZ4_compress_default((const char *)in->data + at, out, (int)part, sizeof out);

		assert_true(n > 0);
		size = htole32((uint32_t)n);
		put(&size, sizeof size);
		put(out, (size_t)n);
	}
}

typedef void put_fn(const struct bytes *in);
static put_fn *const packings[] = { put_plain, put_gzip, put_xz, put_zstd, put_lz4 };
#define PACKINGS (sizeof packings / sizeof packings[0])

static void rewrite(void)
{
	if (!file)
		file = fopen(path, "w");
	else
		file = freopen(path, "w", file);
	assert_non_null(file);
}

/* ---- what is there ---- */

static void modules_are_found_however_it_is_packed(void **state)
{
	struct bytes *a = archive(usual);

	(void)state;
	for (size_t i = 0; i < PACKINGS; i++) {
		rewrite();
		packings[i](a);
		expect(PCI | CONSOLE, true);
	}
	free(a);
}

static void what_is_not_there_is_not_found(void **state)
{
	static const char *const names[] = { "init",
		                             "virtio_console",
		                             "lib/virtio_console.kox",
		                             "lib/my_virtio_console.ko",
		                             "lib/virtio_console_x.ko",
		                             "lib/virtio_console.ko.gpg",
		                             "virtio_console.ko/readme",
		                             NULL };
	struct bytes *a = archive(names);

	(void)state;
	for (size_t i = 0; i < PACKINGS; i++) {
		rewrite();
		packings[i](a);
		expect(0, true);
	}
	free(a);
}

static void names_with_dashes_and_packed_modules_count(void **state)
{
	static const char *const names[] = { "usr/lib/modules/6/virtio-pci.ko.zst", "virtio-console.ko.xz", NULL };
	struct bytes *a = archive(names);

	(void)state;
	put_plain(a);
	expect(PCI | CONSOLE, true);
	free(a);
}

static void built_in_modules_of_the_list_count(void **state)
{
	static const char list[] = "kernel/fs/ext4/ext4.ko\nkernel/drivers/char/virtio_console.ko\n";
	static const char *const nothing[] = { NULL };
	struct bytes *a = calloc(1, sizeof *a);

	(void)state;
	assert_non_null(a);
	member(a, "lib/modules/6.1.0/modules.builtin", list, sizeof list - 1);
	archive_of(a, nothing);
	put_gzip(a);
	expect(CONSOLE, true);
	free(a);
}

/* As Debian and others make them: microcode, padding, the rest. */
static void several_archives_of_several_kinds_are_all_seen(void **state)
{
	static const char *const early[] = { "kernel/x86/microcode/GenuineIntel.bin", NULL },
				 *const one[] = { "x/virtio_pci.ko", NULL }, *const two[] = { "y/virtio_console.ko", NULL };
	struct bytes *a = archive(early), *b = archive(one), *c = archive(two);

	(void)state;
	for (size_t i = 0; i < PACKINGS; i++) {
		for (size_t k = 0; k < PACKINGS; k++) {
			/* Nothing ends an lz4 part but the file. */
			if (packings[i] == put_lz4)
				continue;
			rewrite();
			put_plain(a);
			put_zeros(1000);
			packings[i](b);
			put_zeros(4);
			packings[k](c);
			put_zeros(3);
			expect(PCI | CONSOLE, true);
		}
	}
	free(a);
	free(b);
	free(c);
}

static void what_is_packed_in_an_unknown_way_is_said(void **state)
{
	struct initrd_scan s;

	(void)state;
	put("BZh91AY&SY and so on", 20);
	s = scan();
	assert_false(s.whole);
	assert_non_null(strstr(s.why, "neither a cpio archive nor packed"));
}

static void a_file_that_is_not_there_is_said(void **state)
{
	struct initrd_scan s;

	(void)state;
	initrd_scan("/no/such/file", modules, &s);
	assert_false(s.whole);
	assert_string_equal(s.why, "No such file or directory");
}

/* ---- hostile ones ---- */

static void files_that_end_early_are_harmless_at_every_length(void **state)
{
	static const char *const names[] = { "init", "lib/virtio_pci.ko", "etc/modules.builtin", NULL };
	struct bytes *a = archive(names);
	struct initrd_scan s;

	(void)state;
	for (size_t i = 0; i < PACKINGS; i++) {
		long len;

		rewrite();
		packings[i](a);
		len = ftell(file);
		for (long cut = len - 1; cut >= 0; cut--) {
			s = scan();
			assert_int_equal(s.modules & CONSOLE, 0);
			assert_int_equal(truncate(path, cut), 0);
		}
	}
	free(a);
}

static void files_with_any_bit_flipped_are_harmless(void **state)
{
	struct bytes *a = archive(usual);
	uint8_t *data;

	(void)state;
	for (size_t i = 0; i < PACKINGS; i++) {
		long len;
		int fd;

		rewrite();
		packings[i](a);
		len = ftell(file);
		scan();
		fd = open(path, O_RDWR | O_CLOEXEC);
		data = malloc((size_t)len);
		assert_non_null(data);
		assert_int_equal(pread(fd, data, (size_t)len, 0), len);
		for (long bit = 0; bit < 8 * len; bit += 7) {
			uint8_t changed = (uint8_t)(data[bit / 8] ^ 1 << bit % 8);

			assert_int_equal(pwrite(fd, &changed, 1, bit / 8), 1);
			scan();
			assert_int_equal(pwrite(fd, &data[bit / 8], 1, bit / 8), 1);
		}
		free(data);
		close(fd);
	}
	free(a);
}

static void lengths_that_lie_are_harmless(void **state)
{
	/* File size and name size of a header. */
	static const char *const lies[][2] = { { "ffffffff", "00000005" }, { "00000000", "ffffffff" },
		                               { "00000000", "00000000" }, { "00000000", "00001001" },
		                               { "zzzzzzzz", "00000005" }, { "-0000001", "00000005" } };

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct initrd_scan s;

		rewrite();
		fprintf(file, "070701%048d%s%032d%s%08d", 0, lies[i][0], 0, lies[i][1], 0);
		put("init\0\0", 6);
		put_zeros(100);
		s = scan();
		assert_false(s.whole);
	}
}

/* A few KiB that say they are 3 GiB: it ends, and does not take them all into memory. */
static void a_bomb_is_given_up_on(void **state)
{
	static uint8_t zeros[1 << 20], out[1 << 16];
	ZSTD_CStream *z = ZSTD_createCStream();
	struct initrd_scan s;
	struct rusage usage;

	(void)state;
	ZSTD_initCStream(z, 1);
	for (unsigned i = 0; i <= 3 << 10; i++) {
		ZSTD_inBuffer in = { zeros, sizeof zeros, 0 };
		size_t left = 1;

		while (in.pos < in.size || (i == 3 << 10 && left)) {
			ZSTD_outBuffer to = { out, sizeof out, 0 };

			left = in.pos < in.size ? ZSTD_compressStream(z, &to, &in) : ZSTD_endStream(z, &to);
			assert_false(ZSTD_isError(left));
			put(out, to.pos);
		}
	}
	ZSTD_freeCStream(z);
	s = scan();
	assert_false(s.whole);
	assert_string_equal(s.why, "it has more than 2048 MiB");
	getrusage(RUSAGE_SELF, &usage);
	assert_true(usage.ru_maxrss < 400 << 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(modules_are_found_however_it_is_packed),
		TEST(what_is_not_there_is_not_found),
		TEST(names_with_dashes_and_packed_modules_count),
		TEST(built_in_modules_of_the_list_count),
		TEST(several_archives_of_several_kinds_are_all_seen),
		TEST(what_is_packed_in_an_unknown_way_is_said),
		TEST(a_file_that_is_not_there_is_said),
		TEST(files_that_end_early_are_harmless_at_every_length),
		TEST(files_with_any_bit_flipped_are_harmless),
		TEST(lengths_that_lie_are_harmless),
		TEST(a_bomb_is_given_up_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
