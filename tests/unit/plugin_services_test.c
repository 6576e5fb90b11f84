/* SPDX-License-Identifier: MIT */
/* plugin_services_test.c - what the host services do, and refuse, for an instance. */
#include "tests/unit/plugin_fake.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/un.h>

#include "core/base/page-guard.h"

static unsigned n_events;
static struct capsa_watch *the_watch;

/* ---- events ---- */

static void stop_loop(void *ctx)
{
	(void)ctx;
	n_events++;
	reactor_stop(fake_main);
}

static void read_byte(void *ctx, int fd, unsigned events)
{
	char byte;

	(void)ctx;
	assert_int_equal(events, CAPSA_WATCH_READ);
	assert_int_equal(read(fd, &byte, 1), 1);
	n_events++;
	reactor_stop(fake_main);
}

static bool settled;

static void note_settled(void *ctx)
{
	(void)ctx;
	settled = true;
	reactor_stop(fake_main);
}

/* Runs the main loop until everything that is ready now has been handled: handlers may stop it meanwhile. */
static void settle(void)
{
	struct reactor_timer *timer = reactor_timer_add(fake_main, note_settled, NULL);

	/* Descriptors that are ready come before a timer of the same turn or of the next. */
	for (int i = 0; i < 2; i++) {
		settled = false;
		reactor_timer_set(timer, 0);
		while (!settled)
			reactor_run(fake_main);
	}
	reactor_timer_remove(timer);
}

static void a_timer_runs_once_and_can_be_cancelled(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct capsa_timer *timer = probe.host->timer_add(probe.dev, stop_loop, NULL);

	(void)state;
	assert_non_null(timer);
	n_events = 0;
	settle();
	assert_int_equal(n_events, 0); /* not running yet */
	probe.host->timer_set(timer, 0);
	reactor_run(fake_main);
	settle();
	assert_int_equal(n_events, 1);
	probe.host->timer_set(timer, 0);
	probe.host->timer_set(timer, -1);
	settle();
	assert_int_equal(n_events, 1);
	probe.host->timer_remove(timer);
	fake_end(d);
}

static void *ask_thrice(void *ctx)
{
	for (int i = 0; i < 3; i++)
		probe.host->deferred_run(ctx);
	return NULL;
}

static void deferred_requests_from_any_thread_become_one_call(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct capsa_deferred *deferred = probe.host->deferred_add(probe.dev, stop_loop, NULL);
	pthread_t thread;

	(void)state;
	n_events = 0;
	assert_int_equal(pthread_create(&thread, NULL, ask_thrice, deferred), 0);
	pthread_join(thread, NULL);
	reactor_run(fake_main);
	settle();
	assert_int_equal(n_events, 1);
	probe.host->deferred_remove(deferred);
	fake_end(d);
}

static void a_watch_reports_and_pauses(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct capsa_watch *watch;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	watch = probe.host->watch_add(probe.dev, ends[0], CAPSA_WATCH_READ, read_byte, NULL);
	assert_non_null(watch);
	n_events = 0;
	assert_int_equal(write(ends[1], "ab", 2), 2);
	reactor_run(fake_main);
	assert_int_equal(n_events, 1);
	assert_int_equal(probe.host->watch_set(watch, 0), 0);
	settle();
	assert_int_equal(n_events, 1);
	assert_int_equal(probe.host->watch_set(watch, CAPSA_WATCH_READ), 0);
	reactor_run(fake_main);
	assert_int_equal(n_events, 2);
	probe.host->watch_remove(watch);
	probe.host->watch_remove(NULL);
	close(ends[0]);
	close(ends[1]);
	fake_end(d);
}

/* ---- holding ---- */

static int hold_ends[2];

/* A device with a watch that has a byte to read; queue 1 is the silent one. */
static struct plugin_device *walk_with_watch(const char *to)
{
	struct plugin_device *d = fake_walk(to);

	assert_int_equal(pipe(hold_ends), 0);
	assert_int_equal(write(hold_ends[1], "abcdefgh", 8), 8);
	the_watch = probe.host->watch_add(probe.dev, hold_ends[0], CAPSA_WATCH_READ, read_byte, NULL);
	assert_non_null(the_watch);
	n_events = 0;
	return d;
}

