/* SPDX-License-Identifier: MIT */
/* info.c - AGENT_INFO: what the guest is and has. Called by channel.c. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "agent/connection.h"
#include "agent/request.h"
#include "agent/text-file.h"

#define INFO_MAX (256u << 10) /* mounts that do not fit are left out */

struct info {
	struct agent_writer w;
	uint32_t words;
};

/* Both or neither. */
static void add(struct info *info, const char *key, const char *value)
{
	const struct agent_writer before = info->w;

	agent_write_string(&info->w, key);
	agent_write_string(&info->w, value);
	if (info->w.failed)
		info->w = before;
	else
		info->words += 2;
}

__attribute__((format(printf, 3, 4))) static void add_text(struct info *info, const char *key, const char *format, ...)
{
	char value[256];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof value, format, args);
	va_end(args);
	add(info, key, value);
}

static void add_memory(struct info *info, const char *text, const char *name, const char *key)
{
	const char *at = strstr(text, name);

	if (at)
		add_text(info, key, "%llu", strtoull(at + strlen(name), NULL, 10) * 1024);
}

static void add_mounts(struct info *info)
{
	char *text, *rest, *line;

	if (text_file_read("/proc/mounts", INFO_MAX, &text))
		return;
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (*line)
			add(info, "mount", line);
	free(text);
}

static void add_all(struct info *info)
{
	char memory[4096];
	struct utsname name;
	struct timespec t;
	cpu_set_t cpus;

	if (uname(&name) == 0) {
		add(info, "kernel", name.release);
		add(info, "hostname", name.nodename);
	}
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
		add_text(info, "cpus", "%d", CPU_COUNT(&cpus));
	if (text_file_peek("/proc/meminfo", memory, sizeof memory) > 0) {
		add_memory(info, memory, "MemTotal:", "memory_total");
		add_memory(info, memory, "MemAvailable:", "memory_available");
	}
	clock_gettime(CLOCK_BOOTTIME, &t);
	add_text(info, "uptime", "%" PRIu64 ".%03u", (uint64_t)t.tv_sec, (unsigned)(t.tv_nsec / 1000000));
	clock_gettime(CLOCK_REALTIME, &t);
	add_text(info, "time", "%" PRIu64 ".%03u", (uint64_t)t.tv_sec, (unsigned)(t.tv_nsec / 1000000));
	add(info, "agent", "capsa-agent " CAPSA_VERSION);
	add_mounts(info);
}

void info_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	unsigned char *payload = malloc(INFO_MAX);
	struct info info = { .w = agent_writer_on(payload, INFO_MAX) };
	struct agent_writer count;

	(void)r;
	if (!payload) {
		request_result(connection, number, ENOMEM, "info");
		return;
	}
	agent_write_u32(&info.w, 0);
	agent_write_u32(&info.w, AGENT_STAGE_REQUEST);
	agent_write_string(&info.w, "");
	count = agent_writer_on(payload + info.w.used, 4);
	agent_write_u32(&info.w, 0);
	add_all(&info);
	agent_write_u32(&count, info.words);
	connection_send(connection, number, AGENT_RESULT, 0, payload, info.w.used);
	free(payload);
}
