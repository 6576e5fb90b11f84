/* SPDX-License-Identifier: MIT */
/* nat_forward_test.c - proves forward.h: what an entry may say, where it listens, and whom the guest sees. */
#include "tests/unit/nat_guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugins/net-nat/forward.h"
#include "tests/unit/nat_namespace.h"

static struct nat_guest guest;
static struct nat_frame frame;

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

/* ---- the text ---- */

static void reads(const char *text, uint8_t protocol, const char *listen_at, uint16_t guest_port)
{
	struct forward forward;
	char cause[256] = "", shown[NET_ENDPOINT_TEXT];

	if (forward_parse(text, &forward, cause, sizeof cause) < 0)
		fail_msg("%s: %s", text, cause);
	assert_int_equal(forward.protocol, protocol);
	assert_string_equal(net_endpoint_text(&forward.listen, shown), listen_at);
	assert_int_equal(forward.guest_port, guest_port);
}

static void is_refused(const char *text, const char *why)
{
	struct forward forward;
	char cause[256] = "";

	assert_int_equal(forward_parse(text, &forward, cause, sizeof cause), -EINVAL);
	if (!strstr(cause, why))
		fail_msg("%s: \"%s\" instead of \"%s\"", text, cause, why);
	assert_int_equal(strncmp(cause, "forward \"", 9), 0);
	assert_null(strchr(cause, '\n'));
}

static void entries_are_read(void **state)
{
	(void)state;
	reads("tcp:127.0.0.1:8080:80", IPPROTO_TCP, "127.0.0.1:8080", 80);
	reads("udp:5353:5353", IPPROTO_UDP, "127.0.0.1:5353", 5353);
	reads("tcp:[::1]:0:22", IPPROTO_TCP, "[::1]:0", 22);
	reads("8080:80", IPPROTO_TCP, "127.0.0.1:8080", 80);
	reads("0.0.0.0:8080:80", IPPROTO_TCP, "0.0.0.0:8080", 80);
	reads("[::]:8080:80", IPPROTO_TCP, "[::]:8080", 80);
	reads("udp:[2001:db8::1]:65535:65535", IPPROTO_UDP, "[2001:db8::1]:65535", 65535);
}

static void what_is_no_entry_is_named(void **state)
{
	(void)state;
	is_refused("", "has no port of the guest");
	is_refused("80", "has no port of the guest");
	is_refused("tcp:80", "has no port of the guest");
	is_refused("8080:0", "\"0\" is no port of the guest");
	is_refused("8080:", "\"\" is no port of the guest");
	is_refused("8080:80x", "\"80x\" is no port of the guest");
	is_refused("8080:65536", "\"65536\" is no port of the guest");
	is_refused("65536:80", "\"65536\" is no port");
	is_refused("-1:80", "\"-1\" is no port");
	is_refused(":80", "\"\" is no port");
	is_refused("sctp:8080:80", "\"sctp\" is no address");
	is_refused("localhost:8080:80", "\"localhost\" is no address");
	is_refused("::1:8080:80", "is no address");
	is_refused("[127.0.0.1]:8080:80", "is no address");
	is_refused("[]:8080:80", "is no address");
	is_refused("[::1:8080:80", "is no address");
	is_refused("224.0.0.1:8080:80", "is multicast");
	is_refused("[fe80::1]:8080:80", "is an address of one link only");
}

/* ---- listening ---- */

static uint16_t port_of(unsigned n)
{
	return forwards_get(guest.nat->forwards, n)->listen.port;
}

