/* SPDX-License-Identifier: MIT */
/* boot_load_test.c - what boot_load leaves in guest memory and in the first vCPU's registers. */
#include "tests/unit/boot_fixture.h"

#include <asm/e820.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/boot/kernel.h"

#define INITRD_MAX 0x80000000ull /* the first address that the fixture's kernel does not take an initrd at */

/* A machine, and what goes into it. */
struct loaded {
	struct boot_kernel *kernel;
	struct memory *memory;
	struct boot_source source;
	struct boot_entry entry;
	struct error err;
};

static void prepare(struct loaded *l, const char *path, bool compressed, uint64_t size, bool shared)
{
	memset(l, 0, sizeof *l);
	if (boot_kernel_open(path, compressed, &l->kernel, &l->err) || memory_create(size, shared, &l->memory, &l->err))
		fail_msg("%s", l->err.text);
	l->source = (struct boot_source){ .kernel = l->kernel, .cmdline = "console=hvc0 quiet", .rsdp = 0xe0000 };
}

static void load(struct loaded *l)
{
	if (boot_load(&l->source, l->memory, &l->entry, &l->err))
		fail_msg("%s", l->err.text);
}

static void release(struct loaded *l)
{
	boot_kernel_close(l->kernel);
	memory_destroy(l->memory);
}

static void *at(const struct loaded *l, uint64_t address, uint64_t len)
{
	void *host = memory_at(l->memory, address, len);

	assert_non_null(host);
	return host;
}

static const struct boot_params *params(const struct loaded *l)
{
	return at(l, BOOT_PARAMS, sizeof(struct boot_params));
}

static const char *packed_kernel(void)
{
	struct blob image = fixture_packed_kernel(PACK_LZ4);
	const char *path = fixture_file("bzImage", image);

	fixture_free(&image);
	return path;
}

static const char *own_kernel(void)
{
	struct blob elf = fixture_elf();
	const char *path = fixture_file("vmlinux", elf);

	fixture_free(&elf);
	return path;
}

static const char *initrd_of(size_t size)
{
	struct blob blob = { malloc(size), size };
	const char *path;

	for (size_t i = 0; i < size; i++)
		blob.data[i] = (uint8_t)(i % 251 + 1);
	path = fixture_file("initrd", blob);
	fixture_free(&blob);
	return path;
}

static void the_kernel_lies_at_its_physical_addresses_in_every_form(void **state)
{
	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		for (int own = 0; own < 2; own++) {
			struct loaded l;

			prepare(&l, own ? own_kernel() : packed_kernel(), false, 64 * MIB, shared);
			assert_int_equal(boot_kernel_form(l.kernel), own ? BOOT_FORM_ELF_FILE : BOOT_FORM_ELF_CACHED);
			load(&l);
			assert_int_equal(l.entry.rip, TEXT_AT);
			fixture_check_loaded(at(&l, TEXT_AT, KERNEL_END - TEXT_AT));
			release(&l);
		}
	}
}

static void what_the_guest_writes_does_not_reach_the_cache(void **state)
{
	struct loaded a, b;

	(void)state;
	prepare(&a, packed_kernel(), false, 64 * MIB, false);
	load(&a);
	memset(at(&a, TEXT_AT, KERNEL_END - TEXT_AT), 0x55, KERNEL_END - TEXT_AT);
	prepare(&b, fixture_path("bzImage"), false, 64 * MIB, false);
	load(&b);
	fixture_check_loaded(at(&b, TEXT_AT, KERNEL_END - TEXT_AT));
	release(&a);
	release(&b);
}

static void a_compressed_kernel_is_entered_at_its_own_unpacker(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_XZ);
	struct loaded l;

	(void)state;
	prepare(&l, fixture_file("bzImage", image), true, 64 * MIB, false);
	load(&l);
	assert_int_equal(l.entry.rip, TEXT_AT + 0x200);
	assert_memory_equal(at(&l, TEXT_AT, image.size - SETUP_SIZE), image.data + SETUP_SIZE, image.size - SETUP_SIZE);
	assert_int_equal(params(&l)->hdr.loadflags & LOADED_HIGH, LOADED_HIGH);
	release(&l);
	fixture_free(&image);
}

