/* SPDX-License-Identifier: MIT */
/* api_test.c - the control socket of a machine that is played: every path, and the client of the verbs. */
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/loop-thread.h"
#include "core/base/path.h"
#include "core/control/api.h"
#include "core/control/api-client.h"
#include "core/control/rundir.h"

static char base[64];
static struct error err;
static struct rundir *rundir;
static struct loop_thread *loop;
static struct timeline timeline;
static struct api *api;

/* The played machine. All on the loop's thread. */
static struct {
	enum api_state state;
	unsigned powered_off, killed, resumed;
	bool pauses_at_once;
	int rate;
} vm;

static void describe(void *ctx, struct api_description *out)
{
	(void)ctx;
	*out = (struct api_description){
		.name = "box",
		.pid = 7,
		.state = vm.state,
		.cpus = 2,
		.memory = 1ull << 40,
		.kernel = "/boot/vm\xfflinuz",
		.cmdline = "quiet \"x\"",
		.uptime = 1.5,
		.agent = "none",
		.vsock_cid = 3,
		.vsock_socket = "/run/box.vsock",
		.n_devices = 2,
	};
}

static void device(void *ctx, size_t index, const char **name, const char **plugin)
{
	(void)ctx;
	*name = index ? "rng0" : "console0";
	*plugin = index ? "rng" : "console";
}

static void poweroff(void *ctx)
{
	(void)ctx;
	vm.powered_off++;
	vm.state = API_STOPPING;
}

static void kill_it(void *ctx)
{
	(void)ctx;
	vm.killed++;
	vm.state = API_STOPPING;
}

static int pause_it(void *ctx, struct error *error)
{
	(void)ctx;
	if (vm.state == API_STOPPING)
		return error_set(error, EBUSY, "the machine is stopping");
	vm.state = API_PAUSED;
	if (vm.pauses_at_once)
		api_paused(api);
	return 0;
}

static int resume_it(void *ctx, struct error *error)
{
	(void)ctx;
	(void)error;
	vm.resumed++;
	vm.state = API_RUNNING;
	return 0;
}

static void metrics(void *ctx, struct metrics *m)
{
	(void)ctx;
	metrics_add_count(m, "capsa_device_rx_bytes", "Received.", "device", "net0", 12);
}

static char *console(void *ctx)
{
	(void)ctx;
	return strdup("last\nwords");
}

static json_t *device_info(void *ctx, size_t index, struct error *error)
{
	json_t *info = json_object();

	(void)ctx, (void)error;
	if (index == 0)
		json_object_set_new(info, "rate", json_integer(vm.rate));
	return info;
}

static json_t *device_queues(void *ctx, size_t index)
{
	json_t *list = json_array();

	(void)ctx;
	if (index == 0)
		json_array_append_new(list, json_integer(7));
	return list;
}

static int device_set(void *ctx, const char *device, const char *key, const char *json, size_t len, struct error *error)
{
	(void)ctx;
	if (strcmp(device, "console0") != 0)
		return error_set(error, ENOENT, "the machine has no device \"%s\"", device);
	if (strcmp(key, "rate") != 0)
		return error_set(error, EPERM, "%s is not live", key);
	if (len != 1)
		return error_set(error, EINVAL, "\"%.*s\" is no rate", (int)len, json);
	vm.rate = json[0] - '0';
	return 0;
}

static void open_api(void *ctx)
{
	const struct api_machine machine = {
		.describe = describe,
		.device = device,
		.poweroff = poweroff,
		.kill = kill_it,
		.pause = pause_it,
		.resume = resume_it,
		.metrics = metrics,
		.console = console,
		.device_info = device_info,
		.device_queues = device_queues,
		.device_set = device_set,
		.timeline = &timeline,
	};

	*(int *)ctx = api_open(loop_thread_reactor(loop), rundir_path(rundir), &machine, &api, &err);
}

static void close_api(void *ctx)
{
	(void)ctx;
	api_close(api);
	api = NULL;
}

static int setup(void **state)
{
	int rc = -1;

	(void)state;
	strcpy(base, "/tmp/capsa-api.XXXXXX");
	if (!mkdtemp(base) || setenv("XDG_RUNTIME_DIR", base, 1) || rundir_create("box", &rundir, &err))
		return -1;
	memset(&vm, 0, sizeof vm);
	vm.state = API_RUNNING;
	vm.pauses_at_once = true;
	if (loop_thread_new(&loop) || loop_thread_start(loop, "machine"))
		return -1;
	reactor_call_wait(loop_thread_reactor(loop), open_api, &rc);
	return rc;
}

