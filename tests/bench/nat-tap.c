/* SPDX-License-Identifier: MIT */
/*
 * nat-tap.c - net-tap.c with net-nat. On SIGUSR1 it says how many flows there are, how many sockets they have, and how
 * long info() takes: "flows N sockets N info_us N".
 */
#include <stdio.h>
#include <time.h>

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/nat.h"
#include "tests/bench/net-tap.h"

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void say_flows(struct nat_host *host)
{
	const struct nat *nat = host->self;
	const uint64_t begin = now_us();

	nat_host_info(host);
	printf("flows %u sockets %u info_us %llu\n", flows_count(nat->flows), sockets_count(nat->sockets),
	       (unsigned long long)(now_us() - begin));
	fflush(stdout);
}

static void set_up(const struct nat_host *host, const char *interface, char *line, size_t size)
{
	const struct nat *nat = host->self;
	char a[NET_ADDRESS_TEXT], b[NET_ADDRESS_TEXT];
	int n;

	n = snprintf(line, size, "ip link set lo up; ip addr add %s/%u dev %s && ip route add default via %s",
	             net_address_text(&nat->guest4, a), nat->options.subnet.bits - 96, interface,
	             net_address_text(&nat->gateway4, b));
	if (nat->ipv6)
		snprintf(line + n, size - (size_t)n,
		         " && ip addr add %s/64 dev %s nodad && ip -6 route replace default via %s dev %s",
		         net_address_text(&nat->guest6, a), interface, net_address_text(&nat->gateway6, b), interface);
}

const struct net_tap_plugin net_tap_plugin = { .options = "queues = 1;", .set_up = set_up, .say = say_flows };
