/* SPDX-License-Identifier: MIT */
/*
 * plugin_services_test.c - what the host services do, and refuse, for an instance: jobs, opening, names, queues, the
 * configuration space. Events are in plugin_events_test.c, shared memory in plugin_memory_test.c.
 */
#include "tests/unit/plugin_fake.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/base/path.h"
#include "core/plugin/instance.h"

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

static void what_machines_share_is_in_a_private_folder(void **state)
{
	char base[] = "/tmp/capsa-shared.XXXXXX", expected[128], folder[64];
	struct plugin_device *d;
	const char *path;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(base));
	assert_int_equal(setenv("XDG_RUNTIME_DIR", base, 1), 0);
	snprintf(folder, sizeof folder, "%s/capsa/.shared", base);
	snprintf(expected, sizeof expected, "%s/clusters", folder);
	d = fake_walk("create");
	assert_null(probe.host->shared_path(probe.dev, "../box"));
	assert_null(probe.host->shared_path(probe.dev, ".."));
	assert_null(probe.host->shared_path(probe.dev, ""));
	fake_environment.runtime_folder = NULL; /* a mere check makes nothing */
	assert_null(probe.host->shared_path(probe.dev, "clusters"));
	assert_int_equal(stat(folder, &st), -1);
	fake_environment.runtime_folder = "/run/x/box";
	path = probe.host->shared_path(probe.dev, "clusters");
	assert_string_equal(path, expected);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_string_equal(d->cause.text, "");
	/* The first stays valid; nor is a folder taken that others can enter, or a link to one. */
	assert_int_equal(chmod(folder, 0755), 0);
	assert_null(probe.host->shared_path(probe.dev, "clusters"));
	assert_non_null(strstr(d->cause.text, "chmod 700"));
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(symlink("/tmp", folder), 0);
	assert_null(probe.host->shared_path(probe.dev, "clusters"));
	assert_non_null(strstr(d->cause.text, "link"));
	assert_string_equal(path, expected);
	fake_end(d);
	assert_int_equal(path_remove_tree(base), 0);
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
		TEST(jobs_work_elsewhere_and_are_done_on_the_loop),
		TEST(jobs_of_stop_are_done_before_destroy),
		TEST(jobs_are_done_around_quiesce),
		TEST(jobs_need_workers),
		TEST(files_are_opened_below_held_folders_by_those_who_said_so),
		TEST(sockets_are_of_the_families_that_were_declared),
		TEST(counters_are_listed_in_order),
		TEST(names_and_paths),
		TEST(what_machines_share_is_in_a_private_folder),
		TEST(the_number_of_vcpus_is_told),
		TEST(log_lines_carry_the_device),
		TEST(queues_answer_only_between_activate_and_reset),
		TEST(configuration_space_is_kept_over_reboots),
		TEST(broken_reaches_the_machine_that_is_there),
		TEST(every_service_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
