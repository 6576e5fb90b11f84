/* SPDX-License-Identifier: MIT */
/*
 * vm-control.c - joins a vm to its control socket (core/control/api.h): what the requests do, and what there is to
 * tell. Called by vm-run.c; on the main loop, whose handlers run only while there is a machine.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/config/value-json.h"
#include "core/vm/vm-private.h"

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static double uptime(const struct vm *vm)
{
	return vm->started_at ? seconds(timeline_now() - vm->started_at) : 0;
}

static enum api_state state(const struct vm *vm)
{
	if (vm->stopping != VM_RUNNING)
		return API_STOPPING;
	if (!vm->machine)
		return API_STARTING;
	return vm->pause == VM_PAUSED ? API_PAUSED : API_RUNNING;
}

static void describe(void *ctx, struct api_description *out)
{
	const struct vm *vm = ctx;

	*out = (struct api_description){
		.name = vm->config->name,
		.pid = getpid(),
		.state = state(vm),
		.cpus = vm->config->cpus,
		.memory = vm->config->memory,
		.kernel = vm->kernel_path,
		.cmdline = vm->cmdline,
		.uptime = uptime(vm),
		.paused = seconds(vm_paused_ns(vm)),
		.agent = vm->hooks_begun && vm->hooks->agent ? vm->hooks->agent(vm->hooks_ctx) : "none",
		.vsock_socket = vm->config->vsock ? vm->config->vsock->socket : NULL,
		.vsock_cid = vm->config->vsock ? vm->config->vsock->cid : 0,
		.n_devices = vm->config->n_devices,
	};
}

static void device(void *ctx, size_t index, const char **name, const char **plugin)
{
	const struct vm *vm = ctx;

	*name = vm->config->devices[index].name;
	*plugin = plugin_info(vm->devices[index].plugin)->name;
}

static json_t *device_info(void *ctx, size_t index, struct error *err)
{
	struct arena *arena = arena_new();
	struct capsa_value info;
	json_t *json = NULL;

	if (!arena)
		error_set(err, ENOMEM, "no memory");
	else if (!vm_device_info(ctx, index, arena, &info, err)) {
		json = value_to_json(&info);
		if (!json)
			error_set(err, ENOMEM, "no memory, or libjansson.so.4 is not installed");
	}
	arena_free(arena);
	return json;
}

static json_t *device_queues(void *ctx, size_t index)
{
	struct plugin_device *device = ((struct vm *)ctx)->devices[index].instance;
	json_t *list = json_array();
	struct virtio_queue_state q;

	for (unsigned i = 0; i < CAPSA_MAX_QUEUES; i++)
		if (plugin_device_queue(device, i, &q))
			json_array_append_new(list, json_pack("{si si si si si sI sI}", "index", (int)i, "size",
			                                      (int)q.size, "waiting", (int)q.waiting, "in_flight",
			                                      (int)q.in_flight, "unseen", (int)q.unseen,
			                                      "notifications", (json_int_t)q.notifications,
			                                      "interrupts", (json_int_t)q.interrupts));
	return list;
}

/* `text` is JSON. */
static int set_key(struct vm *vm, size_t index, const char *key, const char *text, size_t len, struct arena *arena,
                   struct error *err)
{
	struct plugin_device *device = vm->devices[index].instance;
	const struct capsa_key *keys = plugin_device_plugin(device)->keys;
	const char *plugin = plugin_device_plugin(device)->name;
	struct capsa_value found, value;
	size_t i = 0;
	int rc;

	while (keys && keys[i].name && strcmp(keys[i].name, key) != 0)
		i++;
	if (!keys || !keys[i].name)
		return error_set(err, ENOENT, "plugin %s has no key \"%.64s\"; see: capsa plugin show %s", plugin, key,
		                 plugin);
	/* A key that is not live is told before what is wrong with the value. */
	rc = plugin_device_can_reconfigure(device, i, err);
	if (!rc)
		rc = value_read_json(text, len, keys[i].name, arena, &found, err);
	if (!rc)
		rc = keys_check_value(vm->config, &keys[i], &found, arena, &value, err);
	return rc ? rc : plugin_device_reconfigure(device, i, &value, err);
}

static int device_set(void *ctx, const char *device, const char *key, const char *text, size_t len, struct error *err)
{
	struct vm *vm = ctx;
	struct arena *arena;
	int rc;

	for (size_t i = 0; i < vm->config->n_devices; i++) {
		if (strcmp(vm->config->devices[i].name, device) != 0)
			continue;
		arena = arena_new();
		rc = arena ? set_key(vm, i, key, text, len, arena, err) : error_set(err, ENOMEM, "no memory");
		arena_free(arena);
		return rc;
	}
	return error_set(err, ENOENT, "the machine has no device \"%.64s\"", device);
}

static void ask_to_power_off(void *ctx)
{
	vm_ask_to_power_off(ctx);
}

static void kill_machine(void *ctx)
{
	vm_force(ctx, "somebody asked to end it at once");
}

static int pause_machine(void *ctx, struct error *err)
{
	return vm_pause(ctx, err);
}

static int resume_machine(void *ctx, struct error *err)
{
	(void)err;
	vm_resume(ctx);
	return 0;
}

/* ---- metrics ---- */