static int teardown(void **state)
{
	(void)state;
	reactor_call_wait(loop_thread_reactor(loop), close_api, NULL);
	loop_thread_stop(loop);
	loop_thread_free(loop);
	rundir_destroy(rundir);
	return path_remove_tree(base);
}

/* The status; the body, as JSON, in *out (NULL: not wanted). */
static int call(const char *method, const char *path, json_t **out)
{
	char *body = NULL;
	int status = 0;

	assert_int_equal(api_call("box", method, path, 10000, &body, &status, &err), 0);
	if (out) {
		*out = json_loads(body, 0, NULL);
		assert_non_null(*out);
	}
	free(body);
	return status;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void a_machine_is_described(void **state)
{
	json_t *root, *device1;

	(void)state;
	assert_int_equal(call("GET", "/vm", &root), 200);
	assert_string_equal(text_of(root, "name"), "box");
	assert_string_equal(text_of(root, "state"), "running");
	assert_string_equal(text_of(root, "cmdline"), "quiet \"x\"");
	assert_string_equal(text_of(root, "kernel"), "(not UTF-8)");
	assert_int_equal(json_integer_value(json_object_get(root, "pid")), 7);
	assert_true(json_integer_value(json_object_get(root, "memory")) == 1ll << 40);
	assert_true(json_number_value(json_object_get(root, "uptime_seconds")) == 1.5);
	assert_string_equal(text_of(json_object_get(root, "vsock"), "socket"), "/run/box.vsock");
	device1 = json_array_get(json_object_get(root, "devices"), 1);
	assert_string_equal(text_of(device1, "name"), "rng0");
	assert_string_equal(text_of(device1, "plugin"), "rng");
	json_decref(root);
}

static void it_is_paused_and_goes_on(void **state)
{
	json_t *root;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(call("PUT", "/vm/pause", &root), 200);
		assert_string_equal(text_of(root, "state"), "paused");
		json_decref(root);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(call("PUT", "/vm/resume", &root), 200);
		assert_string_equal(text_of(root, "state"), "running");
		json_decref(root);
	}
	assert_int_equal(vm.resumed, 2);
}

static void say_paused(void *ctx)
{
	(void)ctx;
	api_paused(api);
}

static void a_pause_is_answered_when_all_stands_still(void **state)
{
	struct api_client *a, *b;
	char *body = NULL;
	int status;

	(void)state;
	vm.pauses_at_once = false;
	assert_int_equal(api_client_open("box", 10000, &a, &err), 0);
	assert_int_equal(api_client_open("box", 10000, &b, &err), 0);
	assert_int_equal(api_client_send(a, "PUT", "/vm/pause", &err), 0);
	assert_int_equal(api_client_send(b, "PUT", "/vm/pause", &err), 0);
	/* Another connection is served while these wait, and behind them. */
	while (vm.state != API_PAUSED)
		assert_int_equal(call("GET", "/vm", NULL), 200);
	assert_int_equal(api_client_receive(a, 0, &body, &status, &err), -ETIMEDOUT);
	reactor_call_wait(loop_thread_reactor(loop), say_paused, NULL);
	assert_int_equal(api_client_receive(a, 10000, &body, &status, &err), 0);
	assert_int_equal(status, 200);
	free(body);
	reactor_call_wait(loop_thread_reactor(loop), say_paused, NULL);
	assert_int_equal(api_client_receive(b, 10000, &body, &status, &err), 0);
	free(body);
	api_client_close(a);
	api_client_close(b);
}

static void one_that_stops_is_not_paused(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(call("PUT", "/vm/poweroff", &root), 202);
	assert_string_equal(text_of(root, "state"), "stopping");
	json_decref(root);
	assert_int_equal(vm.powered_off, 1);
	assert_int_equal(call("PUT", "/vm/pause", &root), 409);
	assert_string_equal(text_of(root, "error"), "the machine is stopping");
	json_decref(root);
	assert_int_equal(call("PUT", "/vm/kill", NULL), 202);
	assert_int_equal(vm.killed, 1);
}

