/* SPDX-License-Identifier: MIT */
/*
 * ring-capsa.c - capsa's virtio-fs as a side of fs-ring: the plugin's shared object behind core/plugin and core/virtio,
 * on the board of the unit tests (tests/unit/virtio_driver.h), in this process. Several sides are several devices of
 * it.
 *
 * A notification is a write to the eventfd that the device has registered as its ioeventfd, an interrupt is one of the
 * device to the eventfd of its vector: what KVM would do for both. The device has its threads as in a machine: the main
 * loop, a loop for each request queue, its workers. What they use is the process' CPU time without that of the bench.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bench/ring-side.h"
#include "tests/unit/virtio_plugin.h"

/* What the devices share: one machine without vCPUs. */
struct machine {
	struct board board;
	pthread_t home;
	bool runs;
	unsigned n_devices;
};

struct capsa {
	struct side side;
	struct machine *machine;
	struct plugin_environment environment;
	struct plugged plugged;
	struct driver driver;
	struct reactor *loops[SIDE_QUEUES_MAX];
	pthread_t threads[SIDE_QUEUES_MAX];
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A device that is not used now uses nothing. */
static uint64_t capsa_cpu(const struct side *side)
{
	(void)side;
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static void *run_loop(void *loop)
{
	reactor_run(loop);
	return NULL;
}

static void start_loop(pthread_t *thread, struct reactor *loop)
{
	if (pthread_create(thread, NULL, run_loop, loop))
		fail_msg("no thread");
}

static void stop_loop(pthread_t thread, struct reactor *loop)
{
	reactor_stop(loop);
	pthread_join(thread, NULL);
}

static void capsa_end(struct side *side)
{
	struct capsa *capsa = (struct capsa *)(void *)side;
	struct machine *machine = capsa->machine;

	if (machine->runs)
		stop_loop(machine->home, machine->board.home);
	machine->runs = false;
	plugin_device_detach(capsa->plugged.device);
	for (unsigned i = 0; i < capsa->environment.n_loops; i++)
		stop_loop(capsa->threads[i], capsa->loops[i]);
	plugged_end(&capsa->plugged);
	for (unsigned i = 0; i < capsa->environment.n_loops; i++)
		reactor_free(capsa->loops[i]);
	free(capsa);
	if (--machine->n_devices == 0) {
		board_destroy(&machine->board);
		free(machine);
	}
}

/* A driver's way from reset to DRIVER_OK. */
static void negotiate(struct capsa *capsa, unsigned slot)
{
	const uint64_t wanted = 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;
	struct driver *driver = &capsa->driver;
	uint64_t offered;

	driver_find(driver, &capsa->machine->board, slot);
	offered = driver_offered(driver);
	if (!driver_negotiate(driver, offered & wanted) || !(offered >> VIRTIO_RING_F_INDIRECT_DESC & 1))
		fail_msg("the device refused its own features");
	for (uint16_t i = 0; i <= capsa->side.n_queues; i++) {
		struct queue *queue = &capsa->side.queues[i];

		queue_lay(queue, &capsa->side.memory, offered >> VIRTIO_RING_F_EVENT_IDX & 1);
		driver_queue_place(driver, i, QUEUE_SIZE, queue->desc_at, queue->avail_at, queue->used_at);
		driver_set(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	}
	driver_ok(driver);
	for (uint16_t i = 0; i <= capsa->side.n_queues; i++) {
		capsa->side.queues[i].kick = driver_notify_fd(driver, i);
		capsa->side.queues[i].call = driver_interrupt_fd(driver, DRIVER_QUEUE_VECTOR(i));
	}
}

/* With more than one queue a loop for each, as `io_threads` makes them. */
static void make_loops(struct capsa *capsa, unsigned n)
{
	capsa->environment = (struct plugin_environment){
		.main = capsa->machine->board.home, .loops = capsa->loops, .vcpus = n, .machine_name = "fs-ring"
	};
	for (unsigned i = 0; n > 1 && i < n; i++) {
		if (reactor_new(&capsa->loops[i]))
			fail_msg("no loop");
		start_loop(&capsa->threads[i], capsa->loops[i]);
		capsa->environment.n_loops++;
	}
}

static struct side *add_device(struct machine *machine, const struct side_options *options, unsigned n_queues)
{
	struct capsa *capsa = calloc(1, sizeof *capsa);
	struct board *board = &machine->board;
	struct error err = { .text = "" };
	char entry[8192];

	if (!capsa)
		fail_msg("no memory");
	capsa->machine = machine;
	capsa->side = (struct side){ .n_queues = n_queues, .cpu = capsa_cpu, .end = capsa_end };
	snprintf(capsa->side.name, sizeof capsa->side.name, "capsa, %u queue%s", n_queues, n_queues == 1 ? "" : "s");
	capsa->side.memory = (struct guest_memory){ .at = board_at(board, 0, board->next_free + SIDE_MEMORY),
		                                    .size = board->next_free + SIDE_MEMORY,
		                                    .next = board->next_free };
	board->next_free += SIDE_MEMORY;
	make_loops(capsa, n_queues);
	snprintf(entry, sizeof entry, "tag = \"ring%u\"; path = \"%s\"; cache = \"%s\"; queues = %u; owner = \"%s\";",
	         machine->n_devices, options->folder, options->cache, n_queues, geteuid() ? "squash" : "host");
	plugged_start_in(&capsa->plugged, &capsa->environment, "virtio-fs", entry);
	if (plugin_device_attach(capsa->plugged.device, &board->platform, &err))
		fail_msg("%s", err.text);
	negotiate(capsa, ++machine->n_devices);
	return &capsa->side;
}

int side_capsa(const struct side_options *options, const unsigned *n_queues, unsigned n, struct side **sides, char *why,
               size_t size)
{
	struct machine *machine;
	char file[4096];

	plugged_file("virtio-fs", file, sizeof file);
	if (access(file, R_OK)) {
		snprintf(why, size, "%s is missing: build capsa, or say with CAPSA_BUILD where it was built", file);
		return -ENOENT;
	}
	machine = calloc(1, sizeof *machine);
	if (!machine)
		fail_msg("no memory");
	board_create(&machine->board, (n + 1) * SIDE_MEMORY);
	for (unsigned i = 0; i < n; i++)
		sides[i] = add_device(machine, options, n_queues[i]);
	start_loop(&machine->home, machine->board.home);
	machine->runs = true;
	return 0;
}
