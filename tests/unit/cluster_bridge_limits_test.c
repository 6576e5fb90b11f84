/* SPDX-License-Identifier: MIT */
/*
 * cluster_bridge_limits_test.c - plugins/cluster-switch/bridge.h: full ports, rates, who may come, what people are
 * told, and frames of any bytes.
 */
#include "tests/unit/cluster_bridge_case.h"

#define STEP 65536u

/* ---- full, rate, flush ---- */

static void a_full_port_loses_frames_and_holds_up_nobody(void **state)
{
	struct fixture *x = *state;

	add_three(x);
	add(x, 4);
	x->fars[2].is_full = true;
	pass(x, FRAMES_GROUP, 1);
	pass(x, 2, 1);
	assert_int_equal(came(x), 11);
	assert_int_equal(counters(x, 2)->full_dropped, 2);
	assert_int_equal(counters(x, 2)->tx_packets, 0);
	assert_int_equal(counters(x, 1)->full_dropped, 0);
	assert_int_equal(counters(x, 3)->tx_packets, 1);
	bridge_flush(x->bridge);
	assert_int_equal(x->fars[2].flushes, 0);
	x->fars[2].is_full = false;
	pass(x, 2, 1);
	assert_int_equal(came(x), 100);
}

/* Sends until frames are dropped; says how many bytes went. */
static uint64_t drain(struct fixture *x, unsigned machine, size_t len)
{
	static unsigned char bytes[STEP];
	const struct iovec piece = { bytes, len };
	const struct virtio_net_hdr_v1 header = { .flags = 0 };
	const struct bridge_counters *c = counters(x, machine);
	const uint64_t before = c->rate_dropped, max = (uint64_t)1 << 30;
	struct bridge_frame frame;
	uint64_t sent = 0;

	frames_mac(2, bytes);
	frames_mac(machine, bytes + ETH_ALEN);
	bytes[12] = 0x88;
	bytes[13] = 0xb5;
	while (sent < max) {
		assert_true(bridge_frame_make(&frame, &header, &piece, 1, len));
		bridge_forward(x->fars[machine].port, &frame, x->now_ms);
		if (c->rate_dropped > before)
			break;
		sent += len;
	}
	return sent;
}

/* Two ports, the first of which may send so much. Its options, to be changed. */
static struct bridge_port_options add_two(struct fixture *x, uint64_t rate)
{
	struct bridge_port_options o = frames_port(1);

	o.rate = rate;
	assert_int_equal(add_with(x, 1, &o), 0);
	add(x, 2);
	return o;
}

static void a_port_sends_no_more_than_its_rate(void **state)
{
	struct fixture *x = *state;

	add_two(x, 10000000);
	assert_int_equal(drain(x, 1, 1000), 1250000); /* an eighth of a second's at once */
	assert_int_equal(x->fars[2].frames, 1250);
	assert_int_equal(drain(x, 1, 1000), 0);
	x->now_ms += 10;
	assert_int_equal(drain(x, 1, 1000), 100000);
	x->now_ms += 3600000; /* no more than the burst is saved */
	assert_int_equal(drain(x, 1, 1000), 1250000);
	/* A clock that goes back gives nothing. */
	x->now_ms -= 1000;
	assert_int_equal(drain(x, 1, 1000), 0);
	x->now_ms += 1001;
	assert_int_equal(drain(x, 1, 1000), 10000);
	/* Others are not held up by it. */
	pass(x, 1, 2);
	assert_int_equal(x->fars[1].frames, 1);
}

static void a_low_rate_still_passes_the_largest_frames(void **state)
{
	struct fixture *x = *state;
	struct bridge_port_options o = add_two(x, 1000);

	assert_int_equal(drain(x, 1, STEP), 2 * STEP);
	/* A byte a millisecond, of which none is lost to rounding. */
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(drain(x, 1, 60), 0);
		x->now_ms++;
	}
	assert_int_equal(drain(x, 1, 60), 60);
	o.rate = 1;
	bridge_port_change(x->fars[1].port, &o);
	x->now_ms += 59999;
	assert_int_equal(drain(x, 1, 60), 0);
	x->now_ms += 1;
	assert_int_equal(drain(x, 1, 60), 60);
}

