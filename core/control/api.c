/* SPDX-License-Identifier: MIT */
/*
 * api.c - see api.h: a table of methods and paths, and a function for each. Called by core/vm.
 *
 * Two requests are answered later: GET /vm/end when the machine has ended, PUT /vm/pause when its vCPUs stand still.
 * They wait in a list, each with the kind of news that it waits for.
 */
#include "core/control/api.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/base/path.h"
#include "core/control/http.h"

enum { FLUSH_MS = 1000 };

enum news { NEWS_PAUSED, NEWS_ENDED };

struct waiter {
	LIST_ENTRY(waiter) link;
	struct http_exchange *exchange;
	enum news news;
};

struct api {
	struct api_machine machine;
	struct http_server *server;
	LIST_HEAD(, waiter) waiters;
};

struct route {
	const char *method, *path;
	void (*call)(struct api *api, struct http_exchange *exchange);
};

/* ---- answers ---- */

static void set_text(json_t *object, const char *key, const char *text)
{
	json_t *value = json_string(text);

	json_object_set_new(object, key, value ? value : json_string("(not UTF-8)"));
}

/* Takes over `root`. */
static void answer_json(struct http_exchange *x, int status, json_t *root, const char *allow)
{
	static const char broken[] = "{\"error\": \"no memory, or libjansson.so.4 is not installed\"}\n";
	char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(root);
	if (text) {
		text[len] = '\n'; /* in place of the NUL */
		http_answer(x, status, "application/json", text, len + 1, allow);
		free(text);
	} else {
		http_answer(x, 500, "application/json", broken, sizeof broken - 1, NULL);
	}
}

static void answer_error(struct http_exchange *x, int status, const char *text, const char *allow)
{
	json_t *root = json_object();

	set_text(root, "error", text);
	answer_json(x, status, root, allow);
}

static void answer_state(struct api *api, struct http_exchange *x, int status)
{
	struct api_description d = { 0 };
	json_t *root = json_object();

	api->machine.describe(api->machine.ctx, &d);
	set_text(root, "state", api_state_name(d.state));
	answer_json(x, status, root, NULL);
}

const char *api_state_name(enum api_state state)
{
	static const char *const names[] = {
		[API_STARTING] = "starting",
		[API_RUNNING] = "running",
		[API_PAUSED] = "paused",
		[API_STOPPING] = "stopping",
	};

	return names[state];
}

/* ---- requests ---- */

static void wait_for(struct api *api, struct http_exchange *x, enum news news)
{
	struct waiter *w = calloc(1, sizeof *w);

	if (!w) {
		answer_error(x, 500, "no memory", NULL);
		return;
	}
	w->exchange = x;
	w->news = news;
	LIST_INSERT_HEAD(&api->waiters, w, link);
}

/* The next exchange that waits for the news, which waits no more; NULL: none. */
static struct http_exchange *take(struct api *api, enum news news)
{
	struct waiter *w;

	for (w = LIST_FIRST(&api->waiters); w; w = LIST_NEXT(w, link)) {
		struct http_exchange *x = w->exchange;

		if (w->news != news)
			continue;
		LIST_REMOVE(w, link);
		free(w);
		return x;
	}
	return NULL;
}

static json_t *devices_json(const struct api *api, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const char *name, *plugin;
		json_t *entry = json_object();

		api->machine.device(api->machine.ctx, i, &name, &plugin);
		set_text(entry, "name", name);
		set_text(entry, "plugin", plugin);
		json_array_append_new(list, entry);
	}
	return list;
}

static void get_vm(struct api *api, struct http_exchange *x)
{
	struct api_description d = { 0 };
	json_t *root = json_object(), *vsock;

	api->machine.describe(api->machine.ctx, &d);
	set_text(root, "name", d.name);
	json_object_set_new(root, "pid", json_integer(d.pid));
	set_text(root, "state", api_state_name(d.state));
	json_object_set_new(root, "cpus", json_integer(d.cpus));
	json_object_set_new(root, "memory", json_integer((json_int_t)d.memory));
	set_text(root, "kernel", d.kernel);
	set_text(root, "cmdline", d.cmdline);
	json_object_set_new(root, "uptime_seconds", json_real(d.uptime));
	json_object_set_new(root, "paused_seconds", json_real(d.paused));
	json_object_set_new(root, "devices", devices_json(api, d.n_devices));
	if (d.vsock_cid) {
		vsock = json_object();
		json_object_set_new(vsock, "cid", json_integer((json_int_t)d.vsock_cid));
		if (d.vsock_socket)
			set_text(vsock, "socket", d.vsock_socket);
		json_object_set_new(root, "vsock", vsock);
	}
	set_text(root, "agent", d.agent);
	answer_json(x, 200, root, NULL);
}

/* ---- devices ---- */

