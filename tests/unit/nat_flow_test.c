/* SPDX-License-Identifier: MIT */
/*
 * nat_flow_test.c - proves flow.h: the table finds what is in it and is bounded; verdicts are counted, logged, renewed.
 * In a network of its own, so that none of the addresses is the host's.
 */
#include "tests/unit/nat_guest.h"

#include <errno.h>

#include "plugins/net-nat/flow-log.h"
#include "plugins/net-nat/policy.h"
#include "tests/unit/nat_host.h"
#include "tests/unit/nat_namespace.h"

#define MANY 20000u

static struct nat_guest guest;
static unsigned denied, dropped;

static void deny(struct flow *flow)
{
	flows_remove(flow->nat->flows, flow);
	denied++;
}

static void drop(struct flow *flow)
{
	flows_remove(flow->nat->flows, flow);
	dropped++;
}

static const struct flow_kind kind = { .name = "test", .deny = deny, .drop = drop };

static struct flow_key key_of(uint16_t port, const char *far, uint16_t far_port)
{
	struct flow_key key = { .protocol = IPPROTO_TCP };

	assert_int_equal(net_address_parse(NAT_GUEST, &key.guest.address), 0);
	assert_int_equal(net_address_parse(far, &key.far.address), 0);
	key.guest.port = port;
	key.far.port = far_port;
	return key;
}

static int begin(struct flow *flow, uint16_t port, const char *far, uint16_t far_port)
{
	const struct flow_key key = key_of(port, far, far_port);

	memset(flow, 0, sizeof *flow);
	flow->kind = &kind;
	return flow_begin(guest.nat, &key, flow);
}

static void started(const char *options)
{
	denied = dropped = 0;
	nat_begin(&guest, options);
}

static void each_flow_is_found_by_its_whole_key(void **state)
{
	struct flow flow;
	struct flow_key key;

	(void)state;
	started("");
	assert_int_equal(begin(&flow, 1, "203.0.113.1", 80), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &flow), 0);
	assert_int_equal(flows_count(guest.nat->flows), 1);
	key = flow.key;
	assert_ptr_equal(flows_find(guest.nat->flows, &key), &flow);
	key.protocol = IPPROTO_UDP;
	assert_null(flows_find(guest.nat->flows, &key));
	key = key_of(2, "203.0.113.1", 80);
	assert_null(flows_find(guest.nat->flows, &key));
	key = key_of(1, "203.0.113.1", 81);
	assert_null(flows_find(guest.nat->flows, &key));
	key = key_of(1, "203.0.113.2", 80);
	assert_null(flows_find(guest.nat->flows, &key));
	flows_remove(guest.nat->flows, &flow);
	assert_null(flows_find(guest.nat->flows, &flow.key));
	assert_int_equal(flows_count(guest.nat->flows), 0);
	nat_end(&guest);
}

static void the_same_key_is_taken_once(void **state)
{
	struct flow first, second;

	(void)state;
	started("");
	assert_int_equal(begin(&first, 1, "203.0.113.1", 80), 0);
	assert_int_equal(begin(&second, 1, "203.0.113.1", 80), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &first), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &second), -EEXIST);
	flows_remove(guest.nat->flows, &first);
	nat_end(&guest);
}

static void very_many_come_and_go(void **state)
{
	struct flow *flows = calloc(MANY, sizeof *flows);

	(void)state;
	assert_non_null(flows);
	started("max_flows = 20000;");
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(begin(&flows[i], (uint16_t)i, "203.0.113.1", (uint16_t)(i >> 3)), 0);
		assert_int_equal(flows_insert(guest.nat->flows, &flows[i]), 0);
	}
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(flows_find(guest.nat->flows, &flows[i].key), &flows[i]);
	for (unsigned i = 0; i < MANY; i += 2)
		flows_remove(guest.nat->flows, &flows[i]);
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(flows_find(guest.nat->flows, &flows[i].key), i % 2 ? &flows[i] : NULL);
	assert_int_equal(nat_counter(&guest, "flows_opened"), MANY);
	nat_end(&guest);
	assert_int_equal(dropped, MANY / 2);
	free(flows);
}

static void one_more_than_max_flows_is_refused(void **state)
{
	struct flow flows[3];

	(void)state;
	started("max_flows = 2;");
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(begin(&flows[i], (uint16_t)i, "203.0.113.1", 80), 0);
		assert_int_equal(flows_insert(guest.nat->flows, &flows[i]), 0);
	}
	assert_int_equal(begin(&flows[2], 9, "203.0.113.1", 80), -EMFILE);
	assert_int_equal(nat_counter(&guest, "flows_refused"), 1);
	nat_turn(&guest);
	assert_non_null(strstr(guest.logged, "there are 2 flows; raise max_flows for more"));
	flows_remove(guest.nat->flows, &flows[0]);
	assert_int_equal(begin(&flows[2], 9, "203.0.113.1", 80), 0);
	nat_end(&guest);
}

static unsigned lines(const char *what)
{
	unsigned n = 0;

	nat_turn(&guest); /* what was logged comes along */

	for (const char *at = guest.logged; (at = strstr(at, what)); at++)
		n++;
	return n;
}

#define LOGGED                                                                                         \
	"policy = { rules = ( { action = \"log\"; cidr = \"203.0.113.0/24\"; }, "                      \
	"{ action = \"allow\"; cidr = \"203.0.113.0/24\"; port = 443; }, { action = \"deny\"; cidr = " \
	"\"203.0.113.0/24\"; } ); };"