static void end_with_watch(struct plugin_device *d)
{
	probe.host->watch_remove(the_watch);
	close(hold_ends[0]);
	close(hold_ends[1]);
	fake_end(d);
}

static bool held(void)
{
	unsigned before = n_events;

	settle();
	return n_events == before;
}

static void a_watch_is_not_held_while_there_is_room(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	fake_virtio->room[1] = true;
	assert_false(probe.host->watch_hold_until_room(the_watch, 1));
	assert_false(held());
	end_with_watch(d);
}

static void a_held_watch_resumes_when_there_is_room_and_the_plugin_is_not_notified(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_int_equal(fake_virtio->waits[1], 1);
	assert_true(held());
	fake_notify(0);
	assert_true(held()); /* another queue */
	fake_notify(1);
	assert_false(held());
	assert_null(strstr(probe.calls, "notify1"));
	end_with_watch(d);
}

static void a_silent_queue_notifies_only_who_asked(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	fake_notify(1);
	assert_null(strstr(probe.calls, "notify1"));
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_false(probe.host->queue_wait(probe.dev, 1));
	fake_notify(1); /* both are served */
	assert_false(held());
	fake_notify(1); /* once */
	assert_string_equal(strstr(probe.calls, "notify1"), "notify1");
	probe.host->queue_again(probe.dev, 1);
	fake_notify(1);
	assert_string_equal(strstr(probe.calls, "notify1"), "notify1 notify1");
	fake_virtio->room[1] = true;
	assert_true(probe.host->queue_wait(probe.dev, 1)); /* look again, no call will come */
	fake_notify(1);
	assert_string_equal(strstr(probe.calls, "notify1"), "notify1 notify1");
	end_with_watch(d);
}

static void reset_resumes_nothing_and_activate_does(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	fake_reset();
	assert_true(held());
	assert_int_equal(fake_activate(0), 0);
	assert_false(held());
	end_with_watch(d);
}

static void an_inactive_device_holds_until_activate(void **state)
{
	struct plugin_device *d = walk_with_watch("attach");

	(void)state;
	fake_virtio->room[1] = true;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_int_equal(fake_virtio->waits[1], 0);
	assert_true(held());
	assert_int_equal(fake_activate(0), 0);
	assert_false(held());
	end_with_watch(d);
}

static void watch_set_ends_a_hold(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_int_equal(probe.host->watch_set(the_watch, CAPSA_WATCH_READ), 0);
	assert_false(held());
	assert_int_equal(probe.host->watch_set(the_watch, 0), 0);
	fake_notify(1); /* the hold is forgotten: it stays paused */
	assert_true(held());
	end_with_watch(d);
}

static void a_hold_for_a_queue_that_is_not_there_is_refused(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_false(probe.host->watch_hold_until_room(the_watch, 2));
	assert_false(probe.host->watch_hold_until_room(the_watch, UINT32_MAX));
	end_with_watch(d);
}

/* ---- several loops ---- */

static pthread_t event_thread;
static struct capsa_deferred *far_deferred;

static void note_thread_and_stop(void *ctx)
{
	(void)ctx;
	event_thread = pthread_self();
	reactor_stop(fake_main);
}

static void note_thread_of_fd(void *ctx, int fd, unsigned events)
{
	char byte;

	(void)ctx, (void)events;
	assert_int_equal(read(fd, &byte, 1), 1);
	event_thread = pthread_self();
	if (probe.host->watch_hold_until_room(the_watch, 1))
		probe.host->deferred_run(far_deferred);
}

