/* SPDX-License-Identifier: MIT */
/*
 * unpack-stream.c - see unpack-stream.h. Owns its buffers and one decoder at a time.
 *
 * Two buffers: `in` holds bytes of the file, `out` what a decoder made of them. A reader takes from `out` while a
 * packed part is entered, else from `in`. Every step of a decoder either takes or gives bytes, or is the last one, so
 * no input makes it turn for ever; how much it gives in all is for the reader to bound.
 */
#include "core/boot/unpack-stream.h"

#include <endian.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "core/base/library.h"

#define IN_SIZE (64u << 10)
#define OUT_SIZE (256u << 10)
#define XZ_MEMORY_MAX (256ull << 20)
#define ZSTD_WINDOW_LOG_MAX 27 /* 128 MiB: what the kernel takes */
#define LZ4_MAGIC 0x184c2102u
#define LZ4_BLOCK (8u << 20)
#define LZ4_PACKED_MAX LZ4_COMPRESSBOUND(LZ4_BLOCK)

#define ZLIB "libz.so.1"
#define LZMA "liblzma.so.5"
#define LZ4 "liblz4.so.1"
#define ZSTD "libzstd.so.1"

struct buffer {
	uint8_t *data;
	size_t at, end, room;
};

struct packing {
	const char *name;
	const char *magic;
	size_t magic_size;
	int (*begin)(struct unpack_stream *s);
	/* Unpacks some of `in` into the empty `out`. 0, 1: that was the end of the part, or -errno. */
	int (*step)(struct unpack_stream *s);
	void (*end)(struct unpack_stream *s);
};

struct unpack_stream {
	int fd;
	bool file_ended;
	struct buffer in, out;
	const struct packing *packing; /* of the part that is entered, or NULL */
	bool part_ended;
	uint64_t total;
	union {
		z_stream gzip;
		lzma_stream xz;
		ZSTD_DStream *zstd;
		struct {
			uint8_t *packed;
		} lz4;
	} decoder;
};

/* Makes at least `want` bytes of the file be in the buffer, fewer only at its end. */
static int fill(struct unpack_stream *s, size_t want)
{
	struct buffer *in = &s->in;

	if (in->end - in->at >= want)
		return 0;
	memmove(in->data, in->data + in->at, in->end - in->at);
	in->end -= in->at;
	in->at = 0;
	while (!s->file_ended && in->end < want) {
		ssize_t n = read(s->fd, in->data + in->end, in->room - in->end);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s->file_ended = n == 0;
		in->end += (size_t)n;
	}
	return 0;
}

/* ---- gzip ---- */

static int gzip_begin(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(inflateInit2_, ZLIB);

	s->decoder.gzip = (z_stream){ .next_in = NULL };
	if (!lib_inflateInit2_)
		return -ELIBACC;
	return lib_inflateInit2_(&s->decoder.gzip, 15 + 16, ZLIB_VERSION, (int)sizeof s->decoder.gzip) == Z_OK ? 0
	                                                                                                      : -ENOMEM;
}

static int gzip_step(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(inflate, ZLIB);
	z_stream *z = &s->decoder.gzip;
	int rc;

	z->next_in = s->in.data + s->in.at;
	z->avail_in = (uInt)(s->in.end - s->in.at);
	z->next_out = s->out.data;
	z->avail_out = (uInt)s->out.room;
	rc = lib_inflate(z, Z_NO_FLUSH);
	s->in.at = s->in.end - z->avail_in;
	s->out.end = s->out.room - z->avail_out;
	return rc == Z_STREAM_END ? 1 : rc == Z_OK ? 0 : -EINVAL;
}

static void gzip_end(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(inflateEnd, ZLIB);

	lib_inflateEnd(&s->decoder.gzip);
}

/* ---- xz ---- */

static int xz_begin(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(lzma_stream_decoder, LZMA);

	s->decoder.xz = (lzma_stream)LZMA_STREAM_INIT;
	if (!lib_lzma_stream_decoder)
		return -ELIBACC;
	return lib_lzma_stream_decoder(&s->decoder.xz, XZ_MEMORY_MAX, 0) == LZMA_OK ? 0 : -ENOMEM;
}

