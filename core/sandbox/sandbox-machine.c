/* SPDX-License-Identifier: MIT */
/*
 * sandbox-machine.c - what makes a machine a sandbox, in the machine's own process: the link to its agent, what the
 * agent mounts and which networks it sets up, and the lifeline to its maker. Called by sandbox-spawn.c and by core/cli for `sandbox = true`; core/vm calls the hooks, on
 * the main loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/sandbox/lifeline.h"
#include "core/sandbox/link.h"
#include "core/sandbox/sandbox.h"

/* What runs in the guest has so long between SIGTERM and SIGKILL when it is to power off. */
#define GRACE_MS 3000u

struct sandbox_machine {
	struct vm *vm;
	int lifeline; /* -1: none, or not any more */
	struct reactor_watch *watch;
	struct link *link;
	struct mounts *mounts;
	struct network *network;
	bool was_greeted, was_ready, told_setup;
};

static void say(struct sandbox_machine *m, enum lifeline_word word, const void *payload, size_t len)
{
	if (m->lifeline >= 0)
		lifeline_send(m->lifeline, word, payload, len);
}

/* From now on nobody is told anything, and nothing is written to where the maker's messages went. */
static void go_free(struct sandbox_machine *m)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (nothing >= 0) {
		dup2(nothing, STDERR_FILENO);
		close(nothing);
	}
	say(m, LIFELINE_FREE, NULL, 0);
	reactor_watch_remove(m->watch);
	m->watch = NULL;
	close(m->lifeline);
	m->lifeline = -1;
}

static void lifeline_event(void *ctx, int fd, unsigned events)
{
	struct sandbox_machine *m = ctx;
	char payload[LIFELINE_MAX];
	enum lifeline_word word;
	size_t len;

	(void)events;
	if (!lifeline_receive(fd, &word, payload, &len)) {
		if (word == LIFELINE_GO)
			go_free(m);
		return;
	}
	/* It is kept, for the last word: a maker that ended this on purpose still listens. */
	reactor_watch_set(m->watch, 0);
	vm_kill(m->vm);
}

/* The guest's moments, as this host's clock has them. */
static void mark_guest_times(struct sandbox_machine *m, const struct client_times *times)
{
	struct timeline *timeline = vm_timeline(m->vm);
	int64_t now = timeline_now();

	if (times->now < times->serving || times->serving < times->mounted || times->mounted < times->init)
		return; /* hostile, or none */
	timeline_mark(timeline, "kernel: init started", now - (int64_t)(times->now - times->init));
	timeline_mark(timeline, "init: modules and mounts", now - (int64_t)(times->now - times->mounted));
	timeline_mark(timeline, "agent serves", now - (int64_t)(times->now - times->serving));
	timeline_mark(timeline, "agent ready", now);
}

static void agent_greeted(void *ctx, const struct client_times *times)
{
	struct sandbox_machine *m = ctx;

	if (!m->was_greeted)
		mark_guest_times(m, times);
	m->was_greeted = true;
}

/* Who made it for a command wants nothing else with it. Without one it lives, and its user is told once. */
static bool setup_failed(void *ctx, const char *why)
{
	struct sandbox_machine *m = ctx;

	if (m->lifeline >= 0 && !m->was_ready) {
		say(m, LIFELINE_REFUSED, why, strlen(why));
		vm_kill(m->vm);
		return false;
	}
	if (!m->told_setup)
		log_warning("%s", why);
	m->told_setup = true;
	return true;
}

static void agent_ready(void *ctx)
{
	struct sandbox_machine *m = ctx;
	struct timeline_event events[TIMELINE_MARKS_MAX];

	/* Once: a guest may begin as often as it likes, and the maker need not read. */
	if (m->was_ready)
		return;
	m->was_ready = true;
	if (!mounts_is_empty(m->mounts))
		timeline_mark(vm_timeline(m->vm), "shares mounted", timeline_now());
	if (network_cards(m->network))
		timeline_mark(vm_timeline(m->vm), "network set up", timeline_now());
	say(m, LIFELINE_READY, events, timeline_read(vm_timeline(m->vm), events) * sizeof events[0]);
}

/* ---- hooks of the vm ---- */

static int on_begin(void *ctx, struct error *err)
{
	static const struct link_events events = { .greeted = agent_greeted,
		                                   .setup_failed = setup_failed,
		                                   .ready = agent_ready };
	struct sandbox_machine *m = ctx;
	int rc = link_open(vm_reactor(m->vm), vm_vsock(m->vm), m->mounts, m->network, &events, m, &m->link, err);

	if (rc)
		return rc;
	if (m->lifeline >= 0) {
		m->watch = reactor_watch_add(vm_reactor(m->vm), m->lifeline, REACTOR_READ, lifeline_event, m);
		if (!m->watch)
			return error_set(err, ENOMEM, "no memory");
	}
	say(m, LIFELINE_OPEN, NULL, 0);
	return 0;
}

