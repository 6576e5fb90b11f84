/* SPDX-License-Identifier: MIT */
/*
 * image-cache.c - images on disk, in the store `images` (core/base/store.h). Called by image.c; image_list and
 * image_remove are for the command line.
 *
 * An entry is an initramfs as it is. It is whole if it says its own size (image-tree.c). Whoever uses one holds it
 * open, under a shared lock, so that it is neither trimmed nor harmed by being removed.
 */
#include "core/sandbox/image-private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"

#define NAME_DIGITS_MIN 4u

static const struct store_kind images = {
	.folder = "images",
	.suffix = ".initrd",
	.format = IMAGE_FORMAT " " CAPSA_VERSION,
};

struct store *image_store_open(struct error *err)
{
	return store_open(&images, err);
}

/* Opens a whole one. Its descriptor, or -errno. */
static int open_whole(struct store *store, const uint8_t key[STORE_KEY_SIZE], struct stat *st, char **path,
                      char version[IMAGE_VERSION_SIZE])
{
	uint8_t head[IMAGE_HEAD_SIZE];
	int fd = store_get(store, key, st, path);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pread(fd, head, sizeof head, 0);
	if (n > 0 && image_tree_check(head, (size_t)n, (uint64_t)st->st_size, version))
		return fd;
	close(fd);
	free(*path);
	return -ENOENT;
}

static void set_name(const uint8_t key[STORE_KEY_SIZE], char name[IMAGE_NAME_SIZE])
{
	char digits[2 * SHA256_SIZE + 1];

	memcpy(name, sha256_text(key, digits), IMAGE_NAME_SIZE - 1);
	name[IMAGE_NAME_SIZE - 1] = '\0';
}

bool image_store_find(struct store *store, const uint8_t key[STORE_KEY_SIZE], struct image *out)
{
	struct stat st;
	char *file;
	int fd = open_whole(store, key, &st, &file, out->version);

	if (fd < 0)
		return false;
	store_hold(fd);
	store_touch(fd, &st);
	out->initrd = text_format("/proc/self/fd/%d", fd);
	if (!out->initrd) {
		free(file);
		close(fd);
		return false;
	}
	out->fd = fd;
	out->file = file;
	out->size = (uint64_t)st.st_size;
	set_name(key, out->name);
	return true;
}

static int write_image(int fd, const void *ctx)
{
	const struct blob *image = ctx;

	return store_write(fd, image->data, image->len, 0);
}

int image_store_put(struct store *store, const uint8_t key[STORE_KEY_SIZE], const struct blob *image, struct error *err)
{
	int rc = store_put(store, key, write_image, image);

	switch (rc) {
	case 0:
		store_trim(store, key, IMAGE_ENTRIES_MAX, IMAGE_BYTES_MAX);
		return 0;
	case -ENOSPC:
	case -EDQUOT:
		return error_set(err, -rc,
		                 "%s: no room for an image of %zu MiB; make some, or set CAPSA_CACHE to another folder",
		                 store_path(store), (image->len >> 20) + 1);
	case -EFBIG:
		return error_set(err, -rc,
		                 "%s: an image of %zu MiB is more than the limit on file sizes allows (ulimit -f)",
		                 store_path(store), (image->len >> 20) + 1);
	default:
		return error_set(
			err, -rc,
			"%s: the image cannot be written: %s; set CAPSA_CACHE to a folder that you can write to",
			store_path(store), strerror(-rc));
	}
}

/* ---- for the command line ---- */

int image_list(struct image_entry **entries, size_t *n, struct error *err)
{
	struct store *store = image_store_open(err);
	struct store_entry *list = NULL;
	size_t n_list = 0;
	int rc = store ? 0 : -EACCES;

	*entries = NULL;
	*n = 0;
	if (!rc) {
		rc = store_list(store, &list, &n_list);
		*entries = rc ? NULL : calloc(n_list + 1, sizeof **entries);
		if (!*entries)
			rc = error_set(err, ENOMEM, "out of memory");
	}
	for (size_t i = 0; !rc && i < n_list; i++) {
		struct image_entry *entry = &(*entries)[*n];
		struct stat st;
		int fd = open_whole(store, list[i].key, &st, &entry->file, entry->version);

		if (fd < 0)
			continue; /* gone meanwhile, or no whole one: as good as not there */
		close(fd);
		set_name(list[i].key, entry->name);
		entry->size = (uint64_t)st.st_size;
		entry->used = list[i].used;
		++*n;
	}
	free(list);
	store_close(store);
	return rc;
}

void image_entries_free(struct image_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(entries[i].file);
	free(entries);
}

int image_remove(const char *name, struct error *err)
{
	struct store *store;
	struct store_entry *list = NULL;
	const struct store_entry *found = NULL;
	size_t n = 0, matches = 0, len = strlen(name);
	int rc;

	if (len < NAME_DIGITS_MIN || strspn(name, "0123456789abcdef") != len)
		return error_set(err, ENOENT, "no image \"%s\": `capsa image ls` lists them", name);
	store = image_store_open(err);
	if (!store)
		return -EACCES;
	store_lock(store);
	rc = store_list(store, &list, &n);
	if (rc)
		error_set(err, -rc, "%s", strerror(-rc));
	for (size_t i = 0; !rc && i < n; i++) {
		char digits[2 * SHA256_SIZE + 1];

		if (strncmp(sha256_text(list[i].key, digits), name, len))
			continue;
		found = &list[i];
		matches++;
	}
	if (!rc && matches != 1)
		rc = error_set(err, matches ? ENOTUNIQ : ENOENT,
		               matches ? "\"%s\" may be any of %zu images: give more of the name"
		                       : "no image \"%s\": `capsa image ls` lists them",
		               name, matches);
	if (!rc) {
		rc = store_remove(store, found->key);
		if (rc)
			error_set(err, -rc, "%s: image %s cannot be removed: %s", store_path(store), name,
			          strerror(-rc));
	}
	free(list);
	store_close(store);
	return rc;
}

int image_remove_all(size_t *n, struct error *err)
{
	struct store *store = image_store_open(err);
	struct store_entry *list = NULL;
	size_t before = 0, after = 0;
	int rc;

	*n = 0;
	if (!store)
		return -EACCES;
	store_lock(store);
	rc = store_list(store, &list, &before);
	free(list);
	if (!rc) {
		store_trim(store, NULL, 0, 0);
		rc = store_list(store, &list, &after);
		free(list);
	}
	if (rc)
		error_set(err, -rc, "%s", strerror(-rc));
	*n = before - after;
	store_close(store);
	return rc;
}
