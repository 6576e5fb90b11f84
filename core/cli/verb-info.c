/* SPDX-License-Identifier: MIT */
/* verb-info.c - `capsa info NAME`: what a running machine is, and how its start went. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/base/timeline.h"
#include "core/cli/machines.h"
#include "core/cli/verb.h"
#include "core/control/api-client.h"
#include "core/control/plot.h"
#include "core/control/trace.h"

enum { PATIENCE_MS = 10000 };

/* GET path, as JSON. NULL with err. */
static json_t *get(const char *name, const char *path, struct error *err)
{
	char *body = NULL;
	json_t *root;
	int status;

	if (api_call(name, "GET", path, PATIENCE_MS, &body, &status, err))
		return NULL;
	root = status == 200 ? json_loads(body, 0, NULL) : NULL;
	if (!root)
		error_set(err, EPROTO, "the machine \"%s\" gave no proper answer to GET %s (status %d)", name, path,
		          status);
	free(body);
	return root;
}

static size_t read_events(const json_t *list, struct timeline_event *out)
{
	size_t n = json_array_size(list);

	if (n > TIMELINE_MARKS_MAX)
		n = TIMELINE_MARKS_MAX;
	for (size_t i = 0; i < n; i++) {
		const json_t *event = json_array_get(list, i);

		snprintf(out[i].name, sizeof out[i].name, "%s", machines_text(event, "name"));
		out[i].ns = json_integer_value(json_object_get(event, "ts_ns"));
	}
	return n;
}

/* Takes over `text`; NULL: no memory. */
static int write_file(const char *path, char *text)
{
	FILE *f = text ? fopen(path, "we") : NULL;
	bool bad = !f;

	if (f) {
		bad = fputs(text, f) < 0;
		bad |= fclose(f) != 0;
	}
	if (bad)
		fail(EXIT_FAILED, "cannot write %s: %s", path, text ? strerror(errno) : "no memory");
	free(text);
	return bad ? EXIT_FAILED : EXIT_OK;
}

enum { INDENT = 9, FLOWS_SHOWN = 20 };

static void print_value(const char *key, json_t *value, int indent);

/* Plain members of an object, "a 1, b 2", on the line that has begun. */
static void print_members(json_t *object)
{
	const char *between = "";

	for (void *i = json_object_iter(object); i; i = json_object_iter_next(object, i)) {
		const json_t *value = json_object_iter_value(i);

		if (json_is_string(value) && json_string_value(value)[0])
			printf("%s%s %s", between, json_object_iter_key(i), json_string_value(value));
		else if (json_is_integer(value))
			printf("%s%s %" JSON_INTEGER_FORMAT, between, json_object_iter_key(i), json_integer_value(value));
		else
			continue;
		between = ", ";
	}
	putchar('\n');
}

/* What has parts goes one line each; a long list is cut, --json has all of it. */
static void print_list(const char *key, const json_t *list, int indent)
{
	const size_t n = json_array_size(list);
	const bool plain = n && json_is_string(json_array_get(list, 0));

	if (!n)
		return;
	printf("%*s%s%s", indent, "", key, plain ? " " : "\n");
	for (size_t i = 0; i < n && (plain || i < FLOWS_SHOWN); i++) {
		json_t *item = json_array_get(list, i);

		if (plain) {
			printf("%s%s", i ? ", " : "", json_is_string(item) ? json_string_value(item) : "...");
			continue;
		}
		printf("%*s", indent + 2, "");
		print_members(item);
	}
	if (plain)
		putchar('\n');
	else if (n > FLOWS_SHOWN)
		printf("%*s... and %zu more: --json\n", indent + 2, "", n - FLOWS_SHOWN);
}

static void print_value(const char *key, json_t *value, int indent)
{
	if (json_is_string(value)) {
		printf("%*s%s %s\n", indent, "", key, json_string_value(value));
	} else if (json_is_integer(value)) {
		printf("%*s%s %" JSON_INTEGER_FORMAT "\n", indent, "", key, json_integer_value(value));
	} else if (json_is_array(value)) {
		print_list(key, value, indent);
	} else if (json_is_object(value)) {
		printf("%*s%s\n", indent, "", key);
		for (void *i = json_object_iter(value); i; i = json_object_iter_next(value, i))
			print_value(json_object_iter_key(i), json_object_iter_value(i), indent + 2);
	}
}

