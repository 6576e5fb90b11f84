/* SPDX-License-Identifier: MIT */
/*
 * initrd.c - the initrd's place in guest memory. Called by boot_load.
 *
 * As high as the kernel allows in low memory, so that it is out of the way of the kernel's own
 * early allocations; above 4 GiB where it fits nowhere else and the kernel can take it. It is
 * read, not mapped: a mapping of the user's file would end capsa when somebody truncates it.
 */

#include "core/boot/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define ADDRESS_MAX_OF_OLD 0x37ffffffu /* initrd_addr_max of kernels whose header says none (boot.rst) */

/* The highest place for `size` bytes in [low, high) that touches nothing of `taken`; 0: there is none. */
static uint64_t find_place(uint64_t size, uint64_t low, uint64_t high, const struct boot_reserved *taken,
                           size_t n_taken)
{
	for (size_t i = n_taken + 1; i-- > 0;) {
		/* What is free between the end of taken[i - 1] and `high`. */
		uint64_t floor = i ? taken[i - 1].start + taken[i - 1].size : low;
		uint64_t top = high & -KERNEL_PAGE;

		if (floor < low)
			floor = low;
		if (top >= floor && top - floor >= size) {
			uint64_t at = (top - size) & -KERNEL_PAGE;

			if (at >= floor)
				return at;
		}
		if (i && taken[i - 1].start < high)
			high = taken[i - 1].start;
	}
	return 0;
}

static uint64_t choose_place(uint64_t size, const struct boot_kernel *kernel, const struct boot_reserved *taken,
                             size_t n_taken, const struct memory *memory)
{
	uint64_t limit = ADDRESS_MAX_OF_OLD + 1ull, at;
	const struct memory_range *range = &memory->ranges[0];

	if (kernel->has_header && kernel->header.initrd_addr_max)
		limit = kernel->header.initrd_addr_max + 1ull;
	at = find_place(size, MIB, limit < range->size ? limit : range->size, taken, n_taken);
	if (at || memory->n_ranges < 2 || !kernel->has_header ||
	    !(kernel->header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G))
		return at;
	range = &memory->ranges[1];
	return find_place(size, range->start, range->start + range->size, taken, n_taken);
}

static int open_file(const char *path, struct stat *st, struct error *err)
{
	/* O_NONBLOCK: a FIFO must not make the start wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;

	if (fd < 0 || fstat(fd, st)) {
		rc = errno;
		if (fd >= 0)
			close(fd);
		if (rc == ENOENT)
			return error_set(err, ENOENT, "%s: no such initrd; make one, or leave boot.initrd away", path);
		if (rc == EACCES)
			return error_set(err, EACCES,
			                 "%s: the initrd is not readable for this user; copy it to a place of your own",
			                 path);
		return error_set(err, rc, "%s: the initrd cannot be read: %s", path, strerror(rc));
	}
	if (!S_ISREG(st->st_mode) || !st->st_size) {
		close(fd);
		return error_set(err, EINVAL, "%s: %s, no initrd; give an initrd.img or any cpio archive", path,
		                 S_ISREG(st->st_mode)   ? "the file is empty"
		                 : S_ISDIR(st->st_mode) ? "a folder"
		                                        : "a special file");
	}
	return fd;
}

int initrd_open(const char *path, const struct boot_kernel *kernel, const struct boot_reserved *taken, size_t n_taken,
                const struct memory *memory, struct initrd *out, struct error *err)
{
	struct stat st;
	int fd = open_file(path, &st, err);

	if (fd < 0)
		return fd;
	out->size = (uint64_t)st.st_size;
	out->address = choose_place(out->size, kernel, taken, n_taken, memory);
	if (out->address)
		return fd;
	close(fd);
	return error_set(err, ENOSPC,
	                 "%s: the initrd of %llu MiB does not fit beside the kernel in %llu MiB of memory; "
	                 "give the machine more",
	                 path, (unsigned long long)((out->size + MIB - 1) / MIB),
	                 (unsigned long long)(memory->size / MIB));
}

int initrd_load(const char *path, const struct boot_kernel *kernel, const struct boot_reserved *taken, size_t n_taken,
                struct memory *memory, struct initrd *out, struct error *err)
{
	int fd = initrd_open(path, kernel, taken, n_taken, memory, out, err), rc;

	if (fd < 0)
		return fd;
	rc = read_exactly(fd, memory_at(memory, out->address, out->size), out->size, 0);
	if (rc)
		error_set(err, -rc, "%s: %s", path,
		          rc == -ENODATA ? "the initrd was truncated while it was read; start again" : strerror(-rc));
	close(fd);
	return rc;
}
