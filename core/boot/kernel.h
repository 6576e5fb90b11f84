/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - what the files of core/boot share: an opened kernel and the steps to it.
 *
 *   kernel.c   boot_kernel_open: goes through the steps and owns struct boot_kernel
 *   image.c    recognises the file, checks the bzImage's header
 *   unpack.c   the payload of a bzImage, unpacked into host memory
 *   elf.c      what of an ELF goes where
 *   cache.c    unpacked kernels on disk, ready to be mapped
 *   load.c     boot_load: kernel, page tables, descriptor table
 *   initrd.c   the initrd's place
 *   params.c   struct boot_params and its memory map
 *   search.c   bytes in an unpacked kernel
 *   unpack-stream.c   files packed in parts, for initrds and modules: stands alone
 *   cmdline.c, default.c   stand alone
 */
#ifndef CAPSA_BOOT_KERNEL_H
#define CAPSA_BOOT_KERNEL_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/base/error.h"
#include "core/base/store.h"
#include "core/boot/boot.h"

#define KERNEL_UNPACKED_MAX (512ull << 20) /* bytes, of a payload and of the memory that an ELF spans */
#define KERNEL_FILE_MAX (512ull << 20)     /* bytes of a bzImage */
#define KERNEL_SEGMENTS_MAX 32
#define KERNEL_VERSION_MAX BOOT_VERSION_MAX
#define KERNEL_PAGE 4096ull

/* Bytes [offset, offset+file_size) of the source go to guest-physical `address`; the rest of mem_size is zero. */
struct kernel_segment {
	uint64_t offset, address, file_size, mem_size;
};

/* What of an ELF, or of a cache entry, goes where: sorted, disjoint, all above 1 MiB. */
struct kernel_image {
	uint64_t start, end; /* guest-physical, page aligned: all that the segments cover, zeroed parts too */
	uint64_t entry;      /* guest-physical */
	unsigned n_segments;
	struct kernel_segment segments[KERNEL_SEGMENTS_MAX];
};

struct boot_kernel {
	enum boot_form form;
	char *path;
	int fd;            /* what the segments' offsets count in; -1: `unpacked` */
	uint8_t *unpacked; /* an unpacked payload that no cache could take */
	size_t unpacked_size;
	struct kernel_image image;           /* not for BOOT_FORM_BZIMAGE */
	uint64_t packed_offset, packed_size; /* the protected-mode part of a BOOT_FORM_BZIMAGE */
	bool has_header;
	struct setup_header header;
	char version[KERNEL_VERSION_MAX];
	char *cache_path;
};

/* image.c */
enum kernel_type { KERNEL_BZIMAGE, KERNEL_ELF };
struct kernel_file {
	enum kernel_type type;
	struct setup_header header; /* of a bzImage: this and all below */
	char version[KERNEL_VERSION_MAX];
	uint64_t packed_offset, packed_size;   /* protected-mode part, in the file */
	uint64_t payload_offset, payload_size; /* in the file; size 0: the header tells of none */
};
/*
 * Recognises the kernel in the first bytes of a file (as many as IMAGE_HEAD where the file has them) of `file_size`
 * bytes. -EINVAL with err, which speaks of the file as `path`.
 */
#define IMAGE_HEAD 65536u
int image_recognise(const char *path, const uint8_t *head, size_t len, uint64_t file_size, struct kernel_file *out,
                    struct error *err);

/* unpack.c */
/* Whether unpack_payload() knows this packing: looks at the first bytes of a payload. */
bool unpack_knows(const uint8_t *payload, size_t len);
/*
 * Unpacks a payload. *out is mapped memory of *out_size bytes; unpack_free(). -EINVAL damaged, -EFBIG beyond
 * KERNEL_UNPACKED_MAX, -ENOMEM; err says it as a clause ("the lz4 payload is damaged").
 */
int unpack_payload(const uint8_t *payload, size_t len, uint8_t **out, size_t *out_size, struct error *err);
void unpack_free(uint8_t *data, size_t size);

/* elf.c */
/* The first bytes of an ELF that elf_parse() must see: header and program headers lie there. */
#define ELF_HEAD 65536u
/*
 * Checks the head of an x86_64 ELF of `file_size` bytes and fills *out. -EINVAL; err says it as a clause.
 */
int elf_parse(const uint8_t *head, size_t len, uint64_t file_size, struct kernel_image *out, struct error *err);

/* cache.c: the store of unpacked kernels (core/base/store.h). Every failure but a hit means "do without". */
#define CACHE_KEY_SIZE STORE_KEY_SIZE
/* NULL with err where there is none that can be trusted or made. */
struct store *cache_open(struct error *err);
/* Looks the kernel up by the file's identity, or by its content; true: fd, image, header, version, cache_path are set.
 */
bool cache_find_file(struct store *cache, const struct stat *file, struct boot_kernel *kernel);
bool cache_find(struct store *cache, const uint8_t key[CACHE_KEY_SIZE], struct boot_kernel *kernel);
/* Stores `unpacked`, of which `image` tells the segments; header and version come from *kernel. 0 or -errno. */
int cache_store(struct store *cache, const uint8_t key[CACHE_KEY_SIZE], const struct kernel_image *image,
                const uint8_t *unpacked, const struct boot_kernel *kernel);
/* For store_trim(). */
#define CACHE_ENTRIES_MAX 16u
#define CACHE_BYTES_MAX (1ull << 30)

/* load.c */
/* Reads exactly len bytes at offset; -ENODATA where the file has fewer. */
int read_exactly(int fd, void *to, uint64_t len, uint64_t offset);

/* initrd.c */
struct initrd {
	uint64_t address, size; /* guest-physical, bytes; size 0: none */
};
/*
 * Opens the file and finds its place: as high as the kernel allows. `taken` (sorted, disjoint) is what it must not
 * touch; of `memory` only the ranges count. A descriptor, or -errno with err; -ENOSPC: it does not fit.
 */
int initrd_open(const char *path, const struct boot_kernel *kernel, const struct boot_reserved *taken, size_t n_taken,
                const struct memory *memory, struct initrd *out, struct error *err);
/* The same, and reads it into guest memory. */
int initrd_load(const char *path, const struct boot_kernel *kernel, const struct boot_reserved *taken, size_t n_taken,
                struct memory *memory, struct initrd *out, struct error *err);

/* params.c */
/* Writes struct boot_params to BOOT_PARAMS. -E2BIG with err where the memory map has too many entries. */
int params_write(const struct boot_source *source, const struct initrd *initrd, struct memory *memory,
                 struct error *err);

#endif