/* One of the list that GET /devices is. NULL with err. */
static json_t *device_json(struct api *api, size_t index, struct error *err)
{
	const char *name, *plugin;
	json_t *entry, *info = NULL;

	api->machine.device(api->machine.ctx, index, &name, &plugin);
	if (api->machine.device_info) {
		info = api->machine.device_info(api->machine.ctx, index, err);
		if (!info)
			return NULL;
	}
	entry = json_object();
	set_text(entry, "name", name);
	set_text(entry, "plugin", plugin);
	json_object_set_new(entry, "info", info ? info : json_object());
	if (api->machine.device_queues)
		json_object_set_new(entry, "queues", api->machine.device_queues(api->machine.ctx, index));
	return entry;
}

static void get_devices(struct api *api, struct http_exchange *x)
{
	struct api_description d = { 0 };
	struct error err = { "" };
	json_t *list = json_array(), *entry;

	api->machine.describe(api->machine.ctx, &d);
	for (size_t i = 0; i < d.n_devices; i++) {
		entry = device_json(api, i, &err);
		if (!entry) {
			json_decref(list);
			answer_error(x, 500, err.text, NULL);
			return;
		}
		json_array_append_new(list, entry);
	}
	answer_json(x, 200, list, NULL);
}

static void get_device(struct api *api, struct http_exchange *x, const char *device)
{
	struct api_description d = { 0 };
	struct error err = { "" };
	const char *name, *plugin;
	json_t *entry;

	api->machine.describe(api->machine.ctx, &d);
	for (size_t i = 0; i < d.n_devices; i++) {
		api->machine.device(api->machine.ctx, i, &name, &plugin);
		if (strcmp(name, device) != 0)
			continue;
		entry = device_json(api, i, &err);
		if (entry)
			answer_json(x, 200, entry, NULL);
		else
			answer_error(x, 500, err.text, NULL);
		return;
	}
	answer_error(x, 404, "the machine has no such device: see GET /devices", NULL);
}

static void put_key(struct api *api, struct http_exchange *x, const char *device, const char *key)
{
	struct error err = { "" };
	json_t *root;
	size_t len;
	const char *body = http_body(x, &len);
	int rc = api->machine.device_set ? api->machine.device_set(api->machine.ctx, device, key, body, len, &err)
	                                 : error_set(&err, ENOENT, "the machine has no such device");

	switch (rc) {
	case 0:
		root = json_object();
		set_text(root, "device", device);
		set_text(root, "key", key);
		answer_json(x, 200, root, NULL);
		break;
	case -ENOENT:
		answer_error(x, 404, err.text, NULL);
		break;
	case -EPERM:
	case -EBUSY:
		answer_error(x, 409, err.text, NULL);
		break;
	case -EINVAL:
		answer_error(x, 400, err.text, NULL);
		break;
	default:
		answer_error(x, 500, err.text, NULL);
	}
}

/* /devices/NAME, /devices/NAME/KEY: `rest` is what stands behind the second slash. */
static void device_request(struct api *api, struct http_exchange *x, const char *rest)
{
	const char *slash = strchr(rest, '/'), *key = slash ? slash + 1 : NULL;
	const bool get = strcmp(http_method(x), "GET") == 0;
	char *device = strndup(rest, slash ? (size_t)(slash - rest) : strlen(rest));

	if (!device)
		answer_error(x, 500, "no memory", NULL);
	else if (key && (!*key || strchr(key, '/')))
		answer_error(x, 404, "no such path: see capsa-api(7)", NULL);
	else if (key && strcmp(http_method(x), "PUT") == 0)
		put_key(api, x, device, key);
	else if (!key && get)
		get_device(api, x, device);
	else
		answer_error(x, 405, "this path has another method", key ? "PUT" : "GET, HEAD");
	free(device);
}

static void get_end(struct api *api, struct http_exchange *x)
{
	wait_for(api, x, NEWS_ENDED);
}

static void get_timeline(struct api *api, struct http_exchange *x)
{
	struct timeline_event events[TIMELINE_MARKS_MAX];
	size_t n = timeline_read(api->machine.timeline, events);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *event = json_object();

		set_text(event, "name", events[i].name);
		json_object_set_new(event, "ts_ns", json_integer(events[i].ns));
		json_array_append_new(list, event);
	}
	answer_json(x, 200, list, NULL);
}

static void get_metrics(struct api *api, struct http_exchange *x)
{
	struct metrics *metrics = metrics_new();
	char *text = NULL;
	size_t len;

	if (metrics) {
		api->machine.metrics(api->machine.ctx, metrics);
		text = metrics_text(metrics, &len);
	}
	if (text)
		http_answer(x, 200, METRICS_TYPE, text, len, NULL);
	else
		answer_error(x, 500, "no memory", NULL);
	free(text);
	metrics_free(metrics);
}

