/* SPDX-License-Identifier: MIT */
/* machine.c - AGENT_MOUNT, AGENT_NETWORK, AGENT_SHUTDOWN, AGENT_CLOCK: what concerns the machine as a whole. Called by channel.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/connection.h"
#include "agent/mounts.h"
#include "agent/network.h"
#include "agent/request.h"
#include "agent/server.h"
#include "agent/words.h"

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

void network_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char mac[32], host_name[256], what[256] = "network", **lists[4] = { NULL };
	struct network_wanted wanted = { .mac = mac, .host_name = host_name };
	size_t n;
	int err;

	agent_read_string(r, mac, sizeof mac);
	wanted.mtu = agent_read_u32(r);
	for (size_t i = 0; i < 4 && !r->failed; i++)
		lists[i] = words_read(r, 0, &n);
	agent_read_string(r, host_name, sizeof host_name);
	if (r->failed) {
		request_malformed(connection, number);
	} else if (!lists[0] || !lists[1] || !lists[2] || !lists[3]) {
		request_result(connection, number, ENOMEM, what);
	} else {
		wanted.addresses = lists[0];
		wanted.gateways = lists[1];
		wanted.nameservers = lists[2];
		wanted.search = lists[3];
		err = network_set(&wanted, what, sizeof what);
		request_result(connection, number, -err, what);
	}
	for (size_t i = 0; i < 4; i++)
		free(lists[i]);
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
