/* SPDX-License-Identifier: MIT */
/* boot_image_test.c - kernel files: what is recognised, what is refused, and with which words. */
#include "tests/unit/boot_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/boot/kernel.h"

/* Opens the file; what comes out must be consistent. */
static int open_kernel(const char *path, bool compressed, enum boot_form *form, struct error *err)
{
	struct boot_kernel *kernel;
	int rc;

	err->text[0] = '\0';
	rc = boot_kernel_open(path, compressed, &kernel, err);
	if (rc) {
		assert_null(kernel);
		assert_true(rc < 0 && err->text[0] && !strchr(err->text, '\n'));
		assert_non_null(strstr(err->text, path));
		return rc;
	}
	if (form)
		*form = boot_kernel_form(kernel);
	boot_kernel_close(kernel);
	return 0;
}

static void refuse(struct blob blob, const char *words)
{
	struct error err;
	const char *path = fixture_file("refused", blob);

	if (!open_kernel(path, false, NULL, &err))
		fail_msg("was not refused: \"%s\" was to be said", words);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void every_packing_is_unpacked_into_the_cache(void **state)
{
	(void)state;
	for (int packing = 0; packing < PACKINGS_KNOWN; packing++) {
		struct blob image = fixture_packed_kernel((enum packing)packing);
		struct boot_kernel *kernel;
		struct error err = { "" };

		if (boot_kernel_open(fixture_file("bzImage", image), false, &kernel, &err))
			fail_msg("%s: %s", packing_names[packing], err.text);
		assert_int_equal(boot_kernel_form(kernel), BOOT_FORM_ELF_CACHED);
		assert_string_equal(boot_kernel_version(kernel), FIXTURE_VERSION);
		assert_int_equal(boot_kernel_cmdline_max(kernel), 2047);
		assert_non_null(boot_kernel_cache_path(kernel));
		assert_int_equal(access(boot_kernel_cache_path(kernel), R_OK), 0);
		boot_kernel_close(kernel);
		fixture_free(&image);
	}
}

static void a_packing_that_is_not_known_is_left_to_the_guest(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_UNKNOWN);
	enum boot_form form;
	struct error err;

	(void)state;
	assert_int_equal(open_kernel(fixture_file("bzImage", image), false, &form, &err), 0);
	assert_int_equal(form, BOOT_FORM_BZIMAGE);
	fixture_header(&image)->payload_length = 0;
	assert_int_equal(open_kernel(fixture_file("bzImage", image), false, &form, &err), 0);
	assert_int_equal(form, BOOT_FORM_BZIMAGE);
	fixture_free(&image);
}

static void compressed_leaves_it_packed_and_the_cache_alone(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_ZSTD);
	enum boot_form form;
	struct error err;

	(void)state;
	assert_int_equal(open_kernel(fixture_file("bzImage", image), true, &form, &err), 0);
	assert_int_equal(form, BOOT_FORM_BZIMAGE);
	assert_int_equal(access(fixture_path("cache"), F_OK), -1);
	fixture_free(&image);
}

static void a_vmlinux_is_taken_as_it_is(void **state)
{
	struct blob elf = fixture_elf();
	struct boot_kernel *kernel;
	struct error err = { "" };

	(void)state;
	assert_int_equal(boot_kernel_open(fixture_file("vmlinux", elf), false, &kernel, &err), 0);
	assert_int_equal(boot_kernel_form(kernel), BOOT_FORM_ELF_FILE);
	assert_string_equal(boot_kernel_version(kernel), "");
	assert_int_equal(boot_kernel_cmdline_max(kernel), 2047);
	assert_null(boot_kernel_cache_path(kernel));
	boot_kernel_close(kernel);
	fixture_free(&elf);
}

