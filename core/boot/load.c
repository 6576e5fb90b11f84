/* SPDX-License-Identifier: MIT */
/*
 * load.c - boot_load: the opened kernel goes into guest memory, and the state of the first
 * vCPU comes out. Called by core/vm once, before the machine runs.
 *
 * The 64-bit boot protocol wants long mode, flat segments 0x10 and 0x18, identity-mapped
 * memory for kernel, zero page and command line, and RSI at the zero page. Both forms are
 * entered that way: vmlinux at e_entry (startup_64 of the kernel proper), a bzImage 0x200
 * behind where it was loaded (startup_64 of its unpacker). All that capsa puts there for
 * the start lies below 640 KiB (boot.h), which no kernel is loaded to.
 *
 * The cached image is mapped, not copied: pages that the guest only reads are shared by all
 * machines that boot this kernel, and those it never touches cost nothing.
 *
 * Sources: boot.rst "64-bit Boot Protocol"; Intel SDM 3, 3.4.5 (descriptors), 4.5 (paging).
 */

#include "core/boot/kernel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define ENTRY_64 0x200u /* of a bzImage's protected-mode part */

/* Page table entries: present, writable; in a page directory: a 2 MiB page. */
#define PAGE_TABLE 0x3ull
#define PAGE_2M 0x83ull
#define ENTRIES 512u
#define IDENTITY_GIB 4u

/* Present, flat, ring 0; 64-bit code that may be read, and writable data; accessed. */
#define DESCRIPTOR_CODE 0x00af9b000000ffffull
#define DESCRIPTOR_DATA 0x00cf93000000ffffull

static int too_small(const struct boot_kernel *kernel, uint64_t needed, const struct memory *memory, struct error *err)
{
	return error_set(err, ENOSPC, "%s: the kernel needs %llu MiB, the machine has %llu MiB; give it more memory",
	                 kernel->path, (unsigned long long)((needed + MIB - 1) / MIB),
	                 (unsigned long long)(memory->size / MIB));
}

/* Room for the kernel at [start, end): RAM, and none of what else stands in the memory map. */
static int check_room(const struct boot_source *source, const struct memory *memory, uint64_t start, uint64_t end,
                      struct error *err)
{
	if (end > memory->ranges[0].size)
		return too_small(source->kernel, end, memory, err);
	for (size_t i = 0; i < source->n_reserved; i++) {
		const struct boot_reserved *r = &source->reserved[i];

		if (r->start < end && start < r->start + r->size)
			return error_set(err, ENOSPC, "%s: the kernel's place is taken by the machine (0x%llx)",
			                 source->kernel->path, (unsigned long long)r->start);
	}
	return 0;
}

static int read_failed(const struct boot_kernel *kernel, int rc, struct error *err)
{
	return error_set(err, -rc, "%s: %s", kernel->cache_path ? kernel->cache_path : kernel->path,
	                 rc == -ENODATA ? "it was truncated while it was read; start again" : strerror(-rc));
}

static int load_segment(const struct boot_kernel *kernel, const struct kernel_segment *segment, struct memory *memory,
                        struct error *err)
{
	void *to = memory_at(memory, segment->address, segment->mem_size);
	int rc;

	if (!to)
		return too_small(kernel, segment->address + segment->mem_size, memory, err);
	if (!segment->file_size)
		return 0;
	if (kernel->fd < 0) {
		memcpy(to, kernel->unpacked + segment->offset, segment->file_size);
		return 0;
	}
	if (kernel->form == BOOT_FORM_ELF_CACHED && !memory->shared &&
	    !memory_map_file(memory, segment->address, segment->file_size, kernel->fd, segment->offset))
		return 0;
	rc = read_exactly(kernel->fd, to, segment->file_size, segment->offset);
	return rc ? read_failed(kernel, rc, err) : 0;
}

static int load_elf(const struct boot_kernel *kernel, struct memory *memory, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < kernel->image.n_segments; i++)
		rc = load_segment(kernel, &kernel->image.segments[i], memory, err);
	return rc;
}

/*
 * A bzImage goes where it would rather be: its unpacker takes a lower address for pref_address
 * anyway, and needs init_size bytes from there on.
 */
static int place_bzimage(const struct boot_kernel *kernel, struct boot_reserved *place, struct error *err)
{
	const struct setup_header *header = &kernel->header;
	uint64_t start = header->pref_address, size = header->init_size, align = header->kernel_alignment;

	if (size < kernel->packed_size)
		size = kernel->packed_size;
	if (start < MIB || start >= MEMORY_HOLE_START || start % KERNEL_PAGE || size > MEMORY_HOLE_START ||
	    (header->relocatable_kernel && align && start % align))
		return error_set(err, EINVAL, "%s: its header asks for an impossible place (0x%llx)", kernel->path,
		                 (unsigned long long)start);
	size = (size + KERNEL_PAGE - 1) & -KERNEL_PAGE;
	*place = (struct boot_reserved){ .start = start, .size = size };
	return 0;
}

static int load_bzimage(const struct boot_kernel *kernel, const struct boot_reserved *place, struct memory *memory,
                        struct error *err)
{
	int rc = read_exactly(kernel->fd, memory_at(memory, place->start, place->size), kernel->packed_size,
	                      kernel->packed_offset);

	return rc ? read_failed(kernel, rc, err) : 0;
}

