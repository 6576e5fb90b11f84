/* SPDX-License-Identifier: MIT */
/*
 * unpack-stream.h - a file read from its beginning to its end, of which parts may be packed: gzip, xz, zstd, lz4 in
 * the legacy frame (what the kernel unpacks initrds with). The libraries are loaded when a part needs one. Used by
 * core/doctor/initrd-scan.c and core/sandbox/image-modules.c.
 */
#ifndef CAPSA_BOOT_UNPACK_STREAM_H
#define CAPSA_BOOT_UNPACK_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct unpack_stream;

/* NULL: no memory. `fd` stays the caller's. */
struct unpack_stream *unpack_stream_new(int fd);
void unpack_stream_free(struct unpack_stream *s);

/*
 * Copies `len` bytes (at most UNPACK_STREAM_PEEK) from where reading goes on, without going on. Not within a packed
 * part. Returns how many, fewer only at the end of the file, or -errno.
 */
#define UNPACK_STREAM_PEEK 16u
ssize_t unpack_stream_peek(struct unpack_stream *s, uint8_t *to, size_t len);
/* Reads (to NULL: skips) exactly len bytes. 0, -ENODATA where there are fewer, or -errno. */
int unpack_stream_read(struct unpack_stream *s, uint8_t *to, uint64_t len);

/* Skips the zero bytes that are at hand; there may be more. 0 or -errno. */
int unpack_stream_skip_zeros(struct unpack_stream *s);

/* Whether these first bytes begin a packed part; its kind's name, or NULL. */
const char *unpack_stream_packing(const uint8_t *head, size_t len);
/*
 * From here on the packed part that begins here is read, unpacked, until unpack_stream_leave(). 0, -ELIBACC: its library
 * is not installed, -ENOMEM.
 */
int unpack_stream_enter(struct unpack_stream *s);
/* Goes back to the file, behind the packed part as far as it was read. */
void unpack_stream_leave(struct unpack_stream *s);

/* Bytes that were read or skipped so far. */
uint64_t unpack_stream_total(const struct unpack_stream *s);

#endif
