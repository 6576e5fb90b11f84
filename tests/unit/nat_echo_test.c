/* SPDX-License-Identifier: MIT */
/* nat_echo_test.c - proves echo.h: ping of others than the gateway, and what happens where the kernel permits none. */
#include "tests/unit/nat_guest.h"

#include <arpa/inet.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/echo.h"
#include "tests/unit/nat_namespace.h"

#define IDENTIFIER 0x4711
#define HOST_ALLOWED "policy = { rules = ( { action = \"allow\"; group = \"host\"; } ); };"

static struct nat_guest guest;
static struct nat_frame frame;
static unsigned char message[65536];

/* All that there is to do now is done. */
static void settle(void)
{
	while (nat_turn(&guest))
		;
}

static unsigned flows(void)
{
	settle();
	return flows_count(guest.nat->flows);
}

static uint64_t counter(const char *name)
{
	settle();
	return nat_counter(&guest, name);
}

static void ping(const char *from, const char *to, uint16_t sequence, size_t payload)
{
	const bool ipv4 = !strchr(to, ':');
	struct in6_addr source, target;
	uint16_t words[4] = { 0, 0, htons(IDENTIFIER), htons(sequence) };
	uint32_t sum = 0;

	memset(message, 0, 8);
	for (size_t i = 0; i < payload; i++)
		message[8 + i] = (unsigned char)(i * 3);
	memcpy(message, words, sizeof words);
	message[0] = ipv4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	net_address_parse(from, &source);
	net_address_parse(to, &target);
	if (!ipv4)
		sum = checksum_pseudo(&source, &target, IPPROTO_ICMPV6, (uint32_t)(8 + payload));
	words[1] = checksum_finish(checksum_add(sum, message, 8 + payload, 0));
	memcpy(message + 2, &words[1], 2);
	nat_send_ip(&guest, from, to, ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, message, 8 + payload);
}

static void pong(const char *from, uint16_t sequence, size_t payload)
{
	const bool ipv4 = !strchr(from, ':');
	char text[NET_ADDRESS_TEXT];
	uint16_t words[4];

	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	assert_string_equal(net_address_text(&frame.packet.source, text), from);
	assert_int_equal(frame.packet.l4_len, 8 + payload);
	memcpy(words, frame.bytes + frame.packet.l4, sizeof words);
	assert_int_equal(frame.bytes[frame.packet.l4], ipv4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	assert_int_equal(ntohs(words[2]), IDENTIFIER);
	assert_int_equal(ntohs(words[3]), sequence);
	assert_memory_equal(frame.bytes + frame.packet.l4 + 8, message + 8, payload);
}

static void unreachable(uint8_t code)
{
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, IPPROTO_ICMP);
	assert_int_equal(frame.bytes[frame.packet.l4], ICMP_DEST_UNREACH);
	assert_int_equal(frame.bytes[frame.packet.l4 + 1], code);
}

static void need_ping_sockets(void)
{
	if (!namespace_set_ping(true)) {
		print_message("skipped: net.ipv4.ping_group_range cannot be set here\n");
		skip();
	}
}

static void the_far_side_answers_under_the_guests_identifier(void **state)
{
	(void)state;
	need_ping_sockets();
	nat_begin(&guest, "ipv6 = false; " HOST_ALLOWED);
	for (uint16_t sequence = 1; sequence <= 3; sequence++) {
		ping(NAT_GUEST, FAR_HOST, sequence, 56);
		pong(FAR_HOST, sequence, 56);
	}
	assert_int_equal(flows(), 1);
	ping(NAT_GUEST, FAR_HOST, 4, 0);
	pong(FAR_HOST, 4, 0);
	nat_pass(&guest, ECHO_EXPIRY + 1);
	assert_int_equal(flows(), 0);
	nat_end(&guest);
}

static void ipv6_is_no_different(void **state)
{
	(void)state;
	need_ping_sockets();
	if (!namespace_has_ipv6())
		skip();
	nat_begin(&guest, HOST_ALLOWED);
	while (nat_receive_now(&guest, &frame))
		;
	ping(NAT_GUEST6, FAR_HOST6, 7, 56);
	pong(FAR_HOST6, 7, 56);
	nat_end(&guest);
}

static void long_ones_come_back_whole(void **state)
{
	(void)state;
	need_ping_sockets();
	nat_begin(&guest, "ipv6 = false; mtu = 65520; " HOST_ALLOWED);
	ping(NAT_GUEST, FAR_HOST, 1, 65520 - 28);
	pong(FAR_HOST, 1, 65520 - 28);
	nat_end(&guest);
}

static void what_has_no_route_is_unreachable(void **state)
{
	(void)state;
	need_ping_sockets();
	nat_begin(&guest, "ipv6 = false;");
	ping(NAT_GUEST, NO_ROUTE, 1, 56);
	unreachable(ICMP_NET_UNREACH);
	assert_int_equal(flows(), 0);
	/* The host itself is nobody's business without a rule. */
	ping(NAT_GUEST, FAR_HOST, 1, 56);
	unreachable(ICMP_PKT_FILTERED);
	nat_end(&guest);
}

static void wrong_checksums_are_dropped(void **state)
{
	const unsigned char wrong[] = { ICMP_ECHO, 0, 1, 2, 3, 4, 5, 6 };
	unsigned char bytes[64];
	size_t len;

	(void)state;
	need_ping_sockets();
	nat_begin(&guest, "ipv6 = false; " HOST_ALLOWED);
	len = nat_put_ip(&guest, bytes, NAT_GUEST, FAR_HOST, IPPROTO_ICMP, wrong, sizeof wrong);
	memcpy(bytes + len - sizeof wrong, wrong, sizeof wrong);
	nat_send(&guest, bytes, len);
	nat_receive_none(&guest);
	assert_int_equal(counter("malformed"), 1);
	nat_end(&guest);
}

static void where_there_are_no_ping_sockets_the_guest_is_told(void **state)
{
	const char *line;

	(void)state;
	if (!namespace_set_ping(false)) {
		print_message("skipped: only root can forbid ping sockets\n");
		skip();
	}
	nat_begin(&guest, "ipv6 = false; " HOST_ALLOWED);
	ping(NAT_GUEST, FAR_HOST, 1, 56);
	unreachable(ICMP_PKT_FILTERED);
	line = strstr(guest.logged, "net.ipv4.ping_group_range");
	assert_non_null(line);
	ping(NAT_GUEST, FAR_HOST, 2, 56);
	unreachable(ICMP_PKT_FILTERED);
	assert_null(strstr(strchr(line, '\n'), "ping_group_range"));
	assert_int_equal(flows(), 0);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_there_are_no_ping_sockets_the_guest_is_told),
		cmocka_unit_test(the_far_side_answers_under_the_guests_identifier),
		cmocka_unit_test(ipv6_is_no_different),
		cmocka_unit_test(long_ones_come_back_whole),
		cmocka_unit_test(what_has_no_route_is_unreachable),
		cmocka_unit_test(wrong_checksums_are_dropped),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
