/* SPDX-License-Identifier: MIT */
/*
 * nat_host_address_test.c - proves host-address.h against the kernel: in a network of its own, addresses are there from
 * the start, and those that come and go meanwhile.
 */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "plugins/net-nat/host-address.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/nat_namespace.h"

#define TEST(name) cmocka_unit_test(name)

static struct nat_guest guest;

static bool has(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return host_addresses_have(guest.nat->host_addresses, &a);
}

struct wish {
	const char *address;
	bool there;
};

static bool is_so(void *ctx)
{
	const struct wish *wish = ctx;

	return has(wish->address) == wish->there;
}

static void becomes(const char *address, bool there)
{
	nat_until(&guest, is_so, &(struct wish){ address, there });
}

/* "lo:3" gets an address in a /24, or is no more where `address` is NULL. */
static void set_network(const char *address)
{
	struct ifreq request = { .ifr_name = "lo:3" };
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (!address) {
		assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	} else {
		assert_int_equal(inet_pton(AF_INET, address, &in.sin_addr), 1);
		memcpy(&request.ifr_addr, &in, sizeof in);
		assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
		in.sin_addr.s_addr = htonl(0xffffff00u);
		memcpy(&request.ifr_addr, &in, sizeof in);
		assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &request), 0);
	}
	close(fd);
}

static void what_the_host_has_at_the_start_is_known(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	assert_true(has(FAR_HOST));
	assert_true(has(FAR_HOST_2));
	assert_false(has(NO_ROUTE));
	if (namespace_has_ipv6())
		assert_true(has(FAR_HOST6));
	nat_end(&guest);
}

static void addresses_come_and_go(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	for (unsigned i = 0; i < 3; i++) {
		assert_true(namespace_set_second(false));
		becomes(FAR_HOST_2, false);
		assert_true(has(FAR_HOST));
		assert_true(namespace_set_second(true));
		becomes(FAR_HOST_2, true);
	}
	nat_end(&guest);
}

static void the_edges_of_a_network_are_the_hosts(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	set_network("192.0.2.7");
	becomes("192.0.2.255", true);
	assert_true(has("192.0.2.7"));
	assert_true(has("192.0.2.0"));
	assert_true(has("192.0.2.8")); /* on loopback's interface the whole network is local */
	assert_false(has("192.0.3.0"));
	set_network(NULL);
	becomes("192.0.2.7", false);
	becomes("192.0.2.255", false);
	assert_false(has("192.0.2.8"));
	nat_end(&guest);
}

static void where_a_local_route_ends_is_the_host(void **state)
{
	const bool ipv6 = namespace_has_ipv6();

	(void)state;
	assert_true(namespace_set_route("192.0.2.0/24", RTN_LOCAL, 0, true));
	if (ipv6)
		assert_true(namespace_set_route("2001:db8:1::/64", RTN_LOCAL, 0, true));
	/* There from the start. */
	nat_begin(&guest, "ipv6 = false;");
	assert_true(has("192.0.2.1"));
	assert_true(has("192.0.2.254"));
	assert_false(has("192.0.3.1"));
	if (ipv6) {
		assert_true(has("2001:db8:1::77"));
		assert_false(has("2001:db8:2::77"));
		assert_true(namespace_set_route("2001:db8:1::/64", RTN_LOCAL, 0, false));
		becomes("2001:db8:1::77", false);
		assert_true(namespace_set_route("2001:db8:1::/64", RTN_LOCAL, 0, true));
		becomes("2001:db8:1::77", true);
		assert_true(namespace_set_route("2001:db8:1::/64", RTN_LOCAL, 0, false));
	}
	/* Two routes lead to one of its addresses. */
	assert_true(namespace_set_route("192.0.2.1/32", RTN_LOCAL, 0, true));
	assert_true(namespace_set_route("192.0.2.0/24", RTN_LOCAL, 0, false));
	becomes("192.0.2.254", false);
	assert_true(has("192.0.2.1"));
	assert_true(namespace_set_route("192.0.2.1/32", RTN_LOCAL, 0, false));
	becomes("192.0.2.1", false);
	assert_true(has(FAR_HOST));
	nat_end(&guest);
}

