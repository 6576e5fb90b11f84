/* SPDX-License-Identifier: MIT */
/*
 * image-private.h - what the files of the image share.
 *
 *   image.c           image_find_or_build: goes through the steps
 *   image-inputs.c    where kernel, modules, busybox and agent are
 *   image-modules.c   which modules a kernel needs, and in which order
 *   image-applets.c   the names that busybox goes by
 *   image-tree.c      what is in the initramfs
 *   image-archive.c   the format of an initramfs
 *   image-cache.c     images on disk; image_list, image_remove
 */
#ifndef CAPSA_SANDBOX_IMAGE_PRIVATE_H
#define CAPSA_SANDBOX_IMAGE_PRIVATE_H

#include <sys/stat.h>

#include "core/base/store.h"
#include "core/sandbox/image.h"

/* Changes with every change of what an image is made of: part of its key. */
#define IMAGE_FORMAT "capsa-image 2"

struct blob {
	uint8_t *data; /* malloc */
	size_t len;
};

/* ---- image-inputs.c ---- */

enum image_file { IMAGE_KERNEL, IMAGE_MODULES, IMAGE_BUSYBOX, IMAGE_AGENT, IMAGE_FILES };

struct image_inputs {
	char *path[IMAGE_FILES];       /* IMAGE_MODULES: modules.dep; NULL: there are none */
	char *folder;                  /* of modules.dep, or NULL */
	struct stat look[IMAGE_FILES]; /* what they were like; zeros where there are no modules */
	char version[IMAGE_VERSION_SIZE];
};

/* 0, or -errno with err. image_inputs_free() in any case. */
int image_inputs_find(const char *kernel, struct image_inputs *in, struct error *err);
void image_inputs_free(struct image_inputs *in);
/* Whether a second look shows the same files. */
bool image_inputs_same(const struct image_inputs *in);

/* Reads a regular file of at most `max` bytes; a NUL stands behind them. 0, or -errno with err. */
int image_read(const char *path, size_t max, struct blob *out, struct error *err);
/*
 * Whether `file` is a program for this machine that needs no library: there are none in the guest. 0, or -ENOEXEC with
 * err: "`path` is ...; `remedy`".
 */
int image_check_static(const char *path, const struct blob *file, const char *remedy, struct error *err);

/* ---- image-modules.c ---- */

#define IMAGE_MODULES_MAX 64u /* in one image */
#define IMAGE_MODULE_NAME 64u /* bytes of "virtio_pci.ko", with the NUL */

struct image_modules {
	struct {
		char *path;                   /* below the folder of modules.dep, as it says */
		char name[IMAGE_MODULE_NAME]; /* in /lib/modules of the guest */
		bool always;                  /* of the first line */
	} list[IMAGE_MODULES_MAX];
	size_t n;
	char *table; /* /lib/capsa/modules */
};

/*
 * Chooses from the text of modules.dep and of modules.builtin (each may be empty). Both may hold anything. -ENOENT
 * where a module is missing that no machine can do without, -EINVAL, -E2BIG, -ENOMEM; err says it as a clause.
 * image_modules_free() in any case.
 */
int image_modules_choose(const struct blob *dep, const struct blob *builtin, struct image_modules *out,
                         struct error *err);
void image_modules_free(struct image_modules *modules);
/* Reads and unpacks one of them. 0, or -errno with err. */
int image_module_read(const char *folder, const char *path, struct blob *out, struct error *err);

/* The modules without which there is no sandbox, and a string that a kernel has in it that has it built in. */
struct image_required {
	const char *module, *mark;
};
extern const struct image_required image_required[]; /* ends with NULL */

/* ---- image-applets.c ---- */

#define IMAGE_APPLETS_MAX 1024u

struct image_applets {
	char *names[IMAGE_APPLETS_MAX]; /* sorted */
	size_t n;
	char *text;
};

/* Asks the program. 0, or -errno with err. image_applets_free() in any case. */
int image_applets_ask(const char *busybox, struct image_applets *out, struct error *err);
/* From what it said, which is anybody's guess. -EINVAL: no list of names. */
int image_applets_parse(char *text, size_t len, struct image_applets *out);
void image_applets_free(struct image_applets *applets);

/* ---- image-archive.c ---- */

/* A "newc" archive in memory; the first failure stays in rc, and what comes behind it does nothing. */
struct archive {
	uint8_t *data; /* malloc */
	size_t len, room;
	uint32_t files;
	int rc; /* 0, -ENOMEM, -EFBIG, -ENAMETOOLONG */
};

/* Names are without a '/' in front; a folder stands before what is in it. `mode`: permission bits. */
void archive_folder(struct archive *archive, const char *name, unsigned mode);
void archive_file(struct archive *archive, const char *name, unsigned mode, const void *data, size_t len);
void archive_link(struct archive *archive, const char *name, const char *target);
void archive_end(struct archive *archive);

/* ---- image-tree.c ---- */

/* What goes in. */
struct image_parts {
	const char *version;
	const struct image_modules *modules;
	const struct blob *module_files; /* as many */
	struct blob busybox, agent;
	struct image_applets applets;
};

/* The initramfs. The caller frees out->data. 0 or -errno. */
int image_tree_build(const struct image_parts *parts, struct blob *out);
/*
 * The first bytes of an image (IMAGE_HEAD_SIZE where it has them) of `size` bytes: whether it is whole, and its
 * version.
 */
#define IMAGE_HEAD_SIZE 1024u
bool image_tree_check(const uint8_t *head, size_t len, uint64_t size, char version[IMAGE_VERSION_SIZE]);

/* ---- image-cache.c ---- */

#define IMAGE_ENTRIES_MAX 8u
#define IMAGE_BYTES_MAX (512ull << 20)

struct store *image_store_open(struct error *err);
/* Fills fd, file, initrd, name, version and size of *out, and holds the entry. */
bool image_store_find(struct store *store, const uint8_t key[STORE_KEY_SIZE], struct image *out);
/* 0, or -errno with err. */
int image_store_put(struct store *store, const uint8_t key[STORE_KEY_SIZE], const struct blob *image,
                    struct error *err);

#endif
