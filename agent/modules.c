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
#define GROUPS_MAX 64u
#define VENDOR_VIRTIO 0x1af4u
#define VIRTIO_MODERN 0x1040u

struct modules {
	char *list;
	char *devices; /* /proc/bus/pci/devices */
};

/*
 * Groups share files, and the kernel reads, unpacks and verifies a module before it finds that it has it.
 * "/a/virtio-rng.ko" is /sys/module/virtio_rng.
 */
static bool is_loaded(const char *file)
{
	const char *name = strrchr(file, '/');
	char path[256];
	size_t start = (size_t)snprintf(path, sizeof path, "/sys/module/");

	snprintf(path + start, sizeof path - start, "%s", name ? name + 1 : file);
	path[start + strcspn(path + start, ".")] = '\0';
	for (char *at = path + start; (at = strchr(at, '-'));)
		*at = '_';
	return access(path, F_OK) == 0;
}

static void load_file(const char *file)
{
	int fd;

	if (is_loaded(file))
		return;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		agent_log("cannot load %s: %s", file, strerror(errno));
	if (fd >= 0)
		close(fd);
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

/* When a group is loaded; lower is earlier. */
enum rank { RANK_ALWAYS, RANK_VSOCK, RANK_CONSOLE, RANK_DEVICE, RANK_LATER, RANK_NEVER };

static enum rank rank(const struct modules *m, const char *key)
{
	unsigned id, vendor, device;
	int end = 0;

	if (strcmp(key, "always") == 0)
		return RANK_ALWAYS;
	if (strcmp(key, "later") == 0 || strncmp(key, "acpi:", 5) == 0)
		return RANK_LATER;
	if (strncmp(key, "later:", 6) == 0)
		return rank(m, key + 6) == RANK_NEVER ? RANK_NEVER : RANK_LATER;
	if (sscanf(key, "virtio:%u%n", &id, &end) == 1 && !key[end] && id < 0x40) {
		if (!pci_present(m, VENDOR_VIRTIO, VIRTIO_MODERN + id))
			return RANK_NEVER;
		return id == VIRTIO_ID_VSOCK ? RANK_VSOCK : id == VIRTIO_ID_CONSOLE ? RANK_CONSOLE : RANK_DEVICE;
	}
	if (sscanf(key, "pci:%4x:%4x%n", &vendor, &device, &end) == 2 && !key[end])
		return pci_present(m, vendor, device) ? RANK_DEVICE : RANK_NEVER;
	return RANK_NEVER;
}

/* The next line that says something, with a NUL at its end in place. NULL: there is none. */
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

static void load_group(char *files)
{
	char *file;

	while ((file = strsep(&files, " \t")))
		if (*file)
			load_file(file);
}

static int open_list(struct modules *m)
{
	int err = text_file_read(MODULES_LIST, LIST_MAX, &m->list);

	if (err && err != -ENOENT)
		agent_log("cannot read %s: %s", MODULES_LIST, strerror(-err));
	return err;
}

/* Those of file systems: of `type`, or all (NULL). */
static void load_file_systems(const char *type)
{
	struct modules m = { 0 };
	char *rest, *key, *files;

	if (open_list(&m))
		return;
	rest = m.list;
	while ((key = next_group(&rest))) {
		files = key;
		strsep(&files, " \t");
		if (strncmp(key, "fs:", 3) == 0 && (!type || strcmp(key + 3, type) == 0))
			load_group(files);
	}
	free(m.list);
}

static void load_ranks(enum rank from, enum rank to)
{
	struct modules m = { 0 };
	struct {
		char *files;
		enum rank rank;
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
	for (unsigned r = from; r <= to; r++)
		for (size_t i = 0; i < n; i++)
			if (groups[i].rank == r)
				load_group(groups[i].files);
	free(m.devices);
	free(m.list);
}

void modules_load_present(void)
{
	load_ranks(RANK_ALWAYS, RANK_DEVICE);
}

void modules_load_later(void)
{
	load_ranks(RANK_LATER, RANK_LATER);
}

void modules_load_file_systems(void)
{
	load_file_systems(NULL);
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
	if (!file_system_known(type))
		load_file_systems(type);
}
