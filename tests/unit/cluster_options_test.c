/* SPDX-License-Identifier: MIT */
/* cluster_options_test.c - cluster-switch's keys: what is refused, what a member says of itself, what info() tells. */
#include "tests/unit/cluster_card_case.h"

#include <errno.h>

#include "plugins/cluster-switch/options.h"

static void what_cannot_be_is_refused_with_the_key_in_front(void **state)
{
	static const struct {
		const char *options, *words;
	} cases[] = {
		{ "address = \"10.0.3.11\";", "address \"10.0.3.11\" is no IPv4 address with its network" },
		{ "address = \"fd00::1/64\";", "is no IPv4 address with its network" },
		{ "address = \"10.0.3.0/24\";", "address \"10.0.3.0/24\" is the network's own" },
		{ "address = \"10.0.3.1/24\";", "the gateway's" },
		{ "address = \"10.0.3.255/24\";", "everybody's" },
		{ "address = \"10.0.3.2/31\";", "the network is too small" },
		{ "address = \"127.0.0.5/24\";", "has another meaning" },
		{ "address = \"10.0.3.11/24\"; subnet = \"10.0.4.0/24\";", "of another network than `subnet`" },
		{ "address = \"10.0.3.11/24\"; subnet = \"10.0.0.0/16\";", "of another network than `subnet`" },
		{ "subnet = \"10.0.3.5/24\";", "subnet \"10.0.3.5/24\" is no IPv4 network" },
		{ "subnet = \"fd00::/64\";", "subnet \"fd00::/64\" is no IPv4 network" },
		{ "subnet = \"10.0.0.0/7\";", "subnet" },
		{ "subnet = \"10.0.0.0/31\";", "too small" },
		{ "subnet = \"224.0.0.0/8\";", "has another meaning" },
		{ "subnet6 = \"fd00::/48\";", "subnet6 \"fd00::/48\" is no IPv6 network of 64 bits" },
		{ "subnet6 = \"fe80::/64\";", "has another meaning" },
		{ "mac = \"52:54:00:12:34\";", "mac \"52:54:00:12:34\" is no hardware address" },
		{ "mac = \"01:54:00:12:34:56\";", "is no address of one card" },
		{ "mac = \"00:00:00:00:00:00\";", "is no address of one card" },
		{ "mtu = 1000;", "mtu" },
		{ "rate = 10;", "rate is too low" },
		{ "rate = -1;", "rate" },
		{ "queues = 9;", "queues" },
		{ "host_name = \"-a\";", "host_name \"-a\" is none" },
		{ "host_name = \"a..b\";", "host_name \"a..b\" is none" },
		{ "host_name = \"\";", "host_name \"\" is none" },
		{ "peers = ( 1 );", "peers: each entry is a name in quotes" },
		{ "peers = ( \"vm1\", \"a b\" );", "peers: \"a b\" is no name" },
		{ "peers = ( \"\" );", "peers: \"\" is no name" },
		{ "uplink = \"gre:1@192.0.2.1,192.0.2.2\";", "uplink: " },
		{ "forward = [ \"8080:80\" ];", "forward is for what is outside, and the guest has no way there" },
		{ "dns = [ \"192.0.2.53\" ];", "add nat = true" },
		{ "nat = true; forward = [ \"8080\" ];", "forward \"8080\"" },
		{ "nat = true; dns = [ \"none\" ];", "dns: \"none\" is no name server" },
		{ "search = [ \"a b\" ];", "search: \"a b\" is no domain" },
		{ "max_flows = 0;", "max_flows" },
		{ "policy = { rules = ( { action = \"perhaps\"; } ); };", "action" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct card_case c = { .refusal = NULL };

		if (case_try(&c, cases[i].options) == 0)
			fail_msg("%s: taken", cases[i].options);
		if (!strstr(c.host.error, cases[i].words))
			fail_msg("%s: %s", cases[i].options, c.host.error);
		case_end(&c);
	}
}

static void cluster_is_a_name_and_must_be_there(void **state)
{
	static const char *const names[] = { "../other", "", "a/b", ".hidden", "a b" };

	(void)state;
	assert_true(cluster_switch_keys[0].required);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct card_case c = { .cluster = names[i] };

		assert_int_equal(case_try(&c, ""), -1);
		assert_non_null(strstr(c.host.error, "is no name"));
		case_end(&c);
	}
}

