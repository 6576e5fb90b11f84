/* SPDX-License-Identifier: MIT */
/*
 * modules.c - see modules.h. Called by init.c before there is anything else, and by mounts.c.
 *
 * Time is what counts here: which devices there are is one read of /proc/bus/pci/devices, whose virtio functions are
 * known by their numbers before any driver is (virtio 1.2, 4.1.2: 0x1040 + device ID). The list is small.
 */
#include "agent/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/text-file.h"

#define LIST_MAX (64u << 10)
#define FILES_MAX 256u
#define GROUPS_MAX 64u
#define RANKS 4 /* see rank() */
#define VENDOR_VIRTIO 0x1af4u
#define VIRTIO_MODERN 0x1040u

struct modules {
	char *list;
	char *devices; /* /proc/bus/pci/devices */
	const char *loaded[FILES_MAX];
	size_t n_loaded;
};

static bool loaded_before(const struct modules *m, const char *file)
{
	for (size_t i = 0; i < m->n_loaded; i++)
		if (strcmp(m->loaded[i], file) == 0)
			return true;
	return false;
}

static void load_file(struct modules *m, const char *file)
{
	int fd;

	if (loaded_before(m, file))
		return;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		agent_log("cannot load %s: %s", file, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (m->n_loaded < FILES_MAX)
		m->loaded[m->n_loaded++] = file;
}

/* "BBDD\tVVVVDDDD\t...", one a line. */
static bool pci_present(const struct modules *m, unsigned vendor, unsigned device)
{
	const uint32_t wanted = vendor << 16 | device;
	const char *at = m->devices;

	while (at && (at = strchr(at, '\t'))) {
		if (strtoul(at + 1, NULL, 16) == wanted)
			return true;
		at = strchr(at, '\n');
	}
	return false;
}

/* When a group is loaded; lower is earlier, negative: not at the start. */
static int rank(const struct modules *m, const char *key)
{
	unsigned id, vendor, device;
	int end = 0;

	if (strcmp(key, "always") == 0)
		return 0;
	if (sscanf(key, "virtio:%u%n", &id, &end) == 1 && !key[end] && id < 0x40) {
		if (!pci_present(m, VENDOR_VIRTIO, VIRTIO_MODERN + id))
			return -1;
		return id == VIRTIO_ID_VSOCK ? 1 : id == VIRTIO_ID_CONSOLE ? 2 : 3;
	}
	if (sscanf(key, "pci:%4x:%4x%n", &vendor, &device, &end) == 2 && !key[end])
		return pci_present(m, vendor, device) ? 3 : -1;
	return -1;
}

/* The next line's words, each with a NUL behind it in place; two NULs end the last one. NULL at the end. */
static char *next_group(char **rest)
{
	for (;;) {
		char *line = *rest, *end;

		if (!line || !*line)
			return NULL;
		end = line + strcspn(line, "\n");
		*rest = *end ? end + 1 : NULL;
		*end = '\0';
		if (*line && *line != '#')
			return line;
	}
}

static void load_group(struct modules *m, char *files)
{
	char *file;

	while ((file = strsep(&files, " \t")))
		if (*file)
			load_file(m, file);
}

static int open_list(struct modules *m)
{
	int err = text_file_read(MODULES_LIST, LIST_MAX, &m->list);

	if (err && err != -ENOENT)
		agent_log("cannot read %s: %s", MODULES_LIST, strerror(-err));
	return err;
}

static void close_list(struct modules *m)
{
	free(m->devices);
	free(m->list);
}

/* All groups whose key is that, or begins with it. */
static void load_key(struct modules *m, const char *wanted, bool begins)
{
	char *rest = m->list, *key, *files;

	while ((key = next_group(&rest))) {
		files = key;
		strsep(&files, " \t");
		if (strcmp(key, wanted) == 0 || (begins && strncmp(key, wanted, strlen(wanted)) == 0))
			load_group(m, files);
	}
}

void modules_load_present(void)
{
	struct modules m = { 0 };
	struct {
		char *files;
		int rank;
	} groups[GROUPS_MAX];
	size_t n = 0;
	char *rest, *key;

	if (open_list(&m))
		return;
	if (text_file_read("/proc/bus/pci/devices", LIST_MAX, &m.devices))
		m.devices = NULL;
	rest = m.list;
	while (n < GROUPS_MAX && (key = next_group(&rest))) {
		groups[n].files = key;
		strsep(&groups[n].files, " \t");
		groups[n].rank = rank(&m, key);
		n++;
	}
	for (int r = 0; r < RANKS; r++)
		for (size_t i = 0; i < n; i++)
			if (groups[i].rank == r)
				load_group(&m, groups[i].files);
	close_list(&m);
}

void modules_load_later(void)
{
	struct modules m = { 0 };

	if (open_list(&m))
		return;
	load_key(&m, "later", false);
	close_list(&m);
}

void modules_load_file_systems(void)
{
	struct modules m = { 0 };

	if (open_list(&m))
		return;
	load_key(&m, "fs:", true);
	close_list(&m);
}

static bool file_system_known(const char *type)
{
	char text[4096];
	const size_t len = strlen(type);

	if (text_file_peek("/proc/filesystems", text, sizeof text) <= 0)
		return false;
	/* "nodev\tTYPE\n" or "\tTYPE\n" */
	for (const char *at = text; (at = strchr(at, '\t')); at++)
		if (strncmp(at + 1, type, len) == 0 && at[1 + len] == '\n')
			return true;
	return false;
}

void modules_load_file_system(const char *type)
{
	struct modules m = { 0 };
	char key[80];

	if (file_system_known(type) || open_list(&m))
		return;
	snprintf(key, sizeof key, "fs:%s", type);
	load_key(&m, key, false);
	close_list(&m);
}