static void end_it(void *ctx)
{
	(void)ctx;
	api_deafen(api);
	rundir_destroy(rundir);
	rundir = NULL;
	api_ended(api, API_PANICKED, "the guest's kernel panicked");
	api_close(api);
	api = NULL;
}

static void whoever_waits_for_the_end_is_told(void **state)
{
	enum { N = 3 };
	struct api_client *c[N];
	char *body = NULL;
	json_t *root;
	int status;

	(void)state;
	for (int i = 0; i < N; i++) {
		assert_int_equal(api_client_open("box", 10000, &c[i], &err), 0);
		assert_int_equal(api_client_send(c[i], "GET", "/vm", &err), 0);
		assert_int_equal(api_client_receive(c[i], 10000, &body, &status, &err), 0);
		free(body);
		assert_int_equal(api_client_send(c[i], "GET", "/vm/end", &err), 0);
	}
	/* Their requests have been read when this one, which came later, is answered. */
	assert_int_equal(call("GET", "/vm", NULL), 200);
	reactor_call_wait(loop_thread_reactor(loop), end_it, NULL);
	for (int i = 0; i < N; i++) {
		assert_int_equal(api_client_receive(c[i], 10000, &body, &status, &err), 0);
		root = json_loads(body, 0, NULL);
		assert_string_equal(text_of(root, "end"), "panicked");
		assert_string_equal(text_of(root, "text"), "the guest's kernel panicked");
		assert_string_equal(text_of(root, "console"), "last\nwords");
		json_decref(root);
		free(body);
		assert_int_equal(api_client_send(c[i], "GET", "/vm", &err), -EPIPE);
		api_client_close(c[i]);
	}
	assert_int_equal(api_call("box", "GET", "/vm", 1000, &body, &status, &err), -ESRCH);
}

static void a_client_that_goes_is_forgotten(void **state)
{
	struct api_client *c;

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(api_client_open("box", 10000, &c, &err), 0);
		assert_int_equal(api_client_send(c, "GET", "/vm/end", &err), 0);
		api_client_close(c);
		assert_int_equal(call("GET", "/vm", NULL), 200);
	}
}

static int put(const char *path, const char *json, json_t **out)
{
	struct api_client *c;
	char *body = NULL;
	int status = 0;

	assert_int_equal(api_client_open("box", 10000, &c, &err), 0);
	assert_int_equal(api_client_send_body(c, "PUT", path, json, &err), 0);
	assert_int_equal(api_client_receive(c, 10000, &body, &status, &err), 0);
	*out = json_loads(body, 0, NULL);
	assert_non_null(*out);
	free(body);
	api_client_close(c);
	return status;
}

static void devices_tell_and_live_keys_are_replaced(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(put("/devices/console0/rate", "7", &root), 200);
	assert_string_equal(text_of(root, "device"), "console0");
	json_decref(root);
	assert_int_equal(call("GET", "/devices", &root), 200);
	assert_int_equal(json_array_size(root), 2);
	assert_string_equal(text_of(json_array_get(root, 0), "name"), "console0");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json_array_get(root, 0), "info"), "rate")),
	                 7);
	assert_int_equal(json_array_size(json_object_get(json_array_get(root, 0), "queues")), 1);
	json_decref(root);
	assert_int_equal(call("GET", "/devices/rng0", &root), 200);
	assert_string_equal(text_of(root, "plugin"), "rng");
	assert_int_equal(json_array_size(json_object_get(root, "queues")), 0);
	json_decref(root);
	assert_int_equal(put("/devices/console0/rate", "\"x\"", &root), 400);
	assert_string_equal(text_of(root, "error"), "\"\"x\"\" is no rate");
	json_decref(root);
	assert_int_equal(put("/devices/console0/path", "1", &root), 409);
	json_decref(root);
	assert_int_equal(put("/devices/nobody/rate", "1", &root), 404);
	json_decref(root);
	assert_int_equal(put("/devices/console0/", "1", &root), 404);
	json_decref(root);
	assert_int_equal(put("/devices/console0/rate/x", "1", &root), 404);
	json_decref(root);
	assert_int_equal(put("/devices/console0", "1", &root), 405);
	json_decref(root);
	assert_int_equal(call("GET", "/devices/nobody", NULL), 404);
	assert_int_equal(call("GET", "/devices/console0/rate", NULL), 405);
}