static void too_many_peers_are_refused(void **state)
{
	static struct capsa_value items[CLUSTER_PEERS_MAX + 1];
	struct bridge_port_options port = { .has_peers = true, .n_peers = 1, .peers = { "before" } };
	struct capsa_value value = { .type = CAPSA_TYPE_LIST, .items = items, .n_items = CLUSTER_PEERS_MAX + 1 };
	char cause[256] = "";

	(void)state;
	for (unsigned i = 0; i < CLUSTER_PEERS_MAX + 1; i++)
		items[i] = (struct capsa_value){ .type = CAPSA_TYPE_STRING, .string = "vm1" };
	assert_int_equal(cluster_options_read_peers(&port, &value, cause, sizeof cause), -EINVAL);
	assert_non_null(strstr(cause, "at most 64"));
	assert_int_equal(port.n_peers, 1);
	assert_string_equal(port.peers[0], "before");
	value.n_items = CLUSTER_PEERS_MAX;
	assert_int_equal(cluster_options_read_peers(&port, &value, cause, sizeof cause), 0);
	assert_int_equal(port.n_peers, CLUSTER_PEERS_MAX);
}

static void without_keys_it_asks_for_a_lease_as_the_others_have_it(void **state)
{
	struct card_case c = { .refusal = NULL };
	unsigned char mac[ETH_ALEN];

	(void)state;
	assert_int_equal(case_try(&c, ""), 0);
	assert_string_equal(c.hello.port.name, "box");
	nic_mac_of("box", "net0", mac);
	assert_memory_equal(c.hello.port.mac, mac, ETH_ALEN);
	assert_memory_equal(c.host.space, mac, ETH_ALEN);
	assert_true(IN6_IS_ADDR_UNSPECIFIED(&c.hello.port.address));
	assert_int_equal(c.hello.fixed, 0);
	assert_int_equal(c.hello.subnet.bits, 0);
	assert_int_equal(c.hello.subnet6.bits, 64);
	assert_int_equal(c.hello.port.rate, 0);
	assert_false(c.hello.port.any_source);
	assert_false(c.hello.port.has_peers);
	assert_string_equal(c.hello.uplink, "");
	case_end(&c);
}

static void all_that_others_must_know_is_said(void **state)
{
	struct card_case c = { .refusal = NULL };
	char text[NET_PREFIX_TEXT];

	(void)state;
	assert_int_equal(case_try(&c, "address = \"10.7.0.11/16\"; mac = \"52:54:00:12:34:56\"; ipv6 = false; "
	                              "spoof = true; rate = \"10M\"; peers = ( \"vm1\", \"vm2\" ); "
	                              "uplink = \"vxlan:42@192.0.2.1,192.0.2.2\"; nat = true;"),
	                 0);
	assert_string_equal(net_address_text(&c.hello.port.address, text), "10.7.0.11");
	assert_int_equal(c.hello.fixed, 1);
	assert_string_equal(net_prefix_text(&c.hello.subnet, text), "10.7.0.0/16");
	assert_int_equal(c.hello.subnet6.bits, 0);
	assert_memory_equal(c.hello.port.mac, "\x52\x54\x00\x12\x34\x56", ETH_ALEN);
	assert_true(c.hello.port.any_source);
	assert_int_equal(c.hello.port.rate, 10 << 20);
	assert_true(c.hello.port.has_peers);
	assert_int_equal(c.hello.port.n_peers, 2);
	assert_string_equal(c.hello.port.peers[1], "vm2");
	assert_string_equal(c.hello.uplink, "vxlan:42@192.0.2.1,192.0.2.2");
	case_end(&c);
}

static void who_is_refused_hears_why_when_the_machine_starts(void **state)
{
	struct card_case c = { .refusal = "'box' and 'vm2' both want 10.0.3.11" };

	(void)state;
	assert_int_equal(case_try(&c, ""), -1);
	assert_string_equal(c.host.error, "cluster \"lab\": 'box' and 'vm2' both want 10.0.3.11");
	case_end(&c);
}

static void why_there_is_no_folder_is_not_said_in_other_words(void **state)
{
	struct card_case c = { .has_no_folder = true };

	(void)state;
	assert_int_equal(case_try(&c, ""), -1);
	assert_string_equal(c.host.error, "the run-time folder is another user's");
	case_end(&c);
}

