/* SPDX-License-Identifier: MIT */
/*
 * image.c - what kind of kernel is this file? Called by kernel.c with the file's first bytes.
 *
 * Most of it is for people: whoever hands over something else than an x86_64 Linux kernel
 * reads what it is, and what to give instead.
 *
 * Sources: Documentation/arch/x86/boot.rst; Documentation/arch/arm64/booting.rst and
 * riscv/boot-image-header.rst for the magics of those kernels; PE/COFF; ELF.
 */

#include "core/boot/kernel.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define SECTOR 512u
#define SETUP_HEADER 0x1f1u  /* file offset of struct setup_header */
#define SETUP_MAGIC 0x202u   /* file offset of "HdrS" */
#define SETUP_JUMP 0x201u    /* its byte is the header's length, counted from SETUP_MAGIC */
#define PROTOCOL_MIN 0x020cu /* 2.12, Linux 3.8: the first that tells of a 64-bit entry (xloadflags) */

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static bool has_magic(const uint8_t *head, size_t len, size_t at, const char *magic, size_t size)
{
	return len >= at + size && !memcmp(head + at, magic, size);
}

/* The release out of the image, without what could upset a terminal. */
static void copy_version(const uint8_t *head, size_t setup_size, const struct setup_header *header, char *out)
{
	/* kernel_version counts from the end of the boot sector; 0: none. */
	size_t at = header->kernel_version + (size_t)SECTOR, n = 0;

	if (header->kernel_version) {
		for (; at < setup_size && head[at] && n < KERNEL_VERSION_MAX - 1; at++)
			out[n++] = head[at] >= ' ' && head[at] <= '~' ? (char)head[at] : '?';
	}
	out[n] = '\0';
}

static int recognise_bzimage(const char *path, const uint8_t *head, size_t len, uint64_t file_size,
                             struct kernel_file *out, struct error *err)
{
	struct setup_header *header = &out->header;
	uint64_t setup_size, syssize, packed;
	size_t header_size;
	uint16_t version;

	if (len < SETUP_MAGIC + 6)
		return error_set(err, EINVAL, "%s: truncated: it ends within the kernel's header; copy it again", path);
	version = get16(head + SETUP_MAGIC + 4);
	if (version < PROTOCOL_MIN)
		return error_set(err, EINVAL,
		                 "%s: this kernel is too old: boot protocol %u.%02u, capsa needs 2.12 (Linux 3.8)",
		                 path, version >> 8, version & 0xff);
	header_size = SETUP_MAGIC - SETUP_HEADER + head[SETUP_JUMP];
	if (header_size < offsetof(struct setup_header, handover_offset))
		return error_set(err, EINVAL, "%s: the kernel's header is damaged; copy it again", path);
	if (header_size > sizeof *header)
		header_size = sizeof *header;
	if (len < SETUP_HEADER + header_size)
		return error_set(err, EINVAL, "%s: truncated: it ends within the kernel's header; copy it again", path);
	memcpy(header, head + SETUP_HEADER, header_size);

	if (!(header->loadflags & LOADED_HIGH))
		return error_set(err, EINVAL, "%s: a zImage of old; capsa boots a bzImage or a vmlinux", path);
	if (!(header->xloadflags & XLF_KERNEL_64))
		return error_set(err, EINVAL, "%s: a 32-bit kernel; capsa boots 64-bit x86 kernels (CONFIG_64BIT)",
		                 path);

	/* 0 means 4, for the sake of kernels older than any that gets here. */
	setup_size = ((header->setup_sects ? header->setup_sects : 4u) + 1ull) * SECTOR;
	syssize = header->syssize * 16ull;
	if (file_size <= setup_size)
		return error_set(err, EINVAL, "%s: truncated: %llu bytes, its setup code alone has %llu; copy it again",
		                 path, (unsigned long long)file_size, (unsigned long long)setup_size);
	packed = file_size - setup_size;
	/* syssize is rounded up to 16 bytes, and the file need not be. */
	if (packed + 15 < syssize)
		return error_set(err, EINVAL, "%s: truncated: %llu bytes, its header tells of %llu; copy it again",
		                 path, (unsigned long long)file_size, (unsigned long long)(setup_size + syssize));
	out->packed_offset = setup_size;
	out->packed_size = packed;
	if (header->payload_length) {
		if (header->payload_offset > packed || header->payload_length > packed - header->payload_offset)
			return error_set(err, EINVAL, "%s: truncated: its payload ends beyond the file; copy it again",
			                 path);
		out->payload_offset = setup_size + header->payload_offset;
		out->payload_size = header->payload_length;
	}
	copy_version(head, setup_size < len ? (size_t)setup_size : len, header, out->version);
	return 0;
}

