/* SPDX-License-Identifier: MIT */
/*
 * cache.c - unpacked kernels on disk, ready to be mapped into guest memory. Called by
 * kernel.c; owns the entries of the store `kernels` (core/base/store.c).
 *
 * Theory of operation
 *
 * An entry, kernels/<SHA-256 of the bzImage>.kernel, is what the kernel's memory looks like:
 * the memory from the kernel's first to its last stored byte, at a file offset
 * that is congruent to its physical address modulo 2 MiB (so that even huge pages of a file
 * could be mapped), and behind it one page, the trailer, which tells all that boot_load needs.
 * Pieces of 2 MiB that are nothing but zeros (a kernel stores some of its zeroed data) are noted:
 * there the guest's own memory stays, in huge pages, where a mapped file would cost it a fault
 * and a copy for each small page that it writes to. The
 * trailer is written last and is what extends the file to its end: an entry that is too short, longer,
 * of another format, name, owner, or writable by others is no entry and is built anew.
 *
 * A warm start is fstat, readlink, open, fstat and one read of a page.
 */

#include "core/boot/kernel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMAT_MAGIC 0x324b617370614331ull
#define HUGE_PAGE (2ull << 20)
#define PIECES_MAX (KERNEL_UNPACKED_MAX / HUGE_PAGE + 1)

struct trailer {
	uint64_t magic;
	uint64_t file_size;
	uint64_t offset;     /* of the image in the file */
	uint64_t start, end; /* guest-physical */
	uint64_t stored;     /* bytes of [start, end) that the file has; the others are zero */
	uint64_t entry;
	uint8_t key[CACHE_KEY_SIZE];
	uint8_t zero[(PIECES_MAX + 7) / 8]; /* a bit for each HUGE_PAGE of the file up to the trailer */
	struct setup_header header;
	char version[KERNEL_VERSION_MAX];
	uint32_t check; /* checksum of all above */
};
_Static_assert(sizeof(struct trailer) <= KERNEL_PAGE, "the trailer is one page of the file");

static const struct store_kind kernels = { .folder = "kernels", .suffix = ".kernel", .format = "kernel" };

struct store *cache_open(struct error *err)
{
	return store_open(&kernels, err);
}

static uint32_t trailer_check(const struct trailer *trailer)
{
	uint8_t digest[SHA256_SIZE];
	uint32_t check;

	sha256((const uint8_t *)trailer, offsetof(struct trailer, check), digest);
	memcpy(&check, digest, sizeof check);
	return check;
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) & -to;
}

static bool trailer_valid(const struct trailer *t, const uint8_t key[CACHE_KEY_SIZE], uint64_t file_size)
{
	return t->magic == FORMAT_MAGIC && t->check == trailer_check(t) && t->file_size == file_size &&
	       !memcmp(t->key, key, CACHE_KEY_SIZE) && t->start % KERNEL_PAGE == 0 && t->end % KERNEL_PAGE == 0 &&
	       t->stored % KERNEL_PAGE == 0 && t->start < t->end && t->end <= MEMORY_HOLE_START + KERNEL_UNPACKED_MAX &&
	       t->stored && t->stored <= t->end - t->start && t->stored <= KERNEL_UNPACKED_MAX && t->offset == t->start % HUGE_PAGE &&
	       t->file_size == t->offset + t->stored + KERNEL_PAGE && t->entry >= t->start &&
	       t->entry - t->start < t->stored && memchr(t->version, '\0', sizeof t->version);
}

/* The i-th HUGE_PAGE of the file, as far as the image reaches: [*from, *to) counts from the image's first byte. */
static bool piece(const struct trailer *t, unsigned i, uint64_t *from, uint64_t *to)
{
	uint64_t begin = i * HUGE_PAGE, end = begin + HUGE_PAGE;

	*from = begin > t->offset ? begin - t->offset : 0;
	*to = end - t->offset < t->stored ? end - t->offset : t->stored;
	return *from < *to;
}

static bool is_zero(const uint8_t *data, uint64_t len)
{
	return !len || (!data[0] && !memcmp(data, data + 1, len - 1));
}

/* Whether [from, to) of the image is zero. */
static bool zero_between(const struct trailer *t, const struct kernel_image *image, const uint8_t *unpacked,
                         uint64_t from, uint64_t to)
{
	for (unsigned i = 0; i < image->n_segments; i++) {
		const struct kernel_segment *s = &image->segments[i];
		uint64_t begin = s->address - t->start, end = begin + s->file_size;
		uint64_t first = begin > from ? begin : from, last = end < to ? end : to;

		if (first < last && !is_zero(unpacked + s->offset + (first - begin), last - first))
			return false;
	}
	return true;
}