static void the_first_vcpu_has_flat_segments_and_sees_low_memory_as_it_is(void **state)
{
	struct loaded l;
	const uint64_t *gdt;

	(void)state;
	prepare(&l, packed_kernel(), false, 64 * MIB, false);
	load(&l);
	assert_int_equal(l.entry.rsi, BOOT_PARAMS);
	assert_non_null(memory_at(l.memory, l.entry.rsp - 64, 64));
	assert_true(l.entry.gdt_limit >= 0x1f);
	gdt = at(&l, l.entry.gdt_base, l.entry.gdt_limit + 1u);
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[2], 0x00af9b000000ffff);
	assert_int_equal(gdt[3], 0x00cf93000000ffff);
	/* Walk the tables as a processor does. */
	for (uint64_t address = 0; address < 4 * GIB; address += 2 * MIB) {
		const uint64_t *table = at(&l, l.entry.cr3, 4096);
		uint64_t e = table[address >> 39 & 511];

		assert_int_equal(e & 0x83, 3);
		table = at(&l, e & ~0xfffull, 4096);
		e = table[address >> 30 & 511];
		assert_int_equal(e & 0x83, 3);
		table = at(&l, e & ~0xfffull, 4096);
		e = table[address >> 21 & 511];
		assert_int_equal(e & 0x83, 0x83);
		assert_int_equal(e & ~0xfffull, address);
	}
	release(&l);
}

static void boot_parameters_say_what_the_kernel_must_know(void **state)
{
	struct loaded l;
	const struct boot_params *p;

	(void)state;
	for (int own = 0; own < 2; own++) {
		prepare(&l, own ? own_kernel() : packed_kernel(), false, 64 * MIB, false);
		l.source.initrd = initrd_of(12345);
		load(&l);
		p = params(&l);
		assert_int_equal(p->hdr.header, 0x53726448);
		assert_int_equal(p->hdr.boot_flag, 0xaa55);
		assert_int_equal(p->hdr.type_of_loader, 0xff);
		assert_true(p->hdr.loadflags & LOADED_HIGH);
		assert_int_equal(p->hdr.setup_data, 0);
		assert_int_equal(p->hdr.hardware_subarch, 0);
		assert_int_equal(p->hdr.cmd_line_ptr, BOOT_CMDLINE);
		assert_int_equal(p->ext_cmd_line_ptr, 0);
		assert_string_equal(at(&l, BOOT_CMDLINE, 32), "console=hvc0 quiet");
		assert_int_equal(p->acpi_rsdp_addr, 0xe0000);
		assert_int_equal(p->sentinel, 0);
		assert_int_equal(p->screen_info.orig_video_isVGA, 0);
		assert_int_equal(p->hdr.ramdisk_size, 12345);
		assert_int_equal(p->hdr.version, own ? 0x020c : 0x020f);
		release(&l);
	}
}

struct expected {
	uint64_t start, end;
	uint32_t type;
};

static void check_map(const struct boot_params *p, const struct expected *map, size_t n)
{
	assert_int_equal(p->e820_entries, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(p->e820_table[i].addr, map[i].start);
		assert_int_equal(p->e820_table[i].addr + p->e820_table[i].size, map[i].end);
		assert_int_equal(p->e820_table[i].type, map[i].type);
	}
}