static void rates_may_change_and_be_anything(void **state)
{
	struct bridge_port_options o = frames_port(1);
	struct fixture *x = *state;

	add(x, 1);
	add(x, 2);
	assert_true(drain(x, 1, STEP) >= (uint64_t)1 << 30);
	o.rate = 8000000;
	bridge_port_change(x->fars[1].port, &o);
	assert_int_equal(drain(x, 1, 1000), 1000000);
	o.rate = UINT64_MAX;
	bridge_port_change(x->fars[1].port, &o);
	x->now_ms = UINT64_MAX;
	assert_true(drain(x, 1, STEP) >= (uint64_t)1 << 30);
	o.rate = 0;
	bridge_port_change(x->fars[1].port, &o);
	assert_true(drain(x, 1, STEP) >= (uint64_t)1 << 30);
}

static void only_ports_that_were_sent_something_are_flushed_and_once(void **state)
{
	struct fixture *x = *state;

	add_three(x);
	bridge_flush(x->bridge);
	for (unsigned i = 0; i < 10; i++) {
		pass(x, 2, 1);
		pass(x, 2, 3);
	}
	assert_int_equal(x->fars[2].flushes, 0);
	bridge_flush(x->bridge);
	bridge_flush(x->bridge);
	assert_int_equal(x->fars[1].flushes, 0);
	assert_int_equal(x->fars[2].flushes, 1);
	assert_int_equal(x->fars[3].flushes, 0);
	pass(x, FRAMES_GROUP, 2);
	bridge_port_remove(x->fars[3].port); /* with something that was not flushed */
	bridge_flush(x->bridge);
	assert_int_equal(x->fars[1].flushes, 1);
	assert_int_equal(x->fars[2].flushes, 1);
	assert_int_equal(x->fars[3].flushes, 0);
}

/* ---- who may come ---- */

/* The fourth port may not join, and the cause names what is taken. */
static void assert_refused(struct fixture *x, const struct bridge_port_options *o, const char *what)
{
	assert_int_equal(add_with(x, 4, o), -EEXIST);
	assert_non_null(strstr(x->cause, what));
}

static void what_only_one_may_have_is_refused_with_both_names(void **state)
{
	static const unsigned char gateway[] = GUARD_GATEWAY_MAC;
	const struct bridge_port_options one = frames_port(1);
	struct fixture *x = *state;
	struct bridge_port_options o;

	add_three(x);
	o = frames_port(4);
	strcpy(o.name, "vm1");
	assert_refused(x, &o, "\"vm1\"");
	assert_null(x->fars[4].port);
	o = frames_port(4);
	memcpy(o.mac, one.mac, sizeof o.mac);
	assert_refused(x, &o, "\"vm1\"");
	assert_non_null(strstr(x->cause, "\"vm4\""));
	assert_non_null(strstr(x->cause, "02:00:00:00:00:01"));
	o = frames_port(4);
	o.address = one.address;
	assert_refused(x, &o, "\"vm1\"");
	assert_non_null(strstr(x->cause, "\"vm4\""));
	assert_non_null(strstr(x->cause, "10.0.3.1"));
	o = frames_port(4);
	o.address6 = one.address6;
	assert_refused(x, &o, "fd00::1");
	o = frames_port(4);
	memcpy(o.mac, gateway, sizeof o.mac);
	assert_refused(x, &o, "gateway");
	/* Who was refused has left nothing. */
	add(x, 4);
	bridge_port_remove(x->fars[1].port);
	add(x, 1);
}

static void ports_without_an_address_do_not_exclude_each_other(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 1; i <= 2; i++) {
		struct bridge_port_options o = frames_port(i);

		memset(&o.address, 0, sizeof o.address);
		memset(&o.address6, 0, sizeof o.address6);
		assert_int_equal(add_with(x, i, &o), 0);
	}
	pass(x, 2, 1);
	assert_int_equal(came(x), 100);
}

