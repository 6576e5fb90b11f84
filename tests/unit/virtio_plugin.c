/* SPDX-License-Identifier: MIT */
/* virtio_plugin.c - see virtio_plugin.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/virtio_plugin.h"

static struct config *read_config(const char *name, const char *entry)
{
	char path[] = "/tmp/capsa-plugged-XXXXXX";
	int fd = mkstemp(path);
	struct error err = { .text = "" };
	struct config *config;

	assert_true(fd >= 0);
	dprintf(fd, "name = \"board\"; devices = ( { plugin = \"%s\"; %s } );\n", name, entry);
	close(fd);
	if (config_read(path, &config, &err))
		fail_msg("%s", err.text);
	unlink(path);
	return config;
}

void plugged_file(const char *name, char *file, size_t size)
{
	const char *build = getenv("CAPSA_BUILD");

	snprintf(file, size, "%s/plugins/%s/.libs/%s.so", build ? build : ".", name, name);
}

void plugged_start(struct plugged *plugged, struct board *board, const char *name, const char *entry)
{
	/* A loop for queues that is the board's own: board_settle() then lets all do what there is to do. */
	const struct plugin_environment environment = {
		.main = board->home, .loops = &board->home, .n_loops = 1, .vcpus = 1, .machine_name = "board"
	};

	plugged_start_in(plugged, &environment, name, entry);
}

void plugged_start_in(struct plugged *plugged, const struct plugin_environment *environment, const char *name,
                      const char *entry)
{
	const struct capsa_plugin *info;
	struct error err = { .text = "" };
	char file[4096];

	*plugged = (struct plugged){ .environment = *environment };
	plugged->config = read_config(name, entry);
	plugged_file(name, file, sizeof file);
	if (plugin_load(file, &plugged->plugin, &err))
		fail_msg("%s", err.text);
	info = plugin_info(plugged->plugin);
	if (keys_apply(plugged->config, &plugged->config->devices[0], name, info->keys, &plugged->values, &err) ||
	    plugin_device_create(plugged->plugin, name, &plugged->environment, &plugged->device, &err) ||
	    plugin_device_config(plugged->device, plugged->values.values, plugged->values.n, &err) ||
	    plugin_device_realize(plugged->device, &err) || plugin_device_start(plugged->device, &err))
		fail_msg("%s", err.text);
}

void plugged_end(struct plugged *plugged)
{
	plugin_device_detach(plugged->device);
	plugin_device_stop(plugged->device);
	plugin_device_destroy(plugged->device);
	keys_free(&plugged->values);
	plugin_unload(plugged->plugin);
	config_free(plugged->config);
}

struct search {
	const char *name;
	uint64_t value;
	bool found;
};

static void compare(void *ctx, const char *name, const char *help, uint64_t value)
{
	struct search *search = ctx;

	(void)help;
	if (strcmp(name, search->name) == 0) {
		search->value = value;
		search->found = true;
	}
}

uint64_t plugged_counter(const struct plugged *plugged, const char *name)
{
	struct search search = { .name = name };

	plugin_device_counters(plugged->device, compare, &search);
	assert_true(search.found);
	return search.value;
}
