/* SPDX-License-Identifier: MIT */
/* machine.c - AGENT_MOUNT, AGENT_SHUTDOWN, AGENT_CLOCK: what concerns the machine as a whole. Called by channel.c. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/connection.h"
#include "agent/mounts.h"
#include "agent/request.h"
#include "agent/server.h"

#define NANOSECONDS 1000000000

void mount_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char source[REQUEST_PATH_MAX], target[REQUEST_PATH_MAX], type[64], options[REQUEST_PATH_MAX],
		fallback[REQUEST_PATH_MAX] = "";
	struct mount_wanted wanted = { .source = source, .target = target, .type = type, .options = options, .fallback = fallback };
	const char *what = target;
	bool fell_back = false;
	int err;

	agent_read_string(r, source, sizeof source);
	agent_read_string(r, target, sizeof target);
	agent_read_string(r, type, sizeof type);
	agent_read_string(r, options, sizeof options);
	if (!r->failed && r->left > 0)
		wanted.flags = agent_read_u32(r);
	if (!r->failed && r->left > 0)
		agent_read_string(r, fallback, sizeof fallback);
	if (r->failed || !*target) {
		request_malformed(connection, number);
		return;
	}
	err = mounts_add(&wanted, &what, &fell_back);
	if (err)
		request_result(connection, number, -err, what);
	else
		request_done_with(connection, number, fell_back);
}

void shutdown_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	struct shutdown_order order = { .mode = agent_read_u32(r), .grace_ms = agent_read_u32(r) };

	if (r->failed) {
		request_malformed(connection, number);
	} else if (order.mode != AGENT_POWER_OFF && order.mode != AGENT_REBOOT) {
		request_result(connection, number, EINVAL, "shutdown");
	} else if (connection->server->to_init < 0) {
		request_result(connection, number, EPERM, "this agent has no init that could end the machine");
	} else {
		request_result(connection, number, 0, "");
		server_order_shutdown(connection->server, connection, &order);
	}
}

void clock_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	const int64_t ns = (int64_t)agent_read_u64(r);
	const struct timespec t = { .tv_sec = ns / NANOSECONDS, .tv_nsec = ns % NANOSECONDS };

	if (r->failed)
		request_malformed(connection, number);
	else
		request_result(connection, number, clock_settime(CLOCK_REALTIME, &t) ? errno : 0, "clock");
}