static bool on_power_off(void *ctx)
{
	struct sandbox_machine *m = ctx;

	return link_power_off(m->link, GRACE_MS);
}

static void on_resumed(void *ctx)
{
	struct sandbox_machine *m = ctx;

	link_set_clock(m->link);
}

static const char *on_agent(void *ctx)
{
	struct sandbox_machine *m = ctx;

	return link_is_ready(m->link) ? "ready" : "waiting";
}

static void on_end(void *ctx)
{
	struct sandbox_machine *m = ctx;

	link_close(m->link);
	m->link = NULL;
	reactor_watch_remove(m->watch);
	m->watch = NULL;
}

static const struct vm_hooks hooks = {
	.begin = on_begin,
	.power_off = on_power_off,
	.resumed = on_resumed,
	.agent = on_agent,
	.end = on_end,
};

static const char *string_of(const struct vm *vm, size_t index, const char *key)
{
	const struct capsa_value *value = vm_device_value(vm, index, key);

	return value && (value->type == CAPSA_TYPE_STRING || value->type == CAPSA_TYPE_PATH) ? value->string : "";
}

/* Those of its devices that a guest knows as virtio-fs, whichever plugin they are of, and that say where. */
static int find_mounts(struct vm *vm, struct mounts **out, struct error *err)
{
	const struct config *config = vm_config(vm);
	struct mounts_entry *entries = calloc(config->n_devices + 1, sizeof *entries);
	size_t n = 0;
	int rc;

	if (!entries)
		return error_set(err, ENOMEM, "no memory");
	for (size_t i = 0; i < config->n_devices; i++) {
		const struct capsa_value *readonly = vm_device_value(vm, i, "readonly"),
					 *dax = vm_device_value(vm, i, "dax"), *mount = vm_device_value(vm, i, "mount");

		if (vm_device_id(vm, i) != VIRTIO_ID_FS || !*string_of(vm, i, "mount"))
			continue;
		entries[n++] = (struct mounts_entry){
			.tag = string_of(vm, i, "tag"),
			.target = mount->string,
			.path = string_of(vm, i, "path"),
			.readonly = readonly && readonly->type == CAPSA_TYPE_BOOL && readonly->boolean,
			.dax = dax && dax->type == CAPSA_TYPE_SIZE && dax->integer > 0,
			.file = mount->file,
			.line = mount->line,
		};
	}
	rc = mounts_new(vm_reactor(vm), entries, n, out, err);
	free(entries);
	return rc;
}

static int device_info(void *ctx, size_t index, struct arena *arena, struct capsa_value *out, struct error *err)
{
	return vm_device_info(ctx, index, arena, out, err);
}

static const char *device_name(void *ctx, size_t index)
{
	const struct config_device *device = &vm_config(ctx)->devices[index];

	return device->name ? device->name : device->plugin;
}

static int find_networks(struct vm *vm, struct network **out, struct error *err)
{
	const struct network_devices devices = {
		.n = vm_config(vm)->n_devices, .info = device_info, .name = device_name, .ctx = vm
	};

	return network_new(vm_reactor(vm), &devices, out, err);
}

int sandbox_machine_new(struct vm *vm, int lifeline, struct sandbox_machine **out, struct error *err)
{
	struct sandbox_machine *m = calloc(1, sizeof *m);
	int rc;

	if (!m)
		return error_set(err, ENOMEM, "no memory");
	rc = find_mounts(vm, &m->mounts, err);
	if (!rc)
		rc = find_networks(vm, &m->network, err);
	if (rc) {
		mounts_free(m->mounts);
		free(m);
		return rc;
	}
	m->vm = vm;
	m->lifeline = lifeline;
	vm_set_hooks(vm, &hooks, m);
	*out = m;
	return 0;
}

void sandbox_machine_say_end(struct sandbox_machine *m, const char *how, const char *why)
{
	char payload[LIFELINE_MAX];
	int n = snprintf(payload, sizeof payload, "%s%c%s%c%s", how, 0, why, 0, vm_end_console(m->vm));

	say(m, LIFELINE_ENDED, payload, n < (int)sizeof payload ? (size_t)n + 1 : sizeof payload);
}

void sandbox_machine_free(struct sandbox_machine *m)
{
	if (!m)
		return;
	if (m->lifeline >= 0)
		close(m->lifeline);
	mounts_free(m->mounts);
	network_free(m->network);
	free(m);
}