static const char *elf_machine(uint16_t machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_AARCH64:
		return "arm64";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "POWER";
	case EM_S390:
		return "s390";
	default:
		return "another architecture";
	}
}

static int recognise_elf(const char *path, const uint8_t *head, size_t len, struct kernel_file *out, struct error *err)
{
	uint16_t type, machine;

	if (len < sizeof(Elf64_Ehdr))
		return error_set(err, EINVAL, "%s: truncated: it ends within the ELF header; copy it again", path);
	type = get16(head + offsetof(Elf64_Ehdr, e_type));
	machine = get16(head + offsetof(Elf64_Ehdr, e_machine));
	if (head[EI_DATA] == ELFDATA2MSB)
		return error_set(err, EINVAL, "%s: an ELF file for a big-endian machine; capsa boots x86_64 kernels",
		                 path);
	if (machine != EM_X86_64)
		return error_set(err, EINVAL, "%s: an ELF file for %s; capsa boots x86_64 kernels", path,
		                 elf_machine(machine));
	if (head[EI_CLASS] != ELFCLASS64)
		return error_set(err, EINVAL, "%s: a 32-bit ELF file; capsa boots 64-bit x86 kernels", path);
	if (type != ET_EXEC)
		return error_set(err, EINVAL, "%s: an ELF %s, no kernel; give a bzImage (vmlinuz) or a vmlinux", path,
		                 type == ET_REL    ? "object or module"
		                 : type == ET_CORE ? "core dump"
		                                   : "shared object or program");
	out->type = KERNEL_ELF;
	return 0;
}

int image_recognise(const char *path, const uint8_t *head, size_t len, uint64_t file_size, struct kernel_file *out,
                    struct error *err)
{
	static const struct {
		const char *magic;
		size_t size;
		const char *what;
	} packed[] = {
		{ "\x1f\x8b", 2, "gzip" }, { "\xfd\x37\x7a\x58\x5a", 5, "xz" }, { "\x28\xb5\x2f\xfd", 4, "zstd" },
		{ "BZh", 3, "bzip2" },     { "\x02\x21\x4c\x18", 4, "lz4" },    { "\x04\x22\x4d\x18", 4, "lz4" },
	};

	memset(out, 0, sizeof *out);
	if (!file_size)
		return error_set(err, EINVAL, "%s: the file is empty; give a bzImage (vmlinuz) or a vmlinux", path);
	if (has_magic(head, len, SETUP_MAGIC, "HdrS", 4))
		return recognise_bzimage(path, head, len, file_size, out, err);
	if (has_magic(head, len, 0, ELFMAG, SELFMAG))
		return recognise_elf(path, head, len, out, err);
	if (has_magic(head, len, 0x38, "ARM\x64", 4))
		return error_set(err, EINVAL, "%s: an arm64 kernel; capsa boots x86_64 kernels", path);
	if (has_magic(head, len, 0x38, "RSC\x05", 4))
		return error_set(err, EINVAL, "%s: a RISC-V kernel; capsa boots x86_64 kernels", path);
	if (has_magic(head, len, 0, "MZ", 2))
		return error_set(
			err, EINVAL,
			"%s: an EFI application without a Linux header; UEFI is not supported: give the vmlinuz "
			"(of a unified kernel image: objcopy -O binary -j .linux %s vmlinuz)",
			path, path);
	for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
		if (has_magic(head, len, 0, packed[i].magic, packed[i].size))
			return error_set(err, EINVAL, "%s: a %s file, no kernel; unpack it first", path,
			                 packed[i].what);
	}
	return error_set(err, EINVAL, "%s: no Linux kernel; give a bzImage (vmlinuz) or a vmlinux", path);
}