static int xz_step(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(lzma_code, LZMA);
	lzma_stream *x = &s->decoder.xz;
	lzma_ret rc;

	x->next_in = s->in.data + s->in.at;
	x->avail_in = s->in.end - s->in.at;
	x->next_out = s->out.data;
	x->avail_out = s->out.room;
	rc = lib_lzma_code(x, LZMA_RUN);
	s->in.at = s->in.end - x->avail_in;
	s->out.end = s->out.room - x->avail_out;
	return rc == LZMA_STREAM_END ? 1 : rc == LZMA_OK ? 0 : rc == LZMA_MEMLIMIT_ERROR ? -ENOMEM : -EINVAL;
}

static void xz_end(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(lzma_end, LZMA);

	lib_lzma_end(&s->decoder.xz);
}

/* ---- zstd ---- */

static int zstd_begin(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(ZSTD_createDStream, ZSTD);
	LIBRARY_FUNCTION(ZSTD_DCtx_setParameter, ZSTD);

	if (!lib_ZSTD_createDStream || !lib_ZSTD_DCtx_setParameter)
		return -ELIBACC;
	s->decoder.zstd = lib_ZSTD_createDStream();
	if (!s->decoder.zstd)
		return -ENOMEM;
	lib_ZSTD_DCtx_setParameter(s->decoder.zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	return 0;
}

static int zstd_step(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(ZSTD_decompressStream, ZSTD);
	LIBRARY_FUNCTION(ZSTD_isError, ZSTD);
	ZSTD_inBuffer in = { s->in.data, s->in.end, s->in.at };
	ZSTD_outBuffer out = { s->out.data, s->out.room, 0 };
	size_t rc;

	if (!lib_ZSTD_decompressStream || !lib_ZSTD_isError)
		return -ELIBACC;
	rc = lib_ZSTD_decompressStream(s->decoder.zstd, &out, &in);
	s->in.at = in.pos;
	s->out.end = out.pos;
	return lib_ZSTD_isError(rc) ? -EINVAL : rc == 0;
}

static void zstd_end(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(ZSTD_freeDStream, ZSTD);

	if (lib_ZSTD_freeDStream)
		lib_ZSTD_freeDStream(s->decoder.zstd);
}

/* ---- lz4, the legacy frame: blocks, each behind its packed size, up to the end of the file ---- */

static int lz4_begin(struct unpack_stream *s)
{
	uint8_t *larger = realloc(s->out.data, LZ4_BLOCK);

	if (!larger)
		return -ENOMEM;
	s->out.data = larger;
	s->out.room = LZ4_BLOCK;
	s->decoder.lz4.packed = malloc(LZ4_PACKED_MAX);
	return s->decoder.lz4.packed ? 0 : -ENOMEM;
}

/* Takes `len` bytes of the file. */
static int take(struct unpack_stream *s, uint8_t *to, size_t len)
{
	while (len) {
		size_t part;
		int rc = fill(s, 1);

		if (rc)
			return rc;
		part = s->in.end - s->in.at;
		if (!part)
			return -EINVAL;
		if (part > len)
			part = len;
		memcpy(to, s->in.data + s->in.at, part);
		s->in.at += part;
		to += part;
		len -= part;
	}
	return 0;
}

static int lz4_step(struct unpack_stream *s)
{
	LIBRARY_FUNCTION(LZ4_decompress_safe, LZ4);
	uint32_t size;
	int rc, got;

	if (!lib_LZ4_decompress_safe)
		return -ELIBACC;
	rc = fill(s, sizeof size);
	if (rc)
		return rc;
	if (s->in.at == s->in.end)
		return 1;
	rc = take(s, (uint8_t *)&size, sizeof size);
	if (rc)
		return rc;
	size = le32toh(size);
	if (size == LZ4_MAGIC || !size)
		return 0;
	if (size > LZ4_PACKED_MAX)
		return -EINVAL;
	rc = take(s, s->decoder.lz4.packed, size);
	if (rc)
		return rc;
	got = lib_LZ4_decompress_safe((const char *)s->decoder.lz4.packed, (char *)s->out.data, (int)size,
	                              (int)LZ4_BLOCK);
	if (got < 0)
		return -EINVAL;
	s->out.end = (size_t)got;
	return 0;
}

static void lz4_end(struct unpack_stream *s)
{
	free(s->decoder.lz4.packed);
	s->decoder.lz4.packed = NULL;
}

static const struct packing packings[] = {
	{ "gzip", "\x1f\x8b", 2, gzip_begin, gzip_step, gzip_end },
	{ "xz", "\xfd\x37\x7a\x58\x5a\x00", 6, xz_begin, xz_step, xz_end },
	{ "zstd", "\x28\xb5\x2f\xfd", 4, zstd_begin, zstd_step, zstd_end },
	{ "lz4", "\x02\x21\x4c\x18", 4, lz4_begin, lz4_step, lz4_end },
};

static const struct packing *find_packing(const uint8_t *head, size_t len)
{
	for (size_t i = 0; i < sizeof packings / sizeof packings[0]; i++)
		if (len >= packings[i].magic_size && !memcmp(head, packings[i].magic, packings[i].magic_size))
			return &packings[i];
	return NULL;
}

const char *unpack_stream_packing(const uint8_t *head, size_t len)
{
	const struct packing *packing = find_packing(head, len);

	return packing ? packing->name : NULL;
}

struct unpack_stream *unpack_stream_new(int fd)
{
	struct unpack_stream *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->fd = fd;
	s->in.room = IN_SIZE;
	s->in.data = malloc(IN_SIZE);
	s->out.room = OUT_SIZE;
	s->out.data = malloc(OUT_SIZE);
	if (!s->in.data || !s->out.data) {
		unpack_stream_free(s);
		return NULL;
	}
	return s;
}

void unpack_stream_free(struct unpack_stream *s)
{
	if (!s)
		return;
	unpack_stream_leave(s);
	free(s->in.data);
	free(s->out.data);
	free(s);
}

int unpack_stream_enter(struct unpack_stream *s)
{
	int rc = fill(s, UNPACK_STREAM_PEEK);

	if (rc)
		return rc;
	s->packing = find_packing(s->in.data + s->in.at, s->in.end - s->in.at);
	if (!s->packing)
		return -EINVAL;
	s->part_ended = false;
	s->out.at = s->out.end = 0;
	rc = s->packing->begin(s);
	if (rc)
		s->packing = NULL;
	return rc;
}

void unpack_stream_leave(struct unpack_stream *s)
{
	if (s->packing)
		s->packing->end(s);
	s->packing = NULL;
	s->out.at = s->out.end = 0;
}

/* Makes bytes be in `out`, which is empty; none only at the end of the part. */
static int unpack_some(struct unpack_stream *s)
{
	s->out.at = s->out.end = 0;
	while (!s->part_ended && !s->out.end) {
		size_t before;
		int rc = fill(s, 1);

		if (rc)
			return rc;
		before = s->in.end - s->in.at;
		rc = s->packing->step(s);
		if (rc < 0)
			return rc;
		s->part_ended = rc;
		/* Nothing taken and nothing given: the file ended before the part did. */
		if (!rc && !s->out.end && s->in.end - s->in.at == before)
			return -EINVAL;
	}
	return 0;
}

/* The buffer that is read from, with something in it unless all is at its end. */
static int ready(struct unpack_stream *s, struct buffer **from)
{
	*from = s->packing ? &s->out : &s->in;
	if ((*from)->at < (*from)->end)
		return 0;
	return s->packing ? unpack_some(s) : fill(s, 1);
}

int unpack_stream_read(struct unpack_stream *s, uint8_t *to, uint64_t len)
{
	while (len) {
		struct buffer *from;
		size_t part;
		int rc = ready(s, &from);

		if (rc)
			return rc;
		part = from->end - from->at;
		if (!part)
			return -ENODATA;
		if (part > len)
			part = (size_t)len;
		if (to) {
			memcpy(to, from->data + from->at, part);
			to += part;
		}
		from->at += part;
		s->total += part;
		len -= part;
	}
	return 0;
}

int unpack_stream_skip_zeros(struct unpack_stream *s)
{
	struct buffer *from;
	size_t start;
	int rc = ready(s, &from);

	if (rc)
		return rc;
	for (start = from->at; from->at < from->end && !from->data[from->at];)
		from->at++;
	s->total += from->at - start;
	return 0;
}

ssize_t unpack_stream_peek(struct unpack_stream *s, uint8_t *to, size_t len)
{
	int rc = s->packing ? -EINVAL : fill(s, len);

	if (rc)
		return rc;
	if (len > s->in.end - s->in.at)
		len = s->in.end - s->in.at;
	memcpy(to, s->in.data + s->in.at, len);
	return (ssize_t)len;
}

uint64_t unpack_stream_total(const struct unpack_stream *s)
{
	return s->total;
}