/* All of the guest's memory that the kernel needs for its start; checks that it is free. */
static int place_kernel(const struct boot_source *source, const struct memory *memory, struct boot_reserved *place,
                        struct error *err)
{
	const struct kernel_image *image = &source->kernel->image;
	int rc = 0;

	if (source->kernel->form == BOOT_FORM_BZIMAGE)
		rc = place_bzimage(source->kernel, place, err);
	else
		*place = (struct boot_reserved){ .start = image->start, .size = image->end - image->start };
	return rc ? rc : check_room(source, memory, place->start, place->start + place->size, err);
}

/* One top table, one page directory pointer table, and a page directory for each of the low 4 GiB. */
static void write_page_tables(struct memory *memory)
{
	uint64_t *top = memory_at(memory, BOOT_PAGE_TABLES, (2 + IDENTITY_GIB) * KERNEL_PAGE);
	uint64_t *pointers = top + ENTRIES, *directories = pointers + ENTRIES;

	top[0] = (BOOT_PAGE_TABLES + KERNEL_PAGE) | PAGE_TABLE;
	for (uint64_t i = 0; i < IDENTITY_GIB; i++)
		pointers[i] = (BOOT_PAGE_TABLES + (2 + i) * KERNEL_PAGE) | PAGE_TABLE;
	for (uint64_t i = 0; i < IDENTITY_GIB * ENTRIES; i++)
		directories[i] = i << 21 | PAGE_2M;
}

static void write_descriptors(struct memory *memory, struct boot_entry *entry)
{
	const uint64_t table[] = { 0, 0, DESCRIPTOR_CODE, DESCRIPTOR_DATA };

	memcpy(memory_at(memory, BOOT_GDT, sizeof table), table, sizeof table);
	entry->gdt_base = BOOT_GDT;
	entry->gdt_limit = sizeof table - 1;
}

/* Puts the kernel's place among what the machine reserved, in order: what an initrd must not touch. */
static size_t merge_taken(const struct boot_source *source, const struct boot_reserved *kernel,
                          struct boot_reserved *taken)
{
	size_t n = 0;

	for (size_t i = 0; i < source->n_reserved; i++) {
		if (n == i && source->reserved[i].start > kernel->start)
			taken[n++] = *kernel;
		taken[n++] = source->reserved[i];
	}
	if (n == source->n_reserved)
		taken[n++] = *kernel;
	return n;
}

int boot_check(const struct boot_source *source, uint64_t size, enum boot_part *part, struct error *err)
{
	struct boot_reserved place, taken[E820_MAX_ENTRIES_ZEROPAGE + 1];
	struct memory memory;
	struct initrd initrd;
	int rc, fd;

	memory_layout(size, &memory);
	*part = BOOT_PART_KERNEL;
	if (source->n_reserved > E820_MAX_ENTRIES_ZEROPAGE)
		return error_set(err, E2BIG, "the machine's memory map has too many entries");
	rc = place_kernel(source, &memory, &place, err);
	if (rc || !source->initrd)
		return rc;
	*part = BOOT_PART_INITRD;
	fd = initrd_open(source->initrd, source->kernel, taken, merge_taken(source, &place, taken), &memory, &initrd,
	                 err);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int boot_load(const struct boot_source *source, struct memory *memory, struct boot_entry *entry, struct error *err)
{
	struct boot_reserved place, taken[E820_MAX_ENTRIES_ZEROPAGE + 1];
	size_t cmdline_size = strlen(source->cmdline) + 1;
	struct initrd initrd = { 0 };
	char *cmdline;
	int rc;

	if (cmdline_size - 1 > boot_kernel_cmdline_max(source->kernel))
		return error_set(err, E2BIG, "the command line is %zu bytes too long for this kernel",
		                 cmdline_size - 1 - boot_kernel_cmdline_max(source->kernel));
	if (source->n_reserved > E820_MAX_ENTRIES_ZEROPAGE)
		return error_set(err, E2BIG, "the machine's memory map has too many entries");
	rc = place_kernel(source, memory, &place, err);
	if (rc)
		return rc;
	if (source->kernel->form == BOOT_FORM_BZIMAGE)
		rc = load_bzimage(source->kernel, &place, memory, err);
	else
		rc = load_elf(source->kernel, memory, err);
	if (rc)
		return rc;
	if (source->initrd) {
		size_t n = merge_taken(source, &place, taken);

		rc = initrd_load(source->initrd, source->kernel, taken, n, memory, &initrd, err);
		if (rc)
			return rc;
	}
	rc = params_write(source, &initrd, memory, err);
	if (rc)
		return rc;
	/* A kernel was loaded above 1 MiB, so all below 640 KiB is RAM. */
	cmdline = memory_at(memory, BOOT_CMDLINE, cmdline_size);
	memcpy(cmdline, source->cmdline, cmdline_size);
	write_page_tables(memory);

	memset(entry, 0, sizeof *entry);
	write_descriptors(memory, entry);
	entry->rip = source->kernel->form == BOOT_FORM_BZIMAGE ? place.start + ENTRY_64 : source->kernel->image.entry;
	entry->rsi = BOOT_PARAMS;
	entry->rsp = BOOT_GDT; /* grows down into what nobody uses */
	entry->cr3 = BOOT_PAGE_TABLES;
	return 0;
}