static void *run_loop(void *ctx)
{
	reactor_run(ctx);
	return NULL;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void events_of_a_parallel_queue_run_on_its_loop(void **state)
{
	struct reactor *loops[2];
	struct plugin_device *d;
	pthread_t threads[2];
	int ends[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(reactor_new(&loops[i]), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, run_loop, loops[i]), 0);
	}
	assert_int_equal(pipe(ends), 0);
	fake_environment.loops = loops;
	fake_environment.n_loops = 2;
	fake_plugin.info.thread_model = CAPSA_THREAD_PARALLEL;
	d = fake_walk("activate");
	assert_int_equal(fake_virtio->setup.n_loops, 2);

	far_deferred = probe.host->queue_deferred_add(probe.dev, 1, note_thread_and_stop, NULL);
	probe.host->deferred_run(far_deferred);
	reactor_run(fake_main);
	assert_true(pthread_equal(event_thread, threads[1]));

	event_thread = pthread_self();
	the_watch = probe.host->queue_watch_add(probe.dev, 1, ends[0], 0, note_thread_of_fd, NULL);
	assert_int_equal(probe.host->watch_set(the_watch, CAPSA_WATCH_READ), 0);
	assert_int_equal(write(ends[1], "ab", 2), 2);
	reactor_run(fake_main); /* ends once the watch is held, after the first byte */
	assert_true(pthread_equal(event_thread, threads[1]));
	fake_notify(1);
	reactor_run(fake_main); /* and again after the second */
	probe.host->watch_remove(the_watch);

	plugin_device_detach(d);
	for (int i = 0; i < 2; i++) {
		reactor_call_wait(loops[i], nothing, NULL);
		reactor_stop(loops[i]);
		pthread_join(threads[i], NULL);
	}
	fake_end(d);
	for (int i = 0; i < 2; i++) {
		reactor_free(loops[i]);
		close(ends[i]);
	}
}

/* ---- what outlives stop ---- */

static struct capsa_timer *late_timer;

static void remove_in_destroy(const char *callback)
{
	if (strcmp(callback, "destroy") != 0)
		return;
	probe.host->timer_set(late_timer, 0);
	probe.host->timer_remove(late_timer);
	assert_int_equal(probe.host->watch_set(the_watch, CAPSA_WATCH_READ), 0);
	probe.host->watch_remove(the_watch);
	assert_null(probe.host->timer_add(probe.dev, stop_loop, NULL));
}

static void nothing_runs_after_stop_and_what_is_left_is_freed(void **state)
{
	struct plugin_device *d = walk_with_watch("start");
	struct capsa_deferred *deferred = probe.host->deferred_add(probe.dev, stop_loop, NULL);

	(void)state;
	late_timer = probe.host->timer_add(probe.dev, stop_loop, NULL);
	probe.host->timer_set(late_timer, 0);
	probe.host->deferred_run(deferred);
	plugin_device_stop(d);
	probe.host->deferred_run(deferred);
	assert_true(held());
	probe.hook = remove_in_destroy;
	plugin_device_destroy(d); /* frees the deferred call: the sanitizer would tell */
	close(hold_ends[0]);
	close(hold_ends[1]);
}

/* ---- jobs ---- */

static unsigned n_worked, n_done;
static pthread_t done_thread;

static void work(void *ctx)
{
	assert_false(pthread_equal(pthread_self(), *(pthread_t *)ctx));
	__atomic_add_fetch(&n_worked, 1, __ATOMIC_RELAXED);
}

static void done(void *ctx)
{
	(void)ctx;
	done_thread = pthread_self();
	if (++n_done == 10)
		reactor_stop(fake_main);
}

static void jobs_work_elsewhere_and_are_done_on_the_loop(void **state)
{
	struct plugin_device *d;
	pthread_t me = pthread_self();

	(void)state;
	n_worked = n_done = 0;
	probe.setup.n_workers = 3;
	d = fake_walk("start");
	for (int i = 0; i < 10; i++)
		assert_int_equal(probe.host->job_submit(probe.dev, work, done, &me), 0);
	reactor_run(fake_main);
	assert_int_equal(n_worked, 10);
	assert_int_equal(n_done, 10);
	assert_true(pthread_equal(done_thread, me));
	fake_end(d);
}

static void submit_in_stop_and_destroy(const char *callback)
{
	static pthread_t me;

	me = pthread_self();
	if (strcmp(callback, "stop") == 0)
		for (int i = 0; i < 5; i++)
			assert_int_equal(probe.host->job_submit(probe.dev, work, done, &me), 0);
	if (strcmp(callback, "destroy") == 0) {
		assert_int_equal(n_done, 5);
		assert_int_equal(probe.host->job_submit(probe.dev, work, done, &me), -ESHUTDOWN);
	}
}

static void jobs_of_stop_are_done_before_destroy(void **state)
{
	(void)state;
	n_worked = n_done = 0;
	probe.setup.n_workers = 2;
	probe.hook = submit_in_stop_and_destroy;
	fake_end(fake_walk("activate"));
	assert_int_equal(n_done, 5);
	assert_non_null(strstr(probe.calls, "destroy"));
}

