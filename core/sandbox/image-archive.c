/* SPDX-License-Identifier: MIT */
/*
 * image-archive.c - writes a cpio archive in the "newc" format. Called by image-tree.c. Pure.
 *
 * Nothing in it depends on where or when it was made: owner 0:0, time 0, files numbered in their order. Source:
 * Documentation/driver-api/early-userspace/buffer-format.rst.
 */
#include "core/sandbox/image-private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 110u
#define ALIGNMENT 4u
#define BLOCK 512u           /* what cpio(1) rounds an archive up to */
#define BYTES_MAX (1u << 30) /* of an archive */

static uint8_t *grow(struct archive *archive, size_t len)
{
	uint8_t *at;

	if (archive->rc)
		return NULL;
	if (len > BYTES_MAX - archive->len) {
		archive->rc = -EFBIG;
		return NULL;
	}
	if (archive->len + len > archive->room) {
		size_t room = archive->room ? archive->room : 1u << 20;

		while (room < archive->len + len)
			room *= 2;
		at = realloc(archive->data, room);
		if (!at) {
			archive->rc = -ENOMEM;
			return NULL;
		}
		archive->data = at;
		archive->room = room;
	}
	at = archive->data + archive->len;
	archive->len += len;
	return at;
}

static void append(struct archive *archive, const void *data, size_t len)
{
	uint8_t *at = grow(archive, len);

	if (at && len)
		memcpy(at, data, len);
}

static void pad(struct archive *archive, size_t to)
{
	size_t len = -archive->len & (to - 1);
	uint8_t *at = grow(archive, len);

	if (at)
		memset(at, 0, len);
}

static void member(struct archive *archive, const char *name, unsigned mode, unsigned links, const void *data,
                   size_t len)
{
	const size_t name_size = strlen(name) + 1;
	char header[HEADER + 1];

	if (archive->rc)
		return;
	if (name_size > PATH_MAX) {
		archive->rc = -ENAMETOOLONG;
		return;
	}
	if (len > BYTES_MAX) {
		archive->rc = -EFBIG;
		return;
	}
	/* Magic; inode, mode, uid, gid, links, time, size, device (2), node (2), size of the name, checksum (none). */
	snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", archive->files++,
	         mode, 0u, 0u, links, 0u, (unsigned)len, 0u, 0u, 0u, 0u, (unsigned)name_size, 0u);
	append(archive, header, HEADER);
	append(archive, name, name_size);
	pad(archive, ALIGNMENT);
	append(archive, data, len);
	pad(archive, ALIGNMENT);
}

void archive_folder(struct archive *archive, const char *name, unsigned mode)
{
	member(archive, name, S_IFDIR | mode, 2, NULL, 0);
}

void archive_file(struct archive *archive, const char *name, unsigned mode, const void *data, size_t len)
{
	member(archive, name, S_IFREG | mode, 1, data, len);
}

void archive_link(struct archive *archive, const char *name, const char *target)
{
	member(archive, name, S_IFLNK | 0777, 1, target, strlen(target));
}

void archive_end(struct archive *archive)
{
	member(archive, "TRAILER!!!", 0, 1, NULL, 0);
	pad(archive, BLOCK);
}
