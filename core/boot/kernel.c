/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - boot_kernel_open: from a path to a kernel that boot_load can place. Called by
 * core/vm; kernel.h tells the steps. Owns struct boot_kernel.
 *
 * A warm start ends after a look at the file and at its cache entry. Everything else runs
 * once for each kernel: read, hash, and, unless the cache has that content, unpack and store.
 * The user's file is read, never mapped: somebody may truncate it at any time.
 */

#include "core/boot/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/log.h"

#define ELF_CMDLINE_MAX 2047u /* COMMAND_LINE_SIZE - 1 of arch/x86 */
#define CMDLINE_ROOM 0xffffu  /* what boot_load has room for */

int read_exactly(int fd, void *to, uint64_t len, uint64_t offset)
{
	uint8_t *at = to;

	while (len) {
		ssize_t n = pread(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		at += n;
		len -= (uint64_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int open_file(const char *path, struct stat *st, struct error *err)
{
	/* O_NONBLOCK: a FIFO must not make the start wait for a writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0 || fstat(fd, st)) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		if (rc == -ENOENT)
			return error_set(err, ENOENT,
			                 "%s: no such kernel; give the path of a bzImage (vmlinuz) or a vmlinux", path);
		if (rc == -EACCES)
			return error_set(err, EACCES, "%s: not readable for this user; copy it to a place of your own",
			                 path);
		return error_set(err, -rc, "%s: %s", path, strerror(-rc));
	}
	if (!S_ISREG(st->st_mode)) {
		close(fd);
		return error_set(err, EINVAL, "%s: a %s, no kernel; give a bzImage (vmlinuz) or a vmlinux", path,
		                 S_ISDIR(st->st_mode) ? "folder" : "special file");
	}
	return fd;
}

/* What stays of the file: its header and version, and where its parts lie. */
static void take_bzimage(struct boot_kernel *kernel, const struct kernel_file *file)
{
	kernel->has_header = true;
	kernel->header = file->header;
	memcpy(kernel->version, file->version, sizeof kernel->version);
	kernel->packed_offset = file->packed_offset;
	kernel->packed_size = file->packed_size;
}

static int unpack(struct boot_kernel *kernel, const struct kernel_file *file, const uint8_t *data, struct error *err)
{
	int rc = unpack_payload(data + file->payload_offset, (size_t)file->payload_size, &kernel->unpacked,
	                        &kernel->unpacked_size, err);

	if (!rc)
		rc = elf_parse(kernel->unpacked, kernel->unpacked_size, kernel->unpacked_size, &kernel->image, err);
	if (rc)
		return error_prefix(err, rc, "%s: ", kernel->path);
	kernel->form = BOOT_FORM_ELF_CACHED;
	return 0;
}

/*
 * The payload of a bzImage that was read into `data`, from the cache or into it. `settled`: the
 * file may be remembered as one with that content.
 */
static int unpack_cached(struct boot_kernel *kernel, struct store *cache, const struct kernel_file *file,
                         const uint8_t *data, const struct stat *st, bool settled, struct error *err)
{
	uint8_t key[CACHE_KEY_SIZE];
	struct kernel_image image;
	int rc;

	sha256(data, (size_t)st->st_size, key);
	if (cache_find(cache, key, kernel))
		goto found;
	store_lock(cache);
	/* Another process may have stored it while this one waited. */
	if (cache_find(cache, key, kernel))
		goto found;
	rc = unpack(kernel, file, data, err);
	if (rc)
		return rc;
	image = kernel->image;
	rc = cache_store(cache, key, &image, kernel->unpacked, kernel);
	if (rc) {
		log_info("the unpacked kernel does not go into the cache: %s; the next start unpacks it again",
		         strerror(-rc));
		return 0;
	}
	if (cache_find(cache, key, kernel)) {
		unpack_free(kernel->unpacked, kernel->unpacked_size);
		kernel->unpacked = NULL;
	}
	store_trim(cache, key, CACHE_ENTRIES_MAX, CACHE_BYTES_MAX);
found:
	if (settled)
		store_remember(cache, st, 1, key);
	return 0;
}

static int open_packed(struct boot_kernel *kernel, struct store *cache, const struct kernel_file *file, int fd,
                       const struct stat *st, struct error *err)
{
	struct timespec now;
	struct stat after;
	uint8_t *data;
	int rc;

	if ((uint64_t)st->st_size > KERNEL_FILE_MAX)
		return error_set(err, EFBIG, "%s: larger than any kernel (512 MiB)", kernel->path);
	data = mmap(NULL, (size_t)st->st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
	            0);
	if (data == MAP_FAILED)
		return error_set(err, ENOMEM, "%s: no memory to read it", kernel->path);
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	rc = read_exactly(fd, data, (uint64_t)st->st_size, 0);
	if (rc) {
		rc = error_set(err, -rc, "%s: %s", kernel->path,
		               rc == -ENODATA ? "it was truncated while it was read; copy it again" : strerror(-rc));
	} else if (cache) {
		bool settled = store_settled(st, &now) && !fstat(fd, &after) && store_same_file(st, &after);

		rc = unpack_cached(kernel, cache, file, data, st, settled, err);
	} else {
		rc = unpack(kernel, file, data, err);
	}
	munmap(data, (size_t)st->st_size);
	return rc;
}

/* Takes the file over as BOOT_FORM_BZIMAGE or BOOT_FORM_ELF_FILE: it stays open. */
static int keep_file(struct boot_kernel *kernel, enum boot_form form, int fd)
{
	kernel->form = form;
	kernel->fd = fd;
	return 0;
}

static bool payload_known(const struct kernel_file *file, int fd)
{
	uint8_t magic[16];

	return file->payload_size >= sizeof magic && !read_exactly(fd, magic, sizeof magic, file->payload_offset) &&
	       unpack_knows(magic, sizeof magic);
}

/* Everything behind the cache's quick look. *fd is -1 when the kernel keeps it. */
static int open_slowly(struct boot_kernel *kernel, bool compressed, struct store *cache, int *fd, const struct stat *st,
                       struct error *err)
{
	size_t len = st->st_size < IMAGE_HEAD ? (size_t)st->st_size : IMAGE_HEAD;
	struct kernel_file file;
	uint8_t *head;
	int rc;

	head = malloc(IMAGE_HEAD);
	if (!head)
		return error_set(err, ENOMEM, "out of memory");
	rc = read_exactly(*fd, head, len, 0);
	if (rc) {
		error_set(err, -rc, "%s: %s", kernel->path, strerror(-rc));
		goto out;
	}
	rc = image_recognise(kernel->path, head, len, (uint64_t)st->st_size, &file, err);
	if (rc)
		goto out;
	if (file.type == KERNEL_ELF) {
		rc = elf_parse(head, len, (uint64_t)st->st_size, &kernel->image, err);
		if (rc)
			error_prefix(err, rc, "%s: ", kernel->path);
		else
			rc = keep_file(kernel, BOOT_FORM_ELF_FILE, *fd);
	} else {
		take_bzimage(kernel, &file);
		if (compressed || !payload_known(&file, *fd))
			rc = keep_file(kernel, BOOT_FORM_BZIMAGE, *fd);
		else
			rc = open_packed(kernel, cache, &file, *fd, st, err);
	}
	if (!rc && kernel->fd == *fd)
		*fd = -1;
out:
	free(head);
	return rc;
}

int boot_kernel_open(const char *path, bool compressed, struct boot_kernel **out, struct error *err)
{
	struct boot_kernel *kernel;
	struct store *cache = NULL;
	struct error cache_err = { "" };
	struct stat st;
	int fd, rc = 0;

	*out = NULL;
	fd = open_file(path, &st, err);
	if (fd < 0)
		return fd;
	kernel = calloc(1, sizeof *kernel);
	if (kernel) {
		kernel->fd = -1;
		kernel->path = strdup(path);
	}
	if (!kernel || !kernel->path) {
		rc = error_set(err, ENOMEM, "out of memory");
		goto out;
	}
	if (!compressed) {
		cache = cache_open(&cache_err);
		if (!cache)
			log_info("no cache for unpacked kernels: %s", cache_err.text);
	}
	if (!cache || !cache_find_file(cache, &st, kernel))
		rc = open_slowly(kernel, compressed, cache, &fd, &st, err);
out:
	store_close(cache);
	if (fd >= 0)
		close(fd);
	if (rc)
		boot_kernel_close(kernel);
	else
		*out = kernel;
	return rc;
}

int boot_kernel_look(const char *path, struct stat *st, char version[BOOT_VERSION_MAX], struct error *err)
{
	struct kernel_file file = { .version = "" };
	uint8_t *head = malloc(IMAGE_HEAD);
	size_t len;
	int fd, rc;

	if (!head)
		return error_set(err, ENOMEM, "out of memory");
	fd = open_file(path, st, err);
	if (fd < 0) {
		free(head);
		return fd;
	}
	len = st->st_size < IMAGE_HEAD ? (size_t)st->st_size : IMAGE_HEAD;
	rc = read_exactly(fd, head, len, 0);
	if (rc)
		error_set(err, -rc, "%s: %s", path, strerror(-rc));
	else
		rc = image_recognise(path, head, len, (uint64_t)st->st_size, &file, err);
	memcpy(version, file.version, BOOT_VERSION_MAX);
	free(head);
	close(fd);
	return rc;
}

void boot_kernel_close(struct boot_kernel *kernel)
{
	if (!kernel)
		return;
	if (kernel->fd >= 0)
		close(kernel->fd);
	unpack_free(kernel->unpacked, kernel->unpacked_size);
	free(kernel->cache_path);
	free(kernel->path);
	free(kernel);
}

enum boot_form boot_kernel_form(const struct boot_kernel *kernel)
{
	return kernel->form;
}

size_t boot_kernel_cmdline_max(const struct boot_kernel *kernel)
{
	if (!kernel->has_header || !kernel->header.cmdline_size)
		return ELF_CMDLINE_MAX;
	return kernel->header.cmdline_size < CMDLINE_ROOM ? kernel->header.cmdline_size : CMDLINE_ROOM;
}

const char *boot_kernel_version(const struct boot_kernel *kernel)
{
	return kernel->version;
}

const char *boot_kernel_cache_path(const struct boot_kernel *kernel)
{
	return kernel->cache_path;
}