static void submit_in_quiesce(const char *callback)
{
	static pthread_t me;

	me = pthread_self();
	if (strcmp(callback, "quiesce") == 0) {
		assert_int_equal(n_done, 1); /* what was under way */
		assert_int_equal(probe.host->job_submit(probe.dev, work, done, &me), 0);
	}
	if (strcmp(callback, "save") == 0)
		assert_int_equal(n_done, 2);
}

static void jobs_are_done_around_quiesce(void **state)
{
	struct plugin_device *d;
	pthread_t me = pthread_self();
	struct error err;
	void *data;
	size_t len;

	(void)state;
	n_worked = n_done = 0;
	probe.setup.n_workers = 1;
	probe.hook = submit_in_quiesce;
	d = fake_walk("activate");
	assert_int_equal(probe.host->job_submit(probe.dev, work, done, &me), 0);
	assert_int_equal(plugin_device_save(d, &data, &len, &err), 0);
	assert_null(data);
	fake_end(d);
	assert_int_equal(n_done, 2);
}

static void jobs_need_workers(void **state)
{
	struct plugin_device *d = fake_walk("start");

	(void)state;
	assert_int_equal(probe.host->job_submit(probe.dev, work, done, NULL), -ENOTSUP);
	fake_end(d);
}

/* ---- opening ---- */

