/* SPDX-License-Identifier: MIT */
/*
 * cluster_protocol_test.c - what members and the switch say to each other: each message is one at its own length only,
 * with texts that end and numbers that may be. Each case spoils one thing in a message that is valid.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cluster-switch/protocol.h"

static struct net_prefix prefix(const char *text)
{
	struct net_prefix p;

	assert_int_equal(net_prefix_parse(text, &p), 0);
	return p;
}

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static struct protocol_hello hello(void)
{
	struct protocol_hello h;

	memset(&h, 0, sizeof h);
	h.h = (struct protocol_header){ PROTOCOL_HELLO, PROTOCOL_VERSION };
	strcpy(h.port.name, "vm1");
	memcpy(h.port.mac, "\x52\x54\x00\x00\x00\x01", 6);
	h.subnet = prefix("10.0.3.0/24");
	h.subnet6 = prefix("fd00:3::/64");
	h.port.has_peers = true;
	h.port.n_peers = 2;
	strcpy(h.port.peers[0], "vm2");
	strcpy(h.port.peers[1], "vm3");
	strcpy(h.uplink, "vxlan:1@10.1.1.1,10.1.1.2");
	return h;
}

/* In a block of its exact size, so that a sanitizer sees who reads on. */
static bool valid(_Bool (*is_valid)(const void *, size_t), const void *message, size_t len)
{
	unsigned char *copy = malloc(len ? len : 1);
	bool r;

	assert_non_null(copy);
	memcpy(copy, message, len);
	r = is_valid(copy, len);
	free(copy);
	return r;
}

/* `len` is right, and no other length up to twice of it. */
static void only_its_length(_Bool (*is_valid)(const void *, size_t), const void *message, size_t len)
{
	unsigned char *longer = calloc(2, len);

	assert_non_null(longer);
	memcpy(longer, message, len);
	for (size_t n = 0; n <= 2 * len; n++)
		if (valid(is_valid, longer, n) != (n == len))
			fail_msg("%zu bytes of %zu", n, len);
	free(longer);
}

/* Any other type and version. */
static void only_its_header(_Bool (*is_valid)(const void *, size_t), void *message, size_t len)
{
	struct protocol_header *h = message, right = *h;

	for (uint32_t type = 0; type < 12; type++) {
		h->type = type;
		assert_int_equal(valid(is_valid, message, len), type == right.type);
	}
	*h = right;
	h->version = right.version + 1;
	assert_false(valid(is_valid, message, len));
	h->version = 0;
	assert_false(valid(is_valid, message, len));
	*h = right;
}

#define HELLO_IS(expected, change)                                                        \
	do {                                                                              \
		struct protocol_hello h = hello();                                        \
		change;                                                                   \
		assert_int_equal(valid(protocol_hello_is_valid, &h, sizeof h), expected); \
	} while (0)

