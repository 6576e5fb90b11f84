/* SPDX-License-Identifier: MIT */
/*
 * image.c - image_find_or_build: from a kernel to the initramfs that goes with it. Called by the verbs that start
 * sandboxes and by `capsa image`; image-private.h tells the steps. Owns struct image.
 *
 * A warm start looks at the identities of four files, follows the store's index to an entry and opens it. Everything
 * else runs once for each set of inputs: all of them are read and hashed, and unless the store has that content, the
 * archive is put together and stored under the store's lock, so that of several builders one does the work.
 */
#include "core/sandbox/image-private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/boot/boot.h"

#define KERNEL_MAX (512u << 20)
#define PROGRAM_MAX (64u << 20)
#define LIST_MAX (16u << 20) /* bytes of modules.dep, of modules.builtin */

struct build {
	const struct image_inputs *in;
	struct store *store;
	void (*progress)(void *ctx, const char *what);
	void *ctx;
	uint8_t kernel[SHA256_SIZE];
	struct image_modules modules;
	struct blob module_files[IMAGE_MODULES_MAX];
	struct image_parts parts;
};

static void tell(const struct build *b, const char *what)
{
	if (b->progress)
		b->progress(b->ctx, what);
}

/* ---- the inputs ---- */

/* Has no modules: whether all that is needed is built in. */
static int check_builtin(const struct boot_kernel *kernel, const struct image_inputs *in, struct error *err)
{
	for (const struct image_required *r = image_required; r->module; r++) {
		int found = boot_kernel_contains(kernel, r->mark, strlen(r->mark) + 1);

		if (found > 0)
			continue;
		if (!in->version[0])
			return error_set(
				err, ENOENT,
				"%s: no module %s: it is not built in, and a vmlinux does not tell which modules "
				"are its own; put them beside it, as lib/modules/VERSION",
				in->path[IMAGE_KERNEL], r->module);
		return error_set(err, ENOENT,
		                 "%s: no module %s: it is not built in, and there is no lib/modules/%s/modules.dep "
		                 "beside it or in /lib; install the modules of Linux %s, or let kernel-fetch (capsa's "
		                 "packaging) download another kernel",
		                 in->path[IMAGE_KERNEL], r->module, in->version, in->version);
	}
	return 0;
}

/* Unpacks the kernel into its own cache, too: the machine that starts next needs it there. */
static int take_kernel(struct build *b, struct error *err)
{
	const struct image_inputs *in = b->in;
	struct boot_kernel *kernel;
	struct blob file;
	int rc;

	tell(b, "unpacking the kernel");
	rc = boot_kernel_open(in->path[IMAGE_KERNEL], false, &kernel, err);
	if (rc)
		return rc;
	if (!in->folder)
		rc = check_builtin(kernel, in, err);
	boot_kernel_close(kernel);
	if (!rc)
		rc = image_read(in->path[IMAGE_KERNEL], KERNEL_MAX, &file, err);
	if (rc)
		return rc;
	sha256(file.data, file.len, b->kernel);
	free(file.data);
	return 0;
}

static int choose_modules(struct build *b, struct error *err)
{
	const struct image_inputs *in = b->in;
	struct blob dep, builtin = { NULL, 0 };
	struct error unread;
	char *list;
	int rc;

	rc = image_read(in->path[IMAGE_MODULES], LIST_MAX, &dep, err);
	if (rc)
		return rc;
	/* Where there is none, nothing is known to be built in. */
	list = path_join(in->folder, "modules.builtin");
	if (list)
		(void)image_read(list, LIST_MAX, &builtin, &unread);
	rc = image_modules_choose(&dep, &builtin, &b->modules, err);
	if (rc)
		error_prefix(err, rc, "%s: ", in->folder);
	if (rc == -ENOENT)
		error_suffix(err, rc,
		             ", and it is not built into Linux %s; give another kernel: kernel-fetch (capsa's "
		             "packaging) downloads one",
		             in->version);
	free(list);
	free(dep.data);
	free(builtin.data);
	return rc;
}

static int take_modules(struct build *b, struct error *err)
{
	const struct image_inputs *in = b->in;
	int rc;

	if (!in->folder) {
		b->modules.table = strdup("");
		return b->modules.table ? 0 : error_set(err, ENOMEM, "out of memory");
	}
	tell(b, "collecting modules");
	rc = choose_modules(b, err);
	for (size_t i = 0; !rc && i < b->modules.n; i++)
		rc = image_module_read(in->folder, b->modules.list[i].path, &b->module_files[i], err);
	return rc;
}

static int take_programs(struct build *b, struct error *err)
{
	const struct image_inputs *in = b->in;
	int rc = image_read(in->path[IMAGE_BUSYBOX], PROGRAM_MAX, &b->parts.busybox, err);

	if (!rc)
		rc = image_check_static(in->path[IMAGE_BUSYBOX], &b->parts.busybox,
		                        "busybox-static is missing: apt-get install busybox-static", err);
	if (!rc)
		rc = image_read(in->path[IMAGE_AGENT], PROGRAM_MAX, &b->parts.agent, err);
	if (!rc)
		rc = image_check_static(in->path[IMAGE_AGENT], &b->parts.agent,
		                        "build capsa again, or set CAPSA_AGENT to its agent", err);
	return rc;
}