static void files_are_opened_below_held_folders_by_those_who_said_so(void **state)
{
	struct plugin_device *d = fake_walk("start");
	int folder = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	(void)state;
	assert_int_equal(probe.host->file_open(probe.dev, folder, "status", O_RDONLY, 0), -EPERM);
	fake_plugin.info.needs = CAPSA_NEEDS_FILES;
	fd = probe.host->file_open(probe.dev, folder, "status", O_RDONLY, 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	assert_int_equal(probe.host->file_open(probe.dev, folder, "no such file", O_RDONLY, 0), -ENOENT);
	assert_int_equal(probe.host->file_open(probe.dev, folder, "/etc/passwd", O_RDONLY, 0), -EPERM);
	assert_int_equal(probe.host->file_open(probe.dev, AT_FDCWD, "x", O_RDONLY, 0), -EPERM);
	close(folder);
	fake_end(d);
}

static void sockets_are_of_the_families_that_were_declared(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct sockaddr_in loopback = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un nowhere = { .sun_family = AF_UNIX, .sun_path = "/no/such/socket" };
	const struct sockaddr *inet = (const struct sockaddr *)&loopback, *local = (const struct sockaddr *)&nowhere;
	int fd;

	(void)state;
	assert_int_equal(probe.host->socket_open(probe.dev, AF_INET, SOCK_DGRAM, 0), -EPERM);
	assert_int_equal(probe.host->socket_open(probe.dev, AF_UNIX, SOCK_STREAM, 0), -EPERM);
	fake_plugin.info.needs = CAPSA_NEEDS_INTERNET;
	assert_int_equal(probe.host->socket_open(probe.dev, AF_UNIX, SOCK_STREAM, 0), -EPERM);
	assert_int_equal(probe.host->socket_open(probe.dev, AF_PACKET, SOCK_RAW, 0), -EPERM);
	fd = probe.host->socket_open(probe.dev, AF_INET, SOCK_DGRAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(probe.host->socket_bind(probe.dev, fd, inet, sizeof loopback), 0);
	assert_int_equal(probe.host->socket_connect(probe.dev, fd, local, sizeof nowhere), -EPERM);
	assert_int_equal(probe.host->socket_bind(probe.dev, fd, local, sizeof nowhere), -EPERM);
	assert_int_equal(probe.host->socket_connect(probe.dev, fd, inet, 1), -EINVAL);
	close(fd);
	fake_plugin.info.needs = CAPSA_NEEDS_UNIX;
	fd = probe.host->socket_open(probe.dev, AF_UNIX, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(probe.host->socket_connect(probe.dev, fd, local, sizeof nowhere), -ENOENT);
	close(fd);
	fake_end(d);
}

/* ---- counters, paths, names ---- */

static void list_counter(void *ctx, const char *name, const char *help, uint64_t value)
{
	char *text = ctx;
	size_t used = strlen(text);

	snprintf(text + used, 200 - used, "%s=%llu (%s);", name, (unsigned long long)value, help);
}

static void counters_are_listed_in_order(void **state)
{
	struct plugin_device *d = fake_walk("create");
	uint64_t *rx = probe.host->counter(probe.dev, "rx_bytes", "received");
	uint64_t *tx = probe.host->counter(probe.dev, "tx_bytes", "sent");
	char text[200] = "";

	(void)state;
	assert_ptr_equal(probe.host->counter(probe.dev, "rx_bytes", "again"), rx);
	assert_null(probe.host->counter(probe.dev, "Not Snake", ""));
	assert_null(probe.host->counter(probe.dev, "", ""));
	__atomic_fetch_add(rx, 7, __ATOMIC_RELAXED);
	__atomic_fetch_add(tx, 2, __ATOMIC_RELAXED);
	plugin_device_counters(d, list_counter, text);
	assert_string_equal(text, "rx_bytes=7 (received);tx_bytes=2 (sent);");
	fake_end(d);
}

static void names_and_paths(void **state)
{
	struct plugin_device *d = fake_walk("create");

	(void)state;
	assert_string_equal(probe.host->device_name(probe.dev), "probe0");
	assert_string_equal(probe.host->machine_name(probe.dev), "box");
	assert_string_equal(probe.host->runtime_path(probe.dev, "console.sock"), "/run/x/box/console.sock");
	assert_null(probe.host->runtime_path(probe.dev, "../other"));
	assert_null(probe.host->runtime_path(probe.dev, ".."));
	assert_null(probe.host->runtime_path(probe.dev, ""));
	fake_environment.runtime_folder = NULL;
	assert_null(probe.host->runtime_path(probe.dev, "x"));
	fake_end(d);
}

static void the_number_of_vcpus_is_told(void **state)
{
	struct plugin_device *d = fake_walk("config");

	(void)state;
	assert_int_equal(probe.host->vcpus(probe.dev), 3);
	fake_end(d);
}

static void log_lines_carry_the_device(void **state)
{
	struct plugin_device *d = fake_walk("create");
	int ends[2], saved = dup(STDERR_FILENO);
	char line[128] = "";

	(void)state;
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	probe.host->log(probe.dev, CAPSA_LOG_WARNING, "%d bytes lost", 3);
	dup2(saved, STDERR_FILENO);
	assert_true(read(ends[0], line, sizeof line - 1) > 0);
	assert_string_equal(line, "capsa: warning: probe0: 3 bytes lost\n");
	close(saved);
	close(ends[0]);
	close(ends[1]);
	fake_end(d);
}

/* ---- shared memory ---- */

#define RW (PROT_READ | PROT_WRITE)

static void map_too_early(const char *callback)
{
	if (strcmp(callback, "realize") == 0)
		assert_int_equal(probe.host->shared_memory_unmap(probe.dev, 7, 0, 4096), -EINVAL);
}

static void windows_are_mapped_within_their_bounds(void **state)
{
	const uint64_t size = 2 << 20;
	struct plugin_device *d;
	unsigned char *window, last;
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 16384), 0);
	assert_int_equal(pwrite(fd, "file", 4, 4096), 4);
	probe.setup.n_shared_memory = 1;
	probe.setup.shared_memory[0].id = 7;
	probe.setup.shared_memory[0].size = size;
	probe.hook = map_too_early;
	d = fake_walk("attach");
	window = fake_virtio->setup.shared_memory[0];
#define MAP(id, offset, len, prot, flags, fd, at) \
	probe.host->shared_memory_map(probe.dev, id, offset, len, prot, flags, fd, at)
	assert_int_equal(window[0], 0);
	assert_int_equal(MAP(7, size - 4096, 4096, RW, MAP_SHARED, fd, 4096), 0);
	assert_memory_equal(window + size - 4096, "file", 4);
	window[size - 1] = 'x';
	assert_int_equal(pread(fd, &last, 1, 8191), 1);
	assert_int_equal(last, 'x');
	assert_int_equal(MAP(6, 0, 4096, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, size - 4096, 8192, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, size, 4096, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 4096, UINT64_MAX & ~4095ull, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, UINT64_MAX & ~4095ull, 8192, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 0, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 1, 4096, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4097, RW, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED, fd, 1), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED, fd, UINT64_MAX & ~4095ull), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED | MAP_LOCKED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW | PROT_GROWSDOWN, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, RW, MAP_SHARED, -1, 0), -EBADF);
	/* The guest could stop its own machine by touching it. */
	assert_int_equal(MAP(7, 0, 4096, PROT_READ, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, PROT_WRITE, MAP_SHARED, fd, 0), -EINVAL);
	assert_int_equal(MAP(7, 0, 4096, PROT_NONE, MAP_PRIVATE, fd, 0), -EINVAL);
	assert_int_equal(probe.host->shared_memory_unmap(probe.dev, 7, 0, size + 4096), -EINVAL);
	assert_int_equal(probe.host->shared_memory_unmap(probe.dev, 7, size - 4096, 4096), 0);
	assert_int_equal(window[size - 1], 0);