static void print_device(const json_t *device)
{
	json_t *info = json_object_get(device, "info");

	printf("device   %s: %s\n", machines_text(device, "name"), machines_text(device, "plugin"));
	for (void *i = info ? json_object_iter(info) : NULL; i; i = json_object_iter_next(info, i))
		print_value(json_object_iter_key(i), json_object_iter_value(i), INDENT);
}

static void print_text(const json_t *vm, const struct timeline_event *events, size_t n)
{
	const json_t *devices = json_object_get(vm, "devices"), *vsock = json_object_get(vm, "vsock");
	double paused = json_number_value(json_object_get(vm, "paused_seconds"));
	char buf[32];

	printf("name     %s\n", machines_text(vm, "name"));
	printf("pid      %" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(vm, "pid")));
	printf("state    %s\n", machines_text(vm, "state"));
	printf("uptime   %s\n",
	       machines_duration(json_number_value(json_object_get(vm, "uptime_seconds")), buf, sizeof buf));
	if (paused > 0)
		printf("paused   %s of that\n", machines_duration(paused, buf, sizeof buf));
	printf("cpus     %" JSON_INTEGER_FORMAT "\n", json_integer_value(json_object_get(vm, "cpus")));
	printf("memory   %s\n",
	       text_format_size((uint64_t)json_integer_value(json_object_get(vm, "memory")), buf, sizeof buf));
	printf("kernel   %s\n", machines_text(vm, "kernel"));
	printf("cmdline  %s\n", machines_text(vm, "cmdline"));
	if (vsock)
		printf("vsock    CID %" JSON_INTEGER_FORMAT ", %s\n", json_integer_value(json_object_get(vsock, "cid")),
		       machines_text(vsock, "socket"));
	printf("agent    %s\n", machines_text(vm, "agent"));
	for (size_t i = 0; i < json_array_size(devices); i++)
		print_device(json_array_get(devices, i));
	for (size_t i = 0; i < n; i++)
		printf("%s %9.2f ms  %s\n", i ? "        " : "start   ", (double)(events[i].ns - events[0].ns) / 1e6,
		       events[i].name);
}

struct options {
	const char *name;
	const char *plot, *trace; /* files to write, or NULL */
	bool json;
};

static int info(const struct options *o)
{
	struct timeline_event events[TIMELINE_MARKS_MAX];
	struct error err = { "" };
	json_t *vm = get(o->name, "/vm", &err), *timeline = NULL, *devices = NULL;
	int status = EXIT_OK;
	char title[128];
	long pid;
	size_t n;

	if (vm)
		devices = get(o->name, "/devices", &err);
	if (devices)
		timeline = get(o->name, "/vm/timeline", &err);
	if (devices) /* the same, with what each tells of itself */
		json_object_set_new(vm, "devices", devices);
	if (!timeline) {
		status = fail(EXIT_FAILED, "%s", err.text);
		goto out;
	}
	n = read_events(timeline, events);
	pid = (long)json_integer_value(json_object_get(vm, "pid"));
	snprintf(title, sizeof title, "Start of %s", o->name);
	if (o->plot)
		status = write_file(o->plot, plot_svg(title, events, n));
	if (o->trace && status == EXIT_OK)
		status = write_file(o->trace, trace_json(events, n, pid));
	if (status != EXIT_OK)
		goto out;
	if (o->json) {
		json_object_set_new(vm, "timeline", timeline);
		timeline = NULL;
		status = machines_print_json(vm);
		vm = NULL;
	} else if (!o->plot && !o->trace) {
		print_text(vm, events, n);
	}
out:
	json_decref(timeline);
	json_decref(vm);
	return status;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "plot", required_argument, NULL, 'p' },
		{ "trace", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	struct options o = { 0 };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			o.json = true;
			break;
		case 'p':
			o.plot = optarg;
			break;
		case 't':
			o.trace = optarg;
			break;
		default:
			return verb_usage(&verb_info, "info knows --json, --plot FILE.svg and --trace FILE.json");
		}
	}
	if (argc - optind != 1)
		return verb_usage(&verb_info, "info needs the name of one machine (capsa ls)");
	o.name = argv[optind];
	return info(&o);
}

const struct verb verb_info = {
	.name = "info",
	.arguments = "NAME [--json] [--plot FILE.svg] [--trace FILE.json]",
	.summary = "tell what a running machine is, and how its start went",
	.help = "\n"
		"  --json             for programs\n"
		"  --plot FILE.svg    draws the start as a picture\n"
		"  --trace FILE.json  writes it for chrome://tracing and Perfetto\n",
	.run = run,
};