static void the_memory_map_is_ram_without_what_is_reserved(void **state)
{
	static const struct expected small[] = {
		{ 0, 0x9fc00, E820_RAM },
		{ 0x9fc00, 0xa0000, E820_RESERVED },
		{ 0x100000, 96 * MIB, E820_RAM },
	};
	static const struct expected three[] = {
		{ 0, 0x9fc00, E820_RAM },         { 0x9fc00, 0xa0000, E820_RESERVED },
		{ 0xe0000, 0x100000, E820_ACPI }, { 0x100000, 3 * GIB - MIB, E820_RAM },
		{ 3 * GIB - MIB, 3 * GIB, 3 },    { 0xe0000000, 0xf0000000, E820_RESERVED },
	};
	static const struct expected six[] = {
		{ 0, 0x1000, 2 },
		{ 0x1000, 0x9fc00, E820_RAM },
		{ 0x9fc00, 0xa0000, E820_RESERVED },
		{ 0x100000, 512 * MIB, E820_RAM },
		{ 512 * MIB, 513 * MIB, 3 },
		{ 513 * MIB, 3 * GIB, E820_RAM },
		{ 0xe0000000, 0xf0000000, 2 },
		{ 4 * GIB, 5 * GIB, E820_RAM },
		{ 5 * GIB, 5 * GIB + MIB, 2 },
		{ 5 * GIB + MIB, 7 * GIB, E820_RAM },
	};
	static const struct boot_reserved for_three[] = {
		{ 0xe0000, 0x20000, 3 },
		{ 3 * GIB - MIB, MIB, 3 },
		{ 0xe0000000, 0x10000000, 2 },
	};
	static const struct boot_reserved for_six[] = {
		{ 0, 0x1000, 2 },
		{ 512 * MIB, MIB, 3 },
		{ 0xe0000000, 0x10000000, 2 },
		{ 5 * GIB, MIB, 2 },
	};
	static const struct {
		uint64_t size;
		const struct boot_reserved *reserved;
		size_t n_reserved;
		const struct expected *map;
		size_t n;
	} cases[] = {
		{ 96 * MIB, NULL, 0, small, sizeof small / sizeof *small },
		{ 3 * GIB, for_three, 3, three, sizeof three / sizeof *three },
		{ 6 * GIB, for_six, 4, six, sizeof six / sizeof *six },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct loaded l;

		prepare(&l, packed_kernel(), false, cases[i].size, false);
		l.source.reserved = cases[i].reserved;
		l.source.n_reserved = cases[i].n_reserved;
		load(&l);
		check_map(params(&l), cases[i].map, cases[i].n);
		release(&l);
	}
}

static void a_memory_map_of_too_many_entries_is_an_error(void **state)
{
	static struct boot_reserved many[E820_MAX_ENTRIES_ZEROPAGE + 1];
	struct loaded l;

	(void)state;
	for (size_t i = 0; i < sizeof many / sizeof *many; i++)
		many[i] = (struct boot_reserved){ 32 * MIB + i * 8192, 4096, 2 };
	prepare(&l, packed_kernel(), false, 64 * MIB, false);
	l.source.reserved = many;
	for (l.source.n_reserved = 64; l.source.n_reserved <= sizeof many / sizeof *many; l.source.n_reserved += 65)
		assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -E2BIG);
	release(&l);
}

/* Loads with an initrd of that size; returns its address, or 0 with the error in *l. */
static uint64_t place(struct loaded *l, size_t size)
{
	const struct boot_params *p;
	const uint8_t *bytes;
	uint64_t address;

	l->source.initrd = initrd_of(size);
	if (boot_load(&l->source, l->memory, &l->entry, &l->err)) {
		assert_true(l->err.text[0]);
		return 0;
	}
	p = params(l);
	address = p->hdr.ramdisk_image | (uint64_t)p->ext_ramdisk_image << 32;
	assert_int_equal(address % 4096, 0);
	assert_int_equal(p->hdr.ramdisk_size, size);
	bytes = at(l, address, size);
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != i % 251 + 1)
			fail_msg("byte %zu of the initrd is not its own", i);
	}
	fixture_check_loaded(at(l, TEXT_AT, KERNEL_END - TEXT_AT));
	return address;
}

static void the_initrd_lies_as_high_as_the_kernel_allows(void **state)
{
	struct loaded l;

	(void)state;
	prepare(&l, packed_kernel(), false, 96 * MIB, false);
	assert_int_equal(place(&l, 5000), 96 * MIB - 8192);
	release(&l);
	prepare(&l, fixture_path("bzImage"), false, 6 * GIB, false);
	assert_int_equal(place(&l, 4096), INITRD_MAX - 4096);
	release(&l);
	/* A vmlinux does not say: the limit of boot.rst. */
	prepare(&l, own_kernel(), false, 2 * GIB, false);
	assert_int_equal(place(&l, 4096), 0x38000000 - 4096);
	release(&l);
}

