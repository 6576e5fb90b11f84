/* SPDX-License-Identifier: MIT */
/*
 * image-modules.c - which modules a kernel needs for capsa's devices, and in which order. Called by image.c.
 *
 * depmod(8) did the work: a line of modules.dep is `FILE: FILE...`, a module and all that it needs, directly or not, so
 * that loading the list from its end to its beginning, and then the module, is right. modules.builtin has a line for
 * each module that is part of the kernel. The files are a distribution's, or anybody's: every name is checked before it
 * becomes a part of a path, and there are bounds.
 */
#include "core/sandbox/image-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/boot/unpack-stream.h"

#define MODULE_MAX (64u << 20) /* bytes of one, unpacked */

const struct image_required image_required[] = {
	{ "virtio_pci", "virtio-pci" },
	{ "vmw_vsock_virtio_transport", "vmw_vsock_virtio_transport" },
	{ NULL, NULL },
};

/* A line of /lib/capsa/modules. */
static const struct group {
	const char *key;
	const char *modules[4]; /* what that kernel does not have is left away, but for image_required */
} groups[] = {
	{ "always", { "virtio_pci" } },
	{ "virtio:19", { "vmw_vsock_virtio_transport" } },
	{ "virtio:3", { "virtio_console" } },
	{ "later:virtio:4", { "virtio_rng" } },
	{ "virtio:1", { "virtio_net", "af_packet", "ipv6" } },
	{ "virtio:26", { "virtiofs" } },
	{ "virtio:2", { "virtio_blk" } },
	{ "pci:1b36:0011", { "pvpanic_pci" } },
	{ "acpi:button", { "button", "evdev" } },
	{ "fs:overlay", { "overlay" } },
};
#define ALWAYS 0 /* the group whose files no other one repeats */

/* A run of bytes of a text. */
struct span {
	const char *at;
	size_t len;
};

/* Takes the next piece of *rest up to `end`, which is skipped. False: there is nothing left. */
static bool take_until(struct span *rest, char end, struct span *piece)
{
	const char *at = rest->len ? memchr(rest->at, end, rest->len) : NULL;

	if (!rest->len)
		return false;
	*piece = (struct span){ rest->at, at ? (size_t)(at - rest->at) : rest->len };
	rest->at += piece->len + (at ? 1 : 0);
	rest->len -= piece->len + (at ? 1 : 0);
	return true;
}

/* "kernel/drivers/char/virtio-rng.ko.xz" is "virtio-rng"; empty: it is no module's file. */
static struct span module_name(struct span path)
{
	static const char *const suffixes[] = { ".ko", ".ko.xz", ".ko.zst", ".ko.gz" };
	const char *slash = path.len ? memrchr(path.at, '/', path.len) : NULL;
	struct span name = slash ? (struct span){ slash + 1, (size_t)(path.at + path.len - slash - 1) } : path;

	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t n = strlen(suffixes[i]);

		if (name.len > n && !memcmp(name.at + name.len - n, suffixes[i], n))
			return (struct span){ name.at, name.len - n };
	}
	return (struct span){ name.at, 0 };
}

/* '-' and '_' are the same in a module's name; `name` has the latter. */
static bool is_module(struct span path, const char *name)
{
	struct span found = module_name(path);

	if (found.len != strlen(name))
		return false;
	for (size_t i = 0; i < found.len; i++)
		if ((found.at[i] == '-' ? '_' : found.at[i]) != name[i])
			return false;
	return true;
}

/* Whether it may become part of a path below the modules' folder, and of a line of ours. */
static bool path_is_good(struct span path)
{
	if (!path.len || path.at[0] == '/' || path.len >= 1024 || !module_name(path).len ||
	    module_name(path).len + sizeof ".ko" > IMAGE_MODULE_NAME)
		return false;
	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.at[i];

		if (c <= ' ' || c > '~')
			return false;
		if (c == '.' && (i == 0 || path.at[i - 1] == '/'))
			return false; /* no "..", nor anything hidden */
	}
	return true;
}

/* The line of modules.dep that is about it. False: there is none. */
static bool find_line(const struct blob *dep, const char *name, struct span *path, struct span *needs)
{
	struct span rest = { (const char *)dep->data, dep->len }, line;

	while (take_until(&rest, '\n', &line)) {
		struct span tail = line;

		if (memchr(line.at, ':', line.len) && take_until(&tail, ':', path) && is_module(*path, name)) {
			*needs = tail;
			return true;
		}
	}
	return false;
}

static bool is_builtin(const struct blob *builtin, const char *name)
{
	struct span rest = { (const char *)builtin->data, builtin->len }, line;

	while (take_until(&rest, '\n', &line))
		if (is_module(line, name))
			return true;
	return false;
}

static bool is_required(const char *name)
{
	for (const struct image_required *r = image_required; r->module; r++)
		if (!strcmp(r->module, name))
			return true;
	return false;
}

/* What one line of the table lists so far. */
struct line {
	bool has[IMAGE_MODULES_MAX]; /* indices of modules->list */
	FILE *to;
	const char *key; /* NULL once it is written */
};