static int client_to(const char *address, uint16_t port)
{
	struct net_endpoint to = { .port = port };
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	assert_int_equal(net_address_parse(address, &to.address), 0);
	len = net_to_sockaddr(&to, &sa);
	fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&sa, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void port_0_is_any_and_told(void **state)
{
	int client;

	(void)state;
	nat_begin(&guest, "ipv6 = false; forward = [ \"tcp:0:80\", \"udp:0:53\", \"0:22\" ];");
	assert_int_equal(forwards_count(guest.nat->forwards), 3);
	assert_int_not_equal(port_of(0), 0);
	assert_int_not_equal(port_of(1), 0);
	assert_int_not_equal(port_of(2), port_of(0));
	assert_null(forwards_get(guest.nat->forwards, 3));
	client = client_to("127.0.0.1", port_of(0));
	assert_true(client >= 0);
	close(client);
	nat_end(&guest);
}

static void a_port_in_use_is_named(void **state)
{
	char options[128], expected[128];
	uint16_t port;
	int server;

	(void)state;
	server = nat_peer(AF_INET, SOCK_STREAM, &port);
	snprintf(options, sizeof options, "forward = [ \"tcp:127.0.0.1:%u:80\" ];", port);
	assert_true(nat_try(&guest, options) < 0);
	snprintf(expected, sizeof expected,
	         "forward \"tcp:127.0.0.1:%u:80\": port %u is in use on 127.0.0.1; choose another, or 0 for any", port,
	         port);
	assert_string_equal(guest.error, expected);
	nat_end(&guest);
	close(server);

	server = nat_peer(AF_INET, SOCK_DGRAM, &port);
	snprintf(options, sizeof options, "forward = [ \"udp:%u:80\" ];", port);
	assert_true(nat_try(&guest, options) < 0);
	assert_non_null(strstr(guest.error, "is in use on 127.0.0.1"));
	nat_end(&guest);
	close(server);
	/* The same twice, too. */
	snprintf(options, sizeof options, "forward = [ \"%u:80\", \"%u:81\" ];", port, port);
	assert_true(nat_try(&guest, options) < 0);
	assert_non_null(strstr(guest.error, "is in use on 127.0.0.1"));
	nat_end(&guest);
}

static void an_address_that_the_host_has_not_is_named(void **state)
{
	(void)state;
	assert_true(nat_try(&guest, "forward = [ \"tcp:203.0.113.9:0:80\" ];") < 0);
	assert_non_null(strstr(guest.error, "this host has no address 203.0.113.9"));
	nat_end(&guest);
}

static void the_unspecified_ipv6_address_takes_both_families(void **state)
{
	int four, six;

	(void)state;
	if (!namespace_has_ipv6())
		skip();
	nat_begin(&guest, "forward = [ \"tcp:[::]:0:80\", \"tcp:[::1]:0:80\" ];");
	four = client_to("127.0.0.1", port_of(0));
	six = client_to("::1", port_of(0));
	assert_true(four >= 0);
	assert_true(six >= 0);
	close(four);
	close(six);
	/* Another address only takes its own. */
	assert_int_equal(client_to("127.0.0.1", port_of(1)), -1);
	nat_end(&guest);
}

/* ---- connections ---- */

static void guest_segment(const struct nat_frame *to, uint8_t flags, uint32_t sequence, uint32_t acknowledgement,
                          const void *payload, size_t len)
{
	static char from_text[NET_ADDRESS_TEXT], to_text[NET_ADDRESS_TEXT];
	const struct nat_segment segment = {
		.from = net_address_text(&to->packet.target, from_text),
		.to = net_address_text(&to->packet.source, to_text),
		.from_port = to->packet.target_port,
		.to_port = to->packet.source_port,
		.sequence = sequence,
		.acknowledgement = acknowledgement,
		.flags = flags,
		.window = 65535,
		.payload = payload,
		.len = len,
	};

	nat_send_tcp(&guest, &segment);
}

/* The next SYN to the guest, in *syn. */
static void guest_gets_syn(struct nat_frame *syn, const char *from, uint16_t port, uint16_t guest_port)
{
	char text[NET_ADDRESS_TEXT];

	do
		nat_receive(&guest, syn);
	while (syn->packet.protocol != IPPROTO_TCP);
	assert_int_equal(nat_tcp(syn)->th_flags & (TH_SYN | TH_ACK), TH_SYN);
	assert_string_equal(net_address_text(&syn->packet.source, text), from);
	if (port)
		assert_int_equal(syn->packet.source_port, port);
	assert_int_equal(syn->packet.target_port, guest_port);
}

static uint16_t local_port(int fd)
{
	struct sockaddr_storage sa;
	struct net_endpoint at;
	socklen_t len = sizeof sa;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(net_from_sockaddr((struct sockaddr *)&sa, &at), 0);
	return at.port;
}

static bool is_readable(void *ctx)
{
	struct pollfd p = { .fd = *(int *)ctx, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void a_connection_reaches_the_guest_and_half_closes(void **state)
{
	uint32_t theirs, mine = 1000;
	char got[16] = "";
	int client;

	(void)state;
	nat_begin(&guest, "ipv6 = false; forward = [ \"tcp:0:80\" ];");
	client = client_to("127.0.0.1", port_of(0));
	guest_gets_syn(&frame, NAT_GATEWAY, local_port(client), 80);
	theirs = ntohl(nat_tcp(&frame)->th_seq) + 1;
	guest_segment(&frame, TH_SYN | TH_ACK, mine++, theirs, NULL, 0);
	assert_int_equal(send(client, "question", 8, 0), 8);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	do
		nat_receive(&guest, &frame);
	while (!frame.packet.payload_len);
	assert_memory_equal(frame.bytes + frame.packet.payload, "question", 8);
	while (!(nat_tcp(&frame)->th_flags & TH_FIN))
		nat_receive(&guest, &frame);
	theirs += 9;
	/* It has closed, and still gets its answer. */
	guest_segment(&frame, TH_ACK, mine, theirs, "answer", 6);
	mine += 6;
	nat_until(&guest, is_readable, &client);
	assert_int_equal(recv(client, got, sizeof got, 0), 6);
	assert_memory_equal(got, "answer", 6);
	guest_segment(&frame, TH_ACK | TH_FIN, mine++, theirs, NULL, 0);
	nat_until(&guest, is_readable, &client);
	assert_int_equal(recv(client, got, sizeof got, 0), 0);
	close(client);
	nat_end(&guest);
}

static void connections_wait_while_the_guest_is_not_there(void **state)
{
	int client;

	(void)state;
	nat_begin(&guest, "ipv6 = false; link = false; forward = [ \"tcp:0:80\" ];");
	client = client_to("127.0.0.1", port_of(0));
	assert_true(client >= 0);
	settle();
	assert_int_equal(flows(), 0);
	assert_int_equal(nat_reconfigure(&guest, "link = true;"), 0);
	guest_gets_syn(&frame, NAT_GATEWAY, local_port(client), 80);
	close(client);
	nat_end(&guest);
}

static void beyond_max_flows_connections_wait_for_one_to_end(void **state)
{
	int clients[3];

	(void)state;
	nat_begin(&guest, "ipv6 = false; max_flows = 2; forward = [ \"tcp:0:80\" ];");
	for (unsigned i = 0; i < 3; i++)
		clients[i] = client_to("127.0.0.1", port_of(0));
	guest_gets_syn(&frame, NAT_GATEWAY, local_port(clients[0]), 80);
	guest_segment(&frame, TH_RST | TH_ACK, 0, ntohl(nat_tcp(&frame)->th_seq) + 1, NULL, 0);
	guest_gets_syn(&frame, NAT_GATEWAY, local_port(clients[1]), 80);
	guest_gets_syn(&frame, NAT_GATEWAY, local_port(clients[2]), 80);
	for (unsigned i = 0; i < 3; i++)
		close(clients[i]);
	nat_end(&guest);
}

static void out_of_descriptors_connections_wait_without_spinning(void **state)
{
	struct rlimit limit, none;
	unsigned turns = 0;
	int client;

	(void)state;
	nat_begin(&guest, "ipv6 = false; forward = [ \"tcp:0:80\" ];");
	client = client_to("127.0.0.1", port_of(0));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)client + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (nat_turn(&guest))
		assert_true(++turns < 100);
	assert_int_equal(flows(), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	nat_pass(&guest, 1000);
	guest_gets_syn(&frame, NAT_GATEWAY, local_port(client), 80);
	close(client);
	nat_end(&guest);
}

static void many_connections_have_a_port_each(void **state)
{
	int clients[200];

	(void)state;
	nat_begin(&guest, "ipv6 = false; forward = [ \"tcp:0.0.0.0:0:80\" ];");
	for (unsigned i = 0; i < 200; i++) {
		clients[i] = client_to("127.0.0.1", port_of(0));
		assert_true(clients[i] >= 0);
		guest_gets_syn(&frame, NAT_GATEWAY, local_port(clients[i]), 80);
	}
	assert_int_equal(flows(), 200);
	for (unsigned i = 0; i < 200; i++)
		close(clients[i]);
	nat_end(&guest);
}

static void a_peer_may_be_seen_by_its_own_address(void **state)
{
	int far, near, six;

	(void)state;
	nat_begin(&guest, "keep_source = true; forward = [ \"tcp:[::]:0:80\" ];");
	while (nat_receive_now(&guest, &frame))
		;
	far = client_to(FAR_HOST, port_of(0));
	guest_gets_syn(&frame, FAR_HOST, local_port(far), 80);
	near = client_to("127.0.0.1", port_of(0));
	guest_gets_syn(&frame, NAT_GATEWAY, local_port(near), 80);
	close(far);
	close(near);
	if (namespace_has_ipv6()) {
		six = client_to(FAR_HOST6, port_of(0));
		guest_gets_syn(&frame, FAR_HOST6, local_port(six), 80);
		close(six);
	}
	nat_end(&guest);
}

static struct flow_key seen_as(const char *peer, uint16_t port)
{
	struct flow_key key = { .protocol = IPPROTO_TCP };
	struct net_endpoint from = { .port = port };

	net_address_parse(peer, &from.address);
	assert_int_equal(forward_key(guest.nat, &from, 80, &key), 0);
	return key;
}

static bool is(const struct net_endpoint *endpoint, const char *address)
{
	char text[NET_ADDRESS_TEXT];

	return strcmp(net_address_text(&endpoint->address, text), address) == 0;
}

static void whom_the_guest_sees(void **state)
{
	struct flow_key key;

	(void)state;
	nat_begin(&guest, "");
	key = seen_as("198.51.100.7", 5000);
	assert_true(is(&key.far, NAT_GATEWAY) && is(&key.guest, NAT_GUEST) && key.far.port == 5000);
	/* Ports of the gateway's own services are not a peer's. */
	key = seen_as("198.51.100.7", 53);
	assert_true(is(&key.far, NAT_GATEWAY) && key.far.port >= 1024);
	key = seen_as("2001:db8::7", 5000);
	assert_true(is(&key.far, NAT_GATEWAY) && is(&key.guest, NAT_GUEST));
	nat_end(&guest);

	nat_begin(&guest, "keep_source = true;");
	key = seen_as("198.51.100.7", 53);
	assert_true(is(&key.far, "198.51.100.7") && is(&key.guest, NAT_GUEST) && key.far.port == 53);
	key = seen_as("2001:db8::7", 5000);
	assert_true(is(&key.far, "2001:db8::7") && is(&key.guest, NAT_GUEST6));
	key = seen_as("::1", 5000);
	assert_true(is(&key.far, NAT_GATEWAY));
	key = seen_as("fe80::1", 5000);
	assert_true(is(&key.far, NAT_GATEWAY));
	/* One that has the guest's own address by chance. */
	key = seen_as(NAT_GUEST, 5000);
	assert_true(is(&key.far, NAT_GATEWAY));
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_read),
		cmocka_unit_test(what_is_no_entry_is_named),
		cmocka_unit_test(port_0_is_any_and_told),
		cmocka_unit_test(a_port_in_use_is_named),
		cmocka_unit_test(an_address_that_the_host_has_not_is_named),
		cmocka_unit_test(the_unspecified_ipv6_address_takes_both_families),
		cmocka_unit_test(whom_the_guest_sees),
		cmocka_unit_test(a_connection_reaches_the_guest_and_half_closes),
		cmocka_unit_test(connections_wait_while_the_guest_is_not_there),
		cmocka_unit_test(beyond_max_flows_connections_wait_for_one_to_end),
		cmocka_unit_test(out_of_descriptors_connections_wait_without_spinning),
		cmocka_unit_test(many_connections_have_a_port_each),
		cmocka_unit_test(a_peer_may_be_seen_by_its_own_address),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
