/* SPDX-License-Identifier: MIT */
/* nat_options_test.c - proves options.h: what a device entry may say, what it means, and that errors name key and cure.
 */
#include "tests/unit/nat_guest.h"

static struct nat_guest guest;

static void accepted(const char *options, void (*check)(const struct options *options))
{
	if (nat_try(&guest, options) < 0)
		fail_msg("%s: %s", options, guest.error);
	if (check)
		check(&guest.nat->options);
	nat_end(&guest);
}

static void refused(const char *options, const char *why)
{
	assert_true(nat_try(&guest, options) < 0);
	if (!strstr(guest.error, why))
		fail_msg("%s: \"%s\" instead of \"%s\"", options, guest.error, why);
	assert_null(strchr(guest.error, '\n'));
	nat_end(&guest);
}

static void check_prefix(const struct net_prefix *prefix, const char *expected)
{
	char text[NET_PREFIX_TEXT];

	assert_string_equal(net_prefix_text(prefix, text), expected);
}

static void check_endpoint(const struct net_endpoint *endpoint, const char *expected)
{
	char text[NET_ENDPOINT_TEXT];

	assert_string_equal(net_endpoint_text(endpoint, text), expected);
}

static void check_defaults(const struct options *options)
{
	assert_false(options->has_mac);
	assert_int_equal(options->mtu, 1500);
	assert_int_equal(options->queues, 0);
	assert_true(options->offloads);
	assert_true(options->link);
	check_prefix(&options->subnet, "10.0.2.0/24");
	assert_true(options->ipv6);
	check_prefix(&options->subnet6, "fd00:ca:b5a::/64");
	assert_null(options->host_name);
	assert_null(options->forward);
	assert_false(options->keep_source);
	assert_int_equal(options->n_dns, 0);
	assert_false(options->has_search);
	assert_false(options->hosts_file);
	assert_null(options->policy);
	assert_int_equal(options->max_flows, 16384);
	assert_int_equal(options->rate_in, 0);
	assert_int_equal(options->rate_out, 0);
}

static void check_all(const struct options *options)
{
	static const unsigned char mac[] = { 0x52, 0x54, 0x00, 0xab, 0xCD, 0xef };

	assert_true(options->has_mac);
	assert_memory_equal(options->mac, mac, sizeof mac);
	assert_int_equal(options->mtu, 65520);
	assert_int_equal(options->queues, 3);
	assert_false(options->offloads);
	assert_false(options->link);
	check_prefix(&options->subnet, "192.168.7.0/30");
	check_prefix(&options->subnet6, "fd00:1:2:3::/64");
	assert_string_equal(options->host_name, "web-1.example");
	assert_int_equal(options->forward->n_items, 2);
	assert_true(options->keep_source);
	assert_int_equal(options->n_dns, 4);
	check_endpoint(&options->dns[0], "192.0.2.53:53");
	check_endpoint(&options->dns[1], "192.0.2.54:5353");
	check_endpoint(&options->dns[2], "[2001:db8::53]:53");
	check_endpoint(&options->dns[3], "[2001:db8::54]:5353");
	assert_true(options->has_search);
	assert_int_equal(options->n_search, 2);
	assert_string_equal(options->search[1], "corp.example.com");
	assert_true(options->hosts_file);
	assert_int_equal(options->policy->type, CAPSA_TYPE_GROUP);
	assert_int_equal(options->max_flows, 100);
	assert_int_equal(options->rate_in, 10 << 20);
	assert_int_equal(options->rate_out, 5000);
}

static void without_words_all_has_a_default(void **state)
{
	(void)state;
	accepted("", check_defaults);
}

static void each_key_comes_to_its_field(void **state)
{
	(void)state;
	accepted("mac = \"52:54:00:ab:CD:ef\"; mtu = 65520; queues = 3; offloads = false; link = false; "
	         "subnet = \"192.168.7.0/30\"; subnet6 = \"fd00:1:2:3::/64\"; host_name = \"web-1.example\"; "
	         "forward = [ \"tcp:127.0.0.1:0:80\", \"udp:0:53\" ]; keep_source = true; "
	         "dns = [ \"192.0.2.53\", \"192.0.2.54:5353\", \"2001:db8::53\", \"[2001:db8::54]:5353\" ]; "
	         "search = [ \"example.com\", \"corp.example.com\" ]; hosts_file = true; "
	         "policy = { default = \"deny\"; }; max_flows = 100; rate = { in = \"10M\"; out = 5000; };",
	         check_all);
}

static void a_mac_is_six_bytes_of_one_card(void **state)
{
	(void)state;
	accepted("mac = \"02:00:00:00:00:01\";", NULL);
	refused("mac = \"52:54:00:12:34\";", "mac \"52:54:00:12:34\" is no hardware address");
	refused("mac = \"52:54:00:12:34:56:78\";", "is no hardware address");
	refused("mac = \"52-54-00-12-34-56\";", "is no hardware address");
	refused("mac = \"52:54:00:12:34:5g\";", "is no hardware address");
	refused("mac = \"\";", "is no hardware address");
	refused("mac = \"01:00:5e:00:00:01\";", "is no address of one card");
	refused("mac = \"00:00:00:00:00:00\";", "is no address of one card");
}