static void metrics_are_text(void **state)
{
	char *body = NULL;
	int status;

	(void)state;
	assert_int_equal(api_call("box", "GET", "/metrics", 10000, &body, &status, &err), 0);
	assert_int_equal(status, 200);
	assert_string_equal(body, "# HELP capsa_device_rx_bytes Received.\n# TYPE capsa_device_rx_bytes counter\n"
	                          "capsa_device_rx_bytes{device=\"net0\"} 12\n");
	free(body);
}

static void the_timeline_is_a_list(void **state)
{
	json_t *root;

	(void)state;
	timeline_mark(&timeline, "second", 2000000000000ll);
	timeline_mark(&timeline, "first", 1000000000000ll);
	assert_int_equal(call("GET", "/vm/timeline", &root), 200);
	assert_int_equal(json_array_size(root), 2);
	assert_string_equal(text_of(json_array_get(root, 0), "name"), "first");
	assert_true(json_integer_value(json_object_get(json_array_get(root, 1), "ts_ns")) == 2000000000000ll);
	json_decref(root);
}

static void what_is_not_there_is_said(void **state)
{
	json_t *root;

	(void)state;
	assert_int_equal(call("GET", "/", &root), 404);
	assert_non_null(text_of(root, "error"));
	json_decref(root);
	assert_int_equal(call("GET", "/vm/", NULL), 404);
	assert_int_equal(call("POST", "/vm", NULL), 405);
	assert_int_equal(call("GET", "/vm/kill", NULL), 405);
	assert_int_equal(vm.killed, 0);
}

static void no_such_machine_is_said(void **state)
{
	char *body = NULL;
	int status;

	(void)state;
	assert_int_equal(api_call("other", "GET", "/vm", 1000, &body, &status, &err), -ESRCH);
	assert_non_null(strstr(err.text, "these do: box"));
}

/* Its loop is held up: the socket takes connections, and nobody answers. */
static void a_machine_that_hangs_is_not_waited_for(void **state)
{
	char *body = NULL;
	int status;

	(void)state;
	loop_thread_stop(loop);
	assert_int_equal(api_call("box", "GET", "/vm", 10, &body, &status, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "does not answer"));
	assert_int_equal(loop_thread_start(loop, "machine"), 0);
	assert_int_equal(call("GET", "/vm", NULL), 200);
}

/* Answers of a "machine" that is none. */
static void *play(void *ctx)
{
	const char *answer = ((const char **)ctx)[1];
	int listener = *(int *)((void **)ctx)[0], fd = accept(listener, NULL, NULL);
	char bytes[256];

	if (recv(fd, bytes, sizeof bytes, 0) > 0 && answer[0])
		send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void no_answer_leads_the_client_astray(void **state)
{
	static const struct {
		const char *answer;
		int rc;
	} cases[] = {
		{ "", -EPIPE },
		{ "HTTP/1.1 200", -EPIPE },
		{ "nonsense\r\n\r\n", -EPROTO },
		{ "HTTP/1.1 200 OK\r\n\r\n", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", -EPROTO },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", -EPIPE },
		{ "HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabc", 0 },
	};
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), status;
	struct rundir *other;
	pthread_t thread;
	char *body;

	(void)state;
	assert_int_equal(rundir_create("played", &other, &err), 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/" API_SOCKET, rundir_path(other));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 4), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const void *with[2] = { &listener, cases[i].answer };

		body = NULL;
		pthread_create(&thread, NULL, play, with);
		assert_int_equal(api_call("played", "GET", "/vm", 10000, &body, &status, &err), cases[i].rc);
		pthread_join(thread, NULL);
		free(body);
	}
	close(listener);
	rundir_destroy(other);
}

#define PLAYED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAYED(a_machine_is_described),
		PLAYED(it_is_paused_and_goes_on),
		PLAYED(a_pause_is_answered_when_all_stands_still),
		PLAYED(one_that_stops_is_not_paused),
		PLAYED(whoever_waits_for_the_end_is_told),
		PLAYED(a_client_that_goes_is_forgotten),
		PLAYED(devices_tell_and_live_keys_are_replaced),
		PLAYED(metrics_are_text),
		PLAYED(the_timeline_is_a_list),
		PLAYED(what_is_not_there_is_said),
		PLAYED(no_such_machine_is_said),
		PLAYED(a_machine_that_hangs_is_not_waited_for),
		PLAYED(no_answer_leads_the_client_astray),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
