/* SPDX-License-Identifier: MIT */
/*
 * boot.h - Linux direct boot: kernel image, initrd, command line and boot parameters
 * go into guest memory, and the state of the first vCPU comes out.
 *
 * Called by core/vm while the machine is built (main thread), in two steps, so that every
 * fault of the files is found before a machine exists (`capsa -n`):
 *
 *   boot_kernel_open   looks at the image and unpacks it on the host, once for each content,
 *                      into the cache;
 *   boot_load          places everything in guest memory and fills struct boot_entry.
 *
 * Sources: Documentation/arch/x86/boot.rst (64-bit boot protocol), zero-page.rst, ELF.
 */
#ifndef CAPSA_BOOT_BOOT_H
#define CAPSA_BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/base/error.h"
#include "core/machine/entry.h"
#include "core/machine/memory.h"

struct boot_kernel; /* an opened kernel image, unpacked where it could be */

enum boot_form {
	BOOT_FORM_ELF_CACHED, /* unpacked by us: mapped from our cache */
	BOOT_FORM_ELF_FILE,   /* the user's own vmlinux: copied */
	BOOT_FORM_BZIMAGE,    /* enters the guest's own unpacker */
};

/*
 * Opens `path`. With `compressed` (kernel_entry = "compressed") a bzImage is left packed. A
 * full disk or an unwritable cache is no failure: the payload is then unpacked into memory,
 * and copied from there.
 * Errors: not there, unreadable, truncated, no kernel, an EFI application without a Linux
 * header, another architecture, 32-bit: one line that names the file, without FILE:LINE of
 * the configuration (the caller adds it).
 */
int boot_kernel_open(const char *path, bool compressed, struct boot_kernel **out, struct error *err);
void boot_kernel_close(struct boot_kernel *kernel);
enum boot_form boot_kernel_form(const struct boot_kernel *kernel);
/* The longest command line that this kernel takes, without the NUL (setup_header.cmdline_size; 2047 for an ELF). */
size_t boot_kernel_cmdline_max(const struct boot_kernel *kernel);
/* "6.1.0-13-cloud-amd64 ..." out of the image, or "" where it does not say. */
const char *boot_kernel_version(const struct boot_kernel *kernel);
/* Where the unpacked image lies, or NULL (for -v). */
const char *boot_kernel_cache_path(const struct boot_kernel *kernel);

/*
 * A look at the head of the file only, for who need not boot it: that it is a kernel, its identity and its version (""
 * where it does not say: no ELF does). Errors as of boot_kernel_open().
 */
#define BOOT_VERSION_MAX 128
int boot_kernel_look(const char *path, struct stat *file, char version[BOOT_VERSION_MAX], struct error *err);

/*
 * Whether the unpacked kernel has these bytes (at most 512 KiB) in it: 1 or 0, -ENOTSUP where it is packed, or -errno.
 * Reads all of it: for core/doctor.
 */
int boot_kernel_contains(const struct boot_kernel *kernel, const void *bytes, size_t len);

/*
 * The kernel that a file without boot.kernel means: the first `default/vmlinuz` below
 * path_kernel_dirs() (with `initrd.img` beside it in *initrd, else NULL), else
 * /boot/vmlinuz-<release of the running kernel>. Both strings belong to the caller.
 * -ENOENT with err that says where it looked and what to do.
 */
int boot_default_kernel(char **kernel, char **initrd, struct error *err);

/*
 * The final command line: defaults `console=hvc0 reboot=t panic=-1` unless `override`; a
 * user's word KEY=... (or KEY) takes the default of that key away; the user's own repeats
 * and order stay; everything from a word `--` on is left alone, defaults stand before it.
 * `words` ends with NULL; each may hold several words. Longer than `max`: -E2BIG with err
 * that says by how many bytes. The caller frees *out.
 */
int boot_cmdline_build(const char *const *words, bool override, size_t max, char **out, struct error *err);

/* A range of the guest's physical addresses that is not usable RAM (E820 types: 2 reserved, 3 ACPI). */
struct boot_reserved {
	uint64_t start, size;
	uint32_t type;
};

struct boot_source {
	const struct boot_kernel *kernel;
	const char *initrd;  /* path, or NULL */
	const char *cmdline; /* final */
	uint64_t rsdp;       /* guest physical address of the ACPI RSDP */
	/* What is to stand in the memory map besides RAM (ECAM, ACPI tables); cut out of RAM. Sorted, disjoint. */
	const struct boot_reserved *reserved;
	size_t n_reserved;
};

/* What of the source is at fault. */
enum boot_part { BOOT_PART_KERNEL, BOOT_PART_INITRD };

/*
 * Whether all of it would fit into a machine with `memory` bytes; opens the initrd. 0, or -errno with err as
 * boot_load() would say it, and whose fault it is in *part. Needs no machine.
 */
int boot_check(const struct boot_source *source, uint64_t memory, enum boot_part *part, struct error *err);

/* Where boot_load puts its own structures: below 640 KiB, free for the kernel once it runs. */
#define BOOT_GDT 0x6000u
#define BOOT_PARAMS 0x7000u
#define BOOT_PAGE_TABLES 0x9000u /* up to 0x10000 */
#define BOOT_CMDLINE 0x20000u

/* Writes it all into memory. -ENOSPC with err where kernel or initrd do not fit: says both sizes. */
int boot_load(const struct boot_source *source, struct memory *memory, struct boot_entry *entry, struct error *err);

#endif
