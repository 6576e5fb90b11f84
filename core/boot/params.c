/* SPDX-License-Identifier: MIT */
/*
 * params.c - struct boot_params ("zero page"), and in it the memory map that Linux sees.
 * Called by boot_load when kernel and initrd have their places.
 *
 * Sources: boot.rst "The Real-Mode Kernel Header"; zero-page.rst; ACPI 6.5, 15 (E820 types).
 */

#include "core/boot/kernel.h"

#include <asm/e820.h>
#include <errno.h>
#include <string.h>

#define LOADER_UNREGISTERED 0xff
#define LOW_RAM_END 0x9fc00ull  /* where PCs keep an EBDA; Linux does not use the rest to 640 KiB anyway */
#define PROTOCOL_64 0x020c      /* boot protocol 2.12 */
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define BOOT_FLAG 0xaa55

static int add_entry(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type, struct error *err)
{
	if (start >= end)
		return 0;
	if (params->e820_entries == E820_MAX_ENTRIES_ZEROPAGE)
		return error_set(err, E2BIG, "the machine's memory map has too many entries");
	params->e820_table[params->e820_entries++] =
		(struct boot_e820_entry){ .addr = start, .size = end - start, .type = type };
	return 0;
}

/* RAM [start, end) without what is reserved in it. */
static int add_ram(const struct boot_source *source, struct boot_params *params, uint64_t start, uint64_t end,
                   struct error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < source->n_reserved; i++) {
		const struct boot_reserved *r = &source->reserved[i];

		if (r->start >= end || r->start + r->size <= start)
			continue;
		rc = add_entry(params, start, r->start, E820_RAM, err);
		start = r->start + r->size;
	}
	return rc ? rc : add_entry(params, start, end, E820_RAM, err);
}

static void sort_entries(struct boot_params *params)
{
	for (unsigned i = 1; i < params->e820_entries; i++) {
		struct boot_e820_entry entry = params->e820_table[i];
		unsigned at = i;

		for (; at && params->e820_table[at - 1].addr > entry.addr; at--)
			params->e820_table[at] = params->e820_table[at - 1];
		params->e820_table[at] = entry;
	}
}

static int write_memory_map(const struct boot_source *source, const struct memory *memory, struct boot_params *params,
                            struct error *err)
{
	const struct memory_range *low = &memory->ranges[0];
	int rc = add_ram(source, params, 0, LOW_RAM_END, err);

	if (!rc)
		rc = add_entry(params, LOW_RAM_END, ISA_START_ADDRESS, E820_RESERVED, err);
	if (!rc)
		rc = add_ram(source, params, ISA_END_ADDRESS, low->size, err);
	for (unsigned i = 1; !rc && i < memory->n_ranges; i++)
		rc = add_ram(source, params, memory->ranges[i].start, memory->ranges[i].start + memory->ranges[i].size,
		             err);
	for (size_t i = 0; !rc && i < source->n_reserved; i++) {
		const struct boot_reserved *r = &source->reserved[i];

		rc = add_entry(params, r->start, r->start + r->size, r->type, err);
	}
	sort_entries(params);
	return rc;
}

static void write_header(const struct boot_source *source, const struct initrd *initrd, struct boot_params *params)
{
	struct setup_header *header = &params->hdr;

	if (source->kernel->has_header) {
		*header = source->kernel->header;
	} else {
		header->boot_flag = BOOT_FLAG;
		header->header = HEADER_MAGIC;
		header->version = PROTOCOL_64;
	}
	header->type_of_loader = LOADER_UNREGISTERED;
	header->ext_loader_type = header->ext_loader_ver = 0;
	/* No heap for real-mode code, which does not run; KASLR_FLAG is the unpacker's own. */
	header->loadflags = (uint8_t)(LOADED_HIGH | (header->loadflags & QUIET_FLAG));
	header->heap_end_ptr = 0;
	header->setup_data = 0;
	header->hardware_subarch = 0;
	header->hardware_subarch_data = 0;
	header->cmd_line_ptr = BOOT_CMDLINE;
	header->ramdisk_image = (uint32_t)initrd->address;
	header->ramdisk_size = (uint32_t)initrd->size;
	params->ext_ramdisk_image = (uint32_t)(initrd->address >> 32);
	params->ext_ramdisk_size = (uint32_t)(initrd->size >> 32);
	params->acpi_rsdp_addr = source->rsdp;
}

int params_write(const struct boot_source *source, const struct initrd *initrd, struct memory *memory,
                 struct error *err)
{
	/* All that is not set stays zero: no screen, no EFI, no disks, and the sentinel that vouches for it. */
	struct boot_params params = { 0 };
	int rc = write_memory_map(source, memory, &params, err);

	if (rc)
		return rc;
	write_header(source, initrd, &params);
	memcpy(memory_at(memory, BOOT_PARAMS, sizeof params), &params, sizeof params);
	return 0;
}