static void bytes_are_found_in_what_is_unpacked(void **state)
{
	struct blob elf = fixture_elf(), packed = fixture_packed_kernel(PACK_ZSTD), large = { NULL, 5 * MIB };
	struct boot_kernel *kernel;
	struct error err = { "" };
	/* The ends of chunks that the search reads are in between. */
	const size_t places[] = { 0, (1 << 20) - 10, (1 << 20) - 5, 3 << 20 };

	(void)state;
	assert_int_equal(boot_kernel_open(fixture_file("vmlinuz", packed), false, &kernel, &err), 0);
	assert_int_equal(boot_kernel_contains(kernel, elf.data + 0x1000, 4096), 1);
	assert_int_equal(boot_kernel_contains(kernel, "virtio_console", 15), 0);
	boot_kernel_close(kernel);
	assert_int_equal(boot_kernel_open(fixture_path("vmlinuz"), true, &kernel, &err), 0);
	assert_int_equal(boot_kernel_contains(kernel, "virtio_console", 15), -ENOTSUP);
	boot_kernel_close(kernel);

	large.data = calloc(1, large.size);
	assert_non_null(large.data);
	memcpy(large.data, elf.data, 0x1000);
	fixture_segment(&large, 1)->p_filesz = 16;
	fixture_segment(&large, 2)->p_filesz = 4 * MIB;
	fixture_segment(&large, 2)->p_memsz = 4 * MIB;
	fixture_segment(&large, 1)->p_paddr = TEXT_AT + 8 * MIB;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		memcpy(large.data + 0x1000 + places[i], "virtio_console", 15);
		if (boot_kernel_open(fixture_file("vmlinux", large), false, &kernel, &err))
			fail_msg("%s", err.text);
		assert_int_equal(boot_kernel_contains(kernel, "virtio_console", 15), 1);
		boot_kernel_close(kernel);
		memset(large.data + 0x1000 + places[i], 0, 15);
	}
	fixture_free(&large);
	fixture_free(&packed);
	fixture_free(&elf);
}

static void a_file_that_is_not_there_or_no_file_is_refused(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(open_kernel(fixture_path("nothing"), false, NULL, &err), -ENOENT);
	assert_int_equal(open_kernel(fixture_path(""), false, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a folder"));
	assert_int_equal(mkfifo(fixture_path("fifo"), 0600), 0);
	assert_int_equal(open_kernel(fixture_path("fifo"), false, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "special file"));
	refuse((struct blob){ NULL, 0 }, "empty");
	if (geteuid()) {
		struct blob elf = fixture_elf();

		assert_int_equal(chmod(fixture_file("secret", elf), 0), 0);
		assert_int_equal(open_kernel(fixture_path("secret"), false, NULL, &err), -EACCES);
		assert_non_null(strstr(err.text, "not readable"));
		fixture_free(&elf);
	}
}

static void other_files_are_named_for_what_they_are(void **state)
{
	static uint8_t data[8192];
	struct blob blob = { data, sizeof data };
	uint32_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof data; i++) {
		random = random * 1664525 + 1013904223;
		data[i] = (uint8_t)(random >> 24);
	}
	refuse(blob, "no Linux kernel");
	memset(data, 0, sizeof data);
	memcpy(data, "MZ", 2);
	refuse(blob, "EFI application without a Linux header");
	memcpy(data + 0x38, "ARM\x64", 4);
	refuse(blob, "arm64");
	memcpy(data + 0x38, "RSC\x05", 4);
	refuse(blob, "RISC-V");
	memcpy(data, "\x1f\x8b\x08", 3);
	memset(data + 0x38, 0, 4);
	refuse(blob, "gzip file");
	memcpy(data,
	       "\xfd"
	       "7zXZ",
	       6);
	refuse(blob, "xz file");
}

static void elf_files_of_other_machines_and_kinds_are_refused(void **state)
{
	static const struct {
		uint16_t machine;
		const char *words;
	} machines[] = { { EM_AARCH64, "arm64" }, { EM_386, "32-bit x86" }, { EM_S390, "s390" }, { 999, "another" } };
	struct blob elf = fixture_elf();
	Elf64_Ehdr *header = fixture_elf_header(&elf);

	(void)state;
	for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
		header->e_machine = machines[i].machine;
		refuse(elf, machines[i].words);
	}
	header->e_machine = EM_X86_64;
	header->e_ident[EI_CLASS] = ELFCLASS32;
	refuse(elf, "32-bit ELF");
	header->e_ident[EI_CLASS] = ELFCLASS64;
	header->e_ident[EI_DATA] = ELFDATA2MSB;
	refuse(elf, "big-endian");
	header->e_ident[EI_DATA] = ELFDATA2LSB;
	header->e_type = ET_REL;
	refuse(elf, "object or module");
	header->e_type = ET_DYN;
	refuse(elf, "shared object");
	fixture_free(&elf);
}

