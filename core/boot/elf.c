/* SPDX-License-Identifier: MIT */
/*
 * elf.c - what of a vmlinux goes where in guest memory. Called by kernel.c, with the user's
 * own file or with an unpacked payload; both are hostile.
 *
 * Only PT_LOAD counts, and only physical addresses do: the 64-bit entry of vmlinux
 * (startup_64) is at its link-time physical address, e_entry. Segments come out sorted and
 * disjoint, each within the file, all within KERNEL_UNPACKED_MAX of each other and above
 * 1 MiB, so nobody later needs to think of overflow.
 */

#include "core/boot/kernel.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define LOW_MEMORY (1ull << 20)
#define PROGRAM_HEADERS_MAX 128u

static int check_header(const Elf64_Ehdr *header, size_t len, struct error *err)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) || header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_ident[EI_VERSION] != EV_CURRENT ||
	    header->e_machine != EM_X86_64 || header->e_type != ET_EXEC)
		return error_set(err, EINVAL, "it holds no 64-bit x86 ELF kernel");
	if (header->e_phentsize != sizeof(Elf64_Phdr) || !header->e_phnum || header->e_phnum > PROGRAM_HEADERS_MAX)
		return error_set(err, EINVAL, "its ELF program headers are damaged");
	if (header->e_phoff > len || header->e_phnum * sizeof(Elf64_Phdr) > len - header->e_phoff)
		return error_set(err, EINVAL, "its ELF program headers lie beyond its first %u bytes", (unsigned)len);
	return 0;
}

static int check_segment(const Elf64_Phdr *ph, uint64_t file_size, struct error *err)
{
	if (ph->p_offset > file_size || ph->p_filesz > file_size - ph->p_offset)
		return error_set(err, EINVAL, "it is truncated: a segment ends beyond the file; copy it again");
	if (ph->p_filesz > ph->p_memsz || ph->p_memsz > KERNEL_UNPACKED_MAX)
		return error_set(err, EINVAL, "a segment of it has an impossible size");
	if (ph->p_paddr < LOW_MEMORY || ph->p_paddr >= MEMORY_HOLE_START)
		return error_set(err, EINVAL,
		                 "it is linked to physical address 0x%llx; capsa loads from 1 MiB to 3 GiB",
		                 (unsigned long long)ph->p_paddr);
	return 0;
}

static int add_segment(struct kernel_image *image, const struct kernel_segment *segment, struct error *err)
{
	unsigned at = image->n_segments;
	const struct kernel_segment *s;

	if (at == KERNEL_SEGMENTS_MAX)
		return error_set(err, EINVAL, "it has more than %u segments", KERNEL_SEGMENTS_MAX);
	for (; at && image->segments[at - 1].address > segment->address; at--)
		image->segments[at] = image->segments[at - 1];
	image->segments[at] = *segment;
	image->n_segments++;
	s = image->segments;
	if ((at && s[at - 1].address + s[at - 1].mem_size > segment->address) ||
	    (at + 1 < image->n_segments && segment->address + segment->mem_size > s[at + 1].address))
		return error_set(err, EINVAL, "two segments of it overlap in memory");
	return 0;
}

static bool holds_entry(const struct kernel_image *image)
{
	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct kernel_segment *s = &image->segments[i];

		if (image->entry >= s->address && image->entry - s->address < s->file_size)
			return true;
	}
	return false;
}

int elf_parse(const uint8_t *head, size_t len, uint64_t file_size, struct kernel_image *out, struct error *err)
{
	const struct kernel_segment *last;
	Elf64_Ehdr header;
	int rc;

	memset(out, 0, sizeof *out);
	if (len < sizeof header)
		return error_set(err, EINVAL, "it ends within the ELF header");
	memcpy(&header, head, sizeof header);
	rc = check_header(&header, len, err);
	if (rc)
		return rc;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		struct kernel_segment segment;
		Elf64_Phdr ph;

		memcpy(&ph, head + header.e_phoff + i * sizeof ph, sizeof ph);
		if (ph.p_type != PT_LOAD || !ph.p_memsz)
			continue;
		rc = check_segment(&ph, file_size, err);
		if (rc)
			return rc;
		segment = (struct kernel_segment){ ph.p_offset, ph.p_paddr, ph.p_filesz, ph.p_memsz };
		rc = add_segment(out, &segment, err);
		if (rc)
			return rc;
	}
	if (!out->n_segments)
		return error_set(err, EINVAL, "it has no segment to load");
	last = &out->segments[out->n_segments - 1];
	out->start = out->segments[0].address & -KERNEL_PAGE;
	out->end = (last->address + last->mem_size + KERNEL_PAGE - 1) & -KERNEL_PAGE;
	if (out->end - out->start > KERNEL_UNPACKED_MAX)
		return error_set(err, EINVAL, "its segments are spread over more than 512 MiB");
	out->entry = header.e_entry;
	if (!holds_entry(out))
		return error_set(err, EINVAL, "its entry 0x%llx lies in no segment; is it a Linux vmlinux?",
		                 (unsigned long long)out->entry);
	return 0;
}
