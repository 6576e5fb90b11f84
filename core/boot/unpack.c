/* SPDX-License-Identifier: MIT */
/*
 * unpack.c - the payload of a bzImage, unpacked into host memory. Called by kernel.c for a
 * kernel that the cache does not hold.
 *
 * The last four bytes of a payload are its unpacked size, little-endian: gzip ends so by
 * itself, the kernel's build appends it to all others (scripts/Makefile.lib, size_append).
 * The size bounds the output, and the output must have it exactly, so neither a bomb nor a
 * damaged payload gets any further. xz, lz4 and zstd payloads of several concatenated
 * streams are as good as one.
 *
 * lz4 is the legacy frame, which the LZ4F calls refuse: a magic, then blocks, each
 * behind its packed size, of at most 8 MiB unpacked (lz4_Frame_format.md, "Legacy frame").
 */
#include "core/base/library.h"
#include "core/boot/kernel.h"

#include <endian.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#define SIZE_SUFFIX 4u
#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_LEGACY_BLOCK (8u << 20)
#define XZ_MEMORY_MAX (256ull << 20)
/* zlib's counters are 32 bits wide. */
_Static_assert(KERNEL_UNPACKED_MAX <= UINT32_MAX && KERNEL_FILE_MAX <= UINT32_MAX, "sizes fit z_stream");

struct span {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len;
};

/* The libraries: only the first start of a kernel needs one. */
#define ZLIB "libz.so.1"
#define LZMA "liblzma.so.5"
#define LZ4 "liblz4.so.1"
#define ZSTD "libzstd.so.1"

/*
 * Fills the whole of `out`, from streams that end properly. 0, -EINVAL: damaged, -ELIBACC: the library cannot be
 * loaded.
 */
typedef int unpack_fn(const struct span *span);

static int filled(bool all)
{
	return all ? 0 : -EINVAL;
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof value);
	return le32toh(value);
}

static int unpack_gzip(const struct span *span)
{
	z_stream z = { .avail_in = (uInt)span->in_len, .next_out = span->out, .avail_out = (uInt)span->out_len };
	/* zlib declares its input writable, and does not write to it. */
	union {
		const uint8_t *from;
		Bytef *to;
	} in = { .from = span->in };
	LIBRARY_FUNCTION(inflateInit2_, ZLIB);
	LIBRARY_FUNCTION(inflate, ZLIB);
	LIBRARY_FUNCTION(inflateEnd, ZLIB);
	int rc;

	if (!lib_inflateInit2_ || !lib_inflate || !lib_inflateEnd)
		return -ELIBACC;
	z.next_in = in.to;
	if (lib_inflateInit2_(&z, 15 + 16, ZLIB_VERSION, (int)sizeof z) != Z_OK)
		return -EINVAL;
	/* One member: the size at the end of a gzip file is that of its last member alone. */
	rc = lib_inflate(&z, Z_FINISH);
	lib_inflateEnd(&z);
	return filled(rc == Z_STREAM_END && !z.avail_out);
}

static int unpack_xz(const struct span *span)
{
	lzma_stream s = LZMA_STREAM_INIT;
	LIBRARY_FUNCTION(lzma_stream_decoder, LZMA);
	LIBRARY_FUNCTION(lzma_code, LZMA);
	LIBRARY_FUNCTION(lzma_end, LZMA);
	lzma_ret rc;

	if (!lib_lzma_stream_decoder || !lib_lzma_code || !lib_lzma_end)
		return -ELIBACC;
	if (lib_lzma_stream_decoder(&s, XZ_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK)
		return -EINVAL;
	s.next_in = span->in;
	s.avail_in = span->in_len;
	s.next_out = span->out;
	s.avail_out = span->out_len;
	/* Ends: without progress the decoder says LZMA_BUF_ERROR. */
	do
		rc = lib_lzma_code(&s, LZMA_FINISH);
	while (rc == LZMA_OK);
	lib_lzma_end(&s);
	return filled(rc == LZMA_STREAM_END && !s.avail_out);
}

static int unpack_lz4(const struct span *span)
{
	const uint8_t *in = span->in;
	size_t left = span->in_len, done = 0;
	LIBRARY_FUNCTION(LZ4_decompress_safe, LZ4);

	if (!lib_LZ4_decompress_safe)
		return -ELIBACC;
	while (left >= 4) {
		uint32_t packed = get32(in);
		size_t room = span->out_len - done;
		int got;

		in += 4;
		left -= 4;
		if (packed == LZ4_LEGACY_MAGIC)
			continue;
		if (!packed || packed > left || packed > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK))
			return -EINVAL;
		got = lib_LZ4_decompress_safe((const char *)in, (char *)span->out + done, (int)packed,
		                          (int)(room < LZ4_LEGACY_BLOCK ? room : LZ4_LEGACY_BLOCK));
		if (got <= 0)
			return -EINVAL;
		done += (size_t)got;
		in += packed;
		left -= packed;
	}
	return filled(!left && done == span->out_len);
}

