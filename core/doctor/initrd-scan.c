/* SPDX-License-Identifier: MIT */
/*
 * initrd-scan.c - see initrd-scan.h.
 *
 * An initrd is one or more archives one behind the other, each a cpio archive in the "newc" format, packed or not,
 * with any number of zero bytes between (Documentation/driver-api/early-userspace/buffer-format.rst). Distributions
 * put CPU microcode into a first one that is not packed. All lengths in the headers are checked before use; the data
 * of files is skipped but for modules.builtin.
 */
#include "core/doctor/initrd-scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/boot/unpack-stream.h"

#define BYTES_MAX (2ull << 30)  /* some seconds' worth */
#define NAME_MAX_LEN 4096u      /* PATH_MAX: the kernel skips files with longer names */
#define BUILTIN_MAX (1u << 20)  /* bytes of a modules.builtin */
#define WORD 8u                 /* a number in the header: hexadecimal digits */
#define HEADER 110u             /* magic and 13 numbers */
#define HEADER_SIZE_AT 54u      /* c_filesize */
#define HEADER_NAME_SIZE_AT 94u /* c_namesize, with the NUL */

struct scan {
	struct unpack_stream *stream;
	const char *const *modules;
	struct initrd_scan *out;
};

static bool found_all(const struct scan *scan)
{
	for (unsigned i = 0; scan->modules[i]; i++)
		if (!(scan->out->modules & 1u << i))
			return false;
	return true;
}

/* "kernel/drivers/char/virtio-console.ko.xz" is virtio_console; what is no module's file is nothing. */
static void take_file_name(struct scan *scan, const char *path)
{
	const char *base = strrchr(path, '/'), *suffix = strstr(base ? base : path, ".ko");

	base = base ? base + 1 : path;
	if (!suffix || (strcmp(suffix, ".ko") && strcmp(suffix, ".ko.gz") && strcmp(suffix, ".ko.xz") &&
	                strcmp(suffix, ".ko.zst")))
		return;
	for (unsigned i = 0; scan->modules[i]; i++) {
		const char *name = scan->modules[i], *at = base;

		while (at < suffix && *name && (*at == '-' ? '_' : *at) == *name)
			at++, name++;
		if (at == suffix && !*name)
			scan->out->modules |= 1u << i;
	}
}

/* modules.builtin: a path a line. */
static int take_builtin(struct scan *scan, uint64_t size)
{
	char *text = malloc(size + 1), *rest = text;
	int rc;

	if (!text)
		return -ENOMEM;
	rc = unpack_stream_read(scan->stream, (uint8_t *)text, size);
	text[rc ? 0 : size] = '\0';
	for (const char *line; (line = strsep(&rest, "\n"));)
		take_file_name(scan, line);
	free(text);
	return rc;
}

static int number(const uint8_t *at, uint64_t *out)
{
	*out = 0;
	for (unsigned i = 0; i < WORD; i++) {
		int c = at[i], digit;

		digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		        c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (digit < 0)
			return -EINVAL;
		*out = *out << 4 | (unsigned)digit;
	}
	return 0;
}

static int skip_padding(struct scan *scan, uint64_t size)
{
	return unpack_stream_read(scan->stream, NULL, -size & 3);
}

/* One file of an archive whose header's first byte has been read. 0, 1: that was the last one, or -errno. */
static int take_member(struct scan *scan, uint8_t first)
{
	uint8_t header[HEADER] = { first };
	char name[NAME_MAX_LEN + 1];
	uint64_t size, name_size;
	const char *base;
	int rc = unpack_stream_read(scan->stream, header + 1, HEADER - 1);

	if (rc)
		return rc;
	if ((memcmp(header, "070701", 6) && memcmp(header, "070702", 6)) || number(header + HEADER_SIZE_AT, &size) ||
	    number(header + HEADER_NAME_SIZE_AT, &name_size) || !name_size || name_size > NAME_MAX_LEN)
		return -EINVAL;
	rc = unpack_stream_read(scan->stream, (uint8_t *)name, name_size);
	if (rc)
		return rc;
	name[name_size] = '\0';
	rc = skip_padding(scan, HEADER + name_size);
	if (rc)
		return rc;
	if (!strcmp(name, "TRAILER!!!") && !size)
		return 1;
	take_file_name(scan, name);
	if (size > BYTES_MAX - unpack_stream_total(scan->stream))
		return -EFBIG;
	base = strrchr(name, '/');
	if (base && !strcmp(base, "/modules.builtin") && size <= BUILTIN_MAX)
		rc = take_builtin(scan, size);
	else
		rc = unpack_stream_read(scan->stream, NULL, size);
	return rc ? rc : skip_padding(scan, size);
}