static void routes_of_other_types_and_tables_count_as_they_lead_to_the_host(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	assert_true(namespace_set_route("192.0.2.128/25", RTN_BROADCAST, 0, true));
	becomes("192.0.2.200", true);
	assert_true(namespace_set_route("192.0.2.128/25", RTN_BROADCAST, 0, false));
	becomes("192.0.2.200", false);
	if (namespace_has_ipv6()) {
		assert_true(namespace_set_route("2001:db8:3::1/128", RTN_ANYCAST, 0, true));
		becomes("2001:db8:3::1", true);
		assert_true(namespace_set_route("2001:db8:3::1/128", RTN_ANYCAST, 0, false));
	}
	/* A transparent proxy's default route, and what is not at the host; the last one shows that they were read. */
	assert_true(namespace_set_route("0.0.0.0/0", RTN_LOCAL, 100, true));
	assert_true(namespace_set_route("192.0.2.0/25", RTN_UNICAST, RT_TABLE_MAIN, true));
	assert_true(namespace_set_route("203.0.113.64/26", RTN_LOCAL, 100, true));
	becomes("203.0.113.65", true);
	assert_false(has(NO_ROUTE));
	assert_false(has("192.0.2.1"));
	assert_true(namespace_set_route("203.0.113.64/26", RTN_LOCAL, 100, false));
	becomes("203.0.113.65", false);
	assert_true(namespace_set_route("192.0.2.0/25", RTN_UNICAST, RT_TABLE_MAIN, false));
	assert_true(namespace_set_route("0.0.0.0/0", RTN_LOCAL, 100, false));
	nat_end(&guest);
}

static void more_routes_than_there_is_room_for_close_everything(void **state)
{
	char prefix[32];

	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	for (unsigned i = 0; i < 66000; i++) {
		snprintf(prefix, sizeof prefix, "44.%u.%u.%u/32", i >> 16, i >> 8 & 255, i & 255);
		assert_true(namespace_set_route(prefix, RTN_LOCAL, 0, true));
	}
	becomes(NO_ROUTE, true);
	for (unsigned i = 0; i < 66000; i++) {
		snprintf(prefix, sizeof prefix, "44.%u.%u.%u/32", i >> 16, i >> 8 & 255, i & 255);
		assert_true(namespace_set_route(prefix, RTN_LOCAL, 0, false));
	}
	becomes(NO_ROUTE, false);
	assert_false(has("44.0.0.1"));
	assert_true(has(FAR_HOST));
	nat_end(&guest);
}

static void what_the_kernel_had_to_drop_is_asked_for_again(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	/* Far more messages than wait in a socket, while the loop does not turn. */
	for (unsigned i = 0; i < 2000; i++) {
		assert_true(namespace_set_second(false));
		assert_true(namespace_set_second(true));
	}
	set_network("192.0.2.7");
	assert_true(namespace_set_second(false));
	becomes("192.0.2.7", true);
	becomes(FAR_HOST_2, false);
	assert_true(has(FAR_HOST));
	set_network(NULL);
	assert_true(namespace_set_second(true));
	becomes(FAR_HOST_2, true);
	becomes("192.0.2.7", false);
	nat_end(&guest);
}

static void a_fixed_set_is_what_it_was_given(void **state)
{
	struct host_addresses *fixed;
	struct in6_addr a, b;

	(void)state;
	net_address_parse("192.0.2.1", &a);
	net_address_parse("2001:db8::1", &b);
	assert_int_equal(host_addresses_fixed(&a, 1, &fixed), 0);
	assert_true(host_addresses_have(fixed, &a));
	assert_false(host_addresses_have(fixed, &b));
	host_addresses_free(fixed);
	assert_int_equal(host_addresses_fixed(NULL, 0, &fixed), 0);
	assert_false(host_addresses_have(fixed, &a));
	host_addresses_free(fixed);
	host_addresses_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_host_has_at_the_start_is_known),
		TEST(addresses_come_and_go),
		TEST(the_edges_of_a_network_are_the_hosts),
		TEST(what_the_kernel_had_to_drop_is_asked_for_again),
		TEST(a_fixed_set_is_what_it_was_given),
		TEST(where_a_local_route_ends_is_the_host),
		TEST(routes_of_other_types_and_tables_count_as_they_lead_to_the_host),
		TEST(more_routes_than_there_is_room_for_close_everything),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