static void the_initrd_touches_nothing_that_is_taken(void **state)
{
	static const struct boot_reserved taken[] = { { 22 * MIB, 2 * MIB, 2 }, { 28 * MIB, 4 * MIB, 3 } };
	struct loaded l;

	(void)state;
	prepare(&l, packed_kernel(), false, 32 * MIB, false);
	l.source.reserved = taken;
	l.source.n_reserved = 2;
	assert_int_equal(place(&l, MIB), 27 * MIB);
	assert_int_equal(place(&l, 4 * MIB), 24 * MIB);
	/* Between the kernel, which ends at 17 MiB, and 22 MiB; then below the kernel. */
	assert_int_equal(place(&l, 4 * MIB + 1), 22 * MIB - 4 * MIB - 4096);
	assert_int_equal(place(&l, 5 * MIB), 17 * MIB);
	assert_int_equal(place(&l, 5 * MIB + 1), 16 * MIB - 5 * MIB - 4096);
	assert_int_equal(place(&l, 15 * MIB), MIB);
	assert_int_equal(place(&l, 15 * MIB + 1), 0);
	assert_non_null(strstr(l.err.text, "initrd of 16 MiB"));
	assert_non_null(strstr(l.err.text, "32 MiB of memory"));
	release(&l);
}

static void an_initrd_goes_above_4_gib_only_where_it_must_and_may(void **state)
{
	struct blob image = fixture_packed_kernel(PACK_GZIP);
	struct loaded l;

	(void)state;
	fixture_header(&image)->initrd_addr_max = 20 * MIB - 1;
	prepare(&l, fixture_file("bzImage", image), false, 4 * GIB, false);
	assert_int_equal(place(&l, 3 * MIB), 17 * MIB);
	assert_int_equal(place(&l, 16 * MIB), 5 * GIB - 16 * MIB);
	release(&l);
	fixture_header(&image)->xloadflags = XLF_KERNEL_64;
	prepare(&l, fixture_file("bzImage", image), false, 4 * GIB, false);
	assert_int_equal(place(&l, 16 * MIB), 0);
	release(&l);
	fixture_free(&image);
}

static void an_initrd_that_is_none_is_refused(void **state)
{
	struct loaded l;

	(void)state;
	prepare(&l, packed_kernel(), false, 64 * MIB, false);
	assert_int_equal(place(&l, 0), 0);
	assert_non_null(strstr(l.err.text, "empty"));
	l.source.initrd = fixture_path("nothing");
	assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -ENOENT);
	assert_non_null(strstr(l.err.text, "nothing"));
	l.source.initrd = fixture_path("");
	assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -EINVAL);
	assert_non_null(strstr(l.err.text, "folder"));
	release(&l);
}

static void a_machine_that_is_too_small_is_told_both_sizes(void **state)
{
	struct loaded l;

	(void)state;
	for (int form = 0; form < 3; form++) {
		prepare(&l, form ? packed_kernel() : own_kernel(), form == 2, 17 * MIB - 4096, false);
		assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -ENOSPC);
		assert_non_null(strstr(l.err.text, "the kernel needs 17 MiB, the machine has 16 MiB"));
		release(&l);
		prepare(&l, form ? packed_kernel() : own_kernel(), form == 2, 17 * MIB, false);
		load(&l);
		release(&l);
	}
}

static void a_kernel_whose_place_is_reserved_is_refused(void **state)
{
	static const struct boot_reserved last_page = { KERNEL_END - 4096, 4096, 2 }, behind = { KERNEL_END, 4096, 2 };
	struct loaded l;

	(void)state;
	prepare(&l, packed_kernel(), false, 64 * MIB, false);
	l.source.reserved = &behind;
	l.source.n_reserved = 1;
	load(&l);
	l.source.reserved = &last_page;
	assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -ENOSPC);
	release(&l);
}