/* Applies one lie to a vmlinux and wants it refused. */
#define REFUSE_ELF(words, ...)                                                                 \
	do {                                                                                   \
		struct blob elf = fixture_elf();                                               \
		Elf64_Ehdr *header = fixture_elf_header(&elf);                                 \
		Elf64_Phdr *data = fixture_segment(&elf, 1), *text = fixture_segment(&elf, 2); \
		(void)header, (void)data, (void)text;                                          \
		__VA_ARGS__;                                                                   \
		refuse(elf, words);                                                            \
		fixture_free(&elf);                                                            \
	} while (0)

static void an_elf_that_lies_is_refused(void **state)
{
	(void)state;
	REFUSE_ELF("program headers", header->e_phnum = 0);
	REFUSE_ELF("program headers", header->e_phnum = UINT16_MAX);
	REFUSE_ELF("program headers", header->e_phentsize = 55);
	REFUSE_ELF("program headers", header->e_phoff = UINT64_MAX);
	REFUSE_ELF("program headers", header->e_phoff = elf.size - 10);
	REFUSE_ELF("truncated", text->p_offset = UINT64_MAX);
	REFUSE_ELF("truncated", text->p_filesz = text->p_memsz = UINT64_MAX);
	REFUSE_ELF("truncated", text->p_offset = elf.size - TEXT_SIZE + 1);
	REFUSE_ELF("impossible size", text->p_memsz = TEXT_SIZE - 1);
	REFUSE_ELF("impossible size", data->p_memsz = UINT64_MAX);
	REFUSE_ELF("impossible size", data->p_memsz = 513 * MIB);
	REFUSE_ELF("0x1000;", text->p_paddr = 0x1000);
	REFUSE_ELF("capsa loads from", text->p_paddr = UINT64_MAX);
	REFUSE_ELF("capsa loads from", text->p_paddr = 3 * GIB);
	REFUSE_ELF("overlap", data->p_paddr = TEXT_AT + TEXT_SIZE - 1);
	REFUSE_ELF("overlap", data->p_paddr = TEXT_AT - 1);
	REFUSE_ELF("overlap", data->p_paddr = TEXT_AT);
	REFUSE_ELF("spread", data->p_paddr = TEXT_AT + 513 * MIB);
	REFUSE_ELF("entry", header->e_entry = TEXT_AT - 1);
	REFUSE_ELF("entry", header->e_entry = TEXT_AT + TEXT_SIZE);
	REFUSE_ELF("entry", header->e_entry = UINT64_MAX);
	REFUSE_ELF("no segment", text->p_type = data->p_type = PT_NOTE);
}

static void an_elf_with_too_many_segments_is_refused(void **state)
{
	struct blob elf = fixture_elf();

	(void)state;
	fixture_elf_header(&elf)->e_phnum = 50;
	for (unsigned i = 0; i < 50; i++)
		*fixture_segment(&elf, i) =
			(Elf64_Phdr){ .p_type = PT_LOAD, .p_paddr = TEXT_AT + i * 4096, .p_memsz = 4096 };
	refuse(elf, "more than 32 segments");
	fixture_free(&elf);
}