static void put_poweroff(struct api *api, struct http_exchange *x)
{
	api->machine.poweroff(api->machine.ctx);
	answer_state(api, x, 202);
}

static void put_kill(struct api *api, struct http_exchange *x)
{
	api->machine.kill(api->machine.ctx);
	answer_state(api, x, 202);
}

static void put_pause(struct api *api, struct http_exchange *x)
{
	struct error err = { "" };

	wait_for(api, x, NEWS_PAUSED);
	if (!api->machine.pause(api->machine.ctx, &err))
		return;
	while ((x = take(api, NEWS_PAUSED)))
		answer_error(x, 409, err.text, NULL);
}

static void put_resume(struct api *api, struct http_exchange *x)
{
	struct error err = { "" };

	if (api->machine.resume(api->machine.ctx, &err))
		answer_error(x, 409, err.text, NULL);
	else
		answer_state(api, x, 200);
}

static const struct route routes[] = {
	{ "GET", "/vm", get_vm },
	{ "GET", "/vm/end", get_end },
	{ "GET", "/vm/timeline", get_timeline },
	{ "PUT", "/vm/poweroff", put_poweroff },
	{ "PUT", "/vm/kill", put_kill },
	{ "PUT", "/vm/pause", put_pause },
	{ "PUT", "/vm/resume", put_resume },
	{ "GET", "/metrics", get_metrics },
	{ "GET", "/devices", get_devices },
};

static void request(void *ctx, struct http_exchange *x)
{
	static const char devices[] = "/devices/";
	const char *allow = NULL;

	if (strncmp(http_path(x), devices, sizeof devices - 1) == 0) {
		device_request(ctx, x, http_path(x) + sizeof devices - 1);
		return;
	}
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		if (strcmp(routes[i].path, http_path(x)) != 0)
			continue;
		if (strcmp(routes[i].method, http_method(x)) == 0) {
			routes[i].call(ctx, x);
			return;
		}
		allow = strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : routes[i].method;
	}
	if (allow)
		answer_error(x, 405, "this path has another method", allow);
	else
		answer_error(x, 404, "no such path: see capsa-api(7)", NULL);
}

static void gone(void *ctx, struct http_exchange *x)
{
	struct api *api = ctx;
	struct waiter *w;

	for (w = LIST_FIRST(&api->waiters); w; w = LIST_NEXT(w, link)) {
		if (w->exchange != x)
			continue;
		LIST_REMOVE(w, link);
		free(w);
		return;
	}
}

/* ---- for the machine ---- */

int api_open(struct reactor *reactor, const char *folder, const struct api_machine *machine, struct api **out,
             struct error *err)
{
	struct api *api = calloc(1, sizeof *api);
	char *path = path_join(folder, API_SOCKET);
	struct http_setup setup = {
		.reactor = reactor,
		.path = path,
		.timeout_ms = HTTP_TIMEOUT_MS,
		.request = request,
		.gone = gone,
		.ctx = api,
	};
	int rc;

	if (!api || !path) {
		rc = error_set(err, ENOMEM, "no memory for the control socket");
		goto fail;
	}
	api->machine = *machine;
	LIST_INIT(&api->waiters);
	rc = http_server_open(&setup, &api->server, err);
	if (rc)
		goto fail;
	free(path);
	*out = api;
	return 0;

fail:
	free(path);
	free(api);
	return rc;
}

void api_paused(struct api *api)
{
	struct http_exchange *x;

	while ((x = take(api, NEWS_PAUSED)))
		answer_state(api, x, 200);
}

void api_deafen(struct api *api)
{
	http_server_deafen(api->server);
}

const char *api_end_name(enum api_end end)
{
	static const char *const names[] = {
		[API_POWERED_OFF] = "powered-off", [API_RESET] = "reset",   [API_PANICKED] = "panicked",
		[API_FAILED] = "failed",           [API_KILLED] = "killed",
	};

	return names[end];
}

void api_ended(struct api *api, enum api_end end, const char *text)
{
	char *console = api->machine.console ? api->machine.console(api->machine.ctx) : NULL;
	struct http_exchange *x;

	while ((x = take(api, NEWS_PAUSED)))
		answer_error(x, 409, "the machine has ended", NULL);
	while ((x = take(api, NEWS_ENDED))) {
		json_t *root = json_object();

		set_text(root, "end", api_end_name(end));
		set_text(root, "text", text);
		set_text(root, "console", console ? console : "");
		answer_json(x, 200, root, NULL);
	}
	free(console);
	http_server_flush(api->server, FLUSH_MS);
}

void api_close(struct api *api)
{
	struct waiter *w;

	if (!api)
		return;
	http_server_close(api->server);
	while ((w = LIST_FIRST(&api->waiters))) {
		LIST_REMOVE(w, link);
		free(w);
	}
	free(api);
}
