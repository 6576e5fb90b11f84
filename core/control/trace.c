/* SPDX-License-Identifier: MIT */
/* trace.c - see trace.h. Called by the verbs that write a trace. */
#include "core/control/trace.h"

#include <jansson.h>

char *trace_json(const struct timeline_event *events, size_t n, long pid)
{
	json_t *root = json_object(), *list = json_array();
	char *text = NULL;
	int failed = 0;

	for (size_t i = 0; i < n; i++) {
		const struct timeline_event *before = i ? &events[i - 1] : &events[i];
		json_t *event = json_object();

		failed |= json_object_set_new(event, "name", json_string(events[i].name));
		failed |= json_object_set_new(event, "cat", json_string("start"));
		failed |= json_object_set_new(event, "ph", json_string("X"));
		failed |= json_object_set_new(event, "ts", json_real((double)(before->ns - events[0].ns) / 1000));
		failed |= json_object_set_new(event, "dur", json_real((double)(events[i].ns - before->ns) / 1000));
		failed |= json_object_set_new(event, "pid", json_integer(pid));
		failed |= json_object_set_new(event, "tid", json_integer(pid));
		failed |= json_array_append_new(list, event);
	}
	failed |= json_object_set_new(root, "traceEvents", list);
	failed |= json_object_set_new(root, "displayTimeUnit", json_string("ms"));
	if (!failed)
		text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	return text;
}