#undef MAP
	close(fd);
	fake_end(d);
}

/* ---- files that are truncated under a window ---- */

#define WINDOW (4u << 20)
#define WINDOW_FILE_AT 8192u
#define WINDOW_FILE_SIZE (1u << 20)

static unsigned char *cut_window;
static pthread_t fault_thread;

static void stop_at_fault(const char *callback)
{
	if (strcmp(callback, "shared_memory_fault") != 0)
		return;
	fault_thread = pthread_self();
	reactor_stop(fake_main);
}

/* A device with a file in its window that is cut off after its first page. */
static struct plugin_device *walk_with_cut_window(const char *to, int *fd)
{
	struct plugin_device *d;

	*fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(ftruncate(*fd, WINDOW_FILE_SIZE), 0);
	assert_int_equal(pwrite(*fd, "file", 4, 0), 4);
	probe.setup.n_shared_memory = 1;
	probe.setup.shared_memory[0].id = 7;
	probe.setup.shared_memory[0].size = WINDOW;
	d = fake_walk(to);
	assert_int_equal(probe.host->shared_memory_map(probe.dev, 7, WINDOW_FILE_AT, WINDOW_FILE_SIZE, RW, MAP_SHARED, *fd,
	                                               0),
	                 0);
	cut_window = fake_virtio->setup.shared_memory[0];
	assert_int_equal(ftruncate(*fd, 100), 0);
	/* cmocka takes the signal for each test. */
	page_guard_to_front();
	return d;
}

static void *read_cut_window(void *ctx)
{
	const volatile unsigned char *window = cut_window;
	unsigned sum = 0;

	for (size_t at = WINDOW_FILE_AT + 4096; at < WINDOW_FILE_AT + WINDOW_FILE_SIZE; at += 4096)
		sum += window[at];
	return sum == 0 ? ctx : NULL;
}

static uint64_t counted;

static void take_fault_counter(void *ctx, const char *name, const char *help, uint64_t value)
{
	(void)ctx, (void)help;
	if (strcmp(name, "shared_memory_fault_pages") == 0)
		counted = value;
}

static void a_truncated_file_reads_as_zeros_and_the_plugin_is_told(void **state)
{
	struct plugin_device *d;
	pthread_t threads[4];
	void *answer;
	int fd;

	(void)state;
	probe.hook = stop_at_fault;
	d = walk_with_cut_window("attach", &fd);
	settle();
	assert_int_equal(probe_fault.n, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_cut_window, &fd), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &answer);
		assert_ptr_equal(answer, &fd);
	}
	reactor_run(fake_main);
	settle();
	assert_true(pthread_equal(fault_thread, pthread_self()));
	assert_int_equal(probe_fault.n, 1);
	assert_int_equal(probe_fault.id, 7);
	assert_int_equal(probe_fault.offset, WINDOW_FILE_AT + 4096);
	assert_int_equal(probe_fault.len, WINDOW_FILE_SIZE - 4096);
	plugin_device_counters(d, take_fault_counter, NULL);
	assert_int_equal(counted, WINDOW_FILE_SIZE / 4096 - 1);
	assert_memory_equal(cut_window + WINDOW_FILE_AT, "file", 4);

	/* What the plugin does once the file has grown again. */
	assert_int_equal(ftruncate(fd, WINDOW_FILE_SIZE), 0);
	assert_int_equal(pwrite(fd, "more", 4, 4096), 4);
	assert_int_equal(probe.host->shared_memory_map(probe.dev, 7, WINDOW_FILE_AT, WINDOW_FILE_SIZE, RW, MAP_SHARED, fd, 0),
	                 0);
	assert_memory_equal(cut_window + WINDOW_FILE_AT + 4096, "more", 4);
	settle();
	assert_int_equal(probe_fault.n, 1);
	close(fd);
	fake_end(d);
}