static int unpack_zstd(const struct span *span)
{
	LIBRARY_FUNCTION(ZSTD_decompress, ZSTD);
	size_t got;

	if (!lib_ZSTD_decompress)
		return -ELIBACC;
	/* An error is a size that nothing has. */
	got = lib_ZSTD_decompress(span->out, span->out_len, span->in, span->in_len);
	return filled(got == span->out_len);
}

static const struct packing {
	const char *name;
	const char *magic;
	size_t magic_size;
	unpack_fn *unpack;
	const char *library;
	bool own_size; /* the stream itself ends with the unpacked size */
} packings[] = {
	{ "gzip", "\x1f\x8b\x08", 3, unpack_gzip, ZLIB, true },
	{ "xz", "\xfd\x37\x7a\x58\x5a\x00", 6, unpack_xz, LZMA, false },
	{ "lz4", "\x02\x21\x4c\x18", 4, unpack_lz4, LZ4, false },
	{ "zstd", "\x28\xb5\x2f\xfd", 4, unpack_zstd, ZSTD, false },
};

static const struct packing *find_packing(const uint8_t *payload, size_t len)
{
	for (size_t i = 0; i < sizeof packings / sizeof *packings; i++) {
		const struct packing *p = &packings[i];

		if (len >= p->magic_size && !memcmp(payload, p->magic, p->magic_size))
			return p;
	}
	return NULL;
}

bool unpack_knows(const uint8_t *payload, size_t len)
{
	return find_packing(payload, len) != NULL;
}

int unpack_payload(const uint8_t *payload, size_t len, uint8_t **out, size_t *out_size, struct error *err)
{
	const struct packing *packing = find_packing(payload, len);
	struct span span = { .in = payload, .in_len = len };
	int rc;

	if (!packing || len < packing->magic_size + SIZE_SUFFIX || len > KERNEL_FILE_MAX)
		return error_set(err, EINVAL, "the payload is damaged; copy it again");
	span.out_len = get32(payload + len - SIZE_SUFFIX);
	if (!packing->own_size)
		span.in_len -= SIZE_SUFFIX;
	if (!span.out_len)
		return error_set(err, EINVAL, "the %s payload is damaged; copy it again", packing->name);
	if (span.out_len > KERNEL_UNPACKED_MAX)
		return error_set(err, EFBIG, "the %s payload claims %zu MiB unpacked, more than a kernel has (512 MiB)",
		                 packing->name, span.out_len >> 20);
	/* Pages that stay untouched cost nothing, however large a payload claims to be. */
	span.out = mmap(NULL, span.out_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (span.out == MAP_FAILED)
		return error_set(err, ENOMEM, "no memory to unpack %zu MiB", span.out_len >> 20);
	rc = packing->unpack(&span);
	if (rc) {
		munmap(span.out, span.out_len);
		return rc == -ELIBACC ? error_set(err, ELIBACC, "the library for %s payloads (%s) cannot be loaded; is it installed?", packing->name,
		                                  packing->library) :
					error_set(err, EINVAL, "the %s payload is damaged; copy it again", packing->name);
	}
	*out = span.out;
	*out_size = span.out_len;
	return 0;
}

void unpack_free(uint8_t *data, size_t size)
{
	if (data)
		munmap(data, size);
}