static void a_cluster_has_so_many_members_and_an_uplink(void **state)
{
	struct fixture *x = *state;
	struct bridge_port_options o = frames_port(CLUSTER_MEMBERS_MAX + 1);

	for (unsigned i = 1; i <= CLUSTER_MEMBERS_MAX; i++)
		add(x, i);
	assert_int_equal(add_with(x, CLUSTER_MEMBERS_MAX + 1, &o), -ENOSPC);
	assert_int_equal(add_uplink(x), 0);
	pass(x, FRAMES_GROUP, CLUSTER_MEMBERS_MAX);
	for (unsigned i = 0; i < CLUSTER_MEMBERS_MAX; i++)
		assert_int_equal(x->fars[i].frames, 1);
	assert_int_equal(x->fars[CLUSTER_MEMBERS_MAX].frames, 0);
	bridge_port_remove(x->fars[100].port);
	assert_int_equal(add_with(x, CLUSTER_MEMBERS_MAX + 1, &o), 0);
	pass(x, CLUSTER_MEMBERS_MAX + 1, 1);
	assert_int_equal(x->fars[CLUSTER_MEMBERS_MAX + 1].frames, 1);
}

static void whose_port_has_gone_others_go_on_and_take_its_addresses(void **state)
{
	struct bridge_port_options o = frames_port(4);
	const struct bridge_port_options two = frames_port(2);
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	bridge_port_remove(x->fars[2].port);
	pass(x, 3, 1);
	pass(x, 1, 3);
	assert_int_equal(came(x), 1010);
	memcpy(o.mac, two.mac, sizeof o.mac);
	o.address = two.address;
	o.address6 = two.address6;
	assert_int_equal(add_with(x, 4, &o), 0);
	frames_udp(&f, 1, 2, "fd00::2", 1, "fd00::1", 2);
	forward(x, 4, &f);
	frames_udp(&f, 2, 1, "fd00::1", 1, "fd00::2", 2);
	forward(x, 1, &f);
	assert_int_equal(came(x), 1001);
}

/* ---- for people ---- */

struct told {
	char text[1024];
};

static void tell_port(void *ctx, const struct bridge_port *port)
{
	struct told *told = ctx;
	const size_t at = strlen(told->text);

	snprintf(told->text + at, sizeof told->text - at, "%s ", bridge_port_options(port)->name);
}

static void tell_mac(void *ctx, const unsigned char mac[ETH_ALEN], const struct bridge_port *port, uint64_t age_ms)
{
	struct told *told = ctx;
	const size_t at = strlen(told->text);

	if (mac[5] == 50)
		snprintf(told->text + at, sizeof told->text - at, "50 at %s for %u", bridge_port_options(port)->name,
		         (unsigned)age_ms);
}

static void people_are_told_of_ports_in_order_and_of_addresses(void **state)
{
	struct fixture *x = *state;
	struct told told = { "" };

	add(x, 3);
	add_any(x, 1);
	add(x, 2);
	bridge_port_remove(x->fars[3].port);
	add(x, 4);
	bridge_each_port(x->bridge, tell_port, &told);
	assert_string_equal(told.text, "vm1 vm2 vm4 ");
	forward_from(x, 1, FRAMES_GROUP, 50);
	told.text[0] = '\0';
	bridge_each_mac(x->bridge, x->now_ms + 77, tell_mac, &told);
	assert_string_equal(told.text, "50 at vm1 for 77");
}

/* ---- hostile frames ---- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* In a buffer of its own length. */
static void forward_bytes(struct fixture *x, unsigned port, const struct virtio_net_hdr_v1 *header, const void *bytes,
                          size_t len)
{
	unsigned char *exact = malloc(len ? len : 1);
	const struct iovec piece = { exact, len };
	struct bridge_frame frame;

	assert_non_null(exact);
	memcpy(exact, bytes, len);
	bridge_frame_make(&frame, header, &piece, 1, len);
	bridge_forward(x->fars[port].port, &frame, x->now_ms);
	free(exact);
}

/* Each frame is counted once: as dropped, or as sent. */
static void assert_counted(const struct fixture *x, uint64_t n)
{
	const struct bridge_counters *c = counters(x, 1);

	assert_int_equal(c->rx_packets, n);
	assert_int_equal(c->malformed + c->spoofed + c->rate_dropped + c->peers_dropped + counters(x, 2)->tx_packets,
	                 n);
}