static void a_compressed_kernel_that_asks_for_an_impossible_place_is_refused(void **state)
{
	static const uint64_t places[] = { 0, 0x1000, TEXT_AT + 1, TEXT_AT + MIB, 3 * GIB, UINT64_MAX, 1ull << 63 };

	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct blob image = fixture_packed_kernel(PACK_GZIP);
		struct loaded l;

		fixture_header(&image)->pref_address = places[i];
		prepare(&l, fixture_file("bzImage", image), true, 64 * MIB, false);
		assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -EINVAL);
		assert_non_null(strstr(l.err.text, "impossible place"));
		release(&l);
		fixture_free(&image);
	}
}

static void files_that_shrink_between_opening_and_loading_are_an_error(void **state)
{
	struct loaded l;

	(void)state;
	prepare(&l, own_kernel(), false, 64 * MIB, false);
	assert_int_equal(truncate(fixture_path("vmlinux"), 8192), 0);
	assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -ENODATA);
	assert_non_null(strstr(l.err.text, "truncated"));
	release(&l);
	prepare(&l, packed_kernel(), true, 64 * MIB, false);
	assert_int_equal(truncate(fixture_path("bzImage"), 2048), 0);
	assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -ENODATA);
	release(&l);
}

static void a_command_line_that_is_too_long_is_refused(void **state)
{
	char line[2049];
	struct loaded l;

	(void)state;
	memset(line, 'x', sizeof line);
	line[2048] = '\0';
	prepare(&l, packed_kernel(), false, 64 * MIB, false);
	l.source.cmdline = line;
	assert_int_equal(boot_load(&l.source, l.memory, &l.entry, &l.err), -E2BIG);
	assert_non_null(strstr(l.err.text, "1 bytes too long"));
	line[2047] = '\0';
	load(&l);
	assert_string_equal(at(&l, BOOT_CMDLINE, 2048), line);
	release(&l);
}

static void the_default_kernel_is_found_with_the_initrd_beside_it(void **state)
{
	struct blob text = { (uint8_t[]){ 'x' }, 1 };
	char *kernel, *initrd;
	struct error err = { "" };

	(void)state;
	setenv("CAPSA_KERNELS", fixture_path("kernels"), 1);
	assert_int_equal(mkdir(fixture_path("kernels"), 0700), 0);
	assert_int_equal(mkdir(fixture_path("kernels/default"), 0700), 0);
	fixture_file("kernels/default/vmlinuz", text);
	assert_int_equal(boot_default_kernel(&kernel, &initrd, &err), 0);
	assert_string_equal(kernel, fixture_path("kernels/default/vmlinuz"));
	assert_null(initrd);
	free(kernel);
	fixture_file("kernels/default/initrd.img", text);
	assert_int_equal(boot_default_kernel(&kernel, &initrd, &err), 0);
	assert_string_equal(initrd, fixture_path("kernels/default/initrd.img"));
	free(kernel);
	free(initrd);
	unsetenv("CAPSA_KERNELS");
}

/* $CAPSA_TEST_KERNEL, or the default kernel. NULL: there is none. */
static char *real_kernel(void)
{
	const char *given = getenv("CAPSA_TEST_KERNEL");
	char *kernel, *initrd;
	struct error err = { "" };

	if (given && *given)
		return strdup(given);
	if (boot_default_kernel(&kernel, &initrd, &err)) {
		print_message("# %s\n", err.text);
		return NULL;
	}
	free(initrd);
	return kernel;
}