static void subnets_have_room_for_two_and_no_other_meaning(void **state)
{
	(void)state;
	accepted("subnet = \"10.0.0.0/8\";", NULL);
	refused("subnet = \"10.0.2.0\";", "is too small; /8 to /30 are possible");
	refused("subnet = \"10.0.2.0/31\";", "is too small");
	refused("subnet = \"0.0.0.0/0\";", "is too large");
	refused("subnet = \"10.0.2.1/24\";", "is no IPv4 network");
	refused("subnet = \"fd00::/64\";", "is no IPv4 network");
	refused("subnet = \"127.0.0.0/8\";", "has another meaning");
	refused("subnet = \"169.254.0.0/16\";", "has another meaning");
	refused("subnet = \"224.0.0.0/24\";", "has another meaning");
	refused("subnet6 = \"fd00::/48\";", "subnet6 \"fd00::/48\" is no IPv6 network of 64 bits");
	refused("subnet6 = \"10.0.2.0/24\";", "is no IPv6 network");
	refused("subnet6 = \"fe80::/64\";", "has another meaning");
	refused("subnet6 = \"ff02::/64\";", "has another meaning");
}

static void names_are_names(void **state)
{
	(void)state;
	refused("host_name = \"\";", "host_name \"\" is none");
	refused("host_name = \"a_b\";", "host_name \"a_b\" is none");
	refused("host_name = \"a..b\";", "is none");
	refused("host_name = \"a123456789a123456789a123456789a123456789a123456789a123456789abcd\";",
	        "host_name has 64 bytes; at most 63");
	refused("search = [ \"exa mple\", \"a..b\" ];", "search: \"exa mple\" is no domain");
	refused("search = [ 5 ];", "search: each entry is a text in quotes");
	refused("search = [ \"a\", \"b\", \"c\", \"d\", \"e\", \"f\", \"g\" ];", "search has 7 domains; at most 6");
}

static void name_servers_are_addresses(void **state)
{
	(void)state;
	refused("dns = [ \"ns.example.com\" ];", "dns: \"ns.example.com\" is no name server");
	refused("dns = [ \"192.0.2.53:\" ];", "is no name server");
	refused("dns = [ \"192.0.2.53:0\" ];", "is no name server");
	refused("dns = [ \"192.0.2.53:70000\" ];", "is no name server");
	refused("dns = [ \"[2001:db8::1\" ];", "is no name server");
	refused("dns = [ \"[2001:db8::1]53\" ];", "is no name server");
	refused("dns = [ \"224.0.0.251\" ];", "is no name server");
	refused("dns = [ \"0.0.0.0\" ];", "is no name server");
	refused("dns = [ 53 ];", "dns: each entry is a text in quotes");
	refused("dns = [ \"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\", \"192.0.2.4\", \"192.0.2.5\" ];",
	        "dns has 5 servers; at most 4");
}

static void rates_are_sizes_a_second(void **state)
{
	(void)state;
	accepted("rate = { in = 0; out = \"1T\"; };", NULL);
	accepted("rate = { };", NULL);
	refused("rate = { up = \"1M\"; };", "rate has no \"up\"; \"in\" and \"out\" are possible");
	refused("rate = { in = \"1X\"; };", "rate: in is no size");
	refused("rate = { in = -5; };", "rate: in is no size");
	refused("rate = { in = true; };", "rate: in is no size");
	refused("rate = { out = 100; };", "rate: out is too low");
	refused("rate = { out = \"2T\"; };", "rate: out is too high");
	refused("rate = { out = \"99999999999999999999\"; };", "rate: out is no size");
}

static void limits_are_checked(void **state)
{
	(void)state;
	refused("mtu = 1279;", "mtu");
	refused("mtu = 65521;", "mtu");
	refused("queues = 9;", "queues");
	refused("max_flows = 0;", "max_flows");
	refused("policy = \"deny\";", "policy");
}

static void published_ports_fit_the_guest(void **state)
{
	(void)state;
	refused("forward = [ 80 ];", "forward: each entry is a text in quotes");
	refused("forward = [ \"tcp:80\" ];", "forward \"tcp:80\"");
	refused("ipv6 = false; forward = [ \"tcp:[::1]:0:80\" ];", "is IPv6, and the guest has none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_words_all_has_a_default),
		cmocka_unit_test(each_key_comes_to_its_field),
		cmocka_unit_test(a_mac_is_six_bytes_of_one_card),
		cmocka_unit_test(subnets_have_room_for_two_and_no_other_meaning),
		cmocka_unit_test(names_are_names),
		cmocka_unit_test(name_servers_are_addresses),
		cmocka_unit_test(rates_are_sizes_a_second),
		cmocka_unit_test(limits_are_checked),
		cmocka_unit_test(published_ports_fit_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
