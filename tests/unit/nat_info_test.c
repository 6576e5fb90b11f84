/* SPDX-License-Identifier: MIT */
/* nat_info_test.c - proves info.h: what a user and a sandbox's agent are told of a network. */
#include "plugins/net-nat/info.h"
#include "plugins/net-nat/names.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/nat_namespace.h"

#define TEST(name) cmocka_unit_test(name)

static struct nat_guest guest;

static void tells(const char *expected)
{
	const char *text = nat_info_text(&guest);

	if (!strstr(text, expected))
		fail_msg("\"%s\" is not in %s", expected, text);
}

static void settle(void)
{
	while (nat_turn(&guest))
		;
}

static void the_network_is_told_as_dhcp_tells_it(void **state)
{
	(void)state;
	nat_begin(&guest,
	          "mac = \"02:00:00:00:00:05\"; mtu = 9000; host_name = \"box.example\"; search = [ \"a.example\", "
	          "\"b.example\" ];");
	tells("\"network\":{\"mac\":\"02:00:00:00:00:05\",\"host_name\":\"box.example\",\"mtu\":9000,"
	      "\"addresses\":[\"10.0.2.2/24\",\"fd00:ca:b5a::2/64\"],\"gateways\":[\"10.0.2.1\",\"fd00:ca:b5a::1\"],"
	      "\"nameservers\":[\"10.0.2.1\",\"fd00:ca:b5a::1\"]");
	tells("\"link\":\"up\"");
	assert_int_equal(nat_reconfigure(&guest, "link = false;"), 0);
	tells("\"link\":\"down\"");
	nat_end(&guest);
	nat_begin(&guest, "ipv6 = false; subnet = \"192.168.50.0/28\";");
	tells("\"addresses\":[\"192.168.50.2/28\"],\"gateways\":[\"192.168.50.1\"],\"nameservers\":[\"192.168.50.1\"]");
	nat_end(&guest);
}

static void published_ports_are_told_as_they_are(void **state)
{
	char text[32], *at;

	(void)state;
	nat_begin(&guest, "ipv6 = false; forward = [ \"tcp:127.0.0.1:0:22\", \"udp:0:53\" ];");
	tells("\"published\":[{\"protocol\":\"tcp\",\"listen\":\"127.0.0.1:");
	tells("\"guest_port\":22},{\"protocol\":\"udp\"");
	at = strstr(nat_info_text(&guest), "127.0.0.1:");
	snprintf(text, sizeof text, "%.12s", at);
	assert_string_not_equal(text, "127.0.0.1:0\"");
	nat_end(&guest);
}

static void rules_and_flows_are_counted(void **state)
{
	struct in6_addr a;

	(void)state;
	nat_begin(
		&guest,
		"ipv6 = false; policy = { default = \"deny\"; rules = ( { action = \"allow\"; ip = \"198.51.100.1\"; } "
		"); };");
	nat_send_udp(&guest, NAT_GUEST, 4000, FAR_HOST, 7000, "12345", 5);
	nat_send_udp(&guest, NAT_GUEST, 4000, FAR_HOST_2, 7000, "12345", 5);
	net_address_parse(FAR_HOST, &a);
	names_learn(guest.nat->names, "a.example", &a, 60);
	settle();
	tells("\"policy\":[{\"rule\":\"allow ip 198.51.100.1\",\"flows\":1,\"bytes\":5},{\"rule\":\"ground "
	      "rules\",\"flows\":0,\"bytes\":0},{\"rule\":\"default deny\",\"flows\":1,\"bytes\":0}]");
	tells("\"names\":1");
	tells("\"flow_count\":1,\"flows\":[{\"protocol\":\"udp\",\"guest\":\"10.0.2.2:4000\",\"far\":\"198.51.100.1:"
	      "7000\","
	      "\"direction\":\"out\",\"verdict\":\"allowed\",\"rule\":\"allow ip "
	      "198.51.100.1\",\"tx_bytes\":5,\"rx_bytes\":0}]");
	nat_end(&guest);
}

static void the_list_of_flows_is_bounded(void **state)
{
	const char *text;
	unsigned listed = 0;

	(void)state;
	nat_begin(&guest, "ipv6 = false; policy = { rules = ( { action = \"allow\"; group = \"host\"; } ); };");
	for (unsigned i = 0; i < INFO_FLOWS_MAX + 8; i++) {
		nat_send_udp(&guest, NAT_GUEST, (uint16_t)(4000 + i), FAR_HOST, 7000, "", 0);
		settle();
	}
	text = nat_info_text(&guest);
	assert_non_null(strstr(text, "\"flow_count\":1008"));
	for (text = strstr(text, "\"flow_count\""); (text = strstr(text, "\"guest\":")); text++)
		listed++;
	assert_int_equal(listed, INFO_FLOWS_MAX);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_network_is_told_as_dhcp_tells_it),
		TEST(published_ports_are_told_as_they_are),
		TEST(rules_and_flows_are_counted),
		TEST(the_list_of_flows_is_bounded),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