static int add_file(struct image_modules *modules, struct span path, bool always, struct line *line, struct error *err)
{
	struct span name = module_name(path);
	size_t i;

	if (!path_is_good(path))
		return error_set(err, EINVAL, "the modules.dep is damaged (\"%.*s\"): run depmod",
		                 (int)(path.len < 80 ? path.len : 80), path.at);
	for (i = 0; i < modules->n; i++)
		if (!strncmp(modules->list[i].name, name.at, name.len) &&
		    !strcmp(modules->list[i].name + name.len, ".ko"))
			break;
	if (i == IMAGE_MODULES_MAX)
		return error_set(err, E2BIG, "the modules.dep asks for more than %u modules: run depmod",
		                 IMAGE_MODULES_MAX);
	if (i == modules->n) {
		modules->list[i].path = strndup(path.at, path.len);
		if (!modules->list[i].path)
			return error_set(err, ENOMEM, "out of memory");
		snprintf(modules->list[i].name, sizeof modules->list[i].name, "%.*s.ko", (int)name.len, name.at);
		modules->list[i].always = always;
		modules->n++;
	}
	if (line->has[i] || (modules->list[i].always && !always))
		return 0;
	line->has[i] = true;
	fprintf(line->to, "%s /lib/modules/%s", line->key ? line->key : "", modules->list[i].name);
	line->key = NULL;
	return 0;
}

/* What it needs stands in the reverse order of loading. */
static int add_module(struct image_modules *modules, const char *name, const struct blob *dep,
                      const struct blob *builtin, bool always, struct line *line, struct error *err)
{
	struct span path, needs, need[IMAGE_MODULES_MAX];
	size_t n = 0;
	int rc = 0;

	if (!find_line(dep, name, &path, &needs)) {
		if (is_builtin(builtin, name) || !is_required(name))
			return 0;
		return error_set(err, ENOENT, "no module %s", name);
	}
	while (take_until(&needs, ' ', &need[n])) {
		if (need[n].len && ++n == IMAGE_MODULES_MAX)
			return error_set(err, E2BIG,
			                 "the modules.dep is damaged (%s needs more than %u modules): run depmod", name,
			                 IMAGE_MODULES_MAX - 1);
	}
	while (!rc && n)
		rc = add_file(modules, need[--n], always, line, err);
	return rc ? rc : add_file(modules, path, always, line, err);
}

int image_modules_choose(const struct blob *dep, const struct blob *builtin, struct image_modules *out,
                         struct error *err)
{
	size_t len = 0;
	int rc = 0;
	FILE *to;

	memset(out, 0, sizeof *out);
	to = open_memstream(&out->table, &len);
	if (!to)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; !rc && i < sizeof groups / sizeof *groups; i++) {
		struct line line = { .to = to, .key = groups[i].key };

		for (size_t k = 0; !rc && k < sizeof groups[i].modules / sizeof *groups[i].modules; k++)
			if (groups[i].modules[k])
				rc = add_module(out, groups[i].modules[k], dep, builtin, i == ALWAYS, &line, err);
		if (!line.key)
			fputc('\n', to);
	}
	if (fclose(to) && !rc)
		rc = error_set(err, ENOMEM, "out of memory");
	return rc;
}

void image_modules_free(struct image_modules *modules)
{
	for (size_t i = 0; i < modules->n; i++)
		free(modules->list[i].path);
	free(modules->table);
	modules->table = NULL;
	modules->n = 0;
}

/* All that comes from the stream, up to MODULE_MAX. */
static int read_all(struct unpack_stream *stream, struct blob *out)
{
	const uint64_t before = unpack_stream_total(stream);
	size_t room = 0;
	int rc = 0;

	while (!rc) {
		size_t more = room ? room : 256u << 10;
		uint8_t *larger;

		if (room >= MODULE_MAX)
			return -EFBIG;
		larger = realloc(out->data, room + more);
		if (!larger)
			return -ENOMEM;
		out->data = larger;
		rc = unpack_stream_read(stream, out->data + room, more);
		room += more;
	}
	out->len = (size_t)(unpack_stream_total(stream) - before);
	return rc == -ENODATA ? 0 : rc;
}

int image_module_read(const char *folder, const char *path, struct blob *out, struct error *err)
{
	char *file = path_join(folder, path);
	struct unpack_stream *stream = NULL;
	uint8_t head[UNPACK_STREAM_PEEK];
	const char *packing = NULL;
	struct stat st;
	ssize_t n;
	int fd = -1, rc;

	*out = (struct blob){ NULL, 0 };
	if (!file)
		return error_set(err, ENOMEM, "out of memory");
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st)) {
		rc = error_set(err, errno, "%s: %s; install the kernel's package again", file, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		rc = error_set(err, EINVAL, "%s: no regular file; install the kernel's package again", file);
		goto out;
	}
	stream = unpack_stream_new(fd);
	n = stream ? unpack_stream_peek(stream, head, sizeof head) : -ENOMEM;
	rc = n < 0 ? (int)n : 0;
	packing = n > 0 ? unpack_stream_packing(head, (size_t)n) : NULL;
	if (packing)
		rc = unpack_stream_enter(stream);
	if (!rc)
		rc = read_all(stream, out);
	if (rc == -ELIBACC)
		error_set(err, ELIBACC, "%s: the library that unpacks %s is not installed", file, packing);
	else if (rc)
		error_set(err, -rc, "%s: %s; install the kernel's package again", file,
		          rc == -EINVAL ? "damaged" : strerror(-rc));
	else if (out->len < 4 || memcmp(out->data, "\177ELF", 4))
		rc = error_set(err, EINVAL, "%s: no kernel module; install the kernel's package again", file);
out:
	unpack_stream_free(stream);
	if (fd >= 0)
		close(fd);
	free(file);
	if (rc) {
		free(out->data);
		*out = (struct blob){ NULL, 0 };
	}
	return rc;
}