static void frames_that_end_anywhere_are_malformed_or_pass_whole(void **state)
{
	static const struct virtio_net_hdr_v1 none;
	struct fixture *x = *state;
	struct frames_frame seeds[5];
	uint64_t n = 0;

	add(x, 1);
	add(x, 2);
	frames_arp(&seeds[0], 2, 1, true, 1, "10.0.3.1", "10.0.3.2");
	frames_udp(&seeds[1], 2, 1, "10.0.3.1", 1, "10.0.3.2", 2);
	frames_udp(&seeds[2], 2, 1, "fd00::1", 1, "fd00::2", 2);
	frames_neighbour(&seeds[3], 1, "fd00::1", 136, "fd00::1", 1);
	frames_udp(&seeds[4], 2, 1, "10.0.3.1", 1, "10.0.3.2", 2);
	frames_tag(&seeds[4], ETH_P_8021Q, 0);
	for (unsigned i = 0; i < 5; i++) {
		for (size_t len = 0; len <= 64 && len < seeds[i].len; len++) {
			forward_bytes(x, 1, &none, seeds[i].bytes, len);
			assert_int_equal(x->fars[2].frames, 0);
			assert_counted(x, ++n);
		}
	}
	assert_int_equal(counters(x, 1)->malformed, n);
}

static void noise_of_any_length_does_no_harm(void **state)
{
	struct fixture *x = *state;
	struct virtio_net_hdr_v1 header;
	unsigned char bytes[320];
	uint64_t random = 4711, n = 0;

	add(x, 1);
	add(x, 2);
	for (unsigned round = 0; round < 2000; round++) {
		for (size_t len = 0; len <= 64; len++) {
			const size_t whole = round % 8 ? len : len * 5;

			for (size_t i = 0; i < whole; i++)
				bytes[i] = (unsigned char)next_random(&random);
			for (size_t i = 0; i < sizeof header; i++)
				((unsigned char *)&header)[i] =
					(unsigned char)(round % 2 ? 0 : next_random(&random) & next_random(&random));
			if (whole >= ETH_HLEN && round % 4) { /* so that most get further than their source */
				static const uint16_t types[] = { ETH_P_IP,    ETH_P_IPV6,   ETH_P_ARP,
					                          ETH_P_8021Q, ETH_P_8021AD, 0x0020 };
				const uint16_t type = types[next_random(&random) % 6];

				frames_mac(2, bytes);
				frames_mac(1, bytes + ETH_ALEN);
				bytes[12] = (unsigned char)(type >> 8);
				bytes[13] = (unsigned char)type;
				if (whole > ETH_HLEN)
					bytes[14] = type == ETH_P_IP ? 0x45 : type == ETH_P_IPV6 ? 0x60 : 0;
			}
			forward_bytes(x, 1, &header, bytes, whole);
			assert_counted(x, ++n);
		}
	}
	assert_true(counters(x, 1)->malformed > 1000);
	assert_true(counters(x, 1)->spoofed > 1000);
	assert_true(counters(x, 2)->tx_packets > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_port_loses_frames_and_holds_up_nobody),
		TEST(a_port_sends_no_more_than_its_rate),
		TEST(a_low_rate_still_passes_the_largest_frames),
		TEST(rates_may_change_and_be_anything),
		TEST(only_ports_that_were_sent_something_are_flushed_and_once),
		TEST(what_only_one_may_have_is_refused_with_both_names),
		TEST(ports_without_an_address_do_not_exclude_each_other),
		TEST(a_cluster_has_so_many_members_and_an_uplink),
		TEST(whose_port_has_gone_others_go_on_and_take_its_addresses),
		TEST(people_are_told_of_ports_in_order_and_of_addresses),
		TEST(frames_that_end_anywhere_are_malformed_or_pass_whole),
		TEST(noise_of_any_length_does_no_harm),
	};

	return cmocka_run_group_tests_name("cluster_bridge_limits", tests, NULL, NULL);
}
