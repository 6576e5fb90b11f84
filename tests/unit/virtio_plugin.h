/* SPDX-License-Identifier: MIT */
/*
 * virtio_plugin.h - a plugin's shared object as a device on a board (virtio_driver.h): loaded, configured and walked
 * through its life as core/vm does it. $CAPSA_BUILD says where it was built.
 */
#ifndef CAPSA_TESTS_VIRTIO_PLUGIN_H
#define CAPSA_TESTS_VIRTIO_PLUGIN_H

#include "core/config/config.h"
#include "core/config/keys.h"
#include "core/plugin/device.h"
#include "tests/unit/virtio_driver.h"

struct plugged {
	struct config *config;
	struct keys_values values;
	struct plugin *plugin;
	struct plugin_environment environment;
	struct plugin_device *device;
};

/*
 * `name` is the plugin's, `entry` what stands in its device entry besides ("rate = 100;"). To `start`; then
 * plugin_device_attach() and plugin_device_detach() as often as the test likes.
 */
void plugged_start(struct plugged *plugged, struct board *board, const char *name, const char *entry);
/* The same with an environment of the caller's, which stays; extra loops in it run. */
void plugged_start_in(struct plugged *plugged, const struct plugin_environment *environment, const char *name,
                      const char *entry);
/* Where the shared object of this plugin is. */
void plugged_file(const char *name, char *file, size_t size);
/* From attached or not to the end. */
void plugged_end(struct plugged *plugged);
/* A counter of the device, which it must have. */
uint64_t plugged_counter(const struct plugged *plugged, const char *name);

#endif