static void test_hello_is_checked_field_by_field(void **state)
{
	struct protocol_hello whole = hello();

	(void)state;
	assert_true(valid(protocol_hello_is_valid, &whole, sizeof whole));
	only_its_length(protocol_hello_is_valid, &whole, sizeof whole);
	only_its_header(protocol_hello_is_valid, &whole, sizeof whole);

	HELLO_IS(false, h.port.name[0] = '\0');
	HELLO_IS(false, h.port.name[0] = '-');
	HELLO_IS(false, h.port.name[1] = '/');
	HELLO_IS(false, h.port.name[1] = '\n');
	HELLO_IS(false, memset(h.port.name, 'a', sizeof h.port.name));
	HELLO_IS(true, memset(h.port.name, 'a', sizeof h.port.name - 1));

	HELLO_IS(false, h.port.mac[0] |= 1);
	HELLO_IS(false, memset(h.port.mac, 0, ETH_ALEN));

	HELLO_IS(false, memset(&h.port.any_source, 2, 1));
	HELLO_IS(true, h.port.any_source = true);
	HELLO_IS(false, memset(&h.port.has_peers, 0x81, 1));
	HELLO_IS(false, h.port.uplink = true);
	HELLO_IS(false, h.port.n_peers = CLUSTER_PEERS_MAX + 1);
	HELLO_IS(false, h.port.n_peers = UINT32_MAX);
	HELLO_IS(false, h.port.n_peers = 3);
	HELLO_IS(true, h.port.n_peers = 0);
	HELLO_IS(false, memset(h.port.peers[1], 'b', sizeof h.port.peers[1]));
	HELLO_IS(true, memset(h.port.peers[2], 'b', sizeof h.port.peers[2]));

	HELLO_IS(true, h.port.address = address("10.0.3.9"));
	HELLO_IS(false, h.port.address = address("fd00::1"));
	HELLO_IS(true, h.fixed = 1; h.port.address = address("10.0.3.9"));
	HELLO_IS(false, h.fixed = 1);
	HELLO_IS(false, h.fixed = 2; h.port.address = address("10.0.3.9"));
	HELLO_IS(false, h.reserved[6] = 1);

	HELLO_IS(true, h.subnet.bits = 0);
	HELLO_IS(false, h.subnet.bits = 96 + 31);
	HELLO_IS(false, h.subnet.bits = 129);
	HELLO_IS(false, h.subnet.bits = UINT32_MAX);
	HELLO_IS(false, h.subnet.bits = 95);
	HELLO_IS(false, h.subnet.bits = 96 + 22);
	HELLO_IS(false, h.subnet = prefix("fd00:3::/64"));
	HELLO_IS(true, h.subnet6.bits = 0);
	HELLO_IS(false, h.subnet6.bits = 97);
	HELLO_IS(false, h.subnet6.bits = 16);
	HELLO_IS(false, h.subnet6 = prefix("10.0.3.0/24"));

	HELLO_IS(false, memset(h.uplink, 'u', sizeof h.uplink));
	HELLO_IS(true, memset(h.uplink, 'u', sizeof h.uplink - 1));
}

static void test_refused_is_one_printable_line(void **state)
{
	struct protocol_refused r = { .h = { PROTOCOL_REFUSED, PROTOCOL_VERSION }, .why = "name 'vm1' is taken" };

	(void)state;
	assert_true(valid(protocol_refused_is_valid, &r, sizeof r));
	only_its_length(protocol_refused_is_valid, &r, sizeof r);
	only_its_header(protocol_refused_is_valid, &r, sizeof r);
	r.why[4] = '\x1b';
	assert_false(valid(protocol_refused_is_valid, &r, sizeof r));
	r.why[0] = '\0';
	assert_false(valid(protocol_refused_is_valid, &r, sizeof r));
	memset(r.why, 'x', sizeof r.why);
	assert_false(valid(protocol_refused_is_valid, &r, sizeof r));
	r.why[sizeof r.why - 1] = '\0';
	assert_true(valid(protocol_refused_is_valid, &r, sizeof r));
}

#define WELCOME_IS(expected, change)                                                        \
	do {                                                                                \
		struct protocol_welcome w = good;                                           \
		change;                                                                     \
		assert_int_equal(valid(protocol_welcome_is_valid, &w, sizeof w), expected); \
	} while (0)

static void test_welcome_has_an_address_that_a_machine_may_have(void **state)
{
	struct protocol_welcome good;

	(void)state;
	memset(&good, 0, sizeof good);
	good.h = (struct protocol_header){ PROTOCOL_WELCOME, PROTOCOL_VERSION };
	good.subnet = prefix("10.0.3.0/24");
	good.address = address("10.0.3.9");
	good.index = 9;
	assert_true(valid(protocol_welcome_is_valid, &good, sizeof good));
	only_its_length(protocol_welcome_is_valid, &good, sizeof good);
	only_its_header(protocol_welcome_is_valid, &good, sizeof good);

	WELCOME_IS(false, w.index = 8);
	WELCOME_IS(false, w.index = 1; w.address = address("10.0.3.1"));
	WELCOME_IS(false, w.index = 0; w.address = address("10.0.3.0"));
	WELCOME_IS(false, w.index = 255; w.address = address("10.0.3.255"));
	WELCOME_IS(false, w.index = 256 + 9; w.address = address("10.0.4.9"));
	WELCOME_IS(true, w.index = 254; w.address = address("10.0.3.254"));
	WELCOME_IS(false, w.subnet.bits = 0);
	WELCOME_IS(false, w.subnet.bits = 200);
	WELCOME_IS(true, w.subnet6 = prefix("fd00::/64"));
	WELCOME_IS(false, w.subnet6 = prefix("fd00::/112"));
	WELCOME_IS(false, w.reserved = 1);
}

static struct protocol_members list_of(uint32_t n)
{
	struct protocol_members list;