/* Where the counters of one part of the machine go. */
struct counting {
	struct metrics *metrics;
	const char *prefix;        /* "capsa_device_" */
	const char *label, *value; /* or NULL */
};

static void counter(void *ctx, const char *name, const char *help, uint64_t value)
{
	const struct counting *to = ctx;
	char full[128];

	snprintf(full, sizeof full, "%s%s", to->prefix, name);
	metrics_add_count(to->metrics, full, help, to->label, to->value, value);
}

/* All parts that count. A new one is a line here. */
static void part_counters(const struct vm *vm, struct metrics *m)
{
	for (size_t i = 0; i < vm->config->n_devices; i++)
		plugin_device_counters(vm->devices[i].instance, counter,
		                       &(struct counting){ m, "capsa_device_", "device", vm->config->devices[i].name });
	if (vm->vsock)
		vsock_counters(vm->vsock, counter, &(struct counting){ .metrics = m, .prefix = "capsa_vsock_" });
}

static void exit_counters(const struct vm *vm, struct metrics *m)
{
	static const char name[] = "capsa_vcpu_exits_total", help[] = "Times that vCPUs left the guest for user space.";
	struct machine_exits exits = { 0 };

	if (vm->machine)
		machine_exits(vm->machine, &exits);
	metrics_add_count(m, name, help, "reason", "io", exits.io);
	metrics_add_count(m, name, help, "reason", "mmio", exits.mmio);
	metrics_add_count(m, name, help, "reason", "signal", exits.signal);
	metrics_add_count(m, name, help, "reason", "other", exits.other);
}

/* statm and not smaps_rollup, which walks all page tables while the guest may want to fault. */
static void memory_gauges(struct metrics *m)
{
	uint64_t size, resident, shared;
	FILE *f = fopen("/proc/self/statm", "re");
	double page = (double)sysconf(_SC_PAGESIZE);

	if (!f)
		return;
	if (fscanf(f, "%" SCNu64 " %" SCNu64 " %" SCNu64, &size, &resident, &shared) == 3 && resident >= shared) {
		metrics_add(m, METRICS_GAUGE, "process_resident_memory_bytes", "Memory in use, the guest's included.",
		            NULL, NULL, (double)resident * page);
		metrics_add(m, METRICS_GAUGE, "capsa_private_memory_bytes",
		            "Memory in use that is shared with no file: anonymous pages, the guest's included.", NULL,
		            NULL, (double)(resident - shared) * page);
	}
	fclose(f);
}

static void metrics(void *ctx, struct metrics *m)
{
	const struct vm *vm = ctx;
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	metrics_add(m, METRICS_COUNTER, "process_cpu_seconds_total", "Processor time of all threads, in the guest too.",
	            NULL, NULL, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	memory_gauges(m);
	metrics_add(m, METRICS_GAUGE, "capsa_vcpus", "The guest's processors.", NULL, NULL, vm->config->cpus);
	metrics_add(m, METRICS_GAUGE, "capsa_memory_bytes", "The guest's memory, used or not.", NULL, NULL,
	            (double)vm->config->memory);
	metrics_add(m, METRICS_GAUGE, "capsa_uptime_seconds", "Time since the machine was first started.", NULL, NULL,
	            uptime(vm));
	metrics_add(m, METRICS_GAUGE, "capsa_paused", "1 while the machine is paused.", NULL, NULL,
	            vm->pause == VM_PAUSED);
	metrics_add(m, METRICS_COUNTER, "capsa_paused_seconds_total", "Time for which the machine was paused.", NULL,
	            NULL, seconds(vm_paused_ns(vm)));
	exit_counters(vm, m);
	part_counters(vm, m);
}

/* ---- life ---- */

static char *console(void *ctx)
{
	const struct vm *vm = ctx;

	return vm->console_tail ? strdup(vm->console_tail) : NULL;
}

int vm_control_open(struct vm *vm, struct error *err)
{
	const struct api_machine machine = {
		.describe = describe,
		.device = device,
		.device_info = device_info,
		.device_queues = device_queues,
		.device_set = device_set,
		.poweroff = ask_to_power_off,
		.kill = kill_machine,
		.pause = pause_machine,
		.resume = resume_machine,
		.metrics = metrics,
		.console = console,
		.timeline = &vm->timeline,
		.ctx = vm,
	};

	return api_open(vm->reactor, rundir_path(vm->rundir), &machine, &vm->api, err);
}

void vm_control_deafen(struct vm *vm)
{
	if (vm->api)
		api_deafen(vm->api);
}

static enum api_end how_it_ended(const struct vm *vm, int rc)
{
	if (vm->stopping == VM_FORCED)
		return API_KILLED;
	if (rc)
		return vm->end == MACHINE_PANICKED ? API_PANICKED : API_FAILED;
	return vm->end == MACHINE_RESET ? API_RESET : API_POWERED_OFF;
}

void vm_control_close(struct vm *vm, int rc, const struct error *err)
{
	vm->how = how_it_ended(vm, rc);
	if (!vm->api)
		return;
	api_ended(vm->api, vm->how, rc ? err->text : vm->how == API_KILLED ? vm->forced_why : "");
	api_close(vm->api);
	vm->api = NULL;
}