static void bzimages_that_cannot_be_entered_are_refused(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_GZIP);
	struct setup_header *header = fixture_header(&image), good = *header;

	(void)state;
	header->version = 0x020b;
	refuse(image, "2.11, capsa needs 2.12");
	*header = good;
	header->xloadflags = 0;
	refuse(image, "32-bit kernel");
	*header = good;
	header->loadflags = 0;
	refuse(image, "zImage");
	*header = good;
	header->jump = 0x10eb;
	refuse(image, "damaged");
	*header = good;
	header->syssize = UINT32_MAX;
	refuse(image, "truncated");
	*header = good;
	header->setup_sects = 255;
	refuse(image, "truncated");
	*header = good;
	header->payload_offset = UINT32_MAX;
	refuse(image, "truncated");
	*header = good;
	header->payload_length = UINT32_MAX;
	refuse(image, "truncated");
	*header = good;
	fixture_free(&image);
}

static void a_version_that_lies_outside_or_holds_control_characters_harms_nobody(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_UNKNOWN);
	struct boot_kernel *kernel;
	struct error err = { "" };

	(void)state;
	fixture_header(&image)->kernel_version = UINT16_MAX;
	assert_int_equal(boot_kernel_open(fixture_file("bzImage", image), false, &kernel, &err), 0);
	assert_string_equal(boot_kernel_version(kernel), "");
	boot_kernel_close(kernel);
	fixture_header(&image)->kernel_version = 0x100;
	memcpy(image.data + 0x300, "6.1\033[2J\n", 9);
	assert_int_equal(boot_kernel_open(fixture_file("bzImage", image), false, &kernel, &err), 0);
	assert_string_equal(boot_kernel_version(kernel), "6.1?[2J?");
	boot_kernel_close(kernel);
	memset(image.data + 0x300, 'x', SETUP_SIZE - 0x300);
	assert_int_equal(boot_kernel_open(fixture_file("bzImage", image), false, &kernel, &err), 0);
	assert_int_equal(strlen(boot_kernel_version(kernel)), KERNEL_VERSION_MAX - 1);
	boot_kernel_close(kernel);
	fixture_free(&image);
}

/* A bzImage is refused wherever it was cut off; it is one of which every part counts. */
static void a_bzimage_that_ends_early_is_refused_at_every_length(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_LZ4);
	size_t payload_end = SETUP_SIZE + PAYLOAD_AT + fixture_header(&image)->payload_length;
	struct error err;

	(void)state;
	for (size_t size = 0; size < payload_end; size += size < SETUP_SIZE + 256 ? 1 : 97) {
		const char *path = fixture_file("short", (struct blob){ image.data, size });

		if (!open_kernel(path, false, NULL, &err))
			fail_msg("%zu of %zu bytes were taken", size, image.size);
		/* Left packed it is refused for the same. */
		if (!open_kernel(path, true, NULL, &err))
			fail_msg("%zu of %zu bytes were taken packed", size, image.size);
	}
	fixture_free(&image);
}

static void a_vmlinux_that_ends_early_is_refused_at_every_length(void **state)
{
	struct blob elf = fixture_elf();
	size_t end = fixture_segment(&elf, 1)->p_offset + DATA_SIZE;
	struct error err;

	(void)state;
	for (size_t size = 0; size < end; size += size < 512 ? 1 : 211) {
		if (!open_kernel(fixture_file("short", (struct blob){ elf.data, size }), false, NULL, &err))
			fail_msg("%zu of %zu bytes were taken", size, end);
	}
	fixture_free(&elf);
}

/* Unpacks a payload; 0 or -errno. Whatever comes out is as long as it claims. */
static int try_payload(struct blob payload)
{
	struct error err = { "" };
	uint8_t *out;
	size_t size;
	int rc = unpack_payload(payload.data, payload.size, &out, &size, &err);

	if (rc)
		assert_true(err.text[0]);
	else
		unpack_free(out, size);
	return rc;
}