	memset(&list, 0, sizeof list);
	list.h = (struct protocol_header){ PROTOCOL_MEMBERS, PROTOCOL_VERSION };
	list.n = n;
	for (uint32_t i = 0; i < n && i < CLUSTER_MEMBERS_MAX; i++) {
		strcpy(list.members[i].name, "vm");
		list.members[i].address = address("10.0.3.7");
	}
	return list;
}

static size_t list_size(uint32_t n)
{
	return offsetof(struct protocol_members, members) + n * sizeof(struct protocol_member);
}

static void test_members_is_as_long_as_it_says(void **state)
{
	static struct protocol_members list;

	(void)state;
	list = list_of(0);
	only_its_length(protocol_members_is_valid, &list, list_size(0));
	list = list_of(3);
	only_its_length(protocol_members_is_valid, &list, list_size(3));
	only_its_header(protocol_members_is_valid, &list, list_size(3));
	list.members[2].name[0] = '\0';
	assert_false(valid(protocol_members_is_valid, &list, list_size(3)));
	memset(list.members[2].name, 'n', sizeof list.members[2].name);
	assert_false(valid(protocol_members_is_valid, &list, list_size(3)));
	list = list_of(3);
	list.members[0].address = address("fd00::1");
	assert_false(valid(protocol_members_is_valid, &list, list_size(3)));
	list = list_of(3);
	list.members[1].address6 = address("10.0.3.7");
	assert_false(valid(protocol_members_is_valid, &list, list_size(3)));
	list.members[1].address6 = address("fd00::7");
	assert_true(valid(protocol_members_is_valid, &list, list_size(3)));
	list.reserved = 1;
	assert_false(valid(protocol_members_is_valid, &list, list_size(3)));

	list = list_of(CLUSTER_MEMBERS_MAX);
	assert_true(valid(protocol_members_is_valid, &list, list_size(CLUSTER_MEMBERS_MAX)));
	/* Numbers whose product is a length that fits. */
	list.n = CLUSTER_MEMBERS_MAX + 1;
	assert_false(valid(protocol_members_is_valid, &list, sizeof list));
	list.n = UINT32_MAX;
	assert_false(valid(protocol_members_is_valid, &list, sizeof list));
}

static void test_change_looks_at_peers_only(void **state)
{
	struct protocol_change change;

	(void)state;
	memset(&change, 0xff, sizeof change);
	change.h = (struct protocol_header){ PROTOCOL_CHANGE, PROTOCOL_VERSION };
	change.port.has_peers = false;
	change.port.n_peers = 0;
	assert_true(valid(protocol_change_is_valid, &change, sizeof change));
	only_its_length(protocol_change_is_valid, &change, sizeof change);
	only_its_header(protocol_change_is_valid, &change, sizeof change);
	change.port.n_peers = 1;
	assert_false(valid(protocol_change_is_valid, &change, sizeof change));
	strcpy(change.port.peers[0], "vm2");
	assert_true(valid(protocol_change_is_valid, &change, sizeof change));
	memset(&change.port.has_peers, 7, 1);
	assert_false(valid(protocol_change_is_valid, &change, sizeof change));
}

static void test_names_are_those_of_machines(void **state)
{
	char longest[CLUSTER_NAME_MAX + 2];

	(void)state;
	assert_true(protocol_name_is_valid("a"));
	assert_true(protocol_name_is_valid("Web_1.lab-2"));
	assert_false(protocol_name_is_valid(""));
	assert_false(protocol_name_is_valid("."));
	assert_false(protocol_name_is_valid(".."));
	assert_false(protocol_name_is_valid("a/b"));
	assert_false(protocol_name_is_valid("a b"));
	assert_false(protocol_name_is_valid("\xc3\xa4"));
	memset(longest, 'x', sizeof longest);
	longest[CLUSTER_NAME_MAX + 1] = '\0';
	assert_false(protocol_name_is_valid(longest));
	longest[CLUSTER_NAME_MAX] = '\0';
	assert_true(protocol_name_is_valid(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello_is_checked_field_by_field),
		cmocka_unit_test(test_refused_is_one_printable_line),
		cmocka_unit_test(test_welcome_has_an_address_that_a_machine_may_have),
		cmocka_unit_test(test_members_is_as_long_as_it_says),
		cmocka_unit_test(test_change_looks_at_peers_only),
		cmocka_unit_test(test_names_are_those_of_machines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