static void a_distribution_kernel_loads_the_same_from_every_source(void **state)
{
	char *path = real_kernel();
	struct loaded cold, warm, shared, bare;
	uint64_t start, size;

	(void)state;
	if (!path) {
		/* Not skip(): cmocka 1.1 reports that as a failure in TAP. */
		print_message("# nothing was tested: set CAPSA_TEST_KERNEL to the path of a vmlinuz\n");
		return;
	}
	prepare(&cold, path, false, 256 * MIB, false);
	if (boot_kernel_form(cold.kernel) != BOOT_FORM_ELF_CACHED) {
		print_message("# nothing was tested: %s is not one that is unpacked\n", path);
		release(&cold);
		free(path);
		return;
	}
	assert_true(boot_kernel_version(cold.kernel)[0]);
	prepare(&warm, path, false, 256 * MIB, false);
	assert_string_equal(boot_kernel_cache_path(warm.kernel), boot_kernel_cache_path(cold.kernel));
	prepare(&shared, path, false, 256 * MIB, true);
	setenv("CAPSA_CACHE", "/dev/null/none", 1);
	prepare(&bare, path, false, 256 * MIB, false);
	assert_null(boot_kernel_cache_path(bare.kernel));
	load(&cold);
	load(&warm);
	load(&shared);
	load(&bare);
	start = warm.kernel->image.start;
	size = warm.kernel->image.end - start;
	assert_int_equal(warm.entry.rip, bare.entry.rip);
	assert_int_equal(bare.kernel->image.end, start + size);
	assert_true(!memcmp(at(&warm, start, size), at(&bare, start, size), size));
	assert_true(!memcmp(at(&warm, start, size), at(&cold, start, size), size));
	assert_true(!memcmp(at(&warm, start, size), at(&shared, start, size), size));
	release(&cold);
	release(&warm);
	release(&shared);
	release(&bare);
	free(path);
}

/* What boot_check says without a machine is what boot_load says with one, for every size around the limits. */
static void a_check_without_a_machine_is_right(void **state)
{
	static const struct boot_reserved reserved[] = { { .start = 0xa0000, .size = 0x60000, .type = 2 } };
	static const uint64_t initrds[] = { 1, 1 * MIB, 14 * MIB, 15 * MIB, 15 * MIB + 1, 24 * MIB };
	const char *kernel = packed_kernel(), *initrd = fixture_path("initrd");
	unsigned fits = 0, does_not = 0;

	(void)state;
	for (unsigned compressed = 0; compressed < 2; compressed++) {
		for (uint64_t size = 15 * MIB; size <= 42 * MIB; size += MIB / 2) {
			for (size_t i = 0; i < sizeof initrds / sizeof initrds[0]; i++) {
				struct error err = { "" };
				struct loaded l;
				enum boot_part part;
				int checked, loaded;

				fclose(fopen(initrd, "w"));
				assert_int_equal(truncate(initrd, (off_t)initrds[i]), 0);
				prepare(&l, kernel, compressed, size, false);
				l.source.initrd = initrd;
				l.source.reserved = reserved;
				l.source.n_reserved = 1;
				checked = boot_check(&l.source, size, &part, &err);
				loaded = boot_load(&l.source, l.memory, &l.entry, &l.err);
				assert_int_equal(checked, loaded);
				assert_string_equal(err.text, l.err.text);
				if (checked)
					assert_int_equal(part, strstr(err.text, "/initrd") ? BOOT_PART_INITRD :
					                                                     BOOT_PART_KERNEL);
				fits += !checked;
				does_not += checked == -ENOSPC;
				release(&l);
			}
		}
	}
	assert_true(fits > 100 && does_not > 100);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_check_without_a_machine_is_right),
		TEST(the_kernel_lies_at_its_physical_addresses_in_every_form),
		TEST(what_the_guest_writes_does_not_reach_the_cache),
		TEST(a_compressed_kernel_is_entered_at_its_own_unpacker),
		TEST(the_first_vcpu_has_flat_segments_and_sees_low_memory_as_it_is),
		TEST(boot_parameters_say_what_the_kernel_must_know),
		TEST(the_memory_map_is_ram_without_what_is_reserved),
		TEST(a_memory_map_of_too_many_entries_is_an_error),
		TEST(the_initrd_lies_as_high_as_the_kernel_allows),
		TEST(the_initrd_touches_nothing_that_is_taken),
		TEST(an_initrd_goes_above_4_gib_only_where_it_must_and_may),
		TEST(an_initrd_that_is_none_is_refused),
		TEST(a_machine_that_is_too_small_is_told_both_sizes),
		TEST(a_kernel_whose_place_is_reserved_is_refused),
		TEST(a_compressed_kernel_that_asks_for_an_impossible_place_is_refused),
		TEST(files_that_shrink_between_opening_and_loading_are_an_error),
		TEST(a_command_line_that_is_too_long_is_refused),
		TEST(the_default_kernel_is_found_with_the_initrd_beside_it),
		TEST(a_distribution_kernel_loads_the_same_from_every_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