static void note_zeros(struct trailer *t, const struct kernel_image *image, const uint8_t *unpacked)
{
	uint64_t from, to;

	for (unsigned i = 0; i < PIECES_MAX && piece(t, i, &from, &to); i++)
		if (zero_between(t, image, unpacked, from, to))
			t->zero[i / 8] |= (uint8_t)(1u << i % 8);
}

/* Segments are runs of pieces that are not zero; when there is room for no more runs, the last one takes the rest. */
static void take_image(const struct trailer *t, struct kernel_image *image)
{
	struct kernel_segment *run = NULL;
	uint64_t from, to;

	*image = (struct kernel_image){ .start = t->start, .end = t->end, .entry = t->entry };
	for (unsigned i = 0; i < PIECES_MAX && piece(t, i, &from, &to); i++) {
		if ((t->zero[i / 8] >> i % 8 & 1) && image->n_segments < KERNEL_SEGMENTS_MAX) {
			run = NULL;
			continue;
		}
		if (!run) {
			run = &image->segments[image->n_segments++];
			run->offset = t->offset + from;
			run->address = t->start + from;
		}
		run->file_size = run->mem_size = t->start + to - run->address;
	}
}

bool cache_find(struct store *cache, const uint8_t key[CACHE_KEY_SIZE], struct boot_kernel *kernel)
{
	struct trailer t;
	struct stat st;
	char *path;
	int fd = store_get(cache, key, &st, &path);

	if (fd < 0)
		return false;
	if (st.st_size < (off_t)KERNEL_PAGE || read_exactly(fd, &t, sizeof t, (uint64_t)st.st_size - KERNEL_PAGE) ||
	    !trailer_valid(&t, key, (uint64_t)st.st_size)) {
		free(path);
		close(fd);
		return false;
	}
	store_touch(fd, &st);
	kernel->form = BOOT_FORM_ELF_CACHED;
	kernel->fd = fd;
	kernel->cache_path = path;
	take_image(&t, &kernel->image);
	kernel->has_header = true;
	kernel->header = t.header;
	memcpy(kernel->version, t.version, sizeof kernel->version);
	return true;
}

bool cache_find_file(struct store *cache, const struct stat *file, struct boot_kernel *kernel)
{
	uint8_t key[CACHE_KEY_SIZE];

	return store_known(cache, file, 1, key) && cache_find(cache, key, kernel);
}

struct entry {
	struct trailer trailer;
	const struct kernel_image *image;
	const uint8_t *unpacked;
};

static int write_entry(int fd, const void *ctx)
{
	const struct entry *entry = ctx;
	const struct trailer *t = &entry->trailer;
	uint8_t last[KERNEL_PAGE] = { 0 };

	for (unsigned i = 0; i < entry->image->n_segments; i++) {
		const struct kernel_segment *s = &entry->image->segments[i];
		int rc = store_write(fd, entry->unpacked + s->offset, s->file_size, t->offset + s->address - t->start);

		if (rc)
			return rc;
	}
	memcpy(last, t, sizeof *t);
	return store_write(fd, last, sizeof last, t->file_size - KERNEL_PAGE);
}

int cache_store(struct store *cache, const uint8_t key[CACHE_KEY_SIZE], const struct kernel_image *image,
                const uint8_t *unpacked, const struct boot_kernel *kernel)
{
	struct entry entry = { .image = image, .unpacked = unpacked };
	struct trailer *t = &entry.trailer;
	uint64_t stored_end = 0;

	for (unsigned i = 0; i < image->n_segments; i++) {
		if (image->segments[i].file_size)
			stored_end = image->segments[i].address + image->segments[i].file_size;
	}
	memset(t, 0, sizeof *t);
	t->magic = FORMAT_MAGIC;
	t->offset = image->start % HUGE_PAGE;
	t->start = image->start;
	t->end = image->end;
	t->stored = round_up(stored_end - t->start, KERNEL_PAGE);
	t->file_size = t->offset + t->stored + KERNEL_PAGE;
	t->entry = image->entry;
	memcpy(t->key, key, sizeof t->key);
	t->header = kernel->header;
	memcpy(t->version, kernel->version, sizeof t->version);
	note_zeros(t, image, unpacked);
	t->check = trailer_check(t);
	return store_put(cache, key, write_entry, &entry);
}