static void payloads_that_end_early_are_refused_at_every_length(void **state)
{
	struct blob elf = fixture_elf();

	(void)state;
	for (int packing = 0; packing < PACKINGS_KNOWN; packing++) {
		struct blob whole = fixture_pack(elf, (enum packing)packing);

		assert_int_equal(try_payload(whole), 0);
		for (size_t size = 0; size < whole.size; size += 13) {
			/* At the end of its memory, so that a read beyond is seen. */
			struct blob part = { malloc(size ? size : 1), size };

			memcpy(part.data, whole.data, size);
			if (!try_payload(part))
				fail_msg("%s: %zu of %zu bytes were taken", packing_names[packing], size, whole.size);
			/* The same, but with the size where it belongs. */
			if (size >= 4) {
				memcpy(part.data + size - 4, whole.data + whole.size - 4, 4);
				if (!try_payload(part))
					fail_msg("%s: %zu of %zu bytes were taken", packing_names[packing], size,
					         whole.size);
			}
			fixture_free(&part);
		}
		fixture_free(&whole);
	}
	fixture_free(&elf);
}

static void payloads_with_any_bit_flipped_never_overrun(void **state)
{
	struct blob elf = fixture_elf();

	(void)state;
	for (int packing = 0; packing < PACKINGS_KNOWN; packing++) {
		struct blob payload = fixture_pack(elf, (enum packing)packing);

		for (size_t i = 0; i < payload.size - 4; i += 41) {
			payload.data[i] ^= (uint8_t)(1 << i % 8);
			(void)try_payload(payload);
			payload.data[i] ^= (uint8_t)(1 << i % 8);
		}
		fixture_free(&payload);
	}
	fixture_free(&elf);
}

static void payloads_that_lie_about_their_size_are_refused(void **state)
{
	static const uint32_t lies[] = { 0, 1, 0x9fff, 0xa001, 0x7fffffff, 0x20000001, UINT32_MAX };
	struct blob elf = fixture_elf();

	(void)state;
	for (int packing = 0; packing < PACKINGS_KNOWN; packing++) {
		struct blob payload = fixture_pack(elf, (enum packing)packing);

		for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
			memcpy(payload.data + payload.size - 4, &lies[i], 4);
			if (!try_payload(payload))
				fail_msg("%s: a size of %u was believed", packing_names[packing], lies[i]);
		}
		fixture_free(&payload);
	}
	fixture_free(&elf);
}

static void a_bomb_is_refused(void **state)
{
	struct blob zeros = { calloc(1, 32 * MIB), 32 * MIB };
	uint32_t small = 4096;

	(void)state;
	for (int packing = 0; packing < PACKINGS_KNOWN; packing++) {
		struct blob payload = fixture_pack(zeros, (enum packing)packing);

		memcpy(payload.data + payload.size - 4, &small, 4);
		assert_int_equal(try_payload(payload), -EINVAL);
		fixture_free(&payload);
	}
	fixture_free(&zeros);
}

static void payloads_of_several_streams_are_unpacked(void **state)
{
	static const enum packing packings[] = { PACK_XZ, PACK_LZ4, PACK_ZSTD };
	struct blob elf = fixture_elf(), first = { elf.data, 5000 }, second = { elf.data + 5000, elf.size - 5000 };

	(void)state;
	for (size_t i = 0; i < sizeof packings / sizeof *packings; i++) {
		struct blob a = fixture_pack(first, packings[i]), b = fixture_pack(second, packings[i]);
		struct blob both = { malloc(a.size + b.size), a.size - 4 + b.size };
		struct error err = { "" };
		uint32_t total = (uint32_t)elf.size;
		uint8_t *out;
		size_t size;

		memcpy(both.data, a.data, a.size - 4);
		memcpy(both.data + a.size - 4, b.data, b.size);
		memcpy(both.data + both.size - 4, &total, 4);
		if (unpack_payload(both.data, both.size, &out, &size, &err))
			fail_msg("%s: %s", packing_names[packings[i]], err.text);
		assert_int_equal(size, elf.size);
		assert_memory_equal(out, elf.data, size);
		unpack_free(out, size);
		fixture_free(&a);
		fixture_free(&b);
		fixture_free(&both);
	}
	fixture_free(&elf);
}