static void a_log_rule_writes_one_line_a_flow(void **state)
{
	const char *at;
	struct flow flow;

	(void)state;
	started(LOGGED);
	assert_int_equal(begin(&flow, 40000, "203.0.113.34", 443), 0);
	assert_int_equal(lines("tcp 10.0.2.2:40000 -> 203.0.113.34:443 allowed by rule 2 ("), 1);
	/* Denied: the guest tries again, and is not written down again. */
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(begin(&flow, 40001, "203.0.113.34", 80), -EACCES);
	assert_int_equal(lines("tcp 10.0.2.2:40001 -> 203.0.113.34:80 denied by rule 3 ("), 1);
	assert_int_equal(nat_counter(&guest, "flows_denied"), 5);
	/* Whatever --quiet says. */
	assert_int_equal(guest.host->asked, 2);
	/* And for who comes later, the newest first. */
	at = strstr(nat_info_text(&guest), "\"log\":[{\"time\":\"20");
	assert_non_null(at);
	assert_non_null(strstr(at, "Z\",\"line\":\"tcp 10.0.2.2:40001 -> 203.0.113.34:80 denied by rule 3 ("));
	assert_true(strstr(at, "10.0.2.2:40001 ") < strstr(at, "10.0.2.2:40000 "));
	/* No rule asks for these. */
	assert_int_equal(begin(&flow, 40002, "198.51.100.34", 80), 0);
	assert_int_equal(lines("40002"), 0);
	nat_end(&guest);
}

static void a_flood_of_lines_is_left_out(void **state)
{
	struct flow flow;
	unsigned kept;

	(void)state;
	started(LOGGED);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(begin(&flow, (uint16_t)(1000 + i), "203.0.113.34", 80), -EACCES);
	assert_int_equal(lines("10.0.2.2:1201 "), 0);
	guest.logged[0] = '\0';
	nat_pass(&guest, 1000);
	assert_int_equal(begin(&flow, 5000, "203.0.113.34", 80), -EACCES);
	assert_int_equal(lines("10.0.2.2:5000 "), 1);
	assert_int_equal(lines("; 100 lines were left out"), 1);
	assert_int_equal(nat_counter(&guest, "flows_denied"), 301);
	/* So many are kept, whatever the guest does. */
	kept = 0;
	for (const char *at = strstr(nat_info_text(&guest), "\"log\":"); (at = strstr(at, "\"line\":")); at++)
		kept++;
	assert_int_equal(kept, FLOW_LOG_KEPT);
	nat_end(&guest);
}

static void new_rules_end_what_they_deny_and_nothing_else(void **state)
{
	struct flow kept, ended, inbound = { .kind = &kind };
	const struct flow_key peer = key_of(22, "203.0.113.7", 5000);

	(void)state;
	started("");
	assert_int_equal(begin(&kept, 1, "203.0.113.1", 443), 0);
	assert_int_equal(begin(&ended, 2, "203.0.113.1", 80), 0);
	assert_int_equal(flow_begin_inbound(guest.nat, &peer, &inbound), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &kept), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &ended), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &inbound), 0);
	assert_int_equal(
		nat_reconfigure(&guest,
	                        "policy = { default = \"deny\"; rules = ( { action = \"allow\"; port = 443; } ); };"),
		0);
	assert_int_equal(denied, 1);
	assert_null(flows_find(guest.nat->flows, &ended.key));
	assert_ptr_equal(flows_find(guest.nat->flows, &kept.key), &kept);
	assert_int_equal(kept.verdict.rule, 0);
	assert_ptr_equal(flows_find(guest.nat->flows, &peer), &inbound);
	nat_end(&guest);
	assert_int_equal(dropped, 2);
}

static void bytes_come_to_the_rule_that_let_them_through(void **state)
{
	struct policy_rule_info info;
	struct flow flow;

	(void)state;
	started("policy = { default = \"deny\"; rules = ( { action = \"allow\"; port = 443; } ); };");
	assert_int_equal(begin(&flow, 1, "203.0.113.1", 443), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &flow), 0);
	flow.tx_bytes = 100;
	flow.rx_bytes = 1000;
	flows_settle(guest.nat->flows);
	policy_describe(guest.nat->policy, 0, &info);
	assert_int_equal(info.flows, 1);
	assert_int_equal(info.bytes, 1100);
	flow.tx_bytes = 101;
	flows_remove(guest.nat->flows, &flow);
	policy_describe(guest.nat->policy, 0, &info);
	assert_int_equal(info.bytes, 1101);
	nat_end(&guest);
}

static void the_gateways_address_is_judged_as_the_hosts_loopback(void **state)
{
	struct in6_addr loopback;
	struct flow flow;

	(void)state;
	started("");
	assert_int_equal(begin(&flow, 1, NAT_GATEWAY, 80), -EACCES);
	nat_end(&guest);
	started(NAT_LOOPBACK_ALLOWED);
	assert_int_equal(begin(&flow, 1, NAT_GATEWAY, 80), 0);
	net_address_parse("127.0.0.1", &loopback);
	assert_true(net_same(&flow.real.address, &loopback));
	assert_int_equal(flow.real.port, 80);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_flow_is_found_by_its_whole_key),
		cmocka_unit_test(the_same_key_is_taken_once),
		cmocka_unit_test(very_many_come_and_go),
		cmocka_unit_test(one_more_than_max_flows_is_refused),
		cmocka_unit_test(a_log_rule_writes_one_line_a_flow),
		cmocka_unit_test(a_flood_of_lines_is_left_out),
		cmocka_unit_test(new_rules_end_what_they_deny_and_nothing_else),
		cmocka_unit_test(bytes_come_to_the_rule_that_let_them_through),
		cmocka_unit_test(the_gateways_address_is_judged_as_the_hosts_loopback),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
