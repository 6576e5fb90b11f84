/* SPDX-License-Identifier: MIT */
/*
 * image-tree.c - what is in the initramfs, and how to see that one is whole. Called by image.c and image-cache.c. Pure.
 *
 * The first file of the archive, /lib/capsa/image, tells its size: what a crash or anybody cut off is found by one read
 * of the file's beginning. There are no device nodes: init mounts a devtmpfs.
 */
#include "core/sandbox/image-private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_WORD "size "
#define SIZE_DIGITS 12

static const struct folder {
	const char *name;
	unsigned mode;
} folders[] = {
	{ "bin", 0755 },     { "dev", 0755 },     { "etc", 0755 },      { "home", 0755 },      { "lib/modules", 0755 },
	{ "mnt", 0755 },     { "proc", 0755 },    { "root", 0700 },     { "run", 0755 },       { "sys", 0755 },
	{ "tmp", 01777 },    { "usr", 0755 },     { "usr/lib", 0755 },  { "usr/share", 0755 }, { "var", 0755 },
	{ "var/lib", 0755 }, { "var/log", 0755 }, { "var/tmp", 01777 },
};

/* Where programs and scripts look for what is elsewhere. */
static const struct link {
	const char *name, *target;
} links[] = {
	{ "sbin", "bin" },
	{ "usr/bin", "../bin" },
	{ "usr/sbin", "../bin" },
	{ "var/run", "../run" },
	{ "etc/mtab", "../proc/self/mounts" },
};

static const struct text {
	const char *name, *content;
} texts[] = {
	{ "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
	                "nobody:x:65534:65534:nobody:/:/bin/false\n" },
	{ "etc/group", "root:x:0:\n"
	               "tty:x:5:\n"
	               "nogroup:x:65534:\n" },
	{ "etc/hosts", "127.0.0.1 localhost\n"
	               "::1 localhost\n" },
	{ "etc/hostname", "capsa\n" },
	{ "etc/shells", "/bin/sh\n" },
	{ "etc/os-release", "NAME=capsa\n"
	                    "ID=capsa\n"
	                    "PRETTY_NAME=\"capsa " CAPSA_VERSION "\"\n"
	                    "VERSION_ID=\"" CAPSA_VERSION "\"\n" },
};

static void add_programs(struct archive *a, const struct image_parts *parts)
{
	bool shell = false;

	archive_file(a, "init", 0755, parts->agent.data, parts->agent.len);
	archive_file(a, "bin/busybox", 0755, parts->busybox.data, parts->busybox.len);
	for (size_t i = 0; i < parts->applets.n; i++) {
		char name[128];

		shell |= !strcmp(parts->applets.names[i], "sh");
		if (!strcmp(parts->applets.names[i], "busybox"))
			continue;
		snprintf(name, sizeof name, "bin/%s", parts->applets.names[i]);
		archive_link(a, name, "busybox");
	}
	if (!shell)
		archive_link(a, "bin/sh", "busybox");
}

static void add_modules(struct archive *a, const struct image_parts *parts)
{
	archive_file(a, "lib/capsa/modules", 0644, parts->modules->table, strlen(parts->modules->table));
	for (size_t i = 0; i < parts->modules->n; i++) {
		char name[IMAGE_MODULE_NAME + 16];

		snprintf(name, sizeof name, "lib/modules/%s", parts->modules->list[i].name);
		archive_file(a, name, 0644, parts->module_files[i].data, parts->module_files[i].len);
	}
}

int image_tree_build(const struct image_parts *parts, struct blob *out)
{
	struct archive a = { .rc = 0 };
	char head[IMAGE_HEAD_SIZE], digits[SIZE_DIGITS + 1];
	int len = snprintf(head, sizeof head, IMAGE_FORMAT "\nversion %s\n" SIZE_WORD "%0*d\n", parts->version,
	                   SIZE_DIGITS, 0);
	size_t size_at;

	archive_folder(&a, "lib", 0755);
	archive_folder(&a, "lib/capsa", 0755);
	archive_file(&a, "lib/capsa/image", 0644, head, (size_t)len);
	/* The file's text ends less than a word of padding before here: its digits are found from the end. */
	size_at = a.len;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		archive_folder(&a, folders[i].name, folders[i].mode);
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		archive_link(&a, links[i].name, links[i].target);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		archive_file(&a, texts[i].name, 0644, texts[i].content, strlen(texts[i].content));
	add_programs(&a, parts);
	add_modules(&a, parts);
	archive_end(&a);
	if (a.rc) {
		free(a.data);
		return a.rc;
	}
	size_at -= (size_t)(-len & 3) + SIZE_DIGITS + 1;
	snprintf(digits, sizeof digits, "%0*zu", SIZE_DIGITS, a.len);
	memcpy(a.data + size_at, digits, SIZE_DIGITS);
	*out = (struct blob){ a.data, a.len };
	return 0;
}

bool image_tree_check(const uint8_t *head, size_t len, uint64_t size, char version[IMAGE_VERSION_SIZE])
{
	static const char begin[] = IMAGE_FORMAT "\n";
	char text[IMAGE_HEAD_SIZE + 1], *at, *line;
	uint64_t said = 0;

	version[0] = '\0';
	if (len > IMAGE_HEAD_SIZE)
		len = IMAGE_HEAD_SIZE;
	at = memmem(head, len, begin, sizeof begin - 1);
	if (!at)
		return false;
	len -= (size_t)(at - (const char *)head);
	memcpy(text, at, len);
	text[len] = '\0';
	at = text + sizeof begin - 1;
	while ((line = strsep(&at, "\n")) && line[0] && !said) {
		if (!strncmp(line, "version ", 8) && strlen(line + 8) < IMAGE_VERSION_SIZE)
			strcpy(version, line + 8);
		else if (!strncmp(line, SIZE_WORD, strlen(SIZE_WORD)))
			said = strtoull(line + strlen(SIZE_WORD), NULL, 10);
	}
	return said && said == size;
}