/* Of all that is in an image, and of the kernel it is for. */
static int make_key(const struct build *b, uint8_t key[STORE_KEY_SIZE], struct error *err)
{
	char digits[2 * SHA256_SIZE + 1], *text = NULL;
	uint8_t digest[SHA256_SIZE];
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return error_set(err, ENOMEM, "out of memory");
	fprintf(to, IMAGE_FORMAT " " CAPSA_VERSION "\n%s kernel %s\n", sha256_text(b->kernel, digits), b->in->version);
	for (size_t i = 0; i < b->modules.n; i++) {
		sha256(b->module_files[i].data, b->module_files[i].len, digest);
		fprintf(to, "%s %s\n", sha256_text(digest, digits), b->modules.list[i].name);
	}
	sha256(b->parts.busybox.data, b->parts.busybox.len, digest);
	fprintf(to, "%s busybox\n", sha256_text(digest, digits));
	sha256(b->parts.agent.data, b->parts.agent.len, digest);
	fprintf(to, "%s agent\n%s", sha256_text(digest, digits), b->modules.table);
	if (fclose(to)) {
		free(text);
		return error_set(err, ENOMEM, "out of memory");
	}
	sha256((const uint8_t *)text, len, key);
	free(text);
	return 0;
}

/* ---- the image ---- */

static int compose(struct build *b, const uint8_t key[STORE_KEY_SIZE], struct image *out, struct error *err)
{
	struct blob image;
	int rc;

	tell(b, "writing the image");
	store_lock(b->store);
	/* Another process may have stored it while this one waited. */
	if (image_store_find(b->store, key, out))
		return 0;
	rc = image_applets_ask(b->in->path[IMAGE_BUSYBOX], &b->parts.applets, err);
	if (rc)
		return rc;
	b->parts.version = b->in->version;
	b->parts.modules = &b->modules;
	b->parts.module_files = b->module_files;
	rc = image_tree_build(&b->parts, &image);
	if (rc)
		return error_set(err, -rc, "the image cannot be put together: %s", strerror(-rc));
	rc = image_store_put(b->store, key, &image, err);
	free(image.data);
	if (rc)
		return rc;
	if (!image_store_find(b->store, key, out))
		return error_set(err, EIO, "%s: the image is gone as soon as it was written", store_path(b->store));
	out->built = true;
	return 0;
}

static bool all_settled(const struct image_inputs *in, const struct timespec *now)
{
	for (unsigned i = 0; i < IMAGE_FILES; i++)
		if (in->path[i] && !store_settled(&in->look[i], now))
			return false;
	return true;
}

static int build(struct build *b, const struct timespec *before, struct image *out, struct error *err)
{
	uint8_t key[STORE_KEY_SIZE];
	int rc = take_programs(b, err);

	if (!rc)
		rc = take_kernel(b, err);
	if (!rc)
		rc = take_modules(b, err);
	if (!rc && !image_inputs_same(b->in))
		rc = error_set(err, EAGAIN,
		               "kernel, modules, busybox or agent changed while they were read; try again");
	if (!rc)
		rc = make_key(b, key, err);
	if (rc)
		return rc;
	if (!image_store_find(b->store, key, out))
		rc = compose(b, key, out, err);
	if (!rc && all_settled(b->in, before))
		store_remember(b->store, b->in->look, IMAGE_FILES, key);
	return rc;
}

static void build_free(struct build *b)
{
	for (size_t i = 0; i < b->modules.n; i++)
		free(b->module_files[i].data);
	image_modules_free(&b->modules);
	image_applets_free(&b->parts.applets);
	free(b->parts.busybox.data);
	free(b->parts.agent.data);
	free(b);
}

int image_find_or_build(const char *kernel, void (*progress)(void *ctx, const char *what), void *ctx, struct image *out,
                        struct error *err)
{
	uint8_t key[STORE_KEY_SIZE];
	struct timespec before;
	struct image_inputs in;
	struct store *store = NULL;
	int rc;

	memset(out, 0, sizeof *out);
	out->fd = -1;
	clock_gettime(CLOCK_REALTIME_COARSE, &before);
	rc = image_inputs_find(kernel, &in, err);
	if (rc)
		goto out;
	store = image_store_open(err);
	if (!store) {
		rc = -EACCES;
		goto out;
	}
	if (!store_known(store, in.look, IMAGE_FILES, key) || !image_store_find(store, key, out)) {
		struct build *b = calloc(1, sizeof *b);

		if (!b) {
			rc = error_set(err, ENOMEM, "out of memory");
			goto out;
		}
		b->in = &in;
		b->store = store;
		b->progress = progress;
		b->ctx = ctx;
		rc = build(b, &before, out, err);
		build_free(b);
	}
	if (!rc) {
		out->kernel = in.path[IMAGE_KERNEL];
		in.path[IMAGE_KERNEL] = NULL;
	}
out:
	store_close(store);
	image_inputs_free(&in);
	if (rc)
		image_release(out);
	return rc;
}

void image_release(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	free(image->kernel);
	free(image->initrd);
	free(image->file);
	memset(image, 0, sizeof *image);
	image->fd = -1;
}