static void lz4_of_more_than_one_block_is_unpacked(void **state)
{
	struct blob in = { calloc(1, 20 * MIB + 5), 20 * MIB + 5 }, payload;
	struct error err = { "" };
	uint8_t *out;
	size_t size;

	(void)state;
	for (size_t i = 0; i < in.size; i += 1000)
		in.data[i] = (uint8_t)(i / 1000);
	payload = fixture_pack(in, PACK_LZ4);
	assert_int_equal(unpack_payload(payload.data, payload.size, &out, &size, &err), 0);
	assert_int_equal(size, in.size);
	assert_true(!memcmp(out, in.data, size));
	unpack_free(out, size);
	fixture_free(&payload);
	fixture_free(&in);
}

static void a_damaged_payload_or_one_without_a_kernel_is_refused(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_ZSTD), noise = { calloc(1, 5000), 5000 };

	(void)state;
	memset(image.data + SETUP_SIZE + PAYLOAD_AT + 100, 0xff, 500);
	refuse(image, "zstd payload is damaged");
	fixture_free(&image);
	image = fixture_bzimage(fixture_pack(noise, PACK_GZIP));
	refuse(image, "no 64-bit x86 ELF");
	fixture_free(&image);
	fixture_free(&noise);
}

static void sha256_is_that_of_fips_180(void **state)
{
	/* FIPS 180-2, appendix B, and the empty message of the NIST's examples; lengths about a block's end. */
	static const struct {
		const char *text;
		size_t len;
		const char *hex;
	} known[] = {
		{ "", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
		{ NULL, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
	};
	uint8_t *million = malloc(1000000);

	(void)state;
	memset(million, 'a', 1000000);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		uint8_t digest[SHA256_SIZE];
		char hex[2 * SHA256_SIZE + 1];

		sha256(known[i].text ? (const uint8_t *)known[i].text : million, known[i].len, digest);
		for (size_t j = 0; j < SHA256_SIZE; j++)
			snprintf(hex + 2 * j, 3, "%02x", digest[j]);
		assert_string_equal(hex, known[i].hex);
	}
	free(million);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_packing_is_unpacked_into_the_cache),
		TEST(a_packing_that_is_not_known_is_left_to_the_guest),
		TEST(compressed_leaves_it_packed_and_the_cache_alone),
		TEST(a_vmlinux_is_taken_as_it_is),
		TEST(bytes_are_found_in_what_is_unpacked),
		TEST(a_file_that_is_not_there_or_no_file_is_refused),
		TEST(other_files_are_named_for_what_they_are),
		TEST(elf_files_of_other_machines_and_kinds_are_refused),
		TEST(an_elf_that_lies_is_refused),
		TEST(an_elf_with_too_many_segments_is_refused),
		TEST(bzimages_that_cannot_be_entered_are_refused),
		TEST(a_version_that_lies_outside_or_holds_control_characters_harms_nobody),
		TEST(a_bzimage_that_ends_early_is_refused_at_every_length),
		TEST(a_vmlinux_that_ends_early_is_refused_at_every_length),
		TEST(payloads_that_end_early_are_refused_at_every_length),
		TEST(payloads_with_any_bit_flipped_never_overrun),
		TEST(payloads_that_lie_about_their_size_are_refused),
		TEST(a_bomb_is_refused),
		TEST(payloads_of_several_streams_are_unpacked),
		TEST(lz4_of_more_than_one_block_is_unpacked),
		TEST(a_damaged_payload_or_one_without_a_kernel_is_refused),
		TEST(sha256_is_that_of_fips_180),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