static void peers_change_while_the_machine_runs(void **state)
{
	static const struct capsa_value items[] = { { .type = CAPSA_TYPE_STRING, .string = "vm3" } };
	const struct capsa_value one = { .type = CAPSA_TYPE_LIST, .items = items, .n_items = 1 };
	const struct capsa_value nobody = { .type = CAPSA_TYPE_LIST };
	const struct capsa_value bad_items[] = { { .type = CAPSA_TYPE_INT } };
	const struct capsa_value bad = { .type = CAPSA_TYPE_LIST, .items = bad_items, .n_items = 1 };
	const struct capsa_value all = { .type = CAPSA_TYPE_NONE };
	struct card_case c = { .refusal = NULL };

	(void)state;
	case_begin(&c, "rate = \"1M\"; peers = ( \"vm1\", \"vm2\" );", UINT64_MAX);
	assert_int_equal(case_reconfigure(&c, "peers", &one), 0);
	assert_int_equal(c.n_changes, 1);
	assert_int_equal(c.changed.n_peers, 1);
	assert_string_equal(c.changed.peers[0], "vm3");
	assert_int_equal(c.changed.rate, 1 << 20);
	assert_int_equal(case_reconfigure(&c, "peers", &bad), -1);
	assert_int_equal(c.n_changes, 1);
	assert_int_equal(case_reconfigure(&c, "peers", &nobody), 0);
	assert_true(c.changed.has_peers);
	assert_int_equal(c.changed.n_peers, 0);
	assert_int_equal(case_reconfigure(&c, "peers", &all), 0);
	assert_false(c.changed.has_peers);
	case_end(&c);
}

static void info_tells_who_it_is_and_who_is_there(void **state)
{
	struct card_case c = { .refusal = NULL };

	(void)state;
	case_begin(&c, "mac = \"52:54:00:12:34:56\"; host_name = \"db\"; mtu = 9000;", UINT64_MAX);
	assert_string_equal(nat_host_info(&c.host),
	                    "{\"network\":{\"mac\":\"52:54:00:12:34:56\",\"host_name\":\"db\",\"mtu\":9000,"
	                    "\"addresses\":[\"10.0.3.11/24\",\"fd00:ca:b5b::b/64\"],"
	                    "\"gateways\":[],\"nameservers\":[\"10.0.3.1\",\"fd00:ca:b5b::1\"],"
	                    "\"search\":[\"lab.cluster\"]},\"link\":\"up\",\"published\":[],\"names\":0,"
	                    "\"policy\":[{\"rule\":\"ground rules\",\"flows\":0,\"bytes\":0},"
	                    "{\"rule\":\"default allow\",\"flows\":0,\"bytes\":0}],"
	                    "\"flow_count\":0,\"flows\":[],\"log\":[],"
	                    "\"cluster\":{\"name\":\"lab\",\"state\":\"joined\",\"address\":\"10.0.3.11/24\","
	                    "\"joins\":1,\"members\":["
	                    "{\"name\":\"box\",\"address\":\"10.0.3.11\",\"address6\":\"fd00:ca:b5b::b\"},"
	                    "{\"name\":\"vm2\",\"address\":\"10.0.3.12\"}]}}");
	case_switch_goes(&c);
	assert_non_null(strstr(nat_host_info(&c.host), "\"state\":\"waiting for a switch\""));
	assert_non_null(strstr(nat_host_info(&c.host), "\"addresses\":[\"10.0.3.11/24\",\"fd00:ca:b5b::b/64\"]"));
	case_switch_comes(&c);
	assert_non_null(strstr(nat_host_info(&c.host), "\"state\":\"joined\""));
	assert_non_null(strstr(nat_host_info(&c.host), "\"joins\":2"));
	case_end(&c);
}

static void without_ipv6_no_such_address_is_told(void **state)
{
	struct card_case c = { .refusal = NULL };

	(void)state;
	case_begin(&c, "ipv6 = false;", UINT64_MAX);
	assert_non_null(strstr(nat_host_info(&c.host), "\"addresses\":[\"10.0.3.11/24\"]"));
	case_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_is_refused_with_the_key_in_front),
		cmocka_unit_test(cluster_is_a_name_and_must_be_there),
		cmocka_unit_test(too_many_peers_are_refused),
		cmocka_unit_test(without_keys_it_asks_for_a_lease_as_the_others_have_it),
		cmocka_unit_test(all_that_others_must_know_is_said),
		cmocka_unit_test(who_is_refused_hears_why_when_the_machine_starts),
		cmocka_unit_test(why_there_is_no_folder_is_not_said_in_other_words),
		cmocka_unit_test(peers_change_while_the_machine_runs),
		cmocka_unit_test(info_tells_who_it_is_and_who_is_there),
		cmocka_unit_test(without_ipv6_no_such_address_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
