/* SPDX-License-Identifier: MIT */
/*
 * device.h - one instance of a plugin: its life cycle and the services that it uses.
 *
 * The life cycle is drawn in capsa-plugin.h; core/vm walks it with the functions below, in this
 * order. attach and detach go around each machine: a guest's reboot detaches the instance from the
 * old machine and attaches it to the new one. The first attach may also come before start: the machine is
 * built, then the sandbox closes, then the devices start.
 *
 * Main thread, while environment.main does not run a handler of the instance; the extra loops run from
 * before the first attach to after the last detach, or not at all, and not during stop and later.
 */
#ifndef CAPSA_PLUGIN_DEVICE_H
#define CAPSA_PLUGIN_DEVICE_H

#include "capsa-plugin.h"
#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/plugin/loader.h"
#include "core/virtio/virtio.h"

struct plugin_device;

/* What the instances of one machine share. Outlives them. */
struct plugin_environment {
	struct reactor *main;         /* home of CAPSA_THREAD_REACTOR instances */
	struct reactor *const *loops; /* extra loops (io_threads), for CAPSA_THREAD_PARALLEL and to spread instances */
	unsigned n_loops;
	unsigned vcpus; /* that the machine has */
	const char *machine_name;
	const char *runtime_folder; /* the machine's private folder, or NULL for a mere check */
};

/* create(). `plugin` and `name` must outlive the device. 0 or -errno with err. */
int plugin_device_create(struct plugin *plugin, const char *name, const struct plugin_environment *environment,
                         struct plugin_device **out, struct error *err);
/* config(): values as from keys_apply(), must outlive the device. */
int plugin_device_config(struct plugin_device *device, const struct capsa_value *values, size_t n, struct error *err);
/* realize(): checks the setup that comes back. */
int plugin_device_realize(struct plugin_device *device, struct error *err);
/* start() (once, before the first machine runs). Starts the thread of an instance that has one of its own. */
int plugin_device_start(struct plugin_device *device, struct error *err);
/* Puts it on a machine's bus, and takes it off again (reset() has run then). */
int plugin_device_attach(struct plugin_device *device, const struct virtio_platform *platform, struct error *err);
void plugin_device_detach(struct plugin_device *device);
/*
 * stop(), after which nothing of the instance runs any more: its thread and its workers have ended (what they were
 * busy with has been waited for). Nothing happens to an instance that was not started.
 */
void plugin_device_stop(struct plugin_device *device);
/* destroy() and everything the instance left behind. Not while started or attached. NULL is fine. */
void plugin_device_destroy(struct plugin_device *device);

/*
 * Saved state, of a started instance. can_save: -ENOTSUP with err where the plugin lacks quiesce, save or restore.
 * save: quiesce(), then save(); the bytes in *data are the caller's to free(3), NULL where there are none. vCPUs stand
 * still. restore: with what save gave, on an instance that is not active; `data` may come from anywhere.
 */
int plugin_device_can_save(const struct plugin_device *device, struct error *err);
int plugin_device_save(struct plugin_device *device, void **data, size_t *len, struct error *err);
int plugin_device_restore(struct plugin_device *device, const void *data, size_t len, struct error *err);

/*
 * info(): what a started instance tells of itself, as a GROUP that lives in `arena`: values are INT, STRING, LIST or
 * GROUP. Empty where it tells nothing, or is not started. The home loop stands still meanwhile. 0 or -errno with err.
 */
int plugin_device_info(struct plugin_device *device, struct arena *arena, struct capsa_value *out, struct error *err);
/* As virtio_queue_look(), of a device on a bus. Main loop. False also where it is on none. */
bool plugin_device_queue(struct plugin_device *device, unsigned queue, struct virtio_queue_state *state);
/*
 * reconfigure(): keys[key] of its plugin gets `value`, checked as by keys_apply(). -EPERM: the key is not live; -EBUSY:
 * the instance is not started; -EINVAL: the plugin refuses it, and the old value is in force. With err.
 * can_reconfigure: 0, or the first two.
 */
int plugin_device_can_reconfigure(const struct plugin_device *device, size_t key, struct error *err);
int plugin_device_reconfigure(struct plugin_device *device, size_t key, const struct capsa_value *value,
                              struct error *err);

const char *plugin_device_name(const struct plugin_device *device);
const struct capsa_plugin *plugin_device_plugin(const struct plugin_device *device);

/* Calls `each` for every counter of the instance. */
void plugin_device_counters(const struct plugin_device *device,
                            void (*each)(void *ctx, const char *name, const char *help, uint64_t value), void *ctx);

#endif