/* Many a fault, in one line; to a plugin that does not want to know. */
static void faults_are_logged_once(void **state)
{
	struct plugin_device *d;
	int fd, ends[2], saved = dup(STDERR_FILENO);
	char line[512] = "";

	(void)state;
	fake_plugin.info.shared_memory_fault = NULL;
	d = walk_with_cut_window("attach", &fd);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(read_cut_window(&fd), &fd);
		settle();
		assert_int_equal(probe.host->shared_memory_map(probe.dev, 7, WINDOW_FILE_AT, WINDOW_FILE_SIZE, RW, MAP_SHARED,
		                                               fd, 0),
		                 0);
	}
	dup2(saved, STDERR_FILENO);
	assert_true(read(ends[0], line, sizeof line - 1) > 0);
	assert_string_equal(line, "capsa: warning: probe0: a file in its shared memory is shorter than it was, or cannot be "
	                          "read or written; the guest has zeros there\n");
	close(saved);
	close(ends[0]);
	close(ends[1]);
	close(fd);
	fake_end(d);
}

static void more_faults_than_a_turn_takes_are_told_in_the_next(void **state)
{
	struct plugin_device *d;
	int fd;

	(void)state;
	d = walk_with_cut_window("attach", &fd);
	/* Every other page alone: 128 runs. */
	assert_int_equal(ftruncate(fd, WINDOW_FILE_SIZE), 0);
	for (size_t page = 0; page < 256; page++)
		assert_int_equal(probe.host->shared_memory_map(probe.dev, 7, page * 4096, 4096, RW, MAP_SHARED, fd,
		                                               page % 2 ? WINDOW_FILE_SIZE - 4096 : 0),
		                 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	for (size_t page = 1; page < 256; page += 2)
		assert_int_equal(((const volatile unsigned char *)cut_window)[page * 4096], 0);
	settle();
	assert_int_equal(probe_fault.n, 128);
	assert_int_equal(probe_fault.offset, 255 * 4096);
	close(fd);
	fake_end(d);
}

static void nobody_is_told_of_faults_after_stop(void **state)
{
	struct plugin_device *d;
	int fd;

	(void)state;
	d = walk_with_cut_window("attach", &fd);
	assert_ptr_equal(read_cut_window(&fd), &fd);
	plugin_device_detach(d);
	plugin_device_stop(d);
	assert_ptr_equal(read_cut_window(&fd), &fd);
	settle();
	assert_int_equal(probe_fault.n, 0);
	close(fd);
	fake_end(d);
}

/* ---- queues, configuration space ---- */

static void queues_answer_only_between_activate_and_reset(void **state)
{
	struct plugin_device *d = fake_walk("attach");
	struct capsa_request *request;

	(void)state;
	fake_virtio->pending = 3;
	assert_null(probe.host->queue_pop(probe.dev, 0));
	assert_int_equal(fake_activate(0), 0);
	assert_null(probe.host->queue_pop(probe.dev, 2));
	request = probe.host->queue_pop(probe.dev, 1);
	assert_non_null(request);
	assert_int_equal(request->queue, 1);
	probe.host->queue_complete(probe.dev, request, 0);
	probe.host->queue_give_back(probe.dev, probe.host->queue_pop(probe.dev, 0));
	probe.host->queue_flush(probe.dev, 0);
	probe.host->queue_again(probe.dev, 0);
	assert_int_equal(fake_virtio->completed, 1);
	assert_int_equal(fake_virtio->given_back, 1);
	assert_int_equal(fake_virtio->flushed, 1);
	assert_int_equal(fake_virtio->again, 1);
	request = probe.host->queue_pop(probe.dev, 0);
	fake_reset();
	probe.host->queue_complete(probe.dev, request, 0);
	probe.host->queue_flush(probe.dev, 0);
	assert_int_equal(fake_virtio->completed, 1);
	assert_int_equal(fake_virtio->flushed, 1);
	fake_end(d);
}

static void set_in_callbacks(const char *callback)
{
	if (strcmp(callback, "config") == 0)
		assert_int_equal(probe.host->config_set(probe.dev, 0, "x", 1, false), -EINVAL);
	if (strcmp(callback, "realize") == 0)
		assert_int_equal(probe.host->config_set(probe.dev, 2, "abc", 3, false), 0);
}

static void configuration_space_is_kept_over_reboots(void **state)
{
	static const struct virtio_platform platform;
	struct plugin_device *d;
	struct error err;

	(void)state;
	probe.hook = set_in_callbacks;
	d = fake_walk("attach");
	assert_memory_equal(fake_virtio->config, "\0\0abc\0\0\0", 8);
	assert_int_equal(probe.host->config_set(probe.dev, 7, "z", 1, true), 0);
	assert_int_equal(fake_virtio->config[7], 'z');
	assert_int_equal(fake_virtio->told, 1);
	assert_int_equal(probe.host->config_set(probe.dev, 7, "zz", 2, true), -EINVAL);
	assert_int_equal(probe.host->config_set(probe.dev, 9, "z", 0, true), -EINVAL);
	assert_int_equal(probe.host->config_set(probe.dev, SIZE_MAX, "zz", 2, true), -EINVAL);
	plugin_device_detach(d);
	assert_int_equal(plugin_device_attach(d, &platform, &err), 0);
	assert_memory_equal(fake_virtio->config, "\0\0abc\0\0z", 8);
	fake_end(d);
}

static void broken_reaches_the_machine_that_is_there(void **state)
{
	struct plugin_device *d = fake_walk("attach");

	(void)state;
	probe.host->broken(probe.dev, "the guest lies");
	assert_int_equal(fake_virtio->broken, 1);
	plugin_device_detach(d);
	probe.host->broken(probe.dev, "too late");
	fake_end(d);
}

static void every_service_is_there(void **state)
{
	struct plugin_device *d = fake_walk("create");
	const char *table = (const char *)probe.host;
	void (*call)(void);

	(void)state;
	assert_int_equal(probe.host->struct_size, sizeof *probe.host);
	assert_int_equal(probe.host->api_version, CAPSA_PLUGIN_API_VERSION);
	assert_int_equal(probe.host->api_revision, CAPSA_PLUGIN_API_REVISION);
	for (size_t at = offsetof(struct capsa_host, log); at < sizeof *probe.host; at += sizeof call) {
		memcpy(&call, table + at, sizeof call);
		assert_true(call);
	}
	fake_end(d);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_timer_runs_once_and_can_be_cancelled),
		TEST(deferred_requests_from_any_thread_become_one_call),
		TEST(a_watch_reports_and_pauses),
		TEST(a_watch_is_not_held_while_there_is_room),
		TEST(a_held_watch_resumes_when_there_is_room_and_the_plugin_is_not_notified),
		TEST(a_silent_queue_notifies_only_who_asked),
		TEST(reset_resumes_nothing_and_activate_does),
		TEST(an_inactive_device_holds_until_activate),
		TEST(watch_set_ends_a_hold),
		TEST(a_hold_for_a_queue_that_is_not_there_is_refused),
		TEST(events_of_a_parallel_queue_run_on_its_loop),
		TEST(nothing_runs_after_stop_and_what_is_left_is_freed),
		TEST(jobs_work_elsewhere_and_are_done_on_the_loop),
		TEST(jobs_of_stop_are_done_before_destroy),
		TEST(jobs_are_done_around_quiesce),
		TEST(jobs_need_workers),
		TEST(files_are_opened_below_held_folders_by_those_who_said_so),
		TEST(sockets_are_of_the_families_that_were_declared),
		TEST(counters_are_listed_in_order),
		TEST(names_and_paths),
		TEST(the_number_of_vcpus_is_told),
		TEST(log_lines_carry_the_device),
		TEST(windows_are_mapped_within_their_bounds),
		TEST(a_truncated_file_reads_as_zeros_and_the_plugin_is_told),
		TEST(faults_are_logged_once),
		TEST(more_faults_than_a_turn_takes_are_told_in_the_next),
		TEST(nobody_is_told_of_faults_after_stop),
		TEST(queues_answer_only_between_activate_and_reset),
		TEST(configuration_space_is_kept_over_reboots),
		TEST(broken_reaches_the_machine_that_is_there),
		TEST(every_service_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
