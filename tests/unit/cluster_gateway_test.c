/* SPDX-License-Identifier: MIT */
/*
 * cluster_gateway_test.c - the gateway of a member: what it answers itself, what it lets out, and what its policy says
 * of other members. The switch is the test's (cluster_card_case.h): what reaches it, others would see.
 */
#include "tests/unit/cluster_card_case.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <unistd.h>

#include "plugins/net-nat/dns-message.h"
#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "plugins/net/dhcp.h"

#define TEST(name) cmocka_unit_test(name)
#define GATEWAY "10.0.3.1"
#define GUEST "10.0.3.11"
#define MEMBER "10.0.3.12"
#define OUTSIDE "203.0.113.1"
#define LOOPBACK_ALLOWED "policy = { rules = ( { action = \"allow\"; group = \"loopback\"; } ); }; "
#define ONLY_WEB                                                                          \
	"policy = { default = \"deny\"; rules = ( { action = \"allow\"; cidr = \"" MEMBER \
	"/32\"; port = 80; protocol = \"tcp\"; } ); }; "

static const unsigned char gateway_mac[ETH_ALEN] = { 0x52, 0x55, 0x0a, 0, 0, 1 };
static const unsigned char member_mac[ETH_ALEN] = { 0x52, 0x54, 0, 0, 0, 12 };
static const unsigned char everybody[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static struct card_case c;
static struct case_frame frame; /* the last one that was taken */
static struct packet packet;
static unsigned opened; /* sockets at the beginning */

static void begin(const char *options)
{
	case_begin(&c, options, UINT64_MAX);
	case_offer(&c, 0, 64, 1536);
	case_settle(&c);
	opened = c.host.opened;
}

static void end(void)
{
	c.other = NULL;
	case_frame_free(&frame);
	case_end(&c);
}

/* ---- frames ---- */

static const unsigned char *guest_mac(void)
{
	return c.hello.port.mac;
}

static size_t put(unsigned char *bytes, const unsigned char *to_mac, const unsigned char *from_mac, const char *from,
                  const char *to, uint8_t protocol, unsigned char *l4, size_t len)
{
	struct in6_addr source, target;
	uint16_t sum;
	const size_t where = protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP ? 6 : 2;
	size_t at;

	assert_int_equal(net_address_parse(from, &source) | net_address_parse(to, &target), 0);
	memset(l4 + where, 0, 2);
	sum = checksum_finish(checksum_add(
		protocol == IPPROTO_ICMP ? 0 : checksum_pseudo(&source, &target, protocol, (uint32_t)len), l4, len, 0));
	memcpy(l4 + where, &sum, 2);
	at = packet_put_ether(bytes, to_mac, from_mac, packet_ether_type(&source));
	at += packet_put_ip(bytes + at, &source, &target, protocol, len, 64, 0);
	memcpy(bytes + at, l4, len);
	return at + len;
}

static size_t put_udp(unsigned char *bytes, const unsigned char *to_mac, const char *from, const char *to,
                      uint16_t from_port, uint16_t to_port, const void *payload, size_t len)
{
	struct udphdr header = { .source = htons(from_port),
		                 .dest = htons(to_port),
		                 .len = htons((uint16_t)(sizeof header + len)) };
	unsigned char l4[600];

	memcpy(l4, &header, sizeof header);
	memcpy(l4 + sizeof header, payload, len);
	return put(bytes, to_mac, guest_mac(), from, to, IPPROTO_UDP, l4, sizeof header + len);
}

static void send_udp(const unsigned char *to_mac, const char *from, const char *to, uint16_t from_port,
                     uint16_t to_port, const void *payload, size_t len)
{
	unsigned char bytes[700];

	case_send(&c, NULL, bytes, put_udp(bytes, to_mac, from, to, from_port, to_port, payload, len), 1);
	case_settle(&c);
}

static size_t put_tcp(unsigned char *bytes, const unsigned char *to_mac, const unsigned char *from_mac,
                      const char *from, const char *to, uint16_t from_port, uint16_t to_port, uint8_t flags)
{
	struct tcphdr header = { .source = htons(from_port), .dest = htons(to_port), .doff = 5, .window = htons(1000) };
	unsigned char l4[sizeof header];

	memcpy(l4, &header, sizeof header);
	l4[13] = flags;
	return put(bytes, to_mac, from_mac, from, to, IPPROTO_TCP, l4, sizeof l4);
}

static void send_tcp(const unsigned char *to_mac, const char *to, uint16_t from_port, uint16_t to_port, uint8_t flags)
{
	unsigned char bytes[100];

	case_send(&c, NULL, bytes, put_tcp(bytes, to_mac, guest_mac(), GUEST, to, from_port, to_port, flags), 1);
	case_settle(&c);
}

static void member_sends_tcp(uint16_t from_port, uint16_t to_port, uint8_t flags)
{
	unsigned char bytes[100];

	case_far_send(&c, NULL, bytes,
	              put_tcp(bytes, guest_mac(), member_mac, MEMBER, GUEST, from_port, to_port, flags));
	case_settle(&c);
}

static void send_arp(const char *target)
{
	unsigned char bytes[ARP_FRAME];
	struct arp arp = { .request = true };

	inet_pton(AF_INET, GUEST, &arp.sender);
	inet_pton(AF_INET, target, &arp.target);
	memcpy(arp.sender_mac, guest_mac(), ETH_ALEN);
	arp_put(bytes, everybody, &arp);
	case_send(&c, NULL, bytes, sizeof bytes, 1);
	case_settle(&c);
}

static bool guest_has_frame(void)
{
	case_frame_free(&frame);
	if (!case_take(&c, &frame))
		return false;
	packet_parse(frame.bytes, frame.len < PACKET_HEAD ? frame.len : PACKET_HEAD, frame.len, &packet);
	return true;
}

static bool switch_has_frame(void)
{
	case_frame_free(&frame);
	return case_far_take(&c, &frame);
}

/* The gateway says that it is prohibited, and nobody else has heard of it. */
static void assert_prohibited(void)
{
	assert_false(switch_has_frame());
	assert_true(guest_has_frame());
	assert_memory_equal(packet.from, gateway_mac, ETH_ALEN);
	assert_int_equal(packet.protocol, IPPROTO_ICMP);
	assert_memory_equal(frame.bytes + packet.l4, "\3\15", 2);
	assert_false(guest_has_frame());
}

static void assert_at_switch_alone(void)
{
	assert_true(switch_has_frame());
	assert_false(switch_has_frame());
	assert_false(guest_has_frame());
}

/* ---- what it answers ---- */

static void who_asks_for_the_gateway_is_answered_by_its_own(void **state)
{
	(void)state;
	begin("");
	send_arp(GATEWAY);
	assert_false(switch_has_frame());
	assert_true(guest_has_frame());
	assert_memory_equal(packet.from, gateway_mac, ETH_ALEN);
	send_arp(MEMBER);
	assert_at_switch_alone();
	end();
}

static bool has_dhcp_option(unsigned code)
{
	const unsigned char *m = frame.bytes + packet.payload;

	for (size_t at = 240; at < packet.payload_len && m[at] != 255; at += 2u + m[at + 1])
		if (m[at] == code)
			return true;
	return false;
}

static void the_members_address_is_leased_and_a_router_where_there_is_a_way_out(void **state)
{
	unsigned char m[300] = { 1, 1, 6, 0, 1, 2, 3, 4, [236] = 99, 130, 83, 99, 53, 1, DHCP_DISCOVER, 255 };

	(void)state;
	for (unsigned nat = 0; nat < 2; nat++) {
		begin(nat ? "nat = true;" : "");
		send_udp(everybody, "0.0.0.0", "255.255.255.255", 68, 67, m, sizeof m);
		assert_false(switch_has_frame());
		assert_true(guest_has_frame());
		assert_memory_equal(frame.bytes + packet.payload + 16, "\12\0\3\13", 4);
		assert_true(has_dhcp_option(6));
		assert_int_equal(has_dhcp_option(3), nat);
		end();
	}
}

/* The code of the answer, and how many records it has. */
static unsigned ask(const char *wire, unsigned *records)
{
	unsigned char q[100] = { 0, 7, 1, 0, 0, 1 };
	size_t len = DNS_HEADER + strlen(wire) + 1;

	memcpy(q + DNS_HEADER, wire, strlen(wire));
	memcpy(q + len, "\0\1\0\1", 4);
	send_udp(gateway_mac, GUEST, GATEWAY, 4000, 53, q, len + 4);
	assert_false(switch_has_frame());
	assert_true(guest_has_frame());
	*records = frame.bytes[packet.payload + 7];
	return frame.bytes[packet.payload + 3] & 0xf;
}

static void members_have_names_as_long_as_they_are_there(void **state)
{
	unsigned n;

	(void)state;
	c.other = "Vm2";
	begin("");
	assert_int_equal(ask("\3vM2", &n), ns_r_noerror);
	assert_int_equal(n, 1);
	assert_memory_equal(frame.bytes + frame.len - 4, "\12\0\3\14", 4);
	assert_int_equal(ask("\3vm2\3lab\7cluster", &n), ns_r_noerror);
	assert_int_equal(n, 1);
	assert_int_equal(ask("\3box\3lab\7cluster", &n), ns_r_noerror);
	assert_int_equal(ask("\3vm3\3lab\7cluster", &n), ns_r_nxdomain);
	assert_int_equal(ask("\3www\7example", &n), ns_r_refused);
	case_switch_goes(&c);
	assert_false(case_take(&c, &frame));
	case_switch_comes(&c);
	assert_int_equal(ask("\3vm2\3lab\7cluster", &n), ns_r_nxdomain); /* until the new one has said who is there */
	assert_int_equal(c.host.opened, opened);
	end();
}

/* ---- the way out ---- */

static int peer(int type, uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof at;
	const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static void without_nat_nothing_leaves(void **state)
{
	uint16_t port;
	const int fd = peer(SOCK_DGRAM, &port);
	char byte;

	(void)state;
	begin(LOOPBACK_ALLOWED);
	send_udp(gateway_mac, GUEST, GATEWAY, 4000, port, "!", 1);
	assert_prohibited();
	send_udp(gateway_mac, GUEST, OUTSIDE, 4000, 53, "!", 1);
	assert_prohibited();
	send_tcp(gateway_mac, GATEWAY, 4000, port, TH_SYN);
	send_tcp(gateway_mac, OUTSIDE, 4000, 80, TH_SYN);
	assert_false(switch_has_frame());
	while (guest_has_frame())
		assert_true(frame.bytes[packet.l4 + 13] & TH_RST);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(c.host.opened, opened);
	assert_int_equal(nat_host_counter(&c.host, "flows_opened"), 0);
	assert_int_equal(nat_host_counter(&c.host, "flows_denied"), 4);
	end();
	close(fd);
}

static void with_nat_the_policy_says_what_leaves(void **state)
{
	uint16_t port;
	const int fd = peer(SOCK_DGRAM, &port);
	char byte = 0;

	(void)state;
	begin("nat = true; " LOOPBACK_ALLOWED);
	send_udp(gateway_mac, GUEST, GATEWAY, 4000, port, "!", 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	assert_int_equal(byte, '!');
	assert_false(switch_has_frame());
	assert_int_equal(nat_host_reconfigure(&c.host, "cluster = \"lab\"; policy = { default = \"deny\"; };"), 0);
	case_settle(&c);
	while (guest_has_frame())
		;
	send_udp(gateway_mac, GUEST, GATEWAY, 4001, port, "!", 1);
	assert_prohibited();
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	end();
	close(fd);
}

static void members_are_not_reached_through_the_gateway(void **state)
{
	(void)state;
	begin("nat = true;");
	send_udp(gateway_mac, GUEST, MEMBER, 4000, 53, "!", 1);
	send_tcp(gateway_mac, MEMBER, 4000, 80, TH_SYN);
	assert_false(switch_has_frame());
	assert_false(guest_has_frame());
	assert_int_equal(nat_host_counter(&c.host, "unsupported"), 2);
	assert_int_equal(c.host.opened, opened);
	end();
}

static void a_published_port_leads_to_the_guest(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	static const char key[] = "\"listen\":\"127.0.0.1:";
	const char *text;
	int fd;

	(void)state;
	begin("nat = true; forward = [ \"tcp:127.0.0.1:0:80\" ];");
	text = strstr(nat_host_info(&c.host), key);
	assert_non_null(text);
	at.sin_port = htons((uint16_t)atoi(text + sizeof key - 1));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)connect(fd, (struct sockaddr *)&at, sizeof at);
	case_settle(&c);
	assert_true(guest_has_frame());
	assert_int_equal(packet.protocol, IPPROTO_TCP);
	assert_int_equal(packet.target_port, 80);
	assert_int_equal(frame.bytes[packet.l4 + 13] & (TH_SYN | TH_ACK), TH_SYN);
	assert_false(switch_has_frame());
	close(fd);
	end();
}

/* ---- between members ---- */

static void without_a_policy_all_passes_between_members(void **state)
{
	(void)state;
	begin("");
	send_tcp(member_mac, MEMBER, 4000, 22, TH_SYN);
	assert_at_switch_alone();
	send_tcp(member_mac, MEMBER, 4001, 22, TH_ACK);
	assert_at_switch_alone();
	send_udp(member_mac, GUEST, MEMBER, 4000, 53, "?", 1);
	assert_at_switch_alone();
	end();
}

static void the_policy_holds_between_members_with_and_without_nat(void **state)
{
	(void)state;
	for (unsigned nat = 0; nat < 2; nat++) {
		begin(nat ? "nat = true; " ONLY_WEB : ONLY_WEB);
		send_tcp(member_mac, MEMBER, 4000, 80, TH_SYN);
		assert_at_switch_alone();
		send_tcp(member_mac, MEMBER, 4000, 22, TH_SYN);
		assert_prohibited();
		send_tcp(member_mac, "10.0.3.13", 4000, 80, TH_SYN);
		assert_prohibited();
		send_udp(member_mac, GUEST, MEMBER, 4000, 80, "?", 1);
		assert_prohibited();
		assert_int_equal(nat_host_counter(&c.host, "flows_denied"), 3);
		assert_int_equal(nat_host_counter(&c.host, "flows_opened"), 0);
		assert_non_null(strstr(nat_host_info(&c.host), "port 80\",\"flows\":1,"));
		send_arp(MEMBER);
		assert_at_switch_alone();
		end();
	}
}

static void answers_to_what_a_member_began_pass(void **state)
{
	(void)state;
	begin(ONLY_WEB);
	member_sends_tcp(5000, 22, TH_SYN);
	assert_true(guest_has_frame());
	assert_int_equal(packet.target_port, 22);
	send_tcp(member_mac, MEMBER, 22, 5000, TH_SYN | TH_ACK);
	assert_at_switch_alone();
	send_tcp(member_mac, MEMBER, 22, 5001, TH_SYN | TH_ACK);
	assert_prohibited();
	/* The guest begins anew: nothing is known any more. */
	case_let_go(&c);
	case_come_back(&c);
	case_offer(&c, 0, 8, 1536);
	case_settle(&c);
	send_tcp(member_mac, MEMBER, 22, 5000, TH_ACK);
	assert_prohibited();
	end();
}

static void a_new_policy_counts_at_once(void **state)
{
	(void)state;
	begin("");
	send_tcp(member_mac, MEMBER, 4000, 22, TH_SYN);
	assert_at_switch_alone();
	assert_int_equal(nat_host_reconfigure(&c.host, "cluster = \"lab\"; " ONLY_WEB), 0);
	send_tcp(member_mac, MEMBER, 4000, 22, TH_ACK);
	assert_prohibited();
	send_tcp(member_mac, MEMBER, 4000, 80, TH_SYN);
	assert_at_switch_alone();
	assert_int_equal(nat_host_reconfigure(&c.host, "cluster = \"lab\"; policy = { default = \"deny\"; };"), 0);
	send_tcp(member_mac, MEMBER, 4000, 80, TH_ACK);
	assert_prohibited();
	assert_int_equal(nat_host_reconfigure(&c.host, "cluster = \"lab\"; policy = { default = \"maybe\"; };"), -1);
	assert_non_null(strstr(c.host.error, "default"));
	send_tcp(member_mac, MEMBER, 4000, 80, TH_ACK);
	assert_prohibited();
	end();
}

static void frames_that_no_rule_could_judge_stay_where_there_is_a_policy(void **state)
{
	unsigned char other[60] = { 0x52, 0x54, 0, 0, 0, 12, 0x52, 0x54, 0, 0, 0, 11, 0x88, 0xb5 };

	(void)state;
	begin("");
	case_send(&c, NULL, other, sizeof other, 1);
	case_settle(&c);
	assert_at_switch_alone();
	end();
	begin(ONLY_WEB);
	case_send(&c, NULL, other, sizeof other, 1);
	case_settle(&c);
	assert_false(switch_has_frame());
	assert_false(guest_has_frame());
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_asks_for_the_gateway_is_answered_by_its_own),
		TEST(the_members_address_is_leased_and_a_router_where_there_is_a_way_out),
		TEST(members_have_names_as_long_as_they_are_there),
		TEST(without_nat_nothing_leaves),
		TEST(with_nat_the_policy_says_what_leaves),
		TEST(members_are_not_reached_through_the_gateway),
		TEST(a_published_port_leads_to_the_guest),
		TEST(without_a_policy_all_passes_between_members),
		TEST(the_policy_holds_between_members_with_and_without_nat),
		TEST(answers_to_what_a_member_began_pass),
		TEST(a_new_policy_counts_at_once),
		TEST(frames_that_no_rule_could_judge_stay_where_there_is_a_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