/* Archives and zeros, up to the end of what is read from or of the first archive (`once`). 0 or -errno. */
static int take_archives(struct scan *scan, bool once)
{
	uint8_t byte;
	int rc;

	while (!found_all(scan)) {
		rc = unpack_stream_read(scan->stream, &byte, 1);
		if (rc)
			return rc == -ENODATA ? 0 : rc;
		if (unpack_stream_total(scan->stream) > BYTES_MAX - NAME_MAX_LEN - 2 * HEADER)
			return -EFBIG;
		if (!byte) {
			rc = unpack_stream_skip_zeros(scan->stream);
			if (rc)
				return rc;
			continue;
		}
		rc = take_member(scan, byte);
		if (rc < 0 || (rc && once))
			return rc < 0 ? rc : 0;
	}
	return 0;
}

static void describe(struct initrd_scan *out, int rc, const char *packing)
{
	switch (rc) {
	case -ELIBACC:
		snprintf(out->why, sizeof out->why, "the library that unpacks %s is not installed", packing);
		break;
	case -EFBIG:
		snprintf(out->why, sizeof out->why, "it has more than %llu MiB", BYTES_MAX >> 20);
		break;
	case -ENODATA:
		snprintf(out->why, sizeof out->why, "it is cut short");
		break;
	case -EINVAL:
		snprintf(out->why, sizeof out->why, "%s%s behind %llu MiB",
		         packing ? packing : "something that is neither a cpio archive nor packed by gzip, xz, zstd or lz4",
		         packing ? " data that is damaged" : "",
		         (unsigned long long)out->unpacked >> 20);
		break;
	default:
		snprintf(out->why, sizeof out->why, "%s", strerror(-rc));
		break;
	}
}

/* One part of the file: zeros, an archive, or something packed. *end: it was the last one. */
static int take_part(struct scan *scan, const char **packing, bool *end)
{
	uint8_t head[UNPACK_STREAM_PEEK];
	ssize_t n = unpack_stream_peek(scan->stream, head, sizeof head);
	int rc;

	*packing = NULL;
	*end = n == 0;
	if (n <= 0)
		return (int)n;
	if (!head[0])
		return unpack_stream_skip_zeros(scan->stream);
	*packing = unpack_stream_packing(head, (size_t)n);
	if (!*packing)
		return head[0] == '0' ? take_archives(scan, true) : -EINVAL;
	rc = unpack_stream_enter(scan->stream);
	if (!rc)
		rc = take_archives(scan, false);
	unpack_stream_leave(scan->stream);
	return rc;
}

void initrd_scan(const char *path, const char *const *modules, struct initrd_scan *out)
{
	struct scan scan = { .modules = modules, .out = out };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc = 0;
	const char *packing = NULL;
	bool end = false;

	*out = (struct initrd_scan){ .whole = false };
	if (fd < 0) {
		describe(out, -errno, NULL);
		return;
	}
	scan.stream = unpack_stream_new(fd);
	if (!scan.stream)
		rc = -ENOMEM;
	while (!rc && !end && !found_all(&scan)) {
		rc = take_part(&scan, &packing, &end);
		if (!rc && unpack_stream_total(scan.stream) > BYTES_MAX)
			rc = -EFBIG;
		out->unpacked = unpack_stream_total(scan.stream);
	}
	out->whole = !rc;
	if (rc)
		describe(out, rc, packing);
	unpack_stream_free(scan.stream);
	close(fd);
}
